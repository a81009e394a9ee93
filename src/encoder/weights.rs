//! An encoder's weights, under the names of either container.

use super::config::Sizes;
use super::forward::{Layer, Linear, Network, Norm};
use crate::decoder::config::Part;
use crate::decoder::families::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, Metadata};
use candle_core::{Device, Tensor};

/// Values read and unpacked at a time.
const PIECE: usize = 1 << 20;

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

/// Where the parts of an encoder lie, under the decoders' names for them: for
/// comparing weights. Its norms come after what they normalise.
pub fn place(gguf: bool, part: Part) -> Option<Place> {
    let own = |names: [&str; 2]| Place::whole(names[usize::from(gguf)]);
    let (i, names) = match part {
        Part::Embedding => return own(WORDS),
        Part::Positions => return own(POSITIONS),
        Part::EmbeddingNorm => return own(EMBEDDING_NORM),
        Part::Query(i) => (i, QUERY),
        Part::Key(i) => (i, KEY),
        Part::Value(i) => (i, VALUE),
        Part::Output(i) => (i, OUTPUT),
        Part::AttentionNorm(i) => (i, ATTENTION_NORM),
        Part::Up(i) => (i, UP),
        Part::Down(i) => (i, DOWN),
        Part::MlpNorm(i) => (i, NORM),
        _ => return None,
    };
    Place::whole(in_layer(gguf, i, names))
}

fn in_layer(gguf: bool, i: usize, names: [&str; 2]) -> String {
    if gguf { format!("blk.{i}.{}", names[1]) } else { format!("encoder.layer.{i}.{}", names[0]) }
}

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
        let at = |part: [&str; 2]| in_layer(gguf, i, part);
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
        if info.shape != shape {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "tensor \"{name}\" is {:?}, but the configuration needs {shape:?}",
                    info.shape
                ),
            )
            .hint("the configuration and the weights are of different models"));
        }
        // A vector is one row; pieces keep what is read from being in memory twice.
        let rows = shape[..shape.len() - 1].iter().product::<usize>();
        let cols = shape.last().copied().unwrap_or(1);
        let step = (PIECE / cols.max(1)).max(1);
        let mut values = Vec::with_capacity(rows * cols);
        for from in (0..rows).step_by(step) {
            values.extend(self.archive.floats(&name, from..rows.min(from + step))?);
        }
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}
