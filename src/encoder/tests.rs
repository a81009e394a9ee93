use super::*;
use crate::decoder::config::Activation;
use crate::formats::{CandidateFiles, gather};
use crate::source::{FileSource, MemorySource, SharedSource};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::rc::Rc;

const PIECES: [&str; 16] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "##s", "##ing", "on", "mat",
    ".", "]", "##]", "dog",
];
const HIDDEN: usize = 32;

fn config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "bert", "vocab_size": PIECES.len(), "hidden_size": HIDDEN,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "max_position_embeddings": 24,
        "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
        "pad_token_id": 0
    })
}

fn tokenizer() -> serde_json::Value {
    let vocab: serde_json::Map<String, serde_json::Value> =
        PIECES.iter().enumerate().map(|(i, p)| ((*p).to_owned(), i.into())).collect();
    serde_json::json!({
        "added_tokens": [], "normalizer": { "type": "BertNormalizer", "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab }
    })
}

/// Random weights under Hugging Face's names.
fn weights() -> Vec<(String, Vec<usize>, Vec<f32>)> {
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
fn safetensors(rename: impl Fn(&str) -> String) -> Vec<u8> {
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

fn archive(files: Vec<(&str, Vec<u8>)>) -> Result<Archive> {
    let files = files
        .into_iter()
        .map(|(name, bytes)| Rc::new(MemorySource::new(name, bytes)) as SharedSource)
        .collect();
    Archive::open(&CandidateFiles { label: "tiny".into(), files })
}

fn folder_of(
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

fn folder() -> Archive {
    folder_of(&config(), tokenizer().to_string().into_bytes(), str::to_owned).unwrap()
}

/// A tiny random encoder, for the tests of what is built on encoders.
pub fn tiny() -> Encoder {
    Encoder::open(&folder()).unwrap()
}

fn gguf(dtype: GgmlDType) -> Archive {
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
    archive(vec![("tiny.gguf", bytes.into_inner())]).unwrap()
}

fn sequences(encoder: &Encoder) -> Vec<Sequence> {
    [
        (None, "The cats sat on the mat."),
        (None, "dog"),
        (Some("cat sat] on the mat"), "the xyz dog."),
        (None, ""),
    ]
    .map(|(a, b)| encoder.sequence(a, b, 24).unwrap())
    .to_vec()
}

fn largest(a: &[Embedding], b: &[Embedding]) -> f32 {
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.iter().zip(b.iter()));
    pairs.fold(0.0, |m, (a, b)| (a - b).abs().max(m))
}

fn embed(archive: &Archive) -> Vec<Embedding> {
    let encoder = Encoder::open(archive).unwrap();
    encoder.embeddings(&sequences(&encoder), &mut |_| ()).unwrap()
}

#[test]
fn agrees_with_candle_transformers() {
    use candle_transformers::models::bert::{BertModel, Config};
    let encoder = tiny();
    let map = weights()
        .into_iter()
        .map(|(n, s, v)| (n, Tensor::from_vec(v, s, &Device::Cpu).unwrap()))
        .collect();
    let vars = candle_nn::VarBuilder::from_tensors(map, DType::F32, &Device::Cpu);
    let config: Config = serde_json::from_value(config()).unwrap();
    let oracle = BertModel::load(vars, &config).unwrap();
    let all = sequences(&encoder);
    let batch = Batch::new(&all.iter().collect::<Vec<_>>()).unwrap();
    let (n, most) = (all.len(), all.iter().map(|s| s.ids.len()).max().unwrap());
    for fused in [false, true] {
        let ours = encoder.network().hidden(&batch, fused).unwrap().to_vec3::<f32>().unwrap();
        for (i, s) in all.iter().enumerate().take(n) {
            let len = s.ids.len();
            assert!(len <= most);
            let types: Vec<u32> = (0..len).map(|j| u32::from(j >= s.second)).collect();
            let row = |v: &[u32]| Tensor::new(v, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let theirs = oracle.forward(&row(&s.ids), &row(&types), None).unwrap();
            let theirs = theirs.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
            for (a, b) in ours[i].iter().zip(&theirs).flat_map(|(a, b)| a.iter().zip(b)) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }
    // The mean is over tokens alone.
    let hidden = encoder.network().hidden(&batch, false).unwrap().to_vec3::<f32>().unwrap();
    let mean = encoder.network().embed(&batch).unwrap().to_vec2::<f32>().unwrap();
    let of = |i: usize, j: usize| {
        hidden[i][..all[i].ids.len()].iter().map(|h| h[j]).sum::<f32>() / all[i].ids.len() as f32
    };
    assert!((mean[1][3] - of(1, 3)).abs() < 1e-5 && (mean[2][0] - of(2, 0)).abs() < 1e-5);
}

#[test]
fn gradients_agree_with_finite_differences() {
    let encoder = tiny();
    let mut all = sequences(&encoder);
    let (network, vars) = encoder.trainable(&mut all).unwrap();
    let batch = Batch::new(&all.iter().collect::<Vec<_>>()).unwrap();
    // A fixed random direction of the output, so that no gradient is zero.
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let way: Vec<f32> = (0..all.len() * HIDDEN).map(|_| rng.random::<f32>() - 0.5).collect();
    let way = Tensor::from_vec(way, (all.len(), HIDDEN), &Device::Cpu).unwrap();
    let loss = || (network.embed(&batch).unwrap() * &way).unwrap().sum_all().unwrap();
    let gradients = loss().backward().unwrap();
    for var in &vars {
        let g = gradients.get(var).expect("a gradient for every weight");
        let g = g.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let before = var.as_tensor().copy().unwrap();
        let values = before.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // The steepest weight of each tensor, where rounding matters least.
        let at = (0..g.len()).max_by(|a, b| g[*a].abs().total_cmp(&g[*b].abs())).unwrap();
        let moved = |by: f32| {
            let mut values = values.clone();
            values[at] += by;
            let t = Tensor::from_vec(values, before.shape(), &Device::Cpu).unwrap();
            var.set(&t).unwrap();
            loss().to_scalar::<f32>().unwrap()
        };
        let step = 4e-3;
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        var.set(&before).unwrap();
        let tolerance = 0.03 * g[at].abs() + 2e-3;
        assert!((slope - g[at]).abs() < tolerance, "{slope} {} {:?}", g[at], var.shape());
    }
    assert!(vars.len() == 5 + 2 * 16 && encoder.network().words.dim(0).unwrap() == PIECES.len());
}

#[test]
fn a_trained_copy_starts_equal_and_leaves_the_original() {
    let encoder = tiny();
    let all = sequences(&encoder);
    let before = encoder.embeddings(&all, &mut |_| ()).unwrap();
    let mut renumbered = all.clone();
    let (network, vars) = encoder.trainable(&mut renumbered).unwrap();
    let copy = network.embed(&Batch::new(&renumbered.iter().collect::<Vec<_>>()).unwrap()).unwrap();
    for (a, b) in copy.to_vec2::<f32>().unwrap().iter().zip(&before) {
        assert!(a.iter().zip(b.iter()).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    for var in vars {
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    let fresh = encoder.network.plain(&Batch::new(&all.iter().collect::<Vec<_>>()).unwrap());
    let after = fresh.unwrap().to_vec2::<f32>().unwrap();
    assert!(after.iter().flatten().any(|v| v.abs() > 0.1));
}

#[test]
fn every_container_gives_the_same_embeddings() {
    let plain = embed(&folder());
    assert!(largest(&plain, &embed(&gguf(GgmlDType::F32))) < 1e-6);
    assert!(largest(&plain, &embed(&gguf(GgmlDType::Q8_0))) < 0.1);
    let json = tokenizer().to_string().into_bytes();
    let prefixed = folder_of(&config(), json.clone(), |n| format!("bert.{n}")).unwrap();
    assert_eq!(plain, embed(&prefixed));
    let old = |n: &str| {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    };
    assert_eq!(plain, embed(&folder_of(&config(), json, old).unwrap()));
    let text = PIECES.join("\n").into_bytes();
    assert_eq!(plain, embed(&folder_of(&config(), text, str::to_owned).unwrap()));
}

#[test]
fn embeddings_are_computed_once_whatever_stands_beside_them() {
    let encoder = tiny();
    let all = sequences(&encoder);
    let twice: Vec<Sequence> = all.iter().chain(&all).cloned().collect();
    assert_eq!(encoder.unknown(&twice), 4);
    let mut told = vec![];
    let together = encoder.embeddings(&twice, &mut |n| told.push(n)).unwrap();
    assert_eq!((told, encoder.unknown(&twice)), (vec![4], 0));
    assert_eq!(together[..4], together[4..]);
    let alone: Vec<Embedding> = all
        .iter()
        .map(|s| tiny().embeddings(std::slice::from_ref(s), &mut |_| ()).unwrap()[0].clone())
        .collect();
    assert!(largest(&together[..4], &alone) < 1e-5);
}

#[test]
fn texts_are_cut_longest_first() {
    let encoder = tiny();
    let long = "the ".repeat(40);
    let lengths = |a: &str, b: &str| {
        let s = encoder.sequence(Some(a), b, 13).unwrap();
        assert!(s.ids.len() <= 13 && s.ids[s.second - 1] == 3 && *s.ids.last().unwrap() == 3);
        (s.second - 2, s.ids.len() - s.second - 1)
    };
    assert_eq!(lengths(&long, &long), (5, 5));
    assert_eq!(lengths("the cat", &long), (2, 8));
    assert_eq!(lengths(&long, "the cat"), (8, 2));
    assert_eq!(lengths("the", "cat"), (1, 1));
    // Never more than the model has positions for.
    assert_eq!(encoder.sequence(None, &long, 512).unwrap().ids.len(), 24);
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    let open = |config: &serde_json::Value, tokenizer: &serde_json::Value| {
        let a = folder_of(config, tokenizer.to_string().into_bytes(), str::to_owned).unwrap();
        Encoder::open(&a).err().expect("a refusal")
    };
    let with = |mut json: serde_json::Value, path: &str, value: serde_json::Value| {
        let (parent, key) = path.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[key] = value;
        json
    };
    use serde_json::json;
    for (path, value, kind) in [
        ("/model_type", json!("llama"), ErrorKind::Unsupported),
        ("/position_embedding_type", json!("relative_key"), ErrorKind::Unsupported),
        ("/hidden_act", json!("mish"), ErrorKind::Unsupported),
        ("/vocab_size", json!(8), ErrorKind::Mismatch),
        ("/vocab_size", json!(1 << 19), ErrorKind::Mismatch),
        ("/hidden_size", json!(64), ErrorKind::Mismatch),
        ("/hidden_size", json!(1_u64 << 40), ErrorKind::Corrupt),
        ("/num_hidden_layers", json!(1 << 20), ErrorKind::Corrupt),
        ("/num_hidden_layers", json!(3), ErrorKind::Missing),
        ("/num_attention_heads", json!(5), ErrorKind::Corrupt),
        ("/num_attention_heads", json!(0), ErrorKind::Corrupt),
        ("/layer_norm_eps", json!(-1.0), ErrorKind::Corrupt),
        ("/intermediate_size", json!(null), ErrorKind::Missing),
    ] {
        let e = open(&with(config(), path, value.clone()), &tokenizer());
        assert_eq!(e.kind(), kind, "{path} {value}: {e}");
    }
    for (path, value, kind) in [
        ("/model/type", json!("BPE"), ErrorKind::Unsupported),
        ("/model/vocab", json!([["a", 0.5]]), ErrorKind::Unsupported),
        ("/model/vocab", json!({"[CLS]": 2}), ErrorKind::Mismatch),
        ("/model/vocab", json!({"[CLS]": "x"}), ErrorKind::Corrupt),
        ("/model/unk_token", json!("<unk>"), ErrorKind::Mismatch),
        ("/model/vocab/dog", json!(999_999_999), ErrorKind::TooLarge),
        ("/model/vocab/dog", json!(99), ErrorKind::Mismatch),
        ("/normalizer/type", json!("NFC"), ErrorKind::Unsupported),
        ("/pre_tokenizer/type", json!("Split"), ErrorKind::Unsupported),
    ] {
        let e = open(&config(), &with(tokenizer(), path, value.clone()));
        assert_eq!(e.kind(), kind, "{path} {value}: {e}");
        assert!(e.hint_text().is_some() && e.file() == Some("tiny"));
    }
    let file = archive(vec![("config.json", b"{}".to_vec())]);
    assert_eq!(file.err().unwrap().kind(), ErrorKind::Missing);
}

#[test]
fn configurations_are_read() {
    let encoder = tiny();
    assert_eq!(encoder.sizes().activation, Activation::Gelu);
    assert!(is_encoder(&folder()) && is_encoder(&gguf(GgmlDType::F32)));
    let mut other = config();
    other["model_type"] = "gpt2".into();
    let json = tokenizer().to_string().into_bytes();
    assert!(!is_encoder(&folder_of(&other, json, str::to_owned).unwrap()));
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

fn files_below(folder: &std::path::Path, name: &str) -> Vec<SharedSource> {
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

/// tests/fixtures/minilm.py writes what is expected here.
#[test]
fn minilm_agrees_with_transformers() {
    #[derive(serde::Deserialize)]
    struct Expected {
        before: Option<String>,
        response: String,
        ids: Vec<u32>,
        embedding: Vec<f32>,
    }
    let Some(encoder) = minilm() else { return };
    let all: Vec<Expected> =
        serde_json::from_str(include_str!("../../tests/fixtures/minilm.json")).unwrap();
    let sequences: Vec<Sequence> = all
        .iter()
        .map(|e| encoder.sequence(e.before.as_deref(), &e.response, 64).unwrap())
        .collect();
    let embeddings = encoder.embeddings(&sequences, &mut |_| ()).unwrap();
    for ((expected, sequence), embedding) in all.iter().zip(&sequences).zip(&embeddings) {
        assert_eq!(sequence.ids, expected.ids);
        for (a, b) in embedding.iter().zip(&expected.embedding) {
            assert!((a - b).abs() < 1e-4, "{a} {b}: {}", expected.response);
        }
    }
}
