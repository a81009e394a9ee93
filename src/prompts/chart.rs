//! The curve as a drawing: accuracy upwards, prompts to the right.

use super::Point;
use crate::report::markup::{Element, svg};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 500.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 336.0;
const INK: &str = "#222222";

/// Okabe and Ito's colours that stand out from white, told apart by any eye;
/// marks and dashes tell them apart in grey too.
const COLOURS: [&str; 6] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000"];
const DASHES: [&str; 6] = ["", "6 3", "2 3", "9 3 2 3", "4 2", "1 2"];

/// An SVG document of the points, a line for each picker. Budgets stand at
/// even distances in rising order; bars span the seeds.
pub fn chart(points: &[Point]) -> String {
    let mut budgets: Vec<usize> = points.iter().map(|p| p.budget).collect();
    budgets.sort_unstable();
    budgets.dedup();
    let mut pickers: Vec<&str> = vec![];
    for point in points {
        if !pickers.contains(&point.picker.as_str()) {
            pickers.push(&point.picker);
        }
    }
    let x = |budget: usize| {
        let at = budgets.iter().position(|b| *b == budget).unwrap_or(0) as f64;
        LEFT + (at + 0.5) / budgets.len().max(1) as f64 * (RIGHT - LEFT)
    };
    let y = |share: f64| BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP);

    let title = "Accuracy against the number of prompts";
    let mut root = svg("svg")
        .attr("viewBox", format!("0 0 {WIDTH} {HEIGHT}"))
        .attr("width", WIDTH)
        .attr("height", HEIGHT)
        .attr("role", "img")
        .attr("aria-labelledby", "curve-title curve-desc")
        .attr("font-family", "sans-serif")
        .attr("font-size", 13)
        .child(svg("title").attr("id", "curve-title").text(title))
        .child(svg("desc").attr("id", "curve-desc").text(described(points)))
        .child(svg("rect").attr("width", WIDTH).attr("height", HEIGHT).attr("fill", "#ffffff"))
        .child(label(LEFT, 26.0, "start", title).attr("font-size", 16).attr("font-weight", "bold"));
    for percent in [0, 25, 50, 75, 100] {
        let at = y(f64::from(percent) / 100.0);
        root = root.child(line(LEFT, at, RIGHT, at, "#dddddd")).child(label(
            LEFT - 8.0,
            at + 4.0,
            "end",
            format!("{percent} %"),
        ));
    }
    for budget in &budgets {
        root = root.child(line(x(*budget), BOTTOM, x(*budget), BOTTOM + 5.0, INK)).child(label(
            x(*budget),
            BOTTOM + 20.0,
            "middle",
            budget.to_string(),
        ));
    }
    let middle = (TOP + BOTTOM) / 2.0;
    root = root
        .child(line(LEFT, BOTTOM, RIGHT, BOTTOM, INK))
        .child(line(LEFT, TOP, LEFT, BOTTOM, INK))
        .child(label((LEFT + RIGHT) / 2.0, BOTTOM + 44.0, "middle", "prompts"))
        .child(
            label(18.0, middle, "middle", "attributed right")
                .attr("transform", format!("rotate(-90 18 {middle})")),
        );
    for (i, picker) in pickers.iter().enumerate() {
        root = root.child(series(points, picker, i, pickers.len(), &x, &y));
    }
    root.to_svg()
}

/// One picker's line, marks, spans and entry in the legend.
fn series(
    points: &[Point],
    picker: &str,
    i: usize,
    all: usize,
    x: &dyn Fn(usize) -> f64,
    y: &dyn Fn(f64) -> f64,
) -> Element {
    let (colour, dash) = (COLOURS[i % COLOURS.len()], DASHES[i % DASHES.len()]);
    // Side by side, so that equal points do not hide each other.
    let aside = (i as f64 - (all as f64 - 1.0) / 2.0) * 7.0;
    let mut own: Vec<&Point> = points.iter().filter(|p| p.picker == picker).collect();
    own.sort_by_key(|p| p.budget);
    let place = |p: &&Point| (x(p.budget) + aside, y(p.accuracy));
    let corners: Vec<String> =
        own.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let stroke = |e: Element| {
        let e = e.attr("stroke", colour).attr("stroke-width", 2).attr("fill", "none");
        if dash.is_empty() { e } else { e.attr("stroke-dasharray", dash) }
    };
    let mut g = svg("g").child(stroke(svg("polyline").attr("points", corners.join(" "))));
    for point in &own {
        let (x, at) = place(point);
        if point.range.0 < point.range.1 {
            g = g.child(line(x, y(point.range.0), x, y(point.range.1), colour));
        }
        let seeds = if point.seeds > 1 {
            format!(", mean of {} seeds", point.seeds)
        } else {
            String::new()
        };
        let told = format!(
            "{picker}, {} prompts: {:.1} % of {}{seeds}",
            point.budget,
            point.accuracy * 100.0,
            point.total
        );
        g = g.child(mark(i, x, at, colour).child(svg("title").text(told)));
    }
    let at = TOP + 16.0 + 22.0 * i as f64;
    let sample =
        svg("polyline").attr("points", format!("{},{at} {},{at}", RIGHT + 12.0, RIGHT + 40.0));
    g.child(stroke(sample)).child(mark(i, RIGHT + 26.0, at, colour)).child(label(
        RIGHT + 48.0,
        at + 4.0,
        "start",
        picker,
    ))
}

/// A circle, square, triangle or diamond.
fn mark(i: usize, x: f64, y: f64, colour: &str) -> Element {
    let path = |d: String| svg("path").attr("d", d);
    let shape = match i % 4 {
        0 => svg("circle").attr("cx", format!("{x:.1}")).attr("cy", format!("{y:.1}")).attr("r", 4),
        1 => path(format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0)),
        2 => path(format!("M{x:.1} {:.1}l5 9h-10z", y - 5.0)),
        _ => path(format!("M{x:.1} {:.1}l5 5l-5 5l-5 -5z", y - 5.0)),
    };
    shape.attr("fill", colour)
}

/// The figures in words, for who cannot see the drawing.
fn described(points: &[Point]) -> String {
    let one = |p: &Point| format!("{} {}: {:.1} %", p.picker, p.budget, p.accuracy * 100.0);
    let list: Vec<String> = points.iter().map(one).collect();
    format!("Share attributed right by picker and number of prompts. {}.", list.join("; "))
}

fn label(x: f64, y: f64, anchor: &str, text: impl Into<String>) -> Element {
    svg("text")
        .attr("x", format!("{x:.1}"))
        .attr("y", format!("{y:.1}"))
        .attr("text-anchor", anchor)
        .attr("fill", INK)
        .text(text)
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, stroke: &str) -> Element {
    let at = |v: f64| format!("{v:.1}");
    svg("line")
        .attr("x1", at(x1))
        .attr("y1", at(y1))
        .attr("x2", at(x2))
        .attr("y2", at(y2))
        .attr("stroke", stroke)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(picker: &str, budget: usize, accuracy: f64) -> Point {
        let range = (accuracy - 0.1, accuracy + 0.1);
        Point {
            picker: picker.into(),
            budget,
            picked: budget,
            accuracy,
            range,
            total: 50,
            seeds: 3,
        }
    }

    #[test]
    fn more_is_higher_and_further_right_and_all_is_named() {
        let points = [point("rl<", 50, 0.9), point("rl<", 10, 0.5), point("random", 10, 0.25)];
        let text = chart(&points);
        assert!(text.contains("<title id=\"curve-title\">") && text.contains("rl&lt; 50: 90.0 %"));
        assert!(!text.contains("rl< "));
        let lines: Vec<&str> =
            text.split("points=\"").skip(1).map(|p| p.split('"').next().unwrap()).collect();
        let corners: Vec<f64> = lines[0].split([' ', ',']).map(|n| n.parse().unwrap()).collect();
        assert!(corners[0] < corners[2], "10 is left of 50 although it came later");
        assert!(corners[1] > corners[3], "90 % is above 50 %");
        assert_eq!(lines.len(), 4, "two lines and their samples in the legend");
        assert!((corners[1] - (TOP + BOTTOM) / 2.0).abs() < 0.1, "50 % is half-way up");
    }

    #[test]
    fn nothing_to_draw_is_still_a_drawing() {
        assert!(chart(&[]).ends_with("</svg>\n"));
    }
}
