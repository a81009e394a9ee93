//! What the policy plays in: how well the picked prompts tell the candidates
//! apart, by their own responses alone.
//!
//! The measure is held out: each response to a picked prompt is judged by the
//! means of the candidates' responses to the *other* picked prompts (nearest
//! mean), and counts with the probability it gets under its own writer. A
//! prompt whose responses differ by chance does not raise it, since no other
//! prompt bears it out.

use crate::prompts::features::{GRAMS, REAL, Traits};
use crate::prompts::pool::Pool;

/// Features of a candidate prompt.
pub const SEEN: usize = 7;
/// Features of a state.
pub const STATE: usize = 5;
/// Trigrams are folded to this many places.
const FOLDED: usize = 32;
const WIDTH: usize = REAL + FOLDED;
/// Prompts × candidates held at the most: the table of their products is this squared.
pub const MOST: usize = 4096;
/// How sharply the nearest mean is preferred.
const SHARPNESS: f64 = 6.0;
/// Margins of scores are about a tenth of it.
const MARGINS: f64 = 4.0;

/// The candidates' responses, ready to be compared.
pub struct Arena {
    /// Prompts.
    pub prompts: usize,
    bases: usize,
    /// Whether candidate `i % bases` answered prompt `i / bases`.
    known: Vec<bool>,
    /// Inner products of responses.
    products: Vec<f32>,
    /// Spread of the candidates at a prompt, and its margin by all other
    /// prompts, both with mean 0 and deviation 1, and the share that answered.
    fixed: Vec<[f64; 3]>,
}

/// What was picked, and what follows from it.
#[derive(Clone)]
pub struct State {
    /// Prompts in order.
    pub picked: Vec<usize>,
    /// Prompts that can still be picked, in order.
    pub open: Vec<usize>,
    /// `towards[r * bases + b]`: product of response `r` with the sum of `b`'s picked ones.
    towards: Vec<f64>,
    /// Picked responses of each candidate, and the squared norm of their sum.
    counts: Vec<f64>,
    norms: Vec<f64>,
    /// Mean probability of the true writer, 0 to 1, and for each candidate.
    pub separation: f64,
    each: Vec<f64>,
}

/// A response as a vector; the pool's mean is still in it.
fn vector(traits: &Traits) -> [f32; WIDTH] {
    let mut out = [0.0; WIDTH];
    out[..REAL].copy_from_slice(&traits.real);
    for (i, w) in &traits.grams {
        let i = *i as usize;
        // Half of the buckets subtract, so that chance meetings cancel.
        let sign = if i >= GRAMS / 2 { -1.0 } else { 1.0 };
        out[REAL + i % FOLDED] += sign * w;
    }
    out
}

/// Centred and scaled, place by place, to a mean squared norm of 1.
fn scaled(pool: &Pool, kept: &[usize]) -> Vec<Option<[f32; WIDTH]>> {
    let mut rows: Vec<Option<[f32; WIDTH]>> =
        kept.iter().flat_map(|i| pool.cells[*i].iter().map(|t| t.as_ref().map(vector))).collect();
    let n = rows.iter().flatten().count() as f32;
    for k in 0..WIDTH {
        let mean = rows.iter().flatten().map(|v| v[k]).sum::<f32>() / n;
        let square = |v: &[f32; WIDTH]| (v[k] - mean) * (v[k] - mean);
        let spread = (rows.iter().flatten().map(square).sum::<f32>() / n).sqrt();
        let scale = if spread > 1e-4 { 1.0 / (spread * (WIDTH as f32).sqrt()) } else { 0.0 };
        rows.iter_mut().flatten().for_each(|v| v[k] = (v[k] - mean) * scale);
    }
    rows
}

impl Arena {
    /// From these places of the pool; no more than [`MOST`] responses.
    pub fn new(pool: &Pool, kept: &[usize]) -> Self {
        let rows = scaled(pool, kept);
        let n = rows.len();
        let mut products = vec![0.0; n * n];
        for (i, a) in rows.iter().enumerate() {
            let Some(a) = a else { continue };
            for (j, b) in rows[..=i].iter().enumerate() {
                let Some(b) = b else { continue };
                let dot = a.iter().zip(b).map(|(a, b)| a * b).sum();
                products[i * n + j] = dot;
                products[j * n + i] = dot;
            }
        }
        let known: Vec<bool> = rows.iter().map(Option::is_some).collect();
        let mut arena =
            Self { prompts: kept.len(), bases: pool.bases, known, products, fixed: vec![] };
        arena.fixed = arena.measure_alone();
        arena
    }

    /// Comparisons of a response with a mean that one step takes, and the like of learning from it.
    pub fn comparisons(&self) -> usize {
        self.prompts * (self.bases * self.bases + 200)
    }

    fn product(&self, i: usize, j: usize) -> f64 {
        f64::from(self.products[i * self.known.len() + j])
    }

    /// The candidates that answered prompt `p`.
    fn writers(&self, p: usize) -> impl Iterator<Item = usize> {
        (0..self.bases).filter(move |b| self.known[p * self.bases + b])
    }

    fn measure_alone(&self) -> Vec<[f64; 3]> {
        let mut all = self.start();
        (0..self.prompts).for_each(|p| self.add(&mut all, p));
        let mut out: Vec<[f64; 3]> = (0..self.prompts)
            .map(|p| {
                let here: Vec<usize> = self.writers(p).map(|b| p * self.bases + b).collect();
                let n = here.len() as f64;
                let own: f64 = here.iter().map(|r| self.product(*r, *r)).sum();
                let pairs: f64 =
                    here.iter().flat_map(|r| here.iter().map(|s| self.product(*r, *s))).sum();
                let spread = (own - pairs / n) / n;
                let margins: Vec<f64> = self
                    .writers(p)
                    .map(|b| self.margin(&self.scores(&all, p, b, true), b))
                    .collect();
                let margin = margins.iter().sum::<f64>() / n;
                [spread.max(0.0).sqrt(), margin, n / self.bases as f64]
            })
            .collect();
        let n = out.len() as f64;
        for k in 0..2 {
            let mean = out.iter().map(|f| f[k]).sum::<f64>() / n;
            let variance = out.iter().map(|f| (f[k] - mean) * (f[k] - mean)).sum::<f64>() / n;
            let scale = if variance > 1e-12 { 1.0 / variance.sqrt() } else { 0.0 };
            out.iter_mut().for_each(|f| f[k] = ((f[k] - mean) * scale).clamp(-3.0, 3.0));
        }
        out
    }

    /// Nothing picked.
    pub fn start(&self) -> State {
        let chance = 1.0 / self.bases as f64;
        State {
            picked: vec![],
            open: (0..self.prompts).collect(),
            towards: vec![0.0; self.known.len() * self.bases],
            counts: vec![0.0; self.bases],
            norms: vec![0.0; self.bases],
            separation: chance,
            each: vec![chance; self.bases],
        }
    }

    fn add(&self, state: &mut State, p: usize) {
        for b in self.writers(p) {
            let r = p * self.bases + b;
            state.counts[b] += 1.0;
            state.norms[b] += 2.0 * state.towards[r * self.bases + b] + self.product(r, r);
            let row = &self.products[r * self.known.len()..(r + 1) * self.known.len()];
            for (towards, product) in state.towards[b..].iter_mut().step_by(self.bases).zip(row) {
                *towards += f64::from(*product);
            }
        }
    }

    /// Picks prompt `p`; the rise in separation.
    pub fn pick(&self, state: &mut State, p: usize) -> f64 {
        self.add(state, p);
        state.open.retain(|o| *o != p);
        state.picked.push(p);
        let before = state.separation;
        self.separate(state);
        state.separation - before
    }

    /// How near the response of `b` to `p` is to each candidate's mean;
    /// `held` leaves the answers to `p` themselves out of the means. NaN where there is none.
    fn scores(&self, state: &State, p: usize, b: usize, held: bool) -> Vec<f64> {
        let r = p * self.bases + b;
        let mut out = vec![f64::NAN; self.bases];
        for (h, out) in out.iter_mut().enumerate() {
            let own = p * self.bases + h;
            let (mut count, mut norm) = (state.counts[h], state.norms[h]);
            let mut towards = state.towards[r * self.bases + h];
            if held && self.known[own] {
                count -= 1.0;
                norm += self.product(own, own) - 2.0 * state.towards[own * self.bases + h];
                towards -= self.product(r, own);
            }
            if count > 0.5 {
                *out = towards / count - 0.5 * norm / (count * count);
            }
        }
        out
    }

    /// By how much the score of `b` is above the best of the others, within -1 to 1.
    fn margin(&self, scores: &[f64], b: usize) -> f64 {
        let others = scores.iter().enumerate().filter(|(h, s)| *h != b && !s.is_nan());
        let best = others.fold(f64::NEG_INFINITY, |m, (_, s)| m.max(*s));
        if scores[b].is_nan() || best == f64::NEG_INFINITY {
            return 0.0;
        }
        ((scores[b] - best) * MARGINS).clamp(-1.0, 1.0)
    }

    fn separate(&self, state: &mut State) {
        let mut sums = vec![(0.0, 0.0); self.bases];
        for p in &state.picked {
            for b in self.writers(*p) {
                let scores = self.scores(state, *p, b, true);
                // What nothing else bears on is a blind guess.
                let probability = if scores[b].is_nan() {
                    1.0 / self.bases as f64
                } else {
                    let others = scores.iter().filter(|s| !s.is_nan());
                    let sum: f64 =
                        others.map(|s| libm::exp(SHARPNESS * (s - scores[b]).min(50.0))).sum();
                    let alone = scores.iter().filter(|s| s.is_nan()).count() as f64;
                    1.0 / (sum + alone)
                };
                sums[b].0 += probability;
                sums[b].1 += 1.0;
            }
        }
        let chance = 1.0 / self.bases as f64;
        for (each, (sum, n)) in state.each.iter_mut().zip(&sums) {
            *each = if *n > 0.0 { sum / n } else { chance };
        }
        let (sum, n) = sums.iter().fold((0.0, 0.0), |a, s| (a.0 + s.0, a.1 + s.1));
        state.separation = if n > 0.0 { sum / n } else { chance };
    }

    /// What the policy sees of the open prompts, `SEEN` numbers each, and of the state.
    pub fn view(&self, state: &State, horizon: usize) -> (Vec<f64>, Vec<f64>) {
        let progress = (state.picked.len() as f64 / horizon as f64).min(1.0);
        let weakness: Vec<f64> = state.each.iter().map(|p| 1.0 - p).collect();
        let all: f64 = weakness.iter().sum();
        let mut seen = Vec::with_capacity(state.open.len() * SEEN);
        for p in &state.open {
            let (mut margin, mut weak, mut same, mut n) = (0.0, 0.0, 0.0, 0.0);
            if !state.picked.is_empty() {
                for b in self.writers(*p) {
                    let one = self.margin(&self.scores(state, *p, b, false), b);
                    margin += one;
                    weak += one * weakness[b] / all.max(1e-9) * self.bases as f64;
                    let towards = state.towards[(p * self.bases + b) * self.bases + b];
                    same += towards / state.counts[b].max(1.0);
                    n += 1.0;
                }
            }
            let n = f64::max(n, 1.0);
            let [spread, alone, share] = self.fixed[*p];
            seen.extend([
                margin / n,
                weak / n,
                same / n,
                spread,
                alone,
                2.0 * share - 1.0,
                progress,
            ]);
        }
        let margins = seen.iter().step_by(SEEN);
        let best = margins.clone().fold(-1.0_f64, |m, x| m.max(*x));
        let mean = margins.sum::<f64>() / state.open.len().max(1) as f64;
        let weakest = state.each.iter().fold(1.0_f64, |m, x| m.min(*x));
        (seen, vec![progress, state.separation, weakest, mean, best])
    }
}
