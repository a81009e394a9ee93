//! From a table of log-odds to a finding: mean over prompts, votes, bootstrap.

use super::Table;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Access, Finding, Observations, Standing, TextEvidence, stats};

/// Fewer responses than this seldom suffice.
const FEW: usize = 40;

/// Means over prompts that skip gaps.
pub struct Means<'a> {
    /// Candidates with anything to compare.
    pub candidates: Vec<usize>,
    /// Prompts at which any of them has.
    pub columns: Vec<usize>,
    table: &'a Table,
    whole: Vec<f64>,
}

impl<'a> Means<'a> {
    /// Over `table`.
    pub fn new(table: &'a Table) -> Self {
        let finite = |c: &usize| table[*c].iter().any(|v| v.is_finite());
        let candidates: Vec<usize> = (0..table.len()).filter(finite).collect();
        let width = table.first().map_or(0, Vec::len);
        let columns =
            (0..width).filter(|i| candidates.iter().any(|c| table[*c][*i].is_finite())).collect();
        let mut out = Self { candidates, columns, table, whole: vec![] };
        let all: Vec<usize> = (0..out.columns.len()).collect();
        out.whole = out.of(&all);
        out
    }

    /// The mean of each of the candidates over these of the columns.
    pub fn of(&self, rows: &[usize]) -> Vec<f64> {
        let mean = |(k, c): (usize, &usize)| {
            let (mut sum, mut n) = (0.0, 0_usize);
            for row in rows {
                let value = self.table[*c][self.columns[*row]];
                if value.is_finite() {
                    sum += value;
                    n += 1;
                }
            }
            // A resample may miss the few prompts that a candidate answered.
            if n > 0 { sum / n as f64 } else { self.whole.get(k).copied().unwrap_or(0.0) }
        };
        self.candidates.iter().enumerate().map(mean).collect()
    }

    /// The mean of each over all columns.
    pub fn whole(&self) -> &[f64] {
        &self.whole
    }

    /// Share of a candidate's cells above 0.
    pub fn votes(&self, candidate: usize) -> f64 {
        let cells: Vec<f64> =
            self.table[candidate].iter().copied().filter(|v| v.is_finite()).collect();
        cells.iter().filter(|v| **v > 0.0).count() as f64 / cells.len().max(1) as f64
    }
}

/// What a text method's table says.
///
/// # Errors
/// Fewer than two candidates to compare.
pub fn finding(seen: &Observations<'_>, text: &TextEvidence) -> Result<Finding> {
    let means = Means::new(&text.table);
    let n = means.candidates.len();
    if n < 2 {
        return Err(Error::new(
            ErrorKind::Samples,
            "fewer than two candidates answered prompts that the suspect answered",
        )
        .hint("ask all models the same prompts"));
    }
    let chances = |scores: &[f64]| -> Vec<f64> {
        match text.calibration {
            Some(c) => {
                let logits: Vec<f64> = scores.iter().map(|s| s / c.temperature).collect();
                let floor = c.error / n as f64;
                stats::softmax(&logits).iter().map(|p| (1.0 - c.error) * p + floor).collect()
            }
            // Not calibrated: who comes first, and ties share.
            None => {
                let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let ties = scores.iter().filter(|s| **s == best).count() as f64;
                scores.iter().map(|s| if *s == best { 1.0 / ties } else { 0.0 }).collect()
            }
        }
    };
    let scores = means.whole();
    let mut probabilities = chances(scores);
    let (mut score_rounds, mut chance_rounds) = (vec![vec![]; n], vec![vec![]; n]);
    for rows in stats::resamples(means.columns.len(), seen.bootstrap, seen.seed) {
        let scores = means.of(&rows);
        for (k, p) in chances(&scores).into_iter().enumerate() {
            score_rounds[k].push(scores[k]);
            chance_rounds[k].push(p);
        }
    }
    if text.calibration.is_none() {
        for (p, rounds) in probabilities.iter_mut().zip(&chance_rounds) {
            *p = stats::mean(rounds).unwrap_or(0.0);
        }
    }
    let mut standings: Vec<Standing> = (0..n)
        .map(|k| Standing {
            candidate: means.candidates[k],
            score: scores[k],
            score_interval: stats::interval(&score_rounds[k], scores[k]),
            probability: probabilities[k],
            probability_interval: stats::interval(&chance_rounds[k], probabilities[k]),
            votes: text.votes.then(|| means.votes(means.candidates[k])),
        })
        .collect();
    standings.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.candidate.cmp(&b.candidate)));
    let mut about = text.about.clone();
    let mut warnings = vec![];
    if text.calibration.is_none() {
        about.push_str(
            " The probability is only the share of bootstrap rounds in which the candidate comes first.",
        );
    }
    if means.columns.len() < FEW && !text.baseline {
        warnings.push(format!(
            "Only {} responses to compare: the answer is less reliable than with {FEW} or more.",
            means.columns.len()
        ));
    }
    if let Some(missing) = (0..text.table.len()).find(|c| !means.candidates.contains(c)) {
        warnings.push(format!(
            "{} is not ranked by {}: it answered no prompt that the suspect answered.",
            seen.candidates.get(missing).map_or("One candidate", String::as_str),
            text.method
        ));
    }
    Ok(Finding {
        method: text.method.clone(),
        about,
        access: Access::Text,
        baseline: text.baseline,
        standings,
        none: None,
        warnings,
        error: text.calibration.map_or(0.0, |c| c.error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::text::Calibration;

    fn text(table: Table, calibration: Option<Calibration>) -> TextEvidence {
        TextEvidence {
            method: "m".into(),
            about: "a".into(),
            baseline: false,
            votes: true,
            calibration,
            table,
        }
    }

    fn weigh(t: &TextEvidence) -> Result<Finding> {
        let candidates = ["a", "b", "c"].map(String::from);
        finding(
            &Observations {
                candidates: &candidates,
                samples: &[],
                scores: &[],
                seed: 1,
                bootstrap: 200,
                texts: &[],
            },
            t,
        )
    }

    #[test]
    fn gaps_do_not_count_and_votes_are_shares() {
        let nan = f64::NAN;
        let table =
            vec![vec![1.0, nan, -1.0, nan], vec![2.0, 2.0, -1.0, nan], vec![nan, nan, nan, nan]];
        let calibration = Calibration { temperature: 0.5, weight: 1.0, error: 0.2 };
        let f = weigh(&text(table.clone(), Some(calibration))).unwrap();
        let best = &f.standings[0];
        assert_eq!((best.candidate, best.score, best.votes), (1, 1.0, Some(2.0 / 3.0)));
        let p = 0.8 / (1.0 + libm::exp(-2.0)) + 0.1;
        assert!((best.probability - p).abs() < 1e-12, "{}", best.probability);
        assert_eq!(f.standings.len(), 2);
        assert!(f.warnings.iter().any(|w| w.starts_with("c is not ranked")));
        let f = weigh(&text(table, None)).unwrap();
        assert!((f.standings.iter().map(|s| s.probability).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(f.about.contains("bootstrap rounds"));
    }

    #[test]
    fn one_candidate_is_no_comparison() {
        let t = text(vec![vec![1.0], vec![f64::NAN], vec![f64::NAN]], None);
        assert!(weigh(&t).unwrap_err().what().contains("fewer than two"));
    }
}
