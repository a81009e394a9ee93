//! Row matching: do the hidden units of the feed-forward layers correspond?
//!
//! After Zhu et al., "Independence Tests for Language Models" (ICML 2025),
//! section 3: each unit of one model is matched to the other's that is most
//! like it. Two statistics for each layer, each a Spearman correlation:
//!
//! - *in place*: of the match with the identity. A fine-tune keeps its units
//!   where they were; units of an independent model stand in an order of their
//!   own, so that the null is the uniform distribution of all orders.
//! - *two views*: of the match by one of the unit's matrices with the match by
//!   another (gate and up where the layer is gated, up and down elsewhere). It
//!   survives a permutation of the units. Under the null the two matches are
//!   as good as unrelated: that is measured rather than proven.
//!
//! Layers are independent under the null (each has an order of its own), so
//! their p-values combine by Fisher's method.

use super::align::best_pairs;
use super::{Pair, WeightMethod, product, transposed, unit_rows};
use crate::anatomy::{Anatomy, Part};
use crate::error::Result;
use crate::evidence::Access;
use crate::evidence::lineage::{Basis, LayerMap, Null, Test, smallest};
use crate::evidence::null::{fisher, spearman};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

/// Units of the suspect that are looked for in each layer, at the most.
const UNITS: usize = 512;

/// See the module.
pub struct RowMatching;

/// What one layer gave: correlation and ln p of both statistics, and the
/// number of units that they rest on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layer {
    /// In place.
    pub place: Option<(f64, f64)>,
    /// Two views.
    pub views: Option<(f64, f64)>,
    /// Units.
    pub units: usize,
}

impl WeightMethod for RowMatching {
    fn name(&self) -> &'static str {
        "row-matching"
    }

    fn test(&self, pair: &Pair<'_>, tell: &mut dyn FnMut(usize, usize)) -> Result<Option<Test>> {
        let mut layers = vec![];
        for i in 0..pair.layers() {
            tell(i, pair.layers());
            layers.push(layer(pair, i, i)?);
        }
        Ok(summary(self.name(), pair, &layers))
    }
}

/// Matches the units of the suspect's layer `i` with those of the candidate's
/// layer `j`; `None` where they do not compare.
///
/// # Errors
/// Where a file cannot be read.
pub fn layer(pair: &Pair<'_>, i: usize, j: usize) -> Result<Option<Layer>> {
    let gated = |a: &Anatomy, l| a.matrix(Part::Gate(l)).is_some();
    let second = gated(pair.suspect, i) && gated(pair.candidate, j);
    let part = |l| if second { Part::Gate(l) } else { Part::Down(l) };
    let (Some(up), Some(other_up)) =
        (pair.suspect.matrix(Part::Up(i)), pair.candidate.matrix(Part::Up(j)))
    else {
        return Ok(None);
    };
    let (Some(side), Some(other_side)) =
        (pair.suspect.matrix(part(i)), pair.candidate.matrix(part(j)))
    else {
        return Ok(None);
    };
    let (n, m, h) = (up.rows, other_up.rows, up.cols);
    let fits = |rows: usize, s: &crate::anatomy::Slab<'_>| {
        if second { (s.rows, s.cols) == (rows, h) } else { (s.rows, s.cols) == (h, rows) }
    };
    if other_up.cols != h || !fits(n, &side) || !fits(m, &other_side) {
        return Ok(None);
    }
    // The suspect's units, all or some of them; the candidate's all.
    let chosen = units(n, pair.seed.wrapping_add(i as u64));
    let pick = |values: Vec<f32>| -> Vec<f32> {
        chosen.iter().flat_map(|u| values[u * h..(u + 1) * h].iter().copied()).collect()
    };
    let likeness = |mut a: Vec<f32>, mut b: Vec<f32>| -> Result<Vec<f32>> {
        unit_rows(&mut a, h);
        unit_rows(&mut b, h);
        product(&a, &b, h)
    };
    let first = likeness(pick(up.all()?), pair.alignment.columns(other_up.all()?, h))?;
    let turned = |v: Vec<f32>, rows: usize| if second { v } else { transposed(&v, rows) };
    let theirs = if second {
        pair.alignment.columns(other_side.all()?, h)
    } else {
        transposed(&pair.alignment.rows(other_side.all()?, m), m)
    };
    let second = likeness(pick(turned(side.all()?, n)), theirs)?;
    Ok(Some(compare(&chosen, &first, &second, m)))
}

/// The two statistics from the likeness of units by each of two views (chosen
/// units of the suspect × all `m` of the candidate).
pub fn compare(chosen: &[usize], first: &[f32], second: &[f32], m: usize) -> Layer {
    let both: Vec<f32> = first.iter().zip(second).map(|(a, b)| a + b).collect();
    let place = best_pairs(&both, m);
    let (by_first, by_second) = (best_pairs(first, m), best_pairs(second, m));
    let matched = |a: &[Option<usize>], b: &dyn Fn(usize) -> Option<usize>| {
        let pairs = a.iter().enumerate().filter_map(|(k, x)| Some(((*x)? as f64, b(k)? as f64)));
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.unzip();
        spearman(&x, &y)
    };
    Layer {
        place: matched(&place, &|k| chosen.get(k).copied()),
        views: matched(&by_first, &|k| by_second.get(k).copied().flatten()),
        units: chosen.len(),
    }
}

/// Units of a layer of `n` that are looked for, in order.
fn units(n: usize, seed: u64) -> Vec<usize> {
    if n <= UNITS {
        return (0..n).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = index::sample(&mut rng, n, UNITS).into_vec();
    chosen.sort_unstable();
    chosen
}

fn summary(name: &str, pair: &Pair<'_>, layers: &[Option<Layer>]) -> Option<Test> {
    let all = |of: fn(&Layer) -> Option<(f64, f64)>| -> Vec<(f64, f64)> {
        layers.iter().flatten().filter_map(of).collect()
    };
    let (place, views) = (all(|l| l.place), all(|l| l.views));
    if place.is_empty() && views.is_empty() {
        return None;
    }
    let p = |v: &[(f64, f64)]| fisher(&v.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    let (p_place, p_views) = (p(&place), p(&views));
    let permuted = p_views < p_place;
    let (best, p_best) = if permuted { (&views, p_views) } else { (&place, p_place) };
    let mean = best.iter().map(|(r, _)| r).sum::<f64>() / best.len().max(1) as f64;
    let units = layers.iter().flatten().map(|l| l.units).max().unwrap_or(0);
    let deviation = 1.0 / ((best.len().max(1) * units.saturating_sub(1).max(1)) as f64).sqrt();
    let mut notes = vec![];
    if permuted && p_best < -14.0 && p_place > p_views / 2.0 {
        notes.push("The suspect's hidden units are the candidate's in another order.".to_owned());
    }
    if pair.alignment.dims.is_some() {
        notes.push(
            "The residual stream's dimensions were put into the candidate's order first, by the embeddings of shared tokens."
                .to_owned(),
        );
    }
    let cell = |l: &Option<Layer>| match l {
        Some(l) => vec![l.place.map(|x| x.0), l.views.map(|x| x.0)],
        None => vec![None, None],
    };
    Some(Test {
        method: name.into(),
        about: format!(
            "Spearman correlation of matched feed-forward units, mean over layers ({}): 1 where all units correspond, 0 on average for independent models.",
            if permuted { "match by one matrix against match by another" } else { "match against place" }
        ),
        access: Access::Weights,
        statistic: mean,
        ln_p: smallest([p_place, p_views]),
        basis: if permuted { Basis::Empirical } else { Basis::Exact },
        null: Some(Null {
            about: "Orders of independent models' units have nothing to do with each other; layers combined by Fisher's method.".into(),
            mean: 0.0,
            deviation,
            controls: vec![],
        }),
        map: Some(LayerMap {
            about: "Spearman correlation of matched feed-forward units".into(),
            columns: vec!["in place".into(), "two views".into()],
            rows: (0..layers.len()).map(|i| format!("layer {i}")).collect(),
            values: layers.iter().map(cell).collect(),
            range: (0.0, 1.0),
        }),
        notes,
    })
}
