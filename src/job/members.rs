//! Who is ranked: candidates that were run on text, that are compared by their
//! weights, or both, and those known by their responses alone.

use super::Job;
use super::observe::Observed;
use crate::anatomy::Anatomy;
use crate::error::Error;
use crate::evidence::CandidateScores;
use crate::formats::{Archive, CandidateFiles};
use crate::report::Candidate;
use crate::responses::Group;

/// One candidate of a run.
pub struct Member {
    /// Its place in the job's list of models; `None` for one known by responses.
    pub index: Option<usize>,
    /// What it is.
    pub about: Candidate,
    /// Its place among those that were run on text.
    pub observed: Option<usize>,
}

/// Opens the headers of `models` for comparing weights; those that cannot be
/// opened go to `problems`. The first of a pair is the place in the list.
pub fn open(models: &[CandidateFiles], problems: &mut Vec<Error>) -> Vec<(usize, Anatomy)> {
    let mut out = vec![];
    for (index, files) in models.iter().enumerate() {
        match Anatomy::open(files) {
            Ok(anatomy) => out.push((index, anatomy)),
            Err(e) => problems.push(e.in_file(&files.label)),
        }
    }
    out
}

/// Everyone, in the job's order, those known by responses last.
pub fn members(job: &Job, observed: &[Observed], opened: &[(usize, Anatomy)]) -> Vec<Member> {
    let mut out = vec![];
    for index in 0..job.candidates.len() {
        let run = observed.iter().position(|o| o.index == index);
        let open = opened.iter().position(|(i, _)| *i == index);
        let about = match (run, open) {
            (Some(run), _) => observed[run].about.clone(),
            (None, Some(open)) => about(&opened[open].1),
            (None, None) => continue,
        };
        out.push(Member { index: Some(index), about, observed: run });
    }
    out.extend(job.texts.iter().map(|group| Member {
        index: None,
        about: known(group),
        observed: None,
    }));
    out
}

fn known(group: &Group) -> Candidate {
    Candidate {
        label: group.label.clone(),
        family: "responses".into(),
        responses: group.samples.len(),
        ..Candidate::default()
    }
}

/// What a model is, by its headers.
fn about(model: &Anatomy) -> Candidate {
    let config = model.config();
    described(
        &model.label,
        &model.archive,
        config.map_or("unknown", |c| c.family),
        config.map_or(0, |c| c.vocab),
        config.map_or(0, |c| c.context),
    )
}

/// A candidate's description from its archive and configuration.
pub fn described(
    label: &str,
    archive: &Archive,
    family: &str,
    vocab: usize,
    context: usize,
) -> Candidate {
    let weights = |shape: &[usize]| shape.iter().map(|n| *n as u64).product::<u64>();
    Candidate {
        label: label.into(),
        family: family.into(),
        weights: archive.tensors.values().map(|t| weights(&t.shape)).sum(),
        dtypes: dtypes(archive),
        vocab,
        context,
        responses: 0,
    }
}

/// The element types of the tensors, the one with the most bytes first.
fn dtypes(archive: &Archive) -> String {
    let mut bytes: Vec<(String, usize)> = vec![];
    for tensor in archive.tensors.values() {
        let name = format!("{:?}", tensor.dtype);
        match bytes.iter_mut().find(|(n, _)| *n == name) {
            Some((_, sum)) => *sum += tensor.bytes,
            None => bytes.push((name, tensor.bytes)),
        }
    }
    bytes.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    bytes.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// Everyone's scores of the suspect's samples in `range` (of all that were
/// scored) and of everyone's own responses.
pub fn scores(
    members: &[Member],
    observed: &[Observed],
    range: std::ops::Range<usize>,
) -> Vec<CandidateScores> {
    let of = |m: &Member| {
        let Some(o) = m.observed.and_then(|k| observed.get(k)) else {
            return CandidateScores::default();
        };
        CandidateScores {
            suspect: o.scores.suspect.get(range.clone()).unwrap_or_default().to_vec(),
            own: members
                .iter()
                .filter(|m| m.index.is_some())
                .map(|m| m.observed.and_then(|k| o.scores.own.get(k).cloned()).unwrap_or_default())
                .collect(),
        }
    };
    members.iter().map(of).collect()
}
