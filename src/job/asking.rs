//! How much the models are asked beside a suspect's weights.
//!
//! Where weights compare with every candidate they decide, and asking is an
//! extra; it must not take longer than what decides, nor more memory. Where they
//! do not compare, agreement on next tokens is the strongest evidence left, and
//! its power grows with the number of prompts.

use super::Parameters;
use crate::decoder::families;
use crate::evidence::query::Plan;
use crate::formats::{Archive, CandidateFiles};
use crate::report::figures::count;

/// Prompts of the agreement test unless set.
const PROMPTS: usize = 100;

/// Weights of all models together up to which everything is asked: some ten
/// seconds in a browser.
const EVERYTHING: u64 = 25_000_000;

/// Weights of all models together up to which seed prints are taken: half a
/// minute in a browser. Each model is then small enough for its memory, too.
const PRINTS: u64 = 500_000_000;

/// What to ask.
pub struct Asking {
    /// How much; `None` for nothing.
    pub plan: Option<Plan>,
    /// What was left out and why, a sentence for the report.
    pub left: Option<String>,
}

/// How much to ask `models`, the suspects among them. `decided`: the weights of
/// every suspect compare with those of every candidate.
pub fn asking(parameters: &Parameters, models: &[&CandidateFiles], decided: bool) -> Asking {
    let sizes: Vec<(u64, usize)> = models.iter().filter_map(|f| size(f)).collect();
    let total = sizes.iter().map(|(weights, _)| weights).sum();
    let vocab = sizes.iter().map(|(_, vocab)| *vocab).min().unwrap_or(0);
    choose(parameters, total, vocab, decided)
}

/// Weights and vocabulary of a model that can be asked.
fn size(files: &CandidateFiles) -> Option<(u64, usize)> {
    let archive = Archive::open(files).ok()?;
    let layout = families::layout(&archive).ok()?;
    let weights = |shape: &[usize]| shape.iter().map(|n| *n as u64).product::<u64>();
    Some((archive.tensors.values().map(|t| weights(&t.shape)).sum(), layout.config.vocab))
}

fn choose(parameters: &Parameters, total: u64, vocab: usize, decided: bool) -> Asking {
    let draws = Plan::default().draws;
    let plan = |prompts, draws| Plan { seed: parameters.seed, prompts, draws, vocab };
    let size = count(total);
    let (plan, left) = match parameters.queries {
        Some(0) => (None, None),
        // Two draws are the least that tell how often they are the same.
        Some(n) => (Some(plan(n, n.clamp(2, draws))), None),
        None if total <= EVERYTHING => (Some(plan(PROMPTS, draws)), None),
        None if !decided => (
            Some(plan(PROMPTS, 0)),
            Some(format!(
                "Weights do not compare with every candidate, so the models were asked {PROMPTS} prompts for their next token; what they write in full was left out, as it proves nothing and takes long with {size} weights. A number of queries asks for all of it."
            )),
        ),
        None if total <= PRINTS => (
            Some(plan(0, 0)),
            Some(format!(
                "Weights compare with every candidate and decide, so of the models' answers only seed prints were taken: more takes long with {size} weights. A number of queries asks for all of it."
            )),
        ),
        None => (
            None,
            Some(format!(
                "Weights compare with every candidate and decide, so the models were not run: that takes long with {size} weights. A number of queries asks for all of it."
            )),
        ),
    };
    Asking { plan, left }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(queries: Option<usize>, total: u64, decided: bool) -> Option<(usize, usize)> {
        let parameters = Parameters { queries, ..Parameters::default() };
        let asking = choose(&parameters, total, 256, decided);
        // What is left out is said, unless the user asked for it.
        let whole = asking.plan.is_some_and(|p| p.prompts > 0 && p.draws > 0);
        assert_eq!(asking.left.is_none(), queries.is_some() || whole);
        asking.plan.map(|p| (p.prompts, p.draws))
    }

    #[test]
    fn models_are_asked_what_is_open_and_what_is_cheap() {
        let all = Some((100, 32));
        assert_eq!(of(None, EVERYTHING, true), all);
        assert_eq!(of(None, EVERYTHING, false), all);
        assert_eq!(of(None, 270_000_000, true), Some((0, 0)));
        assert_eq!(of(None, 3_000_000_000, true), None);
        // Without weights to decide, agreement is asked whatever it costs.
        for total in [270_000_000, 3_000_000_000] {
            assert_eq!(of(None, total, false), Some((100, 0)));
        }
    }

    #[test]
    fn a_number_that_is_set_is_what_is_asked() {
        for (total, decided) in [(1, true), (270_000_000, true), (3_000_000_000, false)] {
            assert_eq!(of(Some(0), total, decided), None);
            assert_eq!(of(Some(300), total, decided), Some((300, 32)));
            assert_eq!(of(Some(1), total, decided), Some((1, 2)));
        }
    }
}
