//! BLOOM: biases linear in the distance instead of positions.

use super::super::config::{Activation, Part, Position};
use super::{Family, Layout, Place, by_head};

pub const FAMILY: Family = Family {
    name: "bloom",
    hugging_face: &["bloom"],
    gguf: &["bloom"],
    from_hugging_face: |hf| {
        let hidden = hf.count(&["hidden_size", "n_embed"])?;
        let mut config = hf.base(
            hidden,
            hf.count(&["n_layer", "num_hidden_layers"])?,
            hf.count(&["n_head", "num_attention_heads"])?,
            4 * hidden,
            hf.count_or(&["seq_length"], 2048)?,
        )?;
        config.activation = Activation::GeluTanh;
        config.position = Position::Alibi;
        config.embedding_norm = true;
        if hf.flag_or("apply_residual_connection_post_layernorm", false) {
            return Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                "BLOOM with apply_residual_connection_post_layernorm is not supported",
            ));
        }
        let c = config.clone();
        let place = move |part: Part| {
            let qkv = |i: usize, which| {
                Place::rows(format!("h.{i}.self_attention.query_key_value"), by_head(&c, which))
            };
            let (i, name) = match part {
                Part::Embedding => return Place::whole("word_embeddings"),
                Part::EmbeddingNorm => return Place::whole("word_embeddings_layernorm"),
                Part::FinalNorm => return Place::whole("ln_f"),
                Part::Head => return Place::whole("lm_head"),
                Part::Query(i) => return qkv(i, 0),
                Part::Key(i) => return qkv(i, 1),
                Part::Value(i) => return qkv(i, 2),
                Part::AttentionNorm(i) => (i, "input_layernorm"),
                Part::MlpNorm(i) => (i, "post_attention_layernorm"),
                Part::Output(i) => (i, "self_attention.dense"),
                Part::Up(i) => (i, "mlp.dense_h_to_4h"),
                Part::Down(i) => (i, "mlp.dense_4h_to_h"),
                _ => return None,
            };
            Place::whole(format!("h.{i}.{name}"))
        };
        Ok(Layout { config, tied: hf.tied(true), place: Box::new(place) })
    },
    from_gguf: |g| {
        let mut config = g.base()?;
        config.position = Position::Alibi;
        config.embedding_norm = true;
        Ok(config)
    },
};
