//! An encoder's dimensions, from config.json or GGUF metadata.

use super::FAMILY;
use crate::decoder::config::Activation;
use crate::decoder::families::{Gguf, Hf};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, Metadata};

/// The dimensions of an encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    /// Rows of the word embedding.
    pub vocab: usize,
    /// Width of a hidden state.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width between the two layers of a feed-forward part.
    pub intermediate: usize,
    /// Tokens in a sequence at the most.
    pub positions: usize,
    /// Kinds of tokens: 2 where two texts can be told apart.
    pub types: usize,
    /// What keeps a normalisation from dividing by zero.
    pub epsilon: f64,
    /// The feed-forward activation.
    pub activation: Activation,
}

/// The dimensions of `archive`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for another family or variant,
/// [`ErrorKind::Missing`] and [`ErrorKind::Corrupt`] for what is absent or absurd.
pub fn sizes(archive: &Archive) -> Result<Sizes> {
    if !super::is_encoder(archive) {
        return Err(Error::new(ErrorKind::Unsupported, "this is no BERT encoder")
            .hint("text classifiers need a BERT encoder, such as all-MiniLM-L6-v2"));
    }
    let sizes = match &archive.metadata {
        Metadata::HuggingFace { config, .. } => hugging_face(&Hf { json: config, family: FAMILY })?,
        Metadata::Gguf(meta) => {
            gguf(&Gguf { meta, archive, arch: FAMILY, family: FAMILY }, archive)?
        }
    };
    check(&sizes)?;
    Ok(sizes)
}

fn hugging_face(config: &Hf<'_>) -> Result<Sizes> {
    let unsupported = |what: String| {
        Err(Error::new(ErrorKind::Unsupported, what)
            .hint("use a plain BERT encoder, such as all-MiniLM-L6-v2"))
    };
    let positions = config.get(&["position_embedding_type"]).and_then(|v| v.as_str());
    if let Some(kind) = positions.filter(|kind| *kind != "absolute") {
        return unsupported(format!("the position embedding \"{kind}\" is not supported"));
    }
    if config.flag_or("is_decoder", false) {
        return unsupported("this BERT is a decoder".into());
    }
    Ok(Sizes {
        vocab: config.count(&["vocab_size"])?,
        hidden: config.count(&["hidden_size"])?,
        layers: config.count(&["num_hidden_layers"])?,
        heads: config.count(&["num_attention_heads"])?,
        intermediate: config.count(&["intermediate_size"])?,
        positions: config.count_or(&["max_position_embeddings"], 512)?,
        types: config.count_or(&["type_vocab_size"], 2)?,
        epsilon: config.number_or(&["layer_norm_eps"], 1e-12),
        activation: config.activation(&["hidden_act"], "gelu")?,
    })
}

fn gguf(meta: &Gguf<'_>, archive: &Archive) -> Result<Sizes> {
    // The tables themselves say how long they are.
    let rows = |name: &str| -> Result<usize> {
        Ok(archive.info(name)?.shape.first().copied().unwrap_or(0))
    };
    Ok(Sizes {
        vocab: rows("token_embd.weight")?,
        hidden: meta.count("embedding_length")?,
        layers: meta.count("block_count")?,
        heads: meta.count("attention.head_count")?,
        intermediate: meta.count("feed_forward_length")?,
        positions: rows("position_embd.weight")?,
        types: match archive.tensors.get("token_types.weight").map(|t| t.shape.as_slice()) {
            Some([types, _]) => *types,
            _ => 1,
        },
        epsilon: meta.number_or("attention.layer_norm_epsilon", 1e-12),
        activation: Activation::Gelu,
    })
}

/// Refuses what could not be computed or would exhaust memory.
fn check(s: &Sizes) -> Result<()> {
    let bad = |what: String| {
        Err(Error::new(ErrorKind::Corrupt, what)
            .hint("config.json or the GGUF metadata is damaged or of another model"))
    };
    for (name, value, least, cap) in [
        ("vocabulary", s.vocab, 1, 1 << 20),
        ("hidden size", s.hidden, 1, 1 << 14),
        ("layers", s.layers, 1, 1 << 8),
        ("attention heads", s.heads, 1, 1 << 10),
        ("feed-forward size", s.intermediate, 1, 1 << 16),
        ("positions", s.positions, 8, 1 << 17),
        ("token types", s.types, 1, 1 << 8),
    ] {
        if !(least..=cap).contains(&value) {
            return bad(format!(
                "the configuration gives {name} as {value}, outside {least} to {cap}"
            ));
        }
    }
    if !s.hidden.is_multiple_of(s.heads) {
        return bad(format!("{} attention heads do not divide {} values", s.heads, s.hidden));
    }
    if !(s.epsilon > 0.0 && s.epsilon < 1.0) {
        return bad(format!("the normalisation epsilon is {}", s.epsilon));
    }
    Ok(())
}
