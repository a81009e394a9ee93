//! Models of the zoo on disk: GGUF as llama.cpp names things, or a Hugging
//! Face folder; and back.

mod names;

use super::plan::{Family, Storage};
use super::vocabulary::Vocabulary;
use super::weights::{Parts, parts};
use crate::decoder::config::{Config, Part, Position};
use crate::error::{Error, ErrorKind, Result};
use candle_core::quantized::gguf_file::{Content, Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use names::{gguf_fused, gguf_name, interleave, is_fused, named, neox_fused, neox_name};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

fn io(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |e| Error::new(ErrorKind::Read, e.to_string()).in_file(path.display().to_string())
}

/// Writes a model: one GGUF at `path`, or a folder there.
///
/// # Errors
/// Where the files cannot be written.
pub fn save(
    path: &Path,
    family: Family,
    config: &Config,
    parts: &Parts,
    vocabulary: &Vocabulary,
    storage: Storage,
    label: &str,
) -> Result<()> {
    if storage == Storage::Folder {
        return save_folder(path, config, parts, vocabulary);
    }
    let metadata = metadata(family, config, vocabulary, storage, label)?;
    write_gguf(path, family, &metadata, parts, storage)
}

/// The type of a stored tensor.
fn dtype(name: &str, tensor: &Tensor, storage: Storage) -> GgmlDType {
    // As llama.cpp does: positions and all vectors stay in F32.
    if tensor.rank() == 1 || name.starts_with("position_embd") {
        return GgmlDType::F32;
    }
    let width = tensor.dims().last().copied().unwrap_or(1);
    match storage {
        Storage::Folder | Storage::GgufF16 => GgmlDType::F16,
        Storage::GgufQ8 => GgmlDType::Q8_0,
        Storage::GgufQ4 => GgmlDType::Q4_0,
        // Blocks of Q4_K are 256 wide; llama.cpp stores other widths in Q5_0.
        Storage::GgufQ4K if width.is_multiple_of(256) => GgmlDType::Q4K,
        Storage::GgufQ4K => GgmlDType::Q5_0,
    }
}

/// Writes one GGUF of `parts` with `metadata`.
///
/// # Errors
/// Where the file cannot be written.
pub(super) fn write_gguf(
    path: &Path,
    family: Family,
    metadata: &[(String, Value)],
    parts: &Parts,
    storage: Storage,
) -> Result<()> {
    let fused: Option<&dyn Fn(usize) -> _> =
        if is_fused(family) { Some(&gguf_fused) } else { None };
    let tensors = named(parts, gguf_name, fused, |t| Ok(Tensor::cat(t, 0)?))?;
    let mut stored: Vec<(String, QTensor)> = vec![];
    for (name, tensor) in tensors {
        let dtype = dtype(&name, &tensor, storage);
        stored.push((name, QTensor::quantize(&tensor.contiguous()?, dtype)?));
    }
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = stored.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut file = std::io::Cursor::new(vec![]);
    write(&mut file, &metadata, &tensors)?;
    let mut bytes = file.into_inner();
    // The library says version 2; for little-endian files version 3 is the same.
    bytes[4..8].copy_from_slice(&3u32.to_le_bytes());
    std::fs::write(path, bytes).map_err(io(path))
}

/// llama.cpp's number for what most of a file is stored in.
fn file_type(storage: Storage) -> u32 {
    match storage {
        Storage::GgufQ4 => 2,
        Storage::GgufQ8 => 7,
        Storage::GgufQ4K => 14,
        Storage::GgufF16 | Storage::Folder => 1,
    }
}

fn metadata(
    family: Family,
    c: &Config,
    vocabulary: &Vocabulary,
    storage: Storage,
    label: &str,
) -> Result<Vec<(String, Value)>> {
    let arch = match family {
        Family::Llama => "llama",
        Family::Gpt2 => "gpt2",
        Family::NeoX => "gptneox",
        Family::Qwen3 => "qwen3",
    };
    let number = |n: usize| Value::U32(n as u32);
    let text = |s: &str| Value::String(s.to_owned());
    let of = |key: &str| format!("{arch}.{key}");
    let mut pairs = vec![
        ("general.architecture".to_owned(), text(arch)),
        ("general.name".into(), text(label)),
        ("general.file_type".into(), Value::U32(file_type(storage))),
        ("general.alignment".into(), Value::U32(32)),
        (of("context_length"), number(c.context)),
        (of("embedding_length"), number(c.hidden)),
        (of("block_count"), number(c.layers)),
        (of("feed_forward_length"), number(c.intermediate)),
        (of("attention.head_count"), number(c.heads)),
        (of("attention.head_count_kv"), number(c.kv_heads)),
        (of("vocab_size"), number(c.vocab)),
    ];
    let epsilon = if matches!(family, Family::Llama | Family::Qwen3) {
        "attention.layer_norm_rms_epsilon"
    } else {
        "attention.layer_norm_epsilon"
    };
    pairs.push((of(epsilon), Value::F32(c.norm_eps)));
    if let Position::Rotary(rotary) = &c.position {
        pairs.push((of("rope.dimension_count"), number(rotary.dims)));
        pairs.push((of("rope.freq_base"), Value::F32(10_000.0)));
    }
    if family == Family::Qwen3 {
        pairs.push((of("attention.key_length"), number(c.head_dim)));
        pairs.push((of("attention.value_length"), number(c.head_dim)));
    }
    if family == Family::NeoX {
        pairs.push((of("use_parallel_residual"), Value::Bool(true)));
    }
    let (tokens, merges) = vocabulary.tables()?;
    let strings = |list: Vec<String>| Value::Array(list.into_iter().map(Value::String).collect());
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let (model, pre) = match family {
        Family::Llama => ("llama", "default"),
        Family::Qwen3 => ("gpt2", "qwen2"),
        Family::Gpt2 | Family::NeoX => ("gpt2", "gpt-2"),
    };
    pairs.push((key("model"), text(model)));
    pairs.push((key("pre"), text(pre)));
    pairs.push((key("tokens"), strings(tokens)));
    let types = vocabulary.types().into_iter().map(Value::I32).collect();
    pairs.push((key("token_type"), Value::Array(types)));
    if family == Family::Llama {
        let scores = vocabulary.scores().into_iter().map(Value::F32).collect();
        pairs.push((key("scores"), Value::Array(scores)));
        pairs.push((key("unknown_token_id"), Value::U32(0)));
        pairs.push((key("add_space_prefix"), Value::Bool(true)));
    } else {
        pairs.push((key("merges"), strings(merges)));
    }
    pairs.push((key("bos_token_id"), Value::U32(vocabulary.begin())));
    pairs.push((key("eos_token_id"), Value::U32(vocabulary.end())));
    pairs.push((key("add_bos_token"), Value::Bool(vocabulary.adds_begin())));
    pairs.push((key("add_eos_token"), Value::Bool(false)));
    Ok(pairs)
}

fn save_folder(path: &Path, c: &Config, parts: &Parts, vocabulary: &Vocabulary) -> Result<()> {
    let Position::Rotary(rotary) = &c.position else {
        return Err(Error::new(ErrorKind::Unsupported, "folders are written for GPT-NeoX only"));
    };
    write_folder(path, c, parts)?;
    let config = serde_json::json!({
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "attention_bias": true,
        "bos_token_id": vocabulary.begin(),
        "eos_token_id": vocabulary.end(),
        "hidden_act": "gelu",
        "hidden_size": c.hidden,
        "initializer_range": 0.02,
        "intermediate_size": c.intermediate,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": c.context,
        "num_attention_heads": c.heads,
        "num_hidden_layers": c.layers,
        "rotary_emb_base": 10000,
        "rotary_pct": rotary.dims as f64 / c.head_dim as f64,
        "tie_word_embeddings": false,
        "torch_dtype": "float16",
        "use_parallel_residual": true,
        "vocab_size": c.vocab,
    });
    let put = |name: &str, text: String| {
        let file = path.join(name);
        std::fs::write(&file, text).map_err(io(&file))
    };
    put("config.json", format!("{config:#}\n"))?;
    put("tokenizer.json", vocabulary.to_json()?)
}

/// Writes a GPT-NeoX folder's weights.
fn write_folder(path: &Path, c: &Config, parts: &Parts) -> Result<()> {
    std::fs::create_dir_all(path).map_err(io(path))?;
    let tensors = named(parts, neox_name, Some(&neox_fused), |t| interleave(t, c.heads))?;
    let mut half: HashMap<String, Tensor> = HashMap::new();
    for (name, tensor) in tensors {
        half.insert(name, tensor.to_dtype(DType::F16)?);
    }
    Ok(candle_core::safetensors::save(&half, path.join("model.safetensors"))?)
}

/// The family of a model of the zoo, by what its file or folder says.
///
/// # Errors
/// Where it cannot be read or is of no family of the zoo.
pub fn family_of(path: &Path) -> Result<Family> {
    if path.is_dir() {
        return Ok(Family::NeoX);
    }
    let mut file = std::fs::File::open(path).map_err(io(path))?;
    let content = Content::read(&mut file)?;
    let arch = content.metadata.get("general.architecture").and_then(|v| v.to_string().ok());
    match arch.map(String::as_str) {
        Some("llama") => Ok(Family::Llama),
        Some("gpt2") => Ok(Family::Gpt2),
        Some("gptneox") => Ok(Family::NeoX),
        Some("qwen3") => Ok(Family::Qwen3),
        _ => Err(Error::new(ErrorKind::Unsupported, "it is not a model of the zoo")
            .in_file(path.display().to_string())),
    }
}

/// Writes `parts` to `to` with all else as the model at `like` has it: a GGUF
/// for a GGUF, a folder for a folder (in F16, whatever `storage` says).
///
/// # Errors
/// Where files cannot be read or written.
pub fn save_like(
    like: &Path,
    to: &Path,
    family: Family,
    config: &Config,
    parts: &Parts,
    storage: Storage,
) -> Result<()> {
    if like.is_dir() {
        write_folder(to, config, parts)?;
        for name in ["config.json", "tokenizer.json"] {
            std::fs::copy(like.join(name), to.join(name)).map_err(io(like))?;
        }
        return Ok(());
    }
    let mut file = std::fs::File::open(like).map_err(io(like))?;
    let mut metadata: BTreeMap<String, Value> =
        Content::read(&mut file)?.metadata.into_iter().collect();
    metadata.insert("general.file_type".into(), Value::U32(file_type(storage)));
    write_gguf(to, family, &metadata.into_iter().collect::<Vec<_>>(), parts, storage)
}

/// Reads a model that [`save`] wrote; weights as stored, widened to F32.
///
/// # Errors
/// Where a file or tensor is missing.
pub fn load(path: &Path, family: Family, config: &Config) -> Result<Parts> {
    let folder = path.is_dir();
    let tensors = if folder {
        candle_core::safetensors::load(path.join("model.safetensors"), &Device::Cpu)?
    } else {
        let mut file = std::fs::File::open(path).map_err(io(path))?;
        let content = Content::read(&mut file)?;
        let mut tensors = HashMap::new();
        for name in content.tensor_infos.keys() {
            let tensor = content.tensor(&mut file, name, &Device::Cpu)?;
            tensors.insert(name.clone(), tensor.dequantize(&Device::Cpu)?);
        }
        tensors
    };
    let get = |name: String| -> Result<Tensor> {
        let tensor = tensors.get(&name).ok_or_else(|| {
            Error::new(ErrorKind::Missing, format!("tensor \"{name}\" is not in the model"))
                .in_file(path.display().to_string())
        })?;
        Ok(tensor.to_dtype(DType::F32)?)
    };
    // Which third of the joint matrix a part is.
    let cut = |t: &Tensor, third: usize| -> Result<Tensor> {
        let rows = t.dim(0)? / 3;
        if !folder {
            return Ok(t.narrow(0, third * rows, rows)?.contiguous()?);
        }
        let heads = (0..config.heads)
            .map(|h| t.narrow(0, (3 * h + third) * config.head_dim, config.head_dim));
        Ok(Tensor::cat(&heads.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
    };
    let mut read = Parts::new();
    for (part, _, bias) in parts(family, config) {
        let third = match part {
            Part::Query(l) if is_fused(family) => Some((l, 0)),
            Part::Key(l) if is_fused(family) => Some((l, 1)),
            Part::Value(l) if is_fused(family) => Some((l, 2)),
            _ => None,
        };
        let name = match third {
            Some((l, _)) if folder => neox_fused(l).0,
            Some((l, _)) => gguf_fused(l).0,
            None if folder => neox_name(part),
            None => gguf_name(part),
        };
        let fetch = |kind: &str| -> Result<Tensor> {
            let tensor = get(format!("{name}.{kind}"))?;
            third.map_or(Ok(tensor.clone()), |(_, third)| cut(&tensor, third))
        };
        let bias = if bias { Some(fetch("bias")?) } else { None };
        read.insert(part, (fetch("weight")?, bias));
    }
    Ok(read)
}
