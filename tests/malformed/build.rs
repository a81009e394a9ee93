//! Valid tiny files, and the pieces to make invalid ones of.

use basetrace::source::{MemorySource, SharedSource};
use std::rc::Rc;

/// A named file in memory.
pub fn file(name: &str, bytes: impl Into<Vec<u8>>) -> SharedSource {
    Rc::new(MemorySource::new(name, bytes))
}

/// A GGUF string.
pub fn text(s: &[u8]) -> Vec<u8> {
    [&(s.len() as u64).to_le_bytes(), s].concat()
}

/// A key with its value type and value.
pub fn pair(key: &[u8], kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key), kind.to_le_bytes().as_slice(), value].concat()
}

/// A list value: its element type, count and elements.
pub fn list(kind: u32, elements: &[&[u8]]) -> Vec<u8> {
    let mut b = kind.to_le_bytes().to_vec();
    b.extend((elements.len() as u64).to_le_bytes());
    b.extend(elements.concat());
    b
}

/// A tensor's entry; `dims` innermost first, as the format has them.
pub fn tensor(name: &str, dims: &[u64], dtype: u32, offset: u64) -> Vec<u8> {
    let mut b = text(name.as_bytes());
    b.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|d| b.extend(d.to_le_bytes()));
    b.extend(dtype.to_le_bytes());
    b.extend(offset.to_le_bytes());
    b
}

/// A GGUF file of these pairs and tensors with `data` zero bytes.
pub fn gguf(version: u32, pairs: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
    let mut b = b"GGUF".to_vec();
    b.extend(version.to_le_bytes());
    b.extend((tensors.len() as u64).to_le_bytes());
    b.extend((pairs.len() as u64).to_le_bytes());
    b.extend(pairs.concat());
    b.extend(tensors.concat());
    b.resize(b.len().next_multiple_of(32) + data, 0);
    b
}

/// A valid GGUF: pairs of every type, two tensors.
pub fn good_gguf() -> Vec<u8> {
    let strings = list(8, &[&text(b"a"), &text(b"b")]);
    let floats = list(6, &[&1.5f32.to_le_bytes()]);
    let ints = list(5, &[&(-3i32).to_le_bytes()]);
    let bools = list(7, &[&[1], &[0]]);
    let nested = list(9, &[&ints]);
    let pairs = [
        pair(b"general.architecture", 8, &text(b"llama")),
        pair(b"u8", 0, &[200]),
        pair(b"i8", 1, &[0xff]),
        pair(b"u16", 2, &60000u16.to_le_bytes()),
        pair(b"i16", 3, &(-2i16).to_le_bytes()),
        pair(b"u32", 4, &4_000_000_000u32.to_le_bytes()),
        pair(b"i32", 5, &7i32.to_le_bytes()),
        pair(b"f32", 6, &0.5f32.to_le_bytes()),
        pair(b"flag", 7, &[1]),
        pair(b"u64", 10, &u64::MAX.to_le_bytes()),
        pair(b"i64", 11, &i64::MIN.to_le_bytes()),
        pair(b"f64", 12, &0.25f64.to_le_bytes()),
        pair(b"tokenizer.ggml.tokens", 9, &strings),
        pair(b"floats", 9, &floats),
        pair(b"ints", 9, &ints),
        pair(b"bools", 9, &bools),
        pair(b"nested", 9, &nested),
        pair(b"latin", 8, &text(b"caf\xe9")),
    ];
    let tensors = [tensor("a", &[32, 2], 8, 0), tensor("b", &[3], 0, 96)];
    gguf(3, &pairs, &tensors, 96 + 12)
}

/// A safetensors file with this header and `data` zero bytes.
pub fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut b = (header.len() as u64).to_le_bytes().to_vec();
    b.extend(header.as_bytes());
    b.resize(b.len() + data, 0);
    b
}

/// One F32 tensor `name` of two elements.
pub fn good_safetensors(name: &str) -> Vec<u8> {
    safetensors(&format!(r#"{{"{name}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#), 8)
}

/// A minimal config.json.
pub const CONFIG: &str = r#"{"architectures":["LlamaForCausalLM"],"model_type":"llama"}"#;
/// A minimal tokenizer.json.
pub const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[],"pre_tokenizer":null,"model":{"type":"BPE","vocab":{},"merges":[]}}"#;

/// A folder with these files beside a config and a tokenizer.
pub fn folder(name: &str, files: &[(&str, Vec<u8>)]) -> Vec<SharedSource> {
    let mut all = vec![
        file(&format!("{name}/config.json"), CONFIG),
        file(&format!("{name}/tokenizer.json"), TOKENIZER),
    ];
    all.extend(files.iter().map(|(n, b)| file(&format!("{name}/{n}"), b.clone())));
    all
}
