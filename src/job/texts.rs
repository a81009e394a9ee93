//! The comparison of texts in a run: everybody's responses lined up, and every
//! text method's table for every suspect.

use super::observe::Observed;
use super::{Job, Parameters, Progress};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::evidence::TextEvidence;
use crate::evidence::text::{self, Corpus, METHODS, Setup, TextMethod, observe};
use crate::formats::Archive;
use crate::responses::{Group, MAX_COLUMNS, Responses};
use crate::samples::{Note, Sample};
use std::sync::Arc;

/// Prompts that candidates with weights answer beside candidates known by
/// text alone, so that the two have about as much to show.
const BESIDE: usize = 60;

/// The settings for the models: beside candidates known by text they write more.
pub fn parameters(job: &Job, samples: &[Sample]) -> Parameters {
    let mut p = job.parameters.clone();
    if !job.texts.is_empty() {
        p.own_responses = p.own_responses.max(BESIDE.min(samples.len()));
    }
    p
}

/// What every text method makes of every suspect: by suspect, then method.
pub fn compare(
    job: &Job,
    observed: &[Observed],
    samples: &[Sample],
    suspects: &[&Group],
    notes: &mut Vec<Note>,
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> Vec<Vec<TextEvidence>> {
    let mut out = vec![vec![]; suspects.len()];
    if observed.len() + job.texts.len() < 2 || suspects.is_empty() {
        return out;
    }
    let corpus = corpus(job, observed, samples, suspects, notes, problems);
    let setup = Setup {
        representation: job.parameters.representation,
        knowledge: job.parameters.knowledge,
        seed: job.parameters.seed,
    };
    let own = on_encoder(job, problems, progress);
    for method in METHODS.iter().copied().chain(own.iter().map(|m| &**m)) {
        let stage = format!("Comparing texts: {}", method.name());
        let mut tell = |done, total| {
            progress(&Progress { stage: stage.clone(), done, total, unit: "steps".into() });
        };
        match observe(method, &corpus, &setup, &mut tell) {
            Ok(all) => out.iter_mut().zip(all).for_each(|(o, t)| o.push(t)),
            Err(e) => problems.push(e.in_file(method.name())),
        }
    }
    out
}

/// The methods on the job's encoder, where there is one that can be read.
fn on_encoder(
    job: &Job,
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> Vec<Box<dyn TextMethod>> {
    let Some(files) = &job.encoder else { return vec![] };
    let stage = format!("Loading {}", files.label);
    progress(&Progress { stage, done: 0, total: 1, unit: "steps".into() });
    match Archive::open(files).and_then(|archive| Encoder::open(&archive)) {
        Ok(encoder) => text::on_encoder(&Arc::new(encoder), job.parameters.training).into(),
        Err(e) => {
            problems.push(e.in_file(&files.label));
            vec![]
        }
    }
}

/// Everybody's responses, lined up by prompt.
fn corpus(
    job: &Job,
    observed: &[Observed],
    samples: &[Sample],
    suspects: &[&Group],
    notes: &mut Vec<Note>,
    problems: &mut Vec<Error>,
) -> Corpus {
    let written = |o: &Observed| Group {
        label: o.about.label.clone(),
        samples: o
            .own
            .iter()
            .zip(samples)
            .filter_map(|(own, asked)| Some(Sample { response: own.clone()?, ..asked.clone() }))
            .collect(),
    };
    let mut groups: Vec<Group> = observed.iter().map(written).collect();
    groups.extend(job.texts.iter().cloned());
    let bases = groups.len();
    let mut labels = vec![];
    for (base, group) in &job.labelled {
        match groups[..bases].iter().position(|g| g.label == *base) {
            Some(at) => {
                labels.push(at);
                groups.push(group.clone());
            }
            None => problems.push(
                Error::new(
                    crate::ErrorKind::Mismatch,
                    format!(
                        "{} is labelled as a fine-tune of {base}, which is no candidate",
                        group.label
                    ),
                )
                .hint("it is left out; add that candidate, or correct the label"),
            ),
        }
    }
    let first = groups.len();
    groups.extend(suspects.iter().map(|s| (*s).clone()));
    let (responses, thinned) = Responses::new(&groups).thinned(MAX_COLUMNS);
    notes.extend(thinned);
    let everyone: Vec<usize> = (0..bases).collect();
    let theirs: Vec<usize> = (first..groups.len()).collect();
    for (model, gaps) in theirs.iter().zip(responses.gaps(&theirs, &everyone)) {
        gap(&responses, *model, gaps, notes);
    }
    for (model, gaps) in everyone.iter().zip(responses.gaps(&everyone, &theirs)) {
        if *model >= observed.len() {
            gap(&responses, *model, gaps, notes);
        }
    }
    let mut rows = responses.rows.into_iter();
    let bases = rows.by_ref().take(bases).collect();
    let labelled = labels.into_iter().zip(rows.by_ref()).collect();
    Corpus {
        prompts: responses.columns.into_iter().map(|c| c.prompt).collect(),
        bases,
        labelled,
        suspects: rows.collect(),
    }
}

fn gap(responses: &Responses, model: usize, gaps: usize, notes: &mut Vec<Note>) {
    if gaps > 0 {
        notes.push(Note {
            kind: "gap".into(),
            text: format!(
                "{gaps} prompts that others answered have no answer of {}",
                responses.labels[model]
            ),
            count: gaps,
            places: vec![],
        });
    }
}
