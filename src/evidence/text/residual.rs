//! Likeness beyond what the prompt explains.
//!
//! Answers to one prompt are alike whoever writes them: they share its words
//! and its language. So the mean of the candidates' answers is taken off every
//! answer first, and what remains is correlated: the part of an answer that is
//! neither the prompt's nor everyone's. Fine-tuning moves a model's answers as
//! a whole; which answers stand out, and in what, it leaves more often alone.

use super::logistic::Row;
use super::{Calibration, Corpus, Setup, Table, Tell, TextMethod, ngrams};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::fused::TEXT_ERROR;
use std::collections::BTreeMap;

/// Correlation of character n-grams less the prompt's mean.
pub struct ResidualText;
/// Correlation of lengths less the prompt's and the model's mean.
pub struct ResidualLength;

/// Up to four characters in a row.
const ORDER: usize = 4;

type Vector = BTreeMap<u32, f64>;

/// `vector - mean`.
fn less(row: &Row, mean: &Vector) -> Vector {
    let mut out: Vector = mean.iter().map(|(i, v)| (*i, -v)).collect();
    row.iter().for_each(|(i, v)| *out.entry(*i).or_default() += f64::from(*v));
    out
}

fn product(a: &Vector, b: &Vector) -> f64 {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    few.iter().filter_map(|(i, x)| Some(x * many.get(i)?)).sum()
}

fn no_overlap() -> Error {
    Error::new(
        ErrorKind::Samples,
        "the prompts do not overlap: no prompt was answered by two candidates and the suspect",
    )
    .hint("ask all models the same prompts; export them from the page or with `basetrace prompts`")
}

/// Cells whose mean over prompts is the correlation of the residuals.
/// `base[b][column]` and `suspect[s][column]` are residuals, `None` for gaps.
fn correlations<T>(
    bases: &[Vec<Option<T>>],
    suspects: &[Vec<Option<T>>],
    tell: Tell<'_>,
    product: impl Fn(&T, &T) -> f64,
) -> Result<Vec<Table>> {
    let total = (bases.len() * suspects.len()) as u64;
    let (mut done, mut met) = (0, false);
    let mut tables = vec![];
    for suspect in suspects {
        let mut table = vec![];
        for base in bases {
            let both: Vec<Option<(&T, &T)>> =
                base.iter().zip(suspect).map(|(b, s)| b.as_ref().zip(s.as_ref())).collect();
            let n = both.iter().flatten().count() as f64;
            let (mut bb, mut ss) = (0.0, 0.0);
            for (b, s) in both.iter().flatten() {
                bb += product(b, b);
                ss += product(s, s);
            }
            let norm = (bb * ss).sqrt();
            met |= norm > 0.0;
            // Where nothing varies there is no correlation, which speaks for nobody.
            let cell = |pair: &Option<(&T, &T)>| match pair {
                Some((b, s)) if norm > 0.0 => n * product(b, s) / norm,
                Some(_) => 0.0,
                None => f64::NAN,
            };
            table.push(both.iter().map(cell).collect());
            done += 1;
            tell(done, total);
        }
        tables.push(table);
    }
    if met { Ok(tables) } else { Err(no_overlap()) }
}

/// Columns that two candidates or more answered: elsewhere there is no mean to take off.
fn shared(corpus: &Corpus) -> Vec<bool> {
    (0..corpus.prompts.len())
        .map(|c| corpus.bases.iter().filter(|b| b[c].is_some()).count() > 1)
        .collect()
}

impl TextMethod for ResidualText {
    fn name(&self) -> &'static str {
        "residual-text"
    }
    fn about(&self) -> &'static str {
        "Correlation of the suspect's answers with the candidate's, prompt by prompt, in character n-grams, after the mean of all candidates' answers to the prompt is taken off."
    }
    fn baseline(&self) -> bool {
        false
    }
    fn learns(&self) -> bool {
        false
    }
    fn calibration(&self) -> Option<Calibration> {
        Some(Calibration { temperature: 0.6, weight: 0.0, error: TEXT_ERROR })
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        let shared = shared(corpus);
        let writers: Vec<&Vec<Option<String>>> =
            corpus.bases.iter().chain(&corpus.suspects).collect();
        let texts: Vec<&str> = writers
            .iter()
            .flat_map(|w| w.iter().zip(&shared).filter(|(_, s)| **s))
            .filter_map(|(t, _)| t.as_deref())
            .collect();
        let (rows, _) = ngrams::tf_idf(&texts, ORDER);
        let mut rows = rows.into_iter();
        let table: Vec<Vec<Option<Row>>> = writers
            .iter()
            .map(|w| {
                w.iter()
                    .zip(&shared)
                    .map(|(t, s)| if *s && t.is_some() { rows.next() } else { None })
                    .collect()
            })
            .collect();
        let (bases, _) = table.split_at(corpus.bases.len());
        let means: Vec<Vector> = (0..shared.len())
            .map(|c| {
                let there: Vec<&Row> = bases.iter().filter_map(|b| b[c].as_ref()).collect();
                let mut mean = Vector::new();
                for (i, v) in there.iter().flat_map(|r| r.iter()) {
                    *mean.entry(*i).or_default() += f64::from(*v) / there.len() as f64;
                }
                mean
            })
            .collect();
        let residuals: Vec<Vec<Option<Vector>>> = table
            .iter()
            .map(|w| w.iter().zip(&means).map(|(r, m)| r.as_ref().map(|r| less(r, m))).collect())
            .collect();
        let (bases, suspects) = residuals.split_at(corpus.bases.len());
        correlations(bases, suspects, tell, product)
    }
}

impl TextMethod for ResidualLength {
    fn name(&self) -> &'static str {
        "residual-length"
    }
    fn about(&self) -> &'static str {
        "Correlation of which prompts the suspect and the candidate answer at unusual length (log of bytes), after each prompt's mean over the candidates and each model's own mean are taken off: being wordy throughout counts for nothing."
    }
    fn baseline(&self) -> bool {
        false
    }
    fn learns(&self) -> bool {
        false
    }
    fn calibration(&self) -> Option<Calibration> {
        Some(Calibration { temperature: 1.2, weight: 0.42, error: TEXT_ERROR })
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        let shared = shared(corpus);
        let log = |t: &Option<String>| t.as_ref().map(|t| libm::log1p(t.len() as f64));
        let means: Vec<f64> = (0..shared.len())
            .map(|c| {
                let there: Vec<f64> = corpus.bases.iter().filter_map(|b| log(&b[c])).collect();
                there.iter().sum::<f64>() / there.len().max(1) as f64
            })
            .collect();
        let residual = |row: &Vec<Option<String>>| -> Vec<Option<f64>> {
            let mut out: Vec<Option<f64>> = (0..shared.len())
                .map(|c| log(&row[c]).filter(|_| shared[c]).map(|v| v - means[c]))
                .collect();
            let n = out.iter().flatten().count().max(1) as f64;
            let level = out.iter().flatten().sum::<f64>() / n;
            out.iter_mut().flatten().for_each(|v| *v -= level);
            out
        };
        let bases: Vec<_> = corpus.bases.iter().map(residual).collect();
        let suspects: Vec<_> = corpus.suspects.iter().map(residual).collect();
        correlations(&bases, &suspects, tell, |a, b| a * b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::text::Means;

    fn texts(t: &[&str]) -> Vec<Option<String>> {
        t.iter().map(|t| (*t != "?").then(|| (*t).to_owned())).collect()
    }

    fn setup() -> Setup {
        Setup { representation: Default::default(), knowledge: Default::default(), seed: 0 }
    }

    #[test]
    fn lengths_correlate_beyond_level_and_prompt() {
        let corpus = Corpus {
            prompts: vec![None; 4],
            bases: vec![texts(&["aa", "a", "aaaa", "a"]), texts(&["b", "bbb", "b", "bb"])],
            // As the first, but three times as long throughout.
            suspects: vec![texts(&["cccccccc", "ccccc", "cccccccccccccc", "?"])],
            ..Corpus::default()
        };
        let t = ResidualLength.tables(&corpus, &setup(), &mut |_, _| {}).unwrap();
        let means = Means::new(&t[0]);
        // Two candidates' residuals mirror each other.
        assert!(means.whole()[0] > 0.9 && (means.whole()[0] + means.whole()[1]).abs() < 0.2);
        assert!(t[0][0][3].is_nan());
    }

    #[test]
    fn what_all_candidates_share_counts_for_nothing() {
        let corpus = Corpus {
            prompts: vec![None; 2],
            bases: vec![
                texts(&["the sea was red red", "the king ate plums"]),
                texts(&["the sea was blue", "the king ate bread"]),
            ],
            suspects: vec![texts(&["the sea is red red red", "the king has plums"])],
            ..Corpus::default()
        };
        let t = ResidualText.tables(&corpus, &setup(), &mut |_, _| {}).unwrap();
        let means = Means::new(&t[0]);
        assert!(means.whole()[0] > 0.2 && means.whole()[1] < -0.2, "{:?}", means.whole());
    }

    #[test]
    fn prompts_that_do_not_overlap_are_named() {
        let corpus = Corpus {
            prompts: vec![None; 2],
            bases: vec![texts(&["a", "?"]), texts(&["b", "?"])],
            suspects: vec![texts(&["?", "c"])],
            ..Corpus::default()
        };
        for method in [&ResidualText as &dyn TextMethod, &ResidualLength] {
            let e = method.tables(&corpus, &setup(), &mut |_, _| {}).unwrap_err();
            assert!(e.what().contains("do not overlap"));
        }
    }
}
