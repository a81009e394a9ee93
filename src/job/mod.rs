//! One run: candidates and samples in, a [`Report`] out.

pub mod answer;
mod asking;
mod descent;
mod desk;
mod digests;
mod members;
pub mod memo;
mod observe;
mod parameters;
mod queries;
pub mod roles;
mod suspects;
mod texts;

use crate::encoder::is_encoder;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::lineage;
use crate::evidence::text::finding;
use crate::evidence::{Finding, METHODS, Observations, TextEvidence, matching};
use crate::formats::{Archive, CandidateFiles};
use crate::report::{Candidate, Input, Matching, Report, SCHEMA, SampleResult};
use crate::responses::Group;
use crate::samples::{Note, Sample};
use crate::source::SharedSource;
use crate::verdict;
use descent::Descent;
use digests::Digests;
use members::Member;
use memo::Memo;
pub use observe::Share;
use observe::{Observed, Task};
pub use parameters::Parameters;
use suspects::Suspect;

/// Bytes of models that may be in memory at a time, over all workers, where one
/// alone does not take more.
pub const MODEL_MEMORY: u64 = 1 << 30;

/// What to rank, by what.
#[derive(Default)]
pub struct Job {
    /// Candidates with weights.
    pub candidates: Vec<CandidateFiles>,
    /// An encoder for the classifiers that read through one.
    pub encoder: Option<CandidateFiles>,
    /// Candidates known by their responses alone.
    pub texts: Vec<Group>,
    /// Known fine-tunes for the classifiers to learn from, each with its candidate's label.
    pub labelled: Vec<(String, Group)>,
    /// The suspects, each with its samples, blank ones among them.
    pub suspects: Vec<Group>,
    /// Suspects whose weights are at hand. One of the same name among
    /// `suspects`, or the only one there beside the only one here, is the same model.
    pub weights: Vec<CandidateFiles>,
    /// What was set aside or repaired in the files of samples.
    pub notes: Vec<Note>,
    /// The files that responses came from with their role, for the report's hashes.
    pub sources: Vec<(String, SharedSource)>,
    /// Problems met before the run, to be carried into the report.
    pub problems: Vec<Error>,
    /// Settings.
    pub parameters: Parameters,
}

/// Takes the encoder from among `candidates`: it cannot be one itself. A second is a problem.
pub fn take_encoder(
    candidates: &mut Vec<CandidateFiles>,
    problems: &mut Vec<Error>,
) -> Option<CandidateFiles> {
    let mut encoder: Option<CandidateFiles> = None;
    // What cannot be opened stays: the run says why.
    let found = |c: &CandidateFiles| Archive::open(c).is_ok_and(|a| is_encoder(&a));
    let (encoders, rest) = std::mem::take(candidates).into_iter().partition(found);
    *candidates = rest;
    for files in encoders {
        match &encoder {
            None => encoder = Some(files),
            Some(first) => problems.push(
                Error::new(
                    ErrorKind::Mismatch,
                    format!("is a second encoder; {} is used", first.label),
                )
                .in_file(&files.label)
                .hint("remove one of the two"),
            ),
        }
    }
    encoder
}

/// Gives a candidate known by text another name than one with weights.
pub fn tell_apart(candidates: &[CandidateFiles], texts: &mut [Group]) {
    for text in texts {
        while candidates.iter().any(|c| c.label == text.label) {
            text.label.push_str(" (responses)");
        }
    }
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

/// Runs `job`, one report for each suspect; `progress` hears every step. To
/// cancel, drop the worker it runs in.
///
/// A candidate or suspect that fails becomes a problem in the reports and the
/// others go on.
///
/// # Errors
/// Where no candidate or no sample is usable, or a setting is out of range.
pub fn run(job: &Job, progress: &mut dyn FnMut(&Progress)) -> Result<Vec<Report>> {
    run_with(job, &mut Memo::default(), progress)
}

/// Fills `memo` with what one of several workers has to compute for `job`; a
/// [`run_with`] that is given all workers' results then has little left to do. Gives
/// the names and the SHA-256 of the files that it hashed.
///
/// # Errors
/// As [`run`]; what fails for one candidate is left to the run, which names it.
pub fn share(
    job: &Job,
    share: Share,
    memo: &mut Memo,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Vec<(String, String)>> {
    job.parameters.check()?;
    let suspects = suspects::usable(job, &mut vec![])?;
    let samples: Vec<Sample> = suspects.iter().flat_map(|s| s.scored.iter().cloned()).collect();
    let mut digests = Digests::default();
    observed(job, &samples, share, &mut digests, memo, &mut vec![], progress);
    Ok(digests.read())
}

/// What the candidates with weights wrote and scored.
fn observed(
    job: &Job,
    samples: &[Sample],
    share: Share,
    digests: &mut Digests,
    memo: &mut Memo,
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> Vec<Observed> {
    if samples.is_empty() {
        return vec![];
    }
    let ids: Vec<_> = job.candidates.iter().map(|c| digests.model(c, progress)).collect();
    let task = Task {
        candidates: &job.candidates,
        ids: &ids,
        samples,
        parameters: &texts::parameters(job, samples),
        // Beside a suspect's weights an encoder is a candidate that only these compare.
        skip_encoders: !job.weights.is_empty(),
        share,
    };
    observe::all(&task, memo, problems, progress)
}

/// As [`run`], but what `memo` holds is not computed again, and what is computed
/// is kept there.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    job: &Job,
    memo: &mut Memo,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Vec<Report>> {
    job.parameters.check()?;
    let mut problems = job.problems.clone();
    let mut digests = Digests::default();
    let suspects = suspects::usable(job, &mut problems)?;
    if job.candidates.is_empty() && job.texts.is_empty() {
        return Err(Error::new(ErrorKind::Missing, "there are no candidate models")
            .hint("add at least one model: a GGUF file, a folder with safetensors, or responses of candidates"));
    }
    // All suspects at once, so that each model is loaded as seldom as for one.
    let samples: Vec<Sample> = suspects.iter().flat_map(|s| s.scored.iter().cloned()).collect();
    let observed = observed(job, &samples, Share::ALL, &mut digests, memo, &mut problems, progress);
    let opened = match job.weights.is_empty() {
        true => vec![],
        false => members::open(&job.candidates, &mut problems),
    };
    let members = members::members(job, &observed, &opened);
    if members.is_empty() {
        let why = problems.last().map_or_else(String::new, |e| format!(": {e}"));
        return Err(Error::new(
            ErrorKind::Missing,
            format!("none of the candidates could be used{why}"),
        )
        .hint("see the problems listed for each file"));
    }
    let mut notes = job.notes.clone();
    let written: Vec<&Group> = suspects.iter().filter_map(|s| s.group).collect();
    let texts =
        texts::compare(job, &observed, &samples, &written, &mut notes, &mut problems, progress);
    let mut texts = texts.into_iter();
    let (descents, asked) = descent::all(job, &suspects, opened, &members, &mut problems, progress);
    let mut inputs = vec![];
    let sources = job.sources.iter().map(|(role, s)| (role.as_str(), s));
    let models = members.iter().filter_map(|m| m.index);
    let models = models.flat_map(|i| job.candidates[i].files.iter().map(|s| ("candidate", s)));
    let own = job.weights.iter().flat_map(|w| w.files.iter().map(|s| ("suspect", s)));
    let encoder = job.encoder.iter().flat_map(|e| e.files.iter().map(|s| ("encoder", s)));
    for (role, source) in models.chain(own).chain(encoder).chain(sources) {
        match digests.input(role, source, progress) {
            Ok(input) => inputs.push(input),
            Err(e) => problems.push(e),
        }
    }
    let common = Common { job, observed, members, inputs, notes, problems, asked };
    let mut at = 0;
    let mut reports = vec![];
    for (suspect, descent) in suspects.iter().zip(descents) {
        let texts = suspect.group.and_then(|_| texts.next()).unwrap_or_default();
        reports.push(common.report(suspect, at, &texts, descent));
        at += suspect.scored.len();
    }
    match_up(&mut reports);
    Ok(reports)
}

/// At most `n` of `samples`, evenly spread and in order.
pub(crate) fn spread(samples: &[Sample], n: usize) -> Vec<Sample> {
    let n = n.min(samples.len());
    (0..n).map(|i| samples[i * samples.len() / n].clone()).collect()
}

/// What all suspects' reports have in common.
struct Common<'a> {
    job: &'a Job,
    observed: Vec<Observed>,
    members: Vec<Member>,
    inputs: Vec<Input>,
    notes: Vec<Note>,
    problems: Vec<Error>,
    /// What the models were not asked, and why.
    asked: Option<String>,
}

impl Common<'_> {
    /// The report on `suspect`, whose samples stand from `at` on.
    fn report(
        &self,
        suspect: &Suspect<'_>,
        at: usize,
        texts: &[TextEvidence],
        descent: Descent,
    ) -> Report {
        let Descent { lineage, tree } = descent;
        let job = self.job;
        let mut problems = self.problems.clone();
        let candidates: Vec<Candidate> = self.members.iter().map(|m| m.about.clone()).collect();
        let labels: Vec<String> = candidates.iter().map(|c| c.label.clone()).collect();
        let samples = &suspect.scored;
        let scores = members::scores(&self.members, &self.observed, at..at + samples.len());
        let seen = Observations {
            candidates: &labels,
            samples,
            scores: &scores,
            seed: job.parameters.seed,
            bootstrap: job.parameters.bootstrap,
            texts,
        };
        let mut findings: Vec<Finding> = lineage::finding(&lineage).into_iter().collect();
        for method in METHODS.iter().filter(|m| m.applies(&seen)) {
            match method.weigh(&seen) {
                Ok(finding) => findings.push(finding),
                Err(e) => {
                    problems.push(e.hint(format!("the method {} gave no result", method.name())))
                }
            }
        }
        for text in texts {
            match finding(&seen, text) {
                Ok(finding) => findings.push(finding),
                Err(e) => problems.push(e.in_file(&text.method)),
            }
        }
        Report {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            suspect: suspect.label.clone(),
            parameters: job.parameters.clone(),
            inputs: self.inputs.clone(),
            candidates,
            verdict: verdict::verdict(&labels, &findings, &lineage, &seen),
            levels: scores.iter().map(crate::evidence::CandidateScores::levels).collect(),
            samples: samples
                .iter()
                .enumerate()
                .map(|(i, sample)| SampleResult {
                    sample: sample.clone(),
                    scores: scores.iter().map(|s| s.suspect.get(i).cloned().flatten()).collect(),
                })
                .collect(),
            findings,
            matching: None,
            tree,
            notes: self.notes.clone(),
            problems,
            asked: self.asked.clone().filter(|_| !lineage.is_empty()),
            limits: verdict::limits(!lineage.is_empty(), !samples.is_empty()),
            lineage,
        }
    }
}

/// Several suspects: the one-to-one assignment that is likeliest as a whole.
fn match_up(reports: &mut [Report]) {
    let candidates = reports.first().map_or(0, |r| r.candidates.len());
    if reports.len() < 2 || candidates < 2 {
        return;
    }
    let row = |r: &Report| -> Vec<f64> {
        let mut row = vec![0.0; candidates];
        for s in r.decisive().map(|f| &f.standings[..]).unwrap_or_default() {
            row[s.candidate] = s.probability;
        }
        row
    };
    let probabilities: Vec<Vec<f64>> = reports.iter().map(row).collect();
    let gain: Vec<Vec<f64>> = probabilities
        .iter()
        .map(|row| row.iter().map(|p| libm::log(p.max(1e-9))).collect())
        .collect();
    let matching = Matching {
        suspects: reports.iter().map(|r| r.suspect.clone()).collect(),
        independent: reports.iter().map(|r| r.verdict.candidate).collect(),
        answers: reports.iter().map(|r| r.verdict.answer).collect(),
        assigned: matching::assign(&gain),
        probabilities,
    };
    reports.iter_mut().for_each(|r| r.matching = Some(matching.clone()));
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
