//! Next-token training with AdamW: seeded, so that a run can be repeated.

use super::plan::Schedule;
use super::vocabulary::Vocabulary;
use super::weights::{Parts, trainable, uniform};
use crate::decoder::config::Config;
use crate::decoder::reference::{Reference, batch, log_softmax};
use crate::error::{Error, ErrorKind, Result};
use candle_core::{D, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

/// Trains copies of `parts` and returns them; `log` hears step and loss (nats per token).
///
/// # Errors
/// [`ErrorKind::NotFinite`] where training diverges, or candle's own.
pub fn train(
    config: &Config,
    parts: &Parts,
    streams: &[Stream],
    vocabulary: &Vocabulary,
    schedule: &Schedule,
    seed: u64,
    log: &mut dyn FnMut(usize, f32),
) -> Result<Parts> {
    if streams.iter().any(|s| s.tokens.len() <= schedule.length) || streams.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "there is less text than one sequence needs"));
    }
    let parts = trainable(parts)?;
    let model = Reference::new(config.clone(), parts.clone());
    let (mut matrices, mut vectors) = (vec![], vec![]);
    for (weight, bias) in parts.values() {
        for tensor in std::iter::once(weight).chain(bias) {
            let var = Var::from_tensor(tensor)?;
            if tensor.rank() > 1 { matrices.push(var) } else { vectors.push(var) }
        }
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
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for step in 0..schedule.steps {
        let sequences = draw(streams, schedule, vocabulary, &mut rng);
        let loss = loss(&model, &sequences)?;
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
    let plain = |t: &Tensor| t.detach();
    Ok(parts.iter().map(|(p, (w, b))| (*p, (plain(w), b.as_ref().map(plain)))).collect())
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
