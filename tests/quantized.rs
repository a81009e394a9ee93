//! Every GGML tensor type that candle reads, end to end.
//!
//! For each type a small Llama is quantised by candle and written as GGUF. Its
//! logits must equal those of the same file with every tensor dequantised by
//! candle and stored as F32: the quantised kernels against the plain ones.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use basetrace::decoder::Model;
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use common::{archive, gguf, largest_difference};
use rand::{Rng, SeedableRng};

const TOLERANCE: f32 = 1e-3;
/// Of the types that are multiplied as whole numbers, with activations of 15 bits:
/// a fiftieth of what eight bits for weights change.
const WHOLE: f32 = 3e-3;
/// K-quants store rows in blocks of 256.
const HIDDEN: usize = 256;
const INTERMEDIATE: usize = 512;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 64;
const LAYERS: usize = 2;
const VOCAB: usize = 64;

/// Uniform values with standard deviation `1 / √columns`, times `gain`.
fn matrix(rng: &mut impl Rng, rows: usize, columns: usize, gain: f32) -> Tensor {
    let half = gain * (3.0 / columns as f32).sqrt();
    let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-half..half)).collect();
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

fn norm(rng: &mut impl Rng) -> Tensor {
    let values: Vec<f32> = (0..HIDDEN).map(|_| rng.random_range(0.5..1.5)).collect();
    Tensor::from_vec(values, HIDDEN, &Device::Cpu).unwrap()
}

/// The weights by their GGUF names.
fn weights() -> Vec<(String, Tensor)> {
    let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut out = vec![
        ("token_embd.weight".to_owned(), matrix(rng, VOCAB, HIDDEN, 8.0)),
        ("output.weight".to_owned(), matrix(rng, VOCAB, HIDDEN, 1.5)),
        ("output_norm.weight".to_owned(), norm(rng)),
    ];
    for i in 0..LAYERS {
        let mut add = |name: &str, t: Tensor| out.push((format!("blk.{i}.{name}.weight"), t));
        add("attn_norm", norm(rng));
        add("ffn_norm", norm(rng));
        add("attn_q", matrix(rng, HEADS * HEAD_DIM, HIDDEN, 1.5));
        add("attn_k", matrix(rng, KV_HEADS * HEAD_DIM, HIDDEN, 1.5));
        add("attn_v", matrix(rng, KV_HEADS * HEAD_DIM, HIDDEN, 1.5));
        add("attn_output", matrix(rng, HIDDEN, HEADS * HEAD_DIM, 1.5));
        add("ffn_gate", matrix(rng, INTERMEDIATE, HIDDEN, 1.5));
        add("ffn_up", matrix(rng, INTERMEDIATE, HIDDEN, 1.5));
        add("ffn_down", matrix(rng, HIDDEN, INTERMEDIATE, 1.5));
    }
    out
}

/// Matrices in `dtype`, norms in F32, as llama.cpp's files have them; and the
/// same values all in F32.
fn twins(dtype: GgmlDType) -> [Vec<(String, QTensor)>; 2] {
    let quantised: Vec<_> = weights()
        .into_iter()
        .map(|(name, t)| {
            let dtype = if t.rank() == 1 { GgmlDType::F32 } else { dtype };
            (name, QTensor::quantize(&t, dtype).unwrap())
        })
        .collect();
    let plain = quantised
        .iter()
        .map(|(name, t)| {
            let values = t.dequantize(&Device::Cpu).unwrap();
            (name.clone(), QTensor::quantize(&values, GgmlDType::F32).unwrap())
        })
        .collect();
    [quantised, plain]
}

fn logits(label: &str, tensors: &[(String, QTensor)], tokens: &[u32]) -> Vec<f32> {
    let number = |n: usize| Value::U32(n as u32);
    let bytes = gguf(
        "llama",
        VOCAB as u32,
        &[
            ("llama.block_count", number(LAYERS)),
            ("llama.context_length", number(64)),
            ("llama.embedding_length", number(HIDDEN)),
            ("llama.feed_forward_length", number(INTERMEDIATE)),
            ("llama.attention.head_count", number(HEADS)),
            ("llama.attention.head_count_kv", number(KV_HEADS)),
            ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
            ("llama.rope.dimension_count", number(HEAD_DIM)),
            ("llama.rope.freq_base", Value::F32(10_000.0)),
            ("llama.vocab_size", number(VOCAB)),
        ],
        tensors,
    );
    let archive = archive(label, vec![("model.gguf", bytes)]).unwrap_or_else(|e| panic!("{e}"));
    let model = Model::load(&archive, &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
    model.logits(tokens).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_tensor_type_matches_its_dequantised_twin() {
    use GgmlDType::{
        BF16, F16, F32, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8_1, Q8K,
    };
    let tokens: Vec<u32> = (0..24).map(|i| i * 29 % VOCAB as u32).collect();
    let unrounded = logits("F32", &twins(F32)[1], &tokens);
    assert!(unrounded.iter().any(|v| v.abs() > 1.0), "logits are not flat");
    let mut failed = vec![];
    println!("type   against its twin   its rounding");
    for dtype in [F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2K, Q3K, Q4K, Q5K, Q6K, Q8K]
    {
        let [quantised, plain] = twins(dtype);
        let name = format!("{dtype:?}");
        let plain = logits(&name, &plain, &tokens);
        let d = largest_difference(&logits(&name, &quantised, &tokens), &plain);
        let rounding = largest_difference(&plain, &unrounded);
        println!("{name:6}{d:>17.1e}{rounding:>15.1e}");
        let whole = [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4K, Q5K, Q6K].contains(&dtype);
        if d > if whole { WHOLE } else { TOLERANCE } {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "beyond {TOLERANCE} or {WHOLE}: {failed:?}");
}
