//! The JSON form: the report itself, its fields in the order of [`Report`].

use super::{Report, SCHEMA};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::lineage::Test;

/// `report` as JSON, indented, ending in a line feed.
///
/// # Errors
/// [`ErrorKind::NotFinite`] where a figure is NaN or infinite: JSON has no
/// form for it, and a reader could not read it back.
pub fn write(report: &Report) -> Result<String> {
    check_finite(report)?;
    pretty(report)
}

/// Several reports as one JSON object; one alone as [`write`] has it.
///
/// # Errors
/// As [`write`].
pub fn write_all(reports: &[Report]) -> Result<String> {
    #[derive(serde::Serialize)]
    struct All<'a> {
        schema: &'a str,
        reports: &'a [Report],
    }
    match reports {
        [one] => write(one),
        _ => {
            reports.iter().try_for_each(check_finite)?;
            pretty(&All { schema: super::SCHEMA_ALL, reports })
        }
    }
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where it is no report, [`ErrorKind::Unsupported`]
/// for another version of the schema.
pub fn read(json: &str) -> Result<Report> {
    let report: Report = serde_json::from_str(json).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("this is not a basetrace report: {e}"))
    })?;
    if report.schema != SCHEMA {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the report has schema \"{}\", not \"{SCHEMA}\"", report.schema),
        )
        .hint("read it with the version of basetrace that wrote it"));
    }
    Ok(report)
}

/// What is needed to repeat a run and to read its result: schema, version,
/// parameters, inputs with SHA-256, verdict and limits. For exports that hold
/// a picture.
///
/// # Errors
/// As [`write`].
pub fn provenance(report: &Report) -> Result<String> {
    #[derive(serde::Serialize)]
    struct Provenance<'a> {
        schema: &'a str,
        version: &'a str,
        parameters: &'a crate::job::Parameters,
        inputs: &'a [super::Input],
        verdict: &'a super::Verdict,
        limits: &'a [String],
    }
    pretty(&Provenance {
        schema: &report.schema,
        version: &report.version,
        parameters: &report.parameters,
        inputs: &report.inputs,
        verdict: &report.verdict,
        limits: &report.limits,
    })
}

/// Every setting with its value, in the order of [`crate::job::Parameters`].
pub fn settings(report: &Report) -> Vec<(String, String)> {
    // By way of text: as a value, an f32 would show digits that it does not have.
    let map: serde_json::Map<String, serde_json::Value> = serde_json::to_string(&report.parameters)
        .and_then(|text| serde_json::from_str(&text))
        .unwrap_or_default();
    map.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

fn pretty(value: &impl serde::Serialize) -> Result<String> {
    let mut out = serde_json::to_string_pretty(value).map_err(|e| {
        Error::new(ErrorKind::Internal, format!("the report cannot be written: {e}"))
    })?;
    out.push('\n');
    Ok(out)
}

fn check_finite(report: &Report) -> Result<()> {
    let fail = |what: String| Err(Error::new(ErrorKind::NotFinite, what));
    for f in &report.findings {
        for s in &f.standings {
            let all = [
                s.score,
                s.score_interval.0,
                s.score_interval.1,
                s.probability,
                s.probability_interval.0,
                s.probability_interval.1,
            ];
            if !all.iter().all(|x| x.is_finite()) {
                return fail(format!(
                    "{} gave no finite figures for {}",
                    f.method,
                    report.label(s.candidate)
                ));
            }
        }
        if f.none.as_ref().is_some_and(|n| !n.p_value.is_finite() || !n.statistic.is_finite()) {
            return fail(format!("{} gave no finite p-value", f.method));
        }
    }
    for (i, sample) in report.samples.iter().enumerate() {
        for score in sample.scores.iter().flatten() {
            let finite = |t: &crate::decoder::TokenScore| {
                t.logprob.is_finite() && t.mean.is_finite() && t.variance.is_finite()
            };
            if !score.tokens.iter().all(finite) {
                return fail(format!("sample {} has a token score that is not finite", i + 1));
            }
        }
    }
    for l in &report.lineage {
        let whose = report.label(l.candidate);
        if l.ln_p.is_some_and(|p| !p.is_finite()) {
            return fail(format!("the p-value of descent from {whose} is not finite"));
        }
        if let Some(t) = l.tests.iter().find(|t| !finite(t)) {
            return fail(format!("{} gave no finite figures for {whose}", t.method));
        }
    }
    if let Some(tree) = &report.tree {
        let heights = tree.joins.iter().map(|j| &j.2);
        if !tree.distances.iter().flatten().chain(heights).all(|d| d.is_finite()) {
            return fail("a distance in the tree of models is not finite".into());
        }
    }
    if report.levels.iter().flatten().flatten().any(|b| !b.is_finite()) {
        return fail("a level in bits per byte is not finite".into());
    }
    Ok(())
}

fn finite(test: &Test) -> bool {
    let mut all = vec![test.statistic, test.ln_p.unwrap_or(0.0)];
    if let Some(null) = &test.null {
        all.extend([null.mean, null.deviation]);
        all.extend(&null.controls);
    }
    if let Some(map) = &test.map {
        all.extend([map.range.0, map.range.1]);
        all.extend(map.values.iter().flatten().flatten());
    }
    all.iter().all(|x| x.is_finite())
}
