//! The report as one HTML file that loads nothing.

use super::figures::plain;
use super::heatmap::{self, Against};
use super::markup::{Element, html};
use super::{Report, chart, layers, lineage, nullplot, tables, tree};

/// Samples whose heat maps are shown.
const HEAT_MAPS: usize = 12;
/// Samples listed in the table.
const SAMPLE_ROWS: usize = 200;

/// Classes of chart, tables and heat maps; the page uses the same.
pub const STYLE: &str = include_str!("report.css");
/// Classes of the pictures of descent, where there are any; the page uses the same.
pub const LINEAGE_STYLE: &str = include_str!("lineage.css");
/// What the standalone document adds.
const DOCUMENT_STYLE: &str = include_str!("document.css");

/// No script, no request of any kind: only the styles in the file itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// `report` as a self-contained document.
pub fn write(report: &Report) -> String {
    let title = match report.verdict.candidate {
        Some(c) => format!("{}: {}", report.verdict.answer.words(), plain(report.label(c))),
        None => report.verdict.answer.words().to_owned(),
    };
    let head = html("head")
        .child(html("meta").attr("charset", "utf-8"))
        .child(html("meta").attr("http-equiv", "Content-Security-Policy").attr("content", POLICY))
        .child(
            html("meta")
                .attr("name", "viewport")
                .attr("content", "width=device-width, initial-scale=1"),
        )
        .child(html("meta").attr("name", "color-scheme").attr("content", "light dark"))
        .child(html("meta").attr("name", "referrer").attr("content", "no-referrer"))
        .child(html("title").text(format!("{title} – basetrace report")))
        .child(style(report));
    // By weights alone there are no samples, and perhaps nothing to rank them by.
    let by_weights = !report.lineage.is_empty() && report.samples.is_empty();
    let main = html("main")
        .child(verdict(report))
        .with((!by_weights || report.decisive().is_some()).then(|| {
            section("Ranking")
                .child(html("figure").child(chart::chart(report, "chart")))
                .child(tables::ranking(report))
                .child(tables::methods(report))
                .with(tables::matching(report))
        }))
        .with(descent(report))
        .with(dendrogram(report))
        .with(heat_maps(report))
        .with((!by_weights).then(|| samples(report)))
        .with(
            (!by_weights)
                .then(|| section("Levels").child(levels_note()).child(tables::levels(report))),
        )
        .child(
            section("Candidates and inputs")
                .child(tables::candidates(report))
                .child(tables::inputs(report)),
        )
        .with(irregularities(report))
        .child(method(report))
        .child(limits(report));
    let page = html("html").attr("lang", "en").child(head).child(html("body").child(main));
    format!("<!doctype html>\n{}\n", page.to_html())
}

fn section(heading: &str) -> Element {
    html("section").child(html("h2").text(heading))
}

fn style(report: &Report) -> Element {
    let style = html("style").text(STYLE);
    match report.lineage.is_empty() && report.tree.is_none() {
        true => style.text(DOCUMENT_STYLE),
        false => style.text(LINEAGE_STYLE).text(DOCUMENT_STYLE),
    }
}

/// A drawing that scrolls by itself where it is too wide.
fn picture(drawing: Element, label: &str) -> Element {
    html("figure")
        .class("bt-picture")
        .attr("tabindex", "0")
        .attr("role", "group")
        .attr("aria-label", label)
        .child(drawing)
}

/// What the suspect is to each candidate, the nearest one's tests open to view.
fn descent(report: &Report) -> Option<Element> {
    let table = lineage::descent(report)?;
    let mut out = section("Descent").child(table).with(lineage::asked(report));
    for (i, l) in lineage::order(report).into_iter().enumerate() {
        let parts = of_candidate(report, l.candidate);
        if parts.is_empty() {
            continue;
        }
        let name = plain(report.label(l.candidate));
        out = match i {
            0 => out.child(html("h3").text("Against ").foreign(name)).with(parts),
            _ => out.child(
                html("details").child(html("summary").text("Against ").foreign(name)).with(parts),
            ),
        };
    }
    Some(out)
}

fn of_candidate(report: &Report, c: usize) -> Vec<Element> {
    let nulls = nullplot::chart(report, c, &format!("null-{c}"));
    let mut out: Vec<Element> = lineage::tests(report, c).into_iter().collect();
    out.extend(nulls.map(|drawing| picture(drawing, "Scores on their nulls")));
    for (i, _) in layers::maps(report, c) {
        let map = layers::chart(report, c, i, &format!("layers-{c}-{i}"));
        out.extend(map.map(|drawing| picture(drawing, "Heat map by layer")));
        out.extend(layers::table(report, c, i).map(as_table));
    }
    out.extend(lineage::context(report, c));
    out
}

fn as_table(table: Element) -> Element {
    html("details").child(html("summary").text("The same as a table")).child(table)
}

fn dendrogram(report: &Report) -> Option<Element> {
    let drawing = tree::chart(report, "tree")?;
    let out = section("Dendrogram").child(picture(drawing, "Dendrogram"));
    Some(out.with(tree::table(report).map(as_table)))
}

fn paragraphs(class: &'static str, texts: &[String]) -> Element {
    html("ul").class(class).with(texts.iter().map(|t| html("li").foreign(plain(t))))
}

fn verdict(report: &Report) -> Element {
    let answer = match report.verdict.answer {
        super::Answer::Attributed => "bt-verdict bt-attributed",
        _ => "bt-verdict bt-open",
    };
    let warnings: Vec<String> = report.warnings().into_iter().map(str::to_owned).collect();
    let mut out = html("section")
        .child(html("p").class("bt-kicker").text(format!("basetrace {} report", report.version)))
        .child(html("h1").class(answer).text(report.verdict.answer.words()))
        .child(html("p").class("bt-lead").foreign(plain(&report.verdict.text)));
    if !warnings.is_empty() {
        out = out
            .child(html("h2").class("bt-warn").text("Warnings"))
            .child(paragraphs("bt-warnings", &warnings));
    }
    out
}

fn heat_maps(report: &Report) -> Option<Element> {
    let best =
        report.verdict.candidate.or(report.decisive()?.standings.first().map(|s| s.candidate))?;
    let second = report
        .decisive()
        .and_then(|f| f.standings.iter().map(|s| s.candidate).find(|&c| c != best));
    let against = second.map(Against::Candidate);
    let mut out = section("Tokens").child(html("p").foreign(format!(
        "How well {} predicts each token of the suspect's responses: the rank of the token that was there among all tokens. Points stand for spaces, ↵ for a new line.",
        plain(report.label(best))
    )));
    out = out.child(heatmap::rank_legend());
    if let Some(against) = against {
        out = out
            .child(html("p").text("Below each, which passages speak for the best candidate or for the second. Single passages prove nothing; the calibrated ranking weighs all of them."))
            .child(heatmap::compare_legend(report, best, against));
    }
    let mut shown = 0;
    for (i, sample) in report.samples.iter().enumerate() {
        let Some(ranks) = heatmap::ranks(sample, best) else { continue };
        if shown == HEAT_MAPS {
            break;
        }
        shown += 1;
        let mut article =
            html("article").class("bt-sample").child(html("h3").text(format!("Sample {}", i + 1)));
        if let Some(prompt) = &sample.sample.prompt {
            let prompt = super::figures::truncate(&plain(prompt), 400);
            article = article.child(html("p").class("bt-prompt").text("Prompt: ").foreign(prompt));
        }
        article = article.child(ranks);
        if let Some(compared) = against.and_then(|b| heatmap::compare(report, sample, best, b)) {
            article = article.child(compared);
        }
        out = out.child(article);
    }
    if shown < report.samples.len() {
        let rest = format!("The first {shown} of {} samples.", report.samples.len());
        out = out.child(html("p").class("bt-about").text(rest));
    }
    (shown > 0).then_some(out)
}

fn samples(report: &Report) -> Element {
    let out = section("Samples")
        .child(html("p").text("Raw bits per byte, lowest in bold. Large models predict any text better, so these figures alone do not attribute; the ranking corrects for each candidate's own level."))
        .child(tables::samples(report, 0, SAMPLE_ROWS));
    match report.samples.len() {
        n if n > SAMPLE_ROWS => {
            out.child(html("p").class("bt-about").text(format!(
                "The first {SAMPLE_ROWS} of {n}; the CSV and JSON exports hold all."
            )))
        }
        _ => out,
    }
}

fn levels_note() -> Element {
    html("p").text("Each row is one candidate as a judge. A suspect that descends from a candidate is judged as that candidate's own responses are.")
}

fn irregularities(report: &Report) -> Option<Element> {
    if report.notes.is_empty() && report.problems.is_empty() {
        return None;
    }
    let mut out = section("Set aside");
    if !report.notes.is_empty() {
        let notes: Vec<String> = report
            .notes
            .iter()
            .map(|n| match n.places.is_empty() {
                true => n.text.clone(),
                false => format!("{} ({})", n.text, n.places.join(", ")),
            })
            .collect();
        out = out.child(html("h3").text("Samples")).child(paragraphs("bt-notes", &notes));
    }
    if !report.problems.is_empty() {
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        out = out.child(html("h3").text("Problems")).child(paragraphs("bt-problems", &problems));
    }
    Some(out)
}

fn method(report: &Report) -> Element {
    let about = [("version", &report.version), ("schema", &report.schema)];
    let about = about.map(|(name, value)| (name.to_owned(), value.clone()));
    let mut list = html("dl");
    for (name, value) in about.into_iter().chain(super::json::settings(report)) {
        list = list.child(html("dt").text(name.replace('_', " "))).child(html("dd").text(value));
    }
    let mut out = section("Method and settings");
    for f in &report.findings {
        let role = if f.baseline { " (baseline, not decisive)" } else { "" };
        out = out.child(
            html("p")
                .child(html("strong").text(format!("{}{role}: ", f.method)))
                .text(plain(&f.about)),
        );
    }
    out.child(list)
}

fn limits(report: &Report) -> Element {
    section("Limits").child(paragraphs("bt-limits", &report.limits))
}
