//! Stores a GGUF file's matrices in another type, for benchmarks:
//! `cargo run --release --example requantize -- FROM TO TYPE`.
//!
//! Rows that are no whole number of K-quant blocks become Q5_0, as llama.cpp
//! has them for Q4_K.
#![allow(clippy::print_stdout, reason = "it says what it did")]

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, write};
use candle_core::quantized::{GgmlDType, QTensor};
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, dtype] = &args[..] else {
        return Err(
            "usage: requantize FROM TO TYPE (q4_0, q4_1, q5_0, q8_0, q4_k, q5_k, q6_k, f16, f32)"
                .into(),
        );
    };
    let dtype = match dtype.to_lowercase().as_str() {
        "q4_0" => GgmlDType::Q4_0,
        "q4_1" => GgmlDType::Q4_1,
        "q5_0" => GgmlDType::Q5_0,
        "q8_0" => GgmlDType::Q8_0,
        "q4_k" => GgmlDType::Q4K,
        "q5_k" => GgmlDType::Q5K,
        "q6_k" => GgmlDType::Q6K,
        "f16" => GgmlDType::F16,
        "f32" => GgmlDType::F32,
        other => return Err(format!("no such type: {other}").into()),
    };
    let mut file = File::open(from)?;
    let content = Content::read(&mut file)?;
    let mut names: Vec<&String> = content.tensor_infos.keys().collect();
    names.sort();
    let mut tensors = vec![];
    for name in names {
        let stored = content.tensor(&mut file, name, &Device::Cpu)?;
        let values = stored.dequantize(&Device::Cpu)?;
        let width = values.dims().last().copied().unwrap_or(0);
        let dtype = match values.rank() {
            1 => GgmlDType::F32,
            _ if width.is_multiple_of(dtype.block_size()) => dtype,
            _ => GgmlDType::Q5_0,
        };
        println!("{name}: {dtype:?}");
        tensors.push((name.as_str(), QTensor::quantize(&values, dtype)?));
    }
    let tensors: Vec<_> = tensors.iter().map(|(n, t)| (*n, t)).collect();
    let metadata: Vec<_> = content.metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    write(&mut BufWriter::new(File::create(to)?), &metadata, &tensors)?;
    Ok(())
}
