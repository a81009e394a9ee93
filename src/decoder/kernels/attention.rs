//! Causal attention over keys and values kept in panels.
//!
//! Keys lie so that a vector holds eight positions of one dimension, values so
//! that it holds eight dimensions of one position. Both products are then those
//! of [`super::float`], and a query gives the same bits alone and among others.

use super::exponentials;
use super::float::{self, BLOCK};
use super::product::Columns;
use std::ops::Range;

/// Positions or dimensions side by side.
const W: usize = 8;

/// Keys and values of one sequence and layer.
#[derive(Clone, Default)]
pub struct KeyValues {
    head_dim: usize,
    len: usize,
    /// By head: positions in eights, then dimensions, then the eight.
    keys: Vec<Vec<f32>>,
    /// By head and eight dimensions: positions, then the eight.
    values: Vec<Vec<f32>>,
}

/// What attention needs to know besides queries, keys and values.
pub struct Shape<'a> {
    /// Query heads, a multiple of those of the keys.
    pub heads: usize,
    /// Positions that a query sees, itself included; `None` for all before it.
    pub window: Option<usize>,
    /// Taken times every score.
    pub scale: f32,
    /// Penalty for each position of distance, by head; empty for none.
    pub slopes: &'a [f32],
}

impl KeyValues {
    /// None yet, for `heads` heads of `head_dim` dimensions.
    pub fn new(heads: usize, head_dim: usize) -> Self {
        Self {
            head_dim,
            len: 0,
            keys: vec![vec![]; heads],
            values: vec![vec![]; heads * head_dim.div_ceil(W)],
        }
    }

    /// Appends positions: rows of heads × dimensions.
    pub fn push(&mut self, keys: &[f32], values: &[f32]) {
        let (d, heads) = (self.head_dim, self.keys.len());
        let parts = d.div_ceil(W);
        for (key, value) in keys.chunks_exact(heads * d).zip(values.chunks_exact(heads * d)) {
            let lane = self.len % W;
            for (panel, key) in self.keys.iter_mut().zip(key.chunks_exact(d)) {
                if lane == 0 {
                    panel.resize(panel.len() + d * W, 0.0);
                }
                let from = self.len / W * d * W;
                for (to, v) in panel[from..].chunks_exact_mut(W).zip(key) {
                    to[lane] = *v;
                }
            }
            for (panels, value) in self.values.chunks_exact_mut(parts).zip(value.chunks_exact(d)) {
                for (panel, value) in panels.iter_mut().zip(value.chunks(W)) {
                    panel.extend_from_slice(value);
                    panel.resize(panel.len() + W - value.len(), 0.0);
                }
            }
            self.len += 1;
        }
    }

    /// Attention of the last positions, one for each row of `q` (heads ×
    /// dimensions), written to `out` of the same shape.
    pub fn attend(&self, q: &[f32], shape: &Shape<'_>, out: &mut [f32]) {
        let (d, width) = (self.head_dim, shape.heads * self.head_dim);
        let rows = q.len() / width;
        let group = shape.heads / self.keys.len().max(1);
        let mut work = Work::default();
        // A query is a row and a head; those that share keys go together.
        let queries: Vec<(usize, usize)> =
            (0..rows).flat_map(|r| (0..group).map(move |g| (r, g))).collect();
        for (head, keys) in self.keys.iter().enumerate() {
            let values = &self.values[head * d.div_ceil(W)..(head + 1) * d.div_ceil(W)];
            for block in queries.chunks(BLOCK) {
                let place = |(r, g): (usize, usize)| r * width + (head * group + g) * d;
                let seen = |r: usize| {
                    let here = self.len - rows + r;
                    shape.window.map_or(0, |w| (here + 1).saturating_sub(w))..here + 1
                };
                let span = seen(block[0].0).start / W * W..seen(block[block.len() - 1].0).end;
                let query = |i: usize| &q[place(block[i])..][..d];
                work.scores(block.len(), keys, &span, shape.scale, query);
                for (i, query) in block.iter().enumerate() {
                    let slope = shape.slopes.get(head * group + query.1).copied();
                    work.weigh(i, &span, seen(query.0), slope);
                }
                for (part, values) in values.iter().enumerate() {
                    let live = W.min(d - part * W);
                    work.sums(block.len(), &values[span.start * W..span.end * W]);
                    for (i, query) in block.iter().enumerate() {
                        let at = place(*query) + part * W;
                        for (to, sum) in out[at..at + live].iter_mut().zip(&work.sums[i]) {
                            *to = sum * work.inverses[i];
                        }
                    }
                }
            }
        }
    }
}

/// Room for one block of queries.
#[derive(Default)]
struct Work {
    /// Dimensions × queries.
    queries: Vec<f32>,
    /// Queries × positions; from scores to their exponentials.
    scores: Vec<f32>,
    /// What makes these to shares of 1.
    inverses: [f32; BLOCK],
    /// Values, weighted: queries × eight dimensions.
    sums: [[f32; W]; BLOCK],
}

impl Work {
    /// Scores of the `m` queries that `query` gives against the keys of `span`.
    fn scores<'a>(
        &mut self,
        m: usize,
        keys: &[f32],
        span: &Range<usize>,
        scale: f32,
        query: impl Fn(usize) -> &'a [f32],
    ) {
        let d = query(0).len();
        self.queries.resize(m * d, 0.0);
        for i in 0..m {
            for (to, v) in self.queries.chunks_exact_mut(m).zip(query(i)) {
                to[i] = *v * scale;
            }
        }
        let n = span.len().next_multiple_of(W);
        self.scores.resize(m * n, 0.0);
        let panels = keys[span.start * d..].chunks_exact(d * W);
        for (panel, at) in panels.zip((0..n).step_by(W)) {
            float::narrow(m, &self.queries, panel, Columns { n, at, live: W }, &mut self.scores);
        }
    }

    /// Takes the scores of query `i` to the power of e over the positions `seen`; the
    /// others count nothing.
    fn weigh(&mut self, i: usize, span: &Range<usize>, seen: Range<usize>, slope: Option<f32>) {
        let n = span.len().next_multiple_of(W);
        let scores = &mut self.scores[i * n..(i + 1) * n];
        let (from, to) = (seen.start - span.start, seen.end - span.start);
        scores[..from].fill(0.0);
        scores[to..].fill(0.0);
        let scores = &mut scores[from..to];
        if let Some(slope) = slope {
            for (distance, s) in scores.iter_mut().rev().enumerate() {
                *s -= slope * distance as f32;
            }
        }
        self.inverses[i] = 1.0 / exponentials(scores);
    }

    /// Eight dimensions of the values of a span, weighted for `m` queries.
    fn sums(&mut self, m: usize, values: &[f32]) {
        let n = (values.len() / W).next_multiple_of(W);
        self.sums = [[0.0; W]; BLOCK];
        float::weighted(&self.scores, n, values, &mut self.sums[..m]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;

    /// The oracle, in double precision, one query after another.
    fn plain(
        (q, k, v): (&[f32], &[f32], &[f32]),
        (kv_heads, d): (usize, usize),
        shape: &Shape<'_>,
    ) -> Vec<f32> {
        let (width, kw) = (shape.heads * d, kv_heads * d);
        let past = k.len() / kw - q.len() / width;
        let mut out = vec![];
        for (row, q) in q.chunks(width).enumerate() {
            let here = past + row;
            let from = shape.window.map_or(0, |w| (here + 1).saturating_sub(w));
            for (head, q) in q.chunks(d).enumerate() {
                let column = head / (shape.heads / kv_heads) * d;
                let scores: Vec<f32> = (from..=here)
                    .map(|j| {
                        let dot: f64 = (0..d)
                            .map(|i| f64::from(q[i]) * f64::from(k[j * kw + column + i]))
                            .sum();
                        let slope = shape.slopes.get(head).copied().unwrap_or(0.0);
                        dot as f32 * shape.scale - slope * (here - j) as f32
                    })
                    .collect();
                let shares = naive::softmax(&scores);
                out.extend((0..d).map(|i| {
                    let sum: f64 = shares
                        .iter()
                        .zip(from..)
                        .map(|(p, j)| f64::from(*p) * f64::from(v[j * kw + column + i]))
                        .sum();
                    sum as f32
                }));
            }
        }
        out
    }

    #[test]
    fn agrees_with_the_oracle_and_with_itself() {
        for (heads, kv_heads, d, len, window) in [
            (1, 1, 8, 1, None),
            (6, 2, 12, 37, None),
            (4, 4, 16, 40, Some(9)),
            (3, 1, 5, 9, Some(1)),
        ] {
            let (qw, kw) = (heads * d, kv_heads * d);
            let q = naive::noise(len * qw, 1);
            let (k, v) = (naive::noise(len * kw, 2), naive::noise(len * kw, 3));
            let slopes: Vec<f32> = (0..heads).map(|h| h as f32 * 0.1).collect();
            for slopes in [&slopes[..], &[]] {
                let shape = Shape { heads, window, scale: 0.7, slopes };
                let expected = plain((&q, &k, &v), (kv_heads, d), &shape);
                let mut all = KeyValues::new(kv_heads, d);
                all.push(&k, &v);
                let mut out = vec![f32::NAN; len * qw];
                all.attend(&q, &shape, &mut out);
                for (a, b) in out.iter().zip(&expected) {
                    assert!((a - b).abs() < 1e-5, "{heads} {d} {len}: {a} {b}");
                }
                // Position by position, as generation goes, the bits are the same.
                let mut grown = KeyValues::new(kv_heads, d);
                for i in 0..len {
                    grown.push(&k[i * kw..(i + 1) * kw], &v[i * kw..(i + 1) * kw]);
                    let mut alone = vec![0.0; qw];
                    grown.attend(&q[i * qw..(i + 1) * qw], &shape, &mut alone);
                    assert_eq!(alone, out[i * qw..(i + 1) * qw]);
                }
            }
        }
    }
}
