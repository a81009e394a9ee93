//! Activations times a weight matrix.
//!
//! Weights are unpacked once per tile and multiplied against all positions.
//! Each output is the sum over the inputs in ascending order, started at zero,
//! the bias added last: one order whatever the block sizes, so the vector
//! width is a matter of speed only.

use super::matrix::{Matrix, TILE_ROWS};
use crate::error::Result;
use std::ops::Range;

/// Positions in a register block.
const BLOCK: usize = 6;

/// `out` (m × n) = `x` (m × k) · wᵀ (k × n) + bias.
///
/// # Errors
/// None in a matrix that loaded.
pub fn matmul(x: &[f32], w: &Matrix, bias: Option<&[f32]>, out: &mut [f32]) -> Result<()> {
    columns(x, w, bias, 0..w.tiles(), out)
}

/// As [`matmul`], for the outputs of some `tiles` only: `out` is m × (their rows).
///
/// # Errors
/// As [`matmul`].
pub fn columns(
    x: &[f32],
    w: &Matrix,
    bias: Option<&[f32]>,
    tiles: Range<usize>,
    out: &mut [f32],
) -> Result<()> {
    let k = w.cols();
    let first = tiles.start * TILE_ROWS;
    let n = (tiles.end * TILE_ROWS).min(w.rows()) - first;
    debug_assert_eq!(out.len(), x.len() / k * n);
    let width = simd::panel_width();
    let x = Blocks::new(x, k);
    let mut panel = vec![0.0; width * k];
    for t in tiles {
        let values = w.tile(t)?;
        for (i, rows) in values.chunks(width * k).enumerate() {
            interleave(rows, k, width, &mut panel);
            let at = Columns { n, at: t * TILE_ROWS + i * width - first, live: rows.len() / k };
            simd::panel(&x, &panel, at, out);
        }
    }
    if let Some(bias) = bias {
        for row in out.chunks_mut(n) {
            super::add(row, &bias[first..first + n]);
        }
    }
    Ok(())
}

/// Where a panel's results go: `live` columns from `at` in rows of `n`.
#[derive(Clone, Copy)]
struct Columns {
    n: usize,
    at: usize,
    live: usize,
}

/// Activations in blocks of [`BLOCK`] positions, each interleaved; the last
/// block may have fewer.
struct Blocks {
    values: Vec<f32>,
    k: usize,
}

impl Blocks {
    fn new(x: &[f32], k: usize) -> Self {
        let mut values = vec![0.0; x.len()];
        for (from, to) in x.chunks(BLOCK * k).zip(values.chunks_mut(BLOCK * k)) {
            interleave(from, k, from.len() / k, to);
        }
        Self { values, k }
    }
}

/// Turns the rows of `from` (each `k` long) into the columns of `to` (k ×
/// `width`); absent rows become zeros.
fn interleave(from: &[f32], k: usize, width: usize, to: &mut [f32]) {
    if from.len() < width * k {
        to.fill(0.0);
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
        match block.len() / x.k {
            BLOCK => block_of::<BLOCK, W>(block, panel, to, out),
            5 => block_of::<5, W>(block, panel, to, out),
            4 => block_of::<4, W>(block, panel, to, out),
            3 => block_of::<3, W>(block, panel, to, out),
            2 => block_of::<2, W>(block, panel, to, out),
            _ => block_of::<1, W>(block, panel, to, out),
        }
    }
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

/// The same loop compiled for wider vectors where the processor has them.
#[cfg(target_arch = "x86_64")]
mod simd {
    use super::{Blocks, Columns, all_positions};

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
}

/// 128-bit vectors: WebAssembly's, or whatever the target has.
#[cfg(not(target_arch = "x86_64"))]
mod simd {
    use super::{Blocks, Columns, all_positions};

    pub fn panel_width() -> usize {
        8
    }

    pub fn panel(x: &Blocks, panel: &[f32], to: Columns, out: &mut [f32]) {
        all_positions::<8>(x, panel, to, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;

    #[test]
    fn agrees_with_the_oracle_and_with_itself() {
        for (m, k, n) in [(1, 32, 5), (6, 64, 32), (7, 33, 40), (13, 96, 100), (20, 8, 1)] {
            let (x, w, b) = (naive::noise(m * k, 1), naive::noise(n * k, 2), naive::noise(n, 3));
            let matrix = Matrix::from_f32(&w, k).unwrap();
            let mut out = vec![f32::NAN; m * n];
            matmul(&x, &matrix, Some(&b), &mut out).unwrap();
            for (a, b) in out.iter().zip(naive::matmul(&x, &w, Some(&b), k)) {
                assert!((a - b).abs() < 1e-4, "{m} {k} {n}: {a} {b}");
            }
            // Narrow panels and single positions give the same bits.
            for (i, row) in x.chunks(k).enumerate() {
                for j in 0..n {
                    let sum =
                        row.iter().zip(&w[j * k..]).fold(0.0_f32, |s, (a, b)| s + a * b) + b[j];
                    assert_eq!(sum.to_bits(), out[i * n + j].to_bits());
                }
            }
        }
    }

    #[test]
    fn some_tiles_are_those_columns_of_all() {
        let (m, k, n) = (3, 16, 70);
        let (x, w) = (naive::noise(m * k, 4), naive::noise(n * k, 5));
        let matrix = Matrix::from_f32(&w, k).unwrap();
        let (mut all, mut some) = (vec![0.0; m * n], vec![0.0; m * 38]);
        matmul(&x, &matrix, None, &mut all).unwrap();
        columns(&x, &matrix, None, 1..3, &mut some).unwrap();
        for i in 0..m {
            assert_eq!(all[i * n + 32..(i + 1) * n], some[i * 38..(i + 1) * 38]);
        }
    }
}
