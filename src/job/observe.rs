//! The models at work: every candidate writes its own responses to the
//! samples' prompts, and scores the suspect's responses and everyone's own.
//!
//! On the way down the list each candidate writes and scores what is there by
//! then; on the way back up it scores what those after it wrote. One model is in
//! memory at a time, beside those before it that fit.

use super::desk::{Desk, Results, Worker};
use super::memo::{Memo, ModelId};
use super::{Parameters, Progress};
use crate::encoder::is_encoder;
use crate::error::Error;
use crate::evidence::CandidateScores;
use crate::formats::{Archive, CandidateFiles};
use crate::report::Candidate;
use crate::samples::Sample;

/// A candidate that went all the way.
pub struct Observed {
    /// Its place in the job's list.
    pub index: usize,
    /// What it is.
    pub about: Candidate,
    /// What it scored.
    pub scores: CandidateScores,
    /// Its own responses, by sample; `None` where it was not asked.
    pub own: Vec<Option<String>>,
}

/// The part of a run that one of several workers does: every `of`th sample,
/// with the candidates' own responses to its prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Share {
    /// From 0 to below `of`.
    pub part: usize,
    /// Workers.
    pub of: usize,
}

impl Share {
    /// All of it.
    pub const ALL: Self = Self { part: 0, of: 1 };

    /// Whether sample number `sample` is in it.
    pub fn has(self, sample: usize) -> bool {
        sample % self.of.max(1) == self.part
    }
}

/// What is asked of the candidates.
pub struct Task<'a> {
    /// The candidates.
    pub candidates: &'a [CandidateFiles],
    /// What each one's results are known by; `None` where its files cannot be read.
    pub ids: &'a [Option<ModelId>],
    /// The suspects' samples.
    pub samples: &'a [Sample],
    /// Settings.
    pub parameters: &'a Parameters,
    /// Whether encoders are passed over in silence.
    pub skip_encoders: bool,
    /// The samples to work on.
    pub share: Share,
}

/// Lets all candidates work on the samples; those that fail go to `problems`.
pub fn all(
    task: &Task<'_>,
    memo: &mut Memo,
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> Vec<Observed> {
    let mut workers: Vec<Worker> = vec![];
    for (index, files) in task.candidates.iter().enumerate() {
        match Worker::open(index, files) {
            Ok(worker) => workers.push(worker),
            Err(_) if task.skip_encoders && Archive::open(files).is_ok_and(|a| is_encoder(&a)) => {}
            Err(e) => problems.push(e.in_file(&files.label)),
        }
    }
    let mut results: Vec<Results> =
        workers.iter().map(|_| Results::new(task.candidates.len())).collect();
    let mut desk = Desk::new(workers.len(), task, memo, progress);
    // Down the list: write, and score the suspect and everything written by then.
    let mut n = 0;
    while n < workers.len() {
        let worker = &workers[n];
        let (before, rest) = results.split_at_mut(n);
        let result = desk.open(worker).and_then(|mut loaded| {
            let mine = &mut rest[0];
            desk.write(mine, &mut loaded)?;
            let own = mine.own.clone();
            let theirs = before.iter().map(|r| &r.own[..]).chain([&own[..]]);
            let writers: Vec<_> = workers.iter().map(|w| w.index).zip(theirs).collect();
            desk.score_all(mine, &mut loaded, &writers, problems)?;
            // The last has no second turn.
            if n + 1 < workers.len() {
                desk.keep(loaded);
            }
            Ok(())
        });
        match result {
            Ok(()) => n += 1,
            Err(e) => {
                problems.push(e.in_file(workers.remove(n).about.label));
                results.remove(n);
            }
        }
    }
    // Back up: the last has scored everything already.
    let mut i = workers.len().saturating_sub(1);
    while i > 0 {
        i -= 1;
        let (upto, after) = results.split_at_mut(i + 1);
        let result = desk.open(&workers[i]).and_then(|mut loaded| {
            let theirs = after.iter().map(|r| &r.own[..]);
            let writers: Vec<_> = workers[i + 1..].iter().map(|w| w.index).zip(theirs).collect();
            desk.score_later(&mut upto[i], &mut loaded, &writers)
        });
        if let Err(e) = result {
            problems.push(e.in_file(workers.remove(i).about.label));
            results.remove(i);
        }
    }
    let kept: Vec<usize> = workers.iter().map(|w| w.index).collect();
    let observed = workers.into_iter().zip(results).map(|(w, mut r)| Observed {
        own: (0..task.samples.len())
            .map(|i| r.asked.contains(&i).then(|| r.own[i].clone()))
            .collect(),
        index: w.index,
        about: w.about,
        scores: CandidateScores {
            suspect: r.suspect,
            own: kept.iter().map(|d| std::mem::take(&mut r.others[*d])).collect(),
        },
    });
    observed.collect()
}
