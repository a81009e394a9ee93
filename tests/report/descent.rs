//! Descent by weights and queries in every form of the report.

use super::sample_report::kin;
use super::{attr, find, snapshot};
use basetrace::report::markup::{Element, Node};
use basetrace::report::{Report, csv, draw, html, json, layers, lineage, nullplot, text, tree};

#[test]
fn forms_with_descent_are_as_committed() {
    let report = kin(3);
    snapshot("kin.csv", &csv::write(&report).unwrap());
    snapshot("kin.html", &html::write(&report));
    snapshot("kin.txt", &text::write(&report));
    snapshot("kin.json", &json::write(&report).unwrap());
    for (name, drawing) in [
        ("null", nullplot::chart(&report, 0, "basetrace")),
        ("layers", layers::chart(&report, 0, 0, "basetrace")),
        ("tree", tree::chart(&report, "basetrace")),
    ] {
        snapshot(&format!("kin-{name}.svg"), &draw::file(drawing.unwrap(), &report).unwrap());
    }
}

#[test]
fn descent_that_is_not_finite_is_shown_as_unknown_and_refused_as_json() {
    fn first(r: &mut Report) -> &mut basetrace::evidence::lineage::Test {
        &mut r.lineage[0].tests[0]
    }
    type Spoil = fn(&mut Report);
    let spoils: [(&str, Spoil); 9] = [
        ("the p-value of descent from larch is not finite", |r| {
            r.lineage[0].ln_p = Some(f64::NEG_INFINITY);
        }),
        ("row-matching gave no finite figures for larch", |r| first(r).ln_p = Some(f64::NAN)),
        ("row-matching gave no finite figures for larch", |r| first(r).statistic = f64::INFINITY),
        ("row-matching gave no finite figures for larch", |r| {
            first(r).null.as_mut().unwrap().deviation = f64::NAN;
        }),
        ("row-matching gave no finite figures for larch", |r| {
            first(r).null.as_mut().unwrap().controls.push(f64::NAN);
        }),
        ("row-matching gave no finite figures for larch", |r| {
            first(r).map.as_mut().unwrap().values[1][2] = Some(f64::NAN);
        }),
        ("row-matching gave no finite figures for larch", |r| {
            first(r).map.as_mut().unwrap().range = (f64::NAN, f64::INFINITY);
        }),
        ("a distance in the tree of models is not finite", |r| {
            r.tree.as_mut().unwrap().distances[0][1] = f64::NAN;
        }),
        ("a distance in the tree of models is not finite", |r| {
            r.tree.as_mut().unwrap().joins[1].2 = f64::INFINITY;
        }),
    ];
    for (why, spoil) in spoils {
        let mut report = kin(2);
        spoil(&mut report);
        for form in [html::write(&report), text::write(&report), csv::write(&report).unwrap()] {
            assert!(!form.contains("NaN") && !form.contains(">inf") && !form.contains("-inf"));
        }
        assert_eq!(json::write(&report).unwrap_err().what(), why);
    }
}

#[test]
fn descent_that_a_foreign_report_got_wrong_breaks_nothing() {
    let mut report = kin(2);
    report.lineage[0].candidate = 99;
    let map = report.lineage[1].tests[0].map.as_mut().unwrap();
    map.values = vec![vec![], vec![Some(0.5)]];
    let tree = report.tree.as_mut().unwrap();
    tree.candidates = 99;
    tree.distances.truncate(1);
    tree.joins.push((77, 0, 1.0));
    for form in [html::write(&report), text::write(&report), csv::write(&report).unwrap()] {
        assert!(form.contains("alder"));
    }
}

/// Every place in `drawing` lies within it, and it says in words what it shows.
fn is_whole(drawing: &Element) {
    let (width, height): (f64, f64) =
        (attr(drawing, "width").parse().unwrap(), attr(drawing, "height").parse().unwrap());
    let mut all = vec![];
    find(drawing, &|e| ["text", "line", "rect", "circle"].contains(&e.tag), &mut all);
    assert!(all.len() > 5);
    for e in all {
        for (names, most) in [(["x", "x1", "x2", "cx"], width), (["y", "y1", "y2", "cy"], height)] {
            for at in names.map(|name| attr(e, name)).into_iter().filter(|at| !at.is_empty()) {
                assert!((0.0..=most).contains(&at.parse::<f64>().unwrap()), "{e:?}");
            }
        }
    }
    for (child, (tag, least)) in drawing.children.iter().zip([("title", 10), ("desc", 50)]) {
        assert!(matches!(child, Node::Element(e) if e.tag == tag && e.inner_text().len() > least));
    }
}

#[test]
fn pictures_of_descent_are_whole_and_mirrored_by_tables() {
    for layers in [1, 3, 40] {
        let report = kin(layers);
        for l in &report.lineage {
            is_whole(&nullplot::chart(&report, l.candidate, "n").unwrap());
            let maps = layers::maps(&report, l.candidate);
            assert_eq!(maps.iter().map(|m| m.0).collect::<Vec<_>>(), [0]);
            let map = layers::chart(&report, l.candidate, 0, "l").unwrap();
            is_whole(&map);
            let (mut cells, mut filled) = (vec![], vec![]);
            find(&map, &|e| attr(e, "class") == "bt-cell", &mut cells);
            // Five more explain the colours.
            assert_eq!(cells.len(), 5 + (layers + 1) * 7);
            let table = layers::table(&report, l.candidate, 0).unwrap();
            find(&table, &|e| attr(e, "class") == "bt-num" && e.tag == "td", &mut filled);
            assert_eq!(filled.len(), (layers + 1) * 7);
            assert_eq!(filled.iter().filter(|e| e.inner_text() == "–").count(), 6);
        }
        assert!(layers::chart(&report, 0, 2, "l").is_none());
        assert!(nullplot::chart(&report, 3, "n").is_none());
    }
    let report = kin(1);
    is_whole(&tree::chart(&report, "t").unwrap());
    let table = tree::table(&report).unwrap().inner_text();
    for d in ["0.125", "0.688", "0.875"] {
        assert!(table.contains(d), "{d}");
    }
}

#[test]
fn the_nearest_comes_first_and_access_is_named() {
    let mut report = kin(1);
    // In whatever order the candidates were given.
    report.lineage.reverse();
    let order: Vec<usize> = lineage::order(&report).iter().map(|l| l.candidate).collect();
    assert_eq!(order, [0, 1, 2]);
    assert_eq!(lineage::decisive(lineage::of(&report, 0).unwrap()).unwrap().method, "row-matching");
    // Of the third the agreement on queries is no better than what its weights say.
    assert_eq!(lineage::decisive(lineage::of(&report, 2).unwrap()).unwrap().method, "row-matching");
    let tests = lineage::tests(&report, 0).unwrap().inner_text();
    assert!(tests.contains("white box") && tests.contains("black box"));
    assert!(tests.contains("< 10⁻³⁰⁰") && tests.contains("measured on independent models"));
    assert!(lineage::context(&report, 0).unwrap().inner_text().contains("never counted as proof"));
}

#[test]
fn a_suspect_is_marked_by_shape_and_weight_too() {
    let drawing = tree::chart(&kin(1), "t").unwrap();
    let (mut bold, mut diamonds, mut circles) = (vec![], vec![], vec![]);
    find(
        &drawing,
        &|e| attr(e, "font-weight") == "600" && attr(e, "font-size").is_empty(),
        &mut bold,
    );
    find(&drawing, &|e| attr(e, "class") == "bt-mark", &mut diamonds);
    find(&drawing, &|e| attr(e, "class") == "bt-leaf", &mut circles);
    assert_eq!((bold.len(), diamonds.len(), circles.len()), (1, 1, 3));
    assert_eq!(bold[0].inner_text(), "larch-chat (suspect)");
}

#[test]
fn a_score_beyond_the_scale_has_an_arrow() {
    // 0.99 lies far beyond a null of 0.00 ± 0.03; 0.11 does not.
    for (candidate, beyond) in [(0, true), (1, false)] {
        let drawing = nullplot::chart(&kin(1), candidate, "n").unwrap();
        assert_eq!(drawing.inner_text().contains("off the scale: "), beyond);
        let mut marks = vec![];
        find(&drawing, &|e| e.tag == "path" && attr(e, "class") == "bt-mark", &mut marks);
        assert_eq!(marks.len(), 3);
    }
}

#[test]
fn by_weights_alone_nothing_is_shown_of_samples() {
    let mut report = kin(1);
    report.samples.clear();
    report.findings.clear();
    report.levels.clear();
    let page = html::write(&report);
    assert!(page.contains("<h2>Descent</h2>") && page.contains("<h2>Dendrogram</h2>"));
    for heading in ["Ranking", "Tokens", "Samples", "Levels"] {
        assert!(!page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
}
