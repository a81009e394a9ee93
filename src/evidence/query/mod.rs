//! Tests on a suspect that can be run or asked: what it answers to prompts of
//! our choice, and what it computes on the way. One method, one file, one entry
//! in [`METHODS`].
//!
//! Models are looked at one after another, so a method first keeps a small
//! [`Record`] of each ([`QueryMethod::observe`]) and compares records later
//! ([`QueryMethod::test`]). A record is text or a vector, never a model.

mod agreement;
mod distance;
mod openings;
mod seedprint;
mod words;

pub use agreement::{Agreement, from_answers, prompts};
pub use distance::{OutputDistance, tree};
pub use seedprint::SeedPrint;

use super::lineage::Test;
use crate::decoder::Model;
use crate::error::{Error, ErrorKind, Result};
use crate::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

/// A model at hand; only one is in memory at a time.
pub struct Subject<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Its name; models of different names draw from different streams.
    pub label: &'a str,
}

/// What one model said or computed, kept after the model is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The beginning of the answer to each prompt, without the space around it;
    /// blank where the text ended, `None` where there is no answer.
    Answers(Vec<Option<String>>),
    /// The first characters of several completions of each opening.
    Draws(Vec<Vec<String>>),
    /// One value for each hidden dimension.
    Print(Vec<f64>),
}

/// How much to ask, and the seed; records compare only where the plan is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Seed of every random draw.
    pub seed: u64,
    /// Prompts of the agreement test; 0 for none.
    pub prompts: usize,
    /// Completions of each opening for the output distance; 0 for none, else 2 at the least.
    pub draws: usize,
    /// The smallest vocabulary among the models, from which seed prints draw
    /// their tokens; 0 for none.
    pub vocab: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: 2306, prompts: 300, draws: 32, vocab: 256 }
    }
}

/// One way to compare what models do.
pub trait QueryMethod: Sync {
    /// Stable name, e.g. `next-token-agreement`.
    fn name(&self) -> &'static str;
    /// Runs the model; `tell` hears the number of tokens just processed.
    ///
    /// # Errors
    /// As [`Model::next`], and where a prompt is longer than the context.
    fn observe(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        tell: &mut dyn FnMut(usize),
    ) -> Result<Record>;
    /// One test for each candidate, `None` where the two do not compare. P-values
    /// are of one candidate alone: the caller corrects for their number.
    ///
    /// # Errors
    /// Records of another method or plan.
    fn test(
        &self,
        suspect: &Record,
        candidates: &[Option<Record>],
        plan: &Plan,
    ) -> Result<Vec<Option<Test>>>;
}

/// All methods, the most telling first.
pub const METHODS: &[&dyn QueryMethod] = &[&SeedPrint, &Agreement, &OutputDistance];

/// The error for a record that another method or plan made.
fn foreign(method: &str) -> Error {
    Error::new(ErrorKind::Mismatch, format!("{method} cannot read what was kept of a model"))
        .hint("ask all models by the same plan")
}
