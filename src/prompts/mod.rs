//! Which prompts to put to a suspect.
//!
//! Prompts are found in the two ways of Foley et al., "Matching Pairs"
//! (ACL 2023): [`curated`] ones probe the edges of what each candidate was
//! trained on (their P1), [`naive`] ones are a broad mixture (their P2). All
//! are our own. A [`Picker`] then spends a small budget on those of a pool that
//! tell the candidates apart; it sees the candidates' responses and nothing of
//! any suspect.

pub mod chart;
pub mod curve;
mod features;
pub mod file;
mod first;
mod greedy;
pub mod judge;
mod kinds;
mod pool;
mod random;
mod rl;

pub use chart::chart;
pub use curve::{Point, curve};
pub use first::First;
pub use greedy::Greedy;
pub use random::Random;
pub use rl::Reinforcement;

use crate::error::{Error, ErrorKind, Result};
use crate::evidence::text::Tell;
use crate::responses::Responses;

/// A prompt of one of the two sets that come with basetrace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// What the model is given.
    pub prompt: String,
    /// `curated` or `naive`.
    pub set: String,
    /// The candidate whose training it probes; none for a naive one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What it probes and where that is known from, or its genre.
    pub why: String,
}

impl Prompt {
    /// Its set as a column of a file: `curated/gpt2`, `naive`.
    pub fn label(&self) -> String {
        match &self.base {
            Some(base) => format!("{}/{base}", self.set),
            None => self.set.clone(),
        }
    }
}

/// The sets to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Edge cases of the candidates' training data (P1).
    Curated,
    /// A broad mixture (P2).
    Naive,
    /// Both (P1 + P2).
    Both,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Curated, Self::Naive, Self::Both];

    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curated => "curated",
            Self::Naive => "naive",
            Self::Both => "both",
        }
    }

    /// Its prompts, curated ones first.
    ///
    /// # Errors
    /// Never with the files as committed.
    pub fn prompts(self) -> Result<Vec<Prompt>> {
        match self {
            Self::Curated => curated(),
            Self::Naive => naive(),
            Self::Both => Ok([curated()?, naive()?].concat()),
        }
    }
}

/// Edge cases of what each candidate was trained on, about nine a candidate.
///
/// # Errors
/// Never with the file as committed.
pub fn curated() -> Result<Vec<Prompt>> {
    parse(include_str!("curated.jsonl"))
}

/// Short openings over many genres, languages and formats.
///
/// # Errors
/// Never with the file as committed.
pub fn naive() -> Result<Vec<Prompt>> {
    parse(include_str!("naive.jsonl"))
}

fn parse(text: &str) -> Result<Vec<Prompt>> {
    let broken = |e| Error::new(ErrorKind::Internal, format!("a built-in prompt is broken: {e}"));
    text.lines().map(|l| serde_json::from_str(l).map_err(broken)).collect()
}

/// One way to spend a budget of prompts.
pub trait Picker: Sync {
    /// Stable name, e.g. `greedy`.
    fn name(&self) -> &'static str;
    /// What it does, as a sentence.
    fn about(&self) -> &'static str;
    /// Whether another seed may pick other prompts.
    fn seeded(&self) -> bool;
    /// Picks at most `budget` columns of the candidates' responses, the most
    /// wanted first, no column twice. Columns that fewer than two candidates
    /// answered are left out, so there can be fewer than asked for.
    ///
    /// # Errors
    /// A budget of nothing, fewer than two candidates with responses, or no
    /// prompt that two of them answered.
    fn pick(
        &self,
        bases: &Responses,
        budget: usize,
        seed: u64,
        tell: Tell<'_>,
    ) -> Result<Vec<usize>>;
}

/// All pickers, the plainest first.
pub const PICKERS: [&dyn Picker; 4] = [&First, &Random, &Greedy, &Reinforcement];

/// The picker of that name.
///
/// # Errors
/// There is none; the hint lists them.
pub fn picker(name: &str) -> Result<&'static dyn Picker> {
    let names: Vec<&str> = PICKERS.iter().map(|p| p.name()).collect();
    PICKERS.into_iter().find(|p| p.name() == name).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("no way of picking prompts is called {name}"))
            .hint(format!("one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests;
