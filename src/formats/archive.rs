//! One candidate's tensors and metadata, whatever the container.

use crate::error::{Error, ErrorKind, Result};
use crate::source::{SharedSource, read_vec};
use candle_core::quantized::GgmlDType;
use std::collections::BTreeMap;

/// Where one tensor lies and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Element type as stored.
    pub dtype: GgmlDType,
    /// Outermost dimension first (rows, columns), also for GGUF, which stores them reversed.
    pub shape: Vec<usize>,
    /// Index into [`Archive::sources`].
    pub source: usize,
    /// Absolute byte offset in that source.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: usize,
}

/// What the container says of the model beside its tensors.
pub enum Metadata {
    /// GGUF key-value pairs.
    Gguf(super::gguf::Meta),
    /// A Hugging Face folder: config.json, and the raw text of tokenizer.json.
    HuggingFace {
        /// Parsed config.json.
        config: serde_json::Value,
        /// tokenizer.json as read.
        tokenizer: Vec<u8>,
    },
}

/// A candidate's opened headers: every tensor's place, no tensor's data.
pub struct Archive {
    /// The candidate's label.
    pub label: String,
    /// Configuration and tokenizer, as the container gives them.
    pub metadata: Metadata,
    /// Tensors by their name in the container.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// The files that the tensors lie in.
    pub sources: Vec<SharedSource>,
}

impl Archive {
    /// Reads the headers of one candidate's files.
    ///
    /// # Errors
    /// Whatever is wrong with the files, named by file.
    pub fn open(files: &super::CandidateFiles) -> Result<Self> {
        let _ = files;
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    /// The place of tensor `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] where there is none.
    pub fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Missing, format!("tensor \"{name}\" is not in the model"))
                .in_file(&self.label)
                .hint("the file is incomplete or of a variant that is not supported")
        })
    }

    /// `len` bytes of tensor `info`, from byte `from` within it.
    ///
    /// # Errors
    /// As [`read_vec`].
    pub fn read(&self, info: &TensorInfo, from: u64, len: usize) -> Result<Vec<u8>> {
        let source = &self.sources[info.source];
        read_vec(source.as_ref(), info.offset + from, len)
    }
}
