//! From per-sample evidence to one answer with its uncertainty.

use crate::evidence::{Finding, Observations};
use crate::report::{Answer, Verdict};

/// What every reader of a result must know.
pub const LIMITS: &[&str] = &[
    "Text evidence shows a likeness between the suspect's responses and a candidate; it does not prove derivation.",
];

/// The answer that `findings` come to.
pub fn verdict(labels: &[String], findings: &[Finding], seen: &Observations<'_>) -> Verdict {
    let _ = (labels, findings, seen);
    Verdict {
        answer: Answer::Undetermined,
        candidate: None,
        method: String::new(),
        text: String::new(),
        warnings: vec![],
    }
}
