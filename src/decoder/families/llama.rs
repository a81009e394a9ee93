//! Llama, Mistral, SmolLM and everything else that calls itself `llama`.

use super::super::config::Part;
use super::{Family, Layout, Place};

pub const FAMILY: Family = Family {
    name: "llama",
    hugging_face: &["llama", "mistral", "minimind"],
    gguf: &["llama", "mistral"],
    from_hugging_face: |hf| {
        let mut config = hf.llama_like()?;
        // Mistral's window covers all layers where it is set.
        if hf.get(&["model_type"]).and_then(|v| v.as_str()) == Some("mistral")
            && let Ok(window) = hf.count(&["sliding_window"])
        {
            config.windows = vec![Some(window); config.windows.len()];
        }
        Ok(Layout { config, tied: hf.tied(false), place: Box::new(place) })
    },
    from_gguf: |g| {
        // llama.cpp reorders query and key rows so that rotary pairs are neighbours.
        let mut config = g.llama_like(true)?;
        if let Some(window) = g.count_opt("attention.sliding_window") {
            config.windows = vec![Some(window); config.windows.len()];
        }
        Ok(config)
    },
};

/// Names in a Hugging Face folder; Qwen's and Gemma's are these and some more.
pub fn place(part: Part) -> Option<Place> {
    let (i, name) = match part {
        Part::Embedding => return Place::whole("model.embed_tokens"),
        Part::FinalNorm => return Place::whole("model.norm"),
        Part::Head => return Place::whole("lm_head"),
        Part::AttentionNorm(i) => (i, "input_layernorm"),
        Part::Query(i) => (i, "self_attn.q_proj"),
        Part::Key(i) => (i, "self_attn.k_proj"),
        Part::Value(i) => (i, "self_attn.v_proj"),
        Part::Output(i) => (i, "self_attn.o_proj"),
        Part::QueryNorm(i) => (i, "self_attn.q_norm"),
        Part::KeyNorm(i) => (i, "self_attn.k_norm"),
        Part::MlpNorm(i) => (i, "post_attention_layernorm"),
        Part::Gate(i) => (i, "mlp.gate_proj"),
        Part::Up(i) => (i, "mlp.up_proj"),
        Part::Down(i) => (i, "mlp.down_proj"),
        _ => return None,
    };
    Place::whole(format!("model.layers.{i}.{name}"))
}
