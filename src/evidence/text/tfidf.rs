//! Heuristic: TF-IDF cosine of the answers to the same prompt.

use super::{Corpus, Setup, Table, Tell, TextMethod, bleu, same};
use crate::error::Result;
use std::collections::BTreeMap;

/// Cosine of word weights, rare words weighing more.
pub struct TfIdf;

/// Words with their counts, in lower case.
fn terms(text: &str) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    for word in bleu::words(text) {
        *out.entry(word.to_lowercase()).or_default() += 1.0;
    }
    out
}

/// How much each word tells, over all the candidates' answers: log((1 + n) / (1 + df)) + 1.
fn weights(corpus: &Corpus) -> (BTreeMap<String, f64>, f64) {
    let mut df: BTreeMap<String, f64> = BTreeMap::new();
    let mut n = 0.0;
    for text in corpus.bases.iter().flatten().flatten() {
        n += 1.0;
        terms(text).into_keys().for_each(|w| *df.entry(w).or_default() += 1.0);
    }
    df.values_mut().for_each(|d| *d = libm::log((1.0 + n) / (1.0 + *d)) + 1.0);
    (df, libm::log(1.0 + n) + 1.0)
}

fn cosine(a: &str, b: &str, weights: &BTreeMap<String, f64>, unknown: f64) -> f64 {
    let vector = |text: &str| -> BTreeMap<String, f64> {
        let weigh = |(w, n): (String, f64)| {
            let idf = weights.get(&w).copied().unwrap_or(unknown);
            (w, n * idf)
        };
        terms(text).into_iter().map(weigh).collect()
    };
    let (a, b) = (vector(a), vector(b));
    let norm = |v: &BTreeMap<String, f64>| v.values().map(|x| x * x).sum::<f64>().sqrt();
    let (na, nb) = (norm(&a), norm(&b));
    if na == 0.0 || nb == 0.0 {
        return f64::from(u8::from(na == nb));
    }
    a.iter().filter_map(|(w, x)| Some(x * b.get(w)?)).sum::<f64>() / (na * nb)
}

impl TextMethod for TfIdf {
    fn name(&self) -> &'static str {
        "tf-idf"
    }
    fn about(&self) -> &'static str {
        "Mean TF-IDF cosine of the answers to the same prompt, over words in lower case."
    }
    fn baseline(&self) -> bool {
        true
    }
    fn learns(&self) -> bool {
        false
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        let (weights, unknown) = weights(corpus);
        same::tables(corpus, tell, |a, b| cosine(a, b, &weights, unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_count_more() {
        let texts = |t: &[&str]| t.iter().map(|t| Some((*t).to_owned())).collect::<Vec<_>>();
        let corpus = Corpus {
            prompts: vec![None; 3],
            bases: vec![texts(&["the owl", "the fox", "the elk"])],
            ..Corpus::default()
        };
        let (w, unknown) = weights(&corpus);
        let of = |a: &str, b: &str| cosine(a, b, &w, unknown);
        assert!((of("The owl", "the OWL") - 1.0).abs() < 1e-12);
        assert!(of("the owl", "an owl") > of("the owl", "the fox"));
        assert_eq!((of("", ""), of("a", "")), (1.0, 0.0));
        // By hand: idf(the) = ln(4/4) + 1, idf(owl) = ln(4/2) + 1.
        let owl = libm::log(2.0) + 1.0;
        assert!((of("the owl", "the fox") - 1.0 / (1.0 + owl * owl)).abs() < 1e-12);
    }
}
