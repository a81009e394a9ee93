//! Variants of a model of the zoo that compute the same, or nearly: what a
//! test on weights must see through.

pub mod damage;
pub mod exact;

#[cfg(test)]
mod tests;

use super::extra::Adapted;
use super::files;
use super::plan::Storage;
use super::weights::Parts;
use crate::decoder::config::{Config, Norm, Part};
use crate::error::{Error, ErrorKind, Result};
use exact::Monomial;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// A disguise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum How {
    /// Nothing; stored in F16.
    None,
    /// Stored in Q8_0.
    Q80,
    /// Stored in Q4_0.
    Q40,
    /// Stored in Q4_K, and in Q5_0 where a width is no multiple of 256.
    Q4K,
    /// Hidden units of every feed-forward layer reordered.
    PermuteUnits,
    /// Key and value heads reordered, and query heads within each group.
    PermuteHeads,
    /// Dimensions of the values reordered within their heads.
    PermuteValues,
    /// Dimensions of the residual stream reordered.
    PermuteResidual,
    /// Hidden units negated (up and down; gated layers only).
    FlipUnits,
    /// Dimensions of the values negated (value and output).
    FlipValues,
    /// Dimensions of queries and keys negated, by rotary pairs.
    FlipQueries,
    /// Dimensions of the residual stream negated (RMS norms only).
    FlipResidual,
    /// Hidden units multiplied by ½ to 2 (up and down; gated layers only).
    ScaleUnits,
    /// Dimensions of the values multiplied by ½ to 2 (value and output).
    ScaleValues,
    /// Dimensions of keys multiplied by ½ to 2 and of queries divided, by
    /// rotary pairs (not where they are normalised).
    ScaleQueries,
    /// Norm weights multiplied by ½ to 2, and divided out of what reads them.
    ScaleNorms,
    /// All of the above that this family bears, one after another.
    Everything,
    /// The smallest 30 % of each matrix of each layer set to 0.
    Prune30,
    /// Normal noise of 1 % of each matrix's root mean square.
    Noise1,
    /// The same of 5 %.
    Noise5,
    /// The same of 20 %.
    Noise20,
    /// A random product of rank 8 added to query and value, of 2 %.
    Lora2Qv,
    /// The same of 10 %.
    Lora10Qv,
    /// The same in every matrix of every layer, of 2 %.
    Lora2All,
    /// The same of 10 %.
    Lora10All,
    /// The mean with another model.
    Merge,
}

/// The disguises that change no logit.
pub const EXACT: [How; 13] = [
    How::PermuteUnits,
    How::PermuteHeads,
    How::PermuteValues,
    How::PermuteResidual,
    How::FlipUnits,
    How::FlipValues,
    How::FlipQueries,
    How::FlipResidual,
    How::ScaleUnits,
    How::ScaleValues,
    How::ScaleQueries,
    How::ScaleNorms,
    How::Everything,
];

impl How {
    /// Its name on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or(String::new(), |v| v.get_name().to_owned())
    }

    /// What the result is stored as.
    pub fn storage(self) -> Storage {
        match self {
            Self::Q80 => Storage::GgufQ8,
            Self::Q40 => Storage::GgufQ4,
            Self::Q4K => Storage::GgufQ4K,
            _ => Storage::GgufF16,
        }
    }

    /// Whether a model of `c` can wear it.
    pub fn fits(self, c: &Config) -> bool {
        match self {
            Self::FlipUnits | Self::ScaleUnits => c.gated,
            Self::FlipResidual => c.norm != Norm::Layer,
            Self::ScaleQueries => !c.qk_norm,
            _ => true,
        }
    }
}

/// Disguises `parts`; `other` is what [`How::Merge`] merges with.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where the family cannot wear the disguise,
/// [`ErrorKind::Usage`] where `other` is wanting or of another shape.
pub fn apply(
    parts: &mut Parts,
    c: &Config,
    how: How,
    seed: u64,
    other: Option<&Parts>,
) -> Result<()> {
    if !how.fits(c) {
        let what = format!("{} would change the function of a {} model", how.name(), c.family);
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    match how {
        How::None | How::Q80 | How::Q40 | How::Q4K => Ok(()),
        How::PermuteResidual => exact::residual(parts, c, &Monomial::shuffle(c.hidden, rng)),
        How::FlipResidual => exact::residual(parts, c, &Monomial::signs(c.hidden, rng)),
        How::ScaleNorms => {
            let layers = (0..c.layers).flat_map(|l| [Part::AttentionNorm(l), Part::MlpNorm(l)]);
            layers
                .chain([Part::FinalNorm])
                .try_for_each(|norm| exact::norms(parts, norm, &Monomial::scales(c.hidden, rng)))
        }
        How::Everything => {
            let all = EXACT.iter().filter(|h| **h != How::Everything && h.fits(c));
            all.zip(1u64..).try_for_each(|(how, i)| apply(parts, c, *how, seed ^ (i << 32), None))
        }
        How::Prune30 => damage::prune(parts, 0.3),
        How::Noise1 => damage::noise(parts, 0.01, rng),
        How::Noise5 => damage::noise(parts, 0.05, rng),
        How::Noise20 => damage::noise(parts, 0.2, rng),
        How::Lora2Qv => damage::low_rank(parts, |p| Adapted::Qv.holds(p), 0.02, rng),
        How::Lora10Qv => damage::low_rank(parts, |p| Adapted::Qv.holds(p), 0.1, rng),
        How::Lora2All => damage::low_rank(parts, |p| Adapted::All.holds(p), 0.02, rng),
        How::Lora10All => damage::low_rank(parts, |p| Adapted::All.holds(p), 0.1, rng),
        How::Merge => damage::merge(
            parts,
            other.ok_or_else(|| Error::new(ErrorKind::Usage, "merge needs --with OTHER\n"))?,
        ),
        _ => (0..c.layers).try_for_each(|l| layer(parts, c, how, l, rng)),
    }
}

/// The disguises that change one layer at a time.
fn layer(parts: &mut Parts, c: &Config, how: How, l: usize, rng: &mut ChaCha8Rng) -> Result<()> {
    match how {
        How::PermuteUnits => exact::units(parts, c, l, &Monomial::shuffle(c.intermediate, rng)),
        How::FlipUnits => exact::units(parts, c, l, &Monomial::signs(c.intermediate, rng)),
        How::ScaleUnits => exact::units(parts, c, l, &Monomial::scales(c.intermediate, rng)),
        How::PermuteHeads => {
            let groups = Monomial::shuffle(c.kv_heads, rng);
            let within: Vec<_> =
                (0..c.kv_heads).map(|_| Monomial::shuffle(c.heads / c.kv_heads, rng)).collect();
            exact::heads(parts, c, l, &groups, &within)
        }
        How::PermuteValues => {
            let size = c.head_dim;
            let orders = (0..c.kv_heads).map(|_| Monomial::shuffle(size, rng).from);
            let from =
                orders.enumerate().flat_map(|(h, o)| o.into_iter().map(move |d| h * size + d));
            let from: Vec<usize> = from.collect();
            exact::values(parts, c, l, &Monomial { by: vec![1.0; from.len()], from })
        }
        How::FlipValues => exact::values(parts, c, l, &Monomial::signs(c.kv_width(), rng)),
        How::ScaleValues => exact::values(parts, c, l, &Monomial::scales(c.kv_width(), rng)),
        How::FlipQueries => {
            let mut draw = || if rng.next_u32() & 1 == 0 { 1.0 } else { -1.0 };
            exact::queries(parts, c, l, &mut draw)
        }
        How::ScaleQueries => {
            let mut draw = || libm::exp2f(2.0 * super::weights::uniform(rng) - 1.0);
            exact::queries(parts, c, l, &mut draw)
        }
        other => Err(Error::new(ErrorKind::Internal, format!("{other:?} is not by layer"))),
    }
}

/// Writes the model at `path`, disguised by each of `hows` in turn, to `to`:
/// a GGUF for a GGUF, a folder for a folder.
///
/// # Errors
/// As [`apply`], or where files cannot be read or written.
pub fn disguise(
    path: &Path,
    hows: &[How],
    seed: u64,
    to: &Path,
    with: Option<&Path>,
) -> Result<()> {
    let family = files::family_of(path)?;
    let config = family.config();
    let mut parts = files::load(path, family, &config)?;
    let other = match with {
        Some(with) if files::family_of(with)? != family => {
            return Err(Error::new(ErrorKind::Usage, "the two models are of different families\n"));
        }
        Some(with) => Some(files::load(with, family, &config)?),
        None => None,
    };
    let storage = hows.iter().map(|h| h.storage()).find(|s| *s != Storage::GgufF16);
    let storage = storage.unwrap_or(Storage::GgufF16);
    if path.is_dir() && storage != Storage::GgufF16 {
        return Err(Error::new(ErrorKind::Unsupported, "a folder is stored in F16 only"));
    }
    for (how, i) in hows.iter().zip(0u64..) {
        apply(&mut parts, &config, *how, seed + i, other.as_ref())?;
    }
    super::build::folder_of(to)?;
    files::save_like(path, to, family, &config, &parts, storage)
}
