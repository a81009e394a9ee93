use super::samples::{
    HIDDEN, PIECES, archive, config, folder, folder_of, gguf, gguf_bytes, minilm, safetensors,
    tiny, tokenizer, weights,
};
use super::*;
use crate::decoder::config::Activation;
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
    for dtype in [GgmlDType::F16, GgmlDType::BF16, GgmlDType::Q8_0] {
        assert!(largest(&plain, &embed(&gguf(dtype))) < 0.1, "{dtype:?}");
    }
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

#[test]
fn damaged_files_are_refused_or_read_but_never_panic() {
    let parts = [
        ("config.json", config().to_string().into_bytes()),
        ("tokenizer.json", tokenizer().to_string().into_bytes()),
        ("model.safetensors", safetensors(str::to_owned)),
    ];
    let whole = gguf_bytes(GgmlDType::F32);
    let mut rng = ChaCha8Rng::seed_from_u64(19);
    let mut refused = 0;
    for round in 0..300 {
        let mut damage = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            // Headers are where damage shows.
            let at = rng.random_range(0..bytes.len().min(3000));
            if round % 3 == 0 {
                bytes.truncate(at)
            } else {
                bytes[at] = rng.random()
            }
            bytes
        };
        let archive = if round % 2 == 0 {
            archive(vec![("tiny.gguf", damage(&whole))])
        } else {
            let which = round / 2 % 3;
            let one = |(i, (name, bytes)): (usize, &(&'static str, Vec<u8>))| {
                (*name, if i == which { damage(bytes) } else { bytes.clone() })
            };
            archive(parts.iter().enumerate().map(one).collect())
        };
        match archive.and_then(|a| Encoder::open(&a)) {
            Ok(encoder) => {
                let s = encoder.sequence(Some("cats sat"), "the dog.", 16).unwrap();
                encoder.embeddings(&[s], &mut |_| ()).ok();
            }
            Err(e) => refused += usize::from(!e.what().is_empty()),
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let mut bytes = safetensors(str::to_owned);
    let n = bytes.len();
    bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let files = vec![
        ("config.json", config().to_string().into_bytes()),
        ("tokenizer.json", tokenizer().to_string().into_bytes()),
        ("model.safetensors", bytes),
    ];
    let e = Encoder::open(&archive(files).unwrap()).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::NotFinite);
    assert!(e.what().contains("encoder.layer.1.output.LayerNorm.bias"), "{e}");
}
