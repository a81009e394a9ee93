//! Tokens per second of a model file, natively: `cargo run --release --example speed -- MODEL [TOKENS]`.
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use basetrace::decoder::{Model, Sampling};
use basetrace::formats::{Archive, gather};
use basetrace::source::{FileSource, SharedSource};
use std::rc::Rc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: speed MODEL [TOKENS]")?;
    let n: u32 = args.next().map_or(Ok(256), |a| a.parse())?;
    let file: SharedSource = Rc::new(FileSource::open(path.as_ref(), path.clone())?);
    let gathered = gather(&[file]);
    let files = gathered.candidates.first().ok_or("not a complete model file")?;
    let start = Instant::now();
    let model = Model::load(&Archive::open(files)?, &mut |_| {})?;
    println!("load: {:.2} s", start.elapsed().as_secs_f64());
    let vocab = model.config().vocab as u32;
    let tokens: Vec<u32> = (0..n).map(|i| (i * 7919 + 13) % vocab).collect();
    let start = Instant::now();
    let scores = model.score(&[(&tokens, 1)], &mut |_| {})?;
    let sum: f32 = scores[0].iter().map(|s| s.logprob).sum();
    println!(
        "score {n}: {:.1} tokens/s (log-likelihood {sum:.4})",
        f64::from(n) / start.elapsed().as_secs_f64()
    );
    let sampling = Sampling { temperature: 0.8, top_p: 0.95, max_tokens: 16, seed: 1 };
    for batch in [1, 8, 32] {
        let prompts: Vec<Vec<u32>> = (0..batch).map(|i| tokens[i..i + 8].to_vec()).collect();
        let start = Instant::now();
        let written =
            model.generate(&prompts, &vec![sampling.clone(); batch], &|_| false, &mut |_| {})?;
        let total: usize = written.iter().map(Vec::len).sum();
        println!(
            "generate {batch} at a time: {:.1} tokens/s",
            total as f64 / start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
