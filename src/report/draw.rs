//! What all drawings share: their frame, their lines and words, their file.
//!
//! Colours stand twice: as presentation attributes (light, on white), so that
//! an exported file is right wherever it is opened, and as classes that the
//! style sheets theme on the page and in the HTML report.

use super::Report;
use super::markup::{Element, Node, svg};

pub(super) const INK: &str = "#1b1f24";
pub(super) const MUTED: &str = "#59636e";
pub(super) const GRID: &str = "#d1d9e0";
pub(super) const BEST: &str = "#0072b2";
pub(super) const OTHER: &str = "#8fb8d3";

/// An empty drawing with a title and a description for those who cannot see
/// it. `id` starts their ids, so that several drawings can share a document.
pub(super) fn frame(id: &str, (width, height): (f64, f64), title: &str, about: &str) -> Element {
    svg("svg")
        .class("bt-chart")
        .attr("viewBox", format!("0 0 {width} {height}"))
        .attr("width", width)
        .attr("height", height)
        .attr("role", "img")
        .attr("aria-labelledby", format!("{id}-title {id}-desc"))
        .attr("font-family", "system-ui, sans-serif")
        .attr("font-size", 13)
        .child(svg("title").attr("id", format!("{id}-title")).text(title))
        .child(svg("desc").attr("id", format!("{id}-desc")).text(about))
        .child(rect("bt-back", 0.0, 0.0, width, height, "#ffffff"))
}

/// A drawing of [`frame`] as a standalone SVG file, with what is needed to repeat the run.
///
/// # Errors
/// As [`super::json::provenance`].
pub fn file(mut drawing: Element, report: &Report) -> crate::Result<String> {
    let metadata = svg("metadata").text(super::json::provenance(report)?);
    // After title and description.
    drawing.children.insert(drawing.children.len().min(2), Node::Element(metadata));
    Ok(drawing.to_svg())
}

pub(super) fn text(class: &'static str, x: f64, y: f64, fill: &str, text: &str) -> Element {
    svg("text").class(class).attr("x", x).attr("y", y).attr("fill", fill).text(text)
}

pub(super) fn rect(class: &'static str, x: f64, y: f64, w: f64, h: f64, fill: &str) -> Element {
    svg("rect")
        .class(class)
        .attr("x", x)
        .attr("y", y)
        .attr("width", tenth(w))
        .attr("height", h)
        .attr("fill", fill)
}

pub(super) fn line(
    class: &'static str,
    a: (f64, f64),
    b: (f64, f64),
    stroke: &str,
    width: f64,
) -> Element {
    svg("line")
        .class(class)
        .attr("x1", a.0)
        .attr("y1", a.1)
        .attr("x2", b.0)
        .attr("y2", b.1)
        .attr("stroke", stroke)
        .attr("stroke-width", width)
}

/// To a tenth of a point: enough to see, and short to write.
pub(super) fn tenth(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

/// Where `value` lies between `from` and `to`, 0 to 1; 0 where that has no answer.
pub(super) fn share(value: f64, from: f64, to: f64) -> f64 {
    let share = (value - from) / (to - from);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}
