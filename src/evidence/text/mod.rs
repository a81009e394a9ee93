//! Evidence from text alone: what a suspect answered, set beside what the
//! candidates answered.
//!
//! Every method here gives a table of log-odds, one for each candidate and
//! prompt; [`super`] turns tables into findings. Classifiers, one for each
//! candidate against the rest, are those of Foley et al., "Matching Pairs"
//! (ACL 2023), sections 3 and 4; [`examples`] makes what they learn from, so
//! that a classifier is a file that knows nothing of knowledge levels or
//! input representations.

pub mod examples;
pub mod logistic;
pub mod training;
pub mod transformer;
pub mod triplet;

#[cfg(test)]
mod encoder_tests;

use crate::error::Result;

/// What is known of everybody's answers.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// The prompt of each column.
    pub prompts: Vec<Option<String>>,
    /// `bases[b][column]`: response of candidate `b`; `None` is a gap, an
    /// empty string a blank answer.
    pub bases: Vec<Vec<Option<String>>>,
    /// Known fine-tunes to learn from: the candidate each comes from, and its responses.
    pub labelled: Vec<(usize, Vec<Option<String>>)>,
    /// `suspects[s][column]`.
    pub suspects: Vec<Vec<Option<String>>>,
}

/// What a classifier reads.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Representation {
    /// The response alone.
    #[default]
    Response,
    /// The prompt, then the response.
    PromptResponse,
    /// The candidate's response and the suspect's to the same prompt.
    Pair,
}

/// Whom the attributor knows (paper, section 3.2).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Knowledge {
    /// All candidates: each is learnt against the others.
    #[default]
    Universal,
    /// One candidate at a time: it is learnt against what the suspects wrote,
    /// on other prompts than those it then judges.
    Restricted,
}

impl Representation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Response, Self::PromptResponse, Self::Pair];

    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::PromptResponse => "prompt-response",
            Self::Pair => "pair",
        }
    }
}

impl Knowledge {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Universal, Self::Restricted];

    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Universal => "universal",
            Self::Restricted => "restricted",
        }
    }
}

/// How a method is to work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    /// What classifiers read.
    pub representation: Representation,
    /// Whom they know.
    pub knowledge: Knowledge,
    /// Seed of every random draw.
    pub seed: u64,
}

/// `table[candidate][column]`: log-odds or a similarity; higher speaks for the
/// candidate, NaN where there is nothing to compare.
pub type Table = Vec<Vec<f64>>;

/// Hears how far a method is: steps done and steps in all.
pub type Tell<'a> = &'a mut dyn FnMut(u64, u64);

/// One way to compare text.
pub trait TextMethod: Sync {
    /// Stable name, e.g. `stylometry`.
    fn name(&self) -> &'static str;
    /// What one cell of its table is, as a sentence.
    fn about(&self) -> &'static str;
    /// Whether it is a named baseline rather than evidence.
    fn baseline(&self) -> bool;
    /// Whether representations and knowledge levels apply to it.
    fn learns(&self) -> bool;
    /// The table of each suspect.
    ///
    /// # Errors
    /// Where the corpus lacks what the method needs.
    fn tables(&self, corpus: &Corpus, setup: &Setup, tell: Tell<'_>) -> Result<Vec<Table>>;
}
