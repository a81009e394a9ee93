//! One run: candidates and samples in, a [`Report`] out.

mod observe;

use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{METHODS, Observations};
use crate::formats::CandidateFiles;
use crate::report::{Input, Report, SCHEMA, SampleResult};
use crate::samples::{Sample, Samples};
use crate::source::{SharedSource, sha256};
use crate::verdict;
use observe::Observed;

/// Everything a user can set.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Seed of every random draw.
    pub seed: u64,
    /// Samples used at the most, taken evenly over the input.
    pub max_samples: usize,
    /// Prompts that each candidate answers itself, taken evenly over the samples' prompts.
    pub own_responses: usize,
    /// New tokens in a candidate's own response at the most.
    pub max_new_tokens: usize,
    /// Temperature of the candidates' own responses.
    pub temperature: f32,
    /// Nucleus mass of the candidates' own responses.
    pub top_p: f32,
    /// Bootstrap rounds.
    pub bootstrap: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            seed: 2306,
            max_samples: 60,
            own_responses: 20,
            max_new_tokens: 48,
            temperature: 0.8,
            top_p: 0.95,
            bootstrap: 1000,
        }
    }
}

impl Parameters {
    /// # Errors
    /// [`ErrorKind::Usage`] naming the setting that is out of range.
    pub fn check(&self) -> Result<()> {
        let whole = |name: &str, value: usize, from: usize, to: usize| {
            if (from..=to).contains(&value) {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Usage, format!("{name} is {value}, outside {from} to {to}"))
                .hint("choose a value in that range"))
        };
        whole("the number of samples", self.max_samples, 1, 10_000)?;
        whole("the number of own responses", self.own_responses, 1, 10_000)?;
        whole("the number of new tokens", self.max_new_tokens, 1, 4096)?;
        whole("the number of bootstrap rounds", self.bootstrap, 100, 100_000)?;
        let temperature = self.temperature.is_finite() && (0.0..=4.0).contains(&self.temperature);
        let mass = self.top_p > 0.0 && self.top_p <= 1.0;
        if !temperature || !mass {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("temperature {} or top-p {} is out of range", self.temperature, self.top_p),
            )
            .hint("temperature goes from 0 to 4, top-p from above 0 to 1"));
        }
        Ok(())
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
    /// In tokens: all the work of the run as known now. In bytes: this file's or model's.
    pub total: u64,
    /// `tokens` or `bytes`.
    pub unit: String,
}

/// Runs `job`; `progress` hears every step. To cancel, drop the worker it runs in.
///
/// A candidate that fails becomes a problem in the report and the others go on.
///
/// # Errors
/// Where no candidate or no sample is usable, or a setting is out of range.
pub fn run(job: &Job, progress: &mut dyn FnMut(&Progress)) -> Result<Report> {
    job.parameters.check()?;
    let samples = spread(&job.samples.samples, job.parameters.max_samples);
    if samples.is_empty() {
        return Err(Error::new(ErrorKind::Samples, "there are no samples to score")
            .hint("add a file of the suspect's responses, or paste some"));
    }
    if job.candidates.is_empty() {
        return Err(Error::new(ErrorKind::Missing, "there are no candidate models")
            .hint("add at least one model: a GGUF file or a folder with safetensors"));
    }
    let mut problems = job.problems.clone();
    let observed =
        observe::all(&job.candidates, &samples, &job.parameters, &mut problems, progress);
    if observed.is_empty() {
        let why = problems.last().map_or_else(String::new, |e| format!(": {e}"));
        return Err(Error::new(
            ErrorKind::Missing,
            format!("none of the candidates could be used{why}"),
        )
        .hint("see the problems listed for each file"));
    }
    let mut inputs = vec![];
    let sources = job.sample_sources.iter().map(|s| ("samples", s));
    let models = observed
        .iter()
        .flat_map(|o| job.candidates[o.index].files.iter().map(|s| ("candidate", s)));
    for (role, source) in models.chain(sources) {
        match input(role, source, progress) {
            Ok(input) => inputs.push(input),
            Err(e) => problems.push(e),
        }
    }
    report(job, &samples, observed, inputs, problems)
}

/// At most `n` of `samples`, evenly spread and in order.
fn spread(samples: &[Sample], n: usize) -> Vec<Sample> {
    let n = n.min(samples.len());
    (0..n).map(|i| samples[i * samples.len() / n].clone()).collect()
}

fn input(role: &str, source: &SharedSource, progress: &mut dyn FnMut(&Progress)) -> Result<Input> {
    let (stage, total) = (format!("Hashing {}", source.name()), source.len());
    let sha256 = sha256(source.as_ref(), |done| {
        progress(&Progress { stage: stage.clone(), done, total, unit: "bytes".into() });
    })?;
    Ok(Input { name: source.name().into(), role: role.into(), bytes: total, sha256 })
}

fn report(
    job: &Job,
    samples: &[Sample],
    observed: Vec<Observed>,
    inputs: Vec<Input>,
    mut problems: Vec<Error>,
) -> Result<Report> {
    let labels: Vec<String> = observed.iter().map(|o| o.about.label.clone()).collect();
    let (about, scores): (Vec<_>, Vec<_>) =
        observed.into_iter().map(|o| (o.about, o.scores)).unzip();
    let seen = Observations {
        candidates: &labels,
        samples,
        scores: &scores,
        seed: job.parameters.seed,
        bootstrap: job.parameters.bootstrap,
    };
    let mut findings = vec![];
    for method in METHODS {
        match method.weigh(&seen) {
            Ok(finding) => findings.push(finding),
            Err(e) => problems.push(e.hint(format!("the method {} gave no result", method.name()))),
        }
    }
    Ok(Report {
        schema: SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        parameters: job.parameters.clone(),
        inputs,
        candidates: about,
        verdict: verdict::verdict(&labels, &findings, &seen),
        levels: scores.iter().map(crate::evidence::CandidateScores::levels).collect(),
        samples: samples
            .iter()
            .enumerate()
            .map(|(i, sample)| SampleResult {
                sample: sample.clone(),
                scores: scores.iter().map(|s| s.suspect[i].clone()).collect(),
            })
            .collect(),
        findings,
        notes: job.samples.notes.clone(),
        problems,
        limits: verdict::LIMITS.iter().map(|s| (*s).into()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_over_the_whole_input() {
        let all: Vec<Sample> =
            (0..10).map(|i| Sample::new(None, i.to_string(), String::new())).collect();
        let taken: Vec<String> = spread(&all, 4).into_iter().map(|s| s.response).collect();
        assert_eq!(taken, ["0", "2", "5", "7"]);
        assert_eq!(spread(&all, 99).len(), 10);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let p = Parameters { max_new_tokens: 0, ..Default::default() };
        assert_eq!(
            p.check().unwrap_err().what(),
            "the number of new tokens is 0, outside 1 to 4096"
        );
        let p = Parameters { top_p: f32::NAN, ..Default::default() };
        assert_eq!(p.check().unwrap_err().kind(), ErrorKind::Usage);
    }
}
