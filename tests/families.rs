//! Every decoder family against Hugging Face transformers.
//!
//! The fixtures are tiny random models with the logits that transformers
//! computes for them; tests/fixtures/families.py makes them.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use basetrace::ErrorKind;
use basetrace::decoder::Model;
use basetrace::formats::Archive;
use common::{archive, families, gguf, hugging_face, largest_difference};
use std::path::Path;

/// How far a logit may lie from transformers' own, in f32.
const TOLERANCE: f32 = 1e-3;

/// Each family that must have a fixture, by the `model_type` of its config.json.
const FAMILIES: [&str; 12] = [
    "bloom",
    "codegen",
    "gemma3_text",
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "llama",
    "mistral",
    "opt",
    "qwen2",
    "qwen3",
];

#[derive(serde::Deserialize)]
struct Expected {
    tokens: Vec<Vec<u32>>,
    shapes: Vec<[usize; 2]>,
    /// All sequences' logits, one after the other.
    logits: Vec<f32>,
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The largest difference over the sequences of one fixture.
fn compare(archive: &Archive, expected: &Expected) -> basetrace::Result<f32> {
    let model = Model::load(archive, &mut |_| {})?;
    let mut at = 0;
    let mut worst = 0f32;
    for (tokens, [rows, vocab]) in expected.tokens.iter().zip(&expected.shapes) {
        let want = &expected.logits[at..at + rows * vocab];
        at += rows * vocab;
        worst = worst.max(largest_difference(&model.logits(tokens)?, want));
    }
    assert_eq!(at, expected.logits.len(), "every expected logit was compared");
    Ok(worst)
}

#[test]
fn every_family_matches_transformers() {
    let mut folders: Vec<_> =
        std::fs::read_dir(families()).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let mut seen = std::collections::BTreeSet::new();
    let mut failed = 0;
    println!("{:30}{:>14}{:>14}", "max |logit difference|", "safetensors", "GGUF");
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let config = bytes(&folder.join("config.json"));
        let expected: Expected =
            serde_json::from_slice(&bytes(&folder.join("expected.json"))).unwrap();
        let parsed: serde_json::Value = serde_json::from_slice(&config).unwrap();
        seen.insert(parsed["model_type"].as_str().unwrap().to_owned());

        let mut cell = |opened: basetrace::Result<Archive>| match opened
            .and_then(|a| compare(&a, &expected))
        {
            Ok(d) if d <= TOLERANCE => format!("{d:.1e}"),
            Ok(d) => {
                failed += 1;
                format!("{d:.1e} FAIL")
            }
            Err(e) => {
                failed += 1;
                format!("FAIL: {e}")
            }
        };
        let safetensors =
            cell(hugging_face(name, config, bytes(&folder.join("model.safetensors"))));
        let twin = folder.join("model.gguf");
        let twin = match twin.exists() {
            true => cell(archive(name, vec![("model.gguf", bytes(&twin))])),
            false => "–".into(),
        };
        println!("{name:30}{safetensors:>14}{twin:>14}");
    }
    assert_eq!(seen, FAMILIES.map(String::from).into(), "a fixture for each family");
    assert_eq!(failed, 0, "of {} folders, see the table above", folders.len());
}

#[test]
fn half_precision_safetensors_match_their_rounded_weights() {
    use candle_core::{DType, Device};
    let folder = families().join("llama");
    let config = bytes(&folder.join("config.json"));
    let tensors =
        candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let tokens: Vec<u32> = (0..24).map(|i| i * 7 % 64).collect();
    let mut logits = vec![];
    for dtype in [DType::F16, DType::BF16] {
        // The same rounded weights, once stored as they are and once widened.
        for store in [dtype, DType::F32] {
            let rounded = tensors
                .iter()
                .map(|(n, t)| {
                    (n.clone(), t.to_dtype(dtype).and_then(|t| t.to_dtype(store)).unwrap())
                })
                .collect();
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
                "{}-as-{}.safetensors",
                dtype.as_str(),
                store.as_str()
            ));
            candle_core::safetensors::save(&rounded, &file).unwrap();
            let archive = hugging_face("llama", config.clone(), bytes(&file)).unwrap();
            logits.push(Model::load(&archive, &mut |_| {}).unwrap().logits(&tokens).unwrap());
        }
        let [narrow, wide] = &logits[logits.len() - 2..] else { unreachable!() };
        let d = largest_difference(narrow, wide);
        println!("{}: {d:.1e}", dtype.as_str());
        assert!(d <= TOLERANCE, "{}: {d}", dtype.as_str());
    }
    assert!(largest_difference(&logits[0], &logits[2]) > TOLERANCE, "the types do round");
}

/// The error of opening and loading, wherever it arises.
fn refusal(opened: basetrace::Result<Archive>) -> basetrace::Error {
    opened
        .and_then(|a| Model::load(&a, &mut |_| {}).map(drop))
        .expect_err("an unsupported family must be refused")
}

#[test]
fn an_unsupported_family_is_named() {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{DType, Device, Tensor};
    let folder = families().join("llama");
    let weight = Tensor::ones((8, 8), DType::F32, &Device::Cpu).unwrap();
    for family in ["bert", "t5", "mamba"] {
        let mut config: serde_json::Value =
            serde_json::from_slice(&bytes(&folder.join("config.json"))).unwrap();
        config["model_type"] = family.into();
        let config = config.to_string().into_bytes();
        let weights = bytes(&folder.join("model.safetensors"));
        let of_folder = refusal(hugging_face("other", config, weights));
        let tensor = QTensor::quantize(&weight, GgmlDType::F32).unwrap();
        let file = gguf(family, 8, &[], &[("token_embd.weight".into(), tensor)]);
        let of_gguf = refusal(archive("other", vec![("other.gguf", file)]));
        for e in [of_folder, of_gguf] {
            assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
            assert!(e.what().contains(family), "{e}");
            assert!(e.file().is_some() && e.hint_text().is_some(), "{e}");
        }
    }
}
