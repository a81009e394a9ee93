//! The forward pass (Devlin et al., "BERT", 2019, and Vaswani et al., 2017).
//!
//! Every step has a gradient: candle's fused normalisation and softmax have
//! none, so [`Network::embed`] composes them. [`Network::plain`] uses the fused
//! ones, for encoders that are only read through.

use super::Sequence;
use super::config::Sizes;
use crate::decoder::config::Activation;
use crate::error::{Error, ErrorKind, Result};
use candle_core::{D, Device, Tensor, Var};

/// y = x Wᵀ + b.
#[derive(Clone)]
pub(super) struct Linear {
    pub weight: Tensor,
    pub bias: Tensor,
}

/// A layer normalisation.
#[derive(Clone)]
pub(super) struct Norm {
    pub weight: Tensor,
    pub bias: Tensor,
}

/// One layer; a normalisation follows each of its halves.
#[derive(Clone)]
pub(super) struct Layer {
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub output: Linear,
    pub attention_norm: Norm,
    pub up: Linear,
    pub down: Linear,
    pub norm: Norm,
}

/// An encoder's weights and what they compute.
#[derive(Clone)]
pub struct Network {
    /// Dimensions.
    pub sizes: Sizes,
    pub(super) words: Tensor,
    pub(super) positions: Tensor,
    pub(super) types: Tensor,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
}

/// Sequences side by side, padded to the longest.
pub struct Batch {
    ids: Tensor,
    types: Tensor,
    /// 1 for a token, 0 for padding.
    mask: Tensor,
}

impl Batch {
    /// `sequences` in one batch; there must be one, and none may be empty.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where one is.
    pub fn new(sequences: &[&Sequence]) -> Result<Self> {
        let n = sequences.iter().map(|s| s.ids.len()).max().unwrap_or(0);
        if sequences.iter().any(|s| s.ids.is_empty()) || n == 0 {
            return Err(Error::new(ErrorKind::Internal, "a batch of no tokens"));
        }
        let (mut ids, mut types, mut mask) = (vec![], vec![], vec![]);
        for s in sequences {
            let len = s.ids.len();
            ids.extend(&s.ids);
            // What pads is never seen; it only has to be a token that there is.
            ids.extend(std::iter::repeat_n(s.ids[0], n - len));
            types.extend((0..n).map(|i| u32::from(i >= s.second && i < len)));
            mask.extend((0..n).map(|i| if i < len { 1.0_f32 } else { 0.0 }));
        }
        let shape = (sequences.len(), n);
        Ok(Self {
            ids: Tensor::from_vec(ids, shape, &Device::Cpu)?,
            types: Tensor::from_vec(types, shape, &Device::Cpu)?,
            mask: Tensor::from_vec(mask, shape, &Device::Cpu)?,
        })
    }
}

impl Network {
    /// The mean hidden state of each sequence (batch × hidden), differentiable.
    ///
    /// # Errors
    /// [`ErrorKind::Context`] for sequences that are too long, or candle's own.
    pub fn embed(&self, batch: &Batch) -> Result<Tensor> {
        self.mean(batch, false)
    }

    /// The same without a gradient, and faster.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub fn plain(&self, batch: &Batch) -> Result<Tensor> {
        self.mean(batch, true)
    }

    fn mean(&self, batch: &Batch, fused: bool) -> Result<Tensor> {
        let hidden = self.hidden(batch, fused)?;
        let sum = hidden.broadcast_mul(&batch.mask.unsqueeze(2)?)?.sum(1)?;
        Ok(sum.broadcast_div(&batch.mask.sum_keepdim(1)?)?)
    }

    /// The last hidden states (batch × length × hidden).
    pub(super) fn hidden(&self, batch: &Batch, fused: bool) -> Result<Tensor> {
        let (b, n) = batch.ids.dims2()?;
        let h = self.sizes.hidden;
        if n > self.sizes.positions {
            let what = format!("{n} tokens, but the encoder reads {}", self.sizes.positions);
            return Err(Error::new(ErrorKind::Context, what).hint("read fewer tokens"));
        }
        let words = self.words.index_select(&batch.ids.flatten_all()?, 0)?;
        let types = self.types.index_select(&batch.types.flatten_all()?, 0)?;
        let x = (words + types)?.reshape((b, n, h))?;
        let x = x.broadcast_add(&self.positions.narrow(0, 0, n)?)?.reshape((b * n, h))?;
        let mut x = self.normalise(&x, &self.norm, fused)?;
        // exp(−10⁹) is exactly zero, so padding changes nothing.
        let bias = batch.mask.affine(1e9, -1e9)?.reshape((b, 1, 1, n))?;
        let bias = bias.broadcast_as((b, self.sizes.heads, n, n))?.contiguous()?;
        for layer in &self.layers {
            let attended = self.attend(layer, &x, &bias, fused)?;
            x = self.normalise(&(x + attended)?, &layer.attention_norm, fused)?;
            let wide = linear(&x, &layer.up)?;
            let wide = match self.sizes.activation {
                Activation::Gelu => wide.gelu_erf()?,
                Activation::GeluTanh => wide.gelu()?,
                Activation::Relu => wide.relu()?,
                Activation::Silu => wide.silu()?,
            };
            let down = linear(&wide, &layer.down)?;
            x = self.normalise(&(x + down)?, &layer.norm, fused)?;
        }
        Ok(x.reshape((b, n, h))?)
    }

    fn attend(&self, layer: &Layer, x: &Tensor, bias: &Tensor, fused: bool) -> Result<Tensor> {
        let (b, heads, n, _) = bias.dims4()?;
        let h = self.sizes.hidden;
        let size = h / heads;
        let by_head = |part: &Linear| -> Result<Tensor> {
            let y = linear(x, part)?.reshape((b, n, heads, size))?;
            Ok(y.transpose(1, 2)?.contiguous()?)
        };
        let scores = by_head(&layer.query)?.matmul(&by_head(&layer.key)?.t()?)?;
        let scores = ((scores * (1.0 / (size as f64).sqrt()))? + bias)?;
        let shares = if fused {
            candle_nn::ops::softmax_last_dim(&scores)?
        } else {
            // The largest is taken off for range alone: it has no gradient.
            let top = scores.max_keepdim(D::Minus1)?.detach();
            let powers = scores.broadcast_sub(&top)?.exp()?;
            powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?
        };
        let mixed = shares.matmul(&by_head(&layer.value)?)?;
        linear(&mixed.transpose(1, 2)?.reshape((b * n, h))?, &layer.output)
    }

    fn normalise(&self, x: &Tensor, norm: &Norm, fused: bool) -> Result<Tensor> {
        let epsilon = self.sizes.epsilon;
        if fused {
            return Ok(candle_nn::ops::layer_norm(x, &norm.weight, &norm.bias, epsilon as f32)?);
        }
        let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
        let x = x.broadcast_div(&(variance + epsilon)?.sqrt()?)?;
        Ok(x.broadcast_mul(&norm.weight)?.broadcast_add(&norm.bias)?)
    }

    /// Keeps the words `ids` alone, which are then numbered from 0 on.
    pub(super) fn keep_words(&mut self, ids: &[u32]) -> Result<()> {
        self.words = self.words.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?;
        self.sizes.vocab = ids.len();
        Ok(())
    }

    /// Turns every weight into a variable, a copy of its own.
    pub(super) fn make_variable(&mut self) -> Result<Vec<Var>> {
        let mut vars = vec![];
        for tensor in self.tensors() {
            let var = Var::from_tensor(&tensor.detach())?;
            *tensor = var.as_tensor().clone();
            vars.push(var);
        }
        Ok(vars)
    }

    fn tensors(&mut self) -> Vec<&mut Tensor> {
        let mut out = vec![&mut self.words, &mut self.positions, &mut self.types];
        out.extend([&mut self.norm.weight, &mut self.norm.bias]);
        for layer in &mut self.layers {
            let Layer { query, key, value, output, attention_norm, up, down, norm } = layer;
            for part in [query, key, value, output, up, down] {
                out.extend([&mut part.weight, &mut part.bias]);
            }
            for part in [attention_norm, norm] {
                out.extend([&mut part.weight, &mut part.bias]);
            }
        }
        out
    }
}

/// x Wᵀ + b for rows `x`.
fn linear(x: &Tensor, part: &Linear) -> Result<Tensor> {
    Ok(x.matmul(&part.weight.t()?)?.broadcast_add(&part.bias)?)
}
