//! How one matrix differs from another: direction, size, rank and grain of the
//! difference.

use super::{product, transposed};
use crate::error::Result;
use crate::formats::archive::row_bytes;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random directions in which a difference is looked at; its rank shows up to
/// a little less.
const PROBES: usize = 40;
/// Share of the difference's square that a low rank must hold.
const HELD: f64 = 0.95;
/// Rows that are quantized again to see what quantization alone would do.
const REQUANTIZED: usize = 64;

/// One matrix of the suspect against the candidate's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// Cosine of corresponding units, without its sign, mean over units: 1 for
    /// units that were at most rescaled or flipped.
    pub cosine: f64,
    /// Frobenius norm of the difference over that of the candidate.
    pub relative: f64,
    /// What storing the two in their types does by itself, on the same scale.
    pub storage: f64,
    /// Rank that holds 95 % of the difference's square, where it is low.
    pub rank: Option<usize>,
    /// Largest singular value of the difference over that of noise of the same
    /// size (Marchenko and Pastur): 1 for noise, far above for training.
    pub edge: f64,
    /// Share of the suspect's values that are 0 and the candidate's are not.
    pub zeroed: f64,
    /// Values compared.
    pub values: usize,
}

impl Change {
    /// Relative change that remains when every unit may be rescaled.
    pub fn turn(&self) -> f64 {
        (2.0 - 2.0 * self.cosine.min(1.0)).sqrt()
    }

    /// Whether both hold the same units in the same order at all.
    pub fn in_place(&self) -> bool {
        self.cosine > 0.5
    }
}

/// Compares `a` with `b`, both rows × `columns`. `units` says whether a row is
/// a unit, or else a column.
///
/// # Errors
/// None on finite values.
pub fn change(
    a: &[f32],
    b: &[f32],
    columns: usize,
    units: bool,
    types: [GgmlDType; 2],
    seed: u64,
) -> Result<Change> {
    let cosine = if units {
        unit_cosine(a, b, columns)
    } else {
        let rows = a.len() / columns.max(1);
        unit_cosine(&transposed(a, columns), &transposed(b, columns), rows)
    };
    let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let (size, base) = (square(&difference), square(b));
    let relative = if base > 0.0 { (size / base).sqrt() } else { 0.0 };
    let zeroed = a.iter().zip(b).filter(|(a, b)| **a == 0.0 && **b != 0.0).count();
    let zeroed = zeroed as f64 / a.len().max(1) as f64;
    let mut out = Change { cosine, relative, zeroed, values: a.len(), ..Change::default() };
    if relative > 0.0 && out.in_place() {
        let [x, y] = types;
        let (rough, fine) = (requantized(b, columns, x)?, requantized(a, columns, y)?);
        out.storage = (rough * rough + fine * fine).sqrt();
        let (rank, edge) = spectrum(&difference, columns, size, seed)?;
        (out.rank, out.edge) = (rank, edge);
    }
    Ok(out)
}

fn square(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum()
}

fn unit_cosine(a: &[f32], b: &[f32], columns: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (x, y) in a.chunks_exact(columns.max(1)).zip(b.chunks_exact(columns.max(1))) {
        let scale = (square(x) * square(y)).sqrt();
        if scale > 0.0 {
            let dot: f64 = x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            sum += (dot / scale).abs();
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Relative error of storing `values` as `dtype`, by storing some of its rows.
fn requantized(values: &[f32], columns: usize, dtype: GgmlDType) -> Result<f64> {
    if dtype == GgmlDType::F32 || row_bytes(columns, dtype).is_none() {
        return Ok(0.0);
    }
    let rows = (values.len() / columns).min(REQUANTIZED);
    let some = &values[..rows * columns];
    let stored = Tensor::from_slice(some, (rows, columns), &Device::Cpu)?;
    let back = QTensor::quantize(&stored, dtype)?.dequantize(&Device::Cpu)?;
    let back = back.flatten_all()?.to_vec1::<f32>()?;
    let lost: Vec<f32> = back.iter().zip(some).map(|(a, b)| a - b).collect();
    let base = square(some);
    Ok(if base > 0.0 { (square(&lost) / base).sqrt() } else { 0.0 })
}

/// The rank of `m` (rows × `columns`, of squared size `size`) where it is low,
/// and its largest singular value over noise's: by a random range finder with
/// one power iteration (Halko, Martinsson and Tropp, 2011, algorithm 4.3).
fn spectrum(m: &[f32], columns: usize, size: f64, seed: u64) -> Result<(Option<usize>, f64)> {
    let rows = m.len() / columns;
    let probes = PROBES.min(rows.min(columns));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let signs: Vec<f32> =
        (0..probes * columns).map(|_| if rng.random::<bool>() { 1.0 } else { -1.0 }).collect();
    let turned = transposed(m, columns);
    // Rows of these are the directions: probes × rows, then probes × columns.
    let mut left = product(&signs, m, columns)?;
    orthonormal(&mut left, rows);
    let mut right = product(&left, &turned, rows)?;
    orthonormal(&mut right, columns);
    let held = product(&right, m, columns)?;
    let mut gram: Vec<f64> = product(&held, &held, rows)?.into_iter().map(f64::from).collect();
    let mut values = eigenvalues(&mut gram, probes);
    values.sort_by(|a, b| b.total_cmp(a));
    let mut sum = 0.0;
    let mut rank = None;
    for (k, v) in values.iter().enumerate() {
        sum += v.max(0.0);
        if sum >= HELD * size {
            rank = Some(k + 1);
            break;
        }
    }
    // In a small matrix every rank is low.
    let rank = rank.filter(|r| r * 3 <= rows.min(columns));
    let noise =
        (size / (rows * columns) as f64).sqrt() * ((rows as f64).sqrt() + (columns as f64).sqrt());
    let first = values.first().copied().unwrap_or(0.0).max(0.0).sqrt();
    Ok((rank, if noise > 0.0 { first / noise } else { 0.0 }))
}

/// Makes rows of `n` values orthonormal, twice over for the rounding; what
/// depends on earlier rows becomes zeros.
fn orthonormal(rows: &mut [f32], n: usize) {
    let count = rows.len() / n.max(1);
    for r in 0..count {
        let (before, rest) = rows.split_at_mut(r * n);
        let row = &mut rest[..n];
        let start = square(row);
        for _ in 0..2 {
            for other in before.chunks_exact(n) {
                let dot: f64 =
                    row.iter().zip(other).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                for (x, y) in row.iter_mut().zip(other) {
                    *x = (f64::from(*x) - dot * f64::from(*y)) as f32;
                }
            }
        }
        let length = square(row).sqrt();
        let keep = length > 1e-5 * start.sqrt() && length > 0.0;
        row.iter_mut().for_each(|v| *v = if keep { (f64::from(*v) / length) as f32 } else { 0.0 });
    }
}

/// Eigenvalues of a symmetric matrix by Jacobi's rotations.
fn eigenvalues(m: &mut [f64], n: usize) -> Vec<f64> {
    for _ in 0..60 {
        let mut off = 0.0;
        for p in 0..n {
            for q in p + 1..n {
                let a = m[p * n + q];
                off += a * a;
                if a == 0.0 {
                    continue;
                }
                let theta = (m[q * n + q] - m[p * n + p]) / (2.0 * a);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (m[k * n + p], m[k * n + q]);
                    (m[k * n + p], m[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (m[p * n + k], m[q * n + k]);
                    (m[p * n + k], m[q * n + k]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
        let diagonal: f64 = (0..n).map(|i| m[i * n + i] * m[i * n + i]).sum();
        if off <= 1e-22 * diagonal {
            break;
        }
    }
    (0..n).map(|i| m[i * n + i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Sum of uniforms: near enough to a normal, of variance 1.
        (0..n).map(|_| (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0).collect()
    }

    fn of(a: &[f32], b: &[f32], columns: usize) -> Change {
        change(a, b, columns, true, [GgmlDType::F32; 2], 1).unwrap()
    }

    #[test]
    fn a_low_rank_change_is_known_from_noise_and_from_training() {
        let (rows, columns) = (120, 96);
        let base = noise(rows * columns, 1);
        let (u, v) = (noise(rows * 8, 2), noise(8 * columns, 3));
        let mut low = base.clone();
        for r in 0..rows {
            for c in 0..columns {
                let sum: f32 = (0..8).map(|k| u[r * 8 + k] * v[k * columns + c]).sum();
                low[r * columns + c] += 0.01 * sum;
            }
        }
        let found = of(&low, &base, columns);
        assert!(found.rank.is_some_and(|r| (6..=8).contains(&r)), "{found:?}");
        assert!(found.edge > 1.5 && found.in_place(), "{found:?}");
        let shaken: Vec<f32> =
            base.iter().zip(noise(rows * columns, 4)).map(|(a, n)| a + 0.03 * n).collect();
        let found = of(&shaken, &base, columns);
        assert_eq!(found.rank, None);
        assert!((found.edge - 1.0).abs() < 0.12, "{found:?}");
        assert!((found.relative - 0.03).abs() < 0.002 && (found.turn() - 0.03).abs() < 0.003);
    }

    #[test]
    fn scales_and_signs_of_units_are_seen_through() {
        let base = noise(40 * 64, 5);
        let scaled: Vec<f32> = base
            .chunks_exact(64)
            .enumerate()
            .flat_map(|(i, row)| {
                let s = if i % 2 == 0 { -1.5 } else { 0.5 };
                row.iter().map(move |v| v * s).collect::<Vec<_>>()
            })
            .collect();
        let found = of(&scaled, &base, 64);
        assert!(found.cosine > 0.999_999 && found.relative > 0.5);
        assert!(!of(&noise(40 * 64, 6), &base, 64).in_place());
        assert_eq!(of(&base, &base, 64).relative, 0.0);
    }

    #[test]
    fn storage_explains_a_requantized_copy() {
        let base = noise(64 * 64, 7);
        let tensor = Tensor::from_slice(&base, (64, 64), &Device::Cpu).unwrap();
        let stored = QTensor::quantize(&tensor, GgmlDType::Q4_0).unwrap();
        let stored = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap();
        let stored = stored.to_vec1::<f32>().unwrap();
        let found = change(&stored, &base, 64, true, [GgmlDType::Q4_0, GgmlDType::F32], 1).unwrap();
        assert!((found.relative / found.storage - 1.0).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn eigenvalues_are_those_of_a_known_matrix() {
        let mut m = vec![2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 5.0];
        let mut values = eigenvalues(&mut m, 3);
        values.sort_by(f64::total_cmp);
        for (v, w) in values.iter().zip([1.0, 3.0, 5.0]) {
            assert!((v - w).abs() < 1e-12);
        }
    }
}
