//! Calibrated likelihood: how surprising each response's opening is, measured
//! against the surprise that the candidate itself expects there.
//!
//! Raw log-likelihood names the largest candidate. What calibrates it is the
//! candidate's own next-token distribution at the same position: with log p
//! the token's log-probability, H the entropy and V the variance of log p,
//! (log p + H) / √V is zero on average for text of the candidate's own,
//! whatever its size (the standardised surprise of Fast-DetectGPT, Bao et al.,
//! 2024, section 3). Only the first two tokens count, since the prompt pins
//! them: later ones follow the domain that the suspect was tuned on, and
//! measured over fine-tunes whole responses name the better multilingual
//! model instead of the base. DESIGN.md has the figures.

use super::{Access, Evidence, Finding, Observations, ResponseScore, Standing, stats};
use crate::error::{Error, ErrorKind, Result};

/// Weight of the first and of the second response token.
const WEIGHTS: [f64; 2] = [0.75, 0.25];
/// Floor of the variance, for positions where the candidate is certain (nats²).
const FLOOR: f64 = 0.1;
/// Divides the score to give log-odds: softer than the best fit to the
/// measured fine-tunes, so that a shifted suspect is not overstated.
pub(super) const TEMPERATURE: f64 = 0.5;
/// Below so few samples the answer is often wrong: 79 % right at 10, 85 % at
/// 20, 93 % at 40 of those that 60 get right.
const FEW: usize = 40;
const TOO_FEW: usize = 20;

/// Standardised surprise of the openings.
pub struct CalibratedLikelihood;

/// The statistic of one response; `None` where it has no tokens.
pub fn opening(response: &ResponseScore) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (token, weight) in response.tokens.iter().zip(WEIGHTS) {
        let surprise = f64::from(token.logprob) - f64::from(token.mean);
        sum += weight * surprise / (f64::from(token.variance) + FLOOR).sqrt();
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}

/// The statistic by candidate and common sample.
pub(super) fn table(seen: &Observations<'_>) -> Vec<Vec<f64>> {
    let common = seen.common();
    let of = |s: &super::CandidateScores| {
        common.iter().filter_map(|i| s.suspect[*i].as_ref().and_then(opening)).collect()
    };
    seen.scores.iter().map(of).collect()
}

/// Mean of `values` over `rows`.
pub(super) fn mean_over(values: &[f64], rows: &[usize]) -> f64 {
    rows.iter().map(|i| values[*i]).sum::<f64>() / rows.len() as f64
}

/// What a reader must know of the number of samples.
pub(super) fn amount(samples: usize) -> Vec<String> {
    if samples < TOO_FEW {
        vec![format!(
            "Only {samples} samples: far too little text for a reliable answer; use {FEW} or more."
        )]
    } else if samples < FEW {
        vec![format!(
            "Only {samples} samples: the answer is less reliable than with {FEW} or more."
        )]
    } else {
        vec![]
    }
}

/// Standings from a score by candidate on any resample of the samples.
pub(super) fn standings(
    seen: &Observations<'_>,
    samples: usize,
    temperature: f64,
    error: f64,
    score: impl Fn(&[usize]) -> Vec<f64>,
) -> Vec<Standing> {
    let n = seen.candidates.len();
    let probabilities = |scores: &[f64]| -> Vec<f64> {
        let logits: Vec<f64> = scores.iter().map(|s| s / temperature).collect();
        stats::softmax(&logits).iter().map(|p| (1.0 - error) * p + error / n as f64).collect()
    };
    let whole: Vec<usize> = (0..samples).collect();
    let scores = score(&whole);
    let chances = probabilities(&scores);
    let (mut score_rounds, mut chance_rounds) = (vec![vec![]; n], vec![vec![]; n]);
    for rows in stats::resamples(samples, seen.bootstrap, seen.seed) {
        let scores = score(&rows);
        for (c, p) in probabilities(&scores).into_iter().enumerate() {
            score_rounds[c].push(scores[c]);
            chance_rounds[c].push(p);
        }
    }
    let mut standings: Vec<Standing> = (0..n)
        .map(|c| Standing {
            candidate: c,
            score: scores[c],
            score_interval: stats::interval(&score_rounds[c], scores[c]),
            probability: chances[c],
            probability_interval: stats::interval(&chance_rounds[c], chances[c]),
            votes: None,
        })
        .collect();
    standings.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.candidate.cmp(&b.candidate)));
    standings
}

impl Evidence for CalibratedLikelihood {
    fn name(&self) -> &'static str {
        "calibrated-likelihood"
    }

    fn applies(&self, seen: &Observations<'_>) -> bool {
        seen.scored()
    }

    fn weigh(&self, seen: &Observations<'_>) -> Result<Finding> {
        let table = table(seen);
        let samples = table.first().map_or(0, Vec::len);
        if samples == 0 {
            return Err(Error::new(ErrorKind::Samples, "no sample was scored by every candidate"));
        }
        let standings = standings(seen, samples, TEMPERATURE, super::combined::ERROR, |rows| {
            table.iter().map(|values| mean_over(values, rows)).collect()
        });
        Ok(Finding {
            method: self.name().into(),
            about: "Mean standardised surprise of each response's first two tokens: (log p + entropy) / deviation under \
                    the candidate's own distribution. 0 is what the candidate expects of its own text; higher speaks for it."
                .into(),
            access: Access::Text,
            baseline: false,
            standings,
            none: None,
            warnings: amount(samples),
            error: super::combined::ERROR,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::TokenScore;

    #[test]
    fn text_drawn_from_the_candidate_scores_zero_on_average() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut scores = vec![];
        for _ in 0..4000 {
            // A distribution of its own at every position, and a token drawn from it.
            let weights: Vec<f64> =
                (0..20).map(|_| rng.random::<f64>() * rng.random::<f64>()).collect();
            let total: f64 = weights.iter().sum();
            let p: Vec<f64> = weights.iter().map(|w| w / total).collect();
            let mean: f64 = p.iter().map(|p| p * libm::log(*p)).sum();
            let variance: f64 =
                p.iter().map(|p| p * (libm::log(*p) - mean) * (libm::log(*p) - mean)).sum();
            let mut u: f64 = rng.random();
            let drawn = p
                .iter()
                .position(|p| {
                    u -= p;
                    u < 0.0
                })
                .unwrap_or(19);
            let token = TokenScore {
                logprob: libm::log(p[drawn]) as f32,
                rank: 1,
                mean: mean as f32,
                variance: variance as f32,
            };
            let response = ResponseScore { bytes: 1, tokens: vec![token], spans: vec![(0, 1)] };
            scores.push(opening(&response).unwrap());
        }
        let mean = stats::mean(&scores).unwrap();
        assert!(mean.abs() < 0.05, "{mean}");
        assert!(opening(&ResponseScore::default()).is_none());
    }

    #[test]
    fn one_token_carries_all_the_weight() {
        let token = |logprob| TokenScore { logprob, rank: 1, mean: -1.0, variance: 0.9 };
        let response = |tokens| ResponseScore { bytes: 1, tokens, spans: vec![] };
        assert!((opening(&response(vec![token(-3.0)])).unwrap() + 2.0).abs() < 1e-6);
        let two = opening(&response(vec![token(-3.0), token(-1.0), token(-90.0)])).unwrap();
        assert!((two + 1.5).abs() < 1e-6);
    }
}
