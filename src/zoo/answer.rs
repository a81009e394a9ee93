//! A model's responses to prompts, as a suspect would give them, and what the
//! bases make of such responses.

use crate::decoder::{Model, Sampling};
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// New tokens of a response at the most.
pub const NEW_TOKENS: usize = 48;

/// Responses to `prompts`: every third greedy, the others sampled at
/// temperature 0.8 and top-p 0.95, [`NEW_TOKENS`] at the most.
///
/// # Errors
/// The decoder's or tokenizer's own.
pub fn answer(
    model: &Model,
    tokenizer: &Tokenizer,
    prompts: &[&str],
    seed: u64,
) -> Result<Vec<String>> {
    let tokens = prompts.iter().map(|p| tokenizer.prompt(p)).collect::<Result<Vec<_>>>()?;
    let sampling: Vec<Sampling> = (0..prompts.len())
        .map(|i| Sampling {
            temperature: if i % 3 == 2 { 0.0 } else { 0.8 },
            top_p: 0.95,
            max_tokens: NEW_TOKENS,
            seed: seed * 1000 + i as u64,
        })
        .collect();
    let made = model.generate(&tokens, &sampling, &|t| tokenizer.is_end(t), &mut |_| {})?;
    made.iter().map(|t| tokenizer.continuation(t)).collect()
}

/// Bits per byte that `model` gives to all `(prompt, response)` together:
/// raw perplexity, corrected for nothing.
///
/// # Errors
/// The decoder's or tokenizer's own.
pub fn raw_bits_per_byte(
    model: &Model,
    tokenizer: &Tokenizer,
    samples: &[(String, String)],
) -> Result<f64> {
    let (mut pairs, mut bytes) = (vec![], 0);
    for (prompt, response) in samples.iter().filter(|(_, r)| !r.is_empty()) {
        let mut pair = tokenizer.pair(prompt, response)?;
        pair.tokens.truncate(model.config().context);
        bytes += response.len();
        pairs.push(pair);
    }
    let sequences: Vec<(&[u32], usize)> =
        pairs.iter().map(|p| (p.tokens.as_slice(), p.start)).collect();
    let scores = model.score(&sequences, &mut |_| {})?;
    let nats: f64 = scores.iter().flatten().map(|s| -f64::from(s.logprob)).sum();
    Ok(nats / std::f64::consts::LN_2 / bytes.max(1) as f64)
}
