//! Drawing the next token.

use super::Sampling;
use super::kernels::math;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One prompt's own stream of random numbers.
pub struct Sampler<'a> {
    sampling: &'a Sampling,
    rng: ChaCha8Rng,
}

impl<'a> Sampler<'a> {
    /// A sampler from its settings.
    pub fn new(sampling: &'a Sampling) -> Self {
        Self { sampling, rng: ChaCha8Rng::seed_from_u64(sampling.seed) }
    }

    /// The next token given the logits: the likeliest at temperature 0, else
    /// drawn from the smallest set of likeliest tokens whose mass reaches
    /// top-p (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020).
    pub fn draw(&mut self, logits: &[f32]) -> u32 {
        let best = likeliest(logits);
        if self.sampling.temperature <= 0.0 {
            return best as u32;
        }
        let (max, scale) = (logits[best], 1.0 / self.sampling.temperature);
        let weights: Vec<f32> = logits.iter().map(|l| math::exp((l - max) * scale)).collect();
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let mass = f64::from(self.sampling.top_p.clamp(0.0, 1.0)) * total;
        // Most vocabularies have few tokens that matter: sort those first.
        let mut order = above(&weights, 1e-4);
        if order.iter().map(|i| f64::from(weights[*i])).sum::<f64>() < mass {
            order = above(&weights, -1.0);
        }
        let mut kept = 0;
        let mut sum = 0.0;
        for i in &order {
            kept += 1;
            sum += f64::from(weights[*i]);
            if sum >= mass {
                break;
            }
        }
        let mut left = self.rng.random::<f64>() * sum;
        for i in &order[..kept] {
            left -= f64::from(weights[*i]);
            if left < 0.0 {
                return *i as u32;
            }
        }
        order[kept - 1] as u32
    }
}

/// Index of the largest logit, the first of equals.
pub(super) fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, l) in logits.iter().enumerate() {
        if *l > logits[best] {
            best = i;
        }
    }
    best
}

/// Indices of weights above `least`, heaviest first, the first of equals first.
fn above(weights: &[f32], least: f32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).filter(|i| weights[*i] > least).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(temperature: f32, top_p: f32) -> Sampling {
        Sampling { temperature, top_p, max_tokens: 1, seed: 5 }
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest() {
        let s = settings(0.0, 1.0);
        assert_eq!(Sampler::new(&s).draw(&[0.0, 3.0, 3.0, 1.0]), 1);
    }

    #[test]
    fn frequencies_follow_the_distribution_within_the_nucleus() {
        // Masses 0.5, 0.3, 0.15, 0.05: a nucleus of 0.9 keeps three.
        let logits: Vec<f32> =
            [0.5_f64, 0.3, 0.15, 0.05].iter().map(|p| libm::log(*p) as f32).collect();
        let s = settings(1.0, 0.9);
        let mut sampler = Sampler::new(&s);
        let mut counts = [0; 4];
        for _ in 0..20_000 {
            counts[sampler.draw(&logits) as usize] += 1;
        }
        assert_eq!(counts[3], 0);
        for (count, p) in counts.iter().zip([0.5, 0.3, 0.15]) {
            let share = f64::from(*count) / 20_000.0;
            assert!((share - p / 0.95).abs() < 0.015, "{share} {p}");
        }
    }
}
