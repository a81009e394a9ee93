//! The decisive answer: the likelihood of the openings and the trace of a
//! token limit, as one product of odds.
//!
//! Both are divided by their temperature and added, as independent evidence
//! is. The trace joins only where a token limit shows; candidates that share a
//! tokenizer get the same from it, and the likelihood alone decides between
//! them.

use super::{Access, Evidence, Finding, Observations, cap, opening};
use crate::error::{Error, ErrorKind, Result};

/// What remains for error however clear the statistics are: the rule of
/// succession for 1 error in the 39 fine-tunes measured (DESIGN.md).
pub const ERROR: f64 = 0.049;

/// Token-limit shares of those 39 under their true base, ascending: the null
/// of "the base is among the candidates".
const SHARES: [f64; 39] = [
    0.83, 0.83, 0.85, 0.87, 0.90, 0.90, 0.90, 0.90, 0.92, 0.92, 0.92, 0.92, 0.92, 0.93, 0.93, 0.95,
    0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.97, 0.97, 0.97, 0.97, 0.98, 0.98, 0.98, 0.98, 0.98,
    0.98, 0.98, 1.0, 1.0, 1.0, 1.0, 1.0,
];

/// Share of known fine-tunes whose true base did no better than `share`.
pub(super) fn p_of_share(share: f64) -> f64 {
    let worse = SHARES.iter().filter(|s| **s <= share + 0.005).count();
    (worse + 1) as f64 / (SHARES.len() + 1) as f64
}

/// How many samples count, and the log-odds on any resample of them.
pub(super) fn logits(seen: &Observations<'_>) -> (usize, impl Fn(&[usize]) -> Vec<f64> + use<>) {
    let (openings, lengths) = (opening::table(seen), cap::table(seen));
    let samples = openings.first().map_or(0, Vec::len);
    let logits = move |rows: &[usize]| -> Vec<f64> {
        let shares: Vec<f64> = lengths.iter().map(|l| cap::share(l, rows)).collect();
        let cut = shares.iter().any(|s| *s >= cap::CUT);
        let of = |(o, share): (&Vec<f64>, f64)| {
            opening::mean_over(o, rows) / opening::TEMPERATURE
                + if cut { share / cap::TEMPERATURE } else { 0.0 }
        };
        openings.iter().zip(shares).map(of).collect()
    };
    (samples, logits)
}

/// Openings and token limit together.
pub struct Combined;

impl Evidence for Combined {
    fn name(&self) -> &'static str {
        "combined"
    }

    fn applies(&self, seen: &Observations<'_>) -> bool {
        seen.scored()
    }

    fn weigh(&self, seen: &Observations<'_>) -> Result<Finding> {
        let (samples, logits) = logits(seen);
        if samples == 0 {
            return Err(Error::new(ErrorKind::Samples, "no sample was scored by every candidate")
                .hint(
                    "add longer responses, or leave out the candidate that could not score them",
                ));
        }
        let standings = opening::standings(seen, samples, 1.0, ERROR, logits);
        let cap = cap::TokenCap.weigh(seen)?;
        Ok(Finding {
            method: self.name().into(),
            about: "Log-odds (natural, up to a constant) from the calibrated likelihood of the responses' openings and, \
                    where a token limit shows, from the candidates' tokenizers. The probability supposes that the base \
                    is one of the candidates."
                .into(),
            access: Access::Text,
            baseline: false,
            standings,
            none: cap.none,
            warnings: opening::amount(samples),
            error: ERROR,
        })
    }
}
