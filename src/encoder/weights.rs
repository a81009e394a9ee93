//! An encoder's weights, under the names of either container.

use super::config::Sizes;
use super::forward::{Layer, Linear, Network, Norm};
use crate::decoder::kernels::Matrix;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, Metadata};
use candle_core::{CpuStorage, Device, Tensor};
use std::borrow::Cow;

/// Bytes read and unpacked at a time.
const PIECE: usize = 4 << 20;

/// The parts of a layer: as Hugging Face and as GGUF call them.
const QUERY: [&str; 2] = ["attention.self.query", "attn_q"];
const KEY: [&str; 2] = ["attention.self.key", "attn_k"];
const VALUE: [&str; 2] = ["attention.self.value", "attn_v"];
const OUTPUT: [&str; 2] = ["attention.output.dense", "attn_output"];
const ATTENTION_NORM: [&str; 2] = ["attention.output.LayerNorm", "attn_output_norm"];
const UP: [&str; 2] = ["intermediate.dense", "ffn_up"];
const DOWN: [&str; 2] = ["output.dense", "ffn_down"];
const NORM: [&str; 2] = ["output.LayerNorm", "layer_output_norm"];

/// The parts outside layers.
const WORDS: [&str; 2] = ["embeddings.word_embeddings", "token_embd"];
const POSITIONS: [&str; 2] = ["embeddings.position_embeddings", "position_embd"];
const TYPES: [&str; 2] = ["embeddings.token_type_embeddings", "token_types"];
const EMBEDDING_NORM: [&str; 2] = ["embeddings.LayerNorm", "token_embd_norm"];

/// Reads the weights that `sizes` asks for.
///
/// # Errors
/// Missing, misshapen, unreadable or non-finite tensors, by name.
pub fn load(archive: &Archive, sizes: Sizes) -> Result<Network> {
    let gguf = matches!(archive.metadata, Metadata::Gguf(_));
    // Models with a head keep the encoder under a name of its own, mostly `bert.`.
    let end = format!("{}.weight", WORDS[0]);
    let prefix = archive.tensors.keys().find_map(|k| k.strip_suffix(&end)).unwrap_or("");
    let l = Loader { archive, gguf, prefix: if gguf { "" } else { prefix } };
    let (h, f) = (sizes.hidden, sizes.intermediate);
    let types = if gguf && !archive.tensors.contains_key("token_types.weight") {
        Tensor::zeros((sizes.types, h), candle_core::DType::F32, &Device::Cpu)?
    } else {
        l.tensor(&l.name(TYPES, "weight"), &[sizes.types, h])?
    };
    let layer = |i: usize| {
        let at = |part: [&str; 2]| {
            if gguf {
                format!("blk.{i}.{}", part[1])
            } else {
                format!("encoder.layer.{i}.{}", part[0])
            }
        };
        Ok(Layer {
            query: l.linear(&at(QUERY), h, h)?,
            key: l.linear(&at(KEY), h, h)?,
            value: l.linear(&at(VALUE), h, h)?,
            output: l.linear(&at(OUTPUT), h, h)?,
            attention_norm: l.norm(&at(ATTENTION_NORM), h)?,
            up: l.linear(&at(UP), f, h)?,
            down: l.linear(&at(DOWN), h, f)?,
            norm: l.norm(&at(NORM), h)?,
        })
    };
    Ok(Network {
        words: l.tensor(&l.name(WORDS, "weight"), &[sizes.vocab, h])?,
        positions: l.tensor(&l.name(POSITIONS, "weight"), &[sizes.positions, h])?,
        types,
        norm: l.norm(EMBEDDING_NORM[usize::from(gguf)], h)?,
        layers: (0..sizes.layers).map(layer).collect::<Result<_>>()?,
        sizes,
    })
}

struct Loader<'a> {
    archive: &'a Archive,
    gguf: bool,
    prefix: &'a str,
}

impl Loader<'_> {
    fn name(&self, part: [&str; 2], suffix: &str) -> String {
        format!("{}.{suffix}", part[usize::from(self.gguf)])
    }

    fn linear(&self, name: &str, rows: usize, cols: usize) -> Result<Linear> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"), &[rows, cols])?,
            bias: self.tensor(&format!("{name}.bias"), &[rows])?,
        })
    }

    /// A normalisation; files converted from TensorFlow call its weights gamma and beta.
    fn norm(&self, name: &str, n: usize) -> Result<Norm> {
        let either = |new: &str, old: &str| {
            let old = format!("{name}.{old}");
            if self.archive.tensors.contains_key(&format!("{}{old}", self.prefix)) {
                old
            } else {
                format!("{name}.{new}")
            }
        };
        Ok(Norm {
            weight: self.tensor(&either("weight", "gamma"), &[n])?,
            bias: self.tensor(&either("bias", "beta"), &[n])?,
        })
    }

    /// Tensor `name` of `shape`, unpacked.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let info = self.archive.info(&name)?;
        let named = |kind, what: String| Error::new(kind, format!("tensor \"{name}\" {what}"));
        if info.shape != shape {
            return Err(named(
                ErrorKind::Mismatch,
                format!("is {:?}, but the configuration needs {shape:?}", info.shape),
            )
            .hint("the configuration and the weights are of different models"));
        }
        let cols = shape.last().copied().unwrap_or(0);
        let total: usize = shape.iter().product();
        let row = Matrix::row_bytes(cols, info.dtype).filter(|b| *b > 0);
        let row = row.ok_or_else(|| named(ErrorKind::Corrupt, "has no whole blocks".into()))?;
        let (rows, step) = (total / cols, (PIECE / row).max(1));
        let mut values = Vec::with_capacity(total);
        for from in (0..rows).step_by(step) {
            let n = step.min(rows - from);
            let bytes = self.archive.read(info, (from * row) as u64, n * row)?;
            // Block types are read in place, so their bytes must be aligned.
            let mut aligned = vec![0_u64; bytes.len().div_ceil(8)];
            bytemuck::cast_slice_mut::<u64, u8>(&mut aligned)[..bytes.len()]
                .copy_from_slice(&bytes);
            let bytes = &bytemuck::cast_slice::<u64, u8>(&aligned)[..bytes.len()];
            match info.dtype.from_data(Cow::Borrowed(bytes)).dequantize(n * cols)? {
                CpuStorage::F32(piece) => values.extend(piece),
                _ => return Err(named(ErrorKind::Internal, "did not unpack to f32".into())),
            }
        }
        if values.iter().any(|v| !v.is_finite()) {
            return Err(named(ErrorKind::NotFinite, "has a weight that is NaN or infinite".into())
                .hint("the file is damaged or the training of this model diverged"));
        }
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}
