//! GGUF key-value pairs.

use std::collections::BTreeMap;

/// One metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A signed integer of any width.
    Int(i64),
    /// An unsigned integer of any width.
    Uint(u64),
    /// A float of either width.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    String(String),
    /// A list of texts.
    Strings(Vec<String>),
    /// A list of integers of any width and sign.
    Ints(Vec<i64>),
    /// A list of floats of either width.
    Floats(Vec<f32>),
    /// A list of truth values.
    Bools(Vec<bool>),
    /// A list of lists: read past, not kept; no supported family uses one.
    Nested,
}

/// GGUF key-value pairs.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// The pairs by key.
    pub values: BTreeMap<String, Value>,
}

impl Meta {
    /// The text at `key`.
    pub fn str(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The integer at `key`, where it is not negative.
    pub fn uint(&self, key: &str) -> Option<u64> {
        match *self.values.get(key)? {
            Value::Uint(n) => Some(n),
            Value::Int(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// The float at `key`.
    pub fn float(&self, key: &str) -> Option<f64> {
        match *self.values.get(key)? {
            Value::Float(x) => Some(x),
            _ => None,
        }
    }

    /// The truth value at `key`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match *self.values.get(key)? {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The list of texts at `key`.
    pub fn strings(&self, key: &str) -> Option<&[String]> {
        match self.values.get(key)? {
            Value::Strings(v) => Some(v),
            _ => None,
        }
    }

    /// The list of floats at `key`.
    pub fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.values.get(key)? {
            Value::Floats(v) => Some(v),
            _ => None,
        }
    }

    /// The list of integers at `key`.
    pub fn ints(&self, key: &str) -> Option<&[i64]> {
        match self.values.get(key)? {
            Value::Ints(v) => Some(v),
            _ => None,
        }
    }
}
