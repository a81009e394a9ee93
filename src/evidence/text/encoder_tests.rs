use super::training::{Head, Mode, Training, fit};
use super::transformer::Transformer;
use super::triplet::Triplet;
use super::{Corpus, Knowledge, Representation, Setup, TextMethod};
use crate::encoder::samples as encoders;
use crate::error::ErrorKind;
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Candidates that prefer different words, and a suspect of each.
fn corpus(columns: usize) -> Corpus {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let words = [["cat", "cats", "the"], ["dog", "mat", "on"], ["sat", "sitting", "."]];
    let mut text = |who: usize, steady: f32| {
        let mut word = || {
            let who = if rng.random::<f32>() < steady { who } else { rng.random_range(0..3) };
            words[who][rng.random_range(0..3)]
        };
        Some((0..6).map(|_| word()).collect::<Vec<_>>().join(" "))
    };
    let mut rows = |steady: f32| -> Vec<Vec<Option<String>>> {
        (0..3).map(|who| (0..columns).map(|_| text(who, steady)).collect()).collect()
    };
    Corpus {
        prompts: (0..columns).map(|i| Some(format!("the cat {i}"))).collect(),
        bases: rows(0.9),
        labelled: vec![],
        suspects: rows(0.7),
    }
}

fn training(mode: Mode) -> Training {
    let (epochs, learning_rate) = if mode == Mode::Whole { (2, 1e-3) } else { (10, 5e-3) };
    Training { epochs, learning_rate, batch: 16, max_tokens: 24, ..Training::of(mode) }
}

fn methods(mode: Mode) -> [Box<dyn TextMethod>; 2] {
    let encoder = Arc::new(encoders::tiny());
    let training = training(mode);
    [
        Box::new(Transformer { encoder: Arc::clone(&encoder), training }),
        Box::new(Triplet { encoder, training }),
    ]
}

fn setup(representation: Representation, knowledge: Knowledge) -> Setup {
    Setup { representation, knowledge, seed: 5 }
}

fn mean(row: &[f64]) -> f64 {
    row.iter().sum::<f64>() / row.len() as f64
}

#[test]
fn both_methods_name_the_base_in_both_modes() {
    let corpus = corpus(30);
    for mode in [Mode::Frozen, Mode::Whole] {
        for method in methods(mode) {
            let mut told = (0, 0);
            let tables = method
                .tables(
                    &corpus,
                    &setup(Representation::Response, Knowledge::Universal),
                    &mut |done, total| {
                        assert!(told.0 <= done && done <= total);
                        told = (done, total);
                    },
                )
                .unwrap();
            assert_eq!(told.0, told.1, "{} {mode:?}", method.name());
            for (suspect, table) in tables.iter().enumerate() {
                let means: Vec<f64> = table.iter().map(|r| mean(r)).collect();
                let best = (0..3).max_by(|a, b| means[*a].total_cmp(&means[*b])).unwrap();
                assert_eq!(best, suspect, "{} {mode:?} {means:?}", method.name());
            }
        }
    }
}

#[test]
fn every_representation_and_knowledge_level_fills_the_tables() {
    let mut corpus = corpus(10);
    corpus.suspects[0][3] = None;
    corpus.bases[1][4] = None;
    corpus.suspects[2][5] = Some(String::new());
    for mode in [Mode::Frozen, Mode::Whole] {
        for method in methods(mode) {
            for representation in Representation::ALL {
                for knowledge in Knowledge::ALL {
                    if mode == Mode::Whole && knowledge == Knowledge::Restricted {
                        continue; // five times the work, and no other code
                    }
                    let tables = method
                        .tables(&corpus, &setup(representation, knowledge), &mut |_, _| ())
                        .unwrap();
                    let pair = representation == Representation::Pair;
                    for (s, b, c) in (0..3)
                        .flat_map(|s| (0..3).flat_map(move |b| (0..10).map(move |c| (s, b, c))))
                    {
                        let gap = (s, c) == (0, 3) || pair && (b, c) == (1, 4);
                        assert_eq!(tables[s][b][c].is_nan(), gap, "{representation:?} {s} {b} {c}");
                    }
                }
            }
        }
    }
}

#[test]
fn one_seed_gives_one_table() {
    let corpus = corpus(8);
    for mode in [Mode::Frozen, Mode::Whole] {
        // Two encoders each, so that nothing comes from what one remembers.
        for (a, b) in methods(mode).iter().zip(&methods(mode)) {
            let s = setup(Representation::Response, Knowledge::Universal);
            let of = |m: &dyn TextMethod, s: &Setup| m.tables(&corpus, s, &mut |_, _| ()).unwrap();
            assert_eq!(of(a.as_ref(), &s), of(b.as_ref(), &s));
            assert_ne!(of(a.as_ref(), &s), of(b.as_ref(), &Setup { seed: 6, ..s }));
        }
    }
}

#[test]
fn the_loss_falls() {
    let corpus = corpus(30);
    let s = setup(Representation::Response, Knowledge::Universal);
    let tasks = super::examples::tasks(&corpus, &s).unwrap();
    let encoder = Arc::new(encoders::tiny());
    for mode in [Mode::Frozen, Mode::Whole] {
        let training = Training { epochs: 6, ..training(mode) };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut tell = |_, _| ();
        let mut steps = super::training::Steps::new(&mut tell);
        let transformer = Transformer { encoder: Arc::clone(&encoder), training };
        let triplet = Triplet { encoder: Arc::clone(&encoder), training };
        let a = transformer.judge(&tasks[0], &mut rng, &mut steps).unwrap().1;
        let b = triplet.judge(&tasks[0], &mut rng, &mut steps).unwrap().1;
        for losses in [a, b] {
            assert!(losses.len() == 6 && losses[5] < 0.8 * losses[0], "{mode:?} {losses:?}");
        }
    }
}

#[test]
fn bad_settings_are_named() {
    let corpus = corpus(8);
    let encoder = Arc::new(encoders::tiny());
    let s = setup(Representation::Response, Knowledge::Universal);
    let refusal = |training: Training| {
        let method = Transformer { encoder: Arc::clone(&encoder), training };
        method.tables(&corpus, &s, &mut |_, _| ()).unwrap_err()
    };
    let whole = training(Mode::Whole);
    for bad in [
        Training { epochs: 0, ..whole },
        Training { batch: 0, ..whole },
        Training { max_tokens: 4, ..whole },
        Training { learning_rate: f64::NAN, ..whole },
        Training { learning_rate: 0.0, ..whole },
    ] {
        assert_eq!(refusal(bad).kind(), ErrorKind::Usage);
    }
}

#[test]
fn divergence_is_named() {
    let head = Head::new(2, 1, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let loss = |_: &[usize], _: &mut ChaCha8Rng| {
        let x = Tensor::new(&[[f32::MAX, f32::MAX]], &Device::Cpu)?;
        Ok((head.apply(&x)?.sqr()? * f64::INFINITY)?.sum_all()?)
    };
    let e = fit(&training(Mode::Whole), head.vars(), 4, &mut rng, &mut |_| (), loss).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFinite);
    assert_eq!(e.hint_text(), Some("lower the learning rate"));
}
