//! On the bundled bases: trained models of four families.

use super::super::files::{family_of, load};
use super::super::plan::BASES;
use super::super::publish;
use super::super::weights::Parts;
use super::exact::{Monomial, units, values};
use super::*;
use crate::decoder::reference::{Reference, batch};
use std::path::PathBuf;

fn bundled(label: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("www/demo");
    let folder = root.join(label);
    if folder.is_dir() { folder } else { root.join(format!("{label}.gguf")) }
}

fn open(label: &str) -> (Config, Parts) {
    let path = bundled(label);
    let family = family_of(&path).unwrap();
    let config = family.config();
    let parts = load(&path, family, &config).unwrap();
    (config, parts)
}

const TOKENS: [u32; 24] = [
    1, 300, 17, 420, 511, 90, 263, 700, 305, 12, 599, 431, 44, 268, 350, 7, 610, 333, 290, 471, 66,
    680, 401, 259,
];

fn logits(config: &Config, parts: &Parts) -> Vec<f32> {
    let model = Reference::new(config.clone(), parts.clone());
    let found = model.logits(&batch(&[&TOKENS]).unwrap()).unwrap();
    found.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Largest relative change of a tensor, by part.
fn changed(a: &Parts, b: &Parts) -> Vec<Part> {
    let far = |p: &&Part| {
        let (a, b) = (&a[*p].0, &b[*p].0);
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() > 1e-3
    };
    a.keys().filter(far).copied().collect()
}

#[test]
fn exact_disguises_change_weights_and_no_logit() {
    let mut worn = 0;
    for label in ["larch", "alder", "birch", "hazel", "rowan"] {
        let (config, parts) = open(label);
        let before = logits(&config, &parts);
        for how in EXACT {
            let mut disguised = parts.clone();
            let done = apply(&mut disguised, &config, how, 7, None);
            if !how.fits(&config) {
                assert_eq!(done.unwrap_err().kind(), ErrorKind::Unsupported);
                continue;
            }
            done.unwrap();
            worn += 1;
            let off = apart(&before, &logits(&config, &disguised));
            assert!(off < 1e-3, "{label} {how:?}: a logit is off by {off}");
            let parts_changed = changed(&parts, &disguised).len();
            assert!(parts_changed >= 6, "{label} {how:?}: {parts_changed} parts changed");
        }
    }
    // All 13 of Llama's, 10 each of GPT-2's twice and GPT-NeoX's, 12 of Qwen3's.
    assert_eq!(worn, 13 + 3 * 10 + 12);
}

#[test]
fn half_a_disguise_is_seen_in_the_logits() {
    // What the tests above rest on: a forgotten follower does not go unnoticed.
    for label in ["larch", "birch", "hazel", "rowan"] {
        let (config, parts) = open(label);
        let before = logits(&config, &parts);
        for (how, followers) in [
            (How::PermuteUnits, [Part::Down(1), Part::Up(1)]),
            (How::PermuteHeads, [Part::Output(1), Part::Query(1)]),
            (How::FlipValues, [Part::Output(1), Part::Value(1)]),
            (How::FlipQueries, [Part::Query(1), Part::Key(1)]),
            (How::PermuteResidual, [Part::FinalNorm, Part::AttentionNorm(0)]),
            (How::ScaleNorms, [Part::Value(1), Part::Up(2)]),
        ] {
            for follower in followers {
                let mut disguised = parts.clone();
                apply(&mut disguised, &config, how, 7, None).unwrap();
                disguised.insert(follower, parts[&follower].clone());
                let off = apart(&before, &logits(&config, &disguised));
                assert!(off > 0.02, "{label} {how:?} without {follower:?}: {off} only");
            }
        }
    }
}

#[test]
fn what_would_change_the_function_is_refused() {
    let (config, mut parts) = open("birch");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let signs = Monomial::signs(config.intermediate, &mut rng);
    assert_eq!(units(&mut parts, &config, 0, &signs).unwrap_err().kind(), ErrorKind::Unsupported);
    let signs = Monomial::signs(config.hidden, &mut rng);
    assert_eq!(
        exact::residual(&mut parts, &config, &signs).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let (config, mut parts) = open("rowan");
    assert!(exact::queries(&mut parts, &config, 0, &mut || 2.0).is_err());
    assert!(apply(&mut parts, &config, How::Merge, 1, None).is_err());
    let (_, other) = open("birch");
    assert!(apply(&mut parts, &config, How::Merge, 1, Some(&other)).is_err());
}

#[test]
fn a_reordering_by_hand() {
    // Value dimension 1 of the second of larch's two key and value heads, doubled and swapped with
    // dimension 0: query heads 2 and 3 read it.
    let (config, parts) = open("larch");
    let size = config.head_dim;
    let mut how = Monomial::identity(config.kv_width());
    how.from.swap(size, size + 1);
    how.by[size] = 2.0;
    let mut disguised = parts.clone();
    values(&mut disguised, &config, 0, &how).unwrap();
    let rows = |p: &Parts| p[&Part::Value(0)].0.to_vec2::<f32>().unwrap();
    let (old, new) = (rows(&parts), rows(&disguised));
    assert!(new[size].iter().zip(&old[size + 1]).all(|(n, o)| *n == 2.0 * o));
    assert_eq!(new[size + 1], old[size]);
    assert_eq!(new[0], old[0]);
    let columns = |p: &Parts| p[&Part::Output(0)].0.t().unwrap().to_vec2::<f32>().unwrap();
    let (old, new) = (columns(&parts), columns(&disguised));
    for head in [2, 3] {
        let at = head * size;
        assert!(new[at].iter().zip(&old[at + 1]).all(|(n, o)| *n == 0.5 * o));
        assert_eq!(new[at + 1], old[at]);
    }
    assert_eq!(new[..2 * size], old[..2 * size]);
}

#[test]
fn damage_is_of_the_size_that_its_name_says() {
    let (config, parts) = open("larch");
    let rms = |t: &candle_core::Tensor| {
        t.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt()
    };
    for (how, relative) in
        [(How::Noise5, 0.05), (How::Noise20, 0.2), (How::Lora2All, 0.02), (How::Lora10Qv, 0.1)]
    {
        let mut disguised = parts.clone();
        apply(&mut disguised, &config, how, 3, None).unwrap();
        let (a, b) = (&parts[&Part::Query(1)].0, &disguised[&Part::Query(1)].0);
        let got = rms(&(a - b).unwrap()) / rms(a);
        assert!((got / relative - 1.0).abs() < 0.05, "{how:?}: {got}");
        let up = (&parts[&Part::Up(1)].0 - &disguised[&Part::Up(1)].0).unwrap();
        assert_eq!(rms(&up) == 0.0, how == How::Lora10Qv, "{how:?}");
    }
    let mut pruned = parts.clone();
    apply(&mut pruned, &config, How::Prune30, 3, None).unwrap();
    let zeros = |t: &candle_core::Tensor| {
        let all = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        all.iter().filter(|x| **x == 0.0).count() as f64 / all.len() as f64
    };
    assert!((zeros(&pruned[&Part::Down(2)].0) - 0.3).abs() < 0.01);
    assert!(zeros(&pruned[&Part::Embedding].0) < 0.01);
    let (_, twin) = open("larch-twin");
    let mut merged = parts.clone();
    apply(&mut merged, &config, How::Merge, 3, Some(&twin)).unwrap();
    let first = |p: &Parts| p[&Part::Up(0)].0.get(0).unwrap().get(0).unwrap();
    let first = |p: &Parts| first(p).to_scalar::<f32>().unwrap();
    assert!((first(&merged) - 0.5 * (first(&parts) + first(&twin))).abs() < 1e-7);
}

#[test]
fn a_disguised_file_is_read_by_the_product_and_made_alike_twice() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/zoo-tests/disguise");
    std::fs::create_dir_all(&folder).unwrap();
    for base in &BASES {
        let path = bundled(base.label);
        let (config, parts) = open(base.label);
        let before = logits(&config, &parts);
        for hows in [vec![How::PermuteUnits, How::PermuteHeads], vec![How::PermuteUnits, How::Q4K]]
        {
            let name = format!("{}-{}", base.label, hows[1].name());
            let to = folder.join(if path.is_dir() { name } else { format!("{name}.gguf") });
            let done = disguise(&path, &hows, 5, &to, None);
            if path.is_dir() && hows[1] == How::Q4K {
                assert_eq!(done.unwrap_err().kind(), ErrorKind::Unsupported);
                continue;
            }
            done.unwrap();
            // Reordering rounds nothing that was in F16 already; Q8_0 was not.
            let limit = match (hows[1], base.storage) {
                (How::Q4K, _) => 4.0,
                (_, Storage::GgufQ8) => 0.02,
                _ => 1e-3,
            };
            let found = publish::open(&to).unwrap().logits(&TOKENS).unwrap();
            let off = apart(&before, &found);
            assert!(off < limit, "{} {hows:?}: a logit is off by {off}", base.label);
            assert!(hows[1] != How::Q4K || off > 1e-3, "{}: nothing was rounded", base.label);
            let file = if to.is_dir() { to.join("model.safetensors") } else { to.clone() };
            let once = std::fs::read(&file).unwrap();
            disguise(&path, &hows, 5, &to, None).unwrap();
            assert!(once == std::fs::read(&file).unwrap(), "{}: not repeatable", base.label);
        }
    }
}
