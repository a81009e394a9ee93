//! Answers to the same prompt, compared one by one: what the heuristics share.

use super::{Corpus, Table};
use crate::error::{Error, ErrorKind, Result};

/// The tables of a similarity of two responses: the candidate's, then the suspect's.
///
/// # Errors
/// Where no suspect answered a prompt that a candidate answered.
pub fn tables(
    corpus: &Corpus,
    tell: super::Tell<'_>,
    similarity: impl Fn(&str, &str) -> f64,
) -> Result<Vec<Table>> {
    let total = (corpus.suspects.len() * corpus.bases.len()) as u64;
    let (mut done, mut met) = (0, false);
    let mut tables = vec![];
    for suspect in &corpus.suspects {
        let mut table = vec![];
        for base in &corpus.bases {
            let cells = base.iter().zip(suspect).map(|(b, s)| match (b, s) {
                (Some(b), Some(s)) => {
                    met = true;
                    similarity(b, s)
                }
                _ => f64::NAN,
            });
            table.push(cells.collect());
            done += 1;
            tell(done, total);
        }
        tables.push(table);
    }
    if !met {
        return Err(Error::new(
            ErrorKind::Samples,
            "the prompts do not overlap: no prompt was answered by both a candidate and the suspect",
        )
        .hint("ask all models the same prompts; export them from the page or with `basetrace prompts`"));
    }
    Ok(tables)
}

/// The first characters of a text at the most, so that one giant answer does not stall the rest.
pub fn head(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(at, _)| &text[..at])
}
