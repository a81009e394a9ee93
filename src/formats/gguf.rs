//! GGUF v2 and v3 headers, little-endian.
//!
//! Format: the specification in ggml's docs/gguf.md. Every count and length
//! is checked against a cap and against what the file can still hold before
//! anything is allocated for it.

mod dtype;
mod meta;
mod reader;

pub use meta::{Meta, Value};

use super::archive::TensorInfo;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;
use candle_core::quantized::GgmlDType;
use reader::Reader;
use std::collections::BTreeMap;

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";

const MAX_PAIRS: u64 = 1 << 16;
const MAX_TENSORS: u64 = 1 << 17;
const MAX_STRING: u64 = 64 << 20;
const MAX_ARRAY: u64 = 1 << 22;
const MAX_DIMS: u32 = 4;
const MAX_NESTING: usize = 4;

/// A parsed header: the pairs, and where every tensor lies (source 0).
#[derive(Debug)]
pub struct Header {
    /// Key-value pairs.
    pub meta: Meta,
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// Reads the header of `source`; no tensor data is read.
///
/// # Errors
/// [`ErrorKind::Truncated`], [`ErrorKind::Corrupt`], [`ErrorKind::TooLarge`] or
/// [`ErrorKind::Unsupported`], naming the file.
pub fn read(source: &dyn Source) -> Result<Header> {
    Reader::new(source).header().map_err(|e| e.in_file(source.name()))
}

fn corrupt(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, what)
        .hint("the file is damaged: copy or download it again, and compare its checksum")
}

fn too_large(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::TooLarge, what)
        .hint("no real model is like this: the file is damaged, so download it again")
}

/// A tensor as listed, before its place is checked.
struct Listed {
    name: String,
    dtype: GgmlDType,
    shape: Vec<usize>,
    offset: u64,
    bytes: u64,
}

impl Reader<'_> {
    fn header(mut self) -> Result<Header> {
        let magic: [u8; 4] = self.array()?;
        if magic != MAGIC {
            return Err(Error::new(ErrorKind::Unrecognised, "this is not a GGUF file")
                .hint("GGUF files start with the letters GGUF"));
        }
        match self.u32()? {
            2 | 3 => {}
            1 => {
                return Err(Error::new(ErrorKind::Unsupported, "GGUF version 1 is not supported")
                    .hint("convert the model again with a current llama.cpp; versions 2 and 3 are read"));
            }
            v @ (0x0100_0000 | 0x0200_0000 | 0x0300_0000) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("GGUF version {} in big-endian byte order is not supported", v >> 24),
                )
                .hint("use the little-endian file, or convert with gguf_convert_endian.py"));
            }
            v => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("GGUF version {v} is not known"),
                )
                .hint("versions 2 and 3 are read"));
            }
        }
        let tensors = self.count(MAX_TENSORS, "tensors", 24)?;
        let pairs = self.count(MAX_PAIRS, "metadata pairs", 13)?;
        let meta = self.pairs(pairs)?;
        let mut listed = Vec::new();
        for i in 0..tensors {
            listed.push(self.tensor(i)?);
        }
        let align = alignment(&meta)?;
        let data = self.at.div_ceil(align) * align;
        Ok(Header { tensors: place(listed, data, align, self.source)?, meta })
    }

    /// A count of things that take at least `least` bytes each.
    fn count(&mut self, cap: u64, what: &str, least: u64) -> Result<u64> {
        let n = self.u64()?;
        if n > cap {
            return Err(too_large(format!(
                "the header claims {n} {what}; at most {cap} are accepted"
            )));
        }
        if n * least > self.left() {
            return Err(Error::new(
                ErrorKind::Truncated,
                format!("the header claims {n} {what}, more than the file has room for"),
            )
            .hint("the file was cut short: copy or download it again"));
        }
        Ok(n)
    }

    fn pairs(&mut self, n: u64) -> Result<Meta> {
        let mut values = BTreeMap::new();
        for i in 0..n {
            let key = self.name(&format!("the key of metadata pair {}", i + 1))?;
            let kind = self.u32()?;
            let value = self.value(kind, &key)?;
            if values.insert(key.clone(), value).is_some() {
                return Err(corrupt(format!("metadata key \"{key}\" appears twice")));
            }
        }
        Ok(Meta { values })
    }

    fn value(&mut self, kind: u32, key: &str) -> Result<Value> {
        Ok(match kind {
            0 | 2 | 4 | 10 => Value::Uint(self.integer(kind, key)? as u64),
            1 | 3 | 5 | 11 => Value::Int(self.integer(kind, key)? as i64),
            6 | 12 => Value::Float(self.float(kind)?),
            7 => Value::Bool(self.flag(key)?),
            8 => Value::String(decode(self.text(MAX_STRING, &format!("\"{key}\""))?)),
            9 => self.list(key, 0)?,
            _ => return Err(corrupt(format!("\"{key}\" has the unknown value type {kind}"))),
        })
    }

    fn integer(&mut self, kind: u32, key: &str) -> Result<i128> {
        Ok(match kind {
            0 => u8::from_le_bytes(self.array()?).into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => u32::from_le_bytes(self.array()?).into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            10 => u64::from_le_bytes(self.array()?).into(),
            11 => i64::from_le_bytes(self.array()?).into(),
            _ => return Err(corrupt(format!("\"{key}\" has the unknown value type {kind}"))),
        })
    }

    fn float(&mut self, kind: u32) -> Result<f64> {
        Ok(match kind {
            6 => f32::from_le_bytes(self.array()?).into(),
            _ => f64::from_le_bytes(self.array()?),
        })
    }

    fn flag(&mut self, key: &str) -> Result<bool> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [b] => Err(corrupt(format!("\"{key}\" should be true or false, but is {b}"))),
        }
    }

    fn list(&mut self, key: &str, depth: usize) -> Result<Value> {
        let kind = self.u32()?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => 12,
            _ => return Err(corrupt(format!("\"{key}\" lists the unknown value type {kind}"))),
        };
        let n = self.u64()?;
        if n > MAX_ARRAY {
            return Err(too_large(format!(
                "\"{key}\" claims {n} elements; at most {MAX_ARRAY} are accepted"
            )));
        }
        self.need(n * least)?;
        Ok(match kind {
            7 => Value::Bools((0..n).map(|_| self.flag(key)).collect::<Result<_>>()?),
            6 | 12 => {
                Value::Floats((0..n).map(|_| Ok(self.float(kind)? as f32)).collect::<Result<_>>()?)
            }
            8 => {
                let what = format!("an element of \"{key}\"");
                let mut strings = Vec::new();
                for i in 0..n {
                    let b = self.text(MAX_STRING, &what)?;
                    strings.push(match key {
                        "tokenizer.ggml.tokens" => token(b, i),
                        _ => decode(b),
                    });
                }
                Value::Strings(strings)
            }
            9 if depth >= MAX_NESTING => {
                return Err(corrupt(format!("\"{key}\" is a list nested too deeply")));
            }
            9 => {
                for _ in 0..n {
                    self.list(key, depth + 1)?;
                }
                Value::Nested
            }
            _ => {
                let one = |_| {
                    let x = self.integer(kind, key)?;
                    i64::try_from(x).map_err(|_| {
                        corrupt(format!("\"{key}\" lists {x}, beyond 64-bit signed integers"))
                    })
                };
                Value::Ints((0..n).map(one).collect::<Result<_>>()?)
            }
        })
    }

    fn tensor(&mut self, index: u64) -> Result<Listed> {
        let name = self.name(&format!("the name of tensor {}", index + 1))?;
        let dims = self.u32()?;
        if dims > MAX_DIMS {
            return Err(corrupt(format!(
                "tensor \"{name}\" claims {dims} dimensions; at most {MAX_DIMS} exist"
            )));
        }
        let mut shape = Vec::new();
        let mut elements = 1u64;
        for _ in 0..dims {
            let n = self.u64()?;
            let size = usize::try_from(n).ok().filter(|_| n > 0);
            elements = elements.checked_mul(n).unwrap_or(0);
            match size {
                Some(size) if elements > 0 => shape.push(size),
                _ => return Err(corrupt(format!("tensor \"{name}\" has an impossible shape"))),
            }
        }
        shape.reverse();
        let dtype = dtype::named(self.u32()?).map_err(|t| {
            Error::new(
                ErrorKind::Unsupported,
                format!("tensor \"{name}\" is stored as {t}, which is not supported"),
            )
            .hint("use another quantization of the model, such as Q4_K_M, Q8_0 or F16")
        })?;
        let offset = self.u64()?;
        let block = dtype.block_size() as u64;
        let row = shape.last().map_or(1, |&n| n as u64);
        if row % block != 0 {
            return Err(corrupt(format!(
                "tensor \"{name}\" has rows of {row} elements, no multiple of the {block} that {dtype:?} stores together"
            )));
        }
        let bytes = (elements / block).checked_mul(dtype.type_size() as u64);
        let bytes =
            bytes.ok_or_else(|| corrupt(format!("tensor \"{name}\" has an impossible shape")))?;
        Ok(Listed { name, dtype, shape, offset, bytes })
    }
}

/// Text that nothing depends on byte for byte.
fn decode(b: Vec<u8>) -> String {
    String::from_utf8(b).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// A vocabulary entry. One that is not UTF-8 can match no text, so it gets a
/// name of its own: decoded lossily, several such entries would become one.
fn token(b: Vec<u8>, id: u64) -> String {
    String::from_utf8(b).unwrap_or_else(|_| format!("[token {id}: not UTF-8]"))
}

fn alignment(meta: &Meta) -> Result<u64> {
    const KEY: &str = "general.alignment";
    match meta.values.get(KEY) {
        None => Ok(32),
        Some(_) => meta
            .uint(KEY)
            .filter(|n| n.is_power_of_two() && *n <= 1 << 20)
            .ok_or_else(|| corrupt("general.alignment is no power of two up to 1048576")),
    }
}

/// Checks every listed tensor's place and gives absolute offsets.
fn place(
    mut listed: Vec<Listed>,
    data: u64,
    align: u64,
    source: &dyn Source,
) -> Result<BTreeMap<String, TensorInfo>> {
    listed.sort_by_key(|t| t.offset);
    let mut tensors = BTreeMap::new();
    let mut end_before = 0;
    let mut before = String::new();
    for t in listed {
        let Listed { name, dtype, shape, offset, bytes } = t;
        if offset % align != 0 {
            return Err(corrupt(format!(
                "tensor \"{name}\" starts at byte {offset}, no multiple of the alignment {align}"
            )));
        }
        if offset < end_before {
            return Err(corrupt(format!("tensors \"{before}\" and \"{name}\" overlap")));
        }
        let end = offset.checked_add(bytes).and_then(|e| e.checked_add(data));
        if end.is_none_or(|e| e > source.len()) {
            return Err(Error::new(
                ErrorKind::Truncated,
                format!(
                    "tensor \"{name}\" lies beyond the end of the file ({} bytes)",
                    source.len()
                ),
            )
            .hint("the file was cut short: copy or download it again"));
        }
        end_before = offset + bytes;
        let bytes = usize::try_from(bytes).map_err(|_| {
            Error::new(ErrorKind::TooLarge, format!("tensor \"{name}\" has {bytes} bytes"))
                .hint("use the basetrace command for models of this size")
        })?;
        before.clone_from(&name);
        let info = TensorInfo { dtype, shape, source: 0, offset: data + offset, bytes };
        if tensors.insert(name.clone(), info).is_some() {
            return Err(corrupt(format!("tensor \"{name}\" is listed twice")));
        }
    }
    Ok(tensors)
}
