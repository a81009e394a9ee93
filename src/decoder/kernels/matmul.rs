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
    let m = x.len() / k;
    let first = tiles.start * TILE_ROWS;
    let n = (tiles.end * TILE_ROWS).min(w.rows()) - first;
    debug_assert_eq!(out.len(), m * n);
    let width = simd::panel_width();
    let mut panel = vec![0.0; width * k];
    for t in tiles {
        let values = w.tile(t)?;
        let rows = values.len() / k;
        for from in (0..rows).step_by(width) {
            let live = width.min(rows - from);
            pack(&values[from * k..(from + live) * k], k, width, &mut panel);
            let at = t * TILE_ROWS + from - first;
            simd::panel(x, &panel, k, n, at, live, out);
        }
    }
    if let Some(bias) = bias {
        for row in out.chunks_mut(n) {
            super::add(row, &bias[first..first + n]);
        }
    }
    Ok(())
}

/// Interleaves `live` rows of `values` into columns of a k × width panel;
/// absent rows become zero columns.
fn pack(values: &[f32], k: usize, width: usize, panel: &mut [f32]) {
    let live = values.len() / k;
    if live < width {
        panel.fill(0.0);
    }
    for (j, row) in values.chunks_exact(k).enumerate() {
        for (column, v) in panel.chunks_exact_mut(width).zip(row) {
            column[j] = *v;
        }
    }
}

/// All positions against one panel of `W` weight rows, `live` of them real.
#[inline(always)]
fn all_positions<const W: usize>(
    x: &[f32],
    panel: &[f32],
    k: usize,
    n: usize,
    at: usize,
    live: usize,
    out: &mut [f32],
) {
    let mut blocks = x.chunks_exact(BLOCK * k);
    let mut rows = out.chunks_exact_mut(BLOCK * n);
    for (block, rows) in blocks.by_ref().zip(rows.by_ref()) {
        block_of::<BLOCK, W>(block, panel, k, n, at, live, rows);
    }
    for (row, out) in
        blocks.remainder().chunks_exact(k).zip(rows.into_remainder().chunks_exact_mut(n))
    {
        block_of::<1, W>(row, panel, k, n, at, live, out);
    }
}

/// `M` positions against one panel: the register block.
#[inline(always)]
fn block_of<const M: usize, const W: usize>(
    x: &[f32],
    panel: &[f32],
    k: usize,
    n: usize,
    at: usize,
    live: usize,
    out: &mut [f32],
) {
    let mut acc = [[0.0_f32; W]; M];
    let x: [&[f32]; M] = std::array::from_fn(|i| &x[i * k..(i + 1) * k]);
    for (j, column) in panel.chunks_exact(W).enumerate().take(k) {
        for i in 0..M {
            let a = x[i][j];
            for l in 0..W {
                acc[i][l] += a * column[l];
            }
        }
    }
    for i in 0..M {
        out[i * n + at..i * n + at + live].copy_from_slice(&acc[i][..live]);
    }
}

/// The same loop compiled for wider vectors where the processor has them.
#[cfg(target_arch = "x86_64")]
mod simd {
    use super::all_positions;

    pub fn panel_width() -> usize {
        if is_x86_feature_detected!("avx2") { 16 } else { 8 }
    }

    // Fused multiply-add stays off: it would round differently from wasm.
    #[target_feature(enable = "avx2")]
    fn wide(x: &[f32], panel: &[f32], k: usize, n: usize, at: usize, live: usize, out: &mut [f32]) {
        all_positions::<16>(x, panel, k, n, at, live, out);
    }

    pub fn panel(
        x: &[f32],
        panel: &[f32],
        k: usize,
        n: usize,
        at: usize,
        live: usize,
        out: &mut [f32],
    ) {
        if panel_width() == 16 {
            // SAFETY: the width is 16 only where the processor has AVX2.
            unsafe { wide(x, panel, k, n, at, live, out) }
        } else {
            all_positions::<8>(x, panel, k, n, at, live, out);
        }
    }
}

/// 128-bit vectors: WebAssembly's, or whatever the target has.
#[cfg(not(target_arch = "x86_64"))]
mod simd {
    pub fn panel_width() -> usize {
        8
    }

    pub fn panel(
        x: &[f32],
        panel: &[f32],
        k: usize,
        n: usize,
        at: usize,
        live: usize,
        out: &mut [f32],
    ) {
        super::all_positions::<8>(x, panel, k, n, at, live, out);
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
