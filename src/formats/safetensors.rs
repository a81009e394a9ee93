//! safetensors headers and shard indices.
//!
//! Format: <https://github.com/huggingface/safetensors#format>.

use crate::error::{Error, ErrorKind, Result};
use crate::source::{Source, read_vec};
use candle_core::quantized::GgmlDType;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// The longest header that the reference implementation accepts too.
pub const MAX_HEADER: u64 = 100_000_000;
const MAX_DIMS: usize = 8;

/// One tensor of a safetensors file.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The element type, where it is one that weights are read in.
    pub dtype: Option<GgmlDType>,
    /// The element type's own name, such as `F32` or `I64`.
    pub dtype_name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Absolute byte offset in the file.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// An index of shards: tensor name → file name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Index {
    /// Which file holds each tensor.
    pub weight_map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's pairs in order, so that a name given twice is seen.
struct Pairs(Vec<(String, Option<RawEntry>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<serde::de::IgnoredAny>()?;
                        pairs.push((name, None));
                    } else {
                        pairs.push((name, Some(map.next_value()?)));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        d.deserialize_map(Collect)
    }
}

fn corrupt(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, what)
        .hint("the file is damaged: copy or download it again, and compare its checksum")
}

/// Whether `source` starts as a safetensors file does: a header length that is
/// plausible, then the brace of a JSON object.
pub fn looks_like(head: &[u8], len: u64) -> bool {
    match head.first_chunk::<8>() {
        Some(n) => {
            let n = u64::from_le_bytes(*n);
            head.get(8) == Some(&b'{') && len >= 9 && (2..1 << 40).contains(&n)
        }
        None => false,
    }
}

/// Reads the header of `source`; no tensor data is read.
///
/// # Errors
/// [`ErrorKind::Truncated`], [`ErrorKind::Corrupt`] or [`ErrorKind::TooLarge`],
/// naming the file.
pub fn read(source: &dyn Source) -> Result<BTreeMap<String, Entry>> {
    header(source).map_err(|e| e.in_file(source.name()))
}

fn header(source: &dyn Source) -> Result<BTreeMap<String, Entry>> {
    let len = read_vec(source, 0, 8)?;
    let len = u64::from_le_bytes(len.try_into().unwrap_or([0; 8]));
    if len > MAX_HEADER {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("the header claims {len} bytes; at most {MAX_HEADER} are accepted"),
        )
        .hint("this is no safetensors file, or it is damaged: download it again"));
    }
    let json = read_vec(source, 8, len as usize)?;
    let Pairs(pairs) = serde_json::from_slice(&json)
        .map_err(|e| corrupt(format!("the header is not valid safetensors JSON: {e}")))?;
    let data = 8 + len;
    let mut entries = BTreeMap::new();
    for (name, raw) in pairs {
        let Some(raw) = raw else { continue };
        let entry = entry(&name, raw, data, source)?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(corrupt(format!("tensor \"{name}\" is listed twice")));
        }
    }
    overlaps(&entries)?;
    Ok(entries)
}

fn entry(name: &str, raw: RawEntry, data: u64, source: &dyn Source) -> Result<Entry> {
    let bad_shape = || corrupt(format!("tensor \"{name}\" has an impossible shape"));
    if raw.shape.len() > MAX_DIMS {
        return Err(bad_shape());
    }
    let (from, to) = raw.data_offsets;
    let room = source.len().saturating_sub(data);
    if from > to {
        return Err(corrupt(format!("tensor \"{name}\" ends before it starts")));
    }
    if to > room {
        return Err(Error::new(
            ErrorKind::Truncated,
            format!("tensor \"{name}\" lies beyond the end of the file ({} bytes)", source.len()),
        )
        .hint("the file was cut short: copy or download it again"));
    }
    let elements = raw.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    let bits = dtype_bits(&raw.dtype);
    let expected = elements.and_then(|n| n.checked_mul(bits.unwrap_or(0)));
    let expected = expected.ok_or_else(bad_shape)?.div_ceil(8);
    if bits.is_some() && expected != to - from {
        return Err(corrupt(format!(
            "tensor \"{name}\" has {} bytes, but its shape needs {expected}",
            to - from
        )));
    }
    let shape = raw.shape.iter().map(|&n| usize::try_from(n).map_err(|_| bad_shape()));
    let dtype = match raw.dtype.as_str() {
        "F32" => Some(GgmlDType::F32),
        "F16" => Some(GgmlDType::F16),
        "BF16" => Some(GgmlDType::BF16),
        _ => None,
    };
    Ok(Entry {
        dtype,
        shape: shape.collect::<Result<_>>()?,
        dtype_name: raw.dtype,
        offset: data + from,
        bytes: to - from,
    })
}

/// Bits of one element, for the types of the format.
fn dtype_bits(name: &str) -> Option<u64> {
    Some(match name {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

fn overlaps(entries: &BTreeMap<String, Entry>) -> Result<()> {
    let mut by_place: Vec<_> = entries.iter().filter(|(_, e)| e.bytes > 0).collect();
    by_place.sort_by_key(|(_, e)| e.offset);
    for pair in by_place.windows(2) {
        let [(a, ea), (b, eb)] = pair else { continue };
        if ea.offset + ea.bytes > eb.offset {
            return Err(corrupt(format!("tensors \"{a}\" and \"{b}\" overlap")));
        }
    }
    Ok(())
}
