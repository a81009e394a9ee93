//! One run: candidates and samples in, a [`Report`] out.

use crate::error::{Error, ErrorKind, Result};
use crate::formats::CandidateFiles;
use crate::report::Report;
use crate::samples::Samples;
use crate::source::SharedSource;

/// Everything a user can set.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Seed of every random draw.
    pub seed: u64,
    /// Samples used at the most, taken evenly over the input.
    pub max_samples: usize,
    /// New tokens in a candidate's own response at the most.
    pub max_new_tokens: usize,
    /// Bootstrap rounds.
    pub bootstrap: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { seed: 2306_09308, max_samples: 60, max_new_tokens: 48, bootstrap: 1000 }
    }
}

/// What to rank, by what.
pub struct Job {
    /// The candidates, at least one.
    pub candidates: Vec<CandidateFiles>,
    /// The suspect's samples.
    pub samples: Samples,
    /// The files that the samples came from, for the report's hashes.
    pub sample_sources: Vec<SharedSource>,
    /// Problems met before the run, to be carried into the report.
    pub problems: Vec<Error>,
    /// Settings.
    pub parameters: Parameters,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// What is being done, for people: "SmolLM2 scores the samples".
    pub stage: String,
    /// Work done, in `unit`s.
    pub done: u64,
    /// All the work of the run as known now, in `unit`s.
    pub total: u64,
    /// `tokens` or `bytes`.
    pub unit: String,
}

/// Runs `job`; `progress` hears every step. To cancel, drop the worker it runs in.
///
/// A candidate that fails becomes a problem in the report and the others go on.
///
/// # Errors
/// Where no candidate or no sample is usable.
pub fn run(job: &Job, progress: &mut dyn FnMut(&Progress)) -> Result<Report> {
    let _ = (job, progress);
    Err(Error::new(ErrorKind::Internal, "not built yet"))
}
