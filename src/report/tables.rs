//! Tables: the ranking, the samples, levels and inputs.

use super::figures::{self, ordinal, truncate};
use super::markup::{Element, html};
use super::{Finding, Report, SampleResult};

pub(super) fn head(cells: impl IntoIterator<Item = Element>) -> Element {
    html("thead").child(html("tr").with(cells))
}

pub(super) fn th(text: impl Into<String>) -> Element {
    html("th").attr("scope", "col").text(text)
}

pub(super) fn td(text: impl Into<String>) -> Element {
    html("td").text(text)
}

pub(super) fn num(text: impl Into<String>) -> Element {
    html("td").class("bt-num").text(text)
}

/// A table that scrolls by itself where it is too wide.
pub(super) fn framed(
    caption: &str,
    head: Element,
    rows: impl IntoIterator<Item = Element>,
) -> Element {
    let table = html("table")
        .class("bt-table")
        .child(html("caption").text(caption))
        .child(head)
        .child(html("tbody").with(rows));
    html("div")
        .class("bt-scroll")
        .attr("tabindex", "0")
        .attr("role", "region")
        .attr("aria-label", caption)
        .child(table)
}

/// The figures of the chart, and each baseline's place beside them.
pub fn ranking(report: &Report) -> Element {
    let Some(finding) = report.decisive() else {
        return html("p").text("No candidate could be ranked.");
    };
    // The others stand in the table of methods.
    let baselines: Vec<&Finding> = report.baselines().take(1).collect();
    let header = head(
        ["Place", "Candidate", "Probability", "95 % interval", "Score", "95 % interval"]
            .into_iter()
            .map(th)
            .chain(baselines.iter().map(|b| th(format!("Place by {}", b.method)))),
    );
    let rows = finding.standings.iter().enumerate().map(|(i, s)| {
        html("tr")
            .child(num(ordinal(i + 1)))
            .child(
                html("th").attr("scope", "row").foreign(figures::plain(report.label(s.candidate))),
            )
            .child(num(figures::probability(s.probability)))
            .child(num(figures::probability_interval(s.probability_interval)))
            .child(num(figures::score(s.score)))
            .child(num(figures::score_interval(s.score_interval)))
            .with(baselines.iter().map(|b| {
                num(b.place(s.candidate).map_or_else(|| figures::UNKNOWN.into(), ordinal))
            }))
    });
    let caption = format!("Ranking by {}, best first", finding.method);
    let table = framed(&caption, header, rows.collect::<Vec<_>>());
    let mut out = html("div").child(table).child(html("p").class("bt-about").text(&finding.about));
    if let Some(none) = &finding.none {
        out = out.child(html("p").class("bt-about").text(format!(
            "None of these: {} ({})",
            figures::p_value(none.p_value),
            none.about
        )));
    }
    out
}

/// What each method by itself would say, the verdict's own among them.
pub fn methods(report: &Report) -> Element {
    let header = head(
        ["Method", "Kind", "Names first", "Probability", "95 % interval", "Most votes"].map(th),
    );
    let name = |c: usize| truncate(&figures::plain(report.label(c)), 40);
    let rows = report.findings.iter().filter_map(|f| {
        let first = f.standings.first()?;
        // Majority voting: whose classifier claims the most responses.
        let votes = f
            .standings
            .iter()
            .filter_map(|s| Some((s.votes?, s.candidate)))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let votes = votes.map_or_else(
            || figures::UNKNOWN.into(),
            |(share, c)| format!("{} ({})", name(c), figures::probability(share)),
        );
        let decisive = f.method == report.verdict.method;
        let kind = match (decisive, f.baseline) {
            (true, _) => "decisive",
            (false, false) => "evidence",
            (false, true) => "baseline",
        };
        let row = html("tr")
            .child(html("th").attr("scope", "row").text(&f.method))
            .child(td(kind))
            .child(html("td").foreign(name(first.candidate)))
            .child(num(figures::probability(first.probability)))
            .child(num(figures::probability_interval(first.probability_interval)))
            .child(html("td").foreign(votes));
        Some(if decisive { row.attr("data-decisive", "true") } else { row })
    });
    framed("Each method by itself", header, rows.collect::<Vec<_>>())
}

/// All suspects against all candidates, with both answers.
pub fn matching(report: &Report) -> Option<Element> {
    let matching = report.matching.as_ref()?;
    let short = |c: usize| truncate(&figures::plain(report.label(c)), 18);
    let header = head(
        ["Suspect", "By itself", "One to one"].into_iter().map(th).chain(
            (0..report.candidates.len())
                .map(|c| html("th").class("bt-num").attr("scope", "col").foreign(short(c))),
        ),
    );
    let rows = matching.suspects.iter().enumerate().map(|(s, suspect)| {
        let own = matching.independent.get(s).copied().flatten();
        let sure = matching.answers.get(s).is_some_and(|a| *a == super::Answer::Attributed);
        let own = own.map_or_else(
            || figures::UNKNOWN.into(),
            |c| format!("{}{}", short(c), if sure { "" } else { " (undetermined)" }),
        );
        let assigned = matching.assigned.get(s).copied().flatten();
        let row = html("tr")
            .child(html("th").attr("scope", "row").foreign(truncate(&figures::plain(suspect), 40)))
            .child(html("td").foreign(own))
            .child(html("td").foreign(assigned.map_or_else(|| figures::UNKNOWN.into(), short)));
        row.with(matching.probabilities.get(s).into_iter().flatten().enumerate().map(|(c, p)| {
            let cell = num(figures::probability(*p));
            if assigned == Some(c) { cell.attr("data-best", "true") } else { cell }
        }))
    });
    let table = framed(
        "Probability of each candidate for each suspect; bold: the one-to-one assignment",
        header,
        rows.collect::<Vec<_>>(),
    );
    Some(
        html("div")
            .child(table)
            .child(html("p").class("bt-about").text(super::Matching::ASSUMPTION)),
    )
}

/// The candidate under which `result` is likeliest per byte.
pub fn likeliest(result: &SampleResult) -> Option<usize> {
    let bits = |c: usize| result.scores.get(c)?.as_ref()?.bits_per_byte().filter(|b| b.is_finite());
    (0..result.scores.len())
        .filter_map(|c| bits(c).map(|b| (c, b)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(c, _)| c)
}

/// `count` samples from number `from` (0-based) on.
pub fn samples(report: &Report, from: usize, count: usize) -> Element {
    let header = head(["#", "Prompt", "Response", "Likeliest under"].into_iter().map(th).chain(
        report.candidates.iter().map(|c| {
            let label = figures::plain(&c.label);
            html("th")
                .class("bt-num")
                .attr("scope", "col")
                .attr("title", &label)
                .foreign(truncate(&label, 18))
        }),
    ));
    let rows = report.samples.iter().enumerate().skip(from).take(count).map(|(i, s)| {
        let best = likeliest(s);
        let row = html("tr")
            .child(num((i + 1).to_string()).attr("title", figures::plain(&s.sample.origin)))
            .child(excerpt(s.sample.prompt.as_deref().unwrap_or_default(), 60))
            .child(excerpt(&s.sample.response, 90))
            .child(html("td").foreign(best.map_or_else(
                || figures::UNKNOWN.into(),
                |c| truncate(&figures::plain(report.label(c)), 24),
            )));
        row.with(s.scores.iter().enumerate().map(|(c, score)| {
            let bits = score.as_ref().and_then(|s| s.bits_per_byte());
            let cell = num(figures::bits(bits));
            // Bold as well as coloured: the mark must not rest on colour.
            if best == Some(c) { cell.attr("data-best", "true") } else { cell }
        }))
    });
    framed("Bits per byte of each response, before calibration", header, rows.collect::<Vec<_>>())
}

fn excerpt(text: &str, columns: usize) -> Element {
    let text = figures::plain(text);
    let cut = truncate(&text, columns);
    let cell = html("td").class("bt-text");
    if cut == text { cell.foreign(cut) } else { cell.attr("title", text).foreign(cut) }
}

/// Mean bits per byte of everyone's responses under every candidate.
pub fn levels(report: &Report) -> Element {
    let label = |c: usize| truncate(&figures::plain(report.label(c)), 18);
    let width = report.levels.iter().map(Vec::len).max().unwrap_or(0);
    let header = head(
        ["Scored by", "Suspect"]
            .into_iter()
            .map(th)
            .chain((1..width).map(|d| th("").foreign(label(d - 1)))),
    );
    let rows = report.levels.iter().enumerate().map(|(c, levels)| {
        html("tr")
            .child(html("th").attr("scope", "row").foreign(label(c)))
            .with((0..width).map(|d| num(figures::bits(levels.get(d).copied().flatten()))))
    });
    framed(
        "Mean bits per byte: of the suspect's responses, and of each candidate's own",
        header,
        rows.collect::<Vec<_>>(),
    )
}

/// The candidates as loaded.
pub fn candidates(report: &Report) -> Element {
    let header =
        head(["Candidate", "Family", "Weights", "Stored as", "Vocabulary", "Context"].map(th));
    let rows = report.candidates.iter().map(|c| {
        html("tr")
            .child(html("th").attr("scope", "row").foreign(figures::plain(&c.label)))
            .child(td(&c.family))
            .child(num(figures::count(c.weights)))
            .child(td(&c.dtypes))
            .child(num(c.vocab.to_string()))
            .child(num(c.context.to_string()))
    });
    framed("Candidates", header, rows.collect::<Vec<_>>())
}

/// Every input with its hash.
pub fn inputs(report: &Report) -> Element {
    let header = head(["File", "Role", "Size", "SHA-256"].map(th));
    let rows = report.inputs.iter().map(|i| {
        html("tr")
            .child(html("th").attr("scope", "row").foreign(figures::plain(&i.name)))
            .child(td(&i.role))
            .child(num(figures::bytes(i.bytes)))
            .child(html("td").class("bt-hash").child(html("code").text(&i.sha256)))
    });
    framed("Inputs", header, rows.collect::<Vec<_>>())
}
