//! What tensors are called in files, and which are joined there.

use super::super::plan::Family;
use super::super::weights::Parts;
use crate::decoder::config::Part;
use crate::error::Result;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// llama.cpp's name of a part, where it is a tensor of its own.
pub fn gguf_name(part: Part) -> String {
    let block = |l: usize, name: &str| format!("blk.{l}.{name}");
    match part {
        Part::Embedding => "token_embd".into(),
        Part::Positions => "position_embd".into(),
        Part::FinalNorm => "output_norm".into(),
        Part::Head => "output".into(),
        Part::AttentionNorm(l) => block(l, "attn_norm"),
        Part::Query(l) => block(l, "attn_q"),
        Part::Key(l) => block(l, "attn_k"),
        Part::Value(l) => block(l, "attn_v"),
        Part::Output(l) => block(l, "attn_output"),
        Part::QueryNorm(l) => block(l, "attn_q_norm"),
        Part::KeyNorm(l) => block(l, "attn_k_norm"),
        Part::MlpNorm(l) => block(l, "ffn_norm"),
        Part::Gate(l) => block(l, "ffn_gate"),
        Part::Up(l) => block(l, "ffn_up"),
        Part::Down(l) => block(l, "ffn_down"),
        other => format!("{other:?}"),
    }
}

/// GPT-NeoX's name of a part in a Hugging Face folder.
pub fn neox_name(part: Part) -> String {
    let layer = |l: usize, name: &str| format!("gpt_neox.layers.{l}.{name}");
    match part {
        Part::Embedding => "gpt_neox.embed_in".into(),
        Part::FinalNorm => "gpt_neox.final_layer_norm".into(),
        Part::Head => "embed_out".into(),
        Part::AttentionNorm(l) => layer(l, "input_layernorm"),
        Part::Output(l) => layer(l, "attention.dense"),
        Part::MlpNorm(l) => layer(l, "post_attention_layernorm"),
        Part::Up(l) => layer(l, "mlp.dense_h_to_4h"),
        Part::Down(l) => layer(l, "mlp.dense_4h_to_h"),
        other => format!("{other:?}"),
    }
}

/// The tensors of a file by full name. `fused` holds what query, key and value
/// are joined under, if they are.
pub fn named(
    parts: &Parts,
    name: impl Fn(Part) -> String,
    fused: Option<&dyn Fn(usize) -> (String, [Part; 3])>,
    join: impl Fn(&[&Tensor]) -> Result<Tensor>,
) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for (part, (weight, bias)) in parts {
        let (name, weight, bias) = match (part, fused) {
            (Part::Key(_) | Part::Value(_), Some(_)) => continue,
            (Part::Query(l), Some(fused)) => {
                let (name, three) = fused(*l);
                let all: Vec<_> = three.iter().filter_map(|p| parts.get(p)).collect();
                let weights: Vec<&Tensor> = all.iter().map(|(w, _)| w).collect();
                let biases: Vec<&Tensor> = all.iter().filter_map(|(_, b)| b.as_ref()).collect();
                let bias = if biases.is_empty() { None } else { Some(join(&biases)?) };
                (name, join(&weights)?, bias)
            }
            _ => (name(*part), weight.clone(), bias.clone()),
        };
        tensors.insert(format!("{name}.weight"), weight);
        if let Some(bias) = bias {
            tensors.insert(format!("{name}.bias"), bias);
        }
    }
    Ok(tensors)
}

pub fn three(l: usize) -> [Part; 3] {
    [Part::Query(l), Part::Key(l), Part::Value(l)]
}

pub fn gguf_fused(l: usize) -> (String, [Part; 3]) {
    (format!("blk.{l}.attn_qkv"), three(l))
}

pub fn neox_fused(l: usize) -> (String, [Part; 3]) {
    (format!("gpt_neox.layers.{l}.attention.query_key_value"), three(l))
}

pub fn is_fused(family: Family) -> bool {
    matches!(family, Family::Gpt2 | Family::NeoX)
}

/// Rows of query, key and value by turns for each head, as GPT-NeoX keeps them.
pub fn interleave(three: &[&Tensor], heads: usize) -> Result<Tensor> {
    let mut rows = vec![];
    let size = three[0].dim(0)? / heads;
    for head in 0..heads {
        for t in three {
            rows.push(t.narrow(0, head * size, size)?);
        }
    }
    Ok(Tensor::cat(&rows, 0)?)
}
