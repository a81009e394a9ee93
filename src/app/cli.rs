//! The native command: arguments and files in, a report and an exit code out.

mod answer;
mod bench;
mod compare;
mod files;
mod inspect;
mod progress;
mod prompts;
mod texts;

use crate::error::{Error, ErrorKind, Result};
use crate::job::memo::Memo;
use crate::job::{Job, Parameters};
use crate::prompts::file;
use crate::report::figures::plain;
use clap::{Args, Parser, Subcommand};
use files::{open, sources};
use std::io::Write;
use std::path::{Path, PathBuf};

const EXIT_CODES: &str = "Exit codes of rank:
  0  attributed to one candidate
  1  error: nothing could be ranked, or a result could not be written
  2  wrong usage
  3  undetermined: the evidence does not separate the candidates
  4  none of these: the evidence speaks against all candidates
Inputs that cannot be used are reported on standard error; the others are ranked.

Exit codes of inspect: 0 all files are usable, 1 some are not, 2 wrong usage.";

/// Trace a fine-tuned language model back to its pre-trained base.
#[derive(Parser)]
#[command(name = "basetrace", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rank candidate base models by samples of a suspect's text
    #[command(after_help = EXIT_CODES)]
    Rank(Rank),
    /// Say what a suspect's weights are to each candidate's
    #[command(after_help = EXIT_CODES)]
    Compare(compare::Compare),
    /// Say what each file is, which belong together and what is missing
    #[command(after_help = EXIT_CODES)]
    Inspect {
        /// Model files, folders or samples
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Choose prompts to put to a suspect, as JSON Lines
    Prompts(prompts::Prompts),
    /// Let models with weights answer a file of prompts, as JSON Lines
    Answer(answer::Answer),
    /// Measure the text methods on suspects whose bases are known
    Bench(bench::Bench),
    /// Train and measure the toy zoo
    #[cfg(feature = "zoo")]
    #[command(disable_help_flag = true)]
    Zoo {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

#[derive(Args)]
struct Rank {
    /// A candidate: a GGUF file, a Hugging Face folder, or a file of its responses
    /// (with a model column, of several candidates); may be repeated. A BERT encoder
    /// among them serves the text classifiers
    #[arg(long = "candidate", short, required = true, value_name = "PATH", num_args = 1..)]
    candidates: Vec<PathBuf>,
    /// The suspect's text: JSONL, JSON, CSV, TSV or plain; - is standard input.
    /// With a model column it may hold several suspects
    #[arg(long, short, required_unless_present = "suspects", value_name = "FILE", num_args = 1..)]
    samples: Vec<PathBuf>,
    /// The suspect's weights: a GGUF file or a folder; outweighs its text. May be repeated
    #[arg(long = "suspect", value_name = "PATH", num_args = 1..)]
    suspects: Vec<PathBuf>,
    /// Responses of known fine-tunes to learn from, with a model column, and with a
    /// base column that names the candidate each comes from, or --truth
    #[arg(long, value_name = "FILE", num_args = 1..)]
    labelled: Vec<PathBuf>,
    /// JSON object that names the candidate of each labelled fine-tune without a base column
    #[arg(long, value_name = "FILE", requires = "labelled")]
    truth: Option<PathBuf>,
    /// The prompts that the suspect was asked: the report then says which have no answer
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Whom the text classifiers know: all candidates, or one at a time
    #[arg(long, value_enum, default_value_t = texts::Level::Universal)]
    knowledge: texts::Level,
    /// What the text classifiers read
    #[arg(long, value_enum, default_value_t = texts::Reads::Response)]
    representation: texts::Reads,
    #[command(flatten)]
    training: texts::Trained,
    #[command(flatten)]
    output: compare::Output,
    /// Samples used at the most
    #[arg(long, value_name = "N", default_value_t = Parameters::default().max_samples)]
    max_samples: usize,
    /// Prompts that each candidate answers itself at the most
    #[arg(long, value_name = "N", default_value_t = Parameters::default().own_responses)]
    own_responses: usize,
    /// New tokens in a candidate's own response at the most
    #[arg(long, value_name = "N", default_value_t = Parameters::default().max_new_tokens)]
    max_new_tokens: usize,
    /// Temperature of the candidates' own responses
    #[arg(long, value_name = "T", default_value_t = Parameters::default().temperature)]
    temperature: f32,
    /// Nucleus mass of the candidates' own responses
    #[arg(long, value_name = "P", default_value_t = Parameters::default().top_p)]
    top_p: f32,
    /// Bootstrap rounds
    #[arg(long, value_name = "N", default_value_t = Parameters::default().bootstrap)]
    bootstrap: usize,
    /// Threads that score, each with a copy of one model [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
}

/// Runs the command line of this process; returns its exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come this way too, with code 0.
            let _ = e.print();
            return u8::try_from(e.exit_code()).unwrap_or(2);
        }
    };
    let done = match cli.command {
        Command::Rank(args) => rank(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Inspect { files } => inspect::inspect(&files),
        Command::Prompts(args) => prompts::prompts(&args),
        Command::Answer(args) => answer::answer(&args),
        Command::Bench(args) => bench::bench(&args),
        #[cfg(feature = "zoo")]
        Command::Zoo { args } => zoo(args),
    };
    done.unwrap_or_else(|e| {
        say("error", &e);
        1
    })
}

#[cfg(feature = "zoo")]
fn zoo(args: Vec<std::ffi::OsString>) -> Result<u8> {
    let help = args.iter().any(|a| a == "--help" || a == "-h" || a == "help");
    match crate::zoo::main(std::iter::once("basetrace zoo".into()).chain(args)) {
        // Help or usage as clap laid it out, over several lines.
        Err(e) if e.kind() == ErrorKind::Usage => {
            let _ = std::io::stderr().write_all(e.what().as_bytes());
            Ok(if help { 0 } else { 2 })
        }
        done => done.map(|()| 0),
    }
}

fn rank(args: &Rank) -> Result<u8> {
    let parameters = Parameters {
        seed: args.output.seed,
        max_samples: args.max_samples,
        own_responses: args.own_responses,
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_p: args.top_p,
        bootstrap: args.bootstrap,
        knowledge: args.knowledge.into(),
        representation: args.representation.into(),
        training: args.training.read(),
        queries: args.output.queries,
    };
    if let Err(e) = parameters.check() {
        say("error", &e);
        return Ok(2);
    }
    args.output.check()?;
    let job = job(args, &parameters, true)?;
    let mut memo = Memo::default();
    // Standard input can be read only once.
    let alone = args.samples.iter().any(|p| p.as_os_str() == "-");
    let threads = if alone { 1 } else { args.threads.map_or_else(compare::cores, usize::from) };
    compare::share(threads, &job, &|| self::job(args, &parameters, false), &mut memo, &args.output);
    compare::finish(&job, &mut memo, &args.output)
}

/// What the arguments name; `tell` says on standard error what cannot be used.
fn job(args: &Rank, parameters: &Parameters, tell: bool) -> Result<Job> {
    let mut problems = vec![];
    let weighed = !args.suspects.is_empty();
    let (mut candidates, written) = open(&args.candidates, weighed, &mut problems);
    let weights = compare::weights(&args.suspects, &mut problems);
    // Beside weights an encoder is a candidate like any other.
    let encoder =
        if weighed { None } else { crate::job::take_encoder(&mut candidates, &mut problems) };
    let mut given = texts::Given::default();
    let mut texts = given.groups("candidate responses", None, &written, &mut problems);
    crate::job::tell_apart(&candidates, &mut texts);
    let suspects = given.groups(
        "samples",
        Some("suspect"),
        &sources(&args.samples, &mut problems),
        &mut problems,
    );
    if let Some(path) = &args.prompts {
        let opened = sources(std::slice::from_ref(path), &mut problems);
        for source in opened {
            match file::open(source.as_ref()) {
                Ok(asked) => given.notes.extend(file::gaps(&asked, &suspects)),
                Err(e) => problems.push(e),
            }
            given.sources.push(("prompts".into(), source));
        }
    }
    let known = sources(&args.labelled, &mut problems);
    let known = given.groups("labelled fine-tunes", None, &known, &mut problems);
    let mut lists = vec![];
    if let Some(path) = &args.truth {
        match texts::truth(path) {
            Ok(labels) => lists.push(labels),
            Err(e) => problems.push(e),
        }
    }
    let (labelled, mut faults) = crate::labels::assign(known, &lists.iter().collect::<Vec<_>>());
    problems.append(&mut faults);
    if tell {
        problems.iter().for_each(|p| say("problem", p));
    }
    let usable = |missing: bool, what: &str, hint: &str| {
        if missing { Err(Error::new(ErrorKind::Missing, what).hint(hint)) } else { Ok(()) }
    };
    usable(
        candidates.is_empty() && texts.is_empty(),
        "no usable candidate",
        "see the problems above",
    )?;
    usable(
        suspects.is_empty() && weights.is_empty(),
        "no usable sample",
        "see the problems above",
    )?;

    Ok(Job {
        candidates,
        encoder,
        texts,
        labelled,
        suspects,
        weights,
        notes: given.notes,
        sources: given.sources,
        problems,
        parameters: parameters.clone(),
    })
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Error {
    Error::new(ErrorKind::Usage, format!("cannot be written: {e}"))
        .in_file(path.display().to_string())
        .hint("check that the folder exists and may be written")
}

/// Writes to standard output; a reader that has seen enough is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Usage, format!("standard output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}

/// One line on standard error; when even that is closed there is nobody to tell.
fn say(what: &str, e: &Error) {
    let _ = writeln!(std::io::stderr(), "{what}: {}", plain(&e.to_string()));
}
