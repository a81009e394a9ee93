//! A plain attribution to compare pickers by: one classifier for each
//! candidate against the rest, learnt from the candidates' responses to the
//! picked prompts alone.

use super::features::{GRAMS, REAL, traits};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::text::logistic::{self, Model, Row};
use crate::responses::Responses;

/// Weight of the penalty; responses are few and their features many.
const PENALTY: f64 = 1e-3;

/// What was got right of what was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Responses, or suspects, that were given to their own base.
    pub right: usize,
    /// All of them.
    pub total: usize,
}

/// The classifiers.
struct Judge {
    models: Vec<Option<Model>>,
}

fn row(text: &str) -> Row {
    let traits = traits(text);
    let real = traits.real.iter().enumerate().map(|(i, v)| (i as u32, *v));
    real.chain(traits.grams.iter().map(|(i, v)| (i + REAL as u32, *v))).collect()
}

/// Every response's features, read once.
struct Rows(Vec<Vec<Option<Row>>>);

impl Rows {
    fn new(responses: &Responses, columns: &[usize]) -> Self {
        let of =
            |r: &Vec<Option<String>>| columns.iter().map(|c| r[*c].as_deref().map(row)).collect();
        Self(responses.rows.iter().map(of).collect())
    }
}

impl Judge {
    /// Learns from these places of the candidates' rows.
    fn learn(rows: &Rows, places: &[usize]) -> Result<Self> {
        let mut examples = vec![];
        let mut writers = vec![];
        for (b, row) in rows.0.iter().enumerate() {
            for features in places.iter().filter_map(|p| row[*p].as_ref()) {
                examples.push(features);
                writers.push(b);
            }
        }
        if writers.iter().all(|b| Some(b) == writers.first()) {
            return Err(Error::new(
                ErrorKind::Samples,
                "fewer than two candidates answered the picked prompts",
            )
            .hint("add another candidate's responses, or pick more prompts"));
        }
        let model = |b: usize| {
            let classes: Vec<bool> = writers.iter().map(|w| *w == b).collect();
            classes
                .contains(&true)
                .then(|| logistic::fit(&examples, &classes, REAL + GRAMS, PENALTY))
        };
        Ok(Self { models: (0..rows.0.len()).map(model).collect() })
    }

    /// Log-odds of each candidate, NaN where nothing is known of it.
    fn log_odds(&self, row: &Row) -> Vec<f64> {
        self.models.iter().map(|m| m.as_ref().map_or(f64::NAN, |m| m.log_odds(row))).collect()
    }
}

/// The place of the highest number, the first of equals.
fn best(values: &[f64]) -> Option<usize> {
    let known = values.iter().enumerate().filter(|(_, v)| !v.is_nan());
    known
        .fold(None, |m: Option<(usize, f64)>, (i, v)| match m {
            Some((_, most)) if most >= *v => m,
            _ => Some((i, *v)),
        })
        .map(|(i, _)| i)
}

/// Learns from every second of the picked prompts and judges each of the
/// candidates' responses to the others, then the other way round.
///
/// # Errors
/// Fewer than two candidates answered one of the halves.
pub fn cross_validated(bases: &Responses, columns: &[usize]) -> Result<Score> {
    let rows = Rows::new(bases, columns);
    let mut score = Score::default();
    for half in 0..2 {
        let part = |h: usize| (0..columns.len()).filter(|p| p % 2 == h).collect::<Vec<_>>();
        let judge = Judge::learn(&rows, &part(half))?;
        for (b, row) in rows.0.iter().enumerate() {
            for features in part(1 - half).iter().filter_map(|p| row[*p].as_ref()) {
                score.total += 1;
                score.right += usize::from(best(&judge.log_odds(features)) == Some(b));
            }
        }
    }
    Ok(score)
}

/// Learns from the picked prompts and judges each of the candidates' responses
/// to those that were not: how well what was picked teaches, unspoilt by how
/// it was picked. Nothing is judged where all were picked.
///
/// # Errors
/// Fewer than two candidates answered the picked prompts.
pub fn transferred(bases: &Responses, columns: &[usize]) -> Result<Score> {
    let places: Vec<usize> = (0..columns.len()).collect();
    let judge = Judge::learn(&Rows::new(bases, columns), &places)?;
    let others: Vec<usize> = (0..bases.columns.len()).filter(|c| !columns.contains(c)).collect();
    let mut score = Score::default();
    for (b, row) in Rows::new(bases, &others).0.iter().enumerate() {
        for features in row.iter().flatten() {
            score.total += 1;
            score.right += usize::from(best(&judge.log_odds(features)) == Some(b));
        }
    }
    Ok(score)
}

/// How many suspects, and how many of their answers one by one, go to the
/// right base. Both tables have the same columns; `truth[s]` is the base of
/// suspect `s`. A suspect goes to the base with the highest mean log-odds.
///
/// # Errors
/// Fewer than two candidates answered the picked prompts.
pub fn attributed(
    bases: &Responses,
    suspects: &Responses,
    truth: &[usize],
    columns: &[usize],
) -> Result<(Score, Score)> {
    let places: Vec<usize> = (0..columns.len()).collect();
    let judge = Judge::learn(&Rows::new(bases, columns), &places)?;
    let (mut whole, mut single) = (Score::default(), Score::default());
    for (row, truth) in Rows::new(suspects, columns).0.iter().zip(truth) {
        let mut sums = vec![0.0; bases.rows.len()];
        for features in row.iter().flatten() {
            let odds = judge.log_odds(features);
            single.total += 1;
            single.right += usize::from(best(&odds) == Some(*truth));
            sums.iter_mut().zip(&odds).for_each(|(s, o)| *s += o);
        }
        whole.total += 1;
        let answered = row.iter().any(Option::is_some);
        whole.right += usize::from(answered && best(&sums) == Some(*truth));
    }
    Ok((whole, single))
}
