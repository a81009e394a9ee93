//! Gemma 3, text only (Gemma 3 Technical Report, section 2): norms around
//! both sublayers and on query and key, five local layers to one global.

use super::super::config::{Activation, Config, Norm, Part, Position};
use super::{Family, Layout, Place, frequencies, llama};

pub const FAMILY: Family = Family {
    name: "gemma3",
    hugging_face: &["gemma3_text"],
    gguf: &["gemma3"],
    from_hugging_face: |hf| {
        let mut config = hf.llama_like()?;
        shared(&mut config);
        config.norm = Norm::RmsPlusOne;
        config.activation =
            hf.activation(&["hidden_activation", "hidden_act"], "gelu_pytorch_tanh")?;
        let scalar = hf.number_or(&["query_pre_attn_scalar"], config.head_dim as f64);
        config.attention_scale = (1.0 / scalar.sqrt()) as f32;
        let pattern =
            hf.count_or(&["sliding_window_pattern", "_sliding_window_pattern"], 6)?.max(1);
        let window = hf.count_or(&["sliding_window"], 4096)?;
        config.windows =
            hf.windows(config.windows.len(), window, |i| !(i + 1).is_multiple_of(pattern));
        let mut rotary = hf.rotary(config.head_dim, Some("full_attention"), 1e6)?;
        let nested =
            hf.get(&["rope_parameters"]).is_some_and(|p| p.get("sliding_attention").is_some());
        rotary.local_frequencies = Some(if nested {
            hf.rotary(config.head_dim, Some("sliding_attention"), 1e4)?.frequencies
        } else {
            frequencies(hf.number_or(&["rope_local_base_freq"], 1e4), config.head_dim)
        });
        config.position = Position::Rotary(rotary);
        Ok(Layout { config, tied: hf.tied(true), place: Box::new(place) })
    },
    from_gguf: |g| {
        let mut config = g.llama_like(false)?;
        shared(&mut config);
        config.activation = Activation::GeluTanh;
        let window = g.count_opt("attention.sliding_window").unwrap_or(512);
        config.windows = (0..config.windows.len())
            .map(|i| (!(i + 1).is_multiple_of(6)).then_some(window))
            .collect();
        if g.meta.float("gemma3.rope.freq_base").is_none() {
            config.position = Position::Rotary(super::super::config::Rotary {
                dims: config.head_dim,
                interleaved: false,
                frequencies: frequencies(1e6, config.head_dim),
                local_frequencies: None,
            });
        }
        if let Position::Rotary(r) = &mut config.position {
            let local = g.number_or("rope.freq_base_swa", 1e4);
            r.local_frequencies = Some(frequencies(local, r.dims));
        }
        // The 27B model alone scales by the hidden size instead of the head's.
        if config.layers == 62 {
            config.attention_scale =
                (1.0 / (config.hidden as f64 / config.heads as f64).sqrt()) as f32;
        }
        Ok(config)
    },
};

fn shared(config: &mut Config) {
    config.qk_norm = true;
    config.output_norms = true;
    config.embedding_scale = (config.hidden as f64).sqrt() as f32;
}

fn place(part: Part) -> Option<Place> {
    match part {
        Part::AttentionOutputNorm(i) => {
            Place::whole(format!("model.layers.{i}.post_attention_layernorm"))
        }
        Part::MlpNorm(i) => Place::whole(format!("model.layers.{i}.pre_feedforward_layernorm")),
        Part::MlpOutputNorm(i) => {
            Place::whole(format!("model.layers.{i}.post_feedforward_layernorm"))
        }
        part => llama::place(part),
    }
}
