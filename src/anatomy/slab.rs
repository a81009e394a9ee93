//! One matrix of a model, read in pieces.

use crate::error::Result;
use crate::formats::Archive;
use std::ops::Range;

/// Values read at a time.
const PIECE: usize = 1 << 20;

/// A matrix that lies in a file: output × input, rows in canonical order.
pub struct Slab<'a> {
    pub(super) archive: &'a Archive,
    pub(super) name: String,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Stored rows that belong to it, in order.
    pub(super) ranges: Vec<Range<usize>>,
    /// Stored input × output.
    pub(super) transposed: bool,
    /// Head size and rotated dimensions of rows whose rotary pairs are stored as neighbours.
    pub(super) turned: Option<(usize, usize)>,
}

impl Slab<'_> {
    /// The tensor's name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it, row after row.
    ///
    /// # Errors
    /// Where it cannot be read, or holds NaN or infinity.
    pub fn all(&self) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.rows * self.cols];
        if self.transposed {
            self.columns(&mut out)?;
        } else {
            let mut at = 0;
            for range in &self.ranges {
                for piece in pieces(range.clone(), self.cols) {
                    let values = self.archive.floats(&self.name, piece)?;
                    out[at..at + values.len()].copy_from_slice(&values);
                    at += values.len();
                }
            }
        }
        Ok(match self.turned {
            Some((head, dims)) => {
                let mut turned = vec![0.0; out.len()];
                for (row, to) in turned.chunks_exact_mut(self.cols).enumerate() {
                    let from = stored_row(row, head, dims) * self.cols;
                    to.copy_from_slice(&out[from..from + self.cols]);
                }
                turned
            }
            None => out,
        })
    }

    /// Some rows of it, in the order asked for; rows that lie side by side are
    /// read together. Meant for tables of tokens, which no format transposes.
    ///
    /// # Errors
    /// As [`Slab::all`].
    pub fn some(&self, rows: &[usize]) -> Result<Vec<f32>> {
        if self.transposed || self.turned.is_some() || self.ranges.len() != 1 {
            let all = self.all()?;
            let row = |r: &usize| all[r * self.cols..(r + 1) * self.cols].iter().copied();
            return Ok(rows.iter().flat_map(row).collect());
        }
        let base = self.ranges[0].start;
        let mut out = Vec::with_capacity(rows.len() * self.cols);
        let mut rest = rows;
        while let Some(first) = rest.first() {
            let together = rest.iter().zip(*first..).take_while(|(r, next)| **r == *next).count();
            let n = together.min((PIECE / self.cols.max(1)).max(1));
            out.extend(self.archive.floats(&self.name, base + first..base + first + n)?);
            rest = &rest[n..];
        }
        Ok(out)
    }

    /// Turns a tensor stored input × output.
    fn columns(&self, out: &mut [f32]) -> Result<()> {
        let stored = self.archive.info(&self.name)?.shape.last().copied().unwrap_or(0);
        for piece in pieces(0..self.cols, stored) {
            let from = piece.start;
            let values = self.archive.floats(&self.name, piece)?;
            for (i, line) in values.chunks_exact(stored).enumerate() {
                for (to, column) in self.ranges.iter().flat_map(Clone::clone).enumerate() {
                    out[to * self.cols + from + i] = line[column];
                }
            }
        }
        Ok(())
    }
}

/// `range` in pieces of about [`PIECE`] values.
pub fn pieces(range: Range<usize>, cols: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (PIECE / cols.max(1)).max(1);
    range.clone().step_by(step).map(move |from| from..(from + step).min(range.end))
}

/// Where canonical row `row` of a query or key lies in a file that stores the
/// two halves of each rotary pair as neighbours.
fn stored_row(row: usize, head: usize, dims: usize) -> usize {
    let (start, within) = (row / head * head, row % head);
    let half = dims / 2;
    start
        + if within >= dims {
            within
        } else if within < half {
            2 * within
        } else {
            2 * (within - half) + 1
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotary_pairs_are_put_apart() {
        // A head of 6 whose first 4 dimensions turn, twice.
        let order: Vec<usize> = (0..12).map(|r| stored_row(r, 6, 4)).collect();
        assert_eq!(order, [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]);
    }

    #[test]
    fn pieces_cover_a_range_once() {
        let all: Vec<usize> = pieces(3..3_000, 1 << 12).flatten().collect();
        assert_eq!(all, (3..3_000).collect::<Vec<_>>());
        assert!(pieces(0..3_000, 1 << 12).all(|p| p.len() <= 256));
        assert_eq!(pieces(0..2, 1 << 30).count(), 2);
    }
}
