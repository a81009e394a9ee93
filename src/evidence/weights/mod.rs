//! Evidence from weights: the suspect's against each candidate's.
//!
//! All tests rest on one symmetry (Zhu et al., "Independence Tests for Language
//! Models", ICML 2025, section 2): initialisation and training do not care in
//! which order the hidden units stand, nor the dimensions of the residual
//! stream, nor (with RMS norms) which sign these have. Two models made
//! independently agree in order or sign only by chance, and that chance is
//! known exactly, however alike their architecture, data or size are.
//!
//! One method, one file, one row in [`METHODS`].

mod align;
mod aligned;
mod change;
mod context;
mod embedding;
mod relation;
pub mod rows;
mod tensors;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

pub use align::Alignment;
pub use tensors::{Change, Forensics};

use super::lineage::{Lineage, Test, holm, smallest};
use crate::anatomy::Anatomy;
use crate::decoder::kernels::{self, Matrix};
use crate::error::{Error, Result};

/// A suspect and one candidate, opened.
pub struct Pair<'a> {
    /// The suspect.
    pub suspect: &'a Anatomy,
    /// The candidate.
    pub candidate: &'a Anatomy,
    /// How the residual streams of the two correspond.
    pub alignment: Alignment,
    /// Seed of every random choice.
    pub seed: u64,
}

impl<'a> Pair<'a> {
    /// Opens a pair: finds out how the two residual streams correspond.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn new(suspect: &'a Anatomy, candidate: &'a Anatomy, seed: u64) -> Result<Self> {
        let alignment = Alignment::find(suspect, candidate, seed)?;
        Ok(Self { suspect, candidate, alignment, seed })
    }

    /// Layers that both have.
    pub fn layers(&self) -> usize {
        let layers = |a: &Anatomy| a.config().map_or(0, |c| c.layers);
        layers(self.suspect).min(layers(self.candidate))
    }
}

/// One test on weights.
pub trait WeightMethod {
    /// Stable name.
    fn name(&self) -> &'static str;
    /// Compares the two; `None` where they have nothing that this method could
    /// compare. `tell` hears how many of how many steps are done.
    ///
    /// # Errors
    /// Where a file cannot be read.
    fn test(&self, pair: &Pair<'_>, tell: &mut dyn FnMut(usize, usize)) -> Result<Option<Test>>;
}

/// Every method with a p-value.
pub const METHODS: &[&dyn WeightMethod] =
    &[&rows::RowMatching, &aligned::AlignedSimilarity, &embedding::EmbeddingRows];

/// What all methods make of the suspect's descent from each candidate, in the
/// candidates' order. `tell` hears the stage, and how many of how many steps
/// of it are done. What fails for one candidate goes to `problems`, and the
/// others go on.
pub fn compare(
    suspect: &Anatomy,
    candidates: &[Anatomy],
    seed: u64,
    problems: &mut Vec<Error>,
    tell: &mut dyn FnMut(&str, usize, usize),
) -> Vec<Lineage> {
    let mut found = vec![];
    for candidate in candidates {
        let result = pairwise(suspect, candidate, seed, problems, tell);
        found.push(result.unwrap_or_else(|e| {
            problems.push(e.in_file(&candidate.label));
            (vec![], Forensics::default())
        }));
    }
    let p = |tests: &[Test]| smallest(tests.iter().filter_map(|t| t.ln_p));
    let corrected = holm(&found.iter().map(|(tests, _)| p(tests)).collect::<Vec<_>>());
    let forensics: Vec<&Forensics> = found.iter().map(|(_, f)| f).collect();
    let merge = tensors::merge(suspect, candidates, &corrected, &forensics, tell);
    let merge = merge.unwrap_or_else(|e| {
        problems.push(e);
        None
    });
    let mut out = vec![];
    for (c, ((tests, forensics), ln_p)) in found.iter().zip(&corrected).enumerate() {
        let kin = relation::relation(c, *ln_p, tests, forensics, merge.as_ref(), candidates);
        let mut tests = tests.clone();
        tests.extend(forensics.test());
        out.push(Lineage {
            candidate: c,
            relation: kin.0,
            why: kin.1,
            ln_p: *ln_p,
            tests,
            context: context::facts(suspect, &candidates[c]),
        });
    }
    out
}

/// Every test of one candidate, and the comparison tensor by tensor.
fn pairwise(
    suspect: &Anatomy,
    candidate: &Anatomy,
    seed: u64,
    problems: &mut Vec<Error>,
    tell: &mut dyn FnMut(&str, usize, usize),
) -> Result<(Vec<Test>, Forensics)> {
    let stage = |what: &str| format!("{}: {what}", candidate.label);
    tell(&stage("aligning"), 0, 1);
    let pair = Pair::new(suspect, candidate, seed)?;
    let mut tests = vec![];
    for method in METHODS {
        let name = stage(method.name());
        match method.test(&pair, &mut |done, all| tell(&name, done, all)) {
            Ok(test) => tests.extend(test),
            Err(e) => problems.push(e.in_file(&candidate.label)),
        }
    }
    let name = stage("tensors");
    let forensics = tensors::compare(&pair, &mut |done, all| tell(&name, done, all))?;
    Ok((tests, forensics))
}

/// `a` (m × k) times the transpose of `b` (n × k): m × n.
///
/// # Errors
/// None on finite values.
pub(crate) fn product(a: &[f32], b: &[f32], k: usize) -> Result<Vec<f32>> {
    let b = Matrix::from_f32(b, k)?;
    let mut out = vec![0.0; a.len() / k.max(1) * b.rows()];
    kernels::matmul(a, &b, None, &mut out)?;
    Ok(out)
}

/// `values` (rows × columns) turned round.
pub(crate) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    let mut out = vec![0.0; values.len()];
    for (r, row) in values.chunks_exact(columns.max(1)).enumerate() {
        for (c, v) in row.iter().enumerate() {
            out[c * rows + r] = *v;
        }
    }
    out
}

/// Scales every row of `columns` values to length 1; rows of zeros stay.
pub(crate) fn unit_rows(values: &mut [f32], columns: usize) {
    for row in values.chunks_exact_mut(columns.max(1)) {
        let length = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        }
    }
}
