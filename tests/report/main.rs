//! The report's forms: exact where they are small, escaped where input is hostile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod descent;
#[path = "../sample_report/mod.rs"]
mod sample_report;

use basetrace::report::heatmap::{self, Against};
use basetrace::report::markup::{Element, Node};
use basetrace::report::{Answer, Report, chart, csv, html, json, tables, text};
use sample_report::{hostile, kin, realistic, report};

/// Compares with the committed form; `UPDATE_SNAPSHOTS=1` rewrites it.
fn snapshot(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (i, (a, b)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(a, b, "{name} line {}", i + 1);
    }
    assert_eq!(found.len(), expected.len(), "{name} differs in length");
}

fn small() -> Report {
    report(
        &["alpha", "beta <2>"],
        &[(Some("Say hi"), "hello there, dear friend"), (None, "=1+1 is two")],
        Answer::Attributed,
    )
}

#[test]
fn small_forms_are_as_committed() {
    let report = small();
    snapshot("small.svg", &chart::svg_file(&report).unwrap());
    snapshot("small.csv", &csv::write(&report).unwrap());
    snapshot("small.html", &html::write(&report));
    snapshot("small.txt", &text::write(&report));
    snapshot("small.json", &json::write(&report).unwrap());
}

#[test]
fn json_reads_back_equal() {
    let empty = report(&[], &[], Answer::Undetermined);
    for report in [small(), hostile(), realistic(Answer::NoneOfThese), kin(2), empty] {
        let written = json::write(&report).unwrap();
        let back = json::read(&written).unwrap();
        assert_eq!(back, report);
        assert_eq!(json::write(&back).unwrap(), written);
    }
    let other = json::write(&small()).unwrap().replace("basetrace.report/1", "basetrace.report/99");
    let e = json::read(&other).unwrap_err();
    assert_eq!(
        e.what(),
        "the report has schema \"basetrace.report/99\", not \"basetrace.report/1\""
    );
    assert!(json::read("[]").unwrap_err().what().starts_with("this is not a basetrace report"));
}

#[test]
fn hostile_text_stays_text() {
    let report = hostile();
    let page = html::write(&report);
    for bad in ["<script", "<img", "onerror=alert(2)>", "\0", "<!--", "</span><sc"] {
        assert!(!page.contains(bad), "{bad:?}");
    }
    assert!(page.contains("&lt;script&gt;alert(&#39;3&#39;)&lt;/script&gt;"));
    // Direction marks are named, not obeyed.
    assert!(!page.contains('\u{202e}') && page.contains("⟨U+202E⟩"));
    let svg = chart::svg_file(&report).unwrap();
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
    assert!(!text::write(&report).contains(['\u{1b}', '\0', '\u{202e}']));
}

#[test]
fn the_html_report_can_load_nothing() {
    loads_nothing(&html::write(&realistic(Answer::Attributed)));
    loads_nothing(&html::write(&kin(2)));
}

fn loads_nothing(page: &str) {
    let policy = page.find("Content-Security-Policy").unwrap();
    assert!(policy < page.find("<style>").unwrap());
    assert!(
        page.contains("content=\"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;")
    );
    for bad in ["<script", "<link", " src=", " href=", "@import", "url(", " style="] {
        assert!(!page.contains(bad), "{bad}");
    }
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("://"));
}

#[test]
fn csv_is_rectangular_and_disarmed() {
    let written = csv::write(&hostile()).unwrap();
    disarmed(&written);
    assert!(written.contains("'@SUM(A1:A9)") && written.contains("'=cmd"));
    let written = csv::write(&kin(2)).unwrap();
    disarmed(&written);
    assert!(written.contains("'=HYPERLINK(1)"));
}

/// Every row has all columns, and no cell is a formula.
fn disarmed(written: &str) {
    let mut reader = ::csv::ReaderBuilder::new().flexible(false).from_reader(written.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert!(rows.len() > 50);
    for row in &rows {
        // `value`, `low` and `high` are ours and numbers; all else is guarded text.
        for (i, cell) in row.iter().enumerate() {
            if (5..=7).contains(&i) {
                assert!(cell.is_empty() || cell.parse::<f64>().unwrap().is_finite(), "{cell}");
            } else {
                let first = cell.trim_start().chars().next();
                assert!(!matches!(first, Some('=' | '+' | '-' | '@')), "{cell:?}");
            }
        }
    }
    assert!(!written.contains('\0'));
}

#[test]
fn what_is_not_finite_is_shown_as_unknown_and_refused_as_json() {
    let mut report = small();
    let s = &mut report.findings[0].standings[1];
    (s.probability, s.probability_interval) = (f64::NAN, (f64::NEG_INFINITY, f64::INFINITY));
    (s.score, s.score_interval) = (f64::NAN, (f64::NAN, f64::NAN));
    report.findings[0].none.as_mut().unwrap().p_value = f64::NAN;
    report.levels[0][1] = Some(f64::NAN);
    report.samples[0].scores[0].as_mut().unwrap().tokens[0].logprob = f32::NAN;
    let mut forms = vec![html::write(&report), text::write(&report), csv::write(&report).unwrap()];
    forms.push(chart::chart(&report, "x").to_svg());
    for form in forms {
        assert!(!form.contains("NaN") && !form.contains(">inf") && !form.contains("-inf"));
    }
    let e = json::write(&report).unwrap_err();
    assert_eq!(e.what(), "calibrated-likelihood gave no finite figures for beta <2>");
}

fn find<'a>(e: &'a Element, want: &dyn Fn(&Element) -> bool, out: &mut Vec<&'a Element>) {
    if want(e) {
        out.push(e);
    }
    for child in &e.children {
        if let Node::Element(child) = child {
            find(child, want, out);
        }
    }
}

fn attr<'a>(e: &'a Element, name: &str) -> &'a str {
    e.attributes.iter().find(|a| a.0 == name).map_or("", |a| &a.1)
}

#[test]
fn the_chart_holds_its_rows_for_any_number_of_candidates() {
    let labels: Vec<String> = (0..50).map(|i| format!("candidate-{i}")).collect();
    for n in [0, 1, 2, 7, 50] {
        let labels: Vec<&str> = labels[..n].iter().map(String::as_str).collect();
        let report = report(&labels, &[(None, "some text")], Answer::Attributed);
        let chart = chart::chart(&report, "c");
        let height: f64 = attr(&chart, "height").parse().unwrap();
        let mut rows = vec![];
        find(&chart, &|e| attr(e, "class") == "bt-row", &mut rows);
        assert_eq!(rows.len(), n);
        let mut all = vec![];
        find(&chart, &|e| e.tag == "text" || e.tag == "line" || e.tag == "rect", &mut all);
        for e in all {
            for (name, most) in
                [("x", 760.0), ("x1", 760.0), ("x2", 760.0), ("y", height), ("y1", height)]
            {
                let at = attr(e, name);
                assert!(
                    at.is_empty() || (0.0..=most).contains(&at.parse::<f64>().unwrap()),
                    "{e:?}"
                );
            }
        }
        let [Node::Element(title), Node::Element(desc)] = &chart.children[..2] else { panic!() };
        assert_eq!((title.tag, desc.tag), ("title", "desc"));
        assert_eq!(attr(&chart, "aria-labelledby"), "c-title c-desc");
        // The description carries every figure for those who cannot see the bars.
        assert_eq!(desc.inner_text().matches("95 % interval").count(), n + 1);
    }
}

#[test]
fn only_an_attributed_best_is_drawn_solid() {
    for (answer, solid) in
        [(Answer::Attributed, 1), (Answer::Undetermined, 0), (Answer::NoneOfThese, 0)]
    {
        let chart = chart::chart(&realistic(answer), "c");
        let (mut best, mut dashed) = (vec![], vec![]);
        find(&chart, &|e| attr(e, "class") == "bt-best", &mut best);
        find(&chart, &|e| !attr(e, "stroke-dasharray").is_empty(), &mut dashed);
        assert_eq!((best.len(), dashed.len()), (solid, 1 - solid));
        assert!(chart.inner_text().contains(answer.words()));
    }
}

#[test]
fn heat_maps_show_the_whole_response() {
    let report = realistic(Answer::Attributed);
    let shown = |e: &Element| e.inner_text().replace("·\u{200b}", " ").replace("↵\n", "\n");
    for sample in &report.samples {
        let ranks = heatmap::ranks(sample, 0).unwrap();
        assert_eq!(shown(&ranks), sample.sample.response);
        for against in [Against::Candidate(1), Against::Others] {
            let compared = heatmap::compare(&report, sample, 0, against).unwrap();
            assert_eq!(shown(&compared), sample.sample.response);
        }
    }
    // Candidate 2 could not score sample 0.
    assert!(heatmap::ranks(&report.samples[0], 2).is_none());
    assert!(heatmap::compare(&report, &report.samples[0], 0, Against::Candidate(2)).is_none());
    assert!(heatmap::compare(&report, &report.samples[0], 99, Against::Others).is_none());
}

#[test]
fn tables_mirror_the_chart() {
    let report = realistic(Answer::Attributed);
    let table = tables::ranking(&report).inner_text();
    for s in &report.findings[0].standings {
        let p = basetrace::report::figures::probability(s.probability);
        assert!(table.contains(&p), "{p}");
    }
    let mut rows = vec![];
    let samples = tables::samples(&report, 1, 2);
    find(&samples, &|e| e.tag == "tr", &mut rows);
    assert_eq!(rows.len(), 1 + 2);
}

/// Writes what a person should look at; run with `--ignored` and open the files.
#[test]
#[ignore = "writes files to look at"]
fn pictures() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pictures");
    std::fs::create_dir_all(&dir).unwrap();
    for answer in [Answer::Attributed, Answer::Undetermined, Answer::NoneOfThese] {
        let report = realistic(answer);
        std::fs::write(dir.join(format!("{answer:?}.html")), html::write(&report)).unwrap();
        std::fs::write(dir.join(format!("{answer:?}.svg")), chart::svg_file(&report).unwrap())
            .unwrap();
    }
    std::fs::write(dir.join("kin.html"), html::write(&kin(12))).unwrap();
    std::fs::write(dir.join("kin.json"), json::write(&kin(12)).unwrap()).unwrap();
    std::fs::write(dir.join("hostile.html"), html::write(&hostile())).unwrap();
}
