//! The layers: tokens in, last hidden states out.
//!
//! Several sequences go through together: their rows are stacked for every
//! matrix product, and only attention treats them apart. Nothing is padded.
//! All rows pass one layer before the next, in batches that keep to the working
//! memory, so that a layer's weights need to be there only once.

use super::config::{Activation, Config, Position, Residual};
use super::kernels::attention::{KeyValues, Shape};
use super::kernels::{self, math};
use super::stores::Stores;
use super::weights::{Layer, Weights};
use crate::error::Result;
use std::ops::Range;

/// Keys and values of one sequence so far, by layer.
#[derive(Clone, Default)]
pub struct Cache {
    layers: Vec<KeyValues>,
    len: usize,
}

impl Cache {
    /// An empty cache for the layers of a model.
    pub fn new(c: &Config) -> Self {
        Self { layers: vec![KeyValues::new(c.kv_heads, c.head_dim); c.layers], len: 0 }
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Tokens of a sequence.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    /// The tokens.
    pub tokens: &'a [u32],
    /// The segment, earlier in the list, that they go on from.
    pub parent: Option<usize>,
}

impl<'a> Segment<'a> {
    /// Tokens that go on from no other segment.
    pub fn alone(tokens: &'a [u32]) -> Self {
        Self { tokens, parent: None }
    }
}

/// A part of one segment in one batch.
struct Span {
    segment: usize,
    /// First row within the batch.
    row: usize,
    /// Rows.
    len: usize,
}

/// Rows that are multiplied together.
struct Batch {
    /// Of all rows.
    rows: Range<usize>,
    spans: Vec<Span>,
    tables: Rotations,
}

/// Hidden states (Σ len × embedding width, normalised, ready for the head) of
/// `segments`, at most `limit` rows at a time. With `caches`, one for each, those
/// without a parent continue where theirs stopped, and all are there afterwards.
/// `done` hears the rows that passed a layer.
///
/// # Errors
/// As [`kernels::matmul`], and where a layer cannot be read.
pub fn hidden(
    config: &Config,
    weights: &Weights,
    segments: &[Segment<'_>],
    mut caches: Option<&mut [Cache]>,
    limit: usize,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<f32>> {
    let mut starts: Vec<usize> = vec![];
    for (s, segment) in segments.iter().enumerate() {
        starts.push(match segment.parent {
            Some(p) => starts[p] + segments[p].tokens.len(),
            None => caches.as_deref().map_or(0, |c| c[s].len),
        });
    }
    let positions: Vec<usize> =
        segments.iter().zip(&starts).flat_map(|(s, from)| *from..from + s.tokens.len()).collect();
    let mut x = embed(config, weights, segments, &positions)?;
    let batches = batches(config, segments, &positions, limit.max(1));
    for i in 0..config.layers {
        let layer = weights.layer(i)?;
        let kept = caches.as_deref_mut().map(|c| c.iter_mut().map(|c| &mut c.layers[i]).collect());
        let mut stores = Stores::new(config, segments, kept);
        for batch in &batches {
            let rows = batch.rows.start * config.hidden..batch.rows.end * config.hidden;
            self::layer(config, &layer, i, &mut x[rows], batch, &mut stores)?;
            done(batch.rows.len());
        }
    }
    if let Some(caches) = caches {
        let ends = segments.iter().zip(starts).map(|(s, from)| from + s.tokens.len());
        caches.iter_mut().zip(ends).for_each(|(c, end)| c.len = end);
    }
    if let Some(norm) = &weights.final_norm {
        norm.apply(&mut x);
    }
    match &weights.project_out {
        Some(project) => project.apply(&x),
        None => Ok(x),
    }
}

/// The rows of all segments, cut where a batch is full.
fn batches(
    config: &Config,
    segments: &[Segment<'_>],
    positions: &[usize],
    limit: usize,
) -> Vec<Batch> {
    let mut batches = vec![];
    let (mut spans, mut from, mut rows) = (vec![], 0, 0);
    let mut close = |spans: &mut Vec<Span>, rows: Range<usize>| {
        if !rows.is_empty() {
            let tables = Rotations::new(config, &positions[rows.clone()]);
            batches.push(Batch { rows, spans: std::mem::take(spans), tables });
        }
    };
    for (segment, s) in segments.iter().enumerate() {
        let mut left = s.tokens.len();
        while left > 0 {
            let len = left.min(limit - (rows - from));
            spans.push(Span { segment, row: rows - from, len });
            rows += len;
            left -= len;
            if rows - from == limit {
                close(&mut spans, from..rows);
                from = rows;
            }
        }
    }
    close(&mut spans, from..rows);
    batches
}

fn embed(
    config: &Config,
    weights: &Weights,
    segments: &[Segment<'_>],
    positions: &[usize],
) -> Result<Vec<f32>> {
    let mut x = Vec::with_capacity(positions.len() * config.embedding);
    for token in segments.iter().flat_map(|s| s.tokens) {
        x.extend(weights.embedding.row(*token as usize)?);
    }
    if config.embedding_scale != 1.0 {
        x.iter_mut().for_each(|v| *v *= config.embedding_scale);
    }
    if let Some(project) = &weights.project_in {
        x = project.apply(&x)?;
    }
    if let (Some(table), Position::Learned { offset }) = (&weights.positions, &config.position) {
        for (row, position) in x.chunks_exact_mut(config.hidden).zip(positions) {
            kernels::add(row, &table.row(position + offset)?);
        }
    }
    if let Some(norm) = &weights.embedding_norm {
        norm.apply(&mut x);
    }
    Ok(x)
}

fn layer(
    c: &Config,
    w: &Layer,
    index: usize,
    x: &mut [f32],
    batch: &Batch,
    stores: &mut Stores<'_>,
) -> Result<()> {
    let post = c.residual == Residual::PostNorm;
    let mut h = x.to_vec();
    if !post {
        w.attention_norm.apply(&mut h);
    }
    let mut a = attention(c, w, index, &h, batch, stores)?;
    if let Some(norm) = &w.attention_output_norm {
        norm.apply(&mut a);
    }
    match c.residual {
        Residual::Sequential => {
            kernels::add(x, &a);
            h.copy_from_slice(x);
        }
        Residual::Parallel => h.copy_from_slice(x),
        Residual::ParallelShared => {}
        Residual::PostNorm => {
            kernels::add(x, &a);
            w.attention_norm.apply(x);
            h.copy_from_slice(x);
        }
    }
    if let (false, Some(norm)) = (post, &w.mlp_norm) {
        norm.apply(&mut h);
    }
    let mut m = mlp(c, w, &h)?;
    if let Some(norm) = &w.mlp_output_norm {
        norm.apply(&mut m);
    }
    if matches!(c.residual, Residual::Parallel | Residual::ParallelShared) {
        kernels::add(x, &a);
    }
    kernels::add(x, &m);
    if let (true, Some(norm)) = (post, &w.mlp_norm) {
        norm.apply(x);
    }
    Ok(())
}

fn mlp(c: &Config, w: &Layer, h: &[f32]) -> Result<Vec<f32>> {
    let input = w.up.input(h);
    let mut up = w.up.apply_to(h, &input)?;
    match &w.gate {
        Some(gate) => {
            let mut gate = gate.apply_to(h, &input)?;
            activate(c.activation, &mut gate);
            for (u, g) in up.iter_mut().zip(&gate) {
                *u *= g;
            }
        }
        None => activate(c.activation, &mut up),
    }
    w.down.apply(&up)
}

fn activate(kind: Activation, x: &mut [f32]) {
    let exp = math::Exp::opaque();
    match kind {
        Activation::Silu => x.iter_mut().for_each(|v| *v = exp.silu(*v)),
        Activation::Gelu => x.iter_mut().for_each(|v| *v = math::gelu(*v)),
        Activation::GeluTanh => x.iter_mut().for_each(|v| *v = exp.gelu_tanh(*v)),
        Activation::Relu => x.iter_mut().for_each(|v| *v = v.max(0.0)),
    }
}

/// Attention of a batch: rows × hidden.
fn attention(
    c: &Config,
    w: &Layer,
    index: usize,
    h: &[f32],
    batch: &Batch,
    stores: &mut Stores<'_>,
) -> Result<Vec<f32>> {
    let input = w.query.input(h);
    let (mut q, mut k) = (w.query.apply_to(h, &input)?, w.key.apply_to(h, &input)?);
    let v = w.value.apply_to(h, &input)?;
    if let Some(norm) = &w.query_norm {
        norm.apply(&mut q);
    }
    if let Some(norm) = &w.key_norm {
        norm.apply(&mut k);
    }
    batch.tables.rotate(c, index, &mut q);
    batch.tables.rotate(c, index, &mut k);
    let (qw, kw) = (c.q_width(), c.kv_width());
    let mut out = vec![0.0; q.len()];
    let slopes = if c.position == Position::Alibi { alibi_slopes(c.heads) } else { vec![] };
    let shape = Shape {
        heads: c.heads,
        window: c.windows[index],
        scale: c.attention_scale,
        slopes: &slopes,
    };
    for span in &batch.spans {
        let of = |width: usize| span.row * width..(span.row + span.len) * width;
        let store = stores.of(span.segment);
        store.push(&k[of(kw)], &v[of(kw)]);
        store.attend(&q[of(qw)], &shape, &mut out[of(qw)]);
    }
    w.output.apply(&out)
}

/// One slope per head (Press et al., "Train Short, Test Long", 2022, section 3).
pub fn alibi_slopes(heads: usize) -> Vec<f32> {
    let power = 1 << heads.ilog2();
    let slope = |i: usize, n: usize| libm::pow(2.0, -8.0 * i as f64 / n as f64) as f32;
    (1..=power)
        .map(|i| slope(i, power))
        .chain((0..heads - power).map(|i| slope(2 * i + 1, 2 * power)))
        .collect()
}

/// Cosine and sine of every row's position, for global and for local layers.
struct Rotations {
    global: Vec<(f32, f32)>,
    local: Option<Vec<(f32, f32)>>,
}

impl Rotations {
    fn new(c: &Config, positions: &[usize]) -> Self {
        let table = |frequencies: &[f32]| {
            let angles =
                positions.iter().flat_map(|p| frequencies.iter().map(move |f| *p as f32 * f));
            angles
                .map(|a| (libm::cos(f64::from(a)) as f32, libm::sin(f64::from(a)) as f32))
                .collect()
        };
        match &c.position {
            Position::Rotary(r) => Self {
                global: table(&r.frequencies),
                local: r.local_frequencies.as_deref().map(table),
            },
            _ => Self { global: vec![], local: None },
        }
    }

    /// Turns every head of every row of `x`, in place.
    fn rotate(&self, c: &Config, layer: usize, x: &mut [f32]) {
        let Position::Rotary(r) = &c.position else { return };
        let half = r.dims / 2;
        if half == 0 || self.global.is_empty() {
            return;
        }
        let table = match &self.local {
            Some(local) if c.windows[layer].is_some() => local,
            _ => &self.global,
        };
        let width = x.len() / (table.len() / half);
        for (row, turns) in x.chunks_exact_mut(width).zip(table.chunks_exact(half)) {
            for head in row.chunks_exact_mut(c.head_dim) {
                for (i, (cos, sin)) in turns.iter().enumerate() {
                    let (a, b) = if r.interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
                    let (u, v) = (head[a], head[b]);
                    head[a] = u * cos - v * sin;
                    head[b] = v * cos + u * sin;
                }
            }
        }
    }
}
