//! The result: verdict, chart, tables and heat maps.

use super::{dom, lineage, lists};
use crate::error::Result;
use crate::report::figures::{plain, truncate};
use crate::report::heatmap::{self, Against};
use crate::report::markup::{Element, Node, html};
use crate::report::{Answer, Report, chart, json, tables};
use web_sys::HtmlSelectElement;

/// Rows of the table of samples shown at first, and with each "more".
pub const ROWS: usize = 10;

/// The verdict as a heading.
pub fn headline(report: &Report) -> String {
    let best = report.verdict.candidate.map(|c| plain(report.label(c)));
    match (report.verdict.answer, best) {
        (Answer::Attributed, Some(best)) => format!("Attributed to {best}"),
        (answer, Some(best)) => format!("{}; nearest is {best}", answer.words()),
        (answer, None) => answer.words().to_owned(),
    }
}

/// Shows all of `report`.
///
/// # Errors
/// Where the page lacks one of its parts.
pub fn show(report: &Report) -> Result<()> {
    dom::say("verdict", &headline(report));
    let verdict: web_sys::Element = dom::by_id("verdict")?;
    verdict.set_class_name(match report.verdict.answer {
        Answer::Attributed => "attributed",
        _ => "open",
    });
    dom::say("verdict-text", &plain(&report.verdict.text));
    warnings(report)?;
    // By weights alone there may be nothing to draw; the page says it all below.
    let ranked = report.decisive().is_some() || report.lineage.is_empty();
    for id in ["chart", "ranking", "methods", "export-svg", "export-png"] {
        dom::show(id, ranked);
    }
    lineage::show(report)?;
    dom::fill("chart", [chart::chart(report, "chart-svg")])?;
    dom::fill("ranking", [ranking(report)])?;
    dom::fill("methods", [tables::methods(report)])?;
    // Token by token there is something only under a candidate's own weights.
    let scored = report.samples.iter().any(|s| s.scores.iter().any(Option::is_some));
    for id in ["heat-part", "levels-part", "sample-part"] {
        dom::show(id, scored);
    }
    dom::fill("levels", [tables::levels(report)])?;
    dom::fill("inputs-table", about(report))?;
    samples(report, ROWS)?;
    heat_choices(report)?;
    heat(report)
}

/// The choice among several suspects, and all of them against all candidates.
///
/// # Errors
/// As [`show`].
pub fn suspects(reports: &[Report]) -> Result<()> {
    dom::show("suspect-row", reports.len() > 1);
    dom::show("matching-part", reports.len() > 1);
    let name = |(i, r): (usize, &Report)| option(i, &truncate(&plain(&r.suspect), 60));
    dom::fill("suspect-choice", reports.iter().enumerate().map(name))?;
    dom::fill("matching", reports.first().and_then(tables::matching))
}

/// The table of ranks, each row naming its candidate.
fn ranking(report: &Report) -> Element {
    let mut table = tables::ranking(report);
    let labels = report.decisive().map_or(&[][..], |f| &f.standings);
    let mut labels = labels.iter().map(|s| report.label(s.candidate));
    name_rows(&mut table, false, &mut labels);
    table
}

fn name_rows<'a>(e: &mut Element, body: bool, labels: &mut impl Iterator<Item = &'a str>) {
    if body && e.tag == "tr" {
        if let Some(label) = labels.next() {
            e.attributes.push(("data-candidate", label.to_owned()));
        }
        return;
    }
    for child in &mut e.children {
        if let Node::Element(child) = child {
            let body = body || child.tag == "tbody";
            name_rows(child, body, labels);
        }
    }
}

fn warnings(report: &Report) -> Result<()> {
    let all = report.warnings();
    dom::show("warnings", !all.is_empty());
    let list = html("ul").with(all.iter().map(|w| html("li").text(lists::sentence(&plain(w)))));
    dom::fill("warnings", [html("h3").text("Before you use this"), list])
}

/// What repeats the run and limits its meaning.
fn about(report: &Report) -> Vec<Element> {
    let mut settings = html("dl").class("settings-list");
    for (name, value) in json::settings(report) {
        settings =
            settings.child(html("dt").text(name.replace('_', " "))).child(html("dd").text(value));
    }
    let methods = report.findings.iter().map(|f| {
        let role = if f.baseline { " (baseline, not decisive)" } else { "" };
        html("li").child(html("strong").text(format!("{}{role}: ", f.method))).text(plain(&f.about))
    });
    let limits = report.limits.iter().map(|l| html("li").text(plain(l)));
    let mut out = vec![
        tables::candidates(report),
        tables::inputs(report),
        html("h4").text("Methods"),
        html("ul").with(methods),
        html("h4").text("Settings"),
        settings,
        html("h4").text("Limits"),
        html("ul").with(limits),
    ];
    if !report.notes.is_empty() {
        let notes = report.notes.iter().map(|n| html("li").text(plain(&n.text)));
        out.push(html("h4").text("Set aside in the samples"));
        out.push(html("ul").with(notes));
    }
    out
}

/// Shows the first `count` samples.
///
/// # Errors
/// As [`show`].
pub fn samples(report: &Report, count: usize) -> Result<()> {
    dom::fill("sample-table", [tables::samples(report, 0, count)])?;
    dom::show("more-samples", count < report.samples.len());
    Ok(())
}

fn option(value: impl std::fmt::Display, text: &str) -> Element {
    html("option").attr("value", value).text(text)
}

fn heat_choices(report: &Report) -> Result<()> {
    let excerpt = |text: &str| truncate(&plain(text), 60);
    dom::fill(
        "heat-sample",
        report
            .samples
            .iter()
            .enumerate()
            .map(|(i, s)| option(i, &format!("{}: {}", i + 1, excerpt(&s.sample.response)))),
    )?;
    let candidates = || {
        report
            .candidates
            .iter()
            .enumerate()
            .map(|(i, c)| option(i, &truncate(&plain(&c.label), 40)))
    };
    dom::fill("heat-candidate", candidates())?;
    let first = [option("", "nothing: show ranks"), option("others", "the mean of the others")];
    dom::fill("heat-against", first.into_iter().chain(candidates()))?;
    if let Some(best) = report
        .verdict
        .candidate
        .or_else(|| report.decisive().and_then(|f| f.standings.first()).map(|s| s.candidate))
    {
        dom::by_id::<HtmlSelectElement>("heat-candidate")?.set_value(&best.to_string());
    }
    Ok(())
}

/// Shows the heat map that the choices name.
///
/// # Errors
/// As [`show`].
pub fn heat(report: &Report) -> Result<()> {
    let chosen = |id: &str| dom::by_id::<HtmlSelectElement>(id).map(|s| s.value());
    let sample = chosen("heat-sample")?.parse().ok().and_then(|i: usize| report.samples.get(i));
    let candidate = chosen("heat-candidate")?.parse::<usize>();
    let (Some(sample), Ok(candidate)) = (sample, candidate) else {
        return dom::fill("heat", []);
    };
    let against = match chosen("heat-against")?.as_str() {
        "" => None,
        "others" => Some(Against::Others),
        other => other.parse().ok().map(Against::Candidate),
    };
    let prompt = sample.sample.prompt.as_deref().unwrap_or_default();
    dom::show("heat-prompt", !prompt.is_empty());
    dom::say("heat-prompt", &format!("Prompt: {}", truncate(&plain(prompt), 600)));
    let (map, legend) = match against {
        None => (heatmap::ranks(sample, candidate), heatmap::rank_legend()),
        Some(Against::Candidate(c)) if c == candidate => (None, html("p")),
        Some(against) => (
            heatmap::compare(report, sample, candidate, against),
            heatmap::compare_legend(report, candidate, against),
        ),
    };
    match map {
        Some(map) => dom::fill("heat", [legend, map]),
        None => dom::fill(
            "heat",
            [html("p").class("none").text(
                "Nothing to show: choose two different candidates that both scored this sample.",
            )],
        ),
    }
}
