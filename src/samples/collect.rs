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
    blank: Vec<Sample>,
    faults: Vec<(Fault, usize, Vec<String>)>,
    seen: HashSet<[u8; 32]>,
}

impl Collector {
    /// Takes one row in, or counts why not.
    pub fn add(&mut self, mut sample: Sample) {
        sample.prompt = sample.prompt.filter(|p| !p.trim().is_empty());
        let prompt = sample.prompt.as_ref().map_or(0, String::len);
        if sample.response.len().max(prompt) > MAX_TEXT {
            self.fault(Fault::Long, sample.origin);
        } else if self.samples.len() + self.blank.len() >= MAX_ROWS {
            self.fault(Fault::Limit, sample.origin);
        } else if sample.response.trim().is_empty() {
            self.fault(Fault::Empty, sample.origin.clone());
            self.blank.push(sample);
        } else if !self.seen.insert(digest(&sample)) {
            self.fault(Fault::Duplicate, sample.origin);
        } else {
            self.samples.push(sample);
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
        // Counted already where they were read.
        self.blank.extend(part.blank);
        part.samples.into_iter().for_each(|s| self.add(s));
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
        let notes = self.faults.into_iter().map(note).collect();
        Samples { samples: self.samples, blank: self.blank, notes }
    }
}

/// What makes two samples the same.
fn digest(sample: &Sample) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in [&sample.model, &sample.prompt] {
        let text = text.as_deref().unwrap_or_default();
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.update(&sample.response);
    hash.finalize().into()
}
