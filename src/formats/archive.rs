//! One candidate's tensors and metadata, whatever the container.

use super::sniff::{self, Kind};
use super::{CandidateFiles, gguf, safetensors, shards};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{SharedSource, read_vec};
use candle_core::CpuStorage;
use candle_core::quantized::GgmlDType;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

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
#[derive(Clone)]
pub enum Metadata {
    /// GGUF key-value pairs.
    Gguf(gguf::Meta),
    /// A Hugging Face folder: config.json, and the raw text of tokenizer.json
    /// (of vocab.txt for an encoder that has no other).
    HuggingFace {
        /// Parsed config.json.
        config: serde_json::Value,
        /// tokenizer.json or vocab.txt as read; empty where there is none.
        tokenizer: Vec<u8>,
    },
}

/// A candidate's opened headers: every tensor's place, no tensor's data.
#[derive(Clone)]
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
    pub fn open(files: &CandidateFiles) -> Result<Self> {
        let mut parts = Parts::default();
        for file in &files.files {
            parts.add(file)?;
        }
        if parts.gguf.is_empty() {
            parts.hugging_face(&files.label)
        } else {
            parts.gguf(&files.label)
        }
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|t| t.bytes as u64).sum()
    }

    /// The place of tensor `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] where there is none, [`ErrorKind::Unsupported`]
    /// where it is stored in a type that weights are not read in.
    pub fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| match self.stored_otherwise(name) {
            Some((dtype, source)) => Error::new(
                ErrorKind::Unsupported,
                format!("tensor \"{name}\" is stored as {dtype}, which is not supported"),
            )
            .in_file(source.name())
            .hint("use a copy of the model in F32, F16 or BF16"),
            None => {
                Error::new(ErrorKind::Missing, format!("tensor \"{name}\" is not in the model"))
                    .in_file(&self.label)
                    .hint("the file is incomplete or of a variant that is not supported")
            }
        })
    }

    /// The type of a tensor that is there, but not among [`Archive::tensors`].
    /// Looked up again only for the error's sake.
    fn stored_otherwise(&self, name: &str) -> Option<(String, &SharedSource)> {
        let Metadata::HuggingFace { .. } = self.metadata else { return None };
        self.sources.iter().find_map(|source| {
            let entry = safetensors::read(source.as_ref()).ok()?.remove(name)?;
            Some((entry.dtype_name, source))
        })
    }

    /// `len` bytes of tensor `info`, from byte `from` within it.
    ///
    /// # Errors
    /// As [`read_vec`].
    pub fn read(&self, info: &TensorInfo, from: u64, len: usize) -> Result<Vec<u8>> {
        let source = self.sources.get(info.source).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a tensor of another archive").in_file(&self.label)
        })?;
        let end = from.checked_add(len as u64);
        if end.is_none_or(|end| end > info.bytes as u64) {
            let what = format!("{len} bytes from {from} in a tensor of {} bytes", info.bytes);
            return Err(Error::new(ErrorKind::Internal, what).in_file(source.name()));
        }
        read_vec(source.as_ref(), info.offset + from, len)
    }

    /// Rows `rows` of tensor `name` as floats, row after row. A row is the last
    /// dimension; a vector is one row.
    ///
    /// # Errors
    /// As [`Archive::info`] and [`Archive::read`]; [`ErrorKind::NotFinite`]
    /// where a value is NaN or infinite.
    pub fn floats(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        let wrong = |kind, what: &str| {
            Error::new(kind, format!("tensor \"{name}\" {what}")).in_file(&self.label)
        };
        let cols = info.shape.last().copied().unwrap_or(1);
        let row = row_bytes(cols, info.dtype)
            .filter(|b| *b > 0)
            .ok_or_else(|| wrong(ErrorKind::Corrupt, "has no whole blocks in a row"))?;
        let bytes = self.read(info, (rows.start * row) as u64, rows.len() * row)?;
        // Block types are read in place, so their bytes must be aligned.
        let mut aligned = vec![0_u64; bytes.len().div_ceil(8)];
        let held = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut aligned)[..bytes.len()];
        held.copy_from_slice(&bytes);
        drop(bytes);
        match info.dtype.from_data(Cow::Borrowed(held)).dequantize(rows.len() * cols)? {
            CpuStorage::F32(values) if values.iter().all(|v| v.is_finite()) => Ok(values),
            CpuStorage::F32(_) => {
                Err(wrong(ErrorKind::NotFinite, "has a weight that is NaN or infinite")
                    .hint("the file is damaged or the training of this model diverged"))
            }
            _ => Err(wrong(ErrorKind::Internal, "did not unpack to f32")),
        }
    }
}

/// Bytes of one row of `cols` values as stored; `None` where it is no whole number of blocks.
pub fn row_bytes(cols: usize, dtype: GgmlDType) -> Option<usize> {
    cols.is_multiple_of(dtype.block_size()).then(|| cols / dtype.block_size() * dtype.type_size())
}

/// A candidate's files by what they are.
#[derive(Default)]
struct Parts {
    gguf: Vec<SharedSource>,
    weights: Vec<SharedSource>,
    config: Vec<SharedSource>,
    tokenizer: Vec<SharedSource>,
    vocabulary: Vec<SharedSource>,
    index: Vec<SharedSource>,
}

impl Parts {
    fn add(&mut self, file: &SharedSource) -> Result<()> {
        let list = match sniff::kind(file.as_ref())? {
            Kind::Gguf => &mut self.gguf,
            Kind::Safetensors => &mut self.weights,
            Kind::Config => &mut self.config,
            Kind::Tokenizer => &mut self.tokenizer,
            Kind::Vocabulary => &mut self.vocabulary,
            Kind::Index => &mut self.index,
            Kind::Foreign(error) => return Err(error),
            Kind::Adapter
            | Kind::Companion
            | Kind::Samples
            | Kind::Labels
            | Kind::Perhaps { .. } => return Ok(()),
        };
        list.push(file.clone());
        Ok(())
    }

    fn gguf(self, label: &str) -> Result<Archive> {
        let [source] = self.gguf.as_slice() else {
            return Err(Error::new(ErrorKind::Usage, "one candidate is one GGUF file")
                .in_file(label)
                .hint("give each GGUF file as a candidate of its own"));
        };
        let gguf::Header { meta, tensors } = gguf::read(source.as_ref())?;
        let unsupported = |what: String, hint: &str| {
            Err(Error::new(ErrorKind::Unsupported, what).in_file(source.name()).hint(hint))
        };
        if let Some(n) = meta.uint("split.count").filter(|&n| n > 1) {
            return unsupported(
                format!("this is one of {n} parts of a split GGUF model, which is not supported"),
                "join the parts with `llama-gguf-split --merge`",
            );
        }
        match meta.str("general.type") {
            None | Some("model") => {}
            Some(other) => {
                return unsupported(
                    format!("this GGUF file holds no model, but \"{other}\""),
                    "add the model itself; an adapter must be merged into its base first",
                );
            }
        }
        if tensors.is_empty() {
            return Err(Error::new(ErrorKind::Missing, "the file holds no tensors")
                .in_file(source.name())
                .hint("this may be a vocabulary alone: add the whole model"));
        }
        Ok(Archive {
            label: label.to_owned(),
            metadata: Metadata::Gguf(meta),
            tensors,
            sources: self.gguf,
        })
    }

    fn hugging_face(self, label: &str) -> Result<Archive> {
        let config = one(&self.config, label, "config.json")?;
        let bytes = read_all(config)?;
        let config: serde_json::Value =
            serde_json::from_slice(without_mark(&bytes)).map_err(|e| {
                Error::new(ErrorKind::Corrupt, format!("this is not valid JSON: {e}"))
                    .in_file(config.name())
                    .hint("download the file again")
            })?;
        // Older encoders have their pieces in vocab.txt alone; in a decoder's
        // folder the same file would not do.
        let encoder = config.get("model_type").is_some_and(|t| t == "bert");
        let plain = encoder && self.tokenizer.is_empty() && !self.vocabulary.is_empty();
        let tokenizer = if plain { &self.vocabulary } else { &self.tokenizer };
        // Weights can be compared without one; whoever needs it says that it is missing.
        let mut tokenizer = match tokenizer.is_empty() {
            true => vec![],
            false => read_all(one(tokenizer, label, "tokenizer.json")?)?,
        };
        if tokenizer.len() != without_mark(&tokenizer).len() {
            tokenizer.drain(..3);
        }
        let (sources, tensors) = shards::open(label, &self.weights, &self.index)?;
        Ok(Archive {
            label: label.to_owned(),
            metadata: Metadata::HuggingFace { config, tokenizer },
            tensors,
            sources,
        })
    }
}

fn one<'a>(list: &'a [SharedSource], label: &str, what: &str) -> Result<&'a SharedSource> {
    match list {
        [one] => Ok(one),
        [] => Err(missing(label, what)),
        [a, b, ..] => Err(Error::new(
            ErrorKind::Mismatch,
            format!("{label} has more than one {what}: {} and {}", a.name(), b.name()),
        )
        .hint("put each model into a folder of its own")),
    }
}

/// The error for a candidate without one of its parts.
pub fn missing(label: &str, what: &str) -> Error {
    Error::new(ErrorKind::Missing, format!("{label} needs {what}"))
        .hint("add it from the same model folder or page")
}

fn read_all(source: &SharedSource) -> Result<Vec<u8>> {
    if source.len() > sniff::MAX_JSON {
        return Err(Error::new(ErrorKind::TooLarge, "the file is longer than 64 MiB")
            .in_file(source.name())
            .hint("no real configuration or tokenizer is: check which file this is"));
    }
    read_vec(source.as_ref(), 0, source.len() as usize)
}

/// `bytes` without a byte-order mark.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
