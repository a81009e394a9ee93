//! The innermost loop, for each kind of processor. All give the same bits.

#[cfg(target_arch = "wasm32")]
mod wasm32;
#[cfg(target_arch = "wasm32")]
pub use wasm32::{BLOCK, Words, block, halves, single};

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{BLOCK, Words, block, halves, single};

#[cfg(any(test, not(any(target_arch = "wasm32", target_arch = "x86_64"))))]
mod lanes;
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub use super::product::plain as block;
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub use lanes::{Words, halves};
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub const BLOCK: usize = 4;

/// Moves the exponent's bias of half-precision numbers by a product, which is
/// exact for the smallest, too.
const BIAS: f32 = f32::from_bits((127 + 112) << 23);

/// One row without unpacking: not made here.
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub fn single(
    _: super::input::Rows<'_>,
    _: super::packed::Packed<'_>,
    _: &mut [f32; super::packed::PANEL],
) -> bool {
    false
}
