//! What a run found, and its forms: JSON, CSV, SVG chart, HTML.
//!
//! The report holds no date and no path, so that the same input gives the
//! same bytes.

pub mod chart;
pub mod csv;
pub mod draw;
pub mod figures;
pub mod heatmap;
pub mod html;
pub mod json;
pub mod layers;
pub mod lineage;
pub mod markup;
pub mod nullplot;
pub mod tables;
pub mod text;
pub mod tree;

use crate::error::Error;
use crate::evidence::lineage::{Lineage, Tree};
use crate::evidence::{Finding, ResponseScore};
use crate::samples::{Note, Sample};
use serde::{Deserialize, Serialize};

/// Version of the JSON form; raised when a field changes its meaning.
pub const SCHEMA: &str = "basetrace.report/1";

/// Version of the JSON form of several reports.
pub const SCHEMA_ALL: &str = "basetrace.reports/1";

/// All that a run found about one suspect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of basetrace.
    pub version: String,
    /// Name of the suspect.
    #[serde(default)]
    pub suspect: String,
    /// Settings, the seed among them.
    pub parameters: crate::job::Parameters,
    /// Every file that was read.
    pub inputs: Vec<Input>,
    /// The candidates that were ranked; everything else refers to them by index.
    pub candidates: Vec<Candidate>,
    /// The answer.
    pub verdict: Verdict,
    /// What each method found, the decisive first.
    pub findings: Vec<Finding>,
    /// Mean bits per byte: `levels[c][0]` of the suspect under candidate `c`, `levels[c][1 + d]` of candidate `d`'s own responses.
    pub levels: Vec<Vec<Option<f64>>>,
    /// The suspect's samples with their scores.
    pub samples: Vec<SampleResult>,
    /// With several suspects: all of them against all candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// The suspect's descent from each candidate by weights and by queries, in
    /// the order of `candidates`; empty where only text was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<Lineage>,
    /// Candidates and suspect by the distance of what they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Tree>,
    /// Beside weights: what the models were not asked, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// What was set aside or repaired in the samples.
    pub notes: Vec<Note>,
    /// Inputs that could not be used; the others were.
    pub problems: Vec<Error>,
    /// Limits of the methods, for the reader of an export.
    pub limits: Vec<String>,
}

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Name as dropped.
    pub name: String,
    /// `candidate` or `samples`.
    pub role: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Hex SHA-256 of the content.
    pub sha256: String,
}

/// Several suspects against all candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matching {
    /// Names of the suspects.
    pub suspects: Vec<String>,
    /// `probabilities[suspect][candidate]` by each suspect's decisive finding.
    pub probabilities: Vec<Vec<f64>>,
    /// The best candidate of each suspect by itself.
    pub independent: Vec<Option<usize>>,
    /// How sure each of these answers is.
    pub answers: Vec<Answer>,
    /// The candidate of each suspect if no two suspects share one.
    pub assigned: Vec<Option<usize>>,
}

impl Matching {
    /// What the assignment rests on.
    pub const ASSUMPTION: &'static str = "The assignment supposes that no two suspects come from one candidate. Where that is not known, only the independent answers count.";
}

/// One candidate model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Label, unique in the report.
    pub label: String,
    /// Decoder family, e.g. `llama`.
    pub family: String,
    /// Number of weights.
    pub weights: u64,
    /// Element types of the matrices with their share, e.g. `Q4_1, Q8_0`.
    pub dtypes: String,
    /// Token ids.
    pub vocab: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// Responses by which it is known, where it has no weights here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub responses: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How sure the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// One candidate stands out.
    Attributed,
    /// The evidence does not separate the candidates.
    Undetermined,
    /// The evidence speaks against all candidates.
    NoneOfThese,
}

/// The answer in one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// How sure.
    pub answer: Answer,
    /// The best candidate, whatever the answer.
    pub candidate: Option<usize>,
    /// The method it rests on.
    pub method: String,
    /// One sentence with its probability and interval.
    pub text: String,
    /// What the reader must know before using it.
    pub warnings: Vec<String>,
}

/// One sample and what each candidate made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleResult {
    /// Prompt, response and origin.
    pub sample: Sample,
    /// By candidate; `None` where it could not be scored.
    pub scores: Vec<Option<ResponseScore>>,
}

impl Report {
    /// The finding that the verdict rests on.
    pub fn decisive(&self) -> Option<&Finding> {
        let decisive = || self.findings.iter().filter(|f| !f.baseline);
        decisive().find(|f| f.method == self.verdict.method).or_else(|| decisive().next())
    }

    /// The named baselines, shown beside.
    pub fn baselines(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.baseline)
    }

    /// Label of candidate `c`; a dash for an index that a foreign report got wrong.
    pub fn label(&self, c: usize) -> &str {
        self.candidates.get(c).map_or(figures::UNKNOWN, |c| &c.label)
    }

    /// Verdict warnings, then those of the findings that are not among them.
    pub fn warnings(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.verdict.warnings.iter().map(String::as_str).collect();
        for w in self.findings.iter().filter(|f| !f.baseline).flat_map(|f| &f.warnings) {
            if !all.contains(&w.as_str()) {
                all.push(w);
            }
        }
        all
    }
}

impl Finding {
    /// Place of candidate `c` by this finding, 1 for the best.
    pub fn place(&self, c: usize) -> Option<usize> {
        self.standings.iter().position(|s| s.candidate == c).map(|i| i + 1)
    }
}

impl Answer {
    /// In words, as a heading.
    pub fn words(self) -> &'static str {
        match self {
            Self::Attributed => "Attributed",
            Self::Undetermined => "Undetermined",
            Self::NoneOfThese => "None of these",
        }
    }
}
