//! Tensor forensics: the two models matrix by matrix, which tells what kind of
//! kin they are once a test has shown that they are kin.
//!
//! It describes and proves nothing by itself: cosines of independent models
//! are small, but how small depends on training, and no null is known.

use super::Pair;
use super::align::{best_pairs, sample};
use super::change::change;
use super::{product, transposed, unit_rows};
use crate::anatomy::{Anatomy, Part};
use crate::error::Result;
use crate::evidence::Access;
use crate::evidence::lineage::{Basis, KIN, LayerMap, Test};
use candle_core::quantized::GgmlDType;

pub use super::change::Change;

/// Tokens whose embeddings are compared at the most.
const TOKENS: usize = 4096;

/// The kinds of matrices of a layer, and whether a row of it is a unit.
type Kind = (&'static str, fn(usize) -> Part, bool);
const KINDS: [Kind; 7] = [
    ("query", Part::Query, true),
    ("key", Part::Key, true),
    ("value", Part::Value, true),
    ("output", Part::Output, false),
    ("gate", Part::Gate, true),
    ("up", Part::Up, true),
    ("down", Part::Down, false),
];

/// All matrices of one pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forensics {
    /// The embeddings of shared tokens.
    pub embedding: Option<Change>,
    /// By layer and kind of [`KINDS`].
    pub layers: Vec<Vec<Option<Change>>>,
    /// Layers whose feed-forward units stood in another order and were put back.
    pub reordered: usize,
    /// Whether the residual stream was put back in order.
    pub realigned: bool,
}

impl Forensics {
    /// Every change there is.
    pub fn all(&self) -> impl Iterator<Item = &Change> {
        self.embedding.iter().chain(self.layers.iter().flatten().flatten())
    }

    /// Those of matrices that hold the same units in the same order.
    pub fn in_place(&self) -> Vec<&Change> {
        self.all().filter(|c| c.in_place()).collect()
    }

    /// As a descriptive test; `None` where nothing compares.
    pub fn test(&self) -> Option<Test> {
        let all: Vec<&Change> = self.all().collect();
        if all.is_empty() {
            return None;
        }
        let mean = |of: fn(&Change) -> f64, from: &[&Change]| {
            from.iter().map(|c| of(c)).sum::<f64>() / from.len().max(1) as f64
        };
        let placed = self.in_place();
        let mut notes = vec![format!(
            "{} of {} matrices hold the same units in the same order{}.",
            placed.len(),
            all.len(),
            if placed.is_empty() {
                String::new()
            } else {
                format!(
                    "; relative change of these {:.2} %, of which their storage types explain {:.2} %",
                    100.0 * mean(|c| c.relative, &placed),
                    100.0 * mean(|c| c.storage, &placed)
                )
            }
        )];
        if self.reordered > 0 {
            notes.push(format!(
                "In {} layers the feed-forward units stand in another order and were put back first.",
                self.reordered
            ));
        }
        let mut rows = vec!["embedding".to_owned()];
        rows.extend((0..self.layers.len()).map(|i| format!("layer {i}")));
        let cosine = |c: &Option<Change>| c.map(|c| c.cosine);
        let mut values = vec![vec![None; KINDS.len()]];
        values.extend(self.layers.iter().map(|l| l.iter().map(cosine).collect()));
        for row in &mut values {
            row.insert(0, None);
        }
        values[0][0] = cosine(&self.embedding);
        let mut columns = vec!["tokens".to_owned()];
        columns.extend(KINDS.map(|k| k.0.to_owned()));
        // A kind that no layer has, as a gate in GPT-2, is no column.
        let used: Vec<usize> =
            (0..columns.len()).filter(|c| values.iter().any(|r| r[*c].is_some())).collect();
        Some(Test {
            method: "tensor-forensics".into(),
            about: "Cosine of corresponding units of each matrix, without its sign, mean over matrices.".into(),
            access: Access::Weights,
            statistic: mean(|c| c.cosine, &all),
            ln_p: None,
            basis: Basis::Descriptive,
            null: None,
            map: Some(LayerMap {
                about: "Cosine of corresponding units, without its sign".into(),
                columns: used.iter().map(|c| columns[*c].clone()).collect(),
                rows,
                values: values.iter().map(|r| used.iter().map(|c| r[*c]).collect()).collect(),
                range: (0.0, 1.0),
            }),
            notes,
        })
    }
}

/// Compares all matrices of a pair; `tell` hears layers done.
///
/// # Errors
/// Where a file cannot be read.
pub fn compare(pair: &Pair<'_>, tell: &mut dyn FnMut(usize, usize)) -> Result<Forensics> {
    let layers = pair.layers();
    let mut out = Forensics {
        embedding: embedding(pair)?,
        realigned: pair.alignment.dims.is_some(),
        ..Forensics::default()
    };
    for i in 0..layers {
        tell(i, layers);
        let order = reorder(pair, i)?;
        out.reordered += usize::from(order.is_some());
        let row = KINDS.iter().map(|kind| matrix(pair, i, kind, order.as_deref()));
        out.layers.push(row.collect::<Result<_>>()?);
    }
    Ok(out)
}

fn embedding(pair: &Pair<'_>) -> Result<Option<Change>> {
    let part = Part::Embedding;
    let (Some(a), Some(b)) = (pair.suspect.matrix(part), pair.candidate.matrix(part)) else {
        return Ok(None);
    };
    let tokens = sample(&pair.alignment.tokens, TOKENS, pair.seed);
    if a.cols != b.cols || tokens.len() < 16 {
        return Ok(None);
    }
    let x = a.some(&tokens.iter().map(|t| t.0).collect::<Vec<_>>())?;
    let y = b.some(&tokens.iter().map(|t| t.1).collect::<Vec<_>>())?;
    let y = pair.alignment.columns(y, b.cols);
    let types = [dtype(pair.suspect, a.name()), dtype(pair.candidate, b.name())];
    change(&x, &y, a.cols, true, types, pair.seed).map(Some)
}

fn dtype(model: &Anatomy, name: &str) -> GgmlDType {
    model.archive.tensors.get(name).map_or(GgmlDType::F32, |t| t.dtype)
}

/// The same matrix of both models, and its columns.
type Both = (Vec<f32>, Vec<f32>, usize);

/// The matrix of the suspect and the candidate's, the latter in the suspect's order.
fn both(
    pair: &Pair<'_>,
    i: usize,
    (_, part, units): &Kind,
    order: Option<&[usize]>,
) -> Result<Option<Both>> {
    let part = part(i);
    let (Some(a), Some(b)) = (pair.suspect.matrix(part), pair.candidate.matrix(part)) else {
        return Ok(None);
    };
    if (a.rows, a.cols) != (b.rows, b.cols) {
        return Ok(None);
    }
    let mut y = b.all()?;
    y = if *units { pair.alignment.columns(y, b.cols) } else { pair.alignment.rows(y, b.cols) };
    let feeds = matches!(part, Part::Gate(_) | Part::Up(_) | Part::Down(_));
    if let Some(order) = order.filter(|_| feeds) {
        let (units_first, n) = if *units { (y, b.cols) } else { (transposed(&y, b.cols), b.rows) };
        let put: Vec<f32> =
            order.iter().flat_map(|u| units_first[u * n..(u + 1) * n].iter().copied()).collect();
        y = if *units { put } else { transposed(&put, n) };
    }
    Ok(Some((a.all()?, y, a.cols)))
}

fn matrix(
    pair: &Pair<'_>,
    i: usize,
    kind: &Kind,
    order: Option<&[usize]>,
) -> Result<Option<Change>> {
    let Some((x, y, columns)) = both(pair, i, kind, order)? else { return Ok(None) };
    let name = |model: &Anatomy| {
        model.matrix(kind.1(i)).map_or(GgmlDType::F32, |m| dtype(model, m.name()))
    };
    let types = [name(pair.suspect), name(pair.candidate)];
    change(&x, &y, columns, kind.2, types, pair.seed.wrapping_add(i as u64)).map(Some)
}

/// The candidate's unit for each of the suspect's in layer `i`, where the two
/// hold the same units in different orders.
fn reorder(pair: &Pair<'_>, i: usize) -> Result<Option<Vec<usize>>> {
    let kind: Kind = KINDS[5];
    let Some((mut x, mut y, h)) = both(pair, i, &kind, None)? else { return Ok(None) };
    unit_rows(&mut x, h);
    unit_rows(&mut y, h);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>().abs();
    let n = x.len() / h;
    let place: f32 = (0..n).map(|u| dot(&x[u * h..(u + 1) * h], &y[u * h..(u + 1) * h])).sum();
    if place / n as f32 > 0.5 {
        return Ok(None);
    }
    // Signs of units are free, so that likeness counts without its own.
    let mut likeness = product(&x, &y, h)?;
    likeness.iter_mut().for_each(|v| *v = v.abs());
    let pairs = best_pairs(&likeness, n);
    let found: f32 =
        pairs.iter().enumerate().filter_map(|(u, c)| Some(likeness[u * n + (*c)?])).sum();
    if found / (n as f32) < 0.5 {
        return Ok(None);
    }
    Ok(pairs.into_iter().collect())
}

/// The suspect as a weighted sum of two candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// The two.
    pub candidates: (usize, usize),
    /// Their weights.
    pub weights: (f64, f64),
    /// What is left unexplained, over the suspect's size.
    pub residual: f64,
}

/// Looks among the candidates that are kin for two whose weighted sum the
/// suspect is: least squares over all matrices of the layers.
///
/// # Errors
/// Where a file cannot be read.
pub fn merge(
    suspect: &Anatomy,
    candidates: &[Anatomy],
    ln_p: &[Option<f64>],
    forensics: &[&Forensics],
    tell: &mut dyn FnMut(&str, usize, usize),
) -> Result<Option<Merge>> {
    let able = |c: &usize| {
        ln_p.get(*c).copied().flatten().is_some_and(|p| p < KIN)
            && forensics.get(*c).is_some_and(|f| !f.realigned && f.reordered == 0)
    };
    let kin: Vec<usize> = (0..candidates.len()).filter(able).collect();
    let mut best: Option<Merge> = None;
    for (k, a) in kin.iter().enumerate() {
        for b in &kin[k + 1..] {
            tell("Looking for merges", k, kin.len());
            let found = least_squares(suspect, &candidates[*a], &candidates[*b])?;
            if let Some((weights, residual)) = found
                && best.as_ref().is_none_or(|m| residual < m.residual)
            {
                best = Some(Merge { candidates: (*a, *b), weights, residual });
            }
        }
    }
    // Both must take part, and together explain much better than either alone.
    Ok(best.filter(|m| {
        let alone = |c: usize| {
            let f = forensics[c].in_place();
            f.iter().map(|c| c.relative).sum::<f64>() / f.len().max(1) as f64
        };
        let least = alone(m.candidates.0).min(alone(m.candidates.1));
        let share = |w: f64| (0.05..0.95).contains(&w);
        share(m.weights.0) && share(m.weights.1) && m.residual < 0.3 * least
    }))
}

/// α, β and the relative residual of suspect = α a + β b.
fn least_squares(suspect: &Anatomy, a: &Anatomy, b: &Anatomy) -> Result<Option<((f64, f64), f64)>> {
    let layers = |m: &Anatomy| m.config().map_or(0, |c| c.layers);
    let n = layers(suspect).min(layers(a)).min(layers(b));
    let (mut aa, mut bb, mut ab, mut sa, mut sb, mut ss) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for i in 0..n {
        for (_, part, _) in &KINDS {
            let slabs = [suspect, a, b].map(|m| m.matrix(part(i)));
            let [Some(s), Some(x), Some(y)] = &slabs else { continue };
            if (s.rows, s.cols) != (x.rows, x.cols) || (s.rows, s.cols) != (y.rows, y.cols) {
                continue;
            }
            let (s, x, y) = (s.all()?, x.all()?, y.all()?);
            for ((s, x), y) in s.iter().zip(&x).zip(&y) {
                let (s, x, y) = (f64::from(*s), f64::from(*x), f64::from(*y));
                aa += x * x;
                bb += y * y;
                ab += x * y;
                sa += s * x;
                sb += s * y;
                ss += s * s;
            }
        }
    }
    let determinant = aa * bb - ab * ab;
    if ss <= 0.0 || determinant <= 1e-9 * aa * bb {
        return Ok(None);
    }
    let (alpha, beta) = ((sa * bb - sb * ab) / determinant, (sb * aa - sa * ab) / determinant);
    let left = ss - alpha * sa - beta * sb;
    Ok(Some(((alpha, beta), (left.max(0.0) / ss).sqrt())))
}
