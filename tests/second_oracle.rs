//! The decoder against candle-transformers' own Llama: a second reference
//! that shares no code with the first, and generation's cache with it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use basetrace::decoder::{Model, Sampling};
use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Config, Llama, LlamaConfig};
use common::{families, hugging_face, largest_difference};

/// Ours and theirs from the same files.
fn both() -> (Model, Llama, Config) {
    let folder = families().join("llama-old-keys");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (config, weights) = (read("config.json"), read("model.safetensors"));
    let archive = hugging_face("llama", config.clone(), weights.clone()).unwrap();
    let ours = Model::load(&archive, &mut |_| {}).unwrap();
    let config = serde_json::from_slice::<LlamaConfig>(&config).unwrap().into_config(false);
    let tensors = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).unwrap();
    let theirs = Llama::load(tensors, &config).unwrap();
    (ours, theirs, config)
}

/// Their logits of the last of `tokens`.
fn last(model: &Llama, config: &Config, tokens: &[u32]) -> Vec<f32> {
    let mut cache = Cache::new(false, DType::F32, config, &Device::Cpu).unwrap();
    let input = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    model.forward(&input, 0, &mut cache).unwrap().i(0).unwrap().to_vec1().unwrap()
}

#[test]
fn logits_agree() {
    let (ours, theirs, config) = both();
    let tokens: Vec<u32> = (0..20).map(|i| (i * 37 + 5) % 64).collect();
    let logits = ours.logits(&tokens).unwrap();
    for n in [1, 7, 20] {
        let row = &logits[(n - 1) * 64..n * 64];
        assert!(
            largest_difference(row, &last(&theirs, &config, &tokens[..n])) < 1e-3,
            "position {n}"
        );
    }
}

#[test]
fn greedy_generation_agrees_token_by_token() {
    let (ours, theirs, config) = both();
    let prompts = vec![vec![1, 17, 40], vec![1, 9, 33, 60, 2, 11]];
    let greedy = Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 12, seed: 0 };
    let written =
        ours.generate(&prompts, &[greedy.clone(), greedy], &|_| false, &mut |_| {}).unwrap();
    for (prompt, written) in prompts.iter().zip(written) {
        let mut tokens = prompt.clone();
        for token in written {
            let logits = last(&theirs, &config, &tokens);
            let best = (0..64_u32)
                .max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize]))
                .unwrap();
            assert_eq!(token, best);
            tokens.push(token);
        }
        assert_eq!(tokens.len(), prompt.len() + 12);
    }
}
