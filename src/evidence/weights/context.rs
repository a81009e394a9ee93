//! What both models say of themselves: architecture, configuration, tokenizer.
//! Shown, and never counted as proof: two models of one architecture and one
//! tokenizer may have nothing else in common.

use crate::anatomy::Anatomy;
use crate::evidence::lineage::Fact;
use std::collections::BTreeSet;

/// The facts side by side.
pub fn facts(suspect: &Anatomy, candidate: &Anatomy) -> Vec<Fact> {
    let mut out = vec![];
    let fact = |name: &str, suspect: String, candidate: String| {
        let same = suspect == candidate;
        Fact { name: name.into(), suspect, candidate, same }
    };
    if let (Some(a), Some(b)) = (suspect.config(), candidate.config()) {
        out.push(fact("family", a.family.into(), b.family.into()));
        for (name, x, y) in [
            ("layers", a.layers, b.layers),
            ("hidden size", a.hidden, b.hidden),
            ("attention heads", a.heads, b.heads),
            ("key-value heads", a.kv_heads, b.kv_heads),
            ("feed-forward size", a.intermediate, b.intermediate),
            ("vocabulary", a.vocab, b.vocab),
            ("context", a.context, b.context),
        ] {
            out.push(fact(name, x.to_string(), y.to_string()));
        }
    }
    let shapes = |a: &Anatomy| -> BTreeSet<Vec<usize>> {
        a.archive.tensors.values().map(|t| t.shape.clone()).collect()
    };
    let tensors = |a: &Anatomy| a.archive.tensors.len().to_string();
    out.push(fact("tensors", tensors(suspect), tensors(candidate)));
    let (x, y) = (shapes(suspect), shapes(candidate));
    let common = x.intersection(&y).count();
    out.push(fact(
        "tensor shapes",
        format!("{} kinds", x.len()),
        format!("{} kinds, {common} shared", y.len()),
    ));
    if let Some(last) = out.last_mut() {
        last.same = x == y;
    }
    if let (Ok(a), Ok(b)) = (suspect.spellings(), candidate.spellings()) {
        let set = |v: Vec<Option<Vec<u8>>>| v.into_iter().flatten().collect::<BTreeSet<_>>();
        let (a, b) = (set(a), set(b));
        let common = a.intersection(&b).count();
        out.push(fact(
            "tokens",
            format!("{} texts", a.len()),
            format!("{} texts, {common} shared", b.len()),
        ));
        if let Some(last) = out.last_mut() {
            last.same = common == a.len() && common == b.len();
        }
    }
    out
}
