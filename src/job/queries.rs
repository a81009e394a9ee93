//! Tests on running models in a run: each model that can generate is asked
//! once, the suspect among them, and what it said is compared.

use super::Progress;
use crate::decoder::{Model, families};
use crate::error::{Error, Result};
use crate::evidence::Access;
use crate::evidence::lineage::{KIN, Lineage, Relation, Test, Tree, holm, smallest};
use crate::evidence::query::{METHODS, Plan, Record, Subject, tree};
use crate::formats::{Archive, CandidateFiles};
use crate::report::figures;
use crate::tokenizer::Tokenizer;

/// Other candidates that answers must be compared with before they make kin.
const CONTROLS: usize = 3;

/// What one model said, by method; `None` where a method could not ask it.
pub type Asked = Vec<Option<Record>>;

/// Whether `files` hold a model that can be run; encoders and models without a
/// tokenizer are compared by their weights alone, in silence.
fn runs(files: &CandidateFiles) -> bool {
    Archive::open(files).is_ok_and(|a| families::layout(&a).is_ok() && Tokenizer::open(&a).is_ok())
}

/// Asks one model everything; what fails goes to `problems`.
pub fn ask(
    files: &CandidateFiles,
    plan: &Plan,
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> Asked {
    if !runs(files) {
        return vec![None; METHODS.len()];
    }
    let open = || -> Result<(Model, Tokenizer)> {
        let archive = Archive::open(files)?;
        Ok((Model::load(&archive, &mut |_| {})?, Tokenizer::open(&archive)?))
    };
    let (model, tokenizer) = match open() {
        Ok(opened) => opened,
        Err(e) => {
            problems.push(e.in_file(&files.label));
            return vec![None; METHODS.len()];
        }
    };
    let subject = Subject { model: &model, tokenizer: &tokenizer, label: &files.label };
    let (mut done, mut asked) = (0, vec![]);
    for method in METHODS {
        let mut tell = |n: usize| {
            done += n as u64;
            progress(&Progress {
                stage: format!("Asking {}: {}", files.label, method.name()),
                done,
                // How long answers will be is not known before.
                total: done,
                unit: "tokens".into(),
            });
        };
        asked.push(match method.observe(&subject, plan, &mut tell) {
            Ok(record) => Some(record),
            Err(e) => {
                problems.push(e.in_file(&files.label));
                None
            }
        });
    }
    asked
}

/// Adds the tests of what was said to `lineage` (of candidates in the order of
/// `candidates`). Where weights gave a p-value it stands; where they do not
/// compare, that of the queries decides.
pub fn join(
    lineage: &mut [Lineage],
    suspect: &Asked,
    candidates: &[Asked],
    plan: &Plan,
    problems: &mut Vec<Error>,
) {
    for (m, method) in METHODS.iter().enumerate() {
        let Some(own) = &suspect[m] else { continue };
        let others: Vec<Option<Record>> = candidates.iter().map(|c| c[m].clone()).collect();
        let tests: Vec<Option<Test>> = match method.test(own, &others, plan) {
            Ok(tests) => tests,
            Err(e) => {
                problems.push(e.in_file(method.name()));
                continue;
            }
        };
        for (l, test) in lineage.iter_mut().zip(tests) {
            l.tests.extend(test);
        }
    }
    let by_query = |l: &Lineage| {
        let open = l.ln_p.is_none();
        let tests = l.tests.iter().filter(|t| open && t.access == Access::Query);
        smallest(tests.filter_map(|t| t.ln_p))
    };
    let corrected = holm(&lineage.iter().map(by_query).collect::<Vec<_>>());
    for (l, ln_p) in lineage.iter_mut().zip(corrected) {
        let Some(ln_p) = ln_p else { continue };
        l.ln_p = Some(ln_p);
        // With few controls, a candidate that learnt the same texts passes for kin.
        let controls = |t: &Test| t.null.as_ref().map_or(0, |n| n.controls.len());
        let enough = l.tests.iter().any(|t| t.ln_p.is_some() && controls(t) >= CONTROLS);
        if ln_p < KIN && enough {
            l.relation = Relation::Related;
            l.why = format!(
                "Their weights do not compare, but it answers as this candidate does, more than the others explain ({}, corrected for the number of candidates).",
                figures::ln_p_value(ln_p)
            );
        }
    }
}

/// The tree of candidates and suspect by what they say; `None` for fewer than
/// three models.
pub fn dendrogram(
    labels: &[String],
    candidates: &[Asked],
    name: &str,
    suspect: &Asked,
) -> Result<Option<Tree>> {
    let draws = |a: &Asked| a.iter().flatten().find(|r| matches!(r, Record::Draws(_))).cloned();
    let mut records: Vec<Option<Record>> = candidates.iter().map(draws).collect();
    records.push(draws(suspect));
    if records.iter().flatten().count() < 3 || records.last().is_none_or(Option::is_none) {
        return Ok(None);
    }
    let mut leaves = labels.to_vec();
    leaves.push(name.to_owned());
    tree(&leaves, candidates.len(), &records).map(Some)
}
