//! One verdict from all text evidence there is: log-odds add up, each method's
//! weighed by what it proved worth on fine-tunes with known bases.
//!
//! A text method's means are set to mean 0 and deviation 1 across the
//! candidates, so that methods on different scales compare, and added up by
//! weights that maximise the likelihood of known bases (stacking, Wolpert
//! 1992); DESIGN.md has the data and the figures. Methods that read the same
//! responses are not independent, which is why the weights are learnt together
//! and come out below one. How stable the order is under new draws of the
//! responses shows in the interval, which the verdict heeds.
//!
//! Where all candidates have weights the likelihood decides by itself: the best
//! weight of the text beside it is 0. On the toy zoo's 24 fine-tunes it is right
//! 23 times alone, and 21 times with the text at a quarter of its weight.

use super::text::Means;
use super::{Access, Evidence, Finding, Observations, opening, stats};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeSet;

/// All text methods that count, together.
pub struct Fused;

/// Share of wrong answers that remains in a finding from text alone, however
/// clear: no known case was both clear and wrong, but there were few clear ones.
pub const TEXT_ERROR: f64 = 0.1;

/// The text methods that count and compare all candidates, each with what its mean is multiplied by.
fn voices<'a>(seen: &Observations<'a>) -> Result<Vec<(Means<'a>, f64)>> {
    let texts: Vec<(Means<'_>, f64)> = seen
        .texts
        .iter()
        .filter_map(|t| {
            let c = t.calibration.filter(|c| c.weight > 0.0)?;
            Some((Means::new(&t.table), c.weight))
        })
        .filter(|(m, _)| m.candidates.len() == seen.candidates.len())
        .collect();
    if texts.is_empty() {
        return Err(Error::new(
            ErrorKind::Samples,
            "no method could compare all candidates by their text",
        )
        .hint("ask all models the same prompts"));
    }
    Ok(texts)
}

/// `values` with mean 0 and deviation 1; all 0 where they are all the same.
fn standard(values: &[f64]) -> Vec<f64> {
    let mean = stats::mean(values).unwrap_or(0.0);
    let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    let deviation = (squares / values.len().max(1) as f64).sqrt();
    values.iter().map(|v| if deviation > 1e-12 { (v - mean) / deviation } else { 0.0 }).collect()
}

/// The log-odds of the candidates from text alone.
///
/// # Errors
/// Where no method compares all candidates.
pub fn text_logits(seen: &Observations<'_>) -> Result<Vec<f64>> {
    let mut sum = vec![0.0; seen.candidates.len()];
    for (means, weight) in voices(seen)? {
        sum.iter_mut().zip(standard(means.whole())).for_each(|(s, v)| *s += weight * v);
    }
    Ok(sum)
}

impl Evidence for Fused {
    fn name(&self) -> &'static str {
        "fused"
    }

    fn applies(&self, seen: &Observations<'_>) -> bool {
        !seen.scored() && seen.texts.iter().any(|t| t.calibration.is_some_and(|c| c.weight > 0.0))
    }

    fn weigh(&self, seen: &Observations<'_>) -> Result<Finding> {
        let texts = voices(seen)?;
        // Prompts are drawn once for all methods; each uses those that it can compare.
        let columns: BTreeSet<usize> =
            texts.iter().flat_map(|(m, _)| m.columns.iter().copied()).collect();
        let width = columns.len();
        let place = |m: &Means<'_>| -> Vec<Option<usize>> {
            columns.iter().map(|c| m.columns.binary_search(c).ok()).collect()
        };
        let places: Vec<Vec<Option<usize>>> = texts.iter().map(|(m, _)| place(m)).collect();
        let logits = |drawn: &[usize]| -> Vec<f64> {
            let mut sum = vec![0.0; seen.candidates.len()];
            for ((means, weight), place) in texts.iter().zip(&places) {
                let own: Vec<usize> = drawn.iter().filter_map(|i| place[*i]).collect();
                let of = standard(&means.of(&own));
                sum.iter_mut().zip(of).for_each(|(s, v)| *s += weight * v);
            }
            sum
        };
        let standings = opening::standings(seen, width, 1.0, TEXT_ERROR, logits);
        let names: Vec<&str> = seen
            .texts
            .iter()
            .filter(|t| t.calibration.is_some_and(|c| c.weight > 0.0))
            .map(|t| t.method.as_str())
            .collect();
        Ok(Finding {
            method: self.name().into(),
            about: format!(
                "Log-odds (natural, up to a constant), added up from {}, each by its weight on fine-tunes with known \
                 bases. The probability supposes that the base is one of the candidates.",
                names.join(", ")
            ),
            access: Access::Text,
            baseline: false,
            standings,
            // Text alone cannot tell a stranger from a fine-tune that went far.
            none: None,
            warnings: opening::amount(width),
            error: TEXT_ERROR,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::TextEvidence;
    use crate::evidence::text::Calibration;

    fn text(method: &str, table: Vec<Vec<f64>>) -> TextEvidence {
        TextEvidence {
            method: method.into(),
            about: String::new(),
            baseline: false,
            votes: false,
            calibration: Some(Calibration { temperature: 1.0, weight: 0.5, error: TEXT_ERROR }),
            table,
        }
    }

    #[test]
    fn methods_that_compare_different_prompts_each_count_all_of_theirs() {
        let nan = f64::NAN;
        let texts = [
            text("all", vec![vec![1.0, 2.0, 3.0, 9.0, 5.0, 6.0], vec![0.0; 6], vec![1.0; 6]]),
            // Only the last two prompts, where the second candidate is ahead.
            text(
                "some",
                vec![
                    vec![nan, nan, nan, nan, 0.0, 1.0],
                    vec![nan, nan, nan, nan, 2.0, 4.0],
                    vec![nan, nan, nan, nan, 1.0, 1.0],
                ],
            ),
        ];
        let labels = ["a", "b", "c"].map(String::from);
        let seen = Observations {
            candidates: &labels,
            samples: &[],
            scores: &[],
            seed: 1,
            bootstrap: 100,
            texts: &texts,
        };
        let finding = Fused.weigh(&seen).unwrap();
        let whole = text_logits(&seen).unwrap();
        for s in &finding.standings {
            assert!((s.score - whole[s.candidate]).abs() < 1e-12, "{s:?} {whole:?}");
        }
        let total: f64 = finding.standings.iter().map(|s| s.probability).sum();
        assert!((total - 1.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_but_ties_says_nothing() {
        let texts = [text("flat", vec![vec![1.0; 4], vec![1.0; 4]])];
        let labels = ["a", "b"].map(String::from);
        let seen = Observations {
            candidates: &labels,
            samples: &[],
            scores: &[],
            seed: 1,
            bootstrap: 100,
            texts: &texts,
        };
        let finding = Fused.weigh(&seen).unwrap();
        assert!(finding.standings.iter().all(|s| (s.probability - 0.5).abs() < 1e-12));
    }
}
