//! Heuristic: BLEU of the suspect's answer against the candidate's.
//!
//! Sentence BLEU with n-grams up to four (Papineni et al., ACL 2002), counts
//! of two words and more smoothed by one (Lin and Och, COLING 2004).

use super::{Corpus, Setup, Table, Tell, TextMethod, same};
use crate::error::Result;
use std::collections::HashMap;

/// Words in a row at the most.
const ORDER: usize = 4;
/// Words compared at the most.
const LENGTH: usize = 2000;

/// Sentence BLEU.
pub struct Bleu;

/// Words, and punctuation marks by themselves.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut out = vec![];
    let mut start = None;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() {
            start.get_or_insert(at);
            continue;
        }
        if let Some(from) = start.take() {
            out.push(&text[from..at]);
        }
        if !c.is_whitespace() {
            out.push(&text[at..at + c.len_utf8()]);
        }
    }
    out.extend(start.map(|from| &text[from..]));
    out
}

fn counts<'a, 't>(words: &'a [&'t str], n: usize) -> HashMap<&'a [&'t str], usize> {
    let mut out = HashMap::new();
    words.windows(n).for_each(|w| *out.entry(w).or_default() += 1);
    out
}

/// BLEU of `answer` against `reference`, 0 to 1.
pub fn bleu(reference: &str, answer: &str) -> f64 {
    let (mut r, mut a) = (words(reference), words(answer));
    r.truncate(LENGTH);
    a.truncate(LENGTH);
    if r.is_empty() || a.is_empty() {
        return f64::from(u8::from(r.is_empty() && a.is_empty()));
    }
    let mut logs = 0.0;
    for n in 1..=ORDER {
        let known = counts(&r, n);
        let all = a.len().saturating_sub(n - 1);
        let hit: usize = counts(&a, n)
            .into_iter()
            .map(|(gram, count)| count.min(known.get(gram).copied().unwrap_or(0)))
            .sum();
        if n == 1 && hit == 0 {
            return 0.0;
        }
        let add = usize::from(n > 1);
        logs += libm::log((hit + add) as f64 / (all + add) as f64);
    }
    let brevity = (1.0 - r.len() as f64 / a.len() as f64).min(0.0);
    libm::exp(brevity + logs / ORDER as f64)
}

impl TextMethod for Bleu {
    fn name(&self) -> &'static str {
        "bleu"
    }
    fn about(&self) -> &'static str {
        "Mean sentence BLEU (up to four words, smoothed) of the suspect's answers against the candidate's to the same prompts."
    }
    fn baseline(&self) -> bool {
        true
    }
    fn learns(&self) -> bool {
        false
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        same::tables(corpus, tell, bleu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(bleu("the cat sat here", "the cat sat here"), 1.0);
        assert_eq!(bleu("the cat", "a dog"), 0.0);
        assert_eq!((bleu("", ""), bleu("", "x"), bleu("x", "")), (1.0, 0.0, 0.0));
        // One, two, three and four words: 3/4, (2+1)/(3+1), (1+1)/(2+1), (0+1)/(1+1).
        let by_hand = libm::pow(0.75 * 0.75 * (2.0 / 3.0) * 0.5, 0.25);
        assert!((bleu("the cat sat here", "the cat sat there") - by_hand).abs() < 1e-12);
        // Half as long: e^(1 - 2).
        let short = bleu("a b c d e f g h", "a b c d");
        assert!((short - libm::exp(-1.0)).abs() < 1e-12);
    }

    #[test]
    fn words_and_marks() {
        assert_eq!(words("It's 3.5 €, né?"), ["It", "'", "s", "3", ".", "5", "€", ",", "né", "?"]);
    }
}
