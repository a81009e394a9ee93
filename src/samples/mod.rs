//! Text samples of the suspect: prompt and response pairs from JSONL, JSON,
//! CSV, TSV or plain text.

pub mod fields;

use crate::error::Result;
use crate::source::Source;

/// One response of the suspect.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// The prompt, where one is known.
    pub prompt: Option<String>,
    /// What the suspect wrote.
    pub response: String,
    /// Where it came from: file name and line or row (1-based).
    pub origin: String,
}

/// Something that was counted and set aside or repaired rather than dropped in silence.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Note {
    /// e.g. `empty-response`, `duplicate`, `missing-field`, `bad-encoding`, `bad-row`.
    pub kind: String,
    /// A sentence for the reader, e.g. "3 empty responses were left out".
    pub text: String,
    /// How many.
    pub count: usize,
    /// The first few places, e.g. "s.jsonl line 4".
    pub places: Vec<String>,
}

/// The usable samples and what was noticed on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Samples {
    /// Usable samples, in input order.
    pub samples: Vec<Sample>,
    /// Counted irregularities.
    pub notes: Vec<Note>,
}

/// Reads one file of samples.
///
/// # Errors
/// Where the file cannot be read or holds nothing usable.
pub fn read(source: &dyn Source) -> Result<Samples> {
    let _ = source;
    Ok(Samples::default())
}

/// Reads pasted text, as [`read`] reads a file, named `name`.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, bytes: &[u8]) -> Result<Samples> {
    let _ = (name, bytes);
    Ok(Samples::default())
}

/// One list from several, duplicates across them counted too.
pub fn merge(parts: Vec<Samples>) -> Samples {
    parts.into_iter().next().unwrap_or_default()
}
