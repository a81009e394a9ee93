//! A model with weights answers prompts by itself: rows in the form in which
//! candidates and suspects known by their responses are read.

use super::desk::fitted;
use super::{Parameters, Progress};
use crate::decoder::{Model, Sampling};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, CandidateFiles};
use crate::prompts::file::Asked;
use crate::tokenizer::Tokenizer;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// The model's label.
    pub model: String,
    /// What it was asked.
    pub prompt: String,
    /// What it wrote; perhaps nothing.
    pub response: String,
    /// The set that the prompt belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_set: Option<String>,
}

/// Lets the model of `files` answer `prompts`, by the seed, length, temperature
/// and nucleus mass in `parameters`; with `greedy_every` n the n-th answer and
/// every n-th after it takes the likeliest token always. A model's draws hang
/// on its label, too, so that two models of one seed are independent.
///
/// # Errors
/// A setting out of range, a model that cannot be used, and the decoder's or
/// tokenizer's own.
pub fn answer(
    files: &CandidateFiles,
    prompts: &[Asked],
    parameters: &Parameters,
    greedy_every: Option<usize>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Vec<Row>> {
    parameters.check()?;
    if greedy_every == Some(0) {
        return Err(Error::new(ErrorKind::Usage, "every 0th answer cannot be greedy")
            .hint("1 makes every answer greedy"));
    }
    let label = &files.label;
    let archive = Archive::open(files)?;
    let tokenizer = Tokenizer::open(&archive)?;
    let stage = format!("Loading {label}");
    let total = archive.bytes();
    let model = Model::load(&archive, &mut |done| {
        progress(&Progress { stage: stage.clone(), done, total, unit: "bytes".into() });
    })?;
    let (context, vocab) = (model.config().context, model.config().vocab);
    tokenizer.check_fits(vocab)?;
    let new = parameters.max_new_tokens;
    let seed = parameters.seed ^ hash(label);
    let (mut asked, mut sampling) = (vec![], vec![]);
    for (i, prompt) in prompts.iter().enumerate() {
        asked.push(fitted(&tokenizer, &prompt.prompt, context, new)?);
        let greedy = greedy_every.is_some_and(|n| i % n == n - 1);
        sampling.push(Sampling {
            temperature: if greedy { 0.0 } else { parameters.temperature },
            top_p: parameters.top_p,
            max_tokens: new,
            seed: stream(seed, i),
        });
    }
    let stage = format!("{label} answers");
    // Answers may end early: what is asked is known, what is written is at the most this.
    let total = asked.iter().map(|t| (t.len() + new) as u64).sum();
    let mut done = 0;
    let written = model.generate(&asked, &sampling, &|t| tokenizer.is_end(t), &mut |n| {
        done += n as u64;
        progress(&Progress { stage: stage.clone(), done, total, unit: "tokens".into() });
    })?;
    let row = |(prompt, tokens): (&Asked, &Vec<u32>)| {
        Ok(Row {
            model: label.clone(),
            prompt: prompt.prompt.clone(),
            response: tokenizer.continuation(tokens)?,
            prompt_set: prompt.prompt_set.clone(),
        })
    };
    prompts.iter().zip(&written).map(row).collect()
}

/// The rows as JSON Lines.
///
/// # Errors
/// Never with text.
pub fn write(rows: &[Row]) -> Result<String> {
    let mut out = String::new();
    for row in rows {
        let line = serde_json::to_string(row)
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        out += &line;
        out.push('\n');
    }
    Ok(out)
}

/// FNV-1a (Fowler, Noll and Vo), 64 bits.
fn hash(text: &str) -> u64 {
    let mix = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// An independent seed for each prompt (SplitMix64's finaliser).
fn stream(seed: u64, prompt: usize) -> u64 {
    let mut z = seed ^ (1 << 32) ^ (prompt as u64 + 1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
