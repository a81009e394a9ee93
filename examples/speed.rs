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

fn open(file: SharedSource) -> Any<Archive> {
    let gathered = gather(&[file]);
    let files = gathered.candidates.first().ok_or("not a complete model file")?;
    Ok(Archive::open(files)?)
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

/// candle's own quantized Llama, which gives the logits of the last position.
#[cfg(not(target_arch = "wasm32"))]
mod candle {
    use super::Any;
    use candle_core::quantized::gguf_file::Content;
    use candle_core::{D, Device, Tensor};
    use candle_transformers::models::quantized_llama::ModelWeights;

    pub struct Llama(ModelWeights);

    impl Llama {
        pub fn load(path: &str) -> Any<Self> {
            let mut file = std::fs::File::open(path)?;
            let content = Content::read(&mut file)?;
            Ok(Self(ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?))
        }

        /// The likeliest next token of each of `prompts`, which are equally long.
        pub fn read(&mut self, prompts: &[Vec<u32>], past: usize) -> Any<Vec<u32>> {
            let shape = (prompts.len(), prompts[0].len());
            let tokens = Tensor::from_vec(prompts.concat(), shape, &Device::Cpu)?;
            Ok(self.0.forward(&tokens, past)?.argmax(D::Minus1)?.to_vec1()?)
        }

        pub fn decode(&mut self, prompts: &[Vec<u32>], n: usize) -> Any<()> {
            let mut next = self.read(prompts, 0)?;
            for i in 0..n {
                let step: Vec<Vec<u32>> = next.iter().map(|t| vec![*t]).collect();
                next = self.read(&step, prompts[0].len() + i)?;
            }
            Ok(())
        }
    }
}

/// Tokens per second of ours and of candle's, which take turns; medians.
#[cfg(not(target_arch = "wasm32"))]
fn main() -> Any<()> {
    const ROUNDS: usize = 7;
    const WRITTEN: usize = 32;
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: speed MODEL [TOKENS]")?;
    let n: u32 = args.next().map_or(Ok(256), |a| a.parse())?;
    if n < 32 {
        return Err("TOKENS must be 32 or more: sixteen prompts are taken from them".into());
    }
    let file = basetrace::source::FileSource::open(path.as_ref(), path.clone())?;
    let model = Model::load(&open(std::rc::Rc::new(file))?, &mut |_| {})?;
    let mut llama = candle::Llama::load(&path)?;
    let vocab = model.config().vocab as u32;
    let tokens: Vec<u32> = (0..n).map(|i| (i * 7919 + 13) % vocab).collect();
    let prompts = |batch: usize| -> Vec<Vec<u32>> {
        (0..batch).map(|i| tokens[i..i + 16].to_vec()).collect()
    };
    let timed = |work: &mut dyn FnMut() -> Any<()>| -> Any<f64> {
        let start = std::time::Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64())
    };
    let mut rates: Vec<(String, [Vec<f64>; 2])> = vec![];
    let mut put = |task: String, count: usize, ours: f64, theirs: f64| {
        let at = rates.iter().position(|(t, _)| *t == task).unwrap_or_else(|| {
            rates.push((task, [vec![], vec![]]));
            rates.len() - 1
        });
        for (rates, seconds) in rates[at].1.iter_mut().zip([ours, theirs]) {
            rates.push(count as f64 / seconds);
        }
    };
    for _ in 0..ROUNDS {
        let ours = timed(&mut || score(&model, &tokens).map(drop))?;
        put(format!("score {n}"), tokens.len(), ours, f64::NAN);
        let ours = timed(&mut || {
            model.next(std::slice::from_ref(&tokens), &mut |_| {})?;
            Ok(())
        })?;
        let theirs = timed(&mut || llama.read(std::slice::from_ref(&tokens), 0).map(drop))?;
        put(format!("prefill {n}"), tokens.len(), ours, theirs);
        for batch in [1, 16] {
            // What reading the prompts takes is taken off.
            let prompts = prompts(batch);
            let ours = |n| timed(&mut || decode(&model, &prompts, n).map(drop));
            let ours = ours(1 + WRITTEN)? - ours(1)?;
            // candle's takes one prompt at a time.
            let mut theirs = |n| timed(&mut || llama.decode(&prompts, n));
            let theirs = if batch == 1 { theirs(WRITTEN)? - theirs(0)? } else { f64::NAN };
            put(format!("decode {batch} × {WRITTEN}"), batch * WRITTEN, ours, theirs);
        }
    }
    println!("medians of {ROUNDS} rounds, one thread, tokens/s");
    for (task, rates) in rates {
        let [ours, theirs] = rates.map(|mut r| {
            r.sort_by(f64::total_cmp);
            r[r.len() / 2]
        });
        if theirs.is_nan() {
            println!("  {task}: basetrace {ours:.1}");
        } else {
            let ratio = ours / theirs;
            println!("  {task}: basetrace {ours:.1}, candle {theirs:.1} ({ratio:.1}×)");
        }
    }
    Ok(())
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(target_arch = "wasm32")]
mod browser {
    use basetrace::decoder::Model;
    use basetrace::source::MemorySource;
    use basetrace::tokenizer::Tokenizer;
    use std::rc::Rc;
    use wasm_bindgen::prelude::*;

    fn say(e: impl ToString) -> JsError {
        JsError::new(&e.to_string())
    }

    #[wasm_bindgen]
    pub struct Engine(Model, Tokenizer);

    #[wasm_bindgen]
    impl Engine {
        #[wasm_bindgen(constructor)]
        pub fn new(bytes: Vec<u8>) -> Result<Engine, JsError> {
            let archive = super::open(Rc::new(MemorySource::new("model.gguf", bytes)));
            let archive = archive.map_err(say)?;
            let model = Model::load(&archive, &mut |_| {}).map_err(say)?;
            Ok(Engine(model, Tokenizer::open(&archive).map_err(say)?))
        }

        pub fn tokens(&self, text: &str) -> Result<Vec<u32>, JsError> {
            self.1.prompt(text).map_err(say)
        }

        pub fn score(&self, tokens: &[u32]) -> Result<Vec<f32>, JsError> {
            super::score(&self.0, tokens).map_err(say)
        }

        /// Reads the tokens; the likeliest next one.
        pub fn read(&self, tokens: &[u32]) -> Result<u32, JsError> {
            let next = self.0.next(&[tokens.to_vec()], &mut |_| {});
            next.map(|n| n[0]).map_err(say)
        }

        /// Products in reading `n` tokens: with quantized weights as whole numbers, and
        /// of attention as floats.
        pub fn products(&self, n: usize) -> Vec<f64> {
            let c = self.0.config();
            let layer = 2 * c.hidden * (c.q_width() + c.kv_width()) + 3 * c.hidden * c.intermediate;
            let seen = n * (n + 1) / 2;
            let all = |each: usize, times: usize| c.layers as f64 * each as f64 * times as f64;
            vec![all(layer, n), all(2 * c.q_width(), seen)]
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
