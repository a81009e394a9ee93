//! The arithmetic of the decoder, on slices.
//!
//! Every float result is a sum in one fixed order, with multiplication and
//! addition rounded apart, so that SSE, AVX and WebAssembly give the same bits: a
//! vector lane always holds a different output, never a part of a sum whose
//! order would depend on the lane count. Sums of whole numbers are exact in any
//! order. [`naive`] holds the oracles.

mod arch;
pub mod attention;
mod blocks;
mod codes;
mod float;
mod floats;
mod input;
pub mod math;
mod matmul;
mod matrix;
#[cfg(test)]
mod naive;
mod packed;
mod product;
mod vector;

pub use matmul::{Input, columns, matmul, outputs};
pub use matrix::{Matrix, TILE_ROWS};
pub use vector::{add, add_scaled, dot, exponentials, largest, layer_norm, rms_norm};
