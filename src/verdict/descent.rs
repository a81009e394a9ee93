//! The answer where weights or queries decide: stronger access outweighs weaker.

use crate::evidence::lineage::{DESCENT, Lineage, Relation, order};
use crate::report::figures;
use crate::report::{Answer, Verdict};

/// The answer that the suspect's descent comes to; `None` where it is open, so
/// that weaker evidence may speak.
pub fn verdict(labels: &[String], all: &[Lineage]) -> Option<Verdict> {
    let order = order(all);
    let first = order.first()?;
    let label = |l: &Lineage| labels.get(l.candidate).map_or("", String::as_str);
    let p = |l: &Lineage| figures::ln_p_value(l.ln_p.unwrap_or(0.0));
    let say = |answer, candidate, text, warnings| {
        Some(Verdict { answer, candidate: Some(candidate), method: DESCENT.into(), text, warnings })
    };
    if !first.relation.kin() {
        // Nothing is known of candidates by text alone, nor of those of other shapes.
        let open =
            all.len() < labels.len() || all.iter().any(|l| l.relation == Relation::Undetermined);
        if open {
            return None;
        }
        let text = format!(
            "None of these: by its weights the suspect is independent of every candidate. The nearest is {} ({}, corrected for the number of candidates).",
            label(first),
            p(first)
        );
        return say(Answer::NoneOfThese, first.candidate, text, vec![]);
    }
    let mut warnings = vec![];
    let others: Vec<&&Lineage> = order[1..].iter().filter(|l| l.relation.kin()).collect();
    if first.relation == Relation::Merge {
        let parts: Vec<&str> =
            order.iter().filter(|l| l.relation == Relation::Merge).map(|l| label(l)).collect();
        let text = format!("A merge of {}: {} ({}).", parts.join(" and "), first.why, p(first));
        return say(Answer::Attributed, first.candidate, text, warnings);
    }
    for other in &others {
        warnings.push(format!(
            "{} is kin, too ({}, {}): a relative of {}, or another step of the same descent.",
            label(other),
            other.relation.words(),
            p(other),
            label(first)
        ));
    }
    if first.relation == Relation::SharedInitialisation {
        let text = format!(
            "Kin to {} ({}), but derivation is not proven: {}",
            label(first),
            p(first),
            first.why
        );
        return say(Answer::Undetermined, first.candidate, text, warnings);
    }
    let text = format!(
        "By its weights the suspect is {} of {}. {}",
        first.relation.words(),
        label(first),
        first.why
    );
    say(Answer::Attributed, first.candidate, text, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(candidate: usize, relation: Relation, ln_p: Option<f64>) -> Lineage {
        Lineage { candidate, relation, why: "Why.".into(), ln_p, tests: vec![], context: vec![] }
    }

    #[test]
    fn every_case_has_its_answer() {
        let labels = ["a", "b", "c"].map(String::from);
        let of = |all: &[Lineage]| verdict(&labels, all);
        let stranger = |c| lineage(c, Relation::Independent, Some(-1.0));
        let kin = |c, relation| lineage(c, relation, Some(-300.0));
        let got = of(&[stranger(0), kin(1, Relation::FineTune), stranger(2)]).unwrap();
        assert_eq!((got.answer, got.candidate), (Answer::Attributed, Some(1)));
        assert!(got.text.starts_with("By its weights the suspect is a fine-tune of b."));
        assert!(got.warnings.is_empty());
        let got = of(&[kin(0, Relation::Copy), kin(1, Relation::FineTune), stranger(2)]).unwrap();
        assert!(got.warnings[0].starts_with("b is kin, too"), "{:?}", got.warnings);
        let got = of(&[stranger(0), stranger(1), stranger(2)]).unwrap();
        assert_eq!(got.answer, Answer::NoneOfThese);
        let got = of(&[kin(0, Relation::Merge), kin(2, Relation::Merge), stranger(1)]).unwrap();
        assert!(got.text.starts_with("A merge of a and c"), "{}", got.text);
        let got = of(&[kin(0, Relation::SharedInitialisation), stranger(1), stranger(2)]).unwrap();
        assert_eq!(got.answer, Answer::Undetermined);
        // One that does not compare, or is known by text alone, leaves it open.
        let unknown = lineage(1, Relation::Undetermined, None);
        assert!(of(&[stranger(0), unknown, stranger(2)]).is_none());
        assert!(of(&[stranger(0), stranger(1)]).is_none() && of(&[]).is_none());
    }
}
