//! A model's weights by what they are, for comparing models instead of running
//! them: the same part of two files, whatever container, quantization, names
//! and order of rows.
//!
//! Matrices come out as output × input in the order of Hugging Face's modules.
//! Nothing is kept: every call reads from the file, so two models larger than
//! memory can be compared part by part.

mod slab;

pub use crate::decoder::config::Part;
pub use slab::Slab;

use crate::decoder::Config;
use crate::decoder::config::Position;
use crate::decoder::families::{self, Layout, Place};
use crate::decoder::locate::Prefix;
use crate::encoder::{self, Vocabulary, is_encoder};
use crate::error::Result;
use crate::formats::{Archive, CandidateFiles};
use crate::tokenizer::Tokenizer;
use std::ops::Range;

/// An opened model.
pub struct Anatomy {
    /// Its label.
    pub label: String,
    /// Its headers.
    pub archive: Archive,
    /// Configuration and places; `None` for a family that is not known.
    known: Option<(Layout, Prefix)>,
}

impl Anatomy {
    /// Opens a model's headers. A family that is not known is no error: its
    /// tensors can still be compared by name and shape.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open(files: &CandidateFiles) -> Result<Self> {
        Archive::open(files).map(Self::of)
    }

    /// The anatomy of an opened archive.
    pub fn of(archive: Archive) -> Self {
        let layout = if is_encoder(&archive) {
            encoder::layout(&archive)
        } else {
            families::layout(&archive)
        };
        let known = layout.ok().map(|layout| {
            let prefix = Prefix::find(&archive, &layout);
            (layout, prefix)
        });
        Self { label: archive.label.clone(), archive, known }
    }

    /// Its architecture and sizes, where the family is known.
    pub fn config(&self) -> Option<&Config> {
        self.known.as_ref().map(|(layout, _)| &layout.config)
    }

    /// The matrix of `part`; `None` where the model has none, or not one of
    /// two dimensions.
    pub fn matrix(&self, part: Part) -> Option<Slab<'_>> {
        let (place, name) = self.find(part, "weight")?;
        let info = self.archive.info(&name).ok()?;
        let &[outer, inner] = &info.shape[..] else { return None };
        let (stored, cols) = if place.transposed { (inner, outer) } else { (outer, inner) };
        let whole: Range<usize> = 0..stored;
        let ranges = if place.rows.is_empty() { Vec::from([whole]) } else { place.rows };
        if ranges.iter().any(|r| r.end > stored) {
            return None;
        }
        Some(Slab {
            archive: &self.archive,
            name,
            rows: ranges.iter().map(Range::len).sum(),
            cols,
            ranges,
            transposed: place.transposed,
            turned: self.interleaving(part),
        })
    }

    /// The bias of a linear part, or the weight of a norm, whole.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn vector(&self, part: Part, suffix: &str) -> Result<Option<Vec<f32>>> {
        let Some((place, name)) = self.find(part, suffix) else { return Ok(None) };
        let values = self.archive.floats(&name, 0..1)?;
        if place.rows.is_empty() {
            return Ok(Some(values));
        }
        let parts = place.rows.iter().map(|r| values.get(r.clone()));
        Ok(parts.collect::<Option<Vec<_>>>().map(|p| p.concat()))
    }

    fn find(&self, part: Part, suffix: &str) -> Option<(Place, String)> {
        let (layout, prefix) = self.known.as_ref()?;
        let place = (layout.place)(part)?;
        let name = prefix.name(&self.archive, &place, suffix);
        self.archive.tensors.contains_key(&name).then_some((place, name))
    }

    /// Head size and rotated dimensions, where the rows of this part are
    /// stored with rotary pairs as neighbours instead of halves apart.
    fn interleaving(&self, part: Part) -> Option<(usize, usize)> {
        let config = self.config()?;
        match (&config.position, part) {
            (Position::Rotary(r), Part::Query(_) | Part::Key(_)) if r.interleaved => {
                Some((config.head_dim, r.dims))
            }
            _ => None,
        }
    }

    /// What each token id stands for, in bytes; `None` for markup and unused ids.
    ///
    /// # Errors
    /// Where the tokenizer is missing or cannot be read.
    pub fn spellings(&self) -> Result<Vec<Option<Vec<u8>>>> {
        if is_encoder(&self.archive) {
            return Ok(Vocabulary::open(&self.archive)?.spellings());
        }
        Ok(Tokenizer::open(&self.archive)?.spellings())
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
