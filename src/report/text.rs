//! The report for a terminal.

use super::figures::{self, ordinal, plain, truncate, width};
use super::{Finding, Report};

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

fn ranking(report: &Report, finding: &Finding, out: &mut String) {
    let baselines: Vec<&Finding> = report.baselines().collect();
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
    let columns = rows[0].len();
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|r| width(&r[c])).max().unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - width(cell));
            // Names to the left, numbers to the right.
            let (before, after) = if c == 1 { ("", pad.as_str()) } else { (pad.as_str(), "") };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
