//! A weight matrix held in its stored type.

use super::blocks::Format;
use super::floats::Floats;
use super::packed::{PANEL, Panels};
use crate::error::{Error, ErrorKind, Result};
use candle_core::CpuStorage;
use candle_core::quantized::{GgmlDType, QuantizedType};
use std::borrow::Cow;

/// Rows (outputs) in a tile, the unit in which weights are unpacked.
pub const TILE_ROWS: usize = 32;

/// An output × input matrix in tiles of [`TILE_ROWS`] rows each, the last perhaps
/// shorter.
pub struct Matrix {
    rows: usize,
    cols: usize,
    dtype: GgmlDType,
    stored: Stored,
}

enum Stored {
    /// Tiles of candle's block types: what is neither of the below.
    Tiles(Vec<Box<dyn QuantizedType>>),
    /// Rearranged for products with floats.
    Floats(Floats),
    /// Rearranged for products with whole numbers.
    Panels(Panels),
}

impl Matrix {
    /// An empty matrix of rows of `cols` values, to be filled by [`Matrix::push`]
    /// with `rows` rows.
    pub fn new(rows: usize, cols: usize, dtype: GgmlDType) -> Self {
        let stored = match (Format::of(dtype), Floats::new(cols, rows, dtype)) {
            (Some(format), _) => Stored::Panels(Panels::new(cols, rows, format)),
            (None, Some(floats)) => Stored::Floats(floats),
            (None, None) => Stored::Tiles(Vec::with_capacity(rows.div_ceil(TILE_ROWS))),
        };
        Self { rows: 0, cols, dtype, stored }
    }

    /// Bytes of one row as stored; `None` where a row is no whole number of blocks.
    pub fn row_bytes(cols: usize, dtype: GgmlDType) -> Option<usize> {
        crate::formats::archive::row_bytes(cols, dtype)
    }

    /// Appends one tile of `rows` rows (at most [`TILE_ROWS`], fewer only in
    /// the last) from their stored bytes, which must be aligned to four bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] where a value is NaN or infinite.
    pub fn push(&mut self, rows: usize, bytes: &[u8]) -> Result<()> {
        let expected = Self::row_bytes(self.cols, self.dtype).map(|b| b * rows);
        if rows > TILE_ROWS || expected != Some(bytes.len()) || !self.rows.is_multiple_of(TILE_ROWS)
        {
            return Err(Error::new(ErrorKind::Internal, "a tile of the wrong size"));
        }
        let finite = match &mut self.stored {
            Stored::Panels(panels) => panels.push(bytes, rows),
            Stored::Floats(floats) => floats.push(bytes),
            Stored::Tiles(tiles) => {
                let tile = self.dtype.from_data(Cow::Borrowed(bytes));
                let values = floats(tile.dequantize(rows * self.cols)?)?;
                tiles.push(tile);
                values.iter().all(|v| v.is_finite())
            }
        };
        self.rows += rows;
        if finite {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFinite, "a weight is NaN or infinite")
            .hint("the file is damaged or the training of this model diverged"))
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Stored element type.
    pub fn dtype(&self) -> GgmlDType {
        self.dtype
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS)
    }

    /// How the weights are packed; `None` where they are kept as candle has them.
    pub fn format(&self) -> Option<Format> {
        Format::of(self.dtype)
    }

    /// The panels, where the weights are packed.
    pub fn panels(&self) -> Option<&Panels> {
        match &self.stored {
            Stored::Panels(panels) => Some(panels),
            _ => None,
        }
    }

    /// The panels of floats, where the weights are such.
    pub fn floats(&self) -> Option<&Floats> {
        match &self.stored {
            Stored::Floats(floats) => Some(floats),
            _ => None,
        }
    }

    /// Tile `i` as floats, row after row.
    ///
    /// # Errors
    /// None in a matrix that was filled by [`Matrix::push`].
    pub fn tile(&self, i: usize) -> Result<Vec<f32>> {
        let rows = self.rows_in(i);
        match &self.stored {
            Stored::Tiles(tiles) => floats(tiles[i].dequantize(rows * self.cols)?),
            Stored::Panels(_) | Stored::Floats(_) => {
                let mut values = Vec::with_capacity(rows * self.cols);
                for row in 0..rows {
                    values.extend(self.row(i * TILE_ROWS + row)?);
                }
                Ok(values)
            }
        }
    }

    /// Row `row` as floats.
    ///
    /// # Errors
    /// As [`Matrix::tile`].
    pub fn row(&self, row: usize) -> Result<Vec<f32>> {
        match &self.stored {
            Stored::Panels(panels) => Ok(panels.row(row, &mut panels.room())),
            Stored::Floats(floats) => Ok(floats.row(row)),
            Stored::Tiles(tiles) => {
                let (tile, within) = (row / TILE_ROWS, row % TILE_ROWS);
                let rows = self.rows_in(tile);
                floats(tiles[tile].embedding(&[within as u32], rows, self.cols)?)
            }
        }
    }

    fn rows_in(&self, tile: usize) -> usize {
        (self.rows - tile * TILE_ROWS).min(TILE_ROWS)
    }

    /// A matrix of floats; for tests and for weights made in memory.
    ///
    /// # Errors
    /// As [`Matrix::push`].
    pub fn from_f32(values: &[f32], cols: usize) -> Result<Self> {
        let mut m = Self::new(values.len() / cols.max(1), cols, GgmlDType::F32);
        for tile in values.chunks(TILE_ROWS * cols) {
            m.push(tile.len() / cols, bytemuck::cast_slice(tile))?;
        }
        Ok(m)
    }
}

fn floats(storage: CpuStorage) -> Result<Vec<f32>> {
    match storage {
        CpuStorage::F32(values) => Ok(values),
        _ => Err(Error::new(ErrorKind::Internal, "weights did not unpack to f32")),
    }
}

const _: () = assert!(TILE_ROWS.is_multiple_of(PANEL));
