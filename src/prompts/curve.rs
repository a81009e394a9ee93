//! Accuracy against the number of prompts, for any pickers and any attribution.

use super::Picker;
use super::judge::Score;
use crate::error::Result;
use crate::evidence::text::Tell;
use crate::responses::Responses;

/// One picker at one budget.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Point {
    /// The picker's name.
    pub picker: String,
    /// Prompts asked for.
    pub budget: usize,
    /// Prompts that there were to pick.
    pub picked: usize,
    /// Share that was attributed right, the mean over the seeds.
    pub accuracy: f64,
    /// The least and the most over the seeds.
    pub range: (f64, f64),
    /// Judged with each seed.
    pub total: usize,
    /// Seeds that the mean is over; one where seeds make no difference.
    pub seeds: usize,
}

/// Picks from `bases` with each picker, budget and seed, and has `attribute`
/// say how many of how many it then gets right with those columns. Points come
/// picker by picker, budgets in the order given.
///
/// # Errors
/// Those of the pickers and of `attribute`.
pub fn curve(
    bases: &Responses,
    pickers: &[&dyn Picker],
    budgets: &[usize],
    seeds: &[u64],
    attribute: &mut dyn FnMut(&[usize]) -> Result<Score>,
    tell: Tell<'_>,
) -> Result<Vec<Point>> {
    let needed = |p: &dyn Picker| if p.seeded() { seeds } else { &seeds[..seeds.len().min(1)] };
    let all: usize = pickers.iter().map(|p| needed(*p).len() * budgets.len()).sum();
    let mut done = 0;
    let mut out = vec![];
    for picker in pickers {
        for budget in budgets {
            let mut shares = vec![];
            let (mut picked, mut total) = (0, 0);
            for seed in needed(*picker) {
                tell(done, all as u64);
                done += 1;
                let columns = picker.pick(bases, *budget, *seed, &mut |_, _| ())?;
                let score = attribute(&columns)?;
                picked = columns.len();
                total = score.total;
                shares.push(score.right as f64 / score.total.max(1) as f64);
            }
            if shares.is_empty() {
                continue;
            }
            out.push(Point {
                picker: picker.name().into(),
                budget: *budget,
                picked,
                accuracy: shares.iter().sum::<f64>() / shares.len() as f64,
                range: shares.iter().fold((1.0, 0.0), |(l, h), s| (s.min(l), s.max(h))),
                total,
                seeds: shares.len(),
            });
        }
    }
    tell(done, all as u64);
    Ok(out)
}
