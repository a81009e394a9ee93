//! What the classifiers on features share: features once for each distinct
//! input, then one logistic regression for each task.

use super::examples::{self, Input, Task};
use super::logistic::{self, Row};
use super::{Corpus, Setup, Table, Tell};
use crate::error::Result;
use std::collections::HashMap;

/// Standard scores are cut here: one odd response must not outvote the rest.
const CLIP: f32 = 5.0;

/// How features become rows.
pub struct Form {
    /// Strength of the penalty on the weights.
    pub penalty: f64,
    /// Whether features are set to mean 0 and deviation 1 over what is learnt from.
    pub standard: bool,
}

/// Learns and judges every task; `features` gives the rows of many inputs, over so many features.
///
/// # Errors
/// As [`examples::tasks`].
pub fn tables<'a>(
    corpus: &'a Corpus,
    setup: &Setup,
    form: &Form,
    tell: Tell<'_>,
    features: impl Fn(&[Input<'a>]) -> (Vec<Row>, usize),
) -> Result<Vec<Table>> {
    let tasks = examples::tasks(corpus, setup)?;
    let mut places: HashMap<Input<'a>, usize> = HashMap::new();
    let mut inputs: Vec<Input<'a>> = vec![];
    for task in &tasks {
        let learnt = task.learn.iter().map(|(i, _)| i);
        for input in learnt.chain(task.judge.iter().map(|(_, _, i)| i)) {
            places.entry(*input).or_insert_with(|| {
                inputs.push(*input);
                inputs.len() - 1
            });
        }
    }
    let (rows, width) = features(&inputs);
    let mut odds = vec![];
    for (done, task) in tasks.iter().enumerate() {
        odds.push(solve(task, &|i| &rows[places[i]], width, form));
        tell(done as u64 + 1, tasks.len() as u64);
    }
    Ok(examples::tables(corpus, &tasks, &odds))
}

fn solve<'r>(
    task: &Task<'_>,
    row: &impl Fn(&Input<'_>) -> &'r Row,
    width: usize,
    form: &Form,
) -> Vec<f64> {
    let learn: Vec<&Row> = task.learn.iter().map(|(i, _)| row(i)).collect();
    let classes: Vec<bool> = task.learn.iter().map(|(_, c)| *c).collect();
    if !form.standard {
        let model = logistic::fit(&learn, &classes, width, form.penalty);
        return task.judge.iter().map(|(_, _, i)| model.log_odds(row(i))).collect();
    }
    let scale = Scale::of(&learn, width);
    let learn: Vec<Row> = learn.iter().map(|r| scale.apply(r)).collect();
    let model = logistic::fit(&learn.iter().collect::<Vec<_>>(), &classes, width, form.penalty);
    task.judge.iter().map(|(_, _, i)| model.log_odds(&scale.apply(row(i)))).collect()
}

/// Mean and deviation of dense features.
struct Scale(Vec<(f32, f32)>);

impl Scale {
    fn of(rows: &[&Row], width: usize) -> Self {
        let n = rows.len().max(1) as f64;
        let (mut sums, mut squares) = (vec![0.0; width], vec![0.0; width]);
        for (i, v) in rows.iter().flat_map(|r| r.iter()) {
            sums[*i as usize] += f64::from(*v);
            squares[*i as usize] += f64::from(*v) * f64::from(*v);
        }
        let one = |(sum, square): (&f64, &f64)| {
            let mean = sum / n;
            ((mean) as f32, (square / n - mean * mean).max(0.0).sqrt() as f32)
        };
        Self(sums.iter().zip(&squares).map(one).collect())
    }

    fn apply(&self, row: &Row) -> Row {
        let one = |(i, v): &(u32, f32)| {
            let (mean, deviation) = self.0[*i as usize];
            // A feature that never varied says nothing.
            (deviation > 1e-6).then(|| (*i, ((v - mean) / deviation).clamp(-CLIP, CLIP)))
        };
        row.iter().filter_map(one).collect()
    }
}
