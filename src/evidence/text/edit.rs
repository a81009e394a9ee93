//! Heuristic: edit distance of the answers to the same prompt.

use super::{Corpus, Setup, Table, Tell, TextMethod, same};
use crate::error::Result;

/// Characters compared at the most: the work grows with their square.
const LENGTH: usize = 1000;

/// 1 minus the Levenshtein distance over the longer length.
pub struct EditDistance;

impl TextMethod for EditDistance {
    fn name(&self) -> &'static str {
        "edit-distance"
    }
    fn about(&self) -> &'static str {
        "Mean likeness of the answers to the same prompt: 1 minus their Levenshtein distance over the longer length, in characters."
    }
    fn baseline(&self) -> bool {
        true
    }
    fn learns(&self) -> bool {
        false
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        same::tables(corpus, tell, |a, b| {
            strsim::normalized_levenshtein(same::head(a, LENGTH), same::head(b, LENGTH))
        })
    }
}
