//! Where in the model the likeness sits: a cell for each layer and kind of matrix.

use super::Report;
use super::draw::{self, GRID, INK, MUTED, rect, tenth, text};
use super::figures::{UNKNOWN, plain, score, truncate};
use super::lineage::of;
use super::markup::{Element, html, svg};
use super::tables::{framed, head, num, th};
use crate::evidence::lineage::{LayerMap, Test};

const LEFT: f64 = 132.0;
const TOP: f64 = 92.0;
const WIDTH: f64 = 760.0;
/// Height of a layer, and the least and greatest width of a kind.
const ROW: f64 = 22.0;
const CELL: (f64, f64) = (52.0, 96.0);
/// Full colour: dark enough to be told apart, light enough for dark words on it.
const FULL: &str = "#4d9bcb";
/// Steps of the legend.
const STEPS: usize = 5;

/// The tests of candidate `c` that have a map, each with its place among all.
pub fn maps(report: &Report, c: usize) -> Vec<(usize, &Test)> {
    let tests = of(report, c).map_or(&[][..], |l| &l.tests);
    tests.iter().enumerate().filter(|(_, t)| map(t).is_some()).collect()
}

fn map(test: &Test) -> Option<&LayerMap> {
    test.map.as_ref().filter(|m| !m.rows.is_empty() && !m.columns.is_empty())
}

/// The heat map of test number `test` of candidate `c`; `None` where it has
/// none. `id` as in the ranking chart.
pub fn chart(report: &Report, c: usize, test: usize, id: &str) -> Option<Element> {
    let test = of(report, c)?.tests.get(test)?;
    let map = map(test)?;
    let cell = ((WIDTH - LEFT - 16.0) / map.columns.len() as f64).clamp(CELL.0, CELL.1);
    let right = LEFT + cell * map.columns.len() as f64;
    let bottom = TOP + ROW * map.rows.len() as f64;
    let size = (tenth(right + 16.0).max(WIDTH), bottom + 48.0);
    let (name, method) = (plain(report.label(c)), plain(&test.method));
    let title = format!("{method} by layer, suspect against {name}");
    let heading =
        format!("Against {}, layer by layer: {}", truncate(&name, 40), truncate(&method, 30));
    let mut root = draw::frame(id, size, &title, &describe(map))
        .child(
            text("bt-ink", 16.0, 27.0, INK, &heading)
                .attr("font-size", 17)
                .attr("font-weight", 600),
        )
        .child(
            text("bt-muted", 16.0, 48.0, MUTED, &truncate(&plain(&map.about), 110))
                .attr("font-size", 12),
        );
    for (j, column) in map.columns.iter().enumerate() {
        let column = plain(column);
        let middle = tenth(LEFT + cell * (j as f64 + 0.5));
        root = root.child(
            text("bt-muted", middle, TOP - 8.0, MUTED, &truncate(&column, (cell / 7.0) as usize))
                .attr("text-anchor", "middle")
                .attr("font-size", 11)
                .child(svg("title").text(column)),
        );
    }
    for (i, row) in map.rows.iter().enumerate() {
        let y = TOP + ROW * i as f64;
        let row = plain(row);
        root = root
            .child(text("bt-ink", 16.0, y + 15.0, INK, &truncate(&row, 16)).attr("font-size", 12));
        for (j, column) in map.columns.iter().enumerate() {
            let at = (tenth(LEFT + cell * j as f64), y, tenth(cell));
            root = root.child(one(map, value(map, i, j), &format!("{row}, {}", plain(column)), at));
        }
    }
    Some(root.child(legend(map, bottom + 14.0)))
}

/// The figures of [`chart`] as a table.
pub fn table(report: &Report, c: usize, test: usize) -> Option<Element> {
    let test = of(report, c)?.tests.get(test)?;
    let map = map(test)?;
    let columns = map
        .columns
        .iter()
        .map(|c| html("th").class("bt-num").attr("scope", "col").foreign(plain(c)));
    let header = head(std::iter::once(th("Layer")).chain(columns));
    let rows = (0..map.rows.len()).map(|i| {
        html("tr")
            .child(html("th").attr("scope", "row").foreign(plain(&map.rows[i])))
            .with((0..map.columns.len()).map(|j| num(figure(value(map, i, j)))))
    });
    let caption = format!("{}, layer by layer: {}", plain(&test.method), plain(&map.about));
    Some(framed(&caption, header, rows.collect::<Vec<_>>()))
}

fn value(map: &LayerMap, row: usize, column: usize) -> Option<f64> {
    map.values.get(row)?.get(column).copied().flatten().filter(|v| v.is_finite())
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.into(), score)
}

/// How strongly a value is coloured: 0 for no kinship, 1 for identity.
fn strength(map: &LayerMap, value: f64) -> f64 {
    (draw::share(value, map.range.0, map.range.1) * 100.0).round() / 100.0
}

fn one(map: &LayerMap, value: Option<f64>, name: &str, (x, y, width): (f64, f64, f64)) -> Element {
    let says = figure(value);
    let back = rect("bt-cell", x, y, width - 2.0, ROW - 2.0, FULL);
    let back = match value {
        Some(value) => back.attr("fill-opacity", strength(map, value)),
        // Nothing to compare is not the same as no likeness.
        None => back.attr("fill-opacity", 0).attr("stroke-dasharray", "2 3"),
    };
    svg("g")
        .child(svg("title").text(format!(
            "{name}: {}",
            if value.is_some() { &says } else { "nothing to compare" }
        )))
        .child(back.attr("stroke", GRID))
        .child(
            text("bt-ink", tenth(x + width / 2.0 - 1.0), y + 14.5, INK, &says)
                .attr("text-anchor", "middle")
                .attr("font-size", 11),
        )
}

fn legend(map: &LayerMap, y: f64) -> Element {
    let (from, to) = map.range;
    let mut g = svg("g").child(
        text("bt-muted", LEFT - 6.0, y + 12.0, MUTED, &format!("no kinship {}", score(from)))
            .attr("text-anchor", "end")
            .attr("font-size", 11),
    );
    for i in 0..STEPS {
        let share = i as f64 / (STEPS - 1) as f64;
        g = g.child(
            rect("bt-cell", LEFT + 26.0 * i as f64, y, 24.0, 16.0, FULL)
                .attr("fill-opacity", share)
                .attr("stroke", GRID),
        );
    }
    let end = LEFT + 26.0 * STEPS as f64 + 4.0;
    g.child(
        text(
            "bt-muted",
            end,
            y + 12.0,
            MUTED,
            &format!("{} identity; dashed: nothing to compare", score(to)),
        )
        .attr("font-size", 11),
    )
}

/// The gist for those who cannot see the colours; the table holds every figure.
fn describe(map: &LayerMap) -> String {
    let about = super::lineage::sentence(&plain(&map.about));
    let all = (0..map.rows.len()).flat_map(|i| (0..map.columns.len()).map(move |j| (i, j)));
    let known: Vec<(f64, usize, usize)> =
        all.filter_map(|(i, j)| Some((value(map, i, j)?, i, j))).collect();
    let place = |&(v, i, j): &(f64, usize, usize)| {
        format!("{} ({}, {})", score(v), plain(&map.rows[i]), plain(&map.columns[j]))
    };
    let by = |a: &&(f64, usize, usize), b: &&(f64, usize, usize)| a.0.total_cmp(&b.0);
    match (known.iter().min_by(by), known.iter().max_by(by)) {
        (Some(least), Some(most)) => format!(
            "{about} {} cells, from {} to {}; {} is no kinship, {} identity.",
            known.len(),
            place(least),
            place(most),
            score(map.range.0),
            score(map.range.1)
        ),
        _ => format!("{about} There is nothing to compare."),
    }
}
