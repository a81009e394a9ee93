//! Evidence methods. One method, one file, one entry in [`METHODS`].

mod cap;
mod combined;
pub mod fused;
pub mod lineage;
pub mod matching;
pub mod null;
mod opening;
mod perplexity;
pub mod query;
pub mod stats;
pub mod text;
pub mod weights;

pub use combined::ERROR;

use crate::decoder::TokenScore;
use crate::error::Result;
use crate::samples::Sample;

/// What a method may look at.
pub struct Observations<'a> {
    /// Labels of the candidates; their order is the order everywhere.
    pub candidates: &'a [String],
    /// The suspect's samples.
    pub samples: &'a [Sample],
    /// `scores[c]`: everything that candidate `c` scored.
    pub scores: &'a [CandidateScores],
    /// Seed of every random draw.
    pub seed: u64,
    /// Bootstrap rounds.
    pub bootstrap: usize,
    /// What the text methods made of the responses; empty where there was nothing to compare.
    pub texts: &'a [TextEvidence],
}

/// What one text method made of one suspect.
#[derive(Clone, Debug, PartialEq)]
pub struct TextEvidence {
    /// The method's name.
    pub method: String,
    /// What a cell is, and the knowledge and representation behind it.
    pub about: String,
    /// Whether it is a named baseline.
    pub baseline: bool,
    /// Whether its classifiers vote: a cell above 0 claims the response.
    pub votes: bool,
    /// How its mean becomes log-odds; `None` where that was never measured.
    pub calibration: Option<text::Calibration>,
    /// Log-odds or similarity by candidate and prompt.
    pub table: text::Table,
}

impl Observations<'_> {
    /// Whether every candidate has weights, so that likelihoods compare.
    pub fn scored(&self) -> bool {
        !self.scores.is_empty() && self.scores.iter().all(|s| !s.suspect.is_empty())
    }

    /// Indices of the samples that every candidate scored: only these compare fairly.
    pub fn common(&self) -> Vec<usize> {
        let scored = |i: &usize| {
            self.scores.iter().all(|s| {
                s.suspect.get(*i).and_then(Option::as_ref).is_some_and(|r| !r.tokens.is_empty())
            })
        };
        (0..self.samples.len()).filter(scored).collect()
    }
}

/// All that one candidate scored.
#[derive(Clone, Debug, Default)]
pub struct CandidateScores {
    /// The suspect's responses, by sample index; `None` where this candidate could not score it.
    pub suspect: Vec<Option<ResponseScore>>,
    /// `own[d][i]`: response of candidate `d` to prompt `i` (`d` may be this candidate itself).
    pub own: Vec<Vec<Option<ResponseScore>>>,
}

impl CandidateScores {
    /// Bits per byte over all responses of the suspect, then of each candidate's own.
    pub fn levels(&self) -> Vec<Option<f64>> {
        std::iter::once(&self.suspect).chain(&self.own).map(|r| level(r)).collect()
    }
}

/// Bits per byte over all `responses` together.
fn level(responses: &[Option<ResponseScore>]) -> Option<f64> {
    let (mut nats, mut bytes) = (0.0, 0);
    for r in responses.iter().flatten() {
        nats -= r.log_likelihood();
        bytes += r.bytes;
    }
    (bytes > 0).then(|| nats / std::f64::consts::LN_2 / bytes as f64)
}

/// One response under one candidate.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ResponseScore {
    /// UTF-8 bytes of the response.
    pub bytes: usize,
    /// One per response token.
    pub tokens: Vec<TokenScore>,
    /// Byte range in the response of each token.
    pub spans: Vec<(usize, usize)>,
}

impl ResponseScore {
    /// Log-likelihood of the response given its prompt, in nats.
    pub fn log_likelihood(&self) -> f64 {
        self.tokens.iter().map(|t| f64::from(t.logprob)).sum()
    }

    /// Bits per byte; `None` for an empty response.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0)
            .then(|| -self.log_likelihood() / std::f64::consts::LN_2 / self.bytes as f64)
    }
}

/// What access to the suspect a method needs; stronger access outweighs weaker.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Only text that the suspect wrote.
    Text,
    /// Answers to prompts of our choice, by running it or through an API.
    Query,
    /// Its weights.
    Weights,
}

/// One candidate's standing by one method.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// Index of the candidate.
    pub candidate: usize,
    /// The method's statistic; higher speaks for the candidate.
    pub score: f64,
    /// 95 % bootstrap interval of `score` over samples.
    pub score_interval: (f64, f64),
    /// Probability that the suspect comes from this candidate, given that it comes from one of them.
    pub probability: f64,
    /// 95 % bootstrap interval of `probability`.
    pub probability_interval: (f64, f64),
    /// Share of the responses that this candidate's classifier claims (majority
    /// voting of Foley et al., section 3.1), where the method has classifiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<f64>,
}

/// What one method found.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// Stable name, e.g. `calibrated-likelihood`.
    pub method: String,
    /// A sentence: what the score is, with its unit.
    pub about: String,
    /// The access to the suspect that it rests on.
    pub access: Access,
    /// Whether this is a named baseline, shown beside but never decisive.
    pub baseline: bool,
    /// Best first.
    pub standings: Vec<Standing>,
    /// Probability that the true base is none of the candidates, where the method can tell.
    pub none: Option<NoneOfThese>,
    /// What the reader must know, e.g. that there is too little text.
    pub warnings: Vec<String>,
    /// The share of wrong answers that remains however clear the statistics are.
    #[serde(default)]
    pub error: f64,
}

/// The case against all candidates.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NoneOfThese {
    /// p-value of the suspect under "it comes from the best candidate".
    pub p_value: f64,
    /// The statistic behind it.
    pub statistic: f64,
    /// How its null was made.
    pub about: String,
}

/// One way to tell candidates apart.
pub trait Evidence {
    /// Stable name.
    fn name(&self) -> &'static str;
    /// Whether there is anything for it in what was seen; where not, it is left out in silence.
    fn applies(&self, seen: &Observations<'_>) -> bool;
    /// Weighs the observations.
    ///
    /// # Errors
    /// Where the observations do not suffice at all.
    fn weigh(&self, seen: &Observations<'_>) -> Result<Finding>;
}

/// Every method on observations as a whole, the decisive first; those on text
/// alone are in [`text::METHODS`].
pub const METHODS: &[&dyn Evidence] = &[
    &fused::Fused,
    &combined::Combined,
    &opening::CalibratedLikelihood,
    &cap::TokenCap,
    &perplexity::RawPerplexity,
];
