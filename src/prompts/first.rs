//! Prompts in the order of the pool: what one gets without picking.

use super::{Picker, pool};
use crate::error::Result;
use crate::evidence::text::Tell;
use crate::responses::Responses;

/// Takes the first prompts.
#[derive(Clone, Copy, Debug)]
pub struct First;

impl Picker for First {
    fn name(&self) -> &'static str {
        "first"
    }

    fn about(&self) -> &'static str {
        "the first prompts in the order of the pool"
    }

    fn seeded(&self) -> bool {
        false
    }

    fn pick(&self, bases: &Responses, budget: usize, _: u64, _: Tell<'_>) -> Result<Vec<usize>> {
        let mut columns = pool::columns(bases, budget)?;
        columns.truncate(budget);
        Ok(columns)
    }
}
