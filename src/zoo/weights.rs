//! A model's weights: their names in files, their shapes, and first values.

use super::plan::Family;
use crate::decoder::config::{Config, Norm, Part, Position};
use crate::decoder::reference::Weight;
use crate::error::Result;
use candle_core::{Device, Tensor, Var};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Every part of a model of the zoo.
pub type Parts = BTreeMap<Part, Weight>;

/// The parts of `family`, with shape and whether there is a bias, in a fixed order.
pub fn parts(family: Family, c: &Config) -> Vec<(Part, Vec<usize>, bool)> {
    let layer_norm = c.norm == Norm::Layer;
    let bias = matches!(family, Family::Gpt2 | Family::NeoX);
    let mut parts = vec![(Part::Embedding, vec![c.vocab, c.hidden], false)];
    if let Position::Learned { offset } = c.position {
        parts.push((Part::Positions, vec![c.context + offset, c.hidden], false));
    }
    for l in 0..c.layers {
        parts.push((Part::AttentionNorm(l), vec![c.hidden], layer_norm));
        parts.push((Part::Query(l), vec![c.q_width(), c.hidden], bias));
        parts.push((Part::Key(l), vec![c.kv_width(), c.hidden], bias));
        parts.push((Part::Value(l), vec![c.kv_width(), c.hidden], bias));
        parts.push((Part::Output(l), vec![c.hidden, c.q_width()], bias));
        if c.qk_norm {
            parts.push((Part::QueryNorm(l), vec![c.head_dim], false));
            parts.push((Part::KeyNorm(l), vec![c.head_dim], false));
        }
        parts.push((Part::MlpNorm(l), vec![c.hidden], layer_norm));
        if c.gated {
            parts.push((Part::Gate(l), vec![c.intermediate, c.hidden], false));
        }
        parts.push((Part::Up(l), vec![c.intermediate, c.hidden], bias));
        parts.push((Part::Down(l), vec![c.hidden, c.intermediate], bias));
    }
    parts.push((Part::FinalNorm, vec![c.hidden], layer_norm));
    if !family.tied() {
        parts.push((Part::Head, vec![c.vocab, c.hidden], false));
    }
    parts
}

/// Fresh weights as variables: normal matrices (those that write into the
/// residual stream smaller), norms of one, biases of zero.
///
/// # Errors
/// candle's own.
pub fn init(family: Family, config: &Config, seed: u64) -> Result<Parts> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut made = Parts::new();
    for (part, shape, bias) in parts(family, config) {
        let fan_in = shape.last().copied().unwrap_or(1) as f32;
        let spread = match part {
            Part::Embedding | Part::Head | Part::Positions => 0.04,
            Part::Output(_) | Part::Down(_) => {
                0.7 / libm::sqrtf(fan_in) / libm::sqrtf(2.0 * config.layers as f32)
            }
            _ => 0.7 / libm::sqrtf(fan_in),
        };
        let count: usize = shape.iter().product();
        let values = if shape.len() == 1 {
            vec![1.0; count]
        } else {
            (0..count).map(|_| spread * normal(&mut rng)).collect()
        };
        let bias = if bias { Some(variable(vec![0.0; shape[0]], &shape[..1])?) } else { None };
        made.insert(part, (variable(values, &shape)?, bias));
    }
    Ok(made)
}

/// Copies of `parts` as variables.
///
/// # Errors
/// candle's own.
pub fn trainable(parts: &Parts) -> Result<Parts> {
    // A detached tensor is copied; a variable itself would be shared.
    let var = |t: &Tensor| -> Result<Tensor> { Ok(Var::from_tensor(&t.detach())?.into_inner()) };
    parts
        .iter()
        .map(|(part, (w, b))| Ok((*part, (var(w)?, b.as_ref().map(var).transpose()?))))
        .collect()
}

fn variable(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Var::from_vec(values, shape, &Device::Cpu)?.into_inner())
}

/// Uniform in [0, 1) with 24 bits.
pub fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32
}

/// Standard normal (Box and Muller).
pub fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - uniform(rng)));
    radius * libm::cosf(std::f32::consts::TAU * uniform(rng))
}
