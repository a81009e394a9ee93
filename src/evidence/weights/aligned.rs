//! Aligned similarity: do queries and keys read the residual stream alike?
//!
//! After AWM (ICLR 2026): once the dimensions of the two residual streams are
//! matched by the embeddings of shared tokens, unbiased CKA (Song et al.,
//! "Feature Selection via Dependence Maximization", JMLR 2012, for the
//! estimator) compares WᵀW of the query and key matrices. WᵀW does not change
//! when heads are permuted or queries and keys are rotated together.
//!
//! AWM gives no p-value. Ours comes from signs, where the dimensions stand in
//! place: flipping a dimension of an RMS norm's residual stream everywhere is a
//! symmetry of initialisation and training, so the signs of an independent
//! model's entries are fair coins. Half of the dimensions vote, with the other
//! half as the measure, and the sum of their votes is bounded by Hoeffding's
//! inequality, whatever the sizes of the entries, outliers included. Layer
//! norms take out the mean, which couples the signs a little; there the bound
//! is checked by measurement (DESIGN.md).
//!
//! Dimensions matched by embeddings carry their signs along, and models that
//! learnt the same from the same data hold like dimensions: independent bases
//! of the zoo reach "p = 6 × 10⁻⁶" that way. So a matched order gives the
//! figure without a p-value; row matching finds permuted kin all the same.

use super::{Pair, WeightMethod, product, transposed};
use crate::anatomy::{Anatomy, Part};
use crate::decoder::config::Norm;
use crate::error::Result;
use crate::evidence::Access;
use crate::evidence::lineage::{Basis, LayerMap, Null, Test};
use crate::evidence::null::ln_signs;
use rand::seq::{SliceRandom, index};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Dimensions of the residual stream that are compared at the most.
const DIMS: usize = 512;
/// Random orders and signs that the null of the shown statistic is made from.
const ROUNDS: usize = 20;

/// See the module.
pub struct AlignedSimilarity;

impl WeightMethod for AlignedSimilarity {
    fn name(&self) -> &'static str {
        "aligned-similarity"
    }

    fn test(&self, pair: &Pair<'_>, tell: &mut dyn FnMut(usize, usize)) -> Result<Option<Test>> {
        let hidden = |a: &Anatomy| a.config().map(|c| c.hidden);
        let Some(h) = hidden(pair.suspect).filter(|h| Some(*h) == hidden(pair.candidate)) else {
            return Ok(None);
        };
        let mut rng = ChaCha8Rng::seed_from_u64(pair.seed);
        let mut dims = index::sample(&mut rng, h, h.min(DIMS)).into_vec();
        dims.sort_unstable();
        let n = dims.len();
        let mut sum = Sum::new(n, &mut rng);
        let mut values = vec![];
        for i in 0..pair.layers() {
            tell(i, pair.layers());
            let mut row = vec![];
            for part in [Part::Query(i), Part::Key(i)] {
                let (a, b) = (pair.suspect.matrix(part), pair.candidate.matrix(part));
                row.push(match (a, b) {
                    (Some(a), Some(b)) if a.cols == h && b.cols == h => {
                        let a = gram(&a.all()?, h, &dims)?;
                        let b = gram(&pair.alignment.columns(b.all()?, h), h, &dims)?;
                        Some(sum.add(&a, &b))
                    }
                    _ => None,
                });
            }
            values.push(row);
        }
        let cells: Vec<f64> = values.iter().flatten().flatten().copied().collect();
        if cells.is_empty() || n < 16 {
            return Ok(None);
        }
        let in_place = pair.alignment.dims.is_none();
        let norm = pair.candidate.config().map_or(Norm::Layer, |c| c.norm);
        Ok(Some(Test {
            method: self.name().into(),
            about: "Unbiased CKA of query and key matrices over the residual stream's matched dimensions, mean over layers: 1 for the same, 0 on average for independent models.".into(),
            access: Access::Weights,
            statistic: cells.iter().sum::<f64>() / cells.len() as f64,
            ln_p: in_place.then(|| sum.ln_p()),
            basis: match (in_place, norm) {
                (false, _) => Basis::Descriptive,
                (true, Norm::Layer) => Basis::Empirical,
                (true, _) => Basis::Exact,
            },
            null: Some(sum.null(cells.len())),
            map: Some(LayerMap {
                about: "Unbiased CKA over matched dimensions of the residual stream".into(),
                columns: vec!["query".into(), "key".into()],
                rows: (0..values.len()).map(|i| format!("layer {i}")).collect(),
                values,
                range: (0.0, 1.0),
            }),
            notes: vec![match &pair.alignment.dims {
                Some(_) => "The dimensions were matched by the embeddings of shared tokens, so that the figure describes and has no p-value.".into(),
                None => "The dimensions were compared in the order in which they stand.".into(),
            }],
        }))
    }
}

/// WᵀW over chosen input dimensions of `values` (rows × `h`), its diagonal zero.
fn gram(values: &[f32], h: usize, dims: &[usize]) -> Result<Vec<f32>> {
    let columns = transposed(values, h);
    let rows = values.len() / h;
    let chosen: Vec<f32> =
        dims.iter().flat_map(|d| columns[d * rows..(d + 1) * rows].iter().copied()).collect();
    let mut out = product(&chosen, &chosen, rows)?;
    for d in 0..dims.len() {
        out[d * dims.len() + d] = 0.0;
    }
    Ok(out)
}

/// Entry by entry products of all layers' matrices, and CKA under random
/// correspondences beside the true one.
struct Sum {
    n: usize,
    /// Dimensions whose signs vote, and those that measure.
    half: Vec<bool>,
    /// `votes[d]`: Σ over layers and measuring dimensions.
    votes: Vec<f64>,
    /// Random orders with signs, and the sum of CKA under each.
    random: Vec<(Vec<(usize, f32)>, f64)>,
}

impl Sum {
    fn new(n: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut half: Vec<bool> = (0..n).map(|d| d % 2 == 0).collect();
        half.shuffle(rng);
        let random = (0..ROUNDS)
            .map(|_| {
                let mut order: Vec<usize> = (0..n).collect();
                order.shuffle(rng);
                let sign = |rng: &mut ChaCha8Rng| if rng.random::<bool>() { 1.0 } else { -1.0 };
                (order.into_iter().map(|d| (d, sign(rng))).collect(), 0.0)
            })
            .collect();
        Self { n, half, votes: vec![0.0; n], random }
    }

    /// Takes in two matrices (n × n, diagonal zero); returns their unbiased CKA.
    fn add(&mut self, a: &[f32], b: &[f32]) -> f64 {
        let n = self.n;
        let (aa, bb) = (hsic(a, a, n), hsic(b, b, n));
        let scale = (aa * bb).sqrt();
        if !(aa > 0.0 && bb > 0.0) {
            return 0.0;
        }
        let size = |m: &[f32]| m.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        let weight = 1.0 / (size(a) * size(b)).max(f64::MIN_POSITIVE);
        for d in (0..n).filter(|d| self.half[*d]) {
            let line = a[d * n..(d + 1) * n].iter().zip(&b[d * n..(d + 1) * n]).enumerate();
            let against = line.filter(|(e, _)| !self.half[*e]);
            self.votes[d] +=
                weight * against.map(|(_, (x, y))| f64::from(*x) * f64::from(*y)).sum::<f64>();
        }
        for (order, sum) in &mut self.random {
            let mut turned = vec![0.0; n * n];
            for (to, (d, s)) in turned.chunks_exact_mut(n).zip(order.iter()) {
                let from = &b[d * n..(d + 1) * n];
                for (v, (e, t)) in to.iter_mut().zip(order.iter()) {
                    *v = from[*e] * s * t;
                }
            }
            *sum += hsic(a, &turned, n) / scale;
        }
        hsic(a, b, n) / scale
    }

    fn ln_p(&self) -> f64 {
        let votes: Vec<f64> =
            self.votes.iter().zip(&self.half).filter(|(_, h)| **h).map(|(v, _)| *v).collect();
        ln_signs(&votes)
    }

    fn null(&self, cells: usize) -> Null {
        let values: Vec<f64> = self.random.iter().map(|(_, s)| s / cells as f64).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
        Null {
            about: format!(
                "The same with the dimensions in {ROUNDS} random orders with random signs; the p-value is a bound by signs (Hoeffding)."
            ),
            mean,
            deviation: (square / (values.len() - 1) as f64).sqrt(),
            controls: vec![],
        }
    }
}

/// The unbiased estimator of HSIC (Song et al., 2012, equation 5) of two
/// symmetric matrices with zero diagonals.
fn hsic(a: &[f32], b: &[f32], n: usize) -> f64 {
    let m = n as f64;
    let (mut trace, mut all_a, mut all_b, mut cross) = (0.0, 0.0, 0.0, 0.0);
    for (x, y) in a.chunks_exact(n).zip(b.chunks_exact(n)) {
        let (mut sx, mut sy) = (0.0, 0.0);
        for (x, y) in x.iter().zip(y) {
            let (x, y) = (f64::from(*x), f64::from(*y));
            trace += x * y;
            sx += x;
            sy += y;
        }
        all_a += sx;
        all_b += sy;
        cross += sx * sy;
    }
    let one = all_a * all_b / ((m - 1.0) * (m - 2.0));
    (trace + one - 2.0 * cross / (m - 2.0)) / (m * (m - 3.0))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// The U-statistic that the estimator is: the mean over all quadruples of
    /// different indices.
    fn oracle(a: &[f32], b: &[f32], n: usize) -> f64 {
        let at = |m: &[f32], i: usize, j: usize| f64::from(m[i * n + j]);
        let (mut sum, mut count) = (0.0, 0.0);
        for i in 0..n {
            for j in 0..n {
                for q in 0..n {
                    for r in 0..n {
                        let all = [i, j, q, r];
                        if (0..4).any(|x| (0..x).any(|y| all[x] == all[y])) {
                            continue;
                        }
                        sum += at(a, i, j) * (at(b, i, j) + at(b, q, r) - 2.0 * at(b, i, q));
                        count += 1.0;
                    }
                }
            }
        }
        sum / count
    }

    #[test]
    fn the_estimator_is_its_u_statistic() {
        let n = 7;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut symmetric = || {
            let mut m = vec![0.0_f32; n * n];
            for i in 0..n {
                for j in 0..i {
                    let v = rng.random::<f32>() - 0.3;
                    m[i * n + j] = v;
                    m[j * n + i] = v;
                }
            }
            m
        };
        let (a, b) = (symmetric(), symmetric());
        assert!((hsic(&a, &b, n) - oracle(&a, &b, n)).abs() < 1e-9);
        assert!((hsic(&a, &a, n) - oracle(&a, &a, n)).abs() < 1e-9);
    }
}
