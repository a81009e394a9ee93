//! Prompts drawn by lot: what any other picker must beat.

use super::{Picker, pool};
use crate::error::Result;
use crate::evidence::text::Tell;
use crate::responses::Responses;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws prompts without putting them back.
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl Picker for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn about(&self) -> &'static str {
        "prompts drawn by lot"
    }

    fn seeded(&self) -> bool {
        true
    }

    fn pick(&self, bases: &Responses, budget: usize, seed: u64, _: Tell<'_>) -> Result<Vec<usize>> {
        let mut columns = pool::columns(bases, budget)?;
        shuffle(&mut columns, &mut ChaCha8Rng::seed_from_u64(seed));
        columns.truncate(budget);
        Ok(columns)
    }
}

/// Fisher and Yates's shuffle.
pub fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.random_range(0..=i));
    }
}
