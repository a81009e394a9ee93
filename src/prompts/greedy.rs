//! Greedy information gain: each prompt is the one whose answer, after those
//! to the prompts before it, is expected to tell the most about the base.
//!
//! A suspect's answer is not its base's, so what it will show is simulated. Its
//! fine-tuning may have changed all that it does with one kind of prompt; else
//! each feature is, by a coin, what the base showed at that prompt, or drawn
//! from what the base shows at prompts of other kinds, or from what anybody
//! shows. Of many suspects drawn this way from every candidate, the mean log-probability of
//! the true base given the answers so far, less that of a blind guess, is the
//! mutual information of base and answers (a Monte Carlo estimate of it), and
//! its rise is the gain. Prompts to which all candidates answer alike gain
//! nothing; a second prompt that tells the same two candidates apart gains
//! less than the first, and the less if it is of the same kind, since one
//! change would silence both.

use super::Picker;
use super::features::{LEVELS, Traits, VALUES};
use super::pool::Pool;
use crate::error::Result;
use crate::evidence::text::Tell;
use crate::responses::Responses;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// Probability that fine-tuning left the ways with one kind of prompt as they were.
const KEPT: f64 = 0.5;
/// Share of a suspect's features that are its base's at that prompt, and that
/// are its base's habit; the rest may be anybody's. Fine-tuning changes much,
/// so neither is large; what is picked hardly depends on them.
const SAME: f64 = 0.35;
const HABIT: f64 = 0.35;
/// Simulated suspects in all, about.
const SUSPECTS: usize = 200;
/// Prompts × suspects × candidates held at the most; beyond it the weakest prompts wait.
const CELLS: usize = 1 << 20;
/// Prompts picked in view of those before; by then all is told, and the rest
/// follows by what each tells alone.
const STEPS: usize = 300;

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
#[derive(Clone)]
struct Counts {
    values: [[f64; VALUES]; LEVELS],
    answers: f64,
}

impl Counts {
    fn new() -> Self {
        Self { values: [[0.0; VALUES]; LEVELS], answers: 0.0 }
    }

    fn add(&mut self, traits: &Traits) {
        self.answers += 1.0;
        traits.levels.iter().enumerate().for_each(|(k, v)| self.values[k][usize::from(*v)] += 1.0);
    }
}

/// What the candidates show: each, each at one kind of prompt, and all together.
struct Habits {
    each: Vec<Counts>,
    within: Vec<Vec<Counts>>,
    all: [[f64; VALUES]; LEVELS],
}

impl Habits {
    fn new(pool: &Pool) -> Self {
        let kinds = pool.kinds.iter().max().map_or(0, |k| k + 1);
        let mut each = vec![Counts::new(); pool.bases];
        let mut within = vec![each.clone(); kinds];
        let mut any = Counts::new();
        for (cells, kind) in pool.cells.iter().zip(&pool.kinds) {
            for (b, traits) in cells.iter().enumerate() {
                let Some(traits) = traits else { continue };
                each[b].add(traits);
                within[*kind][b].add(traits);
                any.add(traits);
            }
        }
        let share = |n: f64| (n + 1.0 / VALUES as f64) / (any.answers + 1.0);
        Self { each, within, all: any.values.map(|row| row.map(share)) }
    }

    /// Probability of value `v` of feature `k` from candidate `b` at prompts of another kind.
    fn habit(&self, b: usize, kind: usize, k: usize, v: usize) -> f64 {
        let (all, here) = (&self.each[b], &self.within[kind][b]);
        (all.values[k][v] - here.values[k][v] + self.all[k][v]) / (all.answers - here.answers + 1.0)
    }

    /// By how much `shown` is likelier from a fine-tune of each candidate whose
    /// ways are kept than from one whose ways are changed, as a logarithm in
    /// units of one feature.
    fn judge(&self, pool: &Pool, i: usize, shown: &[usize; LEVELS], out: &mut Vec<f64>) {
        for (b, traits) in pool.cells[i].iter().enumerate() {
            let mut sum = 0.0;
            for (k, v) in shown.iter().enumerate() {
                // At a gap only the habit is known.
                let (same, habit) = match traits.as_ref().map(|t| usize::from(t.levels[k])) {
                    Some(here) => (if here == *v { SAME } else { 0.0 }, HABIT),
                    None => (0.0, SAME + HABIT),
                };
                let all = self.all[k][*v];
                let habit = habit * self.habit(b, pool.kinds[i], k, *v);
                sum += libm::log((same + habit) / all + 1.0 - SAME - HABIT);
            }
            // Features of one response go together; counted apart they would
            // seem to settle everything within a few prompts.
            out.push(sum / LEVELS as f64);
        }
    }

    /// What a fine-tune of `b` shows at prompt `i`, where its ways are kept or not.
    fn draw(
        &self,
        pool: &Pool,
        i: usize,
        b: usize,
        kept: bool,
        rng: &mut ChaCha8Rng,
    ) -> [usize; LEVELS] {
        std::array::from_fn(|k| {
            let here = pool.cells[i][b].as_ref().map(|t| usize::from(t.levels[k]));
            let coin: f64 = rng.random();
            match here {
                Some(here) if kept && coin < SAME => here,
                _ if kept && coin < SAME + HABIT => {
                    among(rng, |v| self.habit(b, pool.kinds[i], k, v))
                }
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

/// What answers to one kind of prompt say, given how much likelier they are where ways are kept.
fn heard(ratio: f64) -> f64 {
    libm::log(1.0 - KEPT + KEPT * libm::exp(ratio))
}

/// The mean log-probability of the true base, suspect by suspect: for each
/// candidate, what other kinds say, and the ratios of this kind and of one more answer.
fn certainty(others: &[f64], kind: &[f64], judged: &[f64], bases: usize) -> f64 {
    let mut sum = 0.0;
    let mut said = vec![0.0; bases];
    let suspects = others.chunks(bases).zip(kind.chunks(bases)).zip(judged.chunks(bases));
    for (s, ((others, kind), judged)) in suspects.enumerate() {
        for (h, said) in said.iter_mut().enumerate() {
            *said = others[h] + heard(kind[h] + judged[h]);
        }
        let truth = said[s / repeats(bases)];
        sum -= libm::log(said.iter().map(|v| libm::exp(v - truth)).sum());
    }
    sum / (others.len() / bases) as f64
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
    // Kept or changed, it is so for all prompts of a kind.
    let mut fate = ChaCha8Rng::seed_from_u64(seed);
    fate.set_stream((1 << 40) + pool.kinds[i] as u64);
    let suspects = repeats(pool.bases) * pool.bases;
    let mut out = Vec::with_capacity(suspects * pool.bases);
    for s in 0..suspects {
        let kept = fate.random::<f64>() < KEPT;
        let shown = habits.draw(pool, i, s / repeats(pool.bases), kept, &mut rng);
        habits.judge(pool, i, &shown, &mut out);
    }
    out
}

/// Places of the pool by what each tells alone, the most telling first.
fn ranked(habits: &Habits, pool: &Pool, seed: u64) -> Vec<usize> {
    let nothing = vec![0.0; repeats(pool.bases) * pool.bases * pool.bases];
    let alone: Vec<f64> = (0..pool.cells.len())
        .map(|i| certainty(&nothing, &nothing, &judged(habits, pool, i, seed), pool.bases))
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

/// A prompt that can still be picked. Answers to other kinds of prompts only
/// take from what it can add, so an old gain bounds the new one; answers to its
/// own kind may show that the kind was kept, and raise it.
struct Open {
    i: usize,
    judged: Vec<f64>,
    gain: f64,
    /// The step that the gain is of.
    at: usize,
}

/// Places of the pool, the most telling first.
fn order(pool: &Pool, budget: usize, seed: u64, tell: Tell<'_>) -> Vec<usize> {
    let habits = Habits::new(pool);
    let cells = repeats(pool.bases) * pool.bases * pool.bases;
    let mut ranked = ranked(&habits, pool, seed);
    let all = ranked.clone();
    ranked.truncate((CELLS / cells).max(1));
    ranked.sort_unstable();
    let mut open: Vec<Open> = ranked
        .into_iter()
        .map(|i| Open { i, judged: judged(&habits, pool, i, seed), gain: f64::INFINITY, at: 0 })
        .collect();

    // What each kind says so far, as ratios, and what all kinds say together.
    let mut kinds = vec![vec![0.0; cells]; habits.within.len()];
    let mut said = vec![0.0; cells];
    let mut level = -libm::log(pool.bases as f64);
    let steps = budget.min(pool.cells.len());
    let mut picked = vec![];
    while picked.len() < steps.min(STEPS) && !open.is_empty() {
        tell(picked.len() as u64, steps as u64);
        let step = picked.len() + 1;
        let Open { i, judged, .. } = loop {
            let best =
                (0..open.len()).fold(0, |m, o| if open[o].gain > open[m].gain { o } else { m });
            let top = &mut open[best];
            // Bounds only fall, so what is the best with its gain of today is the best.
            if top.at == step {
                break open.swap_remove(best);
            }
            let kind = &kinds[pool.kinds[top.i]];
            let others: Vec<f64> = said.iter().zip(kind).map(|(s, k)| s - heard(*k)).collect();
            top.gain = certainty(&others, kind, &top.judged, pool.bases) - level;
            top.at = step;
        };
        open.sort_unstable_by_key(|o| o.i);
        let kind = pool.kinds[i];
        for ((said, ratio), judged) in said.iter_mut().zip(&mut kinds[kind]).zip(&judged) {
            *said -= heard(*ratio);
            *ratio += judged;
            *said += heard(*ratio);
        }
        let nothing = vec![0.0; cells];
        level = certainty(&said, &nothing, &nothing, pool.bases);
        open.iter_mut().filter(|o| pool.kinds[o.i] == kind).for_each(|o| o.gain = f64::INFINITY);
        picked.push(i);
    }
    let taken: BTreeSet<usize> = picked.iter().copied().collect();
    let rest = all.into_iter().filter(|i| !taken.contains(i));
    picked.extend(rest.take(steps - taken.len()));
    tell(steps as u64, steps as u64);
    picked
}
