//! GGUF v2 and v3 headers.

/// GGUF key-value pairs.
#[derive(Clone, Debug, Default)]
pub struct Meta {}

impl Meta {
    /// temporary
    pub fn str(&self, _: &str) -> Option<&str> {
        None
    }
    /// temporary
    pub fn uint(&self, _: &str) -> Option<u64> {
        None
    }
    /// temporary
    pub fn float(&self, _: &str) -> Option<f64> {
        None
    }
    /// temporary
    pub fn flag(&self, _: &str) -> Option<bool> {
        None
    }
    /// temporary
    pub fn ints(&self, _: &str) -> Option<&[i64]> {
        None
    }
}
