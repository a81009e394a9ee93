//! Descent by weights and by queries: what the suspect is to each candidate,
//! and every test that says so.

use super::figures::{self, plain};
use super::markup::{Element, html};
use super::tables::{framed, head, num, td, th};
use super::{Report, figures::truncate};
use crate::evidence::Access;
use crate::evidence::lineage::{Basis, Lineage, Test};

/// The candidates in the order in which they are shown: kin first, then by p-value.
pub fn order(report: &Report) -> Vec<&Lineage> {
    let mut all: Vec<&Lineage> = report.lineage.iter().collect();
    let p = |l: &Lineage| l.ln_p.unwrap_or(f64::INFINITY);
    all.sort_by(|a, b| {
        b.relation.kin().cmp(&a.relation.kin()).then(p(a).total_cmp(&p(b))).then(
            // A copy and a requantized copy may both be beyond every p-value.
            (a.relation as usize).cmp(&(b.relation as usize)),
        )
    });
    all
}

/// What the models were not asked, and why.
pub fn asked(report: &Report) -> Option<Element> {
    report.asked.as_ref().map(|text| html("p").class("bt-about").foreign(plain(text)))
}

/// What is known of candidate `c`.
pub fn of(report: &Report, c: usize) -> Option<&Lineage> {
    report.lineage.iter().find(|l| l.candidate == c)
}

/// The test with the smallest p-value among those of the strongest access, which
/// outweighs weaker; of equal ones the first.
pub fn decisive(lineage: &Lineage) -> Option<&Test> {
    let tests = || lineage.tests.iter().filter_map(|t| Some((t, t.ln_p?)));
    let strongest = tests().map(|(t, _)| t.access).max()?;
    let tests = tests().filter(|(t, _)| t.access == strongest);
    tests.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(t, _)| t)
}

/// What a test has seen of the suspect.
pub fn access(access: Access) -> &'static str {
    match access {
        Access::Weights => "weights (white box)",
        Access::Query => "queries (black box)",
        Access::Text => "text (black box)",
    }
}

/// How its null is known.
pub fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Exact => "exact",
        Basis::Asymptotic => "asymptotic",
        Basis::Empirical => "measured on independent models",
        Basis::Descriptive => "describes, no p-value",
    }
}

/// A p-value in a column.
pub fn p(ln_p: Option<f64>) -> String {
    ln_p.map_or_else(|| figures::UNKNOWN.into(), figures::ln_p_figure)
}

/// What the suspect is to each candidate; `None` where only text was given.
pub fn descent(report: &Report) -> Option<Element> {
    if report.lineage.is_empty() {
        return None;
    }
    let header = head(["Candidate", "The suspect is", "p-value", "Decisive test", "Why"].map(th));
    let rows = order(report).into_iter().map(|l| {
        let relation = td(l.relation.words());
        let by = decisive(l).map_or(figures::UNKNOWN, |t| &t.method);
        html("tr")
            .child(html("th").attr("scope", "row").foreign(plain(report.label(l.candidate))))
            // Bold as well as coloured: the mark must not rest on colour.
            .child(if l.relation.kin() { relation.attr("data-best", "true") } else { relation })
            .child(num(p(l.ln_p)))
            .child(td(by))
            .child(html("td").class("bt-text").foreign(plain(&l.why)))
    });
    let table = framed("What the suspect is to each candidate, nearest first", header, rows);
    Some(html("div").child(table).child(html("p").class("bt-about").text(P_VALUES)))
}

/// What the p-values mean.
const P_VALUES: &str = "The p-value is the chance of evidence at least this strong if the suspect was made independently of the candidate, corrected for the number of tests (Bonferroni) and of candidates (Holm). A small one shows kinship, not which of the two came first.";

/// Every test of candidate `c`, and what each is; `None` where there is none.
pub fn tests(report: &Report, c: usize) -> Option<Element> {
    let lineage = of(report, c)?;
    if lineage.tests.is_empty() {
        return None;
    }
    let header = head(["Test", "Access", "Statistic", "If unrelated", "p-value", "Null"].map(th));
    let rows = lineage.tests.iter().map(|t| {
        let null = t.null.as_ref().map_or_else(
            || figures::UNKNOWN.into(),
            |n| format!("{} ± {}", figures::score(n.mean), figures::score(n.deviation)),
        );
        html("tr")
            .child(html("th").attr("scope", "row").text(plain(&t.method)))
            .child(td(access(t.access)))
            .child(num(figures::score(t.statistic)))
            .child(num(null))
            .child(num(p(t.ln_p)))
            .child(td(basis(t.basis)))
    });
    let caption = format!(
        "Tests against {}: each p-value by itself, before any correction",
        truncate(&plain(report.label(c)), 40)
    );
    let table = framed(&caption, header, rows.collect::<Vec<_>>());
    let about = lineage.tests.iter().map(|t| {
        let mut texts = vec![&t.about];
        texts.extend(t.null.as_ref().map(|n| &n.about));
        texts.extend(&t.notes);
        let texts: Vec<String> = texts.into_iter().map(|s| sentence(&plain(s))).collect();
        html("li")
            .child(html("strong").text(format!("{}: ", plain(&t.method))))
            .foreign(texts.join(" "))
    });
    Some(html("div").child(table).child(html("ul").class("bt-about").with(about)))
}

/// Facts about both models that prove nothing; `None` where there are none.
pub fn context(report: &Report, c: usize) -> Option<Element> {
    let facts = &of(report, c)?.context;
    if facts.is_empty() {
        return None;
    }
    let header = head(["Fact", "Suspect", "Candidate", "Agree"].map(th));
    let rows = facts.iter().map(|f| {
        html("tr")
            .child(html("th").attr("scope", "row").foreign(plain(&f.name)))
            .child(html("td").class("bt-text").foreign(plain(&f.suspect)))
            .child(html("td").class("bt-text").foreign(plain(&f.candidate)))
            .child(td(if f.same { "yes" } else { "no" }))
    });
    let caption = "Context: shown, never counted as proof";
    Some(framed(caption, header, rows.collect::<Vec<_>>()))
}

/// `text` with a full stop.
pub(super) fn sentence(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{text}{end}")
}
