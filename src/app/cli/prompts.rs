//! `basetrace prompts`: a file of prompts to run against a suspect.

use super::{print, say, sources, texts};
use crate::error::Result;
use crate::prompts::file;
use crate::responses::Responses;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Prompts {
    /// curated (edge cases of what the candidates were trained on), naive (a broad
    /// mixture), both; agreement (random words, for the test of next-token agreement:
    /// a word or two of answer is enough, at temperature 0); or picked from what the
    /// candidates answered: first, random, greedy, rl
    #[arg(long, value_name = "NAME", default_value = "both")]
    strategy: String,
    /// Prompts at the most
    #[arg(long, value_name = "N", default_value_t = 150)]
    budget: usize,
    /// Responses of the candidates to pick by, with a model column
    #[arg(long, value_name = "FILE", num_args = 1..)]
    bases: Vec<PathBuf>,
    /// Seed of every random draw
    #[arg(long, value_name = "N", default_value_t = 2306)]
    seed: u64,
}

/// Prints the prompts.
///
/// # Errors
/// Files that cannot be read, and what the picker cannot do.
pub fn prompts(args: &Prompts) -> Result<u8> {
    let mut problems = vec![];
    let bases = texts::Given::default().groups(
        "bases",
        None,
        &sources(&args.bases, &mut problems),
        &mut problems,
    );
    problems.iter().for_each(|p| say("problem", p));
    let chosen = file::choose(
        &args.strategy,
        &Responses::new(&bases),
        args.budget,
        args.seed,
        &mut |_, _| {},
    )?;
    print(&file::write(&chosen)?)?;
    Ok(0)
}
