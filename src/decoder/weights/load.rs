//! Loading a model's weights, tensor by tensor, in their stored type.

use super::super::config::{Config, Part, Position, Residual};
use super::super::families::{Layout, Place};
use super::super::kernels::{Matrix, TILE_ROWS};
use super::super::locate::Prefix;
use super::{Layer, Layers, Linear, NormWeights, Weights};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, TensorInfo};
use candle_core::quantized::GgmlDType;
use std::ops::Range;
use std::rc::Rc;

/// Bytes read from a file at a time; the load's working memory is a small multiple.
const PIECE: usize = 4 << 20;

/// Loads what `layout` names from `archive`; the layers only where all of the
/// archive has at most `room` bytes. `loaded` hears the bytes read so far.
///
/// # Errors
/// Missing, misshapen, unreadable or non-finite tensors, by name.
pub fn load(
    archive: &Archive,
    layout: Layout,
    room: u64,
    loaded: &mut dyn FnMut(u64),
) -> Result<Weights> {
    let prefix = Prefix::find(archive, &layout);
    let mut l = Loader { archive, layout: &layout, prefix: &prefix, bytes: 0, loaded };
    let c = &layout.config;
    let embedding = l.matrix(Part::Embedding, c.vocab, c.embedding)?;
    let positions = match c.position {
        Position::Learned { offset } => {
            Some(l.matrix(Part::Positions, c.context + offset, c.hidden)?)
        }
        _ => None,
    };
    let projected = c.embedding != c.hidden;
    let mut weights = Weights {
        positions,
        embedding_norm: if c.embedding_norm {
            Some(l.norm(Part::EmbeddingNorm, c.hidden)?)
        } else {
            None
        },
        project_in: if projected {
            Some(l.linear(Part::ProjectIn, c.hidden, c.embedding)?)
        } else {
            None
        },
        project_out: if projected {
            Some(l.linear(Part::ProjectOut, c.embedding, c.hidden)?)
        } else {
            None
        },
        layers: Layers::Held(vec![]),
        final_norm: if c.final_norm { Some(l.norm(Part::FinalNorm, c.hidden)?) } else { None },
        head: if l.has(Part::Head) {
            l.linear(Part::Head, c.vocab, c.embedding)?
        } else if layout.tied {
            Linear { weight: Rc::clone(&embedding), bias: None }
        } else {
            return Err(Error::new(ErrorKind::Missing, "the model has no output matrix, and its embedding is not shared")
                .in_file(&archive.label)
                .hint("this may be a bare encoder or an incomplete download; use the full causal language model"));
        },
        embedding,
    };
    weights.layers = if archive.bytes() <= room {
        let layers = (0..c.layers).map(|i| l.layer(i, c).map(Rc::new));
        Layers::Held(layers.collect::<Result<_>>()?)
    } else {
        Layers::Stored(Box::new(Stored { archive: archive.clone(), layout, prefix }))
    };
    Ok(weights)
}

/// Layers that stay in their file.
pub struct Stored {
    archive: Archive,
    layout: Layout,
    prefix: Prefix,
}

impl Stored {
    /// Reads layer `i`.
    ///
    /// # Errors
    /// As [`load`].
    pub fn layer(&self, i: usize) -> Result<Layer> {
        let (archive, layout, prefix) = (&self.archive, &self.layout, &self.prefix);
        Loader { archive, layout, prefix, bytes: 0, loaded: &mut |_| {} }.layer(i, &layout.config)
    }
}

struct Loader<'a> {
    archive: &'a Archive,
    layout: &'a Layout,
    prefix: &'a Prefix,
    bytes: u64,
    loaded: &'a mut dyn FnMut(u64),
}

impl Loader<'_> {
    fn layer(&mut self, i: usize, c: &Config) -> Result<Layer> {
        let optional =
            |l: &mut Self, on: bool, part, n| if on { l.norm(part, n).map(Some) } else { Ok(None) };
        Ok(Layer {
            attention_norm: self.norm(Part::AttentionNorm(i), c.hidden)?,
            query: self.linear(Part::Query(i), c.q_width(), c.hidden)?,
            key: self.linear(Part::Key(i), c.kv_width(), c.hidden)?,
            value: self.linear(Part::Value(i), c.kv_width(), c.hidden)?,
            output: self.linear(Part::Output(i), c.hidden, c.q_width())?,
            query_norm: optional(self, c.qk_norm, Part::QueryNorm(i), c.head_dim)?,
            key_norm: optional(self, c.qk_norm, Part::KeyNorm(i), c.head_dim)?,
            attention_output_norm: optional(
                self,
                c.output_norms,
                Part::AttentionOutputNorm(i),
                c.hidden,
            )?,
            mlp_norm: optional(
                self,
                c.residual != Residual::ParallelShared,
                Part::MlpNorm(i),
                c.hidden,
            )?,
            gate: if c.gated {
                Some(self.linear(Part::Gate(i), c.intermediate, c.hidden)?)
            } else {
                None
            },
            up: self.linear(Part::Up(i), c.intermediate, c.hidden)?,
            down: self.linear(Part::Down(i), c.hidden, c.intermediate)?,
            mlp_output_norm: optional(self, c.output_norms, Part::MlpOutputNorm(i), c.hidden)?,
        })
    }

    fn name(&self, place: &Place, suffix: &str) -> String {
        self.prefix.name(self.archive, place, suffix)
    }

    fn place(&self, part: Part) -> Result<Place> {
        (self.layout.place)(part).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("{part:?} has no place in the family {}", self.layout.config.family),
            )
            .in_file(&self.archive.label)
            .hint("this variant of the family is not supported")
        })
    }

    fn has(&self, part: Part) -> bool {
        (self.layout.place)(part)
            .is_some_and(|p| self.archive.tensors.contains_key(&self.name(&p, "weight")))
    }

    fn mismatch(&self, name: &str, found: &[usize], expected: &str) -> Error {
        Error::new(
            ErrorKind::Mismatch,
            format!("tensor \"{name}\" is {found:?}, but the configuration needs {expected}"),
        )
        .in_file(&self.archive.label)
        .hint("the configuration and the weights are of different models")
    }

    fn linear(&mut self, part: Part, rows: usize, cols: usize) -> Result<Linear> {
        let weight = self.matrix(part, rows, cols)?;
        let place = self.place(part)?;
        let name = self.name(&place, "bias");
        let bias = if self.archive.tensors.contains_key(&name) {
            Some(self.vector(&name, &place.rows, rows)?)
        } else {
            None
        };
        Ok(Linear { weight, bias })
    }

    fn norm(&mut self, part: Part, n: usize) -> Result<NormWeights> {
        let place = self.place(part)?;
        let weight = self.vector(&self.name(&place, "weight"), &[], n)?;
        let name = self.name(&place, "bias");
        let bias = if self.archive.tensors.contains_key(&name) {
            self.vector(&name, &[], n)?
        } else {
            vec![]
        };
        let c = &self.layout.config;
        Ok(NormWeights { kind: c.norm, eps: c.norm_eps, weight, bias })
    }

    /// A vector, or the parts of one that `ranges` name.
    fn vector(&mut self, name: &str, ranges: &[Range<usize>], n: usize) -> Result<Vec<f32>> {
        let info = self.archive.info(name)?;
        let total: usize = info.shape.iter().product();
        let needed = ranges.iter().map(|r| r.end).max().unwrap_or(n);
        if total < needed || (ranges.is_empty() && total != n) {
            return Err(self.mismatch(name, &info.shape, &format!("{needed} values")));
        }
        let matrix = self.rows(name, info, total, std::slice::from_ref(&(0..1)))?;
        let values = matrix.tile(0)?;
        if ranges.is_empty() {
            return Ok(values);
        }
        Ok(ranges.iter().flat_map(|r| values[r.clone()].iter().copied()).collect())
    }

    /// The weight of `part`, which must come out as `rows × cols`.
    fn matrix(&mut self, part: Part, rows: usize, cols: usize) -> Result<Rc<Matrix>> {
        let place = self.place(part)?;
        let name = self.name(&place, "weight");
        let info = self.archive.info(&name)?;
        let expected = format!("{rows} × {cols}");
        let &[outer, inner] = &info.shape[..] else {
            return Err(self.mismatch(&name, &info.shape, &expected));
        };
        let (all, width) = if place.transposed { (inner, outer) } else { (outer, inner) };
        let whole = 0..all;
        let ranges = if place.rows.is_empty() { std::slice::from_ref(&whole) } else { &place.rows };
        let fits = ranges.iter().all(|r| r.end <= all);
        if width != cols || !fits || ranges.iter().map(Range::len).sum::<usize>() != rows {
            return Err(self.mismatch(&name, &info.shape, &expected));
        }
        let matrix = if place.transposed {
            self.columns(&name, info, ranges)?
        } else {
            self.rows(&name, info, cols, ranges)?
        };
        Ok(Rc::new(matrix))
    }

    /// Rows `ranges` of a tensor stored output × input.
    fn rows(
        &mut self,
        name: &str,
        info: &TensorInfo,
        cols: usize,
        ranges: &[Range<usize>],
    ) -> Result<Matrix> {
        let row = Matrix::row_bytes(cols, info.dtype).filter(|b| *b > 0).ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                format!("rows of tensor \"{name}\" are not whole blocks"),
            )
            .in_file(&self.archive.label)
        })?;
        let mut tiles = Tiles::new(ranges.iter().map(Range::len).sum(), cols, info.dtype, row);
        let piece = (PIECE / row).max(1);
        for range in ranges {
            for from in range.clone().step_by(piece) {
                let n = piece.min(range.end - from);
                let bytes = self.read(info, from * row, n * row)?;
                tiles.extend(&bytes).map_err(|e| self.at(&e, name))?;
            }
        }
        tiles.finish().map_err(|e| self.at(&e, name))
    }

    /// Columns `ranges` of a tensor stored input × output, turned round.
    fn columns(
        &mut self,
        name: &str,
        info: &TensorInfo,
        ranges: &[Range<usize>],
    ) -> Result<Matrix> {
        let (size, &[inputs, outputs]) = (info.dtype.type_size(), &info.shape[..]) else {
            return Err(self.mismatch(name, &info.shape, "a matrix"));
        };
        if info.dtype.block_size() != 1 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("tensor \"{name}\" is quantized across its outputs"),
            )
            .in_file(&self.archive.label));
        }
        let rows: usize = ranges.iter().map(Range::len).sum();
        let mut turned = vec![0_u8; rows * inputs * size];
        let piece = (PIECE / (outputs * size).max(1)).max(1);
        for from in (0..inputs).step_by(piece) {
            let n = piece.min(inputs - from);
            let bytes = self.read(info, from * outputs * size, n * outputs * size)?;
            for (i, line) in bytes.chunks_exact(outputs * size).enumerate() {
                for (to, column) in ranges.iter().flat_map(|r| r.clone()).enumerate() {
                    let at = (to * inputs + from + i) * size;
                    turned[at..at + size]
                        .copy_from_slice(&line[column * size..(column + 1) * size]);
                }
            }
        }
        let mut tiles = Tiles::new(rows, inputs, info.dtype, inputs * size);
        tiles.extend(&turned).map_err(|e| self.at(&e, name))?;
        tiles.finish().map_err(|e| self.at(&e, name))
    }

    fn read(&mut self, info: &TensorInfo, from: usize, len: usize) -> Result<Vec<u8>> {
        let bytes = self.archive.read(info, from as u64, len)?;
        self.bytes += len as u64;
        (self.loaded)(self.bytes);
        Ok(bytes)
    }

    fn at(&self, e: &Error, name: &str) -> Error {
        let hint = e.hint_text().map(str::to_owned);
        let mut named = Error::new(e.kind(), format!("tensor \"{name}\": {}", e.what()))
            .in_file(&self.archive.label);
        if let Some(hint) = hint {
            named = named.hint(hint);
        }
        named
    }
}

/// Gathers row bytes into a matrix's tiles, in memory aligned for every block type.
struct Tiles {
    matrix: Matrix,
    row: usize,
    buffer: Vec<u64>,
    filled: usize,
}

impl Tiles {
    fn new(rows: usize, cols: usize, dtype: GgmlDType, row: usize) -> Self {
        Self {
            matrix: Matrix::new(rows, cols, dtype),
            row,
            buffer: vec![0; (row * TILE_ROWS).div_ceil(8)],
            filled: 0,
        }
    }

    fn extend(&mut self, mut bytes: &[u8]) -> Result<()> {
        let full = self.row * TILE_ROWS;
        while !bytes.is_empty() {
            let n = bytes.len().min(full - self.filled);
            let buffer: &mut [u8] = bytemuck::cast_slice_mut(&mut self.buffer);
            buffer[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
            self.filled += n;
            bytes = &bytes[n..];
            if self.filled == full {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.filled > 0 {
            let buffer: &[u8] = bytemuck::cast_slice(&self.buffer);
            self.matrix.push(self.filled / self.row, &buffer[..self.filled])?;
            self.filled = 0;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Matrix> {
        self.flush()?;
        Ok(self.matrix)
    }
}
