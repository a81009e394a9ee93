//! Embedding rows of shared tokens, dimension by dimension in place.
//!
//! The vectors of the same tokens in both models, each dimension centred over
//! the tokens: in a descendant a dimension holds what it held in its base. For
//! independent models the sign of each dimension is a fair coin (as in
//! [`super::aligned`], and as well founded), so that the dimensions' inner
//! products bound the p-value by Hoeffding's inequality. A permuted residual
//! stream hides from this test; the others find it.

use super::align::{centre_rows, sample};
use super::{Pair, WeightMethod, transposed};
use crate::anatomy::Part;
use crate::decoder::config::Norm;
use crate::error::Result;
use crate::evidence::Access;
use crate::evidence::lineage::{Basis, Null, Test};
use crate::evidence::null::ln_signs;

/// Shared tokens that are compared at the most.
const TOKENS: usize = 4096;
/// Fewer say nothing.
const ENOUGH: usize = 16;

/// See the module.
pub struct EmbeddingRows;

impl WeightMethod for EmbeddingRows {
    fn name(&self) -> &'static str {
        "embedding-rows"
    }

    fn test(&self, pair: &Pair<'_>, tell: &mut dyn FnMut(usize, usize)) -> Result<Option<Test>> {
        let matrix = |a: &crate::anatomy::Anatomy| a.matrix(Part::Embedding).map(|m| m.cols);
        let (Some(a), Some(b)) =
            (pair.suspect.matrix(Part::Embedding), pair.candidate.matrix(Part::Embedding))
        else {
            return Ok(None);
        };
        let h = a.cols;
        let tokens = sample(&pair.alignment.tokens, TOKENS, pair.seed);
        if matrix(pair.candidate) != Some(h) || tokens.len() < ENOUGH {
            return Ok(None);
        }
        tell(0, 2);
        let side = |slab: &crate::anatomy::Slab<'_>, ids: Vec<usize>| -> Result<Vec<f32>> {
            let mut columns = transposed(&slab.some(&ids)?, h);
            centre_rows(&mut columns, ids.len());
            Ok(columns)
        };
        let x = side(&a, tokens.iter().map(|t| t.0).collect())?;
        tell(1, 2);
        let y = side(&b, tokens.iter().map(|t| t.1).collect())?;
        let dot = |x: &[f32], y: &[f32]| -> f64 {
            x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        let n = tokens.len();
        let cosines: Vec<f64> = x
            .chunks_exact(n)
            .zip(y.chunks_exact(n))
            .map(|(x, y)| {
                let scale = (dot(x, x) * dot(y, y)).sqrt();
                if scale > 0.0 { dot(x, y) / scale } else { 0.0 }
            })
            .collect();
        let norm = pair.candidate.config().map_or(Norm::Layer, |c| c.norm);
        Ok(Some(Test {
            method: self.name().into(),
            about: format!(
                "Correlation of the embeddings of {n} shared tokens, dimension by dimension in place, mean over dimensions: 1 for the same, 0 on average for independent models."
            ),
            access: Access::Weights,
            statistic: cosines.iter().sum::<f64>() / h as f64,
            ln_p: Some(ln_signs(&cosines)),
            basis: if norm == Norm::Layer { Basis::Empirical } else { Basis::Exact },
            null: Some(Null {
                about: "Each dimension's sign is a fair coin; the deviation is that of the correlations seen, the p-value a bound (Hoeffding).".into(),
                mean: 0.0,
                deviation: cosines.iter().map(|c| c * c).sum::<f64>().sqrt() / h as f64,
                controls: vec![],
            }),
            map: None,
            notes: vec![],
        }))
    }
}
