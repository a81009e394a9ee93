//! Text samples of the suspect: prompt and response pairs from JSONL, JSON,
//! CSV, TSV or plain text.

mod collect;
pub mod fields;
mod json;
mod table;
mod text;

use crate::error::{Error, ErrorKind, Result};
use crate::source::{Source, read_vec};
use collect::{Collector, Fault};

/// One response of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// The prompt, where one is known.
    pub prompt: Option<String>,
    /// What the model wrote.
    pub response: String,
    /// Where it came from: file name and line or row (1-based).
    pub origin: String,
    /// Which model wrote it, where a column says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Which set the prompt belongs to, where a column says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Which candidate its writer is known to come from, where a column says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

impl Sample {
    /// A response without a model's name.
    pub fn new(prompt: Option<String>, response: String, origin: String) -> Self {
        Self { prompt, response, origin, ..Self::default() }
    }
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
    /// Samples with an empty response, in input order: nothing to score, but
    /// saying nothing is a habit too, and the text methods count it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blank: Vec<Sample>,
    /// Counted irregularities.
    pub notes: Vec<Note>,
}

/// The longest file of samples in bytes.
pub const MAX_FILE: u64 = 256 << 20;

const HINT: &str = "use JSONL or CSV with the fields prompt and response, or plain text with a blank line between samples";

/// Reads one file of samples.
///
/// # Errors
/// Where the file cannot be read or holds nothing usable.
pub fn read(source: &dyn Source) -> Result<Samples> {
    if source.len() > MAX_FILE {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the file has {} bytes; at most 256 MiB are accepted", source.len()),
        )
        .in_file(source.name())
        .hint("a few hundred samples are plenty: cut the file down"));
    }
    parse(source.name(), &read_vec(source, 0, source.len() as usize)?)
}

/// Reads pasted text, as [`read`] reads a file, named `name`.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, bytes: &[u8]) -> Result<Samples> {
    let text::Decoded { text, bad_lines } = text::decode(bytes);
    if text.trim().is_empty() {
        return Err(nothing("there is no text in it", name));
    }
    let mut out = Collector::default();
    for line in bad_lines {
        out.fault(Fault::Encoding, format!("{name} line {line}"));
    }
    if looks_like_json(&text) {
        json(&text, name, &mut out)?;
    } else if let Some(layout) = table::layout(&text) {
        table::read(&text, layout, name, &mut out)?;
    } else {
        table::paragraphs(&text, name, &mut out);
    }
    let samples = out.finish();
    if samples.samples.is_empty() {
        if samples.notes.is_empty() {
            return Err(nothing("there are no samples in it", name));
        }
        let notes: Vec<&str> = samples.notes.iter().map(|n| n.text.as_str()).collect();
        return Err(nothing(&format!("no usable samples: {}", notes.join("; ")), name));
    }
    Ok(samples)
}

fn nothing(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::Samples, what).in_file(name).hint(HINT)
}

/// Whether text opens as JSON does, and not as a sentence in brackets.
fn looks_like_json(text: &str) -> bool {
    let mut chars = text.chars().filter(|c| !c.is_whitespace());
    matches!(
        (chars.next(), chars.next()),
        (Some('{'), Some('"' | '}')) | (Some('['), Some('{' | '[' | '"' | ']'))
    )
}

/// One JSON value, or one on each line.
fn json(text: &str, name: &str, out: &mut Collector) -> Result<()> {
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    let first_stands =
        lines.next().is_some_and(|l| serde_json::from_str::<serde::de::IgnoredAny>(l).is_ok());
    let several = lines.next().is_some();
    if first_stands && several {
        json::lines(text, name, out);
        return Ok(());
    }
    match serde_json::from_str(text) {
        Ok(value) => json::document(value, name, out),
        // A first line that is broken does not make the others so.
        Err(_) if several && text.trim_start().starts_with('{') && lines_stand(text) => {
            json::lines(text, name, out);
        }
        Err(e) => {
            return Err(nothing(&format!("this is not valid JSON: {e}"), name));
        }
    }
    Ok(())
}

/// Whether any line alone is a JSON object.
fn lines_stand(text: &str) -> bool {
    text.lines().any(|l| {
        l.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(l).is_ok()
    })
}

/// One list from several, duplicates across them counted too.
pub fn merge(parts: Vec<Samples>) -> Samples {
    let mut out = Collector::default();
    parts.into_iter().for_each(|part| out.absorb(part));
    out.finish()
}

#[cfg(test)]
mod tests;
