//! Model files: what they are, which belong together, what they hold.
//!
//! [`gather`](gather::gather) sorts dropped files by content into candidates and sample files;
//! [`Archive::open`] reads one candidate's headers. Tensors stay on disk until
//! [`Archive::read`] fetches one by range.

pub mod archive;
pub mod gather;
pub mod gguf;
pub mod safetensors;
pub mod shards;
pub mod sniff;

pub use archive::{Archive, Metadata, TensorInfo};
pub use gather::{CandidateFiles, Gathered, gather};
