//! The trace of a token limit.
//!
//! Generated text is usually cut at a number of tokens. Under the tokenizer
//! that wrote it, cut responses all have that one length; under any other
//! their lengths scatter. So the share of responses that end within one token
//! of a common ceiling tells tokenizers apart. It cannot tell candidates that
//! share a tokenizer, and says nothing of text that was not cut, or was
//! trimmed by other means.

use super::{Access, Evidence, Finding, NoneOfThese, Observations, opening, stats};
use crate::error::{Error, ErrorKind, Result};

/// Divides the share to give log-odds.
pub(super) const TEMPERATURE: f64 = 0.07;
/// At or above this share the responses were cut in this tokenizer's tokens.
pub(super) const CUT: f64 = 0.75;
/// Share of responses that may lie above a ceiling for it to be one.
const ABOVE: f64 = 0.1;

/// Share of responses that end at a common ceiling of tokens.
pub struct TokenCap;

/// Response lengths in tokens, by candidate and common sample.
pub(super) fn table(seen: &Observations<'_>) -> Vec<Vec<usize>> {
    let common = seen.common();
    let of = |s: &super::CandidateScores| {
        common.iter().filter_map(|i| s.suspect[*i].as_ref()).map(|r| r.tokens.len()).collect()
    };
    seen.scores.iter().map(of).collect()
}

/// The share of `lengths` (those at `rows`) within one of the commonest
/// length, the longest of equals; 0 where more than a few are longer still.
pub(super) fn share(lengths: &[usize], rows: &[usize]) -> f64 {
    let longest = rows.iter().map(|i| lengths[*i]).max().unwrap_or(0);
    let mut counts = vec![0_usize; longest + 3];
    for i in rows {
        counts[lengths[*i]] += 1;
    }
    let Some(ceiling) = (1..=longest).max_by_key(|n| (counts[*n], *n)) else { return 0.0 };
    let near: usize = counts[ceiling - 1..=ceiling + 1].iter().sum();
    let above: usize = counts[ceiling + 2..].iter().sum();
    let n = rows.len() as f64;
    if above as f64 / n > ABOVE { 0.0 } else { near as f64 / n }
}

/// Share of responses that stop without the end of a sentence.
fn unfinished(seen: &Observations<'_>) -> f64 {
    let common = seen.common();
    let cut = common.iter().filter(|i| {
        let text = seen.samples[**i].response.trim_end();
        !text.ends_with(['.', '!', '?', '"', '\'', '”', '»', '…', ')', '}', ';', '。', '！', '？'])
    });
    cut.count() as f64 / common.len().max(1) as f64
}

/// The largest share of each of the candidates' own texts under the
/// tokenizers of the others: what a foreign tokenizer makes of cut text.
fn foreign(seen: &Observations<'_>) -> Vec<f64> {
    let mut shares = vec![];
    for (c, scores) in seen.scores.iter().enumerate() {
        for (d, own) in scores.own.iter().enumerate() {
            let lengths = |s: &[Option<super::ResponseScore>]| -> Vec<usize> {
                s.iter().flatten().map(|r| r.tokens.len()).collect()
            };
            let (here, there) = (lengths(own), lengths(&seen.scores[d].own[d]));
            if c != d && here != there && !here.is_empty() {
                shares.push(share(&here, &(0..here.len()).collect::<Vec<_>>()));
            }
        }
    }
    shares
}

impl Evidence for TokenCap {
    fn name(&self) -> &'static str {
        "token-limit"
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
        let standings =
            opening::standings(seen, samples, TEMPERATURE, super::combined::ERROR, |rows| {
                table.iter().map(|lengths| share(lengths, rows)).collect()
            });
        let best = standings.first().map_or(0.0, |s| s.score);
        let mut warnings = vec![];
        if best < CUT {
            warnings.push(format!(
                "No candidate's tokenizer shows a common token limit (best share {best:.2}), so this method does not count."
            ));
        }
        let foreign = foreign(seen);
        Ok(Finding {
            method: self.name().into(),
            about: format!(
                "Share of responses that end within one token of a common ceiling, by the candidate's tokenizer. It tells \
                 tokenizers apart, not models that share one.{}",
                stats::quantile(&foreign, 1.0).map_or_else(String::new, |most| format!(
                    " The candidates' own responses reach at most {most:.2} under each other's tokenizers."
                ))
            ),
            access: Access::Text,
            baseline: false,
            none: none(best, unfinished(seen)),
            standings,
            warnings,
            error: super::combined::ERROR,
        })
    }
}

/// Whether cut text fits no candidate's tokenizer.
fn none(best: f64, unfinished: f64) -> Option<NoneOfThese> {
    // Where most responses end their sentences nothing was cut, and a low share means nothing.
    (unfinished >= 0.5).then(|| NoneOfThese {
        p_value: super::combined::p_of_share(best),
        statistic: best,
        about: format!(
            "{:.0} % of the responses stop in mid-sentence, so a token limit cut them; the best share among the \
             candidates is set against the shares of known fine-tunes under their true base's tokenizer.",
            100.0 * unfinished
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lengths: &[usize]) -> f64 {
        share(lengths, &(0..lengths.len()).collect::<Vec<_>>())
    }

    #[test]
    fn a_ceiling_is_told_from_scatter() {
        assert_eq!(of(&[48, 48, 47, 48, 20]), 0.8);
        assert_eq!(of(&[30, 41, 55, 37, 62]), 0.2);
        // A common length that many exceed is no ceiling.
        assert_eq!(of(&[5, 5, 5, 40, 60]), 0.0);
        assert_eq!(of(&[]), 0.0);
        assert_eq!(share(&[48, 1, 48], &[0, 2, 2]), 1.0);
    }
}
