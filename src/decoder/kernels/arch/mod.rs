//! The innermost loop, for each kind of processor. All give the same bits.

#[cfg(target_arch = "wasm32")]
mod wasm32;
#[cfg(target_arch = "wasm32")]
pub use wasm32::{BLOCK, Bytes, Words, block, single};

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{BLOCK, Bytes, Words, block, single};

#[cfg(any(test, not(any(target_arch = "wasm32", target_arch = "x86_64"))))]
mod lanes;
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub use super::product::plain as block;
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub use lanes::{Bytes, Words};
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub const BLOCK: usize = 4;

/// One row without unpacking: not made here.
#[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
pub fn single(
    _: super::input::Rows<'_>,
    _: super::packed::Packed<'_>,
    _: &mut [f32; super::packed::PANEL],
) -> bool {
    false
}
