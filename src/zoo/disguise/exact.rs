//! Disguises that leave the function as it is: units are reordered, flipped or
//! scaled, and whatever reads them follows.

use super::super::weights::{Parts, uniform};
use crate::decoder::config::{Config, Norm, Part, Position};
use crate::decoder::reference::Weight;
use crate::error::{Error, ErrorKind, Result};
use candle_core::{Device, Tensor};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;

/// A reordering with factors: new unit `i` is `by[i]` times old unit `from[i]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Monomial {
    /// The old unit at each place.
    pub from: Vec<usize>,
    /// What it is multiplied by; never 0.
    pub by: Vec<f32>,
}

impl Monomial {
    /// Every unit as it is.
    pub fn identity(n: usize) -> Self {
        Self { from: (0..n).collect(), by: vec![1.0; n] }
    }

    /// A uniformly random order (Fisher and Yates).
    pub fn shuffle(n: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut order = Self::identity(n);
        for i in (1..n).rev() {
            order.from.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
        }
        order
    }

    /// Each unit kept or negated by the toss of a coin.
    pub fn signs(n: usize, rng: &mut ChaCha8Rng) -> Self {
        let by = (0..n).map(|_| if rng.next_u32() & 1 == 0 { 1.0 } else { -1.0 }).collect();
        Self { by, ..Self::identity(n) }
    }

    /// Factors from ½ to 2, their logarithms uniform.
    pub fn scales(n: usize, rng: &mut ChaCha8Rng) -> Self {
        let by = (0..n).map(|_| libm::exp2f(2.0 * uniform(rng) - 1.0)).collect();
        Self { by, ..Self::identity(n) }
    }

    fn order(&self) -> Result<Tensor> {
        let from: Vec<u32> = self.from.iter().map(|i| *i as u32).collect();
        Ok(Tensor::from_vec(from, self.from.len(), &Device::Cpu)?)
    }

    fn factors(&self, by: impl Fn(f32) -> f32) -> Result<Tensor> {
        let by: Vec<f32> = self.by.iter().map(|f| by(*f)).collect();
        Ok(Tensor::from_vec(by, self.by.len(), &Device::Cpu)?)
    }

    /// Applied to a vector with one entry a unit.
    fn vector(&self, t: &Tensor) -> Result<Tensor> {
        Ok((t.index_select(&self.order()?, 0)? * self.factors(|f| f)?)?)
    }

    /// Applied to a layer that makes the units: its rows, and its bias.
    fn made(&self, parts: &mut Parts, part: Part) -> Result<()> {
        change(parts, part, |(weight, bias)| {
            let rows = weight.index_select(&self.order()?, 0)?;
            let rows = rows.broadcast_mul(&self.factors(|f| f)?.reshape(((), 1))?)?;
            Ok((rows, bias.as_ref().map(|b| self.vector(b)).transpose()?))
        })
    }

    /// Applied to a layer that reads the units: its columns, divided.
    fn read(&self, parts: &mut Parts, part: Part) -> Result<()> {
        change(parts, part, |(weight, bias)| {
            let columns = weight.index_select(&self.order()?, 1)?;
            Ok((columns.broadcast_mul(&self.factors(|f| 1.0 / f)?)?, bias.clone()))
        })
    }

    /// Applied to a norm over the units.
    fn normed(&self, parts: &mut Parts, part: Part) -> Result<()> {
        change(parts, part, |(weight, bias)| {
            Ok((self.vector(weight)?, bias.as_ref().map(|b| self.vector(b)).transpose()?))
        })
    }
}

fn change(parts: &mut Parts, part: Part, how: impl Fn(&Weight) -> Result<Weight>) -> Result<()> {
    if let Some(weight) = parts.get_mut(&part) {
        *weight = how(weight)?;
    }
    Ok(())
}

fn unfit(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this would change the function: {what}"))
}

/// Units of a feed-forward layer, intermediate of them: reordered, and in a
/// gated layer multiplied, as the up projection enters linearly there.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn units(parts: &mut Parts, c: &Config, layer: usize, how: &Monomial) -> Result<()> {
    if c.gated {
        let order = Monomial { from: how.from.clone(), by: vec![1.0; how.by.len()] };
        order.made(parts, Part::Gate(layer))?;
    } else if how.by.iter().any(|f| *f != 1.0) {
        return Err(unfit("the layer has no gate, and its activation is not linear"));
    }
    how.made(parts, Part::Up(layer))?;
    how.read(parts, Part::Down(layer))
}

/// Whole heads: `groups` reorders the key and value heads, and `within[g]` the
/// query heads of the g-th new group.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn heads(
    parts: &mut Parts,
    c: &Config,
    layer: usize,
    groups: &Monomial,
    within: &[Monomial],
) -> Result<()> {
    let size = c.head_dim;
    let spread = |heads: Vec<usize>| Monomial {
        by: vec![1.0; heads.len() * size],
        from: heads.iter().flat_map(|h| (0..size).map(move |d| h * size + d)).collect(),
    };
    let each = c.heads / c.kv_heads;
    let places = groups.from.iter().zip(within);
    let queries = places.flat_map(|(g, order)| order.from.iter().map(move |h| g * each + h));
    let (queries, keys) = (spread(queries.collect()), spread(groups.from.clone()));
    queries.made(parts, Part::Query(layer))?;
    keys.made(parts, Part::Key(layer))?;
    keys.made(parts, Part::Value(layer))?;
    queries.read(parts, Part::Output(layer))
}

/// The same of every query head: `how` is over the key and value heads'
/// dimensions and stays within heads.
fn for_queries(c: &Config, how: &Monomial) -> Monomial {
    let (size, each) = (c.head_dim, c.heads / c.kv_heads);
    let places = (0..c.heads).flat_map(|h| (0..size).map(move |d| (h, h / each * size + d)));
    let (from, by) = places.map(|(h, at)| (h * size + how.from[at] % size, how.by[at])).unzip();
    Monomial { from, by }
}

/// Dimensions of the values, key and value heads × head size of them, each
/// within its head: attention only adds them up.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn values(parts: &mut Parts, c: &Config, layer: usize, how: &Monomial) -> Result<()> {
    how.made(parts, Part::Value(layer))?;
    for_queries(c, how).read(parts, Part::Output(layer))
}

/// Factors on the keys' dimensions that the queries undo: one for each pair
/// that is rotated together, and one for each other dimension. `draw` is
/// called once for each.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn queries(
    parts: &mut Parts,
    c: &Config,
    layer: usize,
    draw: &mut dyn FnMut() -> f32,
) -> Result<()> {
    let size = c.head_dim;
    let mut how = Monomial::identity(c.kv_width());
    let (rotated, interleaved) = match &c.position {
        Position::Rotary(rotary) => (rotary.dims, rotary.interleaved),
        _ => (0, false),
    };
    for head in 0..c.kv_heads {
        for pair in 0..rotated / 2 {
            let (a, b) =
                if interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + rotated / 2) };
            let factor = draw();
            how.by[head * size + a] = factor;
            how.by[head * size + b] = factor;
        }
        for d in rotated..size {
            how.by[head * size + d] = draw();
        }
    }
    if c.qk_norm && how.by.iter().any(|f| libm::fabsf(*f) != 1.0) {
        return Err(unfit("queries and keys are normalised"));
    }
    let mut inverse = for_queries(c, &how);
    inverse.by.iter_mut().for_each(|f| *f = 1.0 / *f);
    how.made(parts, Part::Key(layer))?;
    inverse.made(parts, Part::Query(layer))
}

/// Dimensions of the residual stream: reordered, and with RMS norms negated.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn residual(parts: &mut Parts, c: &Config, how: &Monomial) -> Result<()> {
    let flips = how.by.iter().any(|f| *f != 1.0);
    if how.by.iter().any(|f| libm::fabsf(*f) != 1.0) {
        return Err(unfit("norms are not linear"));
    }
    if flips && c.norm == Norm::Layer {
        return Err(unfit("layer norms subtract the mean"));
    }
    let order = Monomial { from: how.from.clone(), by: vec![1.0; how.by.len()] };
    // A factor of ±1 is its own inverse, so that reading and making are alike.
    how.read(parts, Part::Embedding)?;
    how.read(parts, Part::Positions)?;
    for l in 0..c.layers {
        order.normed(parts, Part::AttentionNorm(l))?;
        order.normed(parts, Part::MlpNorm(l))?;
        for part in [Part::Query(l), Part::Key(l), Part::Value(l), Part::Gate(l), Part::Up(l)] {
            how.read(parts, part)?;
        }
        how.made(parts, Part::Output(l))?;
        how.made(parts, Part::Down(l))?;
    }
    order.normed(parts, Part::FinalNorm)?;
    how.read(parts, Part::Head)
}

/// Factors on one norm's weights, divided out of what reads it; a final norm
/// before a tied head stays as it is.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn norms(parts: &mut Parts, norm: Part, how: &Monomial) -> Result<()> {
    let readers = match norm {
        Part::AttentionNorm(l) => vec![Part::Query(l), Part::Key(l), Part::Value(l)],
        Part::MlpNorm(l) => vec![Part::Gate(l), Part::Up(l)],
        Part::FinalNorm if parts.contains_key(&Part::Head) => vec![Part::Head],
        _ => return Ok(()),
    };
    how.normed(parts, norm)?;
    readers.into_iter().try_for_each(|part| how.read(parts, part))
}
