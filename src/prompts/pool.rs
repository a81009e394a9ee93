//! The prompts to pick from, with what is seen of the candidates' responses.

use super::features::{Traits, traits};
use super::kinds::kinds;
use crate::error::{Error, ErrorKind, Result};
use crate::responses::Responses;

/// The columns that can tell candidates apart.
#[derive(Debug)]
pub struct Pool {
    /// Columns with the answers of two candidates at least, in order.
    pub columns: Vec<usize>,
    /// Candidates, those without answers among them.
    pub bases: usize,
    /// `cells[i][b]`: of column `columns[i]`; `None` is a gap.
    pub cells: Vec<Vec<Option<Traits>>>,
    /// The kind of prompt of each column.
    pub kinds: Vec<usize>,
}

impl Pool {
    /// Checks what a picker is given and reads the responses.
    ///
    /// # Errors
    /// As [`super::Picker::pick`].
    pub fn new(bases: &Responses, budget: usize) -> Result<Self> {
        let columns = columns(bases, budget)?;
        let read =
            |c: &usize| bases.rows.iter().map(|row| row[*c].as_deref().map(traits)).collect();
        let prompts: Vec<Option<&str>> =
            columns.iter().map(|c| bases.columns[*c].prompt.as_deref()).collect();
        Ok(Self {
            bases: bases.rows.len(),
            cells: columns.iter().map(read).collect(),
            kinds: kinds(&prompts),
            columns,
        })
    }
}

/// The columns that can be picked, in order.
///
/// # Errors
/// As [`super::Picker::pick`].
pub fn columns(bases: &Responses, budget: usize) -> Result<Vec<usize>> {
    if budget == 0 {
        return Err(Error::new(ErrorKind::Usage, "a budget of 0 prompts picks nothing")
            .hint("ask for 1 prompt or more"));
    }
    let answering = bases.rows.iter().filter(|row| row.iter().any(Option::is_some)).count();
    if answering < 2 {
        return Err(Error::new(
            ErrorKind::Samples,
            format!(
                "prompts are picked by how they tell candidates apart, but only {answering} of {} candidates has responses",
                bases.rows.len()
            ),
        )
        .hint("add the responses of another candidate to the same prompts"));
    }
    let answered = |c: &usize| bases.rows.iter().filter(|row| row[*c].is_some()).count() >= 2;
    let columns: Vec<usize> = (0..bases.columns.len()).filter(answered).collect();
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Mismatch, "no prompt was answered by two candidates")
            .hint("give all candidates the same prompts"));
    }
    Ok(columns)
}
