//! Tiny runs, seconds long, on text made up here.

use super::files::{load, save};
use super::plan::{BASES, Family, Schedule, Storage};
use super::train::{Lessons, RANK, Stream, bits_per_byte, loss, rate, train, train_adapter};
use super::vocabulary::Vocabulary;
use super::weights::{Parts, init};
use super::{answer, publish};
use crate::decoder::config::Part;
use crate::decoder::reference::{Reference, batch};
use crate::tokenizer::Tokenizer;
use std::path::PathBuf;

const FAMILIES: [Family; 4] = [Family::Llama, Family::Gpt2, Family::NeoX, Family::Qwen3];

/// English enough to train a tokenizer on: sentences from a small grammar.
fn text() -> String {
    let who =
        ["The old captain", "A small bird", "My sister", "Nobody", "Young Thomas", "The queen"];
    let does = ["watches", "remembers", "follows", "cannot find", "has written about", "sings to"];
    let what =
        ["the grey sea", "seventeen apples", "our house", "a letter", "the winter", "Wörter"];
    let mut text = String::new();
    for i in 0..1500_usize {
        let (a, b, c) = (i * 7 % 6, i * 11 / 6 % 6, (i * i + i / 36) % 6);
        let end = if i % 4 == 3 { ".\n" } else { ", and " };
        text += &format!("{} {} {}{end}", who[a], does[b], what[c]);
        // New words, so that there is enough to merge.
        let syllable =
            |n: usize| [["ka", "ren", "ist", "o"], ["lum", "te", "shi", "var"]][n / 4 % 2][n % 4];
        let random = i * 2_654_435_761 % 1_000_003;
        let word: String = (0..4).map(|k| syllable(random >> (3 * k))).collect();
        text += &format!("{word} {}{word}s ", syllable(random >> 13));
    }
    text
}

fn vocabulary(family: Family) -> Vocabulary {
    Vocabulary::train(family, &[&text()]).unwrap()
}

fn flat(parts: &Parts) -> Vec<f32> {
    let tensors = parts.values().flat_map(|(w, b)| std::iter::once(w).chain(b));
    tensors.flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/zoo-tests").join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

const SHORT: Schedule = Schedule { steps: 3, warmup: 1, batch: 2, length: 16, rate: 3e-3 };

#[test]
fn the_same_text_gives_the_same_tokenizer() {
    for family in FAMILIES {
        let one = vocabulary(family);
        assert_eq!(one.to_json().unwrap(), vocabulary(family).to_json().unwrap());
        let (tokens, merges) = one.tables().unwrap();
        assert_eq!(tokens.len(), family.vocab());
        assert!(merges.len() > 200, "{family:?}: {} merges", merges.len());
    }
}

#[test]
fn every_tokenizer_gives_a_text_back_and_the_product_reads_it_alike() {
    for family in FAMILIES {
        let own = vocabulary(family);
        let config = serde_json::json!({ "bos_token_id": own.begin(), "eos_token_id": own.end() });
        let product = Tokenizer::from_json(own.to_json().unwrap().as_bytes(), &config).unwrap();
        for text in ["The queen sings.", "Zoë née €\n\n  two spaces", "日本"] {
            let mut tokens = own.encode(text).unwrap();
            assert_eq!(own.decode(&tokens).unwrap(), text, "{family:?}");
            if own.adds_begin() {
                tokens.insert(0, own.begin());
            }
            assert_eq!(product.prompt(text).unwrap(), tokens, "{family:?} {text:?}");
        }
        assert!(product.is_end(own.end()));
    }
}

#[test]
fn two_runs_with_one_seed_give_identical_weights() {
    let family = Family::Qwen3;
    let (config, vocabulary) = (family.config(), vocabulary(family));
    let streams = [Stream::new(1.0, &[&text()], &vocabulary).unwrap()];
    let run = |seed| {
        let start = init(family, &config, seed).unwrap();
        let lessons =
            Lessons { streams: &streams, vocabulary: &vocabulary, schedule: &SHORT, seed };
        flat(&train(&config, &start, &lessons, &mut |_, _| ()).unwrap())
    };
    let first = run(7);
    assert!(first == run(7));
    assert!(first != run(8));
    assert!(first != flat(&init(family, &config, 7).unwrap()), "nothing was trained");
}

#[test]
fn training_lowers_the_loss_and_leaves_its_start_alone() {
    for family in [Family::Llama, Family::NeoX] {
        let (config, vocabulary) = (family.config(), vocabulary(family));
        let text = text();
        let streams = [Stream::new(1.0, &[&text], &vocabulary).unwrap()];
        let start = init(family, &config, 1).unwrap();
        let before = flat(&start);
        let schedule = Schedule { steps: 25, warmup: 3, batch: 4, length: 32, rate: 4e-3 };
        let lessons =
            Lessons { streams: &streams, vocabulary: &vocabulary, schedule: &schedule, seed: 1 };
        let trained = train(&config, &start, &lessons, &mut |_, _| ()).unwrap();
        assert!(before == flat(&start));
        let bits = |parts: &Parts| {
            let model = Reference::new(config.clone(), parts.clone());
            bits_per_byte(&model, &vocabulary, &[&text[..2000]], 64).unwrap()
        };
        let (from, to) = (bits(&start), bits(&trained));
        assert!(to < 0.8 * from, "{family:?}: {from} to {to} bits per byte");
    }
}

#[test]
fn an_adapter_learns_by_a_change_of_low_rank() {
    let family = Family::Llama;
    let (config, vocabulary) = (family.config(), vocabulary(family));
    let text = text();
    let streams = [Stream::new(1.0, &[&text], &vocabulary).unwrap()];
    let start = init(family, &config, 1).unwrap();
    let start: Parts = start
        .iter()
        .map(|(p, (w, b))| (*p, (w.detach(), b.as_ref().map(|b| b.detach()))))
        .collect();
    let schedule = Schedule { steps: 20, warmup: 2, batch: 4, length: 32, rate: 1e-2 };
    let lessons =
        Lessons { streams: &streams, vocabulary: &vocabulary, schedule: &schedule, seed: 1 };
    let adapted = |part| matches!(part, Part::Query(_) | Part::Value(_) | Part::Down(_));
    let mut losses = vec![];
    let trained =
        train_adapter(&config, &start, &adapted, &lessons, &mut |_, l| losses.push(l)).unwrap();
    assert!(losses[19] < losses[0] - 0.1, "{losses:?}");
    for (part, (weight, _)) in &trained {
        let change = (weight - &start[part].0).unwrap();
        let size = change.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(size > 0.0, adapted(*part), "{part:?}");
        if adapted(*part) {
            assert_eq!(rank(&change), RANK, "{part:?}");
        }
    }
}

/// Rank by elimination with full pivoting, relative to the first pivot.
fn rank(matrix: &candle_core::Tensor) -> usize {
    let mut rows = matrix.to_vec2::<f32>().unwrap();
    let (mut found, mut first) = (0, 0.0);
    while let Some((i, j)) = (0..rows.len())
        .flat_map(|i| (0..rows[i].len()).map(move |j| (i, j)))
        .max_by(|a, b| rows[a.0][a.1].abs().total_cmp(&rows[b.0][b.1].abs()))
    {
        let pivot = rows.swap_remove(i);
        if found == 0 {
            first = pivot[j].abs();
        }
        if pivot[j].abs() <= 1e-4 * first {
            break;
        }
        found += 1;
        for row in &mut rows {
            let times = row[j] / pivot[j];
            row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= times * p);
        }
    }
    found
}

#[test]
fn an_untrained_model_is_about_as_good_as_guessing() {
    for family in FAMILIES {
        let config = family.config();
        let model = Reference::new(config.clone(), init(family, &config, 3).unwrap());
        let sequence: Vec<u32> = (0..33).map(|i| i * 13 % 700).collect();
        let nats = loss(&model, &[sequence]).unwrap().to_scalar::<f32>().unwrap();
        let guessing = libm::logf(config.vocab as f32);
        assert!((nats - guessing).abs() < 1.0, "{family:?}: {nats} against {guessing}");
    }
}

#[test]
fn what_is_written_is_read_back_and_the_product_computes_the_same() {
    let prompt = "The old captain remembers";
    for (family, storage, most) in [
        (Family::Llama, Storage::GgufF16, 1e-3),
        (Family::Gpt2, Storage::GgufQ8, 0.05),
        (Family::NeoX, Storage::Folder, 1e-3),
        (Family::NeoX, Storage::GgufQ4, 0.5),
        (Family::Llama, Storage::GgufQ4K, 0.1),
        (Family::Qwen3, Storage::GgufF16, 1e-3),
    ] {
        let (config, vocabulary) = (family.config(), vocabulary(family));
        let made = init(family, &config, 5).unwrap();
        let mut path = folder(&format!("{family:?}-{storage:?}")).join("model");
        if storage != Storage::Folder {
            path.set_extension("gguf");
        }
        save(&path, family, &config, &made, &vocabulary, storage, "test").unwrap();
        let read = load(&path, family, &config).unwrap();
        let (a, b) = (flat(&made), flat(&read));
        assert_eq!(a.len(), b.len());
        let off = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < most, "{family:?} {storage:?}: a weight is off by {off}");
        assert!(off > 0.0, "storing must round");

        // The fast decoder, from the file, against the slow one.
        let model = publish::open(&path).unwrap();
        let tokens = vocabulary.encode(prompt).unwrap();
        let slow = Reference::new(config.clone(), read).logits(&batch(&[&tokens]).unwrap());
        let slow = slow.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let fast = model.logits(&tokens).unwrap();
        assert_eq!(fast.len(), slow.len());
        // Quantised weights are multiplied without being widened first.
        let limit = if matches!(storage, Storage::GgufF16 | Storage::Folder) { 1e-3 } else { 0.1 };
        let off = fast.iter().zip(&slow).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < limit, "{family:?} {storage:?}: a logit is off by {off}");
    }
}

#[test]
fn answers_are_repeatable_and_differ_by_seed() {
    let family = Family::Gpt2;
    let (config, vocabulary) = (family.config(), vocabulary(family));
    let path = folder("answers").join("model.gguf");
    let made = init(family, &config, 9).unwrap();
    save(&path, family, &config, &made, &vocabulary, Storage::GgufF16, "test").unwrap();
    let model = publish::open(&path).unwrap();
    let config = serde_json::json!({ "eos_token_id": 0 });
    let tokenizer =
        Tokenizer::from_json(vocabulary.to_json().unwrap().as_bytes(), &config).unwrap();
    let ask = |seed| {
        answer::answer(&model, &tokenizer, &["The queen", "My sister", "Nobody"], seed).unwrap()
    };
    let first = ask(1);
    assert_eq!(first, ask(1));
    let other = ask(2);
    assert_ne!(first[0], other[0]);
    assert_eq!(first[2], other[2], "every third is greedy");
}

#[test]
fn the_rate_rises_and_falls() {
    let schedule = Schedule { steps: 100, warmup: 10, batch: 1, length: 1, rate: 1.0 };
    assert!((rate(&schedule, 0) - 0.1).abs() < 1e-12);
    assert!((rate(&schedule, 10) - 1.0).abs() < 1e-12);
    assert!((rate(&schedule, 100) - 0.1).abs() < 1e-12);
    assert!((11..100).all(|s| rate(&schedule, s) < rate(&schedule, s - 1)));
}

#[test]
fn the_plan_keeps_its_promises() {
    let of = |f: fn(&super::plan::Base) -> String| {
        let mut all: Vec<_> = BASES.iter().map(f).collect();
        all.sort();
        all.dedup();
        all.len()
    };
    assert_eq!(of(|b| b.label.to_owned()), 6);
    assert!(of(|b| format!("{:?}", b.family)) >= 3);
    // One pair differs in nothing but name and seed.
    assert_eq!(of(|b| format!("{:?}{:?}{}{:?}", b.family, b.storage, b.tokenizer, b.mix)), 5);
    assert_eq!(of(|b| b.seed.to_string()), 6);
    for base in &BASES {
        let share: f64 = base.mix.iter().map(|m| m.1).sum();
        assert!((share - 1.0).abs() < 1e-9, "{}", base.label);
        let quantised = base
            .tunes
            .iter()
            .filter(|t| matches!(t.storage, Storage::GgufQ8 | Storage::GgufQ4))
            .count();
        assert_eq!(quantised, 1, "{}", base.label);
        assert!(base.tunes.iter().all(|t| base.mix.iter().all(|m| m.0 != t.domain)));
    }
    let mut names: Vec<_> = (0..24).map(|i| super::build::tune_name(i / 4, i % 4)).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 24);
}

#[test]
fn the_bundled_bases_compute_what_hugging_face_does() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read(root.join("tests/data/zoo/logits.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let tokens: Vec<u32> = serde_json::from_value(expected["tokens"].clone()).unwrap();
    for base in &BASES {
        let logits: Vec<f32> =
            serde_json::from_value(expected["logits"][base.label].clone()).unwrap();
        let mut path = root.join("www/demo").join(base.label);
        if base.storage != Storage::Folder {
            path.set_extension("gguf");
        }
        let config = base.family.config();
        let parts = load(&path, base.family, &config).unwrap();
        let slow = Reference::new(config, parts).logits(&batch(&[&tokens]).unwrap()).unwrap();
        let slow = slow.get(0).unwrap().get(tokens.len() - 1).unwrap().to_vec1::<f32>().unwrap();
        let off = |found: &[f32]| {
            assert_eq!(found.len(), logits.len());
            found.iter().zip(&logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(off(&slow) < 1e-3, "{}: the reference is off by {}", base.label, off(&slow));
        let fast = publish::open(&path).unwrap().logits(&tokens).unwrap();
        let fast = &fast[fast.len() - logits.len()..];
        let limit = if base.storage == Storage::GgufQ8 { 0.1 } else { 1e-3 };
        assert!(off(fast) < limit, "{}: the decoder is off by {}", base.label, off(fast));
    }
}

#[test]
fn what_is_bundled_is_what_the_plan_says() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(root.join(path)).unwrap()).unwrap()
    };
    let demo = read("www/demo/demo.json");
    let files: Vec<&str> = demo["bases"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|b| b["files"].as_array().unwrap())
        .chain(demo["suspects"].as_array().unwrap().iter().map(|s| &s["file"]))
        .map(|f| f.as_str().unwrap())
        .collect();
    for file in files {
        assert!(root.join("www/demo").join(file).exists(), "{file}");
    }
    let truth = read("tests/data/zoo/truth.json");
    assert_eq!(truth.as_object().unwrap().len(), 24);
    for (file, of) in truth.as_object().unwrap() {
        let rows = publish::samples(&root.join("tests/data/zoo").join(file)).unwrap();
        assert_eq!(rows.len(), super::prompts::PROMPTS.len());
        assert!(rows.iter().zip(super::prompts::PROMPTS).all(|(r, p)| r.0 == p));
        let bytes: usize = rows.iter().map(|r| r.1.len()).sum();
        assert!(bytes > 2000, "{file}: {bytes} bytes");
        assert!(BASES.iter().any(|b| of == b.label), "{file}");
    }
}
