//! The ranking chart as SVG.

use super::draw::{self, BEST, GRID, INK, MUTED, OTHER, line, rect, text};
use super::figures::{ordinal, p_value, plain, probability, truncate};
use super::markup::{Element, svg};
use super::{Answer, Report};
use crate::evidence::Standing;

/// Width of the drawing; its height follows from the number of rows.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 232.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 84.0;
const ROW: f64 = 38.0;

/// The chart of `report`. `id` starts the ids of its title and description,
/// so that several charts can share a document.
pub fn chart(report: &Report, id: &str) -> Element {
    let standings: &[Standing] = report.decisive().map_or(&[], |f| &f.standings);
    let none = report.decisive().and_then(|f| f.none.as_ref());
    let rows = standings.len().max(1);
    let bottom = TOP + rows as f64 * ROW;
    let height = bottom + 54.0 + if none.is_some() { 40.0 } else { 0.0 };

    let title = format!("{}: ranking of {} candidates", report.verdict.answer.words(), rows);
    let mut root = draw::frame(id, (WIDTH, height), &title, &describe(report));
    root = root.child(
        text("bt-ink", 16.0, 27.0, INK, &headline(report))
            .attr("font-size", 17)
            .attr("font-weight", 600),
    );
    root = root.child(text("bt-muted", 16.0, 48.0, MUTED, "Bars: probability, if the base is one of these. Whiskers: 95 % bootstrap interval over samples."));
    for tick in 0..=4 {
        let p = f64::from(tick) / 4.0;
        root = root.child(line("bt-grid", (x(p), TOP - 6.0), (x(p), bottom), GRID, 1.0)).child(
            text("bt-muted", x(p), TOP - 12.0, MUTED, &format!("{p}"))
                .attr("text-anchor", "middle")
                .attr("font-size", 11),
        );
    }
    if standings.is_empty() {
        root = root.child(text(
            "bt-muted",
            LEFT + 8.0,
            TOP + 24.0,
            MUTED,
            "No candidate could be ranked.",
        ));
    }
    for (i, s) in standings.iter().enumerate() {
        root = root.child(row(report, s, i, TOP + i as f64 * ROW));
    }
    let axis = "probability";
    root = root.child(
        text("bt-muted", (LEFT + RIGHT) / 2.0, bottom + 18.0, MUTED, axis)
            .attr("text-anchor", "middle")
            .attr("font-size", 11),
    );
    if let Some(none) = none {
        let y = bottom + 32.0;
        let against = report.verdict.answer == Answer::NoneOfThese;
        let says = if against {
            "the suspect does not fit the best candidate"
        } else {
            "not enough against the best candidate to say so"
        };
        let name = text("bt-ink", 16.0, y + 19.0, INK, "None of these")
            .attr("font-weight", if against { 600 } else { 400 });
        root = root.child(
            svg("g")
                .class("bt-none")
                .child(line("bt-grid", (16.0, y), (WIDTH - 16.0, y), GRID, 1.0))
                .child(name)
                .child(text("bt-muted", LEFT, y + 19.0, MUTED, says).attr("font-size", 12))
                .child(
                    text("bt-ink", RIGHT + 12.0, y + 19.0, INK, &p_value(none.p_value))
                        .attr("font-size", 12),
                ),
        );
    }
    let foot = format!(
        "basetrace {} · seed {} · {} samples",
        report.version,
        report.parameters.seed,
        report.samples.len()
    );
    root.child(text("bt-muted", 16.0, height - 10.0, MUTED, &foot).attr("font-size", 10))
}

/// The chart as a standalone file, with what is needed to repeat it.
///
/// # Errors
/// As [`super::json::provenance`].
pub fn svg_file(report: &Report) -> crate::Result<String> {
    draw::file(chart(report, "basetrace"), report)
}

fn headline(report: &Report) -> String {
    let best = report.verdict.candidate.map(|c| truncate(&plain(report.label(c)), 44));
    match (report.verdict.answer, best) {
        (Answer::Attributed, Some(best)) => format!("Attributed to {best}"),
        (Answer::Undetermined, Some(best)) => format!("Undetermined; nearest is {best}"),
        (Answer::NoneOfThese, Some(best)) => format!("None of these; nearest is {best}"),
        (answer, None) => answer.words().to_owned(),
    }
}

fn describe(report: &Report) -> String {
    let mut out = plain(&report.verdict.text);
    for (i, s) in report.decisive().map_or(&[][..], |f| &f.standings).iter().enumerate() {
        out.push_str(&format!(
            " {}: {}, {}, 95 % interval {}.",
            ordinal(i + 1),
            plain(report.label(s.candidate)),
            probability(s.probability),
            super::figures::probability_interval(s.probability_interval)
        ));
    }
    out
}

fn row(report: &Report, s: &Standing, place: usize, y: f64) -> Element {
    let label = plain(report.label(s.candidate));
    let is_best = place == 0;
    let middle = y + ROW / 2.0;
    let mut name = text("bt-ink", 16.0, middle - 1.0, INK, &truncate(&label, 28));
    if is_best && report.verdict.answer == Answer::Attributed {
        name = name.attr("font-weight", 600);
    }
    let mut g = svg("g").class("bt-row").child(svg("title").text(format!(
        "{label}: {} (95 % interval {})",
        probability(s.probability),
        super::figures::probability_interval(s.probability_interval)
    )));
    g = g.child(name);
    if let Some((baseline, place)) =
        report.baselines().next().and_then(|b| b.place(s.candidate).map(|p| (b, p)))
    {
        let beside =
            format!("{} alone: {}", plain(&baseline.method).replace('-', " "), ordinal(place));
        g = g.child(
            text("bt-muted", 16.0, middle + 13.0, MUTED, &truncate(&beside, 36))
                .attr("font-size", 10.5),
        );
    }
    if s.probability.is_finite() {
        // Only an attributed best is solid: an answer that is not one must not look like one.
        let solid = is_best && report.verdict.answer == Answer::Attributed;
        let mut bar = rect(
            if solid { "bt-best" } else { "bt-other" },
            x(0.0),
            middle - 8.0,
            (x(s.probability) - x(0.0)).max(1.5),
            16.0,
            if solid { BEST } else { OTHER },
        );
        if is_best && !solid {
            bar =
                bar.attr("stroke", BEST).attr("stroke-dasharray", "4 3").attr("stroke-width", 1.5);
        }
        g = g.child(bar);
    }
    let (low, high) = s.probability_interval;
    if low.is_finite() && high.is_finite() {
        let (a, b) = (x(low), x(high));
        g = g
            .child(line("bt-whisker", (a, middle), (b, middle), INK, 1.5))
            .child(line("bt-whisker", (a, middle - 5.0), (a, middle + 5.0), INK, 1.5))
            .child(line("bt-whisker", (b, middle - 5.0), (b, middle + 5.0), INK, 1.5));
    }
    let interval = super::figures::probability_interval(s.probability_interval);
    g.child(
        text("bt-ink", RIGHT + 12.0, middle - 1.0, INK, &probability(s.probability))
            .attr("font-weight", 600),
    )
    .child(text("bt-muted", RIGHT + 12.0, middle + 13.0, MUTED, &interval).attr("font-size", 11))
}

/// Where probability `p` lies across.
fn x(p: f64) -> f64 {
    draw::tenth(LEFT + p.clamp(0.0, 1.0) * (RIGHT - LEFT))
}
