//! The hashes of a run's files.

use super::Progress;
use super::memo::ModelId;
use crate::error::Result;
use crate::formats::CandidateFiles;
use crate::report::Input;
use crate::source::{SharedSource, sha256};
use std::rc::Rc;

/// The SHA-256 of files, each read once if at all.
#[derive(Default)]
pub struct Digests(Vec<(SharedSource, String)>);

impl Digests {
    /// The hash of `source` in hex digits.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn of(&mut self, source: &SharedSource, progress: &mut dyn FnMut(&Progress)) -> Result<String> {
        if let Some((_, known)) = self.0.iter().find(|(s, _)| Rc::ptr_eq(s, source)) {
            return Ok(known.clone());
        }
        if let Some(known) = source.known_hash() {
            return Ok(known.to_owned());
        }
        let (stage, total) = (format!("Hashing {}", source.name()), source.len());
        let digest = sha256(source.as_ref(), |done| {
            progress(&Progress { stage: stage.clone(), done, total, unit: "bytes".into() });
        })?;
        self.0.push((Rc::clone(source), digest.clone()));
        Ok(digest)
    }

    /// What had to be read: the name and the hash of each file.
    pub fn read(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(source, hash)| (source.name().to_owned(), hash.clone())).collect()
    }

    /// A file as the report names it.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn input(
        &mut self,
        role: &str,
        source: &SharedSource,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Input> {
        let sha256 = self.of(source, progress)?;
        Ok(Input { name: source.name().into(), role: role.into(), bytes: source.len(), sha256 })
    }

    /// What the results of a model are known by; `None` where it cannot be read.
    pub fn model(
        &mut self,
        files: &CandidateFiles,
        progress: &mut dyn FnMut(&Progress),
    ) -> Option<ModelId> {
        let hashes = files.files.iter().map(|s| self.of(s, progress).ok());
        hashes.collect::<Option<Vec<String>>>().map(ModelId::new)
    }
}
