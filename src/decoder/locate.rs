//! Under which name a part's tensor lies in one file.

use super::config::Part;
use super::families::{Layout, Place};
use crate::formats::Archive;

/// How names in a file differ from the family's.
pub enum Prefix {
    /// All names have this before them.
    Add(String),
    /// All names lack this.
    Strip(String),
}

impl Prefix {
    /// Files saved from a bare model, or from a model around it, shift all names alike.
    pub fn find(archive: &Archive, layout: &Layout) -> Self {
        let Some(Place { name, .. }) = (layout.place)(Part::Embedding) else {
            return Self::Add(String::new());
        };
        let whole = format!("{name}.weight");
        if archive.tensors.contains_key(&whole) {
            return Self::Add(String::new());
        }
        if let Some((first, rest)) = name.split_once('.')
            && archive.tensors.contains_key(&format!("{rest}.weight"))
        {
            return Self::Strip(format!("{first}."));
        }
        // The shortest, should a model hold several of one family.
        let longer = archive.tensors.keys().filter_map(|k| k.strip_suffix(&whole));
        let prefix = longer.filter(|p| p.ends_with('.')).min_by_key(|p| p.len());
        Self::Add(prefix.unwrap_or_default().to_owned())
    }

    fn apply(&self, name: &str) -> String {
        match self {
            Self::Add(prefix) => format!("{prefix}{name}"),
            Self::Strip(prefix) => name.strip_prefix(prefix.as_str()).unwrap_or(name).to_owned(),
        }
    }

    /// The tensor name of `place` with `suffix`, as this file has it.
    pub fn name(&self, archive: &Archive, place: &Place, suffix: &str) -> String {
        let plain = format!("{}.{suffix}", place.name);
        if archive.tensors.contains_key(&plain) { plain } else { self.apply(&plain) }
    }
}
