//! The engine's speed: natively as a command, in a browser as what
//! `cargo xtask bench` calls.
//!
//! `cargo run --release --example speed -- MODEL [TOKENS]`
#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(missing_docs, reason = "an example")]

use basetrace::decoder::{Model, Sampling};
use basetrace::formats::{Archive, gather};
use basetrace::source::SharedSource;

type Any<T> = Result<T, Box<dyn std::error::Error>>;

fn load(file: SharedSource) -> Any<Model> {
    let gathered = gather(&[file]);
    let files = gathered.candidates.first().ok_or("not a complete model file")?;
    Ok(Model::load(&Archive::open(files)?, &mut |_| {})?)
}

/// Log-probabilities of `tokens` but the first.
fn score(model: &Model, tokens: &[u32]) -> Any<Vec<f32>> {
    let scores = model.score(&[(tokens, 1)], &mut |_| {})?;
    Ok(scores.iter().flatten().map(|s| s.logprob).collect())
}

/// Greedy continuations of each of `prompts` by `n` tokens.
fn decode(model: &Model, prompts: &[Vec<u32>], n: usize) -> Any<Vec<Vec<u32>>> {
    let s = Sampling { temperature: 0.0, top_p: 1.0, max_tokens: n, seed: 1 };
    Ok(model.generate(prompts, &vec![s; prompts.len()], &|_| false, &mut |_| {})?)
}

/// Seconds that this thread spent on the processor where the system tells, so that
/// what else the machine does matters less; else those of the clock.
#[cfg(not(target_arch = "wasm32"))]
fn seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|s| s.split_whitespace().next()?.parse::<f64>().ok());
    let since = std::time::UNIX_EPOCH.elapsed().map_or(0.0, |d| d.as_secs_f64());
    told.map_or(since, |nanoseconds| nanoseconds / 1e9)
}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Any<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: speed MODEL [TOKENS]")?;
    let n: u32 = args.next().map_or(Ok(256), |a| a.parse())?;
    let start = seconds();
    let file = basetrace::source::FileSource::open(path.as_ref(), path.clone())?;
    let model = load(std::rc::Rc::new(file))?;
    println!("load: {:.2} s", seconds() - start);
    let vocab = model.config().vocab as u32;
    let tokens: Vec<u32> = (0..n).map(|i| (i * 7919 + 13) % vocab).collect();
    let per_second = |what: &str, n: usize, start: f64| {
        println!("{what}: {:.1} tokens/s", n as f64 / (seconds() - start));
    };
    let start = seconds();
    let sum: f32 = score(&model, &tokens)?.iter().sum();
    per_second(&format!("score {n} (log-likelihood {sum:.4})"), n as usize, start);
    let start = seconds();
    model.next(std::slice::from_ref(&tokens), &mut |_| {})?;
    per_second(&format!("read {n}"), n as usize, start);
    for batch in [1, 4, 16, 32] {
        let prompts: Vec<Vec<u32>> = (0..batch).map(|i| tokens[i..i + 8].to_vec()).collect();
        decode(&model, &prompts, 1)?;
        let start = seconds();
        let written = decode(&model, &prompts, 32)?;
        let total = written.iter().map(Vec::len).sum();
        per_second(&format!("generate {batch} at a time"), total, start);
    }
    Ok(())
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(target_arch = "wasm32")]
mod browser {
    use basetrace::decoder::Model;
    use basetrace::source::MemorySource;
    use std::rc::Rc;
    use wasm_bindgen::prelude::*;

    fn say(e: Box<dyn std::error::Error>) -> JsError {
        JsError::new(&e.to_string())
    }

    #[wasm_bindgen]
    pub struct Engine(Model);

    #[wasm_bindgen]
    impl Engine {
        #[wasm_bindgen(constructor)]
        pub fn new(bytes: Vec<u8>) -> Result<Engine, JsError> {
            super::load(Rc::new(MemorySource::new("model.gguf", bytes))).map(Engine).map_err(say)
        }

        pub fn score(&self, tokens: &[u32]) -> Result<Vec<f32>, JsError> {
            super::score(&self.0, tokens).map_err(say)
        }

        /// Reads the tokens; the likeliest next one.
        pub fn read(&self, tokens: &[u32]) -> Result<u32, JsError> {
            let next = self.0.next(&[tokens.to_vec()], &mut |_| {});
            next.map(|n| n[0]).map_err(|e| JsError::new(&e.to_string()))
        }

        /// Greedy continuations of `batch` prompts of equal length, one after another.
        pub fn decode(&self, prompts: &[u32], batch: usize, n: usize) -> Result<Vec<u32>, JsError> {
            let prompts: Vec<_> =
                prompts.chunks(prompts.len() / batch).map(<[_]>::to_vec).collect();
            super::decode(&self.0, &prompts, n).map(|w| w.concat()).map_err(say)
        }
    }

    /// Products of pairs of 16-bit numbers with sums of 32 bits, sixty-four to a
    /// round, from registers: what quantized weights are multiplied by.
    #[wasm_bindgen]
    pub fn peak_whole(rounds: u32) -> i32 {
        use core::arch::wasm32::{i16x8_add, i16x8_splat, i32x4_add, i32x4_dot_i16x8};
        use core::arch::wasm32::{i32x4_extract_lane, i32x4_splat, v128};
        let mut sums = [[i32x4_splat(0); 2]; 4];
        // No two products are alike, and none is that of the round before.
        let a: [v128; 4] = std::array::from_fn(|i| i16x8_splat(rounds as i16 + 2 * i as i16));
        let mut w = [i16x8_splat(1), i16x8_splat(rounds as i16)];
        for _ in 0..rounds {
            for (sums, a) in sums.iter_mut().zip(&a) {
                for (sum, w) in sums.iter_mut().zip(&w) {
                    *sum = i32x4_add(*sum, i32x4_dot_i16x8(*a, *w));
                }
            }
            w = w.map(|w| i16x8_add(w, a[3]));
        }
        let all = sums.iter().flatten().fold(i32x4_splat(0), |s, x| i32x4_add(s, *x));
        i32x4_extract_lane::<0>(all)
    }

    /// Products of floats and sums, thirty-two to a round, from registers.
    #[wasm_bindgen]
    pub fn peak_float(rounds: u32) -> f32 {
        use core::arch::wasm32::{f32x4_add, f32x4_extract_lane, f32x4_mul, f32x4_splat, v128};
        let mut sums = [[f32x4_splat(0.0); 2]; 4];
        let a: [v128; 4] = std::array::from_fn(|i| f32x4_splat(rounds as f32 + i as f32));
        let mut w = [f32x4_splat(1.0), f32x4_splat(rounds as f32)];
        for _ in 0..rounds {
            for (sums, a) in sums.iter_mut().zip(&a) {
                for (sum, w) in sums.iter_mut().zip(&w) {
                    *sum = f32x4_add(*sum, f32x4_mul(*a, *w));
                }
            }
            w = w.map(|w| f32x4_add(w, a[3]));
        }
        let all = sums.iter().flatten().fold(f32x4_splat(0.0), |s, x| f32x4_add(s, *x));
        f32x4_extract_lane::<0>(all)
    }
}
