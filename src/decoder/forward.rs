//! The layers: tokens in, last hidden states out.
//!
//! Several sequences go through together: their rows are stacked for every
//! matrix product, and only attention treats them apart. Nothing is padded.

use super::config::{Activation, Config, Position, Residual};
use super::kernels::attention::{KeyValues, Shape};
use super::kernels::{self, math};
use super::weights::{Layer, Weights};
use crate::error::Result;

/// Keys and values of one sequence so far, by layer.
#[derive(Clone)]
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

/// One sequence's share of the stacked rows.
struct Span {
    /// First row.
    row: usize,
    /// Rows.
    len: usize,
    /// Positions before them, in the cache.
    past: usize,
}

/// Hidden states (Σ len × embedding width, normalised, ready for the head) of
/// `sequences`; with `caches`, one for each, sequences continue where they stopped.
pub fn hidden(
    config: &Config,
    weights: &Weights,
    sequences: &[&[u32]],
    mut caches: Option<&mut [Cache]>,
) -> Result<Vec<f32>> {
    let mut spans = vec![];
    let mut rows = 0;
    for (s, tokens) in sequences.iter().enumerate() {
        let past = caches.as_deref().map_or(0, |c| c[s].len);
        spans.push(Span { row: rows, len: tokens.len(), past });
        rows += tokens.len();
    }
    let positions: Vec<usize> = spans.iter().flat_map(|s| s.past..s.past + s.len).collect();
    let mut x = embed(config, weights, sequences, &positions)?;
    let tables = Rotations::new(config, &positions);
    for (i, layer) in weights.layers.iter().enumerate() {
        let mut stores = caches
            .as_deref_mut()
            .map(|c| c.iter_mut().map(|c| &mut c.layers[i]).collect::<Vec<_>>());
        self::layer(config, layer, i, &mut x, &spans, &tables, stores.as_deref_mut())?;
    }
    for (s, span) in spans.iter().enumerate() {
        if let Some(caches) = caches.as_deref_mut() {
            caches[s].len += span.len;
        }
    }
    if let Some(norm) = &weights.final_norm {
        norm.apply(&mut x);
    }
    match &weights.project_out {
        Some(project) => project.apply(&x),
        None => Ok(x),
    }
}

fn embed(
    config: &Config,
    weights: &Weights,
    sequences: &[&[u32]],
    positions: &[usize],
) -> Result<Vec<f32>> {
    let mut x = Vec::with_capacity(positions.len() * config.embedding);
    for token in sequences.iter().flat_map(|s| s.iter()) {
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

type Store<'a> = &'a mut KeyValues;

fn layer(
    c: &Config,
    w: &Layer,
    index: usize,
    x: &mut [f32],
    spans: &[Span],
    tables: &Rotations,
    stores: Option<&mut [Store<'_>]>,
) -> Result<()> {
    let post = c.residual == Residual::PostNorm;
    let mut h = x.to_vec();
    if !post {
        w.attention_norm.apply(&mut h);
    }
    let mut a = attention(c, w, index, &h, spans, tables, stores)?;
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
    match kind {
        Activation::Silu => x.iter_mut().for_each(|v| *v = math::silu(*v)),
        Activation::Gelu => x.iter_mut().for_each(|v| *v = math::gelu(*v)),
        Activation::GeluTanh => x.iter_mut().for_each(|v| *v = math::gelu_tanh(*v)),
        Activation::Relu => x.iter_mut().for_each(|v| *v = v.max(0.0)),
    }
}

/// Attention of all spans: rows × hidden.
fn attention(
    c: &Config,
    w: &Layer,
    index: usize,
    h: &[f32],
    spans: &[Span],
    tables: &Rotations,
    mut stores: Option<&mut [Store<'_>]>,
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
    tables.rotate(c, index, &mut q);
    tables.rotate(c, index, &mut k);
    let (qw, kw) = (c.q_width(), c.kv_width());
    let mut out = vec![0.0; q.len()];
    let slopes = if c.position == Position::Alibi { alibi_slopes(c.heads) } else { vec![] };
    let shape = Shape {
        heads: c.heads,
        window: c.windows[index],
        scale: c.attention_scale,
        slopes: &slopes,
    };
    for (s, span) in spans.iter().enumerate() {
        let of = |width: usize| span.row * width..(span.row + span.len) * width;
        let mut own = KeyValues::new(c.kv_heads, c.head_dim);
        let store = match stores.as_deref_mut() {
            Some(stores) => &mut *stores[s],
            None => &mut own,
        };
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
