//! `basetrace answer`: models with weights answer a file of prompts.

use super::progress::Bar;
use super::{open, print, say, sources};
use crate::error::{Error, ErrorKind, Result};
use crate::job::{Parameters, answer};
use crate::prompts::file;
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;

#[derive(Args)]
pub struct Answer {
    /// The model: a GGUF file or a Hugging Face folder; several answer in turn
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// The prompts: JSON Lines with a field prompt, or one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    prompts: PathBuf,
    /// New tokens in an answer at the most
    #[arg(long, value_name = "N", default_value_t = Parameters::default().max_new_tokens)]
    max_new_tokens: usize,
    /// Temperature; at 0 every answer takes the likeliest token always
    #[arg(long, value_name = "T", default_value_t = Parameters::default().temperature)]
    temperature: f32,
    /// Nucleus mass
    #[arg(long, value_name = "P", default_value_t = Parameters::default().top_p)]
    top_p: f32,
    /// Seed of every random draw
    #[arg(long, value_name = "N", default_value_t = Parameters::default().seed)]
    seed: u64,
    /// Let every N-th answer take the likeliest token always
    #[arg(long, value_name = "N")]
    greedy_every: Option<usize>,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Prints the answers as JSON Lines, model after model.
///
/// # Errors
/// Prompts that cannot be read, and models none of which can answer.
pub fn answer(args: &Answer) -> Result<u8> {
    let parameters = Parameters {
        seed: args.seed,
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_p: args.top_p,
        ..Parameters::default()
    };
    let checked = parameters.check().and_then(|()| match args.greedy_every {
        Some(0) => Err(Error::new(ErrorKind::Usage, "every 0th answer cannot be greedy")
            .hint("1 makes every answer greedy")),
        _ => Ok(()),
    });
    if let Err(e) = checked {
        say("error", &e);
        return Ok(2);
    }
    let mut problems = vec![];
    let source = sources(std::slice::from_ref(&args.prompts), &mut problems).pop();
    let Some(source) = source else {
        return Err(problems.pop().unwrap_or_else(|| Error::new(ErrorKind::Missing, "no prompts")));
    };
    let prompts = file::open(source.as_ref())?;
    let (models, texts) = open(&args.models, false, &mut problems);
    problems.extend(texts.iter().map(|s| {
        Error::new(ErrorKind::Mismatch, "is text and no model with weights").in_file(s.name())
    }));
    problems.iter().for_each(|p| say("problem", p));
    if models.is_empty() {
        return Err(
            Error::new(ErrorKind::Missing, "no usable model").hint("see the problems above")
        );
    }
    let mut whole = problems.is_empty();
    let mut bar = Bar::new(!args.quiet && std::io::stderr().is_terminal());
    for model in &models {
        let greedy = args.greedy_every;
        let rows = answer::answer(model, &prompts, &parameters, greedy, &mut |p| bar.show(p));
        bar.clear();
        // What one model cannot do must not cost the others' answers.
        match rows.and_then(|rows| answer::write(&rows)) {
            Ok(text) => print(&text)?,
            Err(e) => {
                say("problem", &e.in_file(&model.label));
                whole = false;
            }
        }
    }
    Ok(u8::from(!whole))
}
