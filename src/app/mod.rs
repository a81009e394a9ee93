//! What the three thin callers share: the message protocol between page and worker.

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
