//! Greedy information gain: each prompt is the one whose answer, after those
//! to the prompts before it, is expected to tell the most about the base.
//!
//! A suspect's answer is not its base's, so what it will show is simulated:
//! each feature is, by a coin, what the base showed at that prompt, or drawn
//! from what the base shows at others, or from what anybody shows. Of many
//! suspects drawn this way from every candidate, the mean log-probability of
//! the true base given the answers so far, less that of a blind guess, is the
//! mutual information of base and answers (a Monte Carlo estimate of it), and
//! its rise is the gain. Prompts to which all candidates answer alike gain
//! nothing, a second prompt that tells the same two candidates apart gains
//! less than the first.

use super::Picker;
use super::features::{LEVELS, VALUES};
use super::pool::Pool;
use crate::error::Result;
use crate::evidence::text::Tell;
use crate::responses::Responses;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Share of a suspect's features that are its base's at that prompt, and that
/// are its base's habit; the rest may be anybody's. Fine-tuning changes much,
/// so neither is large; what is picked hardly depends on them.
const SAME: f64 = 0.35;
const HABIT: f64 = 0.35;
/// Simulated suspects in all, about.
const SUSPECTS: usize = 200;
/// Prompts × suspects × candidates held at the most; beyond it the weakest prompts wait.
const CELLS: usize = 4 << 20;

/// Picks by expected information gain.
#[derive(Clone, Copy, Debug)]
pub struct Greedy;

impl Picker for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn about(&self) -> &'static str {
        "each prompt is the one expected to tell the most beyond those before it"
    }

    fn seeded(&self) -> bool {
        true
    }

    fn pick(
        &self,
        bases: &Responses,
        budget: usize,
        seed: u64,
        tell: Tell<'_>,
    ) -> Result<Vec<usize>> {
        let pool = Pool::new(bases, budget)?;
        let order = order(&pool, budget, seed, tell);
        Ok(order.into_iter().map(|i| pool.columns[i]).collect())
    }
}

/// How often each value of each feature was seen.
type Counts = [[f64; VALUES]; LEVELS];

/// What the candidates show, each and all together.
struct Habits {
    each: Vec<Counts>,
    totals: Vec<f64>,
    all: Counts,
}

impl Habits {
    fn new(pool: &Pool) -> Self {
        let mut each = vec![[[0.0; VALUES]; LEVELS]; pool.bases];
        let mut totals = vec![0.0; pool.bases];
        let mut all = [[1.0 / VALUES as f64; VALUES]; LEVELS];
        let mut answers = 1.0;
        for cells in &pool.cells {
            for (b, traits) in cells.iter().enumerate() {
                let Some(traits) = traits else { continue };
                totals[b] += 1.0;
                answers += 1.0;
                for (k, v) in traits.levels.iter().enumerate() {
                    each[b][k][usize::from(*v)] += 1.0;
                    all[k][usize::from(*v)] += 1.0;
                }
            }
        }
        all.iter_mut().flatten().for_each(|n| *n /= answers);
        Self { each, totals, all }
    }

    /// Probability of value `v` of feature `k` from candidate `b` at prompts other than this.
    fn habit(&self, b: usize, here: Option<usize>, k: usize, v: usize) -> f64 {
        let own = f64::from(u8::from(here == Some(v)));
        let one = f64::from(u8::from(here.is_some()));
        (self.each[b][k][v] - own + self.all[k][v]) / (self.totals[b] - one + 1.0)
    }

    /// Log-probability of `shown` from a fine-tune of each candidate, in units of one feature.
    fn judge(&self, pool: &Pool, i: usize, shown: &[usize; LEVELS], out: &mut Vec<f64>) {
        for (b, traits) in pool.cells[i].iter().enumerate() {
            let mut sum = 0.0;
            for (k, v) in shown.iter().enumerate() {
                let here = traits.as_ref().map(|t| usize::from(t.levels[k]));
                // At a gap only the habit is known.
                let (same, habit) = match here {
                    Some(here) => (if here == *v { SAME } else { 0.0 }, HABIT),
                    None => (0.0, SAME + HABIT),
                };
                let p = same
                    + habit * self.habit(b, here, k, *v)
                    + (1.0 - SAME - HABIT) * self.all[k][*v];
                sum += libm::log(p);
            }
            // Features of one response go together; counted apart they would
            // seem to settle everything within a few prompts.
            out.push(sum / LEVELS as f64);
        }
    }

    /// What a fine-tune of `b` shows at prompt `i`.
    fn draw(&self, pool: &Pool, i: usize, b: usize, rng: &mut ChaCha8Rng) -> [usize; LEVELS] {
        std::array::from_fn(|k| {
            let here = pool.cells[i][b].as_ref().map(|t| usize::from(t.levels[k]));
            let coin: f64 = rng.random();
            match here {
                Some(here) if coin < SAME => here,
                _ if coin < SAME + HABIT => among(rng, |v| self.habit(b, here, k, v)),
                _ => among(rng, |v| self.all[k][v]),
            }
        })
    }
}

/// A value drawn by its probability.
fn among(rng: &mut ChaCha8Rng, probability: impl Fn(usize) -> f64) -> usize {
    let mut left: f64 = rng.random();
    for v in 0..VALUES {
        left -= probability(v);
        if left < 0.0 {
            return v;
        }
    }
    VALUES - 1
}

/// The mean log-probability of the true base where `judged` holds, suspect by
/// suspect, each candidate's log-probability on top of `before`.
fn certainty(before: &[f64], judged: &[f64], bases: usize) -> f64 {
    let mut sum = 0.0;
    for (s, (before, judged)) in before.chunks(bases).zip(judged.chunks(bases)).enumerate() {
        let truth = before[s / repeats(bases)] + judged[s / repeats(bases)];
        let others: f64 = before.iter().zip(judged).map(|(a, b)| libm::exp(a + b - truth)).sum();
        sum -= libm::log(others);
    }
    sum / (before.len() / bases) as f64
}

/// Suspects simulated of each candidate.
fn repeats(bases: usize) -> usize {
    (SUSPECTS / bases).max(1)
}

/// What suspects of every candidate show at prompt `i`, judged.
fn judged(habits: &Habits, pool: &Pool, i: usize, seed: u64) -> Vec<f64> {
    // A stream for each prompt: what one shows does not depend on the others.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(i as u64 + 1);
    let suspects = repeats(pool.bases) * pool.bases;
    let mut out = Vec::with_capacity(suspects * pool.bases);
    for s in 0..suspects {
        let shown = habits.draw(pool, i, s / repeats(pool.bases), &mut rng);
        habits.judge(pool, i, &shown, &mut out);
    }
    out
}

/// Places of the pool by what each tells alone, the most telling first.
fn ranked(habits: &Habits, pool: &Pool, seed: u64) -> Vec<usize> {
    let nothing = vec![0.0; repeats(pool.bases) * pool.bases * pool.bases];
    let alone: Vec<f64> = (0..pool.cells.len())
        .map(|i| certainty(&nothing, &judged(habits, pool, i, seed), pool.bases))
        .collect();
    let mut ranked: Vec<usize> = (0..alone.len()).collect();
    ranked.sort_by(|a, b| alone[*b].total_cmp(&alone[*a]).then(a.cmp(b)));
    ranked
}

/// The `n` places of the pool that tell the most alone, in order of the pool.
pub fn strongest(pool: &Pool, n: usize, seed: u64) -> Vec<usize> {
    let mut ranked = ranked(&Habits::new(pool), pool, seed);
    ranked.truncate(n);
    ranked.sort_unstable();
    ranked
}

/// Places of the pool, the most telling first.
fn order(pool: &Pool, budget: usize, seed: u64, tell: Tell<'_>) -> Vec<usize> {
    let habits = Habits::new(pool);
    let cells = repeats(pool.bases) * pool.bases * pool.bases;
    let mut ranked = ranked(&habits, pool, seed);
    let waiting = ranked.split_off(ranked.len().min((CELLS / cells).max(1)));
    ranked.sort_unstable();
    let mut open: Vec<(usize, Vec<f64>)> =
        ranked.into_iter().map(|i| (i, judged(&habits, pool, i, seed))).collect();

    let mut known = vec![0.0; cells];
    let steps = budget.min(pool.cells.len());
    let mut picked = vec![];
    while picked.len() < steps && !open.is_empty() {
        tell(picked.len() as u64, steps as u64);
        let mut best = (0, f64::NEG_INFINITY);
        for (at, (_, judged)) in open.iter().enumerate() {
            let value = certainty(&known, judged, pool.bases);
            if value > best.1 {
                best = (at, value);
            }
        }
        let (i, judged) = open.remove(best.0);
        known.iter_mut().zip(&judged).for_each(|(k, j)| *k += j);
        picked.push(i);
    }
    picked.extend(waiting);
    picked.truncate(steps);
    tell(steps as u64, steps as u64);
    picked
}
