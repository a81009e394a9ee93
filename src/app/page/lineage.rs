//! Descent by weights and by queries, as far as the report has it.

use super::dom;
use crate::error::Result;
use crate::report::figures::{plain, truncate};
use crate::report::markup::{Element, html};
use crate::report::{Report, layers, lineage, nullplot, tree};
use web_sys::HtmlSelectElement;

/// The choices of what is shown.
pub const CHOICES: [&str; 2] = ["lineage-candidate", "layers-test"];

/// The buttons that save a picture.
pub const PICTURES: [&str; 3] = ["save-nulls", "save-layers", "save-tree"];

/// Shows the descent in `report`, the nearest candidate's tests first.
///
/// # Errors
/// Where the page lacks one of its parts.
pub fn show(report: &Report) -> Result<()> {
    let order = lineage::order(report);
    dom::show("lineage-part", !order.is_empty());
    dom::fill("descent", lineage::descent(report))?;
    dom::fill("asked", lineage::asked(report))?;
    let name = |c: usize| truncate(&plain(report.label(c)), 40);
    dom::fill("lineage-candidate", order.iter().map(|l| option(l.candidate, &name(l.candidate))))?;
    candidate(report)?;
    dom::show("tree-part", report.tree.is_some());
    dom::fill("tree", tree::chart(report, "tree-svg"))?;
    dom::fill("tree-table", tree::table(report))
}

/// Shows the tests of the candidate that is chosen.
///
/// # Errors
/// As [`show`].
pub fn candidate(report: &Report) -> Result<()> {
    let c = chosen("lineage-candidate")?;
    let of = |part: fn(&Report, usize) -> Option<Element>| c.and_then(|c| part(report, c));
    dom::fill("lineage-tests", of(lineage::tests))?;
    dom::fill("lineage-context", of(lineage::context))?;
    let nulls = of(|r, c| nullplot::chart(r, c, "nulls-svg"));
    dom::show("nulls-part", nulls.is_some());
    dom::fill("nulls", nulls)?;
    let maps = c.map_or_else(Vec::new, |c| layers::maps(report, c));
    dom::show("layers-part", !maps.is_empty());
    dom::show("layers-row", maps.len() > 1);
    dom::fill("layers-test", maps.iter().map(|(i, t)| option(*i, &plain(&t.method))))?;
    layers(report)
}

/// Shows the heat map of the test that is chosen.
///
/// # Errors
/// As [`show`].
pub fn layers(report: &Report) -> Result<()> {
    let Some((c, test)) = chosen("lineage-candidate")?.zip(chosen("layers-test")?) else {
        return Ok(());
    };
    dom::fill("layers", layers::chart(report, c, test, "layers-svg"))?;
    dom::fill("layers-table", layers::table(report, c, test))
}

/// The picture that the button `id` saves, with the name of its file.
///
/// # Errors
/// As [`show`].
pub fn picture(report: &Report, id: &str) -> Result<Option<(&'static str, Element)>> {
    let c = chosen("lineage-candidate")?;
    let (name, drawing) = match id {
        "save-nulls" => {
            ("basetrace-null.svg", c.and_then(|c| nullplot::chart(report, c, "basetrace")))
        }
        "save-layers" => {
            let test = chosen("layers-test")?;
            let map = c.zip(test).and_then(|(c, t)| layers::chart(report, c, t, "basetrace"));
            ("basetrace-layers.svg", map)
        }
        _ => ("basetrace-tree.svg", tree::chart(report, "basetrace")),
    };
    Ok(drawing.map(|drawing| (name, drawing)))
}

fn chosen(id: &str) -> Result<Option<usize>> {
    Ok(dom::by_id::<HtmlSelectElement>(id)?.value().parse().ok())
}

fn option(value: usize, text: &str) -> Element {
    html("option").attr("value", value).text(text)
}
