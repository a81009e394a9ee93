//! Generation: prompts continued together, each drawing its own next token.

use super::forward::{Cache, Segment};
use super::kernels::math;
use super::prefix::Tree;
use super::score::Work;
use super::{CACHED, Model, Sampling, head, retain};
use crate::error::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

impl Model {
    /// Continues every prompt by its own `sampling`; stops each at a token for
    /// which `is_end` holds (not included), at its cap, or at the context's end.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        sampling: &[Sampling],
        is_end: &dyn Fn(u32) -> bool,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u32>>> {
        for prompt in prompts {
            self.readable(prompt)?;
        }
        let per_position = 2 * self.config.layers * self.config.kv_width();
        let mut results = vec![];
        while results.len() < prompts.len() {
            let from = results.len();
            let mut held = 0;
            let n = (from..prompts.len())
                .take_while(|i| {
                    held += (prompts[*i].len() + sampling[*i].max_tokens) * per_position;
                    held <= self.room(CACHED)
                })
                .count()
                .max(1);
            results.extend(self.generate_together(
                &prompts[from..from + n],
                &sampling[from..from + n],
                is_end,
                done,
            )?);
        }
        Ok(results)
    }

    /// Prompts that fit the cache together, one step of all at a time.
    fn generate_together(
        &self,
        prompts: &[Vec<u32>],
        sampling: &[Sampling],
        is_end: &dyn Fn(u32) -> bool,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u32>>> {
        let (width, mut live) = (self.config.embedding, vec![]);
        let (mut caches, mut samplers) = (vec![], vec![]);
        let mut last: Vec<f32> = vec![];
        let mut written = vec![vec![]; prompts.len()];
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|i| &prompts[*i]);
        let most = self.most();
        let mut rest = &order[..];
        while !rest.is_empty() {
            let mut rows = 0;
            let fits = |i: &&usize| {
                rows += prompts[**i].len();
                rows <= most
            };
            let (group, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = others;
            // What prompts have in common at their beginning is read once.
            let tokens: Vec<&[u32]> = group.iter().map(|i| &prompts[*i][..]).collect();
            let tree = Tree::new(&tokens);
            let mut read = vec![Cache::new(&self.config); tree.segments.len()];
            let total = tokens.iter().map(|t| t.len()).sum();
            let mut work = Work::new(&self.config, tree.height(), 0, total, done);
            let mut tell = |rows| work.layer(rows);
            let hidden = self.hidden(&tree.segments, Some(&mut read), &mut tell)?;
            work.end();
            for (place, i) in group.iter().enumerate() {
                let row = tree.last_row(place) * width;
                last.extend_from_slice(&hidden[row..row + width]);
                live.push(*i);
                samplers.push(Sampler::new(&sampling[*i]));
                caches.push(tree.take(place, &mut read));
            }
        }
        while !live.is_empty() {
            let logits = head::logits(&self.weights.head, &last)?;
            let (mut steps, mut keep) = (vec![], vec![]);
            for (slot, row) in logits.chunks_exact(self.config.vocab).enumerate() {
                let (text, settings) = (&mut written[live[slot]], &sampling[live[slot]]);
                let room = text.len() < settings.max_tokens;
                let token = if room { Some(samplers[slot].draw(row)) } else { None };
                let token = token.filter(|t| !is_end(*t));
                text.extend(token);
                let more =
                    text.len() < settings.max_tokens && caches[slot].len() < self.config.context;
                keep.push(token.is_some() && more);
                steps.extend(token.filter(|_| more).map(|t| [t]));
            }
            retain(&mut live, |slot| keep[slot]);
            retain(&mut caches, |slot| keep[slot]);
            retain(&mut samplers, |slot| keep[slot]);
            if live.is_empty() {
                break;
            }
            let steps: Vec<Segment<'_>> = steps.iter().map(|s| Segment::alone(s)).collect();
            last = self.hidden(&steps, Some(&mut caches), &mut |_| {})?;
            done(steps.len());
        }
        Ok(written)
    }
}

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
        let exp = math::Exp::opaque();
        let weights: Vec<f32> = logits.iter().map(|l| exp.of((l - max) * scale)).collect();
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
