//! The baseline: whichever candidate finds the text least surprising.
//!
//! "Matching Pairs" (Foley et al., 2023, section 5.1) gets 1 of 10 this way:
//! the largest or the most multilingual candidate wins whatever the truth.

use super::{Access, Evidence, Finding, Observations, Standing, stats};
use crate::error::{Error, ErrorKind, Result};

/// Mean bits per byte of the suspect's responses.
pub struct RawPerplexity;

impl Evidence for RawPerplexity {
    fn name(&self) -> &'static str {
        "raw-perplexity"
    }

    fn applies(&self, seen: &Observations<'_>) -> bool {
        seen.scored()
    }

    fn weigh(&self, seen: &Observations<'_>) -> Result<Finding> {
        let common = seen.common();
        if common.is_empty() {
            return Err(Error::new(ErrorKind::Samples, "no sample was scored by every candidate"));
        }
        // Bits and bytes of every common sample under every candidate.
        let bits: Vec<Vec<f64>> = seen
            .scores
            .iter()
            .map(|s| {
                common
                    .iter()
                    .filter_map(|i| s.suspect[*i].as_ref())
                    .map(|r| -r.log_likelihood() / std::f64::consts::LN_2)
                    .collect()
            })
            .collect();
        let bytes: Vec<f64> =
            common.iter().map(|i| seen.samples[*i].response.len() as f64).collect();
        let rate = |c: usize, rows: &[usize]| {
            let sum = |v: &[f64]| rows.iter().map(|i| v[*i]).sum::<f64>();
            -sum(&bits[c]) / sum(&bytes)
        };
        let all: Vec<usize> = (0..common.len()).collect();
        let n = seen.candidates.len();
        let mut rounds: Vec<Vec<f64>> = vec![vec![]; n];
        let mut wins: Vec<Vec<f64>> = vec![vec![]; n];
        for rows in stats::resamples(common.len(), seen.bootstrap, seen.seed) {
            let scores: Vec<f64> = (0..n).map(|c| rate(c, &rows)).collect();
            let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for c in 0..n {
                wins[c].push(f64::from(u8::from(scores[c] == best)));
                rounds[c].push(scores[c]);
            }
        }
        let mut standings: Vec<Standing> = (0..n)
            .map(|c| {
                let score = rate(c, &all);
                let probability = stats::mean(&wins[c]).unwrap_or(0.0);
                Standing {
                    candidate: c,
                    score,
                    score_interval: stats::interval(&rounds[c], score),
                    probability,
                    probability_interval: stats::interval(&wins[c], probability),
                    votes: None,
                }
            })
            .collect();
        standings.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.candidate.cmp(&b.candidate)));
        Ok(Finding {
            method: self.name().into(),
            about: "Log-likelihood of the suspect's responses, in bits per byte (negative; nearer zero is less surprising). \
                    The probability is only the share of bootstrap rounds in which the candidate comes first."
                .into(),
            access: Access::Text,
            baseline: true,
            standings,
            none: None,
            warnings: vec!["Favours the largest candidate: shown for comparison, never decisive.".into()],
            error: 0.0,
        })
    }
}
