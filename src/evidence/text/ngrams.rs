//! Character n-grams and logistic regression, one candidate against the rest.

use super::classifier::{self, Form};
use super::examples::Input;
use super::logistic::Row;
use super::{Calibration, Corpus, Setup, Table, Tell, TextMethod, same};
use crate::error::Result;
use crate::evidence::fused::TEXT_ERROR;
use std::collections::{BTreeMap, HashMap};

/// Logistic regression on character n-grams.
pub struct CharNgrams;

const FORM: Form = Form { penalty: 2e-4, standard: false };
/// Characters of a text at the most.
const LENGTH: usize = 4000;
/// Distinct n-grams at the most: the commonest are kept.
const WIDTH: usize = 50_000;

/// The n-grams of 1 to `order` characters with their counts.
pub(super) fn grams(text: &str, order: usize) -> BTreeMap<&str, f32> {
    let text = same::head(text, LENGTH);
    let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    ends.push(text.len());
    let mut out = BTreeMap::new();
    for n in 1..=order {
        for w in ends.windows(n + 1) {
            *out.entry(&text[w[0]..w[n]]).or_default() += 1.0;
        }
    }
    out
}

/// Rows of TF-IDF weights, of length 1, over n-grams that occur in two texts or more.
pub(super) fn tf_idf(texts: &[&str], order: usize) -> (Vec<Row>, usize) {
    let counted: Vec<BTreeMap<&str, f32>> = texts.iter().map(|t| grams(t, order)).collect();
    let mut df: HashMap<&str, usize> = HashMap::new();
    counted.iter().flat_map(|c| c.keys()).for_each(|g| *df.entry(g).or_default() += 1);
    let mut kept: Vec<(&str, usize)> = df.into_iter().filter(|(_, n)| *n > 1).collect();
    kept.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    kept.truncate(WIDTH);
    let n = texts.len() as f64;
    let weights: HashMap<&str, (u32, f32)> = kept
        .iter()
        .enumerate()
        .map(|(i, (g, d))| {
            (*g, (i as u32, (libm::log((1.0 + n) / (1.0 + *d as f64)) + 1.0) as f32))
        })
        .collect();
    let row = |counts: &BTreeMap<&str, f32>| -> Row {
        let mut row: Row = counts
            .iter()
            .filter_map(|(g, n)| {
                let (i, idf) = weights.get(g)?;
                Some((*i, (1.0 + libm::logf(*n)) * idf))
            })
            .collect();
        row.sort_unstable_by_key(|(i, _)| *i);
        let norm = row.iter().map(|(_, v)| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|(_, v)| *v /= norm.max(1e-9));
        row
    };
    (counted.iter().map(row).collect(), kept.len())
}

/// What two texts have in common: the products of their weights.
fn common(a: &Row, b: &Row) -> Row {
    let other: HashMap<u32, f32> = b.iter().copied().collect();
    a.iter().filter_map(|(i, v)| Some((*i, v * other.get(i)?))).collect()
}

fn rows(inputs: &[Input<'_>]) -> (Vec<Row>, usize) {
    let joined: Vec<String> = inputs
        .iter()
        .filter(|i| !i.pair)
        .filter_map(|i| Some(format!("{}\n{}", i.before?, i.response)))
        .collect();
    let mut joined_texts = joined.iter();
    let mut texts: Vec<&str> = vec![];
    for input in inputs {
        match input.before {
            Some(before) if input.pair => texts.extend([before, input.response]),
            Some(_) => texts.extend(joined_texts.next().map(String::as_str)),
            None => texts.push(input.response),
        }
    }
    let (rows, width) = tf_idf(&texts, 3);
    let mut rows = rows.into_iter();
    let of = |input: &Input<'_>| match (rows.next(), input.pair) {
        (Some(a), true) => rows.next().map_or_else(Row::new, |b| common(&a, &b)),
        (Some(a), false) => a,
        (None, _) => Row::new(),
    };
    (inputs.iter().map(of).collect(), width)
}

impl TextMethod for CharNgrams {
    fn name(&self) -> &'static str {
        "char-ngrams"
    }
    fn about(&self) -> &'static str {
        "Mean log-odds that the response is the candidate's rather than another's, by logistic regression on one to three characters in a row."
    }
    fn baseline(&self) -> bool {
        false
    }
    fn learns(&self) -> bool {
        true
    }
    fn calibration(&self) -> Option<Calibration> {
        Some(Calibration { temperature: 3.0, weight: 0.0, error: TEXT_ERROR })
    }
    fn tables(&self, corpus: &Corpus, setup: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        classifier::tables(corpus, setup, &FORM, tell, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grams_are_of_characters() {
        let g = grams("aé a", 2);
        assert_eq!(g.get("a"), Some(&2.0));
        assert_eq!(g.get("aé"), Some(&1.0));
        assert_eq!(g.len(), 6);
    }

    #[test]
    fn rows_have_length_one_and_skip_what_occurs_once() {
        let (rows, width) = tf_idf(&["ab", "ab", "xb", ""], 2);
        assert_eq!(width, 3);
        for row in &rows[..3] {
            let norm: f32 = row.iter().map(|(_, v)| v * v).sum();
            assert!((norm - 1.0).abs() < 1e-6);
        }
        assert!(rows[3].is_empty());
        assert_eq!(rows[0], rows[1]);
        assert_eq!(common(&rows[0], &rows[2]).len(), 1);
    }
}
