//! A model's responses to prompts, as a suspect would give them.

use super::vocabulary::Vocabulary;
use super::weights::uniform;
use crate::decoder::reference::{Reference, batch};
use crate::error::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const TEMPERATURE: f32 = 0.8;
const TOP_P: f32 = 0.95;
/// New tokens of a response at the most.
pub const NEW_TOKENS: usize = 48;

/// Responses to `prompts`: every third greedy, the others sampled at
/// temperature 0.8 and top-p 0.95, 48 tokens at the most.
///
/// # Errors
/// The decoder's or tokenizer's own.
pub fn answer(
    model: &Reference,
    vocabulary: &Vocabulary,
    prompts: &[&str],
    seed: u64,
) -> Result<Vec<String>> {
    let mut sequences: Vec<Vec<u32>> = vec![];
    for prompt in prompts {
        let mut tokens = vocabulary.encode(prompt)?;
        if vocabulary.adds_begin() {
            tokens.insert(0, vocabulary.begin());
        }
        sequences.push(tokens);
    }
    let starts: Vec<usize> = sequences.iter().map(Vec::len).collect();
    let mut rngs: Vec<ChaCha8Rng> = (0..prompts.len() as u64)
        .map(|i| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(i);
            rng
        })
        .collect();
    let mut open: Vec<usize> = (0..prompts.len()).collect();
    for _ in 0..NEW_TOKENS {
        if open.is_empty() {
            break;
        }
        let rows: Vec<&[u32]> = open.iter().map(|&i| sequences[i].as_slice()).collect();
        let last: Vec<usize> = rows.iter().map(|r| r.len() - 1).collect();
        let logits = model.logits(&batch(&rows)?)?.detach();
        let mut still = vec![];
        for (row, &i) in open.iter().enumerate() {
            let at = logits.get(row)?.get(last[row])?.to_vec1::<f32>()?;
            let token = if i % 3 == 2 { greedy(&at) } else { sample(&at, &mut rngs[i]) };
            if token != vocabulary.end() {
                sequences[i].push(token);
                still.push(i);
            }
        }
        open = still;
    }
    let mut responses = vec![];
    for (sequence, start) in sequences.iter().zip(starts) {
        let whole = vocabulary.decode(sequence)?;
        let prompt = vocabulary.decode(&sequence[..start])?;
        let response = whole.strip_prefix(&prompt).unwrap_or_default();
        // The last character may be cut in the middle of its bytes.
        responses.push(response.trim_end_matches('\u{fffd}').to_owned());
    }
    Ok(responses)
}

fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, x) in logits.iter().enumerate() {
        if *x > logits[best] {
            best = i;
        }
    }
    best as u32
}

/// From the fewest likeliest tokens that together have [`TOP_P`].
fn sample(logits: &[f32], rng: &mut ChaCha8Rng) -> u32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut odds: Vec<(f32, u32)> = logits
        .iter()
        .enumerate()
        .map(|(i, x)| (libm::expf((x - top) / TEMPERATURE), i as u32))
        .collect();
    odds.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let total: f32 = odds.iter().map(|o| o.0).sum();
    let mut mass = 0.0;
    let kept = odds.iter().take_while(|o| {
        let before = mass;
        mass += o.0;
        before < TOP_P * total
    });
    let kept: Vec<_> = kept.copied().collect();
    let mut at = uniform(rng) * kept.iter().map(|o| o.0).sum::<f32>();
    for (weight, token) in &kept {
        at -= weight;
        if at < 0.0 {
            return *token;
        }
    }
    kept.last().map_or(0, |o| o.1)
}
