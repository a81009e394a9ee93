//! Qwen2 (biases on query, key and value) and Qwen3 (norms on query and key).

use super::{Family, Layout, llama};
use crate::error::Result;

pub const QWEN2: Family = Family {
    name: "qwen2",
    hugging_face: &["qwen2"],
    gguf: &["qwen2"],
    from_hugging_face: |hf| qwen(hf, false),
    from_gguf: |g| g.llama_like(false),
};

pub const QWEN3: Family = Family {
    name: "qwen3",
    hugging_face: &["qwen3"],
    gguf: &["qwen3"],
    from_hugging_face: |hf| qwen(hf, true),
    from_gguf: |g| {
        let mut c = g.llama_like(false)?;
        c.qk_norm = true;
        Ok(c)
    },
};

fn qwen(hf: &super::Hf<'_>, qk_norm: bool) -> Result<Layout> {
    let mut config = hf.llama_like()?;
    config.qk_norm = qk_norm;
    // The window applies only where it is switched on, from a given layer up.
    if hf.flag_or("use_sliding_window", false)
        && let Ok(window) = hf.count(&["sliding_window"])
    {
        let from = hf.count_or(&["max_window_layers"], config.layers)?;
        config.windows = hf.windows(config.windows.len(), window, |i| i >= from);
    }
    Ok(Layout { config, tied: hf.tied(false), place: Box::new(llama::place) })
}
