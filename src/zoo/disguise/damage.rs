//! Disguises that change the function a little.

use super::super::extra::is_linear;
use super::super::train::RANK;
use super::super::weights::{Parts, normal};
use crate::decoder::config::Part;
use crate::error::{Error, ErrorKind, Result};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

fn values(t: &Tensor) -> Result<Vec<f32>> {
    Ok(t.flatten_all()?.to_vec1::<f32>()?)
}

/// Root mean square of a tensor's entries.
fn rms(t: &Tensor) -> Result<f64> {
    Ok(libm::sqrt(f64::from(t.sqr()?.mean_all()?.to_scalar::<f32>()?)))
}

/// Sets the smallest `share` of the entries of each matrix of each layer to 0,
/// by magnitude; embeddings and head stay, as is the custom.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn prune(parts: &mut Parts, share: f64) -> Result<()> {
    for (weight, _) in parts.iter_mut().filter(|(p, _)| is_linear(**p)).map(|(_, w)| w) {
        let mut all = values(weight)?;
        let mut sizes: Vec<f32> = all.iter().map(|x| x.abs()).collect();
        let cut = (share * all.len() as f64) as usize;
        sizes.sort_by(f32::total_cmp);
        let least = sizes.get(cut).copied().unwrap_or(f32::INFINITY);
        all.iter_mut().filter(|x| x.abs() < least).for_each(|x| *x = 0.0);
        *weight = Tensor::from_vec(all, weight.shape(), &Device::Cpu)?;
    }
    Ok(())
}

/// Adds normal noise to every matrix, embeddings included, of `relative`
/// times its root mean square.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn noise(parts: &mut Parts, relative: f64, rng: &mut ChaCha8Rng) -> Result<()> {
    for (weight, _) in parts.values_mut().filter(|(w, _)| w.rank() > 1) {
        let spread = (relative * rms(weight)?) as f32;
        let noise: Vec<f32> = (0..weight.elem_count()).map(|_| spread * normal(rng)).collect();
        *weight = (&*weight + Tensor::from_vec(noise, weight.shape(), &Device::Cpu)?)?;
    }
    Ok(())
}

/// Adds a random product of rank [`RANK`] to each matrix that `adapted` names,
/// of `relative` times its root mean square.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn low_rank(
    parts: &mut Parts,
    adapted: impl Fn(Part) -> bool,
    relative: f64,
    rng: &mut ChaCha8Rng,
) -> Result<()> {
    for (_, (weight, _)) in parts.iter_mut().filter(|(p, _)| adapted(**p)) {
        let (rows, columns) = weight.dims2()?;
        let mut draw = |shape: (usize, usize)| -> Result<Tensor> {
            let all: Vec<f32> = (0..shape.0 * shape.1).map(|_| normal(rng)).collect();
            Ok(Tensor::from_vec(all, shape, &Device::Cpu)?)
        };
        let product = draw((rows, RANK))?.matmul(&draw((RANK, columns))?)?;
        let factor = relative * rms(weight)? / rms(&product)?;
        *weight = (&*weight + (product * factor)?)?;
    }
    Ok(())
}

/// The mean of two models of one architecture.
///
/// # Errors
/// candle's own, or where files cannot be read or written.
pub fn merge(parts: &mut Parts, other: &Parts) -> Result<()> {
    let differ = || Error::new(ErrorKind::Usage, "the two models are not of one shape\n");
    let mean = |a: &Tensor, b: &Tensor| -> Result<Tensor> {
        if a.shape() != b.shape() {
            return Err(differ());
        }
        Ok(((a + b)? * 0.5)?)
    };
    if parts.len() != other.len() {
        return Err(differ());
    }
    for (part, (weight, bias)) in parts.iter_mut() {
        let (with, with_bias) = other.get(part).ok_or_else(differ)?;
        *weight = mean(weight, with)?;
        *bias = match (&bias, with_bias) {
            (Some(a), Some(b)) => Some(mean(a, b)?),
            (None, None) => None,
            _ => return Err(differ()),
        };
    }
    Ok(())
}
