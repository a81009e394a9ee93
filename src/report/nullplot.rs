//! Each test's score drawn on its null: how far from unrelated it is.

use super::Report;
use super::draw::{self, BEST, GRID, INK, MUTED, OTHER, line, tenth, text};
use super::figures::{ln_p_value, plain, score, truncate};
use super::lineage::{access, of};
use super::markup::{Element, svg};
use crate::evidence::lineage::{Null, Test};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 16.0;
const RIGHT: f64 = 744.0;
const TOP: f64 = 64.0;
/// Height of one test.
const ROW: f64 = 132.0;
/// From a test's top to its axis, and the height of its curve.
const AXIS: f64 = 96.0;
const CURVE: f64 = 50.0;
/// Deviations of the null that are shown on either side of its mean.
const SHOWN: f64 = 4.0;
/// As many times that and the axis is no longer stretched to reach the score.
const STRETCH: f64 = 3.0;

/// The tests of candidate `c` that have a null to draw.
fn drawn(report: &Report, c: usize) -> Vec<(&Test, &Null)> {
    let tests = of(report, c).map_or(&[][..], |l| &l.tests);
    let finite = |t: &Test, n: &Null| {
        t.statistic.is_finite() && n.mean.is_finite() && n.deviation.is_finite()
    };
    let with = tests.iter().filter_map(|t| Some((t, t.null.as_ref()?)));
    with.filter(|(t, n)| finite(t, n)).collect()
}

/// The tests of candidate `c`, each on its null; `None` where none has one.
/// `id` as in the ranking chart.
pub fn chart(report: &Report, c: usize, id: &str) -> Option<Element> {
    let tests = drawn(report, c);
    if tests.is_empty() {
        return None;
    }
    let name = plain(report.label(c));
    let height = TOP + tests.len() as f64 * ROW + 8.0;
    let about: Vec<String> = tests.iter().map(|(t, n)| describe(t, n)).collect();
    let title = format!("Scores of the suspect against {name} on their nulls");
    let head = format!("Against {}: how far from unrelated?", truncate(&name, 50));
    let legend = "Curve: unrelated models (a normal curve of the null’s mean and deviation). Ticks below: controls. Diamond: the suspect.";
    let mut root = draw::frame(id, (WIDTH, height), &title, &about.join(" "))
        .child(
            text("bt-ink", LEFT, 27.0, INK, &head).attr("font-size", 17).attr("font-weight", 600),
        )
        .child(text("bt-muted", LEFT, 48.0, MUTED, legend).attr("font-size", 12));
    for (i, (test, null)) in tests.into_iter().enumerate() {
        root = root.child(panel(test, null, TOP + i as f64 * ROW));
    }
    Some(root)
}

fn describe(test: &Test, null: &Null) -> String {
    let p = test.ln_p.map_or_else(|| "no p-value".into(), ln_p_value);
    let controls = match null.controls.len() {
        0 => String::new(),
        n => format!(", {n} controls"),
    };
    format!(
        "{}, by {}: {}, where unrelated models have {} ± {}{controls}; {p}.",
        plain(&test.method),
        access(test.access),
        score(test.statistic),
        score(null.mean),
        score(null.deviation),
    )
}

/// From and to of the axis, and whether the score lies beyond it.
fn scale(test: &Test, null: &Null) -> (f64, f64, bool) {
    let controls = null.controls.iter().copied().filter(|x| x.is_finite());
    let spread = |x: f64| (x - null.mean).abs();
    let around = controls.map(spread).fold(SHOWN * null.deviation.abs(), f64::max);
    // A null without any spread still needs a place.
    let around = if around > 0.0 { around } else { null.mean.abs().max(1.0) * 0.05 };
    let (from, to) = (null.mean - around, null.mean + around);
    let far = spread(test.statistic) > STRETCH * around;
    let reach = |x: f64| x + (x - null.mean) * 0.05;
    match (far, test.statistic > null.mean) {
        (false, _) => (from.min(reach(test.statistic)), to.max(reach(test.statistic)), false),
        (true, true) => (from, null.mean + STRETCH * around, true),
        (true, false) => (null.mean - STRETCH * around, to, true),
    }
}

fn panel(test: &Test, null: &Null, top: f64) -> Element {
    let (from, to, beyond) = scale(test, null);
    let x = |value: f64| tenth(LEFT + draw::share(value, from, to) * (RIGHT - LEFT));
    let axis = top + AXIS;
    let mut g = svg("g")
        .class("bt-row")
        .child(svg("title").text(describe(test, null)))
        .child(
            text("bt-ink", LEFT, top + 16.0, INK, &truncate(&plain(&test.method), 40))
                .attr("font-weight", 600),
        )
        .child(
            text("bt-muted", RIGHT, top + 16.0, MUTED, access(test.access))
                .attr("text-anchor", "end")
                .attr("font-size", 12),
        )
        .child(curve(null, from, to, axis, &x))
        .child(line("bt-grid", (LEFT, axis), (RIGHT, axis), GRID, 1.0));
    for control in null.controls.iter().filter(|c| c.is_finite()) {
        let at = x(*control);
        g = g.child(line("bt-whisker", (at, axis + 1.0), (at, axis + 8.0), INK, 1.0));
    }
    for (value, anchor) in [(from, "start"), (null.mean, "middle"), (to, "end")] {
        // The ends give way to the mean where they would meet.
        let clear = anchor == "middle" || (x(value) - x(null.mean)).abs() > 60.0;
        if clear {
            g = g.child(
                text("bt-muted", x(value), axis + 21.0, MUTED, &score(value))
                    .attr("text-anchor", anchor)
                    .attr("font-size", 11),
            );
        }
    }
    marker(test, null, g, x(test.statistic), axis, beyond)
}

/// The null's density, its top at the mean.
fn curve(null: &Null, from: f64, to: f64, axis: f64, x: &dyn Fn(f64) -> f64) -> Element {
    const POINTS: usize = 96;
    let deviation = null.deviation.abs();
    let mut points = vec![];
    if deviation > 0.0 {
        let (low, high) =
            ((null.mean - SHOWN * deviation).max(from), (null.mean + SHOWN * deviation).min(to));
        for i in 0..=POINTS {
            let value = low + (high - low) * i as f64 / POINTS as f64;
            let z = (value - null.mean) / deviation;
            points.push((x(value), tenth(axis - CURVE * libm::exp(-z * z / 2.0))));
        }
    } else {
        points.push((x(null.mean), axis - CURVE));
    }
    let mut path = String::new();
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        path = format!("M{} {axis}", first.0);
        for (x, y) in &points {
            path.push_str(&format!("L{x} {y}"));
        }
        path.push_str(&format!("L{} {axis}Z", last.0));
    }
    svg("path").class("bt-null").attr("d", path).attr("fill", OTHER).attr("stroke", MUTED)
}

/// The score: a line with a diamond, or an arrow where it lies beyond the axis.
fn marker(test: &Test, null: &Null, g: Element, at: f64, axis: f64, beyond: bool) -> Element {
    let right = test.statistic > null.mean;
    let top = axis - CURVE - 8.0;
    let (value, p) = (score(test.statistic), test.ln_p.map(ln_p_value));
    let label = [Some(value), p].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let (shape, label) = if beyond {
        let tip = if right { (at, at - 12.0) } else { (at, at + 12.0) };
        let y = axis - 14.0;
        let label = if right {
            format!("off the scale: {label} →")
        } else {
            format!("← off the scale: {label}")
        };
        (format!("M{} {y}L{} {}L{} {}Z", tip.0, tip.1, y - 7.0, tip.1, y + 7.0), label)
    } else {
        let y = axis - 14.0;
        (
            format!(
                "M{at} {}L{} {y}L{at} {}L{} {y}Z",
                y - 7.0,
                tenth(at + 6.0),
                y + 7.0,
                tenth(at - 6.0)
            ),
            label,
        )
    };
    // The label stays within the drawing.
    let to_the_left = if beyond { right } else { at > (LEFT + RIGHT) / 2.0 };
    let anchor = if to_the_left { "end" } else { "start" };
    let beside = match (beyond, anchor) {
        (true, _) => at,
        (false, "end") => at - 8.0,
        (false, _) => at + 8.0,
    };
    let mut out = g;
    if !beyond {
        out = out.child(line("bt-mark", (at, top), (at, axis), BEST, 2.0));
    }
    out.child(svg("path").class("bt-mark").attr("d", shape).attr("fill", BEST)).child(
        text("bt-ink", tenth(beside), top + 4.0, INK, &label)
            .attr("text-anchor", anchor)
            .attr("font-weight", 600),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Access;
    use crate::evidence::lineage::Basis;

    fn test(statistic: f64, mean: f64, deviation: f64, controls: &[f64]) -> (Test, Null) {
        let null = Null { about: String::new(), mean, deviation, controls: controls.to_vec() };
        let test = Test {
            method: "m".into(),
            about: String::new(),
            access: Access::Weights,
            statistic,
            ln_p: Some(-1.0),
            basis: Basis::Exact,
            null: None,
            map: None,
            notes: vec![],
        };
        (test, null)
    }

    #[test]
    fn the_scale_holds_null_controls_and_a_score_that_is_near() {
        for (statistic, deviation, controls) in [
            (0.0, 0.1, &[][..]),
            (0.9, 0.1, &[0.3]),
            (-0.7, 0.1, &[-0.9]),
            (0.1, 0.0, &[]),
            (0.5, 0.0, &[0.2]),
        ] {
            let (test, null) = test(statistic, 0.0, deviation, controls);
            let (from, to, beyond) = scale(&test, &null);
            assert!(from < to && from <= -SHOWN * deviation && to >= SHOWN * deviation);
            for c in controls {
                assert!((from..=to).contains(c));
            }
            assert_eq!(beyond, !(from..=to).contains(&statistic), "{statistic} {from} {to}");
        }
        let (test, null) = test(400.0, 0.0, 1.0, &[2.0]);
        assert_eq!(scale(&test, &null), (-4.0, 12.0, true));
    }
}
