//! basetrace traces a fine-tuned language model back to the pre-trained base
//! it came from.
//!
//! The core in this library is pure: no DOM, no clock, no threads of its own,
//! and every arithmetic step in a fixed order, so that the native command and
//! the page's worker give the same numbers. Arrows point one way:
//! [`formats`] → [`tokenizer`], [`decoder`] → [`evidence`] → [`verdict`] →
//! [`report`] → [`app`]. DESIGN.md says why.

pub mod anatomy;
pub mod app;
pub mod bench;
pub mod decoder;
pub mod encoder;
pub mod error;
pub mod evidence;
pub mod formats;
pub mod job;
pub mod labels;
pub mod prompts;
pub mod report;
pub mod responses;
pub mod samples;
pub mod source;
pub mod tokenizer;
pub mod verdict;
#[cfg(all(feature = "zoo", not(target_arch = "wasm32")))]
pub mod zoo;

pub use error::{Error, ErrorKind, Result};
