//! From per-sample evidence to one answer with its uncertainty.

mod descent;

use crate::evidence::lineage::{DESCENT, Lineage};
use crate::evidence::{Finding, Observations};
use crate::report::figures;
use crate::report::{Answer, Verdict};

/// What every reader of a result from weights must know.
const WEIGHTS: &[&str] = &[
    "Tests on weights show kinship: that two models share initial or later weights. Which of the two came first they do not show, nor whether somebody had the right to use them.",
    "A p-value is the chance of a likeness this great between models made independently, if their training does not care about the order and sign of its units. Somebody who trains against these tests could defeat that.",
    "Kin of a candidate may be kin of its relatives, too: a fine-tune descends from the base of its base. The nearest is named first.",
    "\"Independent\" means that no test speaks for kinship; very long training, or distillation, leaves no trace in the order of units.",
];

/// What the reader must know of a result from weights, from text, or both.
pub fn limits(weights: bool, text: bool) -> Vec<String> {
    let all = WEIGHTS.iter().filter(|_| weights).chain(LIMITS.iter().filter(|_| text || !weights));
    all.map(|s| (*s).to_owned()).collect()
}

/// What every reader of a result from text must know.
const LIMITS: &[&str] = &[
    "Text evidence shows that a suspect behaves like a fine-tune of a candidate. It does not prove derivation: only weights can.",
    "Where a candidate is known by its responses alone, only texts are compared: right first in about half of the known cases, so \"undetermined\" is the usual answer. Different prompts, decoding settings or lengths of the answers mislead it.",
    "The ranking supposes that the true base is one of the candidates. \"None of these\" is tested only where responses were cut at a token limit, and misses a base that shares a candidate's tokenizer.",
    "Probabilities were calibrated on full fine-tunes of small models (15 million to 135 million weights, and the project's toy zoo), with responses of 48 tokens. Other suspects may shift more.",
    "The opening of a response depends on how it was prompted: a system prompt or chat template that is missing from the samples weakens or misleads the likelihood.",
    "Candidates that share weights or training (seed twins, sizes of one series) are hard to tell apart by text; expect \"undetermined\".",
];

/// A candidate stands out from this probability on, if its interval stays above one half.
const CLEAR: f64 = 0.8;
/// Below this p-value the evidence speaks against all candidates.
const NONE: f64 = 0.05;
/// With fewer samples nothing is called clear.
const ENOUGH: usize = 10;

/// The answer that `findings`, the decisive first, come to.
pub fn verdict(
    labels: &[String],
    findings: &[Finding],
    lineage: &[Lineage],
    seen: &Observations<'_>,
) -> Verdict {
    if let Some(verdict) = descent::verdict(labels, lineage) {
        return verdict;
    }
    // What weights left open, text may still tell; its answer stays its own.
    let findings: Vec<&Finding> = findings.iter().filter(|f| f.method != DESCENT).collect();
    let Some((finding, best)) =
        findings.iter().find(|f| !f.baseline).and_then(|f| Some((*f, f.standings.first()?)))
    else {
        return Verdict {
            answer: Answer::Undetermined,
            candidate: None,
            method: String::new(),
            text: "Undetermined: no method gave a result.".into(),
            warnings: vec![],
        };
    };
    let label = &labels[best.candidate];
    let samples = if seen.scored() { seen.common().len() } else { seen.samples.len() };
    let mut warnings = finding.warnings.clone();
    // At its ceiling the interval has no width, which must not read as certainty.
    let ceiling = 1.0 - finding.error + finding.error / labels.len() as f64;
    let capped = if ceiling - best.probability < 1e-3 {
        "; the method's own error allows no more"
    } else {
        ""
    };
    let chance = format!(
        "{} (95 % interval {}{capped})",
        figures::probability(best.probability),
        figures::probability_interval(best.probability_interval)
    );
    let clear = best.probability >= CLEAR && best.probability_interval.0 > 0.5;
    let none = finding.none.as_ref().filter(|n| n.p_value < NONE);
    let (answer, text) = if let Some(none) = none {
        let text = format!(
            "None of these: the responses do not fit any candidate ({}). The nearest is {label}.",
            figures::p_value(none.p_value)
        );
        (Answer::NoneOfThese, text)
    } else if labels.len() < 2 {
        let text = format!(
            "Undetermined: {label} is the only candidate, so there is nothing to compare it with."
        );
        (Answer::Undetermined, text)
    } else if clear && samples >= ENOUGH {
        (
            Answer::Attributed,
            format!(
                "{label} is the most likely base: probability {chance} among these candidates."
            ),
        )
    } else {
        let text = format!(
            "Undetermined: {label} comes first, but the evidence does not separate the candidates: probability {chance}."
        );
        (Answer::Undetermined, text)
    };
    let others: Vec<&Finding> =
        findings.into_iter().filter(|f| !f.baseline && f.method != finding.method).collect();
    for other in others {
        if let Some(first) = other
            .standings
            .first()
            .filter(|s| s.candidate != best.candidate && s.probability >= CLEAR)
        {
            warnings.push(format!(
                "The method {} alone would name {} ({}).",
                other.method,
                labels[first.candidate],
                figures::probability(first.probability)
            ));
        }
    }
    Verdict {
        answer,
        candidate: Some(best.candidate),
        method: finding.method.clone(),
        text,
        warnings,
    }
}
