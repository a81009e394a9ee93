//! From hidden states to what the reader wants: scores or logits.

use super::TokenScore;
use super::kernels::math::Exp;
use super::kernels::{self, TILE_ROWS};
use super::weights::Linear;
use crate::error::{Error, ErrorKind, Result};

/// Tiles of the output matrix worked on at a time (512 logits a position).
const STRIP: usize = 16;

/// Running sums over a position's logits, strip by strip.
#[derive(Clone, Copy)]
struct Sums {
    /// Largest logit so far.
    max: f64,
    /// Σ e^(l − max), and the same times (l − max) and (l − max)².
    weight: f64,
    first: f64,
    second: f64,
    /// Logits above the target's.
    above: u32,
}

/// Scores `targets`, one per row of `hidden`, without ever holding a whole
/// row of logits.
pub fn score(head: &Linear, hidden: &[f32], targets: &[u32]) -> Result<Vec<TokenScore>> {
    let tiles = head.weight.tiles();
    // The bits of `columns`, so that equal logits compare equal.
    let mut wanted = kernels::outputs(hidden, &head.weight, targets)?;
    if let Some(bias) = &head.bias {
        wanted.iter_mut().zip(targets).for_each(|(logit, t)| *logit += bias[*t as usize]);
    }
    let input = kernels::Input::new(hidden, &head.weight);
    let start = Sums { max: f64::NEG_INFINITY, weight: 0.0, first: 0.0, second: 0.0, above: 0 };
    let mut sums = vec![start; targets.len()];
    for from in (0..tiles).step_by(STRIP) {
        let to = (from + STRIP).min(tiles);
        let width = (to * TILE_ROWS).min(head.weight.rows()) - from * TILE_ROWS;
        let mut logits = vec![0.0; targets.len() * width];
        kernels::columns(&input, &head.weight, head.bias.as_deref(), from..to, &mut logits)?;
        for ((row, wanted), sums) in logits.chunks_exact(width).zip(&wanted).zip(&mut sums) {
            sums.add(row, *wanted);
        }
    }
    wanted.iter().zip(sums).map(|(logit, s)| s.score(*logit)).collect()
}

impl Sums {
    fn add(&mut self, logits: &[f32], wanted: f32) {
        let (max, exp) = (kernels::largest(logits), Exp::opaque());
        let (mut weight, mut first, mut second) = ([0.0_f32; 8], [0.0_f32; 8], [0.0_f32; 8]);
        let mut above = [0_u32; 8];
        let mut add = |i: usize, l: f32| {
            let d = l - max;
            let e = exp.below(d);
            weight[i] += e;
            first[i] += e * d;
            second[i] += e * d * d;
            above[i] += u32::from(l > wanted);
        };
        // Whole eights apart from the rest: they become vector instructions.
        let (eights, rest) = logits.as_chunks::<8>();
        for eight in eights {
            for (i, l) in eight.iter().enumerate() {
                add(i, *l);
            }
        }
        rest.iter().enumerate().for_each(|(i, l)| add(i, *l));
        let above: u32 = above.iter().sum();
        self.above += above;
        let sum = |v: [f32; 8]| v.iter().fold(0.0_f64, |s, x| s + f64::from(*x));
        let other = Sums {
            max: f64::from(max),
            weight: sum(weight),
            first: sum(first),
            second: sum(second),
            above: 0,
        };
        // A NaN logit loses every comparison of max, so it shows in the weight only.
        if other.max > self.max {
            let mine = *self;
            *self = Sums { above: mine.above, ..other };
            self.shifted(mine);
        } else {
            self.shifted(other);
        }
    }

    /// Adds sums taken from a smaller maximum.
    fn shifted(&mut self, s: Sums) {
        if s.max == f64::NEG_INFINITY && s.weight == 0.0 {
            return;
        }
        let shift = s.max - self.max;
        let scale = libm::exp(shift);
        self.weight += scale * s.weight;
        self.first += scale * (s.first + shift * s.weight);
        self.second += scale * (s.second + 2.0 * shift * s.first + shift * shift * s.weight);
    }

    fn score(self, logit: f32) -> Result<TokenScore> {
        let log_weight = libm::log(self.weight);
        let logprob = f64::from(logit) - self.max - log_weight;
        // log p = (l − max) − log Σ, so its mean and variance follow from those of l − max.
        let mean = self.first / self.weight;
        let variance = (self.second / self.weight - mean * mean).max(0.0);
        if !logprob.is_finite() || !mean.is_finite() {
            return Err(Error::new(ErrorKind::NotFinite, "the model's output is not a number")
                .hint("its weights are damaged, or its arithmetic overflows in 32 bits"));
        }
        Ok(TokenScore {
            logprob: logprob.min(0.0) as f32,
            rank: self.above + 1,
            mean: (mean - log_weight) as f32,
            variance: variance as f32,
        })
    }
}

/// Logits of every row: rows × vocab.
pub fn logits(head: &Linear, hidden: &[f32]) -> Result<Vec<f32>> {
    head.apply(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::kernels::Matrix;

    #[test]
    fn agrees_with_a_plain_softmax() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(9);
        let (k, vocab, rows) = (16, 1500, 7);
        let mut noise =
            |n: usize, s: f32| -> Vec<f32> { (0..n).map(|_| rng.random_range(-s..s)).collect() };
        let (w, x, b) = (noise(vocab * k, 2.0), noise(rows * k, 2.0), noise(vocab, 1.0));
        let head = Linear { weight: Matrix::from_f32(&w, k).unwrap().into(), bias: Some(b) };
        let targets = [0, 1, 31, 32, 700, 1498, 1499];
        let scores = score(&head, &x, &targets).unwrap();
        for ((row, target), s) in logits(&head, &x).unwrap().chunks(vocab).zip(targets).zip(scores)
        {
            let l: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
            let max = l.iter().copied().fold(f64::MIN, f64::max);
            let log_sum = max + libm::log(l.iter().map(|v| libm::exp(v - max)).sum());
            let p: Vec<f64> = l.iter().map(|v| libm::exp(v - log_sum)).collect();
            let mean: f64 = p.iter().zip(&l).map(|(p, v)| p * (v - log_sum)).sum();
            let variance: f64 = p
                .iter()
                .zip(&l)
                .map(|(p, v)| p * (v - log_sum - mean) * (v - log_sum - mean))
                .sum();
            let rank = 1 + l.iter().filter(|v| **v > l[target as usize]).count();
            assert!((f64::from(s.logprob) - (l[target as usize] - log_sum)).abs() < 1e-5);
            assert_eq!(s.rank as usize, rank);
            assert!(
                (f64::from(s.mean) - mean).abs() < 1e-4 * (1.0 + mean.abs()),
                "{} {mean}",
                s.mean
            );
            assert!(
                (f64::from(s.variance) - variance).abs() < 1e-3 * (1.0 + variance),
                "{} {variance}",
                s.variance
            );
        }
    }

    #[test]
    fn nan_is_an_error() {
        let head = Linear { weight: Matrix::from_f32(&[1.0; 64], 1).unwrap().into(), bias: None };
        assert_eq!(score(&head, &[f32::NAN], &[3]).unwrap_err().kind(), ErrorKind::NotFinite);
    }
}
