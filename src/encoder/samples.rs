//! Encoders for tests: a tiny random one in every container, and the real
//! all-MiniLM-L6-v2 where it is present.

use super::{Encoder, is_encoder};
use crate::error::Result;
use crate::formats::{Archive, CandidateFiles, gather};
use crate::source::{FileSource, MemorySource, SharedSource};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::rc::Rc;

pub(super) const PIECES: [&str; 16] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "##s", "##ing", "on", "mat",
    ".", "]", "##]", "dog",
];
pub(super) const HIDDEN: usize = 32;

pub(super) fn config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "bert", "vocab_size": PIECES.len(), "hidden_size": HIDDEN,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "max_position_embeddings": 24,
        "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
        "pad_token_id": 0
    })
}

pub(super) fn tokenizer() -> serde_json::Value {
    let vocab: serde_json::Map<String, serde_json::Value> =
        PIECES.iter().enumerate().map(|(i, p)| ((*p).to_owned(), i.into())).collect();
    serde_json::json!({
        "added_tokens": [], "normalizer": { "type": "BertNormalizer", "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab }
    })
}

/// Random weights under Hugging Face's names.
pub(super) fn weights() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut out = vec![];
    let mut add = |name: String, shape: Vec<usize>, base: f32| {
        let n = shape.iter().product::<usize>();
        let values = (0..n).map(|_| base + (rng.random::<f32>() - 0.5) * 0.8).collect();
        out.push((name, shape, values));
    };
    let (h, f) = (HIDDEN, 64);
    for (name, rows) in [("word", PIECES.len()), ("position", 24), ("token_type", 2)] {
        add(format!("embeddings.{name}_embeddings.weight"), vec![rows, h], 0.0);
    }
    add("embeddings.LayerNorm.weight".into(), vec![h], 1.0);
    add("embeddings.LayerNorm.bias".into(), vec![h], 0.0);
    for i in 0..2 {
        for (name, rows, cols) in [
            ("attention.self.query", h, h),
            ("attention.self.key", h, h),
            ("attention.self.value", h, h),
            ("attention.output.dense", h, h),
            ("intermediate.dense", f, h),
            ("output.dense", h, f),
        ] {
            add(format!("encoder.layer.{i}.{name}.weight"), vec![rows, cols], 0.0);
            add(format!("encoder.layer.{i}.{name}.bias"), vec![rows], 0.0);
        }
        for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
            add(format!("encoder.layer.{i}.{name}.weight"), vec![h], 1.0);
            add(format!("encoder.layer.{i}.{name}.bias"), vec![h], 0.0);
        }
    }
    out
}

/// A safetensors file; names go through `rename`.
pub(super) fn safetensors(rename: impl Fn(&str) -> String) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), vec![]);
    for (name, shape, values) in weights() {
        let from = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({
            "dtype": "F32", "shape": shape, "data_offsets": [from, data.len()]
        });
        header.insert(rename(&name), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

pub(super) fn archive(files: Vec<(&str, Vec<u8>)>) -> Result<Archive> {
    let files = files
        .into_iter()
        .map(|(name, bytes)| Rc::new(MemorySource::new(name, bytes)) as SharedSource)
        .collect();
    Archive::open(&CandidateFiles { label: "tiny".into(), files })
}

pub(super) fn folder_of(
    config: &serde_json::Value,
    tokenizer: Vec<u8>,
    rename: impl Fn(&str) -> String,
) -> Result<Archive> {
    let name = if tokenizer.starts_with(b"{") { "tokenizer.json" } else { "vocab.txt" };
    archive(vec![
        ("config.json", config.to_string().into_bytes()),
        (name, tokenizer),
        ("model.safetensors", safetensors(rename)),
    ])
}

pub(super) fn folder() -> Archive {
    folder_of(&config(), tokenizer().to_string().into_bytes(), str::to_owned).unwrap()
}

/// The files of a tiny random encoder, under names of their own.
pub fn files(label: &str) -> CandidateFiles {
    let source = MemorySource::new(format!("{label}.gguf"), gguf_bytes(GgmlDType::F32));
    CandidateFiles { label: label.into(), files: vec![Rc::new(source)] }
}

/// A tiny random encoder, for the tests of what is built on encoders.
pub fn tiny() -> Encoder {
    Encoder::open(&folder()).unwrap()
}

pub(super) fn gguf(dtype: GgmlDType) -> Archive {
    archive(vec![("tiny.gguf", gguf_bytes(dtype))]).unwrap()
}

pub(super) fn gguf_bytes(dtype: GgmlDType) -> Vec<u8> {
    let rename = |name: &str| {
        let mut name = name.to_owned();
        for (from, to) in [
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.token_type_embeddings", "token_types"),
            ("embeddings.LayerNorm", "token_embd_norm"),
            ("encoder.layer", "blk"),
            ("attention.self.query", "attn_q"),
            ("attention.self.key", "attn_k"),
            ("attention.self.value", "attn_v"),
            ("attention.output.dense", "attn_output"),
            ("attention.output.LayerNorm", "attn_output_norm"),
            ("intermediate.dense", "ffn_up"),
            ("output.dense", "ffn_down"),
            ("output.LayerNorm", "layer_output_norm"),
        ] {
            name = name.replace(from, to);
        }
        name
    };
    let tensors: Vec<(String, QTensor)> = weights()
        .into_iter()
        .map(|(name, shape, values)| {
            let dtype = if shape.len() == 2 { dtype } else { GgmlDType::F32 };
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            (rename(&name), QTensor::quantize(&tensor, dtype).unwrap())
        })
        .collect();
    let phantom = |piece: &&str| {
        Value::String(match piece.strip_prefix("##") {
            Some(rest) => rest.into(),
            None if piece.len() > 1 && piece.starts_with('[') => (*piece).into(),
            None => format!("\u{2581}{piece}"),
        })
    };
    let text = |s: &str| Value::String(s.into());
    let all = [
        ("general.architecture", text("bert")),
        ("bert.block_count", Value::U32(2)),
        ("bert.embedding_length", Value::U32(HIDDEN as u32)),
        ("bert.feed_forward_length", Value::U32(64)),
        ("bert.attention.head_count", Value::U32(4)),
        ("bert.attention.layer_norm_epsilon", Value::F32(1e-12)),
        ("tokenizer.ggml.model", text("bert")),
        ("tokenizer.ggml.tokens", Value::Array(PIECES.iter().map(phantom).collect())),
    ];
    let all: Vec<_> = all.iter().map(|(k, v)| (*k, v)).collect();
    let tensors: Vec<_> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut bytes = std::io::Cursor::new(vec![]);
    gguf_file::write(&mut bytes, &all, &tensors).unwrap();
    bytes.into_inner()
}

/// The real model, where it is present.
pub fn minilm() -> Option<Encoder> {
    let at = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/models");
    let files = files_below(&at.join("all-minilm-l6-v2"), "minilm");
    if files.is_empty() {
        println!("skipped: target/models/all-minilm-l6-v2 is not there (see ../shared/models)");
        return None;
    }
    let gathered = gather(&files);
    assert_eq!(gathered.candidates.len(), 1, "{:?}", gathered.problems);
    assert!(gathered.problems.is_empty() && gathered.samples.is_empty());
    let archive = Archive::open(&gathered.candidates[0]).unwrap();
    assert!(is_encoder(&archive));
    Some(Encoder::open(&archive).unwrap())
}

pub(super) fn files_below(folder: &std::path::Path, name: &str) -> Vec<SharedSource> {
    let mut out = vec![];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            out.extend(files_below(&entry.path(), &name));
        } else {
            out.push(Rc::new(FileSource::open(&entry.path(), name).unwrap()) as SharedSource);
        }
    }
    out
}
