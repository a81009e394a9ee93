//! A model's weights, in their stored type.

mod load;

pub use load::load;

use super::config::Norm;
use super::kernels::{self, Input, Matrix};
use crate::error::Result;
use std::rc::Rc;

/// y = W x + b.
pub struct Linear {
    /// Output × input.
    pub weight: Rc<Matrix>,
    /// One value per output.
    pub bias: Option<Vec<f32>>,
}

impl Linear {
    /// `x` (m × input) to m × output.
    ///
    /// # Errors
    /// As [`kernels::matmul`].
    pub fn apply(&self, x: &[f32]) -> Result<Vec<f32>> {
        self.apply_to(x, &self.input(x))
    }

    /// `x`, arranged for this matrix and those like it.
    pub fn input(&self, x: &[f32]) -> Input {
        Input::new(x, &self.weight)
    }

    /// As [`Linear::apply`], with `x` arranged for another matrix; that is used
    /// where it fits.
    ///
    /// # Errors
    /// As [`Linear::apply`].
    pub fn apply_to(&self, x: &[f32], input: &Input) -> Result<Vec<f32>> {
        let w = &self.weight;
        let mut out = vec![0.0; x.len() / w.cols() * w.rows()];
        if input.fits(w) {
            kernels::columns(input, w, self.bias.as_deref(), 0..w.tiles(), &mut out)?;
        } else {
            kernels::matmul(x, w, self.bias.as_deref(), &mut out)?;
        }
        Ok(out)
    }
}

/// A normalisation's weights; no bias is an empty one.
pub struct NormWeights {
    kind: Norm,
    eps: f32,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl NormWeights {
    /// Normalises every row of `x` in place; a row is as long as the weight.
    pub fn apply(&self, x: &mut [f32]) {
        for row in x.chunks_exact_mut(self.weight.len()) {
            match self.kind {
                Norm::Rms => kernels::rms_norm(row, &self.weight, 0.0, self.eps),
                Norm::RmsPlusOne => kernels::rms_norm(row, &self.weight, 1.0, self.eps),
                Norm::Layer => kernels::layer_norm(row, &self.weight, &self.bias, self.eps),
            }
        }
    }
}

/// One layer.
pub struct Layer {
    pub attention_norm: NormWeights,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub output: Linear,
    pub query_norm: Option<NormWeights>,
    pub key_norm: Option<NormWeights>,
    pub attention_output_norm: Option<NormWeights>,
    /// Absent where attention's norm serves both.
    pub mlp_norm: Option<NormWeights>,
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
    pub mlp_output_norm: Option<NormWeights>,
}

/// All of a model.
pub struct Weights {
    pub embedding: Rc<Matrix>,
    pub positions: Option<Rc<Matrix>>,
    pub embedding_norm: Option<NormWeights>,
    pub project_in: Option<Linear>,
    pub project_out: Option<Linear>,
    pub layers: Layers,
    pub final_norm: Option<NormWeights>,
    pub head: Linear,
}

/// The layers' weights.
pub enum Layers {
    /// In memory.
    Held(Vec<Rc<Layer>>),
    /// In the file: each is read when its turn comes, and dropped after it.
    Stored(Box<load::Stored>),
}

impl Weights {
    /// Layer `i`.
    ///
    /// # Errors
    /// Where it has to be read, whatever is wrong with it.
    pub fn layer(&self, i: usize) -> Result<Rc<Layer>> {
        match &self.layers {
            Layers::Held(layers) => Ok(Rc::clone(&layers[i])),
            Layers::Stored(stored) => stored.layer(i).map(Rc::new),
        }
    }

    /// Whether all layers are in memory.
    pub fn held(&self) -> bool {
        matches!(self.layers, Layers::Held(_))
    }
}
