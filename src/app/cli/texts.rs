//! Files of responses on the command line: whose they are.

use crate::error::{Error, Result};
use crate::evidence::text::training::{Mode, Training};
use crate::evidence::text::{Knowledge, Representation};
use crate::labels::{self, Labels};
use crate::responses::Group;
use crate::samples::{self, Note};
use crate::source::{FileSource, SharedSource};
use std::path::Path;

/// Knowledge levels as arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// All candidates are known.
    Universal,
    /// One candidate at a time is known.
    Restricted,
}

impl From<Level> for Knowledge {
    fn from(level: Level) -> Self {
        match level {
            Level::Universal => Self::Universal,
            Level::Restricted => Self::Restricted,
        }
    }
}

/// Representations as arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Reads {
    /// The response alone.
    Response,
    /// Prompt and response.
    PromptResponse,
    /// The candidate's and the suspect's response to the same prompt.
    Pair,
}

impl From<Reads> for Representation {
    fn from(reads: Reads) -> Self {
        match reads {
            Reads::Response => Self::Response,
            Reads::PromptResponse => Self::PromptResponse,
            Reads::Pair => Self::Pair,
        }
    }
}

/// How classifiers on an encoder are trained, as arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct Trained {
    /// Train the encoder whole, as in the paper, rather than a head on it alone: slow
    #[arg(long)]
    whole: bool,
    /// Times that each example is seen [default: 20, whole 3]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Learning rate [default: 1e-3, whole 5e-5]
    #[arg(long, value_name = "R")]
    learning_rate: Option<f64>,
    /// Examples in a step [default: 32, whole 16]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
}

impl Trained {
    /// The settings, with the mode's defaults for what is not given.
    pub fn read(&self) -> Training {
        let of = Training::of(if self.whole { Mode::Whole } else { Mode::Frozen });
        Training {
            epochs: self.epochs.unwrap_or(of.epochs),
            learning_rate: self.learning_rate.unwrap_or(of.learning_rate),
            batch: self.batch.unwrap_or(of.batch),
            ..of
        }
    }
}

/// The files of responses as they come in.
#[derive(Default)]
pub struct Given {
    /// What was set aside or repaired.
    pub notes: Vec<Note>,
    /// The files with their roles.
    pub sources: Vec<(String, SharedSource)>,
}

impl Given {
    /// The models whose responses `files` hold; those without a name are `unnamed`, or named after their file.
    pub fn groups(
        &mut self,
        role: &str,
        unnamed: Option<&str>,
        files: &[SharedSource],
        problems: &mut Vec<Error>,
    ) -> Vec<Group> {
        let mut read = vec![];
        for source in files {
            match samples::read(source.as_ref()) {
                Ok(samples) => {
                    self.sources.push((role.into(), source.clone()));
                    read.push((source.name().to_owned(), samples));
                }
                Err(e) => problems.push(e),
            }
        }
        let (groups, notes, mut faults) = crate::responses::of_files(read, unnamed);
        self.notes.extend(notes);
        problems.append(&mut faults);
        groups
    }
}

/// Reads an object of model names and their candidates.
///
/// # Errors
/// Where the file cannot be read or is no such object.
pub fn truth(path: &Path) -> Result<Labels> {
    labels::read(&FileSource::open(path, path.display().to_string())?)
}
