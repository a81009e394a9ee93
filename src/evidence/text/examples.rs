//! What a one-vs-rest classifier learns from and what it is then asked, by
//! knowledge level and input representation.

use super::{Corpus, Knowledge, Representation, Setup, Table};
use crate::error::{Error, ErrorKind, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Parts of the prompts under restricted knowledge: what is judged is never learnt from.
const FOLDS: usize = 5;

/// What a classifier reads: one text, or two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input<'a> {
    /// What stands before: a prompt, or the candidate's response.
    pub before: Option<&'a str>,
    /// The response in question.
    pub response: &'a str,
    /// Whether `before` is a response to compare with, not a prompt.
    pub pair: bool,
}

/// One classifier's task: learn, then judge.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// The candidate that it is for.
    pub base: usize,
    /// What it learns from, and whether each is the candidate's.
    pub learn: Vec<(Input<'a>, bool)>,
    /// What it judges: suspect, column, input.
    pub judge: Vec<(usize, usize, Input<'a>)>,
}

/// The tasks for all candidates, in order.
///
/// # Errors
/// One class only: a candidate without responses, or nothing to set against it.
pub fn tasks<'a>(corpus: &'a Corpus, setup: &Setup) -> Result<Vec<Task<'a>>> {
    let mut out = vec![];
    for base in 0..corpus.bases.len() {
        let tasks = match setup.knowledge {
            Knowledge::Universal => vec![universal(corpus, setup, base)],
            Knowledge::Restricted => {
                (0..FOLDS).map(|fold| restricted(corpus, setup, base, fold)).collect()
            }
        };
        for task in tasks {
            let of = |class: bool| task.learn.iter().filter(|(_, c)| *c == class).count();
            if task.judge.is_empty() {
                continue;
            }
            if of(true) == 0 || of(false) == 0 {
                let (what, hint) = if of(true) == 0 {
                    (
                        "has no responses to learn from",
                        "add its responses, or leave that candidate out",
                    )
                } else {
                    ("has nothing to be told from", "add another candidate's responses")
                };
                return Err(Error::new(
                    ErrorKind::Samples,
                    format!("one class only: candidate {} {what}", base + 1),
                )
                .hint(hint));
            }
            out.push(task);
        }
    }
    Ok(out)
}

/// One table for each suspect from the log-odds of `tasks`, in their order of judging.
pub fn tables(corpus: &Corpus, tasks: &[Task<'_>], odds: &[Vec<f64>]) -> Vec<Table> {
    let empty = vec![vec![f64::NAN; corpus.prompts.len()]; corpus.bases.len()];
    let mut out = vec![empty; corpus.suspects.len()];
    for (task, odds) in tasks.iter().zip(odds) {
        for ((suspect, column, _), odds) in task.judge.iter().zip(odds) {
            out[*suspect][task.base][*column] = *odds;
        }
    }
    out
}

/// The input that `response` to the prompt of `column` makes for `base`; `None` where a pair lacks its other half.
fn input<'a>(
    corpus: &'a Corpus,
    setup: &Setup,
    base: usize,
    column: usize,
    response: &'a str,
) -> Option<Input<'a>> {
    let (before, pair) = match setup.representation {
        Representation::Response => (None, false),
        Representation::PromptResponse => (corpus.prompts[column].as_deref(), false),
        Representation::Pair => (Some(corpus.bases[base][column].as_deref()?), true),
    };
    Some(Input { before, response, pair })
}

fn row<'a>(
    corpus: &'a Corpus,
    setup: &Setup,
    base: usize,
    row: &'a [Option<String>],
    wanted: impl Fn(usize) -> bool,
) -> Vec<(usize, Input<'a>)> {
    let of = |(column, response): (usize, &'a Option<String>)| {
        let response = response.as_deref().filter(|_| wanted(column))?;
        Some((column, input(corpus, setup, base, column, response)?))
    };
    row.iter().enumerate().filter_map(of).collect()
}

/// The candidate's own examples. A response paired with itself would teach
/// equality, so pairs are made of its responses to two prompts.
fn own<'a>(
    corpus: &'a Corpus,
    setup: &Setup,
    base: usize,
    wanted: impl Fn(usize) -> bool,
) -> Vec<Input<'a>> {
    let mut own: Vec<Input<'a>> =
        row(corpus, setup, base, &corpus.bases[base], wanted).into_iter().map(|(_, i)| i).collect();
    if setup.representation == Representation::Pair && own.len() > 1 {
        let mut rng = ChaCha8Rng::seed_from_u64(setup.seed ^ (base as u64 + 1));
        let texts: Vec<&str> = own.iter().map(|i| i.response).collect();
        for (i, input) in own.iter_mut().enumerate() {
            let step = rng.random_range(1..texts.len());
            input.response = texts[(i + step) % texts.len()];
        }
    }
    own
}

fn universal<'a>(corpus: &'a Corpus, setup: &Setup, base: usize) -> Task<'a> {
    let mut learn: Vec<(Input<'a>, bool)> =
        own(corpus, setup, base, |_| true).into_iter().map(|i| (i, true)).collect();
    let others = (0..corpus.bases.len()).filter(|b| *b != base).map(|b| (b, &corpus.bases[b]));
    let labelled = corpus.labelled.iter().map(|(b, row)| (*b, row));
    for (writer, responses) in others.chain(labelled) {
        let inputs = row(corpus, setup, base, responses, |_| true);
        learn.extend(inputs.into_iter().map(|(_, i)| (i, writer == base)));
    }
    Task { base, learn, judge: judge(corpus, setup, base, |_| true) }
}

fn restricted<'a>(corpus: &'a Corpus, setup: &Setup, base: usize, fold: usize) -> Task<'a> {
    let learnt = |column: usize| column % FOLDS != fold;
    let mut learn: Vec<(Input<'a>, bool)> =
        own(corpus, setup, base, learnt).into_iter().map(|i| (i, true)).collect();
    for responses in &corpus.suspects {
        let inputs = row(corpus, setup, base, responses, learnt);
        learn.extend(inputs.into_iter().map(|(_, i)| (i, false)));
    }
    // Of the labelled only this candidate's are known to be its own.
    for (_, responses) in corpus.labelled.iter().filter(|(b, _)| *b == base) {
        let inputs = row(corpus, setup, base, responses, learnt);
        learn.extend(inputs.into_iter().map(|(_, i)| (i, true)));
    }
    Task { base, learn, judge: judge(corpus, setup, base, |c| !learnt(c)) }
}

fn judge<'a>(
    corpus: &'a Corpus,
    setup: &Setup,
    base: usize,
    wanted: impl Fn(usize) -> bool + Copy,
) -> Vec<(usize, usize, Input<'a>)> {
    let of = |(s, responses): (usize, &'a Vec<Option<String>>)| {
        row(corpus, setup, base, responses, wanted).into_iter().map(move |(c, i)| (s, c, i))
    };
    corpus.suspects.iter().enumerate().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Corpus {
        let texts = |s: &str| (0..10).map(|i| Some(format!("{s}{i}"))).collect::<Vec<_>>();
        let mut gap = texts("s");
        gap[3] = None;
        Corpus {
            prompts: texts("p"),
            bases: vec![texts("a"), texts("b"), texts("c")],
            labelled: vec![(1, texts("l"))],
            suspects: vec![gap, texts("t")],
        }
    }

    fn setup(representation: Representation, knowledge: Knowledge) -> Setup {
        Setup { representation, knowledge, seed: 1 }
    }

    #[test]
    fn universal_learns_from_all_and_judges_every_answer() {
        let corpus = corpus();
        let made =
            tasks(&corpus, &setup(Representation::PromptResponse, Knowledge::Universal)).unwrap();
        assert_eq!(made.len(), 3);
        let positive: Vec<&str> =
            made[1].learn.iter().filter(|l| l.1).map(|l| &l.0.response[..1]).collect();
        assert_eq!(positive, [["b"; 10], ["l"; 10]].concat());
        assert_eq!(made[1].learn.len(), 40);
        assert_eq!(made[0].judge.len(), 19);
        assert!(made[0].learn.iter().all(|(i, _)| i.before.unwrap()[1..] == i.response[1..]));
        let odds: Vec<Vec<f64>> = made.iter().map(|t| vec![1.5; t.judge.len()]).collect();
        let found = tables(&corpus, &made, &odds);
        assert!(found[0][2][3].is_nan() && found[1][2][3] == 1.5);
    }

    #[test]
    fn restricted_never_judges_what_it_learnt() {
        let corpus = corpus();
        let tasks =
            tasks(&corpus, &setup(Representation::Response, Knowledge::Restricted)).unwrap();
        assert_eq!(tasks.len(), 3 * FOLDS);
        for task in &tasks {
            for (_, _, judged) in &task.judge {
                assert!(task.learn.iter().all(|(i, _)| i.response != judged.response));
            }
            // No other candidate is known.
            let base = ["a", "b", "c"][task.base];
            let known = |r: &str| {
                [base, "s", "t"].contains(&&r[..1]) || task.base == 1 && r.starts_with('l')
            };
            assert!(task.learn.iter().all(|(i, _)| known(i.response)));
        }
        assert_eq!(tasks.iter().map(|t| t.judge.len()).sum::<usize>(), 3 * 19);
    }

    #[test]
    fn a_pair_is_never_a_response_with_itself() {
        let corpus = corpus();
        let tasks = tasks(&corpus, &setup(Representation::Pair, Knowledge::Universal)).unwrap();
        for (input, _) in &tasks[0].learn {
            assert!(input.pair && input.before != Some(input.response));
            assert!(input.before.unwrap().starts_with('a'));
        }
    }

    #[test]
    fn one_class_alone_is_refused() {
        let mut corpus = corpus();
        corpus.bases[2] = vec![None; 10];
        let s = setup(Representation::Response, Knowledge::Universal);
        assert!(tasks(&corpus, &s).unwrap_err().what().contains("candidate 3 has no responses"));
        corpus.bases.truncate(1);
        corpus.labelled.clear();
        assert!(tasks(&corpus, &s).unwrap_err().what().contains("nothing to be told from"));
    }
}
