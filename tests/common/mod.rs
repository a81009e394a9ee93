//! Shared by the integration tests: archives from bytes in memory.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use basetrace::Result;
use basetrace::formats::{Archive, CandidateFiles};
use basetrace::source::{MemorySource, SharedSource};
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{QTensor, gguf_file};
use std::path::PathBuf;
use std::rc::Rc;

/// The folder of the committed family fixtures.
pub fn families() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/families"))
}

/// An archive over named bytes, as if they had been dropped together.
pub fn archive(label: &str, files: Vec<(&str, Vec<u8>)>) -> Result<Archive> {
    let files = files
        .into_iter()
        .map(|(name, bytes)| {
            Rc::new(MemorySource::new(format!("{label}/{name}"), bytes)) as SharedSource
        })
        .collect();
    Archive::open(&CandidateFiles { label: label.into(), files })
}

/// A Hugging Face folder: these bytes, and the smallest tokenizer that fits.
pub fn hugging_face(label: &str, config: Vec<u8>, safetensors: Vec<u8>) -> Result<Archive> {
    archive(
        label,
        vec![
            ("config.json", config),
            ("model.safetensors", safetensors),
            ("tokenizer.json", tokenizer(64)),
        ],
    )
}

/// A byte-level BPE tokenizer.json of `vocab` tokens without merges.
pub fn tokenizer(vocab: u32) -> Vec<u8> {
    let tokens: serde_json::Map<String, serde_json::Value> =
        (0..vocab).map(|i| (letter(i).to_string(), i.into())).collect();
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": tokens, "merges": []}
    })
    .to_string()
    .into_bytes()
}

/// The `i`th printable character that stands for itself in byte-level BPE.
pub fn letter(i: u32) -> char {
    char::from_u32(u32::from('!') + i).unwrap()
}

/// The largest absolute difference; infinite where a value is not a number.
pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "as many logits");
    a.iter().zip(b).fold(0.0, |worst, (a, b)| {
        let d = (a - b).abs();
        if d.is_nan() { f32::INFINITY } else { worst.max(d) }
    })
}

/// A GGUF file of these tensors under architecture `arch`, with a minimal
/// byte-level tokenizer of `vocab` tokens beside `metadata`.
pub fn gguf(
    arch: &str,
    vocab: u32,
    metadata: &[(&str, Value)],
    tensors: &[(String, QTensor)],
) -> Vec<u8> {
    let text = |s: &str| Value::String(s.into());
    let mut all = vec![
        ("general.architecture", text(arch)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("gpt-2")),
        (
            "tokenizer.ggml.tokens",
            Value::Array((0..vocab).map(|i| text(&letter(i).to_string())).collect()),
        ),
        ("tokenizer.ggml.token_type", Value::Array(vec![Value::I32(1); vocab as usize])),
        // No merge applies to single letters; the key itself must be there.
        ("tokenizer.ggml.merges", Value::Array(vec![text("! \"")])),
        ("tokenizer.ggml.eos_token_id", Value::U32(0)),
    ];
    all.extend(metadata.iter().cloned());
    let all: Vec<_> = all.iter().map(|(k, v)| (*k, v)).collect();
    let tensors: Vec<_> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut bytes = std::io::Cursor::new(vec![]);
    gguf_file::write(&mut bytes, &all, &tensors).unwrap();
    bytes.into_inner()
}
