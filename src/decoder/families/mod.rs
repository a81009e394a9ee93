//! The supported families: one file each, one row in [`FAMILIES`].
//!
//! A family reads its configuration from config.json or GGUF metadata and says
//! under which tensor names its parts lie. GGUF's names are the same for all.

mod bloom;
mod gemma3;
mod gguf;
mod gpt2;
mod gpt_neo;
mod gptj;
mod hf;
mod llama;
mod neox;
mod opt;
mod qwen;

use super::config::{Config, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, Metadata};
use std::ops::Range;

pub use gguf::Gguf;
pub use hf::Hf;

/// Beyond any real size; keeps products of two of them within reach.
const MAX_COUNT: u64 = 1 << 28;

/// One decoder family.
pub struct Family {
    /// Its name, as shown.
    pub name: &'static str,
    /// `model_type` values in config.json.
    pub hugging_face: &'static [&'static str],
    /// `general.architecture` values in GGUF.
    pub gguf: &'static [&'static str],
    /// Configuration and part names of a Hugging Face folder.
    pub from_hugging_face: fn(&Hf<'_>) -> Result<Layout>,
    /// Configuration of a GGUF file.
    pub from_gguf: fn(&Gguf<'_>) -> Result<Config>,
}

/// Every supported family.
pub const FAMILIES: &[Family] = &[
    llama::FAMILY,
    qwen::QWEN2,
    qwen::QWEN3,
    gemma3::FAMILY,
    gpt2::FAMILY,
    neox::FAMILY,
    opt::FAMILY,
    bloom::FAMILY,
    gpt_neo::FAMILY,
    gptj::GPTJ,
    gptj::CODEGEN,
];

/// A configuration and where its parts lie.
pub struct Layout {
    /// The configuration.
    pub config: Config,
    /// Whether the embedding serves as the head where there is no head.
    pub tied: bool,
    /// The place of each part, without `.weight`; `None` where the family has none.
    pub place: Box<dyn Fn(Part) -> Option<Place>>,
}

/// Where a part lies in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Tensor name without its `.weight` or `.bias`.
    pub name: String,
    /// Stored input × output (GPT-2's Conv1D).
    pub transposed: bool,
    /// The output rows that belong to the part, in order; empty for all.
    pub rows: Vec<Range<usize>>,
}

impl Place {
    /// A whole tensor.
    pub fn whole(name: impl Into<String>) -> Option<Self> {
        Some(Self { name: name.into(), transposed: false, rows: vec![] })
    }

    /// Some rows of a fused tensor.
    pub fn rows(name: impl Into<String>, rows: Vec<Range<usize>>) -> Option<Self> {
        Some(Self { name: name.into(), transposed: false, rows })
    }
}

/// Rows of part `which` (0 query, 1 key, 2 value) in a tensor that holds all
/// queries, then all keys, then all values.
pub fn stacked(config: &Config, which: usize) -> Vec<Range<usize>> {
    let (q, kv) = (config.q_width(), config.kv_width());
    vec![[0..q, q..q + kv, q + kv..q + 2 * kv][which].clone()]
}

/// The same in a tensor that holds query, key and value head by head (GPT-NeoX, BLOOM).
pub fn by_head(config: &Config, which: usize) -> Vec<Range<usize>> {
    let d = config.head_dim;
    (0..config.heads).map(|h| (3 * h + which) * d..(3 * h + which + 1) * d).collect()
}

/// The family of an archive, with its layout.
///
/// # Errors
/// [`ErrorKind::Unsupported`] naming a family that is not in the list;
/// [`ErrorKind::Missing`], [`ErrorKind::Corrupt`] for configuration that is absent or absurd.
pub fn layout(archive: &Archive) -> Result<Layout> {
    let unsupported = |what: &str, name: &str| {
        let known: Vec<&str> = FAMILIES.iter().map(|f| f.name).collect();
        Error::new(
            ErrorKind::Unsupported,
            format!("the model family \"{name}\" ({what}) is not supported"),
        )
        .hint(format!("supported families: {}", known.join(", ")))
    };
    let layout = match &archive.metadata {
        Metadata::Gguf(meta) => {
            let name = meta.str("general.architecture").unwrap_or("");
            let family = FAMILIES.iter().find(|f| f.gguf.contains(&name));
            let family = family.ok_or_else(|| unsupported("general.architecture", name))?;
            let config =
                (family.from_gguf)(&Gguf { meta, archive, arch: name, family: family.name })?;
            gguf::layout(config, archive)
        }
        Metadata::HuggingFace { config, .. } => {
            let name = config.get("model_type").and_then(|v| v.as_str()).unwrap_or("");
            let family = FAMILIES.iter().find(|f| f.hugging_face.contains(&name));
            let family = family.ok_or_else(|| unsupported("model_type", name))?;
            (family.from_hugging_face)(&Hf { json: config, family: family.name })?
        }
    };
    check(&layout.config)?;
    Ok(layout)
}

/// Refuses configurations that could not be computed or would exhaust memory.
fn check(c: &Config) -> Result<()> {
    let bad = |what: String| {
        Err(Error::new(ErrorKind::Corrupt, what)
            .hint("config.json or the GGUF metadata is damaged or of another model"))
    };
    for (name, value, cap) in [
        ("layers", c.layers, 1 << 10),
        ("hidden size", c.hidden, 1 << 17),
        ("embedding size", c.embedding, 1 << 17),
        ("attention heads", c.heads, 1 << 12),
        ("key-value heads", c.kv_heads, 1 << 12),
        ("head size", c.head_dim, 1 << 13),
        ("feed-forward size", c.intermediate, 1 << 20),
        ("vocabulary", c.vocab, 1 << 22),
        ("context", c.context, 1 << 30),
    ] {
        if value == 0 || value > cap {
            return bad(format!("the configuration gives {name} as {value}, outside 1 to {cap}"));
        }
    }
    if !c.heads.is_multiple_of(c.kv_heads) {
        return bad(format!(
            "{} attention heads do not divide into {} key-value heads",
            c.heads, c.kv_heads
        ));
    }
    if let super::config::Position::Rotary(r) = &c.position
        && (r.dims > c.head_dim || !r.dims.is_multiple_of(2) || r.frequencies.len() != r.dims / 2)
    {
        return bad(format!("{} rotary dimensions do not fit a head of {}", r.dims, c.head_dim));
    }
    if !(c.norm_eps > 0.0 && c.norm_eps < 1.0) {
        return bad(format!("the normalisation epsilon is {}", c.norm_eps));
    }
    if !c.embedding_scale.is_finite() || !c.attention_scale.is_finite() {
        return bad("a scale in the configuration is not finite".into());
    }
    Ok(())
}

/// Inverse frequencies of rotary position embedding: θ^(−2i/dims).
pub fn frequencies(theta: f64, dims: usize) -> Vec<f32> {
    // A head this large is refused later; the list must not exhaust memory before.
    (0..dims.min(1 << 14) / 2)
        .map(|i| libm::pow(theta, -2.0 * i as f64 / dims as f64) as f32)
        .collect()
}

/// Llama 3's scaling of inverse frequencies for longer contexts (Llama 3 Herd
/// of Models, section 3.4; parameters as in config.json).
pub fn llama3_scaled(frequencies: &mut [f32], factor: f64, low: f64, high: f64, original: f64) {
    for f in frequencies {
        let turns = original * f64::from(*f) / (2.0 * std::f64::consts::PI);
        let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        *f = (f64::from(*f) * ((1.0 - smooth) / factor + smooth)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a small Llama whose `key` is `value`.
    fn refusal(key: &str, value: serde_json::Value) -> Error {
        let mut json = serde_json::json!({
            "model_type": "llama", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 4, "intermediate_size": 64
        });
        json[key] = value;
        let read = (llama::FAMILY.from_hugging_face)(&Hf { json: &json, family: "llama" });
        read.and_then(|layout| check(&layout.config)).unwrap_err()
    }

    #[test]
    fn absurd_sizes_are_refused_before_they_cost_memory() {
        for (key, value, what) in [
            ("head_dim", 1_u64 << 40, "\"head_dim\" in config.json is 1099511627776, not a count"),
            (
                "head_dim",
                1 << 20,
                "the configuration gives head size as 1048576, outside 1 to 8192",
            ),
            (
                "num_hidden_layers",
                1 << 27,
                "the configuration gives layers as 134217728, outside 1 to 1024",
            ),
            ("hidden_size", 0, "the configuration gives hidden size as 0, outside 1 to 131072"),
            (
                "num_attention_heads",
                0,
                "the configuration gives attention heads as 0, outside 1 to 4096",
            ),
            ("num_key_value_heads", 3, "4 attention heads do not divide into 3 key-value heads"),
            ("head_dim", 7, "7 rotary dimensions do not fit a head of 7"),
        ] {
            assert_eq!(refusal(key, serde_json::json!(value)).what(), what);
        }
        assert_eq!(refusal("rms_norm_eps", serde_json::json!(-1.0)).kind(), ErrorKind::Corrupt);
    }
}
