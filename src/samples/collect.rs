//! Gathers samples and counts what could not be used.

use super::{Note, Sample, Samples};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Places named per note; the rest is only counted.
const PLACES: usize = 5;
/// The longest prompt or response in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// The most samples from one file.
pub const MAX_ROWS: usize = 1_000_000;

/// What can be wrong with a row, in the order in which notes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes that are no characters.
    Encoding,
    /// A row that cannot be parsed.
    Row,
    /// A row without a response field.
    Missing,
    /// A response of nothing but space.
    Empty,
    /// A text beyond [`MAX_TEXT`].
    Long,
    /// More rows than [`MAX_ROWS`].
    Limit,
    /// The same prompt and response again.
    Duplicate,
}

const ALL: [Fault; 7] = [
    Fault::Encoding,
    Fault::Row,
    Fault::Missing,
    Fault::Empty,
    Fault::Long,
    Fault::Limit,
    Fault::Duplicate,
];

impl Fault {
    fn kind(self) -> &'static str {
        match self {
            Fault::Encoding => "bad-encoding",
            Fault::Row => "bad-row",
            Fault::Missing => "missing-field",
            Fault::Empty => "empty-response",
            Fault::Long => "too-long",
            Fault::Limit => "row-limit",
            Fault::Duplicate => "duplicate",
        }
    }

    /// The sentence for `n` of them.
    fn sentence(self, n: usize) -> String {
        let (s, was) = if n == 1 { ("", "was") } else { ("s", "were") };
        match self {
            Fault::Encoding => format!("{n} line{s} with bytes that are no text {was} repaired"),
            Fault::Row => format!("{n} row{s} that could not be parsed {was} left out"),
            Fault::Missing => format!("{n} row{s} without a response {was} left out"),
            Fault::Empty => format!("{n} empty response{s} {was} left out"),
            Fault::Long => format!("{n} row{s} with a text beyond 1 MiB {was} left out"),
            Fault::Limit => format!("{n} row{s} beyond the first {MAX_ROWS} {was} left out"),
            Fault::Duplicate => {
                format!("{n} duplicate{s} (same prompt and response) {was} left out")
            }
        }
    }
}

/// Samples on their way in.
#[derive(Default)]
pub struct Collector {
    samples: Vec<Sample>,
    faults: Vec<(Fault, usize, Vec<String>)>,
    seen: HashSet<[u8; 32]>,
}

impl Collector {
    /// Takes one row in, or counts why not.
    pub fn add(&mut self, prompt: Option<String>, response: String, origin: String) {
        let prompt = prompt.filter(|p| !p.trim().is_empty());
        if response.trim().is_empty() {
            self.fault(Fault::Empty, origin);
        } else if response.len().max(prompt.as_ref().map_or(0, String::len)) > MAX_TEXT {
            self.fault(Fault::Long, origin);
        } else if self.samples.len() >= MAX_ROWS {
            self.fault(Fault::Limit, origin);
        } else if !self.seen.insert(digest(prompt.as_deref(), &response)) {
            self.fault(Fault::Duplicate, origin);
        } else {
            self.samples.push(Sample { prompt, response, origin });
        }
    }

    /// Counts a fault at a place.
    pub fn fault(&mut self, fault: Fault, place: String) {
        self.count(fault, 1, [place]);
    }

    fn count(&mut self, fault: Fault, n: usize, places: impl IntoIterator<Item = String>) {
        let at = match self.faults.iter().position(|f| f.0 == fault) {
            Some(at) => at,
            None => {
                self.faults.push((fault, 0, Vec::new()));
                self.faults.len() - 1
            }
        };
        let (_, count, kept) = &mut self.faults[at];
        *count += n;
        let room = PLACES.saturating_sub(kept.len());
        kept.extend(places.into_iter().take(room));
    }

    /// Takes in what another file came to.
    pub fn absorb(&mut self, part: Samples) {
        for note in part.notes {
            if let Some(&fault) = ALL.iter().find(|f| f.kind() == note.kind) {
                self.count(fault, note.count, note.places);
            }
        }
        for s in part.samples {
            self.add(s.prompt, s.response, s.origin);
        }
    }

    /// The samples and the notes.
    pub fn finish(mut self) -> Samples {
        self.faults.sort_by_key(|f| ALL.iter().position(|k| *k == f.0));
        let note = |(fault, count, places): (Fault, usize, Vec<String>)| Note {
            kind: fault.kind().to_owned(),
            text: fault.sentence(count),
            count,
            places,
        };
        Samples { samples: self.samples, notes: self.faults.into_iter().map(note).collect() }
    }
}

/// What makes two samples the same.
fn digest(prompt: Option<&str>, response: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    let prompt = prompt.unwrap_or_default();
    hash.update((prompt.len() as u64).to_le_bytes());
    hash.update(prompt);
    hash.update(response);
    hash.finalize().into()
}
