//! Sorts dropped files, by content, into candidates and samples.

use crate::error::Error;
use crate::source::SharedSource;

/// The files that make up one candidate model.
#[derive(Clone)]
pub struct CandidateFiles {
    /// A short unique label: the file's stem or the folder's name.
    pub label: String,
    /// The files of the candidate (one GGUF, or a folder's parts).
    pub files: Vec<SharedSource>,
}

/// What a drop came to.
#[derive(Default)]
pub struct Gathered {
    /// Complete candidates.
    pub candidates: Vec<CandidateFiles>,
    /// Files that hold text samples.
    pub samples: Vec<SharedSource>,
    /// One error per file or group that cannot be used, e.g. "needs tokenizer.json".
    pub problems: Vec<Error>,
}

/// Sorts `files` by their content; names only decide which folder they share.
pub fn gather(files: &[SharedSource]) -> Gathered {
    let _ = files;
    Gathered::default()
}
