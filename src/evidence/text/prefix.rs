//! How often the suspect's answer opens as the candidate's does, to the same
//! prompt, rare openings counting more.
//!
//! Fine-tuning on another domain changes what a model goes on to say more than
//! its first token, which the prompt pins; what it says first is compared by
//! character, so that tokenizers may differ. A shared opening that everyone
//! has tells little: it counts its information, -log of how common it is among
//! all the candidates' answers.

use super::{Calibration, Corpus, Setup, Table, Tell, TextMethod, same};
use crate::error::Result;
use crate::evidence::fused::TEXT_ERROR;
use std::collections::BTreeMap;

/// Agreement of the openings.
pub struct OpeningAgreement;

/// Characters compared. The end of an answer counts as one more.
const LENGTH: usize = 2;
/// Added to the count of an opening, for those that no candidate has.
const UNSEEN: f64 = 0.005;

/// The opening of `text`, its end marked where it is shorter.
fn opening(text: &str) -> Vec<Option<char>> {
    text.chars().map(Some).chain([None]).take(LENGTH).collect()
}

/// How often each opening stands among the candidates' answers.
struct Counts(BTreeMap<Vec<Option<char>>, f64>);

impl Counts {
    fn of(corpus: &Corpus) -> Self {
        let mut counts: BTreeMap<Vec<Option<char>>, f64> = BTreeMap::new();
        for text in corpus.bases.iter().flatten().flatten() {
            let opening = opening(text);
            for n in 0..=opening.len() {
                *counts.entry(opening[..n].to_vec()).or_default() += 1.0;
            }
        }
        Self(counts)
    }

    fn get(&self, opening: &[Option<char>]) -> f64 {
        self.0.get(opening).copied().unwrap_or(0.0)
    }

    /// Information, in nats, of what the two have in common from the first on.
    fn agreement(&self, a: &str, b: &str) -> f64 {
        let (a, b) = (opening(a), opening(b));
        let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        (1..=common)
            .map(|n| {
                let share = (self.get(&b[..n]) + UNSEEN) / (self.get(&b[..n - 1]) + 1.0);
                -libm::log(share)
            })
            .sum()
    }
}

impl TextMethod for OpeningAgreement {
    fn name(&self) -> &'static str {
        "opening-agreement"
    }
    fn about(&self) -> &'static str {
        "Mean information (nats) of the first two characters that candidate and suspect share in their answers to the same prompt; rare openings count more."
    }
    fn baseline(&self) -> bool {
        false
    }
    fn learns(&self) -> bool {
        false
    }
    fn calibration(&self) -> Option<Calibration> {
        Some(Calibration { temperature: 0.22, weight: 0.86, error: TEXT_ERROR })
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        let counts = Counts::of(corpus);
        same::tables(corpus, tell, |a, b| counts.agreement(a, b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_openings_count_more_and_ends_are_compared() {
        let texts = |t: &[&str]| t.iter().map(|t| Some((*t).to_owned())).collect::<Vec<_>>();
        let corpus = Corpus {
            prompts: vec![None; 4],
            bases: vec![texts(&["the", "that", "zoo", ""])],
            ..Corpus::default()
        };
        let c = Counts::of(&corpus);
        assert_eq!(c.agreement("the", "end"), 0.0);
        assert!(c.agreement("zoo", "zo") > c.agreement("then", "though"));
        // Two blanks agree in their end alone: 1 of 4.
        assert!((c.agreement("", "") + libm::log(1.005 / 5.0)).abs() < 1e-12);
        // "t" 2 of 4, then "h" 2 of 2.
        let by_hand = -libm::log(2.005 / 5.0) - libm::log(2.005 / 3.0);
        assert!((c.agreement("the end", "thus") - by_hand).abs() < 1e-12);
    }
}
