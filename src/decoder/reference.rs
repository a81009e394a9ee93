//! A plain decoder in candle tensor operations: the slow oracle of the fast
//! one, and, being differentiable, what the toy zoo is trained with.
//!
//! Whole sequences at once, no cache, every step a line that can be checked
//! against the definition in [`Config`]. It is not part of the product.

use super::config::{Activation, Config, Norm, Part, Position, Residual, Rotary};
use crate::error::{Error, ErrorKind, Result};
use candle_core::{D, DType, Tensor};
use std::collections::BTreeMap;

/// A weight and, where the layer has one, its bias.
pub type Weight = (Tensor, Option<Tensor>);

/// A decoder over F32 tensors (plain ones, or variables to be trained).
pub struct Reference {
    config: Config,
    parts: BTreeMap<Part, Weight>,
}

/// Positions of one batch: rotary tables and attention biases by layer kind.
struct Tables {
    rotary: Option<(Tensor, Tensor)>,
    local: Option<(Tensor, Tensor)>,
}

impl Reference {
    /// A decoder of `config` over `parts`, matrices output × input, all F32.
    pub fn new(config: Config, parts: BTreeMap<Part, Weight>) -> Self {
        Self { config, parts }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its weights.
    pub fn parts(&self) -> &BTreeMap<Part, Weight> {
        &self.parts
    }

    /// Logits (batch × length × vocab) of `tokens` (batch × length, U32).
    ///
    /// Sequences of unequal length may be padded at their end: no position
    /// sees a later one.
    ///
    /// # Errors
    /// [`ErrorKind::Context`] where the sequence is longer than the context,
    /// [`ErrorKind::Missing`] where a part is absent, or candle's own.
    pub fn logits(&self, tokens: &Tensor) -> Result<Tensor> {
        let c = &self.config;
        let (batch, len) = tokens.dims2()?;
        if len > c.context {
            return Err(Error::new(
                ErrorKind::Context,
                format!("{len} tokens, but the model's context is {}", c.context),
            ));
        }
        let embedding = &self.part(Part::Embedding)?.0;
        let mut x = embedding.index_select(&tokens.flatten_all()?, 0)?;
        x = x.reshape((batch, len, c.embedding))?;
        if c.embedding_scale != 1.0 {
            x = (x * f64::from(c.embedding_scale))?;
        }
        if self.parts.contains_key(&Part::ProjectIn) {
            x = self.linear(&x, Part::ProjectIn)?;
        }
        if let Position::Learned { offset } = c.position {
            x = x.broadcast_add(&self.part(Part::Positions)?.0.narrow(0, offset, len)?)?;
        }
        if c.embedding_norm {
            x = self.norm(&x, Part::EmbeddingNorm)?;
        }
        let tables = self.tables(len)?;
        for layer in 0..c.layers {
            x = self.layer(&x, layer, &tables)?;
        }
        if c.final_norm {
            x = self.norm(&x, Part::FinalNorm)?;
        }
        if self.parts.contains_key(&Part::ProjectOut) {
            x = self.linear(&x, Part::ProjectOut)?;
        }
        let head = if self.parts.contains_key(&Part::Head) { Part::Head } else { Part::Embedding };
        self.linear(&x, head)
    }

    fn part(&self, part: Part) -> Result<&Weight> {
        self.parts
            .get(&part)
            .ok_or_else(|| Error::new(ErrorKind::Missing, format!("the model has no {part:?}")))
    }

    /// x · Wᵀ + b over the last dimension of `x` (batch × length × input).
    fn linear(&self, x: &Tensor, part: Part) -> Result<Tensor> {
        let (weight, bias) = self.part(part)?;
        let (batch, len, width) = x.dims3()?;
        let mut y = x.reshape((batch * len, width))?.matmul(&weight.t()?)?;
        if let Some(bias) = bias {
            y = y.broadcast_add(bias)?;
        }
        Ok(y.reshape((batch, len, weight.dim(0)?))?)
    }

    /// Normalises the last dimension of `x`.
    fn norm(&self, x: &Tensor, part: Part) -> Result<Tensor> {
        let (weight, bias) = self.part(part)?;
        let x = match self.config.norm {
            Norm::Layer => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
            Norm::Rms | Norm::RmsPlusOne => x.clone(),
        };
        let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
        let x = x.broadcast_div(&(variance + f64::from(self.config.norm_eps))?.sqrt()?)?;
        let weight = match self.config.norm {
            Norm::RmsPlusOne => (weight + 1.0)?,
            Norm::Rms | Norm::Layer => weight.clone(),
        };
        let x = x.broadcast_mul(&weight)?;
        Ok(match bias {
            Some(bias) => x.broadcast_add(bias)?,
            None => x,
        })
    }

    fn layer(&self, x: &Tensor, layer: usize, tables: &Tables) -> Result<Tensor> {
        let (norm1, norm2) = (Part::AttentionNorm(layer), Part::MlpNorm(layer));
        Ok(match self.config.residual {
            Residual::Sequential => {
                let x = (x + self.attention(&self.norm(x, norm1)?, layer, tables)?)?;
                (&x + self.mlp(&self.norm(&x, norm2)?, layer)?)?
            }
            Residual::Parallel => {
                let attended = self.attention(&self.norm(x, norm1)?, layer, tables)?;
                ((x + attended)? + self.mlp(&self.norm(x, norm2)?, layer)?)?
            }
            Residual::ParallelShared => {
                let normed = self.norm(x, norm1)?;
                ((x + self.attention(&normed, layer, tables)?)? + self.mlp(&normed, layer)?)?
            }
            Residual::PostNorm => {
                let x = self.norm(&(x + self.attention(x, layer, tables)?)?, norm1)?;
                self.norm(&(&x + self.mlp(&x, layer)?)?, norm2)?
            }
        })
    }

    fn mlp(&self, x: &Tensor, layer: usize) -> Result<Tensor> {
        let up = self.linear(x, Part::Up(layer))?;
        let inner = if self.config.gated {
            (self.activate(&self.linear(x, Part::Gate(layer))?)? * up)?
        } else {
            self.activate(&up)?
        };
        let out = self.linear(&inner, Part::Down(layer))?;
        if self.config.output_norms { self.norm(&out, Part::MlpOutputNorm(layer)) } else { Ok(out) }
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self.config.activation {
            Activation::Silu => x.silu()?,
            Activation::Gelu => x.gelu_erf()?,
            Activation::GeluTanh => x.gelu()?,
            Activation::Relu => x.relu()?,
        })
    }

    fn attention(&self, x: &Tensor, layer: usize, tables: &Tables) -> Result<Tensor> {
        let c = &self.config;
        let (batch, len, _) = x.dims3()?;
        // batch × heads × length × head size
        let split = |part, heads: usize| -> Result<Tensor> {
            let y = self.linear(x, part)?.reshape((batch, len, heads, c.head_dim))?;
            Ok(y.transpose(1, 2)?.contiguous()?)
        };
        let mut q = split(Part::Query(layer), c.heads)?;
        let mut k = split(Part::Key(layer), c.kv_heads)?;
        let mut v = split(Part::Value(layer), c.kv_heads)?;
        if c.qk_norm {
            q = self.norm(&q, Part::QueryNorm(layer))?;
            k = self.norm(&k, Part::KeyNorm(layer))?;
        }
        let window = c.windows.get(layer).copied().flatten();
        if let Position::Rotary(rotary) = &c.position {
            let local = window.and(tables.local.as_ref());
            if let Some((cos, sin)) = local.or(tables.rotary.as_ref()) {
                q = rotate(&q, rotary, cos, sin)?;
                k = rotate(&k, rotary, cos, sin)?;
            }
        }
        if c.kv_heads != c.heads {
            k = repeat(&k, c.heads / c.kv_heads)?;
            v = repeat(&v, c.heads / c.kv_heads)?;
        }
        let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * f64::from(c.attention_scale))?;
        let scores = scores.broadcast_add(&self.bias(len, window)?)?;
        let y = softmax(&scores)?.matmul(&v)?;
        let y = y.transpose(1, 2)?.reshape((batch, len, c.q_width()))?;
        let y = self.linear(&y, Part::Output(layer))?;
        if c.output_norms { self.norm(&y, Part::AttentionOutputNorm(layer)) } else { Ok(y) }
    }

    /// What is added to query · key: −∞ where a query must not look, and
    /// ALiBi's distances. heads × length × length, or 1 × length × length.
    fn bias(&self, len: usize, window: Option<usize>) -> Result<Tensor> {
        let c = &self.config;
        let slopes =
            if c.position == Position::Alibi { alibi_slopes(c.heads) } else { vec![0.0; 1] };
        let mut values = Vec::with_capacity(slopes.len() * len * len);
        for slope in &slopes {
            for query in 0..len {
                values.extend((0..len).map(|key| {
                    let hidden = key > query || window.is_some_and(|w| key + w <= query);
                    if hidden { f32::NEG_INFINITY } else { -slope * (query - key) as f32 }
                }));
            }
        }
        Ok(Tensor::from_vec(values, (slopes.len(), len, len), &candle_core::Device::Cpu)?)
    }

    fn tables(&self, len: usize) -> Result<Tables> {
        let Position::Rotary(rotary) = &self.config.position else {
            return Ok(Tables { rotary: None, local: None });
        };
        let local = rotary.local_frequencies.as_deref().map(|f| rotary_tables(f, len));
        Ok(Tables {
            rotary: Some(rotary_tables(&rotary.frequencies, len)?),
            local: local.transpose()?,
        })
    }
}

/// Softmax over the last dimension. The maximum is held constant: it cancels
/// in the value, and so in the gradient.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let e = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?)
}

/// Log-softmax over the last dimension.
///
/// # Errors
/// candle's own.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let x = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?;
    Ok(x.broadcast_sub(&x.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
}

/// Each key or value head for `times` query heads in a row.
fn repeat(x: &Tensor, times: usize) -> Result<Tensor> {
    let (batch, heads, len, size) = x.dims4()?;
    let x = x.unsqueeze(2)?.broadcast_as((batch, heads, times, len, size))?;
    Ok(x.contiguous()?.reshape((batch, heads * times, len, size))?)
}

/// Cosines and sines (length × pairs) of position · frequency.
fn rotary_tables(frequencies: &[f32], len: usize) -> Result<(Tensor, Tensor)> {
    let angles =
        || (0..len).flat_map(|at| frequencies.iter().map(move |f| f64::from(at as f32 * f)));
    let shape = (len, frequencies.len());
    let device = &candle_core::Device::Cpu;
    let cos: Vec<f32> = angles().map(|a| libm::cos(a) as f32).collect();
    let sin: Vec<f32> = angles().map(|a| libm::sin(a) as f32).collect();
    Ok((Tensor::from_vec(cos, shape, device)?, Tensor::from_vec(sin, shape, device)?))
}

/// Turns the pairs of the first `rotary.dims` dimensions of each head.
fn rotate(x: &Tensor, rotary: &Rotary, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (batch, heads, len, size) = x.dims4()?;
    let half = rotary.dims / 2;
    let turned = if rotary.interleaved {
        let pairs =
            x.narrow(3, 0, rotary.dims)?.contiguous()?.reshape((batch, heads, len, half, 2))?;
        let a = pairs.narrow(4, 0, 1)?.contiguous()?.reshape((batch, heads, len, half))?;
        let b = pairs.narrow(4, 1, 1)?.contiguous()?.reshape((batch, heads, len, half))?;
        let (a, b) = turn(&a, &b, cos, sin)?;
        Tensor::stack(&[a, b], 4)?.reshape((batch, heads, len, rotary.dims))?
    } else {
        let (a, b) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
        let (a, b) = turn(&a, &b, cos, sin)?;
        Tensor::cat(&[a, b], 3)?
    };
    if rotary.dims == size {
        return Ok(turned.contiguous()?);
    }
    let rest = x.narrow(3, rotary.dims, size - rotary.dims)?;
    Ok(Tensor::cat(&[turned, rest], 3)?.contiguous()?)
}

fn turn(a: &Tensor, b: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<(Tensor, Tensor)> {
    let first = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
    let second = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
    Ok((first, second))
}

/// ALiBi's slope of each head: a geometric sequence for a power of two, and
/// for other numbers that of the next lower power followed by every other
/// slope of the next higher one (Press et al. 2022, as BLOOM has it).
pub fn alibi_slopes(heads: usize) -> Vec<f32> {
    let power = |n: usize, i: usize| libm::exp2(-8.0 * (i + 1) as f64 / n as f64) as f32;
    let lower = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let mut slopes: Vec<f32> = (0..lower).map(|i| power(lower, i)).collect();
    slopes.extend((0..heads - lower).map(|i| power(2 * lower, 2 * i)));
    slopes
}

/// `sequences` as one U32 tensor (batch × longest), padded at the end with 0.
///
/// # Errors
/// candle's own.
pub fn batch(sequences: &[&[u32]]) -> Result<Tensor> {
    let len = sequences.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut ids = Vec::with_capacity(sequences.len() * len);
    for s in sequences {
        ids.extend_from_slice(s);
        ids.resize(ids.len() + len - s.len(), 0);
    }
    let t = Tensor::from_vec(ids, (sequences.len(), len), &candle_core::Device::Cpu)?;
    Ok(t.to_dtype(DType::U32)?)
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
