//! GGUF v2 and v3 headers.

/// GGUF key-value pairs.
#[derive(Clone, Debug, Default)]
pub struct Meta {}
