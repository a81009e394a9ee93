//! The report for a terminal.

use super::figures::{self, ordinal, plain, truncate, width};
use super::{Finding, Report, lineage};

/// `report` as aligned plain text, without escape sequences.
pub fn write(report: &Report) -> String {
    let mut out = format!("{}\n{}\n", report.verdict.answer.words(), plain(&report.verdict.text));
    for w in report.warnings() {
        out.push_str(&format!("warning: {}\n", plain(w)));
    }
    if let Some(finding) = report.decisive() {
        out.push('\n');
        ranking(report, finding, &mut out);
        if let Some(none) = &finding.none {
            out.push_str(&format!("\nNone of these: {}\n", figures::p_value(none.p_value)));
        }
        out.push_str(&format!("Score: {}\n", plain(&finding.about)));
    }
    if !report.lineage.is_empty() {
        descent(report, &mut out);
    }
    if report.findings.len() > 2 {
        methods(report, &mut out);
    }
    out.push_str(&format!(
        "\n{} samples, {} candidates, seed {}, basetrace {}\n",
        report.samples.len(),
        report.candidates.len(),
        report.parameters.seed,
        report.version
    ));
    for n in &report.notes {
        out.push_str(&format!("note: {}\n", plain(&n.text)));
    }
    out
}

/// What the suspect is to each candidate, why, and by which tests.
fn descent(report: &Report, out: &mut String) {
    let head = |cells: &[&str]| cells.iter().map(|&c| c.to_owned()).collect::<Vec<_>>();
    let order = lineage::order(report);
    let name = |c: usize| truncate(&plain(report.label(c)), 40);
    let mut rows = vec![head(&["candidate", "the suspect is", "decisive test", "p-value (Holm)"])];
    for l in &order {
        rows.push(vec![
            name(l.candidate),
            l.relation.words().into(),
            lineage::decisive(l).map_or_else(|| figures::UNKNOWN.into(), |t| plain(&t.method)),
            lineage::p(l.ln_p),
        ]);
    }
    out.push_str("\nDescent\n");
    table(&rows, 3, out);
    for l in order.iter().filter(|l| !l.why.is_empty()) {
        out.push_str(&format!("{}: {}\n", name(l.candidate), plain(&l.why)));
    }
    if let Some(asked) = &report.asked {
        out.push_str(&format!("{}\n", plain(asked)));
    }
    let mut rows = vec![head(&["candidate", "test", "access", "null", "statistic", "p-value"])];
    for (l, t) in order.iter().flat_map(|l| l.tests.iter().map(move |t| (l, t))) {
        rows.push(vec![
            name(l.candidate),
            plain(&t.method),
            lineage::access(t.access).into(),
            lineage::basis(t.basis).into(),
            figures::score(t.statistic),
            lineage::p(t.ln_p),
        ]);
    }
    if rows.len() > 1 {
        out.push_str("\nTests, each by itself and before any correction\n");
        table(&rows, 4, out);
    }
}

/// Whom each method by itself names first.
fn methods(report: &Report, out: &mut String) {
    let mut rows =
        vec![["method", "names first", "probability", "95 % interval"].map(str::to_owned).to_vec()];
    for f in &report.findings {
        let Some(first) = f.standings.first() else { continue };
        let kind = if f.baseline { " (baseline)" } else { "" };
        rows.push(vec![
            format!("{}{kind}", plain(&f.method)),
            truncate(&plain(report.label(first.candidate)), 40),
            figures::probability(first.probability),
            figures::probability_interval(first.probability_interval),
        ]);
    }
    out.push_str("\nEach method by itself\n");
    table(&rows, 2, out);
}

/// Several reports: each by itself, then all suspects against all candidates.
pub fn write_all(reports: &[Report]) -> String {
    if let [one] = reports {
        return write(one);
    }
    let mut out = String::new();
    for report in reports {
        out.push_str(&format!("=== {} ===\n{}\n", plain(&report.suspect), write(report)));
    }
    if let Some(matching) = reports.first().and_then(|r| r.matching.as_ref().map(|m| (r, m))) {
        out.push_str(&pairs(matching.0, matching.1));
    }
    out
}

/// The suspects-by-candidates matrix with both answers.
fn pairs(report: &Report, matching: &super::Matching) -> String {
    let name = |c: &Option<usize>| {
        c.map_or_else(|| figures::UNKNOWN.into(), |c| truncate(&plain(report.label(c)), 30))
    };
    let mut head = vec!["suspect".to_owned(), "by itself".into(), "one to one".into()];
    head.extend((0..report.candidates.len()).map(|c| truncate(&plain(report.label(c)), 14)));
    let mut rows = vec![head];
    for (s, suspect) in matching.suspects.iter().enumerate() {
        let mut row = vec![
            truncate(&plain(suspect), 30),
            name(&matching.independent[s]),
            name(&matching.assigned[s]),
        ];
        row.extend(matching.probabilities[s].iter().map(|p| figures::probability(*p)));
        rows.push(row);
    }
    let mut out = String::from("Suspects against candidates\n");
    table(&rows, 3, &mut out);
    out.push_str(super::Matching::ASSUMPTION);
    out.push('\n');
    out
}

/// Aligned columns, the first `names` to the left and the others to the right.
fn table(rows: &[Vec<String>], names: usize, out: &mut String) {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|r| width(&r[c])).max().unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - width(cell));
            let (before, after) = if c < names { ("", pad.as_str()) } else { (pad.as_str(), "") };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn ranking(report: &Report, finding: &Finding, out: &mut String) {
    // The others follow, each method by itself.
    let baselines: Vec<&Finding> = report.baselines().take(1).collect();
    let mut rows = vec![
        ["#", "candidate", "probability", "95 % interval", "score", "95 % interval"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows[0].extend(baselines.iter().map(|b| format!("by {}", plain(&b.method))));
    for (i, s) in finding.standings.iter().enumerate() {
        let mut row = vec![
            (i + 1).to_string(),
            truncate(&plain(report.label(s.candidate)), 40),
            figures::probability(s.probability),
            figures::probability_interval(s.probability_interval),
            figures::score(s.score),
            figures::score_interval(s.score_interval),
        ];
        row.extend(
            baselines
                .iter()
                .map(|b| b.place(s.candidate).map_or_else(|| figures::UNKNOWN.into(), ordinal)),
        );
        rows.push(row);
    }
    table(&rows, 2, out);
}
