//! Float activations times float weights, or weights that candle unpacks.
//!
//! Each output is the sum over the inputs in ascending order, started at zero:
//! one order whatever the block sizes, so the vector width is a matter of speed
//! only.

use super::product::Columns;

/// Positions in a register block: as many as registers hold, of which V8 has fifteen.
pub const BLOCK: usize = if cfg!(target_arch = "wasm32") { 4 } else { 6 };

/// Weight rows in a panel.
pub fn panel_width() -> usize {
    simd::panel_width()
}

/// All positions against one panel of [`panel_width`] weight rows.
pub fn panel(x: &Blocks, panel: &[f32], to: Columns, out: &mut [f32]) {
    simd::panel(x, panel, to, out);
}

/// All positions against a tile of weight rows of `k` values, from column
/// `to.at` on.
pub fn tile(x: &Blocks, rows: &[f32], to: Columns, panel: &mut Vec<f32>, out: &mut [f32]) {
    let (k, width) = (x.k, simd::panel_width());
    panel.resize(width * k, 0.0);
    for (i, rows) in rows.chunks(width * k).enumerate() {
        interleave(rows, k, width, panel);
        simd::panel(x, panel, Columns { at: to.at + i * width, live: rows.len() / k, ..to }, out);
    }
}

/// Activations in blocks of [`BLOCK`] positions, each interleaved; the last
/// block may have fewer.
pub struct Blocks {
    values: Vec<f32>,
    k: usize,
}

impl Blocks {
    /// Values in a row.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Arranges `x`, rows of `k` values.
    pub fn new(x: &[f32], k: usize) -> Self {
        let mut values = vec![0.0; x.len()];
        for (from, to) in x.chunks(BLOCK * k).zip(values.chunks_mut(BLOCK * k)) {
            interleave(from, k, from.len() / k, to);
        }
        Self { values, k }
    }
}

/// Turns the rows of `from` (each `k` long) into the columns of `to` (k ×
/// `width`); absent rows become zeros.
pub fn interleave<T: Copy + Default>(from: &[T], k: usize, width: usize, to: &mut [T]) {
    if from.len() < width * k {
        to.fill(T::default());
    }
    for (j, row) in from.chunks_exact(k).enumerate() {
        for (column, v) in to.chunks_exact_mut(width).zip(row) {
            column[j] = *v;
        }
    }
}

/// All positions against one panel of `W` weight rows.
#[inline(always)]
fn all_positions<const W: usize>(x: &Blocks, panel: &[f32], to: Columns, out: &mut [f32]) {
    for (block, out) in x.values.chunks(BLOCK * x.k).zip(out.chunks_mut(BLOCK * to.n)) {
        positions::<W>(block.len() / x.k, block, panel, to, out);
    }
}

/// One block of `m` positions, interleaved, against one panel.
#[inline(always)]
fn positions<const W: usize>(m: usize, x: &[f32], panel: &[f32], to: Columns, out: &mut [f32]) {
    match m {
        6 => block_of::<6, W>(x, panel, to, out),
        5 => block_of::<5, W>(x, panel, to, out),
        4 => block_of::<4, W>(x, panel, to, out),
        3 => block_of::<3, W>(x, panel, to, out),
        2 => block_of::<2, W>(x, panel, to, out),
        _ => block_of::<1, W>(x, panel, to, out),
    }
}

/// `m` interleaved positions ([`BLOCK`] at the most) against one panel of eight
/// columns; as many inputs as `panel` has.
pub fn narrow(m: usize, x: &[f32], panel: &[f32], to: Columns, out: &mut [f32]) {
    simd::narrow(m, x, panel, to, out);
}

/// `M` positions against one panel: the register block.
#[inline(always)]
fn block_of<const M: usize, const W: usize>(
    block: &[f32],
    panel: &[f32],
    to: Columns,
    out: &mut [f32],
) {
    let mut acc = [[0.0_f32; W]; M];
    let ((x, _), (w, _)) = (block.as_chunks::<M>(), panel.as_chunks::<W>());
    for (x, w) in x.iter().zip(w) {
        for i in 0..M {
            for l in 0..W {
                acc[i][l] += x[i] * w[l];
            }
        }
    }
    for (acc, row) in acc.iter().zip(out.chunks_exact_mut(to.n)) {
        row[to.at..to.at + to.live].copy_from_slice(&acc[..to.live]);
    }
}

/// Adds to each of `sums` ([`BLOCK`] at the most) the rows of `values`, eight columns
/// each, weighted by a row of `weights`; those rows start `n` apart.
pub fn weighted(weights: &[f32], n: usize, values: &[f32], sums: &mut [[f32; 8]]) {
    simd::weighted(weights, n, values, sums);
}

#[inline(always)]
fn weighted_rows(weights: &[f32], n: usize, values: &[f32], sums: &mut [[f32; 8]]) {
    match sums.len() {
        6 => weighted_of::<6>(weights, n, values, sums),
        5 => weighted_of::<5>(weights, n, values, sums),
        4 => weighted_of::<4>(weights, n, values, sums),
        3 => weighted_of::<3>(weights, n, values, sums),
        2 => weighted_of::<2>(weights, n, values, sums),
        _ => weighted_of::<1>(weights, n, values, sums),
    }
}

#[inline(always)]
fn weighted_of<const M: usize>(weights: &[f32], n: usize, values: &[f32], sums: &mut [[f32; 8]]) {
    let Some(sums) = sums.first_chunk_mut::<M>() else { return };
    let (values, _) = values.as_chunks::<8>();
    let weights: [&[f32]; M] = std::array::from_fn(|i| &weights[i * n..][..values.len()]);
    // Started from zeros, LLVM would put other sums together and take twice the time.
    let mut acc = *sums;
    for (j, v) in values.iter().enumerate() {
        for i in 0..M {
            let weight = weights[i][j];
            for l in 0..8 {
                acc[i][l] += weight * v[l];
            }
        }
    }
    *sums = acc;
}

/// The same loops compiled for wider vectors where the processor has them.
#[cfg(target_arch = "x86_64")]
mod simd {
    use super::{Blocks, Columns, all_positions, positions, weighted_rows};

    pub fn panel_width() -> usize {
        if is_x86_feature_detected!("avx2") { 16 } else { 8 }
    }

    // Fused multiply-add stays off: it would round differently from wasm.
    #[target_feature(enable = "avx2")]
    fn wide(x: &Blocks, panel: &[f32], to: Columns, out: &mut [f32]) {
        all_positions::<16>(x, panel, to, out);
    }

    pub fn panel(x: &Blocks, panel: &[f32], to: Columns, out: &mut [f32]) {
        if panel_width() == 16 {
            // SAFETY: the width is 16 only where the processor has AVX2.
            unsafe { wide(x, panel, to, out) }
        } else {
            all_positions::<8>(x, panel, to, out);
        }
    }

    #[target_feature(enable = "avx2")]
    fn wide_narrow(m: usize, x: &[f32], panel: &[f32], to: Columns, out: &mut [f32]) {
        positions::<8>(m, x, panel, to, out);
    }

    pub fn narrow(m: usize, x: &[f32], panel: &[f32], to: Columns, out: &mut [f32]) {
        if panel_width() == 16 {
            // SAFETY: as above.
            unsafe { wide_narrow(m, x, panel, to, out) }
        } else {
            positions::<8>(m, x, panel, to, out);
        }
    }

    #[target_feature(enable = "avx2")]
    fn wide_weighted(weights: &[f32], n: usize, values: &[f32], sums: &mut [[f32; 8]]) {
        weighted_rows(weights, n, values, sums);
    }

    pub fn weighted(weights: &[f32], n: usize, values: &[f32], sums: &mut [[f32; 8]]) {
        if panel_width() == 16 {
            // SAFETY: as above.
            unsafe { wide_weighted(weights, n, values, sums) }
        } else {
            weighted_rows(weights, n, values, sums);
        }
    }
}

/// 128-bit vectors: WebAssembly's, or whatever the target has.
#[cfg(not(target_arch = "x86_64"))]
mod simd {
    use super::{Blocks, Columns, all_positions, positions, weighted_rows};

    pub fn panel_width() -> usize {
        8
    }

    pub fn narrow(m: usize, x: &[f32], panel: &[f32], to: Columns, out: &mut [f32]) {
        positions::<8>(m, x, panel, to, out);
    }

    pub fn panel(x: &Blocks, panel: &[f32], to: Columns, out: &mut [f32]) {
        all_positions::<8>(x, panel, to, out);
    }

    pub fn weighted(weights: &[f32], n: usize, values: &[f32], sums: &mut [[f32; 8]]) {
        weighted_rows(weights, n, values, sums);
    }
}
