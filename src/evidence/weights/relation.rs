//! What kind of kin a suspect is: the tests say whether, the tensors say which.

use super::tensors::Merge;
use super::{Change, Forensics};
use crate::anatomy::Anatomy;
use crate::evidence::lineage::{KIN, Relation, Test};
use crate::report::figures;

/// A change within this factor of what storage does is storage alone.
const STORAGE: f64 = 1.25;
/// Units that turned further are kin beyond saying how (cosine below 0.75).
const FAR: f64 = 0.7;
/// Matrices that changed less did not change.
const UNTOUCHED: f64 = 1e-4;
/// A largest singular value this near to that of noise is noise.
const NOISE: f64 = 1.2;

const DIRECTION: &str = "Which of the two came first, weights alone do not say.";

/// The relation of the suspect to candidate `c`, and why.
pub fn relation(
    c: usize,
    ln_p: Option<f64>,
    tests: &[Test],
    forensics: &Forensics,
    merge: Option<&Merge>,
    candidates: &[Anatomy],
) -> (Relation, String) {
    let Some(ln_p) = ln_p else {
        return (
            Relation::Undetermined,
            "The two have no matrices of the same shape to compare: other sizes, or a family that is not known.".into(),
        );
    };
    let p = figures::ln_p_value(ln_p);
    if ln_p >= KIN {
        return (
            Relation::Independent,
            format!(
                "No test tells it from a model made independently of {} ({p}, corrected for the number of candidates).",
                candidates[c].label
            ),
        );
    }
    let named = tests.iter().filter(|t| t.ln_p.is_some()).min_by(|a, b| {
        let p = |t: &Test| t.ln_p.unwrap_or(0.0);
        p(a).total_cmp(&p(b))
    });
    let by = named.map_or("", |t| t.method.as_str());
    let (relation, how) = kind(c, forensics, merge, candidates);
    (relation, format!("{how} Kinship by {by}: {p}, corrected for the number of candidates."))
}

fn kind(
    c: usize,
    forensics: &Forensics,
    merge: Option<&Merge>,
    candidates: &[Anatomy],
) -> (Relation, String) {
    let placed = forensics.in_place();
    let all = forensics.all().count();
    let mean = |of: fn(&Change) -> f64| {
        placed.iter().map(|c| of(c)).sum::<f64>() / placed.len().max(1) as f64
    };
    let percent = |x: f64| format!("{:.2} %", 100.0 * x);
    if placed.is_empty() {
        return (
            Relation::SharedInitialisation,
            format!(
                "No matrix of it is near the candidate's any more: a shared seed, or training far beyond the start. Derivation is not proven. {DIRECTION}"
            ),
        );
    }
    // A table of tokens outlives the layers that were made for it.
    if forensics.layers.iter().flatten().flatten().all(|c| !c.in_place()) {
        return (
            Relation::SharedInitialisation,
            format!(
                "The embeddings of its tokens are the candidate's, changed by {}, and no matrix of its layers is: both took them over from one model, or its layers were exchanged or trained anew. {DIRECTION}",
                percent(mean(|c| c.relative))
            ),
        );
    }
    let share = if placed.len() < all {
        format!(
            " ({} of {all} matrices are recognised; the others were reordered or replaced)",
            placed.len()
        )
    } else {
        String::new()
    };
    if placed.iter().all(|c| c.relative == 0.0) && placed.len() == all {
        return (Relation::Copy, "Every weight compared is the same.".into());
    }
    let stored = |c: &&Change| c.relative <= STORAGE * c.storage || c.relative == 0.0;
    if placed.iter().all(stored) && placed.len() == all {
        return (
            Relation::RequantizedCopy,
            format!(
                "The weights differ by {}, no more than their storage types explain; a smaller change would not show.",
                percent(mean(|c| c.relative))
            ),
        );
    }
    if let Some(m) = merge.filter(|m| m.candidates.0 == c || m.candidates.1 == c) {
        let (own, other, name) = if m.candidates.0 == c {
            (m.weights.0, m.weights.1, m.candidates.1)
        } else {
            (m.weights.1, m.weights.0, m.candidates.0)
        };
        return (
            Relation::Merge,
            format!(
                "{own:.2} of it and {other:.2} of {} explain all of it but {}.",
                candidates[name].label,
                percent(m.residual)
            ),
        );
    }
    // Rescaled units are the same units.
    let change = mean(Change::turn).min(mean(|c| c.relative));
    if change > FAR {
        return (
            Relation::SharedInitialisation,
            format!(
                "Its units turned by {} on average{share}: long training, a merge with a model that is not here, or only a shared seed. {DIRECTION}",
                percent(change)
            ),
        );
    }
    let changed: Vec<&&Change> = placed
        .iter()
        .filter(|c| c.relative > UNTOUCHED && c.relative > STORAGE * c.storage)
        .collect();
    let zeroed = mean(|c| c.zeroed);
    let pruned = if zeroed > 0.02 {
        format!(" {} of its weights were set to 0: it was pruned.", percent(zeroed))
    } else {
        String::new()
    };
    let ranks: Option<Vec<usize>> = changed.iter().map(|c| c.rank).collect();
    if let Some(most) = ranks.as_ref().and_then(|r| r.iter().max())
        && pruned.is_empty()
    {
        return (
            Relation::AdapterMerged,
            format!(
                "{} of {all} matrices changed, each by a difference of rank {most} or less{share}; relative change {}. {DIRECTION}",
                changed.len(),
                percent(mean(|c| c.relative))
            ),
        );
    }
    let noise = !changed.is_empty() && pruned.is_empty() && changed.iter().all(|c| c.edge < NOISE);
    let grain =
        if noise { " The difference has the spectrum of noise that was added." } else { "" };
    (
        Relation::FineTune,
        format!(
            "The same units with a dense change of {}{share}.{grain}{pruned} {DIRECTION}",
            percent(change)
        ),
    )
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn embeddings_alone_make_no_fine_tune() {
        let with = |cosine: f64| Some(Change { cosine, relative: 0.4, ..Change::default() });
        let of = |layers: Vec<Vec<Option<Change>>>| {
            let forensics = Forensics { embedding: with(0.9), layers, ..Forensics::default() };
            kind(0, &forensics, None, &[])
        };
        // As all-MiniLM-L6-v2 and paraphrase-MiniLM-L3 are.
        for layers in [vec![], vec![vec![with(0.02), None]; 3]] {
            let (relation, why) = of(layers);
            assert_eq!(relation, Relation::SharedInitialisation);
            assert!(why.starts_with("The embeddings of its tokens are the candidate's"), "{why}");
        }
        let (relation, why) = of(vec![vec![with(0.02)], vec![with(0.9)]]);
        assert_eq!(relation, Relation::FineTune);
        assert!(why.contains("2 of 3 matrices"), "{why}");
    }
}
