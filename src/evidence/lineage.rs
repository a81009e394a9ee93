//! What tests on weights and on queries say of one candidate: p-values under
//! "the suspect was made independently of it", and what kind of kin it is.

use super::{Access, Finding, Standing};
use serde::{Deserialize, Serialize};

/// How a p-value's null distribution is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Exact, or an upper bound that always holds, if training does not care
    /// in which order (or with which sign) units were initialised.
    Exact,
    /// By a limit theorem, for enough prompts or units.
    Asymptotic,
    /// Measured on models known to be independent.
    Empirical,
    /// No p-value: the figure describes and proves nothing.
    Descriptive,
}

/// The distribution of a statistic where suspect and candidate are unrelated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Null {
    /// How it was made, a sentence.
    pub about: String,
    /// Mean of the statistic under it.
    pub mean: f64,
    /// Standard deviation under it.
    pub deviation: f64,
    /// The same statistic on controls, where there are any: models known or
    /// supposed to be unrelated to the candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<f64>,
}

/// A figure for each layer and kind of matrix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerMap {
    /// What a cell is, with its unit and range.
    pub about: String,
    /// Kinds of matrices, e.g. `query`.
    pub columns: Vec<String>,
    /// Layers, e.g. `layer 0`; `embedding` and `head` beside them.
    pub rows: Vec<String>,
    /// `values[row][column]`; `None` where there is nothing to compare.
    pub values: Vec<Vec<Option<f64>>>,
    /// The value of no kinship and that of identity, for the colour scale.
    pub range: (f64, f64),
}

/// One test of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Stable name, e.g. `row-matching`.
    pub method: String,
    /// What the statistic is, with its unit and where it comes from.
    pub about: String,
    /// The access to the suspect that it rests on.
    pub access: Access,
    /// The statistic; higher speaks for kinship.
    pub statistic: f64,
    /// Natural logarithm of the one-sided p-value; `None` where it describes only.
    pub ln_p: Option<f64>,
    /// How the null is known.
    pub basis: Basis,
    /// The null on the scale of the statistic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null: Option<Null>,
    /// Where in the model the likeness sits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<LayerMap>,
    /// What else was seen, a sentence each, and what the reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a suspect is to a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Every weight is the same.
    Copy,
    /// The same weights, stored with fewer bits.
    RequantizedCopy,
    /// The same weights with a dense change.
    FineTune,
    /// The same weights with a change of low rank in each matrix.
    AdapterMerged,
    /// A weighted sum of this and another candidate.
    Merge,
    /// Kin by a test, but too far to say how: perhaps a long further training,
    /// pruning, or the same initial weights.
    SharedInitialisation,
    /// Kin by a test; the weights cannot be compared, so that it is not known how.
    Related,
    /// Comparable, and no test speaks for kinship.
    Independent,
    /// Not comparable, or not clear.
    Undetermined,
}

impl Relation {
    /// In words, to stand after "is".
    pub fn words(self) -> &'static str {
        match self {
            Self::Copy => "a copy",
            Self::RequantizedCopy => "a requantized copy",
            Self::FineTune => "a fine-tune",
            Self::AdapterMerged => "a fine-tune by a merged adapter",
            Self::Merge => "a merge",
            Self::SharedInitialisation => "kin by initialisation or beyond recognition",
            Self::Related => "related",
            Self::Independent => "independent",
            Self::Undetermined => "undetermined",
        }
    }

    /// Whether it is kin at all.
    pub fn kin(self) -> bool {
        !matches!(self, Self::Independent | Self::Undetermined)
    }
}

/// A fact about both models that is shown and never counted as proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What, e.g. `layers`.
    pub name: String,
    /// The suspect's.
    pub suspect: String,
    /// The candidate's.
    pub candidate: String,
    /// Whether they agree.
    pub same: bool,
}

/// All that is known of the suspect's descent from one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// Index of the candidate.
    pub candidate: usize,
    /// What the suspect is to it.
    pub relation: Relation,
    /// Why, a sentence or two.
    pub why: String,
    /// Natural logarithm of the p-value of "independent", over all its tests
    /// (Bonferroni) and all candidates (Holm); `None` where no test applied.
    pub ln_p: Option<f64>,
    /// The tests, the strongest access first.
    pub tests: Vec<Test>,
    /// Architecture, configuration, tokenizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Fact>,
}

/// A tree of models by the distance of what they say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// What a distance is.
    pub about: String,
    /// The leaves' names: the candidates, then the suspect or suspects.
    pub leaves: Vec<String>,
    /// How many of the leaves, from the first, are candidates.
    pub candidates: usize,
    /// `distances[i][j]` between leaves.
    pub distances: Vec<Vec<f64>>,
    /// Joins in order, nearest first: two nodes (leaves are `0..n`, the k-th
    /// join makes node `n + k`), and the height at which they join.
    pub joins: Vec<(usize, usize, f64)>,
}

/// Pairs of independent models on which the weight tests were run without a
/// false match (DESIGN.md): what remains for error however small a p-value is
/// comes from them by the rule of succession.
pub const NEGATIVES: usize = 643;
/// Known kin of the zoo, disguises included, that the weight tests were run on
/// without missing one (DESIGN.md).
const POSITIVES: usize = 24;
/// Corrected p-values below e^this (0.001) make kin.
pub const KIN: f64 = -6.907_755;

/// How near the suspect is to this candidate among its kin: cosine of the
/// weights where they compare.
fn nearness(lineage: &Lineage) -> f64 {
    let forensics = lineage.tests.iter().find(|t| t.method == "tensor-forensics");
    forensics.map_or(0.0, |t| t.statistic)
}

/// Candidates from the nearest kin to the least like, by `p` first where only
/// one is kin.
pub fn order(all: &[Lineage]) -> Vec<&Lineage> {
    let mut out: Vec<&Lineage> = all.iter().collect();
    out.sort_by(|a, b| {
        let p = |l: &Lineage| l.ln_p.unwrap_or(0.0);
        let kin = b.relation.kin().cmp(&a.relation.kin());
        let near = || match a.relation.kin() && b.relation.kin() {
            true => nearness(b).total_cmp(&nearness(a)),
            false => std::cmp::Ordering::Equal,
        };
        kin.then_with(near).then(p(a).total_cmp(&p(b))).then(a.candidate.cmp(&b.candidate))
    });
    out
}

/// The probability that a candidate is kin, given its p-value, at even prior
/// odds. From the level of a match on: at the most what the largest Bayes
/// factor makes of it that a p-value can stand for (Sellke, Bayarri and Berger,
/// 2001, "Calibration of p Values for Testing Precise Null Hypotheses"), and
/// never nearer to 1 than the tests' own error. Short of it: what the share of
/// known kin that the tests miss makes of a miss (rule of succession).
pub fn kinship(ln_p: f64) -> f64 {
    if ln_p >= KIN {
        let missed = 1.0 / (POSITIVES as f64 + 2.0);
        return missed / (1.0 + missed);
    }
    // −e p ln p.
    let against = libm::exp(1.0 + ln_p + libm::log(-ln_p));
    (1.0 / (1.0 + against)).min(1.0 - 1.0 / (NEGATIVES as f64 + 2.0))
}

/// The descent from all candidates as one finding; `None` where no test applied.
pub fn finding(all: &[Lineage]) -> Option<Finding> {
    let access = all.iter().flat_map(|l| &l.tests).filter(|t| t.ln_p.is_some());
    let access = access.map(|t| t.access).max()?;
    let standings = order(all).into_iter().filter(|l| l.ln_p.is_some()).map(|l| {
        let ln_p = l.ln_p.unwrap_or(0.0);
        // Zero and not minus zero for p = 1.
        let score = (-ln_p / std::f64::consts::LN_10).max(0.0);
        let probability = kinship(ln_p);
        Standing {
            candidate: l.candidate,
            score,
            score_interval: (score, score),
            probability,
            probability_interval: (probability, probability),
            votes: None,
        }
    });
    Some(Finding {
        method: DESCENT.into(),
        about: format!(
            "−log₁₀ of the p-value of \"made independently of this candidate\", corrected for the number of tests and candidates. The probability is that of any kinship with the candidate at even prior odds: at the most what the p-value allows (Sellke, Bayarri and Berger, 2001), or, short of 0.001, what is left by the tests' misses on known kin. Several candidates may be kin at once. No false match was seen among {NEGATIVES} pairs of independent models."
        ),
        access,
        baseline: false,
        standings: standings.collect(),
        none: None,
        warnings: vec![],
        error: 1.0 / (NEGATIVES as f64 + 2.0),
    })
}

/// Name of the finding that weights and queries come to.
pub const DESCENT: &str = "descent";

/// Corrects the p-values of several candidates so that the chance of even one
/// false match stays below the level (Holm, 1979, "A simple sequentially
/// rejective multiple test procedure"). Natural logarithms in and out.
pub fn holm(ln_p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        ln_p.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let mut out = vec![None; ln_p.len()];
    let mut largest = f64::NEG_INFINITY;
    let n = order.len();
    for (k, (i, p)) in order.into_iter().enumerate() {
        largest = f64::max(largest, (p + libm::log((n - k) as f64)).min(0.0));
        out[i] = Some(largest);
    }
    out
}

/// The smallest of several p-values of one candidate, corrected for their
/// number (Bonferroni: holds however they depend on each other).
pub fn smallest(ln_p: impl IntoIterator<Item = f64>) -> Option<f64> {
    let all: Vec<f64> = ln_p.into_iter().collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    (!all.is_empty()).then(|| (least + libm::log(all.len() as f64)).min(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_is_the_textbook_procedure() {
        let p: [f64; 4] = [0.01, 0.04, 0.03, 0.005];
        let got = holm(&[
            Some(libm::log(p[0])),
            None,
            Some(libm::log(p[1])),
            Some(libm::log(p[2])),
            Some(libm::log(p[3])),
        ]);
        let want = [Some(0.03), None, Some(0.06), Some(0.06), Some(0.02)];
        for (g, w) in got.iter().zip(want) {
            match (g, w) {
                (Some(g), Some(w)) => assert!((libm::exp(*g) - w).abs() < 1e-12),
                (g, w) => assert_eq!(g.is_some(), w.is_some()),
            }
        }
        assert_eq!(holm(&[Some(-0.1), Some(-0.1)]), [Some(0.0), Some(0.0)]);
        assert!(holm(&[]).is_empty());
    }

    fn lineage(candidate: usize, relation: Relation, ln_p: f64, cosine: f64) -> Lineage {
        let forensics = Test {
            method: "tensor-forensics".into(),
            about: String::new(),
            access: Access::Weights,
            statistic: cosine,
            ln_p: None,
            basis: Basis::Descriptive,
            null: None,
            map: None,
            notes: vec![],
        };
        let test = Test { method: "t".into(), ln_p: Some(ln_p), ..forensics.clone() };
        let tests = vec![test, forensics];
        Lineage {
            candidate,
            relation,
            why: String::new(),
            ln_p: Some(ln_p),
            tests,
            context: vec![],
        }
    }

    #[test]
    fn the_nearest_kin_comes_first_and_strangers_last() {
        let all = [
            lineage(0, Relation::Independent, -1.0, 0.1),
            lineage(1, Relation::FineTune, -900.0, 0.98),
            lineage(2, Relation::FineTune, -700.0, 0.999),
            lineage(3, Relation::Independent, -2.0, 0.05),
        ];
        let order: Vec<usize> = order(&all).iter().map(|l| l.candidate).collect();
        assert_eq!(order, [2, 1, 3, 0]);
        let finding = finding(&all).unwrap();
        assert_eq!(finding.access, Access::Weights);
        assert_eq!(finding.standings[0].candidate, 2);
        assert!(finding.standings[0].probability > 0.99);
        assert!(finding.standings[2].probability < 0.05);
        assert!(super::finding(&[]).is_none());
    }

    #[test]
    fn kinship_grows_with_evidence_and_has_its_bounds() {
        // Sellke and others, section 4: −e p ln p at p = 0.0005 is 0.01033.
        assert!((1.0 - kinship(libm::log(0.0005)) - 0.01033 / 1.01033).abs() < 1e-4);
        let weak = kinship(-1.0);
        assert!(weak == kinship(0.0) && weak < 0.04, "{weak}");
        let most = 1.0 - 1.0 / (NEGATIVES as f64 + 2.0);
        assert!(kinship(-1e6) == most && most > 0.99 && most < 1.0);
    }

    #[test]
    fn the_smallest_pays_for_the_number_of_tests() {
        assert_eq!(smallest([]), None);
        assert!((smallest([-10.0, -3.0]).unwrap() - (-10.0 + libm::log(2.0))).abs() < 1e-12);
        assert_eq!(smallest([-0.1, -0.2]), Some(0.0));
    }
}
