//! Candidates and suspects by the distance of what they say, as a dendrogram.

use super::Report;
use super::draw::{self, GRID, INK, MUTED, line, tenth, text};
use super::figures::{plain, score, truncate, width};
use super::markup::{Element, html, svg};
use super::tables::{framed, head, num, th};
use crate::evidence::lineage::Tree;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 24.0;
const TOP: f64 = 92.0;
const ROW: f64 = 28.0;
/// Columns of a leaf's name, and the points that one takes.
const NAME: usize = 34;
const COLUMN: f64 = 7.6;

/// A leaf or a join: its height, the leaves below it in order, and its parts.
struct Node {
    height: f64,
    leaves: Vec<usize>,
    parts: Option<(usize, usize)>,
}

/// The nodes of `tree`, and which of them are joined to nothing further. A
/// join that a foreign report got wrong is left out.
fn nodes(tree: &Tree) -> (Vec<Node>, Vec<usize>) {
    let leaf = |i| Node { height: 0.0, leaves: vec![i], parts: None };
    let mut nodes: Vec<Node> = (0..tree.leaves.len()).map(leaf).collect();
    let mut open: Vec<bool> = vec![true; nodes.len()];
    for &(a, b, height) in &tree.joins {
        let is_open = |i: usize| open.get(i).copied().unwrap_or(false);
        if a == b || !is_open(a) || !is_open(b) {
            // Later joins count it all the same.
            nodes.push(Node { height: 0.0, leaves: vec![], parts: None });
            open.push(false);
            continue;
        }
        (open[a], open[b]) = (false, false);
        let leaves = nodes[a].leaves.iter().chain(&nodes[b].leaves).copied().collect();
        let height = if height.is_finite() { height.max(0.0) } else { 0.0 };
        nodes.push(Node { height, leaves, parts: Some((a, b)) });
        open.push(true);
    }
    let roots = open.iter().enumerate().filter(|(_, open)| **open).map(|(i, _)| i).collect();
    (nodes, roots)
}

/// The dendrogram; `None` where there is none. `id` as in the ranking chart.
pub fn chart(report: &Report, id: &str) -> Option<Element> {
    let tree = report.tree.as_ref().filter(|t| !t.leaves.is_empty())?;
    let (nodes, roots) = nodes(tree);
    let highest = nodes.iter().map(|n| n.height).fold(0.0, f64::max);
    let names: Vec<String> = (0..tree.leaves.len()).map(|i| name(tree, i, NAME)).collect();
    let longest = names.iter().map(|n| width(n)).max().unwrap_or(0) as f64;
    let right = (WIDTH - 28.0 - longest * COLUMN).max(WIDTH / 3.0);
    let x = |height: f64| tenth(right - draw::share(height, 0.0, highest) * (right - LEFT));
    let bottom = TOP + ROW * tree.leaves.len() as f64;
    let size = (WIDTH, bottom + 34.0);
    let about = super::lineage::sentence(&plain(&tree.about));
    let mut root = draw::frame(id, size, "Dendrogram of candidates and suspects", &format!("{about} {}", joined(tree, &nodes)))
        .child(text("bt-ink", 16.0, 27.0, INK, "Models by what they say").attr("font-size", 17).attr("font-weight", 600))
        .child(text("bt-muted", 16.0, 48.0, MUTED, &truncate(&about, 110)).attr("font-size", 12))
        .child(text("bt-muted", 16.0, 66.0, MUTED, "Models join at the distance of their answers. Filled diamond, bold: the suspect; circle: a candidate.").attr("font-size", 12));
    for tick in 0..=4 {
        let height = highest * f64::from(tick) / 4.0;
        root = root
            .child(line("bt-grid", (x(height), TOP - 6.0), (x(height), bottom), GRID, 1.0))
            .child(
                text("bt-muted", x(height), bottom + 16.0, MUTED, &score(height))
                    .attr("text-anchor", "middle")
                    .attr("font-size", 11),
            );
        if highest <= 0.0 {
            break;
        }
    }
    let mut y: Vec<f64> = vec![0.0; nodes.len()];
    let order: Vec<usize> = roots.iter().flat_map(|&r| nodes[r].leaves.iter().copied()).collect();
    for (place, &leaf) in order.iter().enumerate() {
        y[leaf] = TOP + ROW * (place as f64 + 0.5);
    }
    for (i, node) in nodes.iter().enumerate() {
        let Some((a, b)) = node.parts else { continue };
        y[i] = tenth((y[a] + y[b]) / 2.0);
        let at = x(node.height);
        root = root
            .child(line("bt-whisker", (at, y[a]), (at, y[b]), INK, 1.5))
            .child(line("bt-whisker", (at, y[a]), (x(nodes[a].height), y[a]), INK, 1.5))
            .child(line("bt-whisker", (at, y[b]), (x(nodes[b].height), y[b]), INK, 1.5));
    }
    for &leaf in &order {
        root = root.child(mark(tree, leaf, &names[leaf], (x(0.0), y[leaf])));
    }
    Some(root)
}

fn is_suspect(tree: &Tree, leaf: usize) -> bool {
    leaf >= tree.candidates
}

/// A leaf's name, saying so where it is a suspect.
fn name(tree: &Tree, leaf: usize, columns: usize) -> String {
    let name = truncate(&plain(tree.leaves.get(leaf).map_or("", String::as_str)), columns);
    match is_suspect(tree, leaf) {
        true if name != "suspect" => format!("{name} (suspect)"),
        _ => name,
    }
}

fn mark(tree: &Tree, leaf: usize, name: &str, (x, y): (f64, f64)) -> Element {
    let g = svg("g").child(svg("title").text(self::name(tree, leaf, 200)));
    let words = text("bt-ink", x + 14.0, y + 4.5, INK, name);
    if is_suspect(tree, leaf) {
        let shape = format!(
            "M{x} {}L{} {y}L{x} {}L{} {y}Z",
            y - 7.0,
            tenth(x + 7.0),
            y + 7.0,
            tenth(x - 7.0)
        );
        g.child(svg("path").class("bt-mark").attr("d", shape).attr("fill", draw::BEST))
            .child(words.attr("font-weight", 600))
    } else {
        let circle = svg("circle").class("bt-leaf").attr("cx", x).attr("cy", y).attr("r", 4.5);
        g.child(circle.attr("fill", "#ffffff").attr("stroke", INK).attr("stroke-width", 1.5))
            .child(words)
    }
}

/// The joins in words, nearest first.
fn joined(tree: &Tree, nodes: &[Node]) -> String {
    let side = |i: usize| -> String {
        let names: Vec<String> = nodes[i].leaves.iter().map(|&l| name(tree, l, NAME)).collect();
        names.join(" and ")
    };
    let joins = nodes.iter().filter_map(|n| {
        let (a, b) = n.parts?;
        Some(format!("{} joins {} at {}.", side(a), side(b), score(n.height)))
    });
    // A long list helps nobody: the table holds every distance.
    joins.take(12).collect::<Vec<_>>().join(" ")
}

/// The distances behind the dendrogram.
pub fn table(report: &Report) -> Option<Element> {
    let tree = report.tree.as_ref().filter(|t| !t.leaves.is_empty())?;
    let n = tree.leaves.len();
    let column = |j| html("th").class("bt-num").attr("scope", "col").foreign(name(tree, j, 18));
    let header = head(std::iter::once(th("Model")).chain((0..n).map(column)));
    let rows = (0..n).map(|i| {
        let distance = |j: usize| tree.distances.get(i).and_then(|row| row.get(j)).copied();
        html("tr")
            .child(html("th").attr("scope", "row").foreign(name(tree, i, 40)))
            .with((0..n).map(|j| num(score(distance(j).unwrap_or(f64::NAN)))))
    });
    let caption = format!("Distances: {}", plain(&tree.about));
    Some(framed(&caption, header, rows.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(leaves: usize, joins: &[(usize, usize, f64)]) -> Tree {
        Tree {
            about: "d".into(),
            leaves: (0..leaves).map(|i| format!("m{i}")).collect(),
            candidates: leaves.saturating_sub(1),
            distances: vec![],
            joins: joins.to_vec(),
        }
    }

    #[test]
    fn joins_put_the_nearest_side_by_side() {
        let (nodes, roots) = nodes(&tree(4, &[(1, 3, 0.1), (0, 4, 0.4), (5, 2, 0.9)]));
        assert_eq!(roots, [6]);
        assert_eq!(nodes[6].leaves, [0, 1, 3, 2]);
    }

    #[test]
    fn wrong_joins_are_left_out_and_no_leaf_is_lost() {
        for joins in [
            &[][..],
            &[(0, 0, 1.0)],
            &[(0, 9, 1.0), (3, 1, 1.0)],
            &[(0, 1, f64::NAN), (0, 2, 1.0), (3, 2, f64::INFINITY)],
            &[(4, 0, 1.0), (3, 1, 2.0)],
        ] {
            let (nodes, roots) = nodes(&tree(3, joins));
            let mut all: Vec<usize> = roots.iter().flat_map(|&r| nodes[r].leaves.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2], "{joins:?}");
            assert!(nodes.iter().all(|n| n.height.is_finite()));
        }
    }
}
