//! Heuristic: how the answers begin, the challenge organisers' baseline.
//!
//! Each candidate's answers give a distribution of first characters; a cell is
//! the log-probability of the suspect's first character under it, less its
//! mean over the candidates.

use super::{Corpus, Setup, Table, Tell, TextMethod};
use crate::error::Result;
use std::collections::BTreeMap;

/// Log-likelihood of the first character.
pub struct FirstCharacter;

/// Added to every count, so that what was never seen stays possible.
const SMOOTHING: f64 = 0.5;

fn first(text: &str) -> Option<char> {
    text.chars().next()
}

impl TextMethod for FirstCharacter {
    fn name(&self) -> &'static str {
        "first-character"
    }
    fn about(&self) -> &'static str {
        "Mean log-probability of the answers' first character under its distribution in the candidate's own answers, less the mean over the candidates."
    }
    fn baseline(&self) -> bool {
        true
    }
    fn learns(&self) -> bool {
        false
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        let mut kinds: BTreeMap<Option<char>, usize> = BTreeMap::new();
        for text in corpus.bases.iter().chain(&corpus.suspects).flatten().flatten() {
            let next = kinds.len();
            kinds.entry(first(text)).or_insert(next);
        }
        let of = |base: &Vec<Option<String>>| -> Option<Vec<f64>> {
            let mut counts = vec![SMOOTHING; kinds.len()];
            let mut n = SMOOTHING * kinds.len() as f64;
            for text in base.iter().flatten() {
                counts[kinds[&first(text)]] += 1.0;
                n += 1.0;
            }
            base.iter()
                .any(Option::is_some)
                .then(|| counts.iter().map(|c| libm::log(c / n)).collect())
        };
        let logs: Vec<Option<Vec<f64>>> = corpus.bases.iter().map(of).collect();
        let known = logs.iter().flatten().count().max(1) as f64;
        let mut tables = vec![];
        for (done, suspect) in corpus.suspects.iter().enumerate() {
            let cell = |log: &Option<Vec<f64>>, text: &Option<String>| {
                let (Some(log), Some(text)) = (log, text) else { return f64::NAN };
                let kind = kinds[&first(text)];
                log[kind] - logs.iter().flatten().map(|l| l[kind]).sum::<f64>() / known
            };
            tables
                .push(logs.iter().map(|l| suspect.iter().map(|t| cell(l, t)).collect()).collect());
            tell(done as u64 + 1, corpus.suspects.len() as u64);
        }
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likelier_opening_wins() {
        let texts = |t: &[&str]| t.iter().map(|t| Some((*t).to_owned())).collect::<Vec<_>>();
        let corpus = Corpus {
            prompts: vec![None; 3],
            bases: vec![texts(&[" a", " b", "c"]), texts(&["\na", "\nb", ""])],
            suspects: vec![texts(&[" x", "\ny", ""])],
            ..Corpus::default()
        };
        let setup =
            Setup { representation: Default::default(), knowledge: Default::default(), seed: 0 };
        let t = FirstCharacter.tables(&corpus, &setup, &mut |_, _| {}).unwrap();
        // Counts with smoothing: 2.5 of 5 against 0.5 of 5; blanks 0.5 against 1.5.
        assert!((t[0][0][0] - libm::log(5.0) / 2.0).abs() < 1e-12);
        assert!(t[0][1][1] > 0.0 && t[0][0][1] < 0.0);
        assert!((t[0][1][2] - libm::log(3.0) / 2.0).abs() < 1e-12);
    }
}
