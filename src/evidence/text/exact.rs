//! Heuristic: how often candidate and suspect give the very same answer.
//!
//! One of the heuristics of the paper's appendix: right where greedy decoding
//! survives light tuning, blind otherwise.

use super::{Corpus, Setup, Table, Tell, TextMethod, same};
use crate::error::Result;

/// 1 for the same text, else 0.
pub struct ExactMatch;

impl TextMethod for ExactMatch {
    fn name(&self) -> &'static str {
        "exact-match"
    }
    fn about(&self) -> &'static str {
        "Share of prompts that candidate and suspect answer with the very same text, outer space aside."
    }
    fn baseline(&self) -> bool {
        true
    }
    fn learns(&self) -> bool {
        false
    }
    fn tables(&self, corpus: &Corpus, _: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        same::tables(corpus, tell, |a, b| f64::from(u8::from(a.trim() == b.trim())))
    }
}
