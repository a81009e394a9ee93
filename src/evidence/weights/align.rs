//! How the dimensions of two residual streams correspond: in order, or, where
//! somebody permuted or flipped them, by what they hold for the same tokens.
//!
//! After AWM ("AWM: Accurate Weight-Matrix Fingerprint for Large Language
//! Models", ICLR 2026): linear assignment on the embeddings of shared tokens.
//! The correspondence is learnt from embeddings alone, so that tests on other
//! matrices do not choose their own evidence. Yet a matched order is weaker than
//! the order in place: two models that learnt the same from the same data may
//! hold like dimensions, so that no p-value rests on the match alone.

use super::{product, transposed, unit_rows};
use crate::anatomy::{Anatomy, Part};
use crate::error::Result;
use crate::evidence::matching;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// Shared tokens that are compared at the most.
const TOKENS: usize = 2048;
/// With fewer shared tokens dimensions cannot be told apart.
const ENOUGH: usize = 64;
/// Correlation of matched dimensions from which on a correspondence is believed.
/// Below it nothing but chance is matched.
const BELIEVED: f64 = 0.5;
/// What mutual choice leaves open is solved by linear assignment up to this size.
const ASSIGNED: usize = 512;

/// The correspondence of two residual streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// For each dimension of the suspect: that of the candidate, and its sign.
    /// `None`: in order, with sign +1.
    pub dims: Option<Vec<(usize, f32)>>,
    /// Token ids of the suspect and of the candidate that stand for the same
    /// text, in the suspect's order.
    pub tokens: Vec<(usize, usize)>,
    /// Correlation of corresponding dimensions over shared tokens, on average;
    /// 0 where it could not be measured.
    pub strength: f64,
}

impl Alignment {
    /// Finds the correspondence. It is "in order" where that explains the
    /// embeddings as well as any, and where nothing can be measured.
    ///
    /// # Errors
    /// Where embeddings cannot be read.
    pub fn find(suspect: &Anatomy, candidate: &Anatomy, seed: u64) -> Result<Self> {
        let tokens = shared(suspect, candidate);
        let none = |tokens| Self { dims: None, tokens, strength: 0.0 };
        let (Some(a), Some(b)) =
            (suspect.matrix(Part::Embedding), candidate.matrix(Part::Embedding))
        else {
            return Ok(none(tokens));
        };
        let h = a.cols;
        if b.cols != h || tokens.len() < ENOUGH {
            return Ok(none(tokens));
        }
        let chosen = sample(&tokens, TOKENS, seed);
        let side = |slab: &crate::anatomy::Slab<'_>, ids: Vec<usize>| -> Result<Vec<f32>> {
            let mut columns = transposed(&slab.some(&ids)?, h);
            centre_rows(&mut columns, ids.len());
            unit_rows(&mut columns, ids.len());
            Ok(columns)
        };
        let x = side(&a, chosen.iter().map(|t| t.0).collect())?;
        let y = side(&b, chosen.iter().map(|t| t.1).collect())?;
        let correlations = product(&x, &y, chosen.len())?;
        let in_order: f64 =
            (0..h).map(|d| f64::from(correlations[d * h + d])).sum::<f64>() / h as f64;
        let sizes: Vec<f32> = correlations.iter().map(|c| c.abs()).collect();
        let dims: Vec<(usize, f32)> = best_pairs(&sizes, h)
            .into_iter()
            .enumerate()
            .map(|(d, e)| {
                let e = e.unwrap_or(d);
                (e, if correlations[d * h + e] < 0.0 { -1.0 } else { 1.0 })
            })
            .collect();
        let matched =
            dims.iter().enumerate().map(|(d, (e, s))| f64::from(correlations[d * h + e] * s));
        let matched = matched.sum::<f64>() / h as f64;
        // A few dimensions that fit another as well are no permutation.
        let moved = dims.iter().enumerate().filter(|(d, m)| **m != (*d, 1.0)).count();
        if in_order >= 0.9 * matched || moved * 10 < h || matched < BELIEVED {
            return Ok(Self { dims: None, tokens, strength: in_order });
        }
        Ok(Self { dims: Some(dims), tokens, strength: matched })
    }

    /// Puts the columns of the candidate's matrix `values` (rows × hidden) into
    /// the suspect's order.
    pub fn columns(&self, values: Vec<f32>, hidden: usize) -> Vec<f32> {
        let Some(dims) = self.dims.as_ref().filter(|d| d.len() == hidden) else { return values };
        let mut out = vec![0.0; values.len()];
        for (to, from) in out.chunks_exact_mut(hidden).zip(values.chunks_exact(hidden)) {
            for (v, (e, sign)) in to.iter_mut().zip(dims) {
                *v = from[*e] * sign;
            }
        }
        out
    }

    /// The same for its rows, where they are the residual stream's (hidden × columns).
    pub fn rows(&self, values: Vec<f32>, columns: usize) -> Vec<f32> {
        let Some(dims) = self.dims.as_ref().filter(|d| d.len() * columns == values.len()) else {
            return values;
        };
        let mut out = Vec::with_capacity(values.len());
        for (e, sign) in dims {
            out.extend(values[e * columns..(e + 1) * columns].iter().map(|v| v * sign));
        }
        out
    }
}

/// Token ids that stand for the same text in both, each text once. Where a
/// tokenizer cannot be read, equal vocabularies are taken to be the same.
fn shared(suspect: &Anatomy, candidate: &Anatomy) -> Vec<(usize, usize)> {
    let rows = |a: &Anatomy| a.matrix(Part::Embedding).map_or(0, |m| m.rows);
    let (n, m) = (rows(suspect), rows(candidate));
    match (suspect.spellings(), candidate.spellings()) {
        (Ok(a), Ok(b)) => {
            let mut ids: HashMap<Vec<u8>, usize> = HashMap::new();
            for (id, text) in b.into_iter().take(m).enumerate() {
                if let Some(text) = text.filter(|t| !t.is_empty()) {
                    ids.entry(text).or_insert(id);
                }
            }
            let a = a.into_iter().take(n).enumerate();
            a.filter_map(|(id, text)| Some((id, ids.remove(&text?)?))).collect()
        }
        _ if n == m => (0..n).map(|i| (i, i)).collect(),
        _ => vec![],
    }
}

/// At most `most` of `tokens`, drawn evenly and kept in order.
pub(super) fn sample(tokens: &[(usize, usize)], most: usize, seed: u64) -> Vec<(usize, usize)> {
    if tokens.len() <= most {
        return tokens.to_vec();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = index::sample(&mut rng, tokens.len(), most).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().map(|i| tokens[i]).collect()
}

/// Takes each row's mean from it.
pub(super) fn centre_rows(values: &mut [f32], columns: usize) {
    for row in values.chunks_exact_mut(columns.max(1)) {
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64;
        row.iter_mut().for_each(|v| *v = (f64::from(*v) - mean) as f32);
    }
}

/// One-to-one pairs of rows and columns of `likeness` (rows × `columns`): first
/// those that choose each other, then, where few are left, the rest by linear
/// assignment. A row may stay alone where there are many.
pub fn best_pairs(likeness: &[f32], columns: usize) -> Vec<Option<usize>> {
    let rows = likeness.len() / columns.max(1);
    let mut of_row = vec![0; rows];
    let mut of_column = vec![0; columns];
    let mut best = vec![f32::NEG_INFINITY; columns];
    for (r, line) in likeness.chunks_exact(columns.max(1)).enumerate() {
        let mut most = f32::NEG_INFINITY;
        for (c, v) in line.iter().enumerate() {
            if *v > most {
                most = *v;
                of_row[r] = c;
            }
            if *v > best[c] {
                best[c] = *v;
                of_column[c] = r;
            }
        }
    }
    let mut out: Vec<Option<usize>> =
        (0..rows).map(|r| (of_column[of_row[r]] == r).then_some(of_row[r])).collect();
    let mut taken = vec![false; columns];
    out.iter().flatten().for_each(|c| taken[*c] = true);
    let open_rows: Vec<usize> = (0..rows).filter(|r| out[*r].is_none()).collect();
    let open_columns: Vec<usize> = (0..columns).filter(|c| !taken[*c]).collect();
    if open_rows.is_empty() || open_rows.len() > ASSIGNED || open_columns.len() > 4 * ASSIGNED {
        return out;
    }
    let gain: Vec<Vec<f64>> = open_rows
        .iter()
        .map(|r| open_columns.iter().map(|c| f64::from(likeness[r * columns + c])).collect())
        .collect();
    for (r, c) in open_rows.iter().zip(matching::assign(&gain)) {
        out[*r] = c.map(|c| open_columns[c]);
    }
    out
}
