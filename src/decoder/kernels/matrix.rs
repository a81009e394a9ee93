//! A weight matrix held in its stored type.

use crate::error::{Error, ErrorKind, Result};
use candle_core::CpuStorage;
use candle_core::quantized::{GgmlDType, QuantizedType};
use std::borrow::Cow;

/// Rows (outputs) in a tile, the unit in which weights are unpacked.
pub const TILE_ROWS: usize = 32;

/// An output × input matrix as a list of tiles of [`TILE_ROWS`] rows each, the
/// last perhaps shorter, every tile in candle's block type.
pub struct Matrix {
    rows: usize,
    cols: usize,
    dtype: GgmlDType,
    tiles: Vec<Box<dyn QuantizedType>>,
}

impl Matrix {
    /// An empty matrix of rows of `cols` values, to be filled by [`Matrix::push`].
    pub fn new(cols: usize, dtype: GgmlDType) -> Self {
        Self { rows: 0, cols, dtype, tiles: vec![] }
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
        self.tiles.push(self.dtype.from_data(Cow::Borrowed(bytes)));
        self.rows += rows;
        let last = self.tiles.len() - 1;
        if self.tile(last)?.iter().all(|v| v.is_finite()) {
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
        self.tiles.len()
    }

    /// Tile `i` as floats, row after row.
    ///
    /// # Errors
    /// None in a matrix that was filled by [`Matrix::push`].
    pub fn tile(&self, i: usize) -> Result<Vec<f32>> {
        let rows = (self.rows - i * TILE_ROWS).min(TILE_ROWS);
        match self.tiles[i].dequantize(rows * self.cols)? {
            CpuStorage::F32(values) => Ok(values),
            _ => Err(Error::new(ErrorKind::Internal, "a tile did not unpack to f32")),
        }
    }

    /// Row `row` as floats.
    ///
    /// # Errors
    /// As [`Matrix::tile`].
    pub fn row(&self, row: usize) -> Result<Vec<f32>> {
        match self.tiles[row / TILE_ROWS].embedding(
            &[(row % TILE_ROWS) as u32],
            (self.rows - row / TILE_ROWS * TILE_ROWS).min(TILE_ROWS),
            self.cols,
        )? {
            CpuStorage::F32(values) => Ok(values),
            _ => Err(Error::new(ErrorKind::Internal, "a row did not unpack to f32")),
        }
    }

    /// A matrix of floats; for tests and for weights made in memory.
    ///
    /// # Errors
    /// As [`Matrix::push`].
    pub fn from_f32(values: &[f32], cols: usize) -> Result<Self> {
        let mut m = Self::new(cols, GgmlDType::F32);
        for tile in values.chunks(TILE_ROWS * cols) {
            m.push(tile.len() / cols, bytemuck::cast_slice(tile))?;
        }
        Ok(m)
    }
}
