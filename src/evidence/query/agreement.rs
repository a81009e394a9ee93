//! Next-token agreement, after Nikolić et al., "Model Provenance Testing for
//! Large Language Models" (NeurIPS 2025).

use super::{Plan, QueryMethod, Record, Subject, foreign, words};
use crate::error::Result;
use crate::evidence::Access;
use crate::evidence::lineage::{Basis, Null, Test};
use crate::evidence::null::ln_binomial_tail;
use crate::samples::Sample;
use crate::tokenizer::Tokenizer;

/// Characters of an answer that are kept.
const KEPT: usize = 16;

/// The share of prompts on which exactly one of candidate and control agrees
/// with the suspect that may fall to an unrelated candidate.
const ODDS: f64 = 0.5;

/// Agreement between two candidates that hints at kinship.
const KIN: f64 = 0.6;

/// Agreement on the likeliest next piece of text.
pub struct Agreement;

/// The prompts of a plan, each different; those of a smaller plan come first.
pub fn prompts(plan: &Plan) -> Vec<String> {
    words::random(plan.prompts, plan.seed)
}

/// The record of a model that was asked elsewhere: `samples` hold its answers,
/// which meet the plan's prompts by their text without the space around it.
pub fn from_answers(plan: &Plan, samples: &[Sample]) -> Record {
    let answer = |prompt: &String| {
        let sample = samples.iter().find(|s| s.prompt.as_deref().map(str::trim) == Some(prompt))?;
        Some(piece(&sample.response))
    };
    Record::Answers(prompts(plan).iter().map(answer).collect())
}

fn piece(text: &str) -> String {
    text.trim().chars().take(KEPT).collect()
}

impl QueryMethod for Agreement {
    fn name(&self) -> &'static str {
        "next-token-agreement"
    }

    fn observe(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        tell: &mut dyn FnMut(usize),
    ) -> Result<Record> {
        let asked: Vec<Vec<u32>> =
            prompts(plan).iter().map(|p| subject.tokenizer.prompt(p)).collect::<Result<_>>()?;
        let next = subject.model.next(&asked, tell)?;
        let answers = next.iter().map(|token| said(subject.tokenizer, *token));
        answers.collect::<Result<_>>().map(Record::Answers)
    }

    fn test(
        &self,
        suspect: &Record,
        candidates: &[Option<Record>],
        plan: &Plan,
    ) -> Result<Vec<Option<Test>>> {
        let read = |r: &Record| match r {
            Record::Answers(answers) if answers.len() == plan.prompts => Ok(answers.clone()),
            _ => Err(foreign(self.name())),
        };
        let suspect = read(suspect)?;
        let answers = candidates
            .iter()
            .map(|c| c.as_ref().map(read).transpose())
            .collect::<Result<Vec<_>>>()?;
        // Prompts that the suspect answered.
        let asked: Vec<usize> = (0..plan.prompts).filter(|i| suspect[*i].is_some()).collect();
        if asked.is_empty() {
            return Ok(vec![None; candidates.len()]);
        }
        let with = |a: &[Answer], b: &[Answer]| -> Vec<bool> {
            asked.iter().map(|i| agree(a[*i].as_deref(), b[*i].as_deref())).collect()
        };
        let hits: Vec<Option<Vec<bool>>> =
            answers.iter().map(|a| a.as_ref().map(|a| with(&suspect, a))).collect();
        let shares: Vec<Option<f64>> = hits.iter().map(|h| h.as_deref().map(share)).collect();
        let test = |c: usize| {
            let (own, statistic) = (hits[c].as_ref()?, shares[c]?);
            let others: Vec<usize> =
                (0..hits.len()).filter(|k| *k != c && hits[*k].is_some()).collect();
            let against = |k: &usize| hits[*k].as_deref().map(|control| against(own, control));
            // All controls must be beaten, so the largest p-value is that of "not
            // closer than every one of them".
            let ln_p = others.iter().filter_map(against).reduce(f64::max);
            let controls: Vec<f64> = others.iter().filter_map(|k| shares[*k]).collect();
            let best = controls.iter().copied().fold(0.0, f64::max);
            let mut notes = vec![];
            if ln_p.is_none() {
                notes.push("no p-value: there is no other candidate to serve as a control".into());
            }
            let mutual = others.iter().filter_map(|k| {
                Some(share(&with(answers[*k].as_deref()?, answers[c].as_deref()?)))
            });
            let mutual = mutual.fold(0.0, f64::max);
            if mutual >= KIN {
                notes.push(format!(
                    "another candidate agrees with it on {:.0} %: kin among the candidates hide \
                     each other from this test",
                    100.0 * mutual
                ));
            }
            Some(Test {
                method: self.name().into(),
                about: format!(
                    "share of {} prompts of random words to which suspect and candidate give the \
                     same next piece of text (after Nikolić et al., 2025)",
                    asked.len()
                ),
                access: Access::Query,
                statistic,
                ln_p,
                basis: if ln_p.is_some() { Basis::Empirical } else { Basis::Descriptive },
                null: ln_p.map(|_| Null {
                    about: format!(
                        "where suspect and candidate agree and a control does not, or the other \
                         way round, it is for the candidate in {:.0} % at the most (binomial); \
                         that is as close as unrelated models of the project's zoo come",
                        100.0 * ODDS
                    ),
                    mean: best,
                    deviation: (best * (1.0 - best) / asked.len() as f64).sqrt(),
                    controls,
                }),
                map: None,
                notes,
            })
        };
        Ok((0..candidates.len()).map(test).collect())
    }
}

type Answer = Option<String>;

/// ln of the exact p-value of `own` hits against a control's on the same prompts:
/// only those count on which the two differ (McNemar's condition).
fn against(own: &[bool], control: &[bool]) -> f64 {
    let pairs = || own.iter().zip(control);
    let wins = pairs().filter(|(o, c)| **o && !**c).count();
    let losses = pairs().filter(|(o, c)| !**o && **c).count();
    ln_binomial_tail(wins, wins + losses, ODDS)
}

/// Whether two answers agree: both blank, or one the beginning of the other, for
/// tokenizers cut the same text into longer and shorter pieces.
fn agree(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a.is_empty() || b.is_empty() => a == b,
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
        _ => false,
    }
}

fn share(hits: &[bool]) -> f64 {
    hits.iter().filter(|h| **h).count() as f64 / hits.len().max(1) as f64
}

/// What a token says; `None` for a part of a character.
fn said(tokenizer: &Tokenizer, token: u32) -> Result<Option<String>> {
    let text = tokenizer.continuation(&[token])?;
    Ok((tokenizer.is_end(token) || !text.is_empty()).then(|| piece(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// What a model says that copies `base` with this chance and else makes it up.
    fn model(base: &[String], copies: f64, seed: u64) -> Vec<String> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let own = |rng: &mut ChaCha8Rng| format!("{}", (rng.random::<f64>() * 5.0) as u32 + 1);
        base.iter()
            .map(|b| if rng.random::<f64>() < copies { b.clone() } else { own(&mut rng) })
            .collect()
    }

    fn record(answers: &[String]) -> Record {
        Record::Answers(answers.iter().cloned().map(Some).collect())
    }

    fn plan() -> Plan {
        Plan { prompts: 300, ..Plan::default() }
    }

    #[test]
    fn a_copyist_is_found_and_strangers_are_not() {
        let blank = vec![String::from("0"); 300];
        let bases: Vec<Vec<String>> = (0..5).map(|s| model(&blank, 0.2, s)).collect();
        let candidates: Vec<Option<Record>> =
            bases.iter().map(|b| Some(record(b))).chain([None]).collect();
        let suspect = record(&model(&bases[2], 0.8, 50));
        let tests = Agreement.test(&suspect, &candidates, &plan()).unwrap();
        let ln_p = |c: usize| tests[c].as_ref().unwrap().ln_p.unwrap();
        assert!(ln_p(2) < -10.0 && tests[5].is_none());
        assert!([0, 1, 3, 4].iter().all(|c| ln_p(*c) > -1.0));
        // Strangers: no false match in many.
        let mut least = 0.0_f64;
        for seed in 100..200 {
            let stranger = record(&model(&blank, 0.2, seed));
            for test in Agreement.test(&stranger, &candidates, &plan()).unwrap().iter().flatten() {
                least = least.min(test.ln_p.unwrap());
            }
        }
        assert!(least > libm::log(0.05), "{least}");
    }

    #[test]
    fn the_p_value_counts_what_candidate_and_control_do_not_share() {
        let (yes, no) = (true, false);
        let own = [yes, yes, yes, yes, yes, no, yes, no];
        let control = [no, no, no, no, yes, yes, no, no];
        // Five for the candidate, one against: by hand from the binomial.
        let q = 1.0 - ODDS;
        let want = 6.0 * libm::pow(ODDS, 5.0) * q + libm::pow(ODDS, 6.0);
        assert!((against(&own, &control) - libm::log(want)).abs() < 1e-12);
        assert_eq!(against(&own, &own), 0.0);
    }

    #[test]
    fn pieces_of_different_tokenizers_compare() {
        let a = |a: &str, b: &str| agree(Some(a), Some(b));
        assert!(a("the", "th") && a("t", "the") && a("", "") && a("水", "水"));
        assert!(!a("the", "to") && !a("", "the") && !a("the", ""));
        assert!(!agree(None, None) && !agree(Some("x"), None));
    }

    #[test]
    fn answers_of_an_interface_make_a_record() {
        let plan = Plan { prompts: 3, ..Plan::default() };
        let asked = prompts(&plan);
        let sample = |p: &str, r: &str| Sample::new(Some(p.into()), r.into(), String::new());
        let samples =
            [sample(&format!(" {}\n", asked[2]), " the whale and the sea "), sample("other", "x")];
        let want = Record::Answers(vec![None, None, Some("the whale and th".into())]);
        assert_eq!(from_answers(&plan, &samples), want);
        let other = Record::Answers(["a", "b", "the"].map(|t| Some(t.into())).to_vec());
        let tests = Agreement.test(&want, &[Some(other)], &plan).unwrap();
        let test = tests[0].as_ref().unwrap();
        assert_eq!((test.statistic, test.ln_p), (1.0, None));
        assert!(test.notes[0].starts_with("no p-value"));
        let short = Record::Answers(vec![None; 2]);
        assert!(Agreement.test(&want, &[Some(short)], &plan).is_err());
    }
}
