//! How well the method does on the zoo: every fine-tune's samples ranked by
//! the whole job, against its known base.

use super::publish::gathered;
use super::say;
use crate::bench::wilson;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{CandidateScores, Finding, METHODS, Observations, stats};
use crate::formats::CandidateFiles;
use crate::job::{Job, Parameters, run};
use crate::report::{Answer, Report};
use crate::responses::by_model;
use crate::samples;
use crate::source::FileSource;
use std::collections::BTreeMap;
use std::path::Path;

/// Twins differ in nothing but their seed.
const TWINS: [&str; 2] = ["larch", "larch-twin"];

/// One fine-tune's outcome.
struct Outcome {
    truth: usize,
    report: Report,
}

/// Ranks every suspect under `samples` (with `truth.json`) among the demo's
/// bases under `bases`, and writes the table to the result.
///
/// # Errors
/// Files that are missing or broken.
pub fn evaluate(bases: &Path, samples: &Path, max_new_tokens: usize) -> Result<String> {
    let truth: BTreeMap<String, String> = read_json(&samples.join("truth.json"))?;
    let candidates = gathered(bases)?;
    let labels: Vec<String> = candidates.iter().map(|c| c.label.clone()).collect();
    let mut outcomes = vec![];
    for (file, base) in &truth {
        let Some(truth) = labels.iter().position(|l| l == base) else {
            return Err(Error::new(
                ErrorKind::Missing,
                format!("the base {base} is not among the bundled models"),
            ));
        };
        let report = rank(&candidates, &samples.join(file), max_new_tokens)?;
        say(format_args!("{file}: {base}; {}", report.verdict.text));
        outcomes.push(Outcome { truth, report });
    }
    Ok(table(&labels, &outcomes))
}

/// Reads a small file of JSON.
///
/// # Errors
/// Where it is missing or is something else.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let wrong = |e: String| Error::new(ErrorKind::Read, e).in_file(path.display().to_string());
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))
}

fn rank(candidates: &[CandidateFiles], path: &Path, max_new_tokens: usize) -> Result<Report> {
    let source = FileSource::open(path, path.display().to_string())?;
    let job = Job {
        candidates: candidates.to_vec(),
        suspects: by_model(&samples::read(&source)?, "suspect")?,
        parameters: Parameters { max_new_tokens, bootstrap: 200, ..Parameters::default() },
        ..Job::default()
    };
    let mut reports = run(&job, &mut |_| {})?;
    reports.pop().ok_or_else(|| Error::new(ErrorKind::Internal, "a run without a report"))
}

/// The method's finding on a report's samples, without candidate `out`.
fn without(report: &Report, out: usize) -> Result<Finding> {
    let keep: Vec<usize> = (0..report.candidates.len()).filter(|c| *c != out).collect();
    let labels: Vec<String> = keep.iter().map(|c| report.candidates[*c].label.clone()).collect();
    let samples: Vec<_> = report.samples.iter().map(|s| s.sample.clone()).collect();
    let scores: Vec<CandidateScores> = keep
        .iter()
        .map(|c| CandidateScores {
            suspect: report.samples.iter().map(|s| s.scores[*c].clone()).collect(),
            own: vec![],
        })
        .collect();
    let seen = Observations {
        candidates: &labels,
        samples: &samples,
        scores: &scores,
        seed: 1,
        bootstrap: 100,
        texts: &[],
    };
    let decisive = METHODS.iter().find(|m| m.applies(&seen));
    let Some(method) = decisive else {
        return Err(Error::new(ErrorKind::Internal, "no method applies"));
    };
    method.weigh(&seen)
}

/// Share of pairs in which the left-out case looks less like a member.
fn auroc(members: &[f64], left_out: &[f64]) -> f64 {
    let wins: f64 = members
        .iter()
        .flat_map(|m| {
            left_out.iter().map(move |o| {
                if m > o {
                    1.0
                } else if (m - o).abs() < 1e-12 {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    wins / (members.len() * left_out.len()) as f64
}

fn table(labels: &[String], outcomes: &[Outcome]) -> String {
    use std::fmt::Write;
    let n = outcomes.len();
    let mut text = String::new();
    let mut line = |l: String| writeln!(text, "{l}").unwrap_or(());
    let methods: Vec<&str> = outcomes
        .first()
        .map(|o| o.report.findings.iter().map(|f| f.method.as_str()).collect())
        .unwrap_or_default();
    for method in methods {
        // A method without a result on some suspect counts as wrong there.
        let first = |o: &Outcome| {
            let finding = o.report.findings.iter().find(|f| f.method == method);
            finding.and_then(|f| f.standings.first()).map_or(labels.len(), |s| s.candidate)
        };
        let right = outcomes.iter().filter(|o| first(o) == o.truth).count();
        let twin = |c: usize| labels.get(c).is_some_and(|l| TWINS.contains(&l.as_str()));
        let confused = outcomes
            .iter()
            .filter(|o| twin(o.truth) && twin(first(o)) && first(o) != o.truth)
            .count();
        let (low, high) = wilson(right, n);
        line(format!(
            "{}: {right} of {n} right, {:.0} % (95 % interval {:.0} % to {:.0} %); the seed twin named instead: {confused} of {}",
            method,
            100.0 * right as f64 / n as f64,
            100.0 * low,
            100.0 * high,
            outcomes.iter().filter(|o| twin(o.truth)).count(),
        ));
    }
    let count = |answer: Answer, right: bool| {
        let fits = |o: &&Outcome| {
            o.report.verdict.answer == answer
                && (o.report.verdict.candidate == Some(o.truth)) == right
        };
        outcomes.iter().filter(fits).count()
    };
    line(format!(
        "verdicts: attributed {} right and {} wrong; undetermined {} (first right) and {} (first wrong); none of these {}",
        count(Answer::Attributed, true),
        count(Answer::Attributed, false),
        count(Answer::Undetermined, true),
        count(Answer::Undetermined, false),
        count(Answer::NoneOfThese, true) + count(Answer::NoneOfThese, false),
    ));
    for (title, twins) in
        [("all bases", true), ("bases without a twin among the candidates", false)]
    {
        let chosen =
            outcomes.iter().filter(|o| twins || !TWINS.contains(&labels[o.truth].as_str()));
        let (mut members, mut left_out, mut rejected) = (vec![], vec![], 0);
        for o in chosen {
            members.extend(o.report.findings[0].none.as_ref().map(|n| n.statistic));
            if let Ok(Some(none)) = without(&o.report, o.truth).map(|f| f.none) {
                rejected += usize::from(none.p_value < 0.05);
                left_out.push(none.statistic);
            }
        }
        line(format!(
            "none of these, true base left out, {title}: AUROC {:.2}; {rejected} of {} rejected at 0.05; median statistic {:.2} against {:.2}",
            auroc(&members, &left_out),
            left_out.len(),
            stats::quantile(&left_out, 0.5).unwrap_or(0.0),
            stats::quantile(&members, 0.5).unwrap_or(0.0),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_areas_are_the_textbook_ones() {
        let (low, high) = wilson(23, 24);
        assert!((low - 0.7976).abs() < 1e-3 && (high - 0.9926).abs() < 1e-3, "{low} {high}");
        assert_eq!(auroc(&[3.0, 2.0], &[1.0, 0.0]), 1.0);
        assert_eq!(auroc(&[1.0], &[1.0]), 0.5);
    }
}
