//! Evidence from text alone: what a suspect answered, set beside what the
//! candidates answered.
//!
//! Every method here gives a table of log-odds, one for each candidate and
//! prompt; [`super`] turns tables into findings. Classifiers, one for each
//! candidate against the rest, are those of Foley et al., "Matching Pairs"
//! (ACL 2023), sections 3 and 4; [`examples`] makes what they learn from, so
//! that a classifier is a file that knows nothing of knowledge levels or
//! input representations.

pub mod bleu;
mod classifier;
pub mod edit;
pub mod exact;
pub mod examples;
mod features;
mod finding;
pub mod first;
pub mod logistic;
pub mod ngrams;
pub mod prefix;
pub mod residual;
pub mod same;
pub mod stylometry;
pub mod tfidf;
pub mod training;
pub mod transformer;
pub mod triplet;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod encoder_tests;

pub use finding::{Means, finding};

use super::TextEvidence;
use crate::encoder::Encoder;
use crate::error::Result;
use std::sync::Arc;
use training::Training;

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
    /// How its mean becomes log-odds, measured on fine-tunes with known bases;
    /// `None` for what is no evidence.
    fn calibration(&self) -> Option<Calibration> {
        None
    }
    /// The table of each suspect.
    ///
    /// # Errors
    /// Where the corpus lacks what the method needs.
    fn tables(&self, corpus: &Corpus, setup: &Setup, tell: Tell<'_>) -> Result<Vec<Table>>;
    /// The same with a sentence on how training went, where there is any.
    ///
    /// # Errors
    /// As [`Self::tables`].
    fn trained(
        &self,
        corpus: &Corpus,
        setup: &Setup,
        tell: Tell<'_>,
    ) -> Result<(Vec<Table>, String)> {
        Ok((self.tables(corpus, setup, tell)?, String::new()))
    }
}

/// How a method's mean becomes log-odds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Divides the mean to give log-odds.
    pub temperature: f64,
    /// What its standard scores across the candidates weigh in the fused finding; 0 keeps it out.
    pub weight: f64,
    /// The share of wrong answers that remains however clear the mean is.
    pub error: f64,
}

/// Every method on text alone, the default first.
pub const METHODS: &[&dyn TextMethod] = &[
    &stylometry::Stylometry,
    &ngrams::CharNgrams,
    &prefix::OpeningAgreement,
    &residual::ResidualText,
    &residual::ResidualLength,
    &exact::ExactMatch,
    &edit::EditDistance,
    &bleu::Bleu,
    &tfidf::TfIdf,
    &first::FirstCharacter,
];

/// The methods that read through an encoder.
pub fn on_encoder(encoder: &Arc<Encoder>, training: Training) -> [Box<dyn TextMethod>; 2] {
    [
        Box::new(transformer::Transformer { encoder: encoder.clone(), training }),
        Box::new(triplet::Triplet { encoder: encoder.clone(), training }),
    ]
}

/// What `method` makes of every suspect of `corpus`.
///
/// # Errors
/// As [`TextMethod::tables`].
pub fn observe(
    method: &dyn TextMethod,
    corpus: &Corpus,
    setup: &Setup,
    tell: Tell<'_>,
) -> Result<Vec<TextEvidence>> {
    let mut about = method.about().to_owned();
    if method.learns() {
        about.push_str(&format!(
            " Knowledge: {}, {} labelled fine-tunes. It reads: {}.",
            setup.knowledge.name(),
            match corpus.labelled.len() {
                0 => "no".to_owned(),
                n => n.to_string(),
            },
            setup.representation.name()
        ));
    }
    let (tables, note) = method.trained(corpus, setup, tell)?;
    if !note.is_empty() {
        about.push_str(&format!(" {note}"));
    }
    let evidence = |table| TextEvidence {
        method: method.name().into(),
        about: about.clone(),
        baseline: method.baseline(),
        votes: method.learns(),
        calibration: method.calibration(),
        table,
    };
    Ok(tables.into_iter().map(evidence).collect())
}
