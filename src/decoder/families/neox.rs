//! GPT-NeoX, and so Pythia.

use super::super::config::{Activation, Part, Position, Residual};
use super::{Family, Layout, Place, by_head};

pub const FAMILY: Family = Family {
    name: "gpt-neox",
    hugging_face: &["gpt_neox"],
    gguf: &["gptneox"],
    from_hugging_face: |hf| {
        let mut config = hf.base(
            hf.count(&["hidden_size"])?,
            hf.count(&["num_hidden_layers"])?,
            hf.count(&["num_attention_heads"])?,
            hf.count(&["intermediate_size"])?,
            hf.count_or(&["max_position_embeddings"], 2048)?,
        )?;
        config.activation = hf.activation(&["hidden_act"], "gelu")?;
        let nested = hf.get(&["rope_parameters"]).and_then(|p| p.get("partial_rotary_factor"));
        let share = nested.and_then(|v| v.as_f64());
        let share =
            share.unwrap_or_else(|| hf.number_or(&["rotary_pct", "partial_rotary_factor"], 0.25));
        let dims = (config.head_dim as f64 * share) as usize;
        config.position = Position::Rotary(hf.rotary(dims, None, 10_000.0)?);
        if hf.flag_or("use_parallel_residual", true) {
            config.residual = Residual::Parallel;
        }
        let c = config.clone();
        let place = move |part: Part| {
            let qkv = |i: usize, which| {
                Place::rows(
                    format!("gpt_neox.layers.{i}.attention.query_key_value"),
                    by_head(&c, which),
                )
            };
            let (i, name) = match part {
                Part::Embedding => return Place::whole("gpt_neox.embed_in"),
                Part::FinalNorm => return Place::whole("gpt_neox.final_layer_norm"),
                Part::Head => return Place::whole("embed_out"),
                Part::Query(i) => return qkv(i, 0),
                Part::Key(i) => return qkv(i, 1),
                Part::Value(i) => return qkv(i, 2),
                Part::AttentionNorm(i) => (i, "input_layernorm"),
                Part::MlpNorm(i) => (i, "post_attention_layernorm"),
                Part::Output(i) => (i, "attention.dense"),
                Part::Up(i) => (i, "mlp.dense_h_to_4h"),
                Part::Down(i) => (i, "mlp.dense_4h_to_h"),
                _ => return None,
            };
            Place::whole(format!("gpt_neox.layers.{i}.{name}"))
        };
        Ok(Layout { config, tied: hf.tied(false), place: Box::new(place) })
    },
    from_gguf: |g| {
        let mut config = g.base()?;
        config.activation = Activation::Gelu;
        config.position = Position::Rotary(g.rotary(config.head_dim, false)?);
        if g.flag_or("use_parallel_residual", true) {
            config.residual = Residual::Parallel;
        }
        Ok(config)
    },
};
