//! Next-token training with AdamW: seeded, so that a run can be repeated.

use super::plan::Schedule;
use super::vocabulary::Vocabulary;
use super::weights::{Parts, normal, trainable, uniform};
use crate::decoder::config::{Config, Part};
use crate::decoder::reference::{Reference, batch, log_softmax};
use crate::error::{Error, ErrorKind, Result};
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Gradients longer than this are shortened to it.
const CLIP: f64 = 1.0;
/// Of matrices; norms and biases are not decayed.
const WEIGHT_DECAY: f64 = 0.05;

/// A domain's training text as one run of tokens, and its share of the batches.
pub struct Stream {
    /// Relative share.
    pub share: f64,
    /// Documents, each followed by the end token.
    pub tokens: Vec<u32>,
}

impl Stream {
    /// Encodes `documents`.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn new(share: f64, documents: &[&str], vocabulary: &Vocabulary) -> Result<Self> {
        let mut tokens = vec![];
        for document in documents {
            tokens.extend(vocabulary.encode(document)?);
            tokens.push(vocabulary.end());
        }
        Ok(Self { share, tokens })
    }
}

/// Sequences of `schedule.length + 1` tokens from random places.
fn draw(
    streams: &[Stream],
    schedule: &Schedule,
    vocabulary: &Vocabulary,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<u32>> {
    let total: f64 = streams.iter().map(|s| s.share).sum();
    (0..schedule.batch)
        .map(|_| {
            let mut at = f64::from(uniform(rng)) * total;
            let mut chosen = &streams[0];
            for stream in streams {
                chosen = stream;
                at -= stream.share;
                if at < 0.0 {
                    break;
                }
            }
            // A model without a token of its own to begin with must do with and without.
            let begins = vocabulary.adds_begin() || rng.next_u32() & 1 == 0;
            let body = schedule.length + 1 - usize::from(begins);
            let last = chosen.tokens.len().saturating_sub(body);
            let from = (f64::from(uniform(rng)) * (last + 1) as f64) as usize;
            let mut sequence = Vec::with_capacity(schedule.length + 1);
            if begins {
                sequence.push(vocabulary.begin());
            }
            let to = (from + body).min(chosen.tokens.len());
            sequence.extend_from_slice(&chosen.tokens[from..to]);
            sequence
        })
        .collect()
}

/// Mean cross-entropy (nats) of the second token onward of every sequence.
///
/// # Errors
/// The decoder's own.
pub fn loss(model: &Reference, sequences: &[Vec<u32>]) -> Result<Tensor> {
    let cut = |from: usize, less: usize| {
        let rows: Vec<&[u32]> = sequences.iter().map(|s| &s[from..s.len() - less]).collect();
        batch(&rows)
    };
    let logits = model.logits(&cut(0, 1)?)?;
    let (rows, len, vocab) = logits.dims3()?;
    let logprobs = log_softmax(&logits.reshape((rows * len, vocab))?)?;
    let targets = cut(1, 0)?.reshape((rows * len, 1))?;
    Ok(logprobs.gather(&targets, D::Minus1)?.mean_all()?.neg()?)
}

/// The learning rate at `step`: linear warm-up, then half a cosine down to a tenth.
pub fn rate(schedule: &Schedule, step: usize) -> f64 {
    if step < schedule.warmup {
        return schedule.rate * (step + 1) as f64 / schedule.warmup as f64;
    }
    let span = (schedule.steps - schedule.warmup).max(1) as f64;
    let done = (step - schedule.warmup) as f64 / span;
    schedule.rate * (0.55 + 0.45 * libm::cos(std::f64::consts::PI * done))
}

/// What a training run reads.
pub struct Lessons<'a> {
    /// Texts and their shares.
    pub streams: &'a [Stream],
    /// The model's tokenizer.
    pub vocabulary: &'a Vocabulary,
    /// Length and pace.
    pub schedule: &'a Schedule,
    /// Seed of the batches.
    pub seed: u64,
}

/// Trains copies of `parts` and returns them; `log` hears step and loss (nats per token).
///
/// # Errors
/// [`ErrorKind::NotFinite`] where training diverges, or candle's own.
pub fn train(
    config: &Config,
    parts: &Parts,
    lessons: &Lessons<'_>,
    log: &mut dyn FnMut(usize, f32),
) -> Result<Parts> {
    let parts = trainable(parts)?;
    let (mut matrices, mut vectors) = (vec![], vec![]);
    for (weight, bias) in parts.values() {
        for tensor in std::iter::once(weight).chain(bias) {
            let var = Var::from_tensor(tensor)?;
            if tensor.rank() > 1 { matrices.push(var) } else { vectors.push(var) }
        }
    }
    let model = || Ok(Reference::new(config.clone(), parts.clone()));
    descend(&model, matrices, vectors, lessons, log)?;
    let plain = |t: &Tensor| t.detach();
    Ok(parts.iter().map(|(p, (w, b))| (*p, (plain(w), b.as_ref().map(plain)))).collect())
}

/// Rank of an adapter's two matrices.
pub const RANK: usize = 8;
/// An adapter's product is added this many times (LoRA's α / r).
const ADAPTER_SCALE: f64 = 2.0;

/// Trains a low-rank adapter B·A beside each matrix that `adapted` names (Hu et
/// al. 2022, "LoRA", section 4.1: A normal, B zero, the rest frozen), and
/// returns the parts with it merged.
///
/// # Errors
/// As [`train`].
pub fn train_adapter(
    config: &Config,
    parts: &Parts,
    adapted: &dyn Fn(Part) -> bool,
    lessons: &Lessons<'_>,
    log: &mut dyn FnMut(usize, f32),
) -> Result<Parts> {
    let mut rng = ChaCha8Rng::seed_from_u64(lessons.seed ^ 0xada);
    let mut adapters: BTreeMap<Part, (Var, Var)> = BTreeMap::new();
    for (part, (weight, _)) in parts.iter().filter(|(p, _)| adapted(**p)) {
        let (rows, columns) = weight.dims2()?;
        let spread = 1.0 / libm::sqrtf(columns as f32);
        let a: Vec<f32> = (0..RANK * columns).map(|_| spread * normal(&mut rng)).collect();
        let a = Var::from_vec(a, (RANK, columns), &Device::Cpu)?;
        let b = Var::zeros((rows, RANK), DType::F32, &Device::Cpu)?;
        adapters.insert(*part, (b, a));
    }
    let merged = || -> Result<Parts> {
        let mut merged = parts.clone();
        for (part, (b, a)) in &adapters {
            if let Some((weight, _)) = merged.get_mut(part) {
                *weight = (&*weight + (b.matmul(a)? * ADAPTER_SCALE)?)?;
            }
        }
        Ok(merged)
    };
    let model = || Ok(Reference::new(config.clone(), merged()?));
    let all = adapters.values().flat_map(|(b, a)| [b.clone(), a.clone()]).collect();
    descend(&model, all, vec![], lessons, log)?;
    let plain = |t: &Tensor| t.detach();
    Ok(merged()?.iter().map(|(p, (w, b))| (*p, (plain(w), b.as_ref().map(plain)))).collect())
}

/// Lowers the loss of `model` by AdamW; `matrices` are decayed, `vectors` are not.
fn descend(
    model: &dyn Fn() -> Result<Reference>,
    matrices: Vec<Var>,
    vectors: Vec<Var>,
    lessons: &Lessons<'_>,
    log: &mut dyn FnMut(usize, f32),
) -> Result<()> {
    let Lessons { streams, vocabulary, schedule, seed } = lessons;
    if streams.iter().any(|s| s.tokens.len() <= schedule.length) || streams.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "there is less text than one sequence needs"));
    }
    let all: Vec<Var> = matrices.iter().chain(&vectors).cloned().collect();
    let settings = |weight_decay| ParamsAdamW {
        lr: schedule.rate,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay,
    };
    let mut optimisers =
        [AdamW::new(matrices, settings(WEIGHT_DECAY))?, AdamW::new(vectors, settings(0.0))?];
    let mut rng = ChaCha8Rng::seed_from_u64(*seed);
    for step in 0..schedule.steps {
        let sequences = draw(streams, schedule, vocabulary, &mut rng);
        let loss = loss(&model()?, &sequences)?;
        let value = loss.to_scalar::<f32>()?;
        if !value.is_finite() {
            return Err(Error::new(ErrorKind::NotFinite, format!("the loss is {value}")));
        }
        let mut gradients = loss.backward()?;
        let mut square = 0.0;
        for var in &all {
            if let Some(g) = gradients.get(var) {
                square += f64::from(g.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let norm = libm::sqrt(square);
        if norm > CLIP {
            for var in &all {
                if let Some(g) = gradients.get(var) {
                    let shorter = (g * (CLIP / norm))?;
                    gradients.insert(var, shorter);
                }
            }
        }
        for optimiser in &mut optimisers {
            optimiser.set_learning_rate(rate(schedule, step));
            optimiser.step(&gradients)?;
        }
        log(step, value);
    }
    Ok(())
}

/// Bits per byte of `documents`, read in windows of `length` tokens that each
/// open with the begin token.
///
/// # Errors
/// The decoder's or tokenizer's own.
pub fn bits_per_byte(
    model: &Reference,
    vocabulary: &Vocabulary,
    documents: &[&str],
    length: usize,
) -> Result<f64> {
    let (mut nats, mut bytes) = (0.0, 0);
    for document in documents {
        bytes += document.len();
        for window in vocabulary.encode(document)?.chunks(length) {
            let mut sequence = vec![vocabulary.begin()];
            sequence.extend_from_slice(window);
            let mean = loss(model, &[sequence])?.to_scalar::<f32>()?;
            nats += f64::from(mean) * window.len() as f64;
        }
    }
    Ok(nats / std::f64::consts::LN_2 / bytes.max(1) as f64)
}
