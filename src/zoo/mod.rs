//! The toy zoo: small bases of several families and fine-tunes of them, to
//! measure the method on models whose descent is known (native only).
//!
//! `basetrace zoo build` fetches the texts, trains every base, fine-tunes it,
//! lets the fine-tunes answer [`prompts::PROMPTS`] and writes all of it under
//! one folder; `basetrace zoo publish` copies what the project keeps. Seeds,
//! mixes and sizes are in [`plan`]. The same program on the same kind of
//! processor gives the same bytes; another processor's vector units may add
//! in another order, and training carries the last bit a long way.

pub mod answer;
pub mod build;
pub mod corpora;
pub mod disguise;
pub mod evaluate;
pub mod extra;
pub mod files;
pub mod lineage;
pub mod plan;
pub mod prompts;
pub mod publish;
pub mod queries;
pub mod train;
pub mod uniform;
pub mod vocabulary;
pub mod weights;

#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;

/// `basetrace zoo …`.
#[derive(Parser)]
#[command(name = "basetrace zoo", about = "Makes the toy zoo: small bases and fine-tunes of them")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Downloads the texts.
    Fetch {
        /// Where to work.
        #[arg(long, default_value = "target/zoo")]
        out: PathBuf,
    },
    /// Trains whatever is not there yet.
    Build {
        /// Where to work.
        #[arg(long, default_value = "target/zoo")]
        out: PathBuf,
        /// Only these bases.
        #[arg(long)]
        only: Vec<String>,
        /// Bases alone, no fine-tunes.
        #[arg(long)]
        bases_only: bool,
    },
    /// Trains more models after a base's plan, each with a seed of its own, into `extra`.
    Spare {
        /// Where to work.
        #[arg(long, default_value = "target/zoo")]
        out: PathBuf,
        /// The bases whose plan is followed.
        #[arg(long, default_values = ["larch", "birch"])]
        plan: Vec<String>,
        /// Models of each.
        #[arg(long, default_value_t = 4)]
        count: usize,
        /// Steps of training.
        #[arg(long, default_value_t = 300)]
        steps: usize,
    },
    /// Fine-tunes a base by a low-rank adapter and merges it, into `adapters`.
    Adapter {
        /// Where to work.
        #[arg(long, default_value = "target/zoo")]
        out: PathBuf,
        /// The base.
        #[arg(long)]
        base: String,
        /// What it is trained on.
        #[arg(long)]
        domain: plan::Domain,
        /// Which matrices get an adapter.
        #[arg(long, value_enum, default_value_t = extra::Adapted::Qv)]
        adapted: extra::Adapted,
    },
    /// Writes a variant of a model of the zoo that computes the same, or nearly.
    Disguise {
        /// The model: a GGUF or a folder.
        #[arg(long)]
        model: PathBuf,
        /// The disguise; several are put on in turn.
        #[arg(long, required = true)]
        how: Vec<disguise::How>,
        /// Seed of every random draw.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where the variant goes.
        #[arg(long)]
        out: PathBuf,
        /// The other model of a merge.
        #[arg(long)]
        with: Option<PathBuf>,
    },
    /// Measures the tests on weights: every fine-tune, every disguise, all
    /// independent pairs; tables in Markdown.
    Lineage {
        /// Where the zoo is.
        #[arg(long, default_value = "target/zoo")]
        out: PathBuf,
        /// Fine-tunes that every disguise is tried on; one of each family and
        /// of the twin unless given.
        #[arg(long)]
        disguised: Vec<String>,
        /// Seed of every random draw.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Ranks the bases for every fine-tune by raw bits per byte.
    Score {
        /// Where the zoo is.
        #[arg(long, default_value = "target/zoo")]
        out: PathBuf,
    },
    /// Ranks the bundled bases for every fine-tune by the whole method.
    Evaluate {
        /// The bundled bases.
        #[arg(long, default_value = "www/demo")]
        bases: PathBuf,
        /// The fine-tunes' samples with truth.json.
        #[arg(long, default_value = "tests/data/zoo")]
        samples: PathBuf,
        /// New tokens of a candidate's own response.
        #[arg(long, default_value_t = 16)]
        max_new_tokens: usize,
    },
    /// Asks models whose descent is known what the tests on running models ask, and
    /// counts right and false matches.
    Queries {
        /// The bundled bases.
        #[arg(long, default_value = "www/demo")]
        bases: PathBuf,
        /// The fine-tunes' weights.
        #[arg(long, default_value = "target/zoo/tunes")]
        tunes: PathBuf,
        /// The fine-tunes' bases.
        #[arg(long, default_value = "tests/data/zoo/truth.json")]
        truth: PathBuf,
        /// Other models, independent of all: files or folders.
        #[arg(long, num_args = 0..)]
        others: Vec<PathBuf>,
        /// What models said is kept here, and not asked again.
        #[arg(long, default_value = "target/queries")]
        kept: PathBuf,
    },
    /// Copies what the project keeps into www/demo and tests/data/zoo.
    Publish {
        /// Where the zoo is.
        #[arg(long, default_value = "target/zoo")]
        out: PathBuf,
        /// The project's folder.
        #[arg(long, default_value = ".")]
        project: PathBuf,
    },
}

/// Runs `basetrace zoo` with `args` (the program's name first); progress goes to
/// standard error, results to standard output.
///
/// # Errors
/// [`ErrorKind::Usage`] for wrong arguments (the text is clap's own, also for
/// `--help`), else what went wrong.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<()> {
    let arguments = Arguments::try_parse_from(args)
        .map_err(|e| Error::new(ErrorKind::Usage, e.render().to_string()))?;
    match arguments.command {
        Command::Fetch { out } => corpora::fetch(&out.join("corpora")),
        Command::Build { out, only, bases_only } => build::build(&out, &only, bases_only),
        Command::Spare { out, plan, count, steps } => extra::spare(&out, &plan, count, steps),
        Command::Adapter { out, base, domain, adapted } => {
            extra::adapter(&out, &base, domain, adapted)
        }
        Command::Disguise { model, how, seed, out, with } => {
            disguise::disguise(&model, &how, seed, &out, with.as_deref())
        }
        Command::Lineage { out, mut disguised, seed } => {
            if disguised.is_empty() {
                disguised = lineage::handful();
            }
            lineage::lineage(&out, &disguised, seed).map(|tables| tell(format_args!("{tables}")))
        }
        Command::Score { out } => publish::score(&out),
        Command::Evaluate { bases, samples, max_new_tokens } => {
            evaluate::evaluate(&bases, &samples, max_new_tokens)
                .map(|table| tell(format_args!("{table}")))
        }
        Command::Queries { bases, tunes, truth, others, kept } => {
            queries::queries(&queries::Places { bases, tunes, truth, others, kept })
                .map(|table| tell(format_args!("{table}")))
        }
        Command::Publish { out, project } => publish::publish(&out, &project),
    }
}

/// Progress, a line of it; a closed terminal must not end hours of work.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line of results.
fn tell(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
