//! Activations times a weight matrix.
//!
//! Weights are unpacked once per tile and multiplied against all positions; the
//! bias is added last. Quantized weights are multiplied as whole numbers
//! ([`super::product`]), others as floats ([`super::float`]).

use super::float::{self, Blocks};
use super::input::Quantized;
use super::matrix::{Matrix, TILE_ROWS};
use super::packed::{PANEL, Panels};
use super::product::{self, Columns};
use crate::error::Result;
use std::ops::Range;

/// Activations, arranged for the products with one matrix.
pub struct Input(Kind);

enum Kind {
    Float(Blocks),
    Quantized(Quantized),
}

impl Input {
    /// Arranges `x`, rows as long as those of `w`.
    pub fn new(x: &[f32], w: &Matrix) -> Self {
        Self(match w.format() {
            Some(_) => Kind::Quantized(Quantized::new(x, w.cols())),
            None => Kind::Float(Blocks::new(x, w.cols())),
        })
    }

    /// Whether it is arranged as `w` needs it, too: it is where the rows are as
    /// long, and both are kept as floats or neither.
    pub fn fits(&self, w: &Matrix) -> bool {
        match &self.0 {
            Kind::Quantized(x) => w.format().is_some() && x.k() == w.cols(),
            Kind::Float(x) => w.format().is_none() && x.k() == w.cols(),
        }
    }
}

/// `out` (m × n) = `x` (m × k) · wᵀ (k × n) + bias.
///
/// # Errors
/// None in a matrix that loaded.
pub fn matmul(x: &[f32], w: &Matrix, bias: Option<&[f32]>, out: &mut [f32]) -> Result<()> {
    columns(&Input::new(x, w), w, bias, 0..w.tiles(), out)
}

/// As [`matmul`], for the outputs of some `tiles` only: `out` is m × (their rows).
///
/// # Errors
/// As [`matmul`].
pub fn columns(
    x: &Input,
    w: &Matrix,
    bias: Option<&[f32]>,
    tiles: Range<usize>,
    out: &mut [f32],
) -> Result<()> {
    let first = tiles.start * TILE_ROWS;
    let n = (tiles.end * TILE_ROWS).min(w.rows()) - first;
    match (&x.0, w.panels()) {
        (Kind::Quantized(x), Some(panels)) => {
            let mut room = panels.room();
            for at in (0..n).step_by(PANEL) {
                let (p, live) = ((first + at) / PANEL, (n - at).min(PANEL));
                if x.rows() == 1 {
                    let sums = product::single(x, panels, p, &mut room);
                    out[at..at + live].copy_from_slice(&sums[..live]);
                } else {
                    panels.unpack(p, &mut room);
                    product::panel(x, &room, Columns { n, at, live }, out);
                }
            }
        }
        (Kind::Float(x), None) if let Some(floats) = w.floats() => {
            let mut room = vec![];
            for at in (0..n).step_by(floats.width()) {
                let (p, live) = ((first + at) / floats.width(), (n - at).min(floats.width()));
                let panel = floats.panel(p, &mut room);
                float::panel(x, panel, Columns { n, at, live }, out);
            }
        }
        (Kind::Float(x), None) => {
            let mut panel = vec![];
            for (t, at) in tiles.zip((0..n).step_by(TILE_ROWS)) {
                float::tile(x, &w.tile(t)?, Columns { n, at, live: 0 }, &mut panel, out);
            }
        }
        _ => return Err(foreign()),
    }
    if let Some(bias) = bias {
        for row in out.chunks_mut(n) {
            super::add(row, &bias[first..first + n]);
        }
    }
    Ok(())
}

/// One output for each row of `x`, by the row of `w` that `rows` names: the bits
/// that [`matmul`] gives without a bias.
///
/// # Errors
/// As [`matmul`].
pub fn outputs(x: &[f32], w: &Matrix, rows: &[u32]) -> Result<Vec<f32>> {
    let mut room = w.panels().map(Panels::room);
    let mut out = Vec::with_capacity(rows.len());
    for (x, row) in x.chunks_exact(w.cols()).zip(rows) {
        let row = *row as usize;
        match (w.panels(), &mut room) {
            (Some(panels), Some(room)) => {
                let x = Quantized::new(x, w.cols());
                out.push(product::single(&x, panels, row / PANEL, room)[row % PANEL]);
            }
            _ => out.push(x.iter().zip(&w.row(row)?).fold(0.0_f32, |s, (a, b)| s + a * b)),
        }
    }
    Ok(out)
}

fn foreign() -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::Internal, "input arranged for another matrix")
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::super::packed::tests::FORMATS;
    use super::*;
    use candle_core::quantized::GgmlDType;

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

    /// A matrix of `n` quantized rows, and the floats that it stands for.
    fn quantized(n: usize, k: usize, dtype: GgmlDType) -> (Matrix, Vec<f32>) {
        let (bytes, floats) = super::super::packed::tests::quantized(n, k, dtype, 2);
        let mut matrix = Matrix::new(n, k, dtype);
        let tile = Matrix::row_bytes(k, dtype).unwrap() * TILE_ROWS;
        for bytes in bytes.chunks(tile) {
            matrix.push(bytes.len() * TILE_ROWS / tile, bytes).unwrap();
        }
        (matrix, floats)
    }

    #[test]
    fn quantized_products_agree_with_the_oracle_and_with_themselves() {
        for dtype in FORMATS {
            for (m, k, n) in [(1, 256, 5), (11, 512, 70), (8, 768, 64)] {
                let (x, b) = (naive::noise(m * k, 1), naive::noise(n, 3));
                let (matrix, w) = quantized(n, k, dtype);
                let mut out = vec![f32::NAN; m * n];
                matmul(&x, &matrix, Some(&b), &mut out).unwrap();
                let exact = naive::matmul(&x, &w, Some(&b), k);
                let size = exact.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                for (a, b) in out.iter().zip(&exact) {
                    assert!((a - b).abs() < 1e-4 * size, "{dtype:?} {m} {k} {n}: {a} {b}");
                }
                // A position alone, and an output alone, give the same bits.
                let mut alone = vec![0.0; n];
                for (x, row) in x.chunks(k).zip(out.chunks(n)) {
                    matmul(x, &matrix, Some(&b), &mut alone).unwrap();
                    assert_eq!(alone, row);
                    let last = outputs(x, &matrix, &[n as u32 - 1]).unwrap()[0] + b[n - 1];
                    assert_eq!(last.to_bits(), row[n - 1].to_bits());
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_shows() {
        let (matrix, _) = quantized(8, 256, GgmlDType::Q4K);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = vec![0.5; 256];
            x[70] = bad;
            let mut out = vec![0.0; 8];
            matmul(&x, &matrix, None, &mut out).unwrap();
            assert!(out.iter().all(|v| v.is_nan()));
        }
        let mut out = vec![1.0; 8];
        matmul(&[0.0; 256], &matrix, None, &mut out).unwrap();
        assert_eq!(out, [0.0; 8]);
    }

    #[test]
    fn some_tiles_are_those_columns_of_all() {
        let (m, k, n) = (3, 16, 70);
        let (x, w) = (naive::noise(m * k, 4), naive::noise(n * k, 5));
        let matrix = Matrix::from_f32(&w, k).unwrap();
        let (mut all, mut some) = (vec![0.0; m * n], vec![0.0; m * 38]);
        matmul(&x, &matrix, None, &mut all).unwrap();
        columns(&Input::new(&x, &matrix), &matrix, None, 1..3, &mut some).unwrap();
        for i in 0..m {
            assert_eq!(all[i * n + 32..(i + 1) * n], some[i * 38..(i + 1) * 38]);
        }
    }
}
