//! The three thin callers: the native command, the page and the page's worker,
//! with the message protocol between the last two.

pub mod arrivals;
#[cfg(target_arch = "wasm32")]
mod blob;
#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
pub mod eta;
#[cfg(target_arch = "wasm32")]
pub mod page;
pub mod png;
pub mod protocol;
#[cfg(target_arch = "wasm32")]
pub mod worker;
