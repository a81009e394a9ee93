//! GPT-Neo: every other layer sees a window; queries are not scaled.

use super::super::config::Part;
use super::{Family, Layout, Place};
use crate::error::{Error, ErrorKind};
use serde_json::Value;

pub const FAMILY: Family = Family {
    name: "gpt-neo",
    hugging_face: &["gpt_neo"],
    gguf: &[],
    from_hugging_face: |hf| {
        let hidden = hf.count(&["hidden_size"])?;
        let mut config = hf.base(
            hidden,
            hf.count(&["num_layers", "num_hidden_layers"])?,
            hf.count(&["num_heads", "num_attention_heads"])?,
            hf.count_or(&["intermediate_size"], 4 * hidden)?,
            hf.count(&["max_position_embeddings"])?,
        )?;
        config.activation = hf.activation(&["activation_function"], "gelu_new")?;
        config.attention_scale = 1.0;
        let window = hf.count_or(&["window_size"], 256)?;
        let kinds = attention_kinds(hf);
        config.windows = (0..config.windows.len())
            .map(|i| {
                let local = match &kinds {
                    Some(kinds) => kinds.get(i).is_some_and(|k| k == "local"),
                    None => i % 2 == 1,
                };
                local.then_some(window)
            })
            .collect();
        Ok(Layout { config, tied: hf.tied(true), place: Box::new(place) })
    },
    from_gguf: |_| Err(Error::new(ErrorKind::Unsupported, "GPT-Neo in GGUF is not supported")),
};

/// `attention_layers`, or `attention_types` written out: [[["global", "local"], 6]].
fn attention_kinds(hf: &super::Hf<'_>) -> Option<Vec<String>> {
    let strings = |v: &Value| -> Option<Vec<String>> {
        v.as_array()?.iter().map(|k| k.as_str().map(str::to_owned)).collect()
    };
    if let Some(kinds) = hf.get(&["attention_layers"]).and_then(strings) {
        return Some(kinds);
    }
    let mut all = vec![];
    for group in hf.get(&["attention_types"])?.as_array()? {
        let kinds = strings(group.get(0)?)?;
        let times = group.get(1)?.as_u64()?.min(1 << 10);
        for _ in 0..times {
            all.extend_from_slice(&kinds);
        }
    }
    Some(all)
}

fn place(part: Part) -> Option<Place> {
    let (i, name) = match part {
        Part::Embedding => return Place::whole("wte"),
        Part::Positions => return Place::whole("wpe"),
        Part::FinalNorm => return Place::whole("ln_f"),
        Part::Head => return Place::whole("lm_head"),
        Part::AttentionNorm(i) => (i, "ln_1"),
        Part::MlpNorm(i) => (i, "ln_2"),
        Part::Query(i) => (i, "attn.attention.q_proj"),
        Part::Key(i) => (i, "attn.attention.k_proj"),
        Part::Value(i) => (i, "attn.attention.v_proj"),
        Part::Output(i) => (i, "attn.attention.out_proj"),
        Part::Up(i) => (i, "mlp.c_fc"),
        Part::Down(i) => (i, "mlp.c_proj"),
        _ => return None,
    };
    Place::whole(format!("h.{i}.{name}"))
}
