//! The one error type of the crate.
//!
//! Every error says what happened, in which file, and what the reader can do
//! about it. It is handled once, where it can be shown; nothing in the core
//! prints or panics on bad input.

use std::fmt;

/// What went wrong, coarsely: what a caller may want to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Reading failed: the file was deleted, moved or changed, or access was denied.
    Read,
    /// The content is of no kind that basetrace knows.
    Unrecognised,
    /// The file ends before its own header says it should.
    Truncated,
    /// The content contradicts itself or its format.
    Corrupt,
    /// A count or length is beyond the cap kept for it.
    TooLarge,
    /// Valid, but of a family, version or type that is not supported.
    Unsupported,
    /// A file or field that belongs to the input is not there.
    Missing,
    /// Two inputs that should fit each other do not.
    Mismatch,
    /// Text samples that cannot be used.
    Samples,
    /// More tokens than the model's context holds.
    Context,
    /// NaN or infinity in weights or in results.
    NotFinite,
    /// A wrong argument or setting.
    Usage,
    /// A defect in basetrace itself.
    Internal,
}

/// An error with what happened, where, and a hint what to do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Inner {
    kind: ErrorKind,
    what: String,
    file: Option<String>,
    hint: Option<String>,
}

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// # Errors
/// [`ErrorKind::Usage`] where the setting `name` is not between `from` and `to`.
pub fn within(name: &str, value: usize, from: usize, to: usize) -> Result<()> {
    if (from..=to).contains(&value) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, format!("{name} is {value}, outside {from} to {to}"))
        .hint("choose a value in that range"))
}

impl Error {
    /// An error of `kind`; `what` is a sentence without a full stop.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, what: what.into(), file: None, hint: None }))
    }

    /// Names the file, unless a callee nearer to it already did.
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.0.file.get_or_insert_with(|| file.into());
        self
    }

    /// Says what to do, unless a callee that knew better already did.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// What went wrong, coarsely.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without the file and the hint.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The file at fault, if one is.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// What to do about it, if anything helps.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.0.file {
            write!(f, "{file}: ")?;
        }
        f.write_str(&self.0.what)?;
        if let Some(hint) = &self.0.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// candle reports misuse of its own functions; our inputs are checked before,
/// so such an error is ours.
impl From<candle_core::Error> for Error {
    fn from(e: candle_core::Error) -> Self {
        Error::new(ErrorKind::Internal, e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_file_and_hint_win() {
        let e = Error::new(ErrorKind::Truncated, "the header ends early")
            .in_file("a.gguf")
            .hint("copy it again")
            .in_file("outer")
            .hint("other");
        assert_eq!(e.to_string(), "a.gguf: the header ends early (hint: copy it again)");
    }
}
