//! The CSV form: one tidy table, one fact a row.
//!
//! Columns: `table, item, candidate, method, quantity, value, low, high, text`.
//!
//! | table | item | quantity: value (low, high: 95 % interval) or text |
//! |---|---|---|
//! | `about` | `schema`, `version`, `seed`, … | its value as text |
//! | `input` | file name | `candidate` or `samples`: bytes; text: SHA-256 |
//! | `candidate` | its number from 1 | `weights`, `vocabulary`, `context`; text: family and element types |
//! | `verdict` | `answer`, `warning`, `limit`, `note`, `problem` | text |
//! | `ranking` | place, 1 the best | `probability` and `score` by method; `p-value` and `statistic` of "none of these" |
//! | `lineage` | `descent`, or the access of a test | `ln p`, `statistic`, and the null's `null mean`, `null deviation`, `control` by test; text: relation and why, or what it is |
//! | `layers` | layer, then kind of matrix | `likeness` by test |
//! | `context` | the fact | `suspect`, `candidate` as text |
//! | `tree` | a leaf | `distance` from the leaf in `candidate` |
//! | `level` | `suspect`, or whose own responses | `bits per byte` under the candidate |
//! | `sample` | number from 1 | `origin`, `prompt`, `response` as text; `bits per byte` by candidate |
//!
//! Text that a spreadsheet would run as a formula is written with a leading `'`.

use super::{Answer, Report, lineage};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::lineage::Lineage;

const HEADER: [&str; 9] =
    ["table", "item", "candidate", "method", "quantity", "value", "low", "high", "text"];

#[derive(Default)]
struct Row<'a> {
    table: &'a str,
    item: String,
    candidate: &'a str,
    method: &'a str,
    quantity: &'a str,
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    text: String,
}

/// `report` as CSV (UTF-8, RFC 4180 quoting, line feeds).
///
/// # Errors
/// Only where memory cannot be written, which is a defect.
pub fn write(report: &Report) -> Result<String> {
    let mut out = ::csv::WriterBuilder::new().from_writer(vec![]);
    let fail =
        |e: String| Error::new(ErrorKind::Internal, format!("the CSV cannot be written: {e}"));
    out.write_record(HEADER).map_err(|e| fail(e.to_string()))?;
    for row in rows(report) {
        let (low, high) = row.interval.unzip();
        out.write_record([
            row.table.to_owned(),
            guard(&row.item),
            guard(row.candidate),
            guard(row.method),
            row.quantity.to_owned(),
            number(row.value),
            number(low),
            number(high),
            guard(&row.text),
        ])
        .map_err(|e| fail(e.to_string()))?;
    }
    let bytes = out.into_inner().map_err(|e| fail(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| fail(e.to_string()))
}

fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut rows = vec![];
    let about = [("schema", &report.schema), ("version", &report.version)];
    let about = about.map(|(name, value)| (name.to_owned(), value.clone()));
    for (item, text) in about.into_iter().chain(super::json::settings(report)) {
        rows.push(Row { table: "about", item, text, ..Row::default() });
    }
    for i in &report.inputs {
        let value = Some(i.bytes as f64);
        let (item, text) = (i.name.clone(), i.sha256.clone());
        rows.push(Row { table: "input", item, quantity: &i.role, value, text, ..Row::default() });
    }
    for (c, candidate) in report.candidates.iter().enumerate() {
        for (quantity, value) in [
            ("weights", candidate.weights as f64),
            ("vocabulary", candidate.vocab as f64),
            ("context", candidate.context as f64),
        ] {
            rows.push(Row {
                table: "candidate",
                item: (c + 1).to_string(),
                candidate: &candidate.label,
                quantity,
                value: Some(value),
                text: format!("{}; {}", candidate.family, candidate.dtypes),
                ..Row::default()
            });
        }
    }
    verdict_rows(report, &mut rows);
    for f in &report.findings {
        for (place, s) in f.standings.iter().enumerate() {
            for (quantity, value, interval) in [
                ("probability", s.probability, s.probability_interval),
                ("score", s.score, s.score_interval),
            ] {
                rows.push(Row {
                    table: "ranking",
                    item: (place + 1).to_string(),
                    candidate: report.label(s.candidate),
                    method: &f.method,
                    quantity,
                    value: Some(value),
                    interval: Some(interval),
                    ..Row::default()
                });
            }
        }
        if let Some(none) = &f.none {
            for (quantity, value) in [("p-value", none.p_value), ("statistic", none.statistic)] {
                rows.push(Row {
                    table: "ranking",
                    item: "none of these".into(),
                    method: &f.method,
                    quantity,
                    value: Some(value),
                    text: none.about.clone(),
                    ..Row::default()
                });
            }
        }
    }
    for l in &report.lineage {
        lineage_rows(report, l, &mut rows);
    }
    if let Some(tree) = &report.tree {
        for (leaf, distances) in tree.leaves.iter().zip(&tree.distances) {
            for (candidate, &distance) in tree.leaves.iter().zip(distances) {
                rows.push(Row {
                    table: "tree",
                    item: leaf.clone(),
                    candidate,
                    quantity: "distance",
                    value: Some(distance),
                    ..Row::default()
                });
            }
        }
    }
    for (c, levels) in report.levels.iter().enumerate() {
        for (d, &value) in levels.iter().enumerate() {
            let item = if d == 0 { "suspect" } else { report.label(d - 1) };
            rows.push(Row {
                table: "level",
                item: item.into(),
                candidate: report.label(c),
                quantity: "bits per byte",
                value,
                ..Row::default()
            });
        }
    }
    sample_rows(report, &mut rows);
    rows
}

fn verdict_rows<'a>(report: &'a Report, rows: &mut Vec<Row<'a>>) {
    let answer = match report.verdict.answer {
        Answer::Attributed => "attributed",
        Answer::Undetermined => "undetermined",
        Answer::NoneOfThese => "none-of-these",
    };
    rows.push(Row {
        table: "verdict",
        item: "answer".into(),
        candidate: report.verdict.candidate.map_or("", |c| report.label(c)),
        method: &report.verdict.method,
        quantity: answer,
        text: report.verdict.text.clone(),
        ..Row::default()
    });
    let mut say = |item: &str, text: String, value: Option<f64>| {
        rows.push(Row { table: "verdict", item: item.into(), value, text, ..Row::default() });
    };
    report.warnings().iter().for_each(|w| say("warning", (*w).to_owned(), None));
    report.asked.iter().for_each(|a| say("asked", a.clone(), None));
    report.limits.iter().for_each(|l| say("limit", l.clone(), None));
    report.notes.iter().for_each(|n| say("note", n.text.clone(), Some(n.count as f64)));
    report.problems.iter().for_each(|p| say("problem", p.to_string(), None));
}

fn lineage_rows<'a>(report: &'a Report, l: &'a Lineage, rows: &mut Vec<Row<'a>>) {
    let candidate = report.label(l.candidate);
    rows.push(Row {
        table: "lineage",
        item: "descent".into(),
        candidate,
        method: lineage::decisive(l).map_or("", |t| &t.method),
        quantity: "ln p",
        value: l.ln_p,
        text: format!("{}: {}", l.relation.words(), l.why),
        ..Row::default()
    });
    for t in &l.tests {
        let row = |quantity, value, text: &str| Row {
            table: "lineage",
            item: lineage::access(t.access).into(),
            candidate,
            method: &t.method,
            quantity,
            value,
            text: text.into(),
            ..Row::default()
        };
        rows.push(row("statistic", Some(t.statistic), &t.about));
        rows.push(row("ln p", t.ln_p, lineage::basis(t.basis)));
        if let Some(null) = &t.null {
            rows.push(row("null mean", Some(null.mean), &null.about));
            rows.push(row("null deviation", Some(null.deviation), &null.about));
            rows.extend(null.controls.iter().map(|c| row("control", Some(*c), "")));
        }
        rows.extend(t.notes.iter().map(|n| row("note", None, n)));
        if let Some(map) = &t.map {
            for (layer, values) in map.rows.iter().zip(&map.values) {
                for (kind, &value) in map.columns.iter().zip(values) {
                    rows.push(Row {
                        table: "layers",
                        item: format!("{layer}, {kind}"),
                        ..row("likeness", value, &map.about)
                    });
                }
            }
        }
    }
    for f in &l.context {
        for (quantity, text) in [("suspect", &f.suspect), ("candidate", &f.candidate)] {
            let (item, text) = (f.name.clone(), text.clone());
            rows.push(Row { table: "context", item, candidate, quantity, text, ..Row::default() });
        }
    }
}

fn sample_rows<'a>(report: &'a Report, rows: &mut Vec<Row<'a>>) {
    for (i, s) in report.samples.iter().enumerate() {
        let item = (i + 1).to_string();
        let texts = [
            ("origin", Some(&s.sample.origin)),
            ("prompt", s.sample.prompt.as_ref()),
            ("response", Some(&s.sample.response)),
        ];
        for (quantity, text) in texts {
            if let Some(text) = text {
                let (item, text) = (item.clone(), text.clone());
                rows.push(Row { table: "sample", item, quantity, text, ..Row::default() });
            }
        }
        for (c, score) in s.scores.iter().enumerate() {
            rows.push(Row {
                table: "sample",
                item: item.clone(),
                candidate: report.label(c),
                quantity: "bits per byte",
                value: score.as_ref().and_then(|s| s.bits_per_byte()),
                ..Row::default()
            });
        }
    }
}

/// The shortest digits that read back to the same number; empty where there is none.
fn number(x: Option<f64>) -> String {
    x.filter(|x| x.is_finite()).map_or_else(String::new, |x| x.to_string())
}

/// Spreadsheets run a cell as a formula by its first character, also after blanks.
fn guard(text: &str) -> String {
    match text.trim_start_matches([' ', '\n', '\u{a0}', '\u{feff}']).chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '＝' | '＋' | '－' | '＠') => {
            format!("'{}", text.replace('\0', "\u{fffd}"))
        }
        _ => text.replace('\0', "\u{fffd}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1"] {
            assert_eq!(guard(text), format!("'{text}"));
        }
        for text in ["", "a=b", "1-2", "'=1"] {
            assert_eq!(guard(text), text);
        }
    }
}
