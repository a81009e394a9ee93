//! The oracle's own oracles: Hugging Face's logits, and differences for gradients.

use super::*;
use crate::decoder::families::{self, Layout};
use crate::formats::{Archive, Metadata};
use candle_core::{Device, Var};
use std::collections::HashMap;
use std::path::Path;

/// A part read from a fixture by name, rows and orientation, as its family says.
fn part(tensors: &HashMap<String, Tensor>, layout: &Layout, part: Part) -> Option<Weight> {
    let place = (layout.place)(part)?;
    let find = |suffix: &str| {
        ["", "transformer.", "model.", "language_model."]
            .iter()
            .find_map(|p| tensors.get(&format!("{p}{}.{suffix}", place.name)))
            .or_else(|| tensors.get(&format!("{}.{suffix}", place.name.split_once('.')?.1)))
    };
    let take = |t: &Tensor| {
        let t = t.to_dtype(DType::F32).unwrap();
        let t = if place.transposed && t.rank() == 2 {
            t.t().unwrap().contiguous().unwrap()
        } else {
            t
        };
        if place.rows.is_empty() {
            return t;
        }
        let rows: Vec<_> =
            place.rows.iter().map(|r| t.narrow(0, r.start, r.len()).unwrap()).collect();
        Tensor::cat(&rows, 0).unwrap()
    };
    Some((take(find("weight")?), find("bias").map(take)))
}

fn every_part(layers: usize) -> Vec<Part> {
    use Part::*;
    let mut all = vec![Embedding, Positions, EmbeddingNorm, ProjectIn, ProjectOut, FinalNorm, Head];
    for l in 0..layers {
        all.extend([AttentionNorm(l), Query(l), Key(l), Value(l), Output(l), QueryNorm(l)]);
        all.extend([KeyNorm(l), AttentionOutputNorm(l), MlpNorm(l), Gate(l), Up(l), Down(l)]);
        all.push(MlpOutputNorm(l));
    }
    all
}

fn open(folder: &Path) -> Reference {
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let config = serde_json::from_slice(&config).unwrap();
    let layout = families::layout(&Archive {
        label: "fixture".into(),
        metadata: Metadata::HuggingFace { config, tokenizer: vec![] },
        tensors: BTreeMap::new(),
        sources: vec![],
    })
    .unwrap();
    // One by one: GPT-Neo's hold attention masks of a type that candle refuses.
    let file = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = candle_core::safetensors::SliceSafetensors::new(&file).unwrap();
    let tensors = file
        .tensors()
        .into_iter()
        .filter_map(|(name, _)| Some((name.clone(), file.load(&name, &Device::Cpu).ok()?)))
        .collect();
    let parts = every_part(layout.config.layers)
        .into_iter()
        .filter_map(|p| Some((p, part(&tensors, &layout, p)?)))
        .collect();
    Reference::new(layout.config, parts)
}

#[test]
fn every_family_gives_hugging_faces_logits() {
    let mut seen = 0;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families");
    for folder in std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()) {
        if !folder.join("model.safetensors").exists() {
            continue;
        }
        let model = open(&folder);
        let expected = std::fs::read(folder.join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        let sequences: Vec<Vec<u32>> = serde_json::from_value(expected["tokens"].clone()).unwrap();
        let logits: Vec<f32> = serde_json::from_value(expected["logits"].clone()).unwrap();
        // Both at once: the shorter one is padded, which must change nothing.
        let rows: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let found = model.logits(&batch(&rows).unwrap()).unwrap();
        let mut at = 0;
        for (i, sequence) in sequences.iter().enumerate() {
            let found = found.get(i).unwrap().narrow(0, 0, sequence.len()).unwrap();
            for x in found.flatten_all().unwrap().to_vec1::<f32>().unwrap() {
                let off = (x - logits[at]).abs();
                assert!(off < 1e-3, "{}: logit {at} is off by {off}", folder.display());
                at += 1;
            }
        }
        assert_eq!(at, logits.len());
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} fixtures");
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families");
    for name in ["llama", "gpt2", "gpt-neox", "qwen3", "gptj"] {
        let plain = open(&root.join(name));
        let mut parts = plain.parts().clone();
        let probed = [Part::Query(0), Part::Down(1), Part::FinalNorm, Part::Embedding];
        for p in probed {
            let weight = &mut parts.get_mut(&p).unwrap().0;
            *weight = Var::from_tensor(weight).unwrap().into_inner();
        }
        let model = Reference::new(plain.config().clone(), parts.clone());
        let tokens = batch(&[&[5, 9, 3, 7, 1, 9]]).unwrap();
        let value = |model: &Reference| {
            let logprobs = log_softmax(&model.logits(&tokens).unwrap()).unwrap();
            logprobs.narrow(2, 4, 1).unwrap().mean_all().unwrap()
        };
        let gradients = value(&model).backward().unwrap();
        for p in probed {
            let weight = &parts[&p].0;
            let gradient =
                gradients.get(weight).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            // Where it is steepest: smaller ones drown in rounding.
            let at = (0..gradient.len())
                .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()))
                .unwrap();
            let shifted = |by: f32| {
                let mut values = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                values[at] += by;
                let mut parts = parts.clone();
                let shifted = Tensor::from_vec(values, weight.shape(), &Device::Cpu).unwrap();
                parts.get_mut(&p).unwrap().0 = shifted;
                let moved = Reference::new(plain.config().clone(), parts);
                value(&moved).to_scalar::<f32>().unwrap()
            };
            let slope = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            let off = (slope - gradient[at]).abs() / gradient[at].abs();
            assert!(off < 0.03, "{name} {p:?}: {slope} against {}", gradient[at]);
        }
    }
}

#[test]
fn slopes_of_alibi_are_the_papers() {
    assert_eq!(alibi_slopes(2), [0.0625, 0.00390625]);
    assert_eq!(alibi_slopes(4), [0.25, 0.0625, 0.015625, 0.00390625]);
    // Two of the next lower power, then the first of the next higher one.
    assert_eq!(alibi_slopes(3), [0.0625, 0.00390625, 0.25]);
}

#[test]
fn more_tokens_than_the_context_are_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/llama");
    let model = open(&root);
    let tokens = vec![1; model.config().context + 1];
    let error = model.logits(&batch(&[&tokens]).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Context);
}
