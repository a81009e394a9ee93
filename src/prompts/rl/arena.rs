//! What the policy plays in: how well the picked prompts tell the candidates
//! apart, by their own responses alone.
//!
//! The measure is held out: each response to a picked prompt is judged by the
//! means of the candidates' responses to the picked prompts of *other* kinds
//! (nearest mean), and counts with the probability it gets under its own
//! writer. A prompt whose responses differ by chance does not raise it, since
//! no other prompt bears it out; nor do fifty prompts of one kind. Each kind
//! adds what it is above chance, more with more prompts but ever less so.

use crate::prompts::features::{GRAMS, REAL, Traits};
use crate::prompts::pool::Pool;

/// Features of a candidate prompt.
pub const SEEN: usize = 8;
/// Features of a state.
pub const STATE: usize = 5;
/// Trigrams are folded to this many places.
const FOLDED: usize = 32;
const WIDTH: usize = REAL + FOLDED;
/// Prompts × candidates held at the most: the table of their products is this squared.
pub const MOST: usize = 4096;
/// How sharply the nearest mean is preferred.
const SHARPNESS: f64 = 6.0;
/// With this many prompts of a kind half of what it can add is reached.
const HALF: f64 = 2.0;
/// Margins of scores are about a tenth of it.
const MARGINS: f64 = 4.0;

/// The candidates' responses, ready to be compared.
pub struct Arena {
    /// Prompts.
    pub prompts: usize,
    bases: usize,
    /// Whether candidate `i % bases` answered prompt `i / bases`.
    known: Vec<bool>,
    /// Kinds of the prompts, from 0.
    kinds: Vec<usize>,
    /// Inner products of responses.
    products: Vec<f32>,
    /// Spread of the candidates at a prompt, and its margin by all other
    /// prompts, both with mean 0 and deviation 1, and the share that answered.
    fixed: Vec<[f64; 3]>,
    /// What full accuracy on prompts spread over the kinds would add up to.
    full: f64,
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
    /// The same with those of `r`'s own kind alone.
    within: Vec<f64>,
    /// `counts[k * bases + b]`: picked responses of `b` outside kind `k`, and
    /// the squared norm of their sum.
    counts: Vec<f64>,
    norms: Vec<f64>,
    /// Picked prompts of each kind.
    picks: Vec<f64>,
    /// From chance, 1 / candidates, to about 1.
    pub separation: f64,
    /// Mean probability of the true writer by candidate.
    each: Vec<f64>,
}

/// How much of what a kind can add `n` prompts of it do.
fn settled(n: f64) -> f64 {
    n / (n + HALF)
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
    /// From these places of the pool, no more than [`MOST`] responses, to pick about `horizon`.
    pub fn new(pool: &Pool, kept: &[usize], horizon: usize) -> Self {
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
        let mut places = vec![];
        let mut kind = |p: &usize| {
            let kind = pool.kinds[*p];
            places.iter().position(|k| *k == kind).unwrap_or_else(|| {
                places.push(kind);
                places.len() - 1
            })
        };
        let mut arena = Self {
            prompts: kept.len(),
            bases: pool.bases,
            known,
            kinds: kept.iter().map(&mut kind).collect(),
            products,
            fixed: vec![],
            full: 1.0,
        };
        let kinds = places.len().min(horizon).max(1) as f64;
        arena.full = kinds * settled(horizon as f64 / kinds);
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
                let margins: Vec<f64> =
                    self.writers(p).map(|b| self.margin(&self.scores(&all, p, b), b)).collect();
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
        let kinds = self.kinds.iter().max().map_or(0, |k| k + 1);
        State {
            picked: vec![],
            open: (0..self.prompts).collect(),
            towards: vec![0.0; self.known.len() * self.bases],
            within: vec![0.0; self.known.len() * self.bases],
            counts: vec![0.0; kinds * self.bases],
            norms: vec![0.0; kinds * self.bases],
            picks: vec![0.0; kinds],
            separation: chance,
            each: vec![chance; self.bases],
        }
    }

    fn add(&self, state: &mut State, p: usize) {
        let kind = self.kinds[p];
        for b in self.writers(p) {
            let r = p * self.bases + b;
            let n = self.known.len();
            let row = &self.products[r * n..(r + 1) * n];
            for k in (0..state.picks.len()).filter(|k| *k != kind) {
                state.counts[k * self.bases + b] += 1.0;
                state.norms[k * self.bases + b] += f64::from(row[r]);
            }
            for q in &state.picked {
                let twice = 2.0 * f64::from(row[q * self.bases + b]);
                for k in (0..state.picks.len()).filter(|k| *k != kind && *k != self.kinds[*q]) {
                    state.norms[k * self.bases + b] += twice;
                }
            }
            for (i, product) in row.iter().enumerate() {
                state.towards[i * self.bases + b] += f64::from(*product);
                if self.kinds[i / self.bases] == kind {
                    state.within[i * self.bases + b] += f64::from(*product);
                }
            }
        }
        state.picks[kind] += 1.0;
        state.picked.push(p);
    }

    /// Picks prompt `p`; the rise in separation.
    pub fn pick(&self, state: &mut State, p: usize) -> f64 {
        self.add(state, p);
        state.open.retain(|o| *o != p);
        let before = state.separation;
        self.separate(state);
        state.separation - before
    }

    /// How near the response of `b` to `p` is to the mean of each candidate's
    /// picked responses of other kinds; NaN where there is none.
    fn scores(&self, state: &State, p: usize, b: usize) -> Vec<f64> {
        let r = p * self.bases + b;
        let one = |h: usize| {
            let outside = self.kinds[p] * self.bases + h;
            let (count, norm) = (state.counts[outside], state.norms[outside]);
            let at = r * self.bases + h;
            let towards = state.towards[at] - state.within[at];
            if count > 0.5 { towards / count - 0.5 * norm / (count * count) } else { f64::NAN }
        };
        (0..self.bases).map(one).collect()
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
        let mut kinds = vec![(0.0, 0.0); state.picks.len()];
        for p in &state.picked {
            let kind = &mut kinds[self.kinds[*p]];
            for b in self.writers(*p) {
                let scores = self.scores(state, *p, b);
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
                kind.0 += probability;
                kind.1 += 1.0;
            }
        }
        let chance = 1.0 / self.bases as f64;
        for (each, (sum, n)) in state.each.iter_mut().zip(&sums) {
            *each = if *n > 0.0 { sum / n } else { chance };
        }
        let above = kinds.iter().zip(&state.picks).filter(|((_, n), _)| *n > 0.0);
        let above: f64 = above.map(|((sum, n), m)| settled(*m) * (sum / n - chance)).sum();
        state.separation = chance + above / self.full;
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
                    let one = self.margin(&self.scores(state, *p, b), b);
                    margin += one;
                    weak += one * weakness[b] / all.max(1e-9) * self.bases as f64;
                    same += state.towards[(p * self.bases + b) * self.bases + b];
                    n += 1.0;
                }
            }
            let n = f64::max(n, 1.0);
            let picks = state.picked.len().max(1) as f64;
            same /= picks;
            let crowd = state.picks[self.kinds[*p]] / picks;
            let [spread, alone, share] = self.fixed[*p];
            seen.extend([
                margin / n,
                weak / n,
                same / n,
                crowd,
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
