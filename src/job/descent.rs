//! Where the suspects' weights come from. They are compared first, and the
//! models are then asked as much as that leaves open.

use super::asking::{Asking, asking};
use super::members::Member;
use super::suspects::Suspect;
use super::{Job, Progress, queries};
use crate::anatomy::Anatomy;
use crate::error::Error;
use crate::evidence::lineage::{Lineage, Tree};
use crate::evidence::weights;
use crate::formats::CandidateFiles;

/// What is known of one suspect's descent.
#[derive(Default)]
pub struct Descent {
    /// By candidate; empty where the suspect's weights are not at hand.
    pub lineage: Vec<Lineage>,
    /// Candidates and suspect by the distance of what they say.
    pub tree: Option<Tree>,
}

/// The descent of each of `suspects` from the candidates in `opened` (with
/// their places in the job's list), and a sentence on what the models were not
/// asked.
pub fn all(
    job: &Job,
    suspects: &[Suspect<'_>],
    opened: Vec<(usize, Anatomy)>,
    members: &[Member],
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> (Vec<Descent>, Option<String>) {
    let (places, anatomies): (Vec<usize>, Vec<Anatomy>) = opened.into_iter().unzip();
    let mut found: Vec<Descent> = vec![];
    for suspect in suspects {
        let lineage = match suspect.weights {
            Some(files) => by_weights(job, files, &anatomies, problems, progress),
            None => vec![],
        };
        found.push(Descent { lineage, tree: None });
    }
    let compared = || found.iter().flat_map(|d| &d.lineage);
    if compared().next().is_none() {
        return (found, None);
    }
    let models: Vec<&CandidateFiles> =
        places.iter().map(|place| &job.candidates[*place]).chain(&job.weights).collect();
    let Asking { plan, left } =
        asking(&job.parameters, &models, compared().all(|l| l.ln_p.is_some()));
    if let Some(plan) = plan {
        let ask = |files, problems: &mut Vec<Error>, progress: &mut dyn FnMut(&Progress)| {
            queries::ask(files, &plan, problems, progress)
        };
        let said: Vec<queries::Asked> =
            places.iter().map(|p| ask(&job.candidates[*p], problems, progress)).collect();
        let names: Vec<String> = anatomies.iter().map(|a| a.label.clone()).collect();
        for (suspect, descent) in suspects.iter().zip(&mut found) {
            let Some(files) = suspect.weights.filter(|_| !descent.lineage.is_empty()) else {
                continue;
            };
            let own = ask(files, problems, progress);
            queries::join(&mut descent.lineage, &own, &said, &plan, problems);
            match queries::dendrogram(&names, &said, &suspect.label, &own) {
                Ok(tree) => descent.tree = tree,
                Err(e) => problems.push(e),
            }
        }
    }
    for descent in &mut found {
        placed(&mut descent.lineage, &places, members);
    }
    (found, left)
}

/// What the weights say of a suspect's descent from each candidate opened.
fn by_weights(
    job: &Job,
    files: &CandidateFiles,
    candidates: &[Anatomy],
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> Vec<Lineage> {
    let suspect = match Anatomy::open(files) {
        Ok(suspect) => suspect,
        Err(e) => {
            problems.push(e.in_file(&files.label));
            return vec![];
        }
    };
    let mut tell = |stage: &str, done: usize, total: usize| {
        progress(&Progress {
            stage: format!("Comparing weights with {stage}"),
            done: done as u64,
            total: total as u64,
            unit: "steps".into(),
        });
    };
    weights::compare(&suspect, candidates, job.parameters.seed, problems, &mut tell)
}

/// Gives each candidate its place among all, from that among those opened.
fn placed(found: &mut Vec<Lineage>, places: &[usize], members: &[Member]) {
    found.retain_mut(|l| {
        let index = places.get(l.candidate).copied();
        let at = members.iter().position(|m| m.index.is_some() && m.index == index);
        l.candidate = at.unwrap_or_default();
        at.is_some()
    });
}
