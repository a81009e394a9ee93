//! One decoder for every supported family, driven by [`Config`].

pub mod config;
pub mod families;
mod forward;
mod generate;
mod head;
pub mod kernels;
pub mod locate;
mod query;
#[cfg(any(test, feature = "zoo"))]
pub mod reference;
mod weights;

pub use config::Config;

use crate::error::{Error, ErrorKind, Result};
use crate::formats::Archive;
use forward::Cache;
use generate::Sampler;
use weights::Weights;

/// What the model thought of one token that was there.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenScore {
    /// Natural-log probability of the token.
    pub logprob: f32,
    /// 1 for the most likely token; the number of strictly likelier tokens plus one.
    pub rank: u32,
    /// Mean of the log-probability under the model's own distribution at this
    /// position (the negative entropy, nats).
    pub mean: f32,
    /// Variance of the log-probability under that distribution (nats²).
    pub variance: f32,
}

/// How a candidate writes its own responses.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sampling {
    /// 0 means greedy.
    pub temperature: f32,
    /// Nucleus mass in (0, 1].
    pub top_p: f32,
    /// New tokens at the most.
    pub max_tokens: usize,
    /// Seed; each prompt draws from its own stream.
    pub seed: u64,
}

/// A loaded model. Weights stay in their stored type.
pub struct Model {
    config: Config,
    weights: Weights,
}

/// Floats of working memory a forward pass may use beside the weights.
const WORKING: usize = 4 << 20;
/// Floats of keys and values that generation may hold at a time.
const CACHED: usize = 32 << 20;

impl Model {
    /// Loads tensor by tensor; `loaded` hears the weight bytes read so far.
    ///
    /// # Errors
    /// Missing, misshapen, unsupported or non-finite tensors.
    pub fn load(archive: &Archive, loaded: &mut dyn FnMut(u64)) -> Result<Self> {
        let layout = families::layout(archive).map_err(|e| e.in_file(&archive.label))?;
        let weights =
            weights::load(archive, &layout, loaded).map_err(|e| e.in_file(&archive.label))?;
        Ok(Self { config: layout.config, weights })
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Logits of every position: `tokens.len() × vocab`, row-major.
    ///
    /// # Errors
    /// Token ids out of range, or more tokens than the context.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        self.check(tokens)?;
        head::logits(
            &self.weights.head,
            &forward::hidden(&self.config, &self.weights, &[tokens], None)?,
        )
    }

    /// Scores the tokens from index `start` (at least 1) of every sequence
    /// `(tokens, start)`; `done` hears the number of tokens just processed.
    ///
    /// # Errors
    /// As [`Model::logits`]; [`ErrorKind::NotFinite`] where the model answers NaN.
    pub fn score(
        &self,
        sequences: &[(&[u32], usize)],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<TokenScore>>> {
        for (tokens, start) in sequences {
            self.check(tokens)?;
            if *start == 0 {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "the first token of a sequence cannot be scored",
                ));
            }
        }
        let limit = self.rows();
        let mut results = Vec::with_capacity(sequences.len());
        let mut rest = sequences;
        while let Some(((first, start), others)) = rest.split_first() {
            if first.len() > limit {
                results.push(self.score_long(first, *start, limit, done)?);
                rest = others;
                continue;
            }
            let mut rows = 0;
            let n = rest
                .iter()
                .take_while(|(tokens, _)| {
                    rows += tokens.len();
                    rows <= limit
                })
                .count();
            let (batch, others) = rest.split_at(n);
            rest = others;
            let tokens: Vec<&[u32]> = batch.iter().map(|(tokens, _)| *tokens).collect();
            let hidden = forward::hidden(&self.config, &self.weights, &tokens, None)?;
            results.extend(self.score_rows(&hidden, batch)?);
            done(tokens.iter().map(|t| t.len()).sum());
        }
        Ok(results)
    }

    /// Scores a sequence too long for one pass, piece by piece over a cache.
    fn score_long(
        &self,
        tokens: &[u32],
        start: usize,
        limit: usize,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<TokenScore>> {
        let mut cache = [Cache::new(&self.config)];
        let mut scores = vec![];
        for from in (0..tokens.len()).step_by(limit) {
            let to = (from + limit).min(tokens.len());
            let hidden = forward::hidden(
                &self.config,
                &self.weights,
                &[&tokens[from..to]],
                Some(&mut cache),
            )?;
            // The last row of a piece answers for the first token of the next.
            let ahead = &tokens[from..(to + 1).min(tokens.len())];
            let first = start.saturating_sub(from).max(1);
            if first < ahead.len() {
                let width = self.config.embedding;
                let hidden = &hidden[(first - 1) * width..(ahead.len() - 1) * width];
                scores.extend(head::score(&self.weights.head, hidden, &ahead[first..])?);
            }
            done(to - from);
        }
        Ok(scores)
    }

    /// Splits the hidden states of a stacked batch into each sequence's scores.
    fn score_rows(
        &self,
        hidden: &[f32],
        batch: &[(&[u32], usize)],
    ) -> Result<Vec<Vec<TokenScore>>> {
        let width = self.config.embedding;
        let (mut rows, mut targets) = (vec![], vec![]);
        let mut at = 0;
        for (tokens, start) in batch {
            for i in *start..tokens.len() {
                rows.extend_from_slice(&hidden[(at + i - 1) * width..(at + i) * width]);
                targets.push(tokens[i]);
            }
            at += tokens.len();
        }
        let mut scores = head::score(&self.weights.head, &rows, &targets)?.into_iter();
        Ok(batch
            .iter()
            .map(|(tokens, start)| {
                scores.by_ref().take(tokens.len().saturating_sub(*start)).collect()
            })
            .collect())
    }

    /// Continues every prompt by its own `sampling`; stops each at a token for
    /// which `is_end` holds (not included), at its cap, or at the context's end.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        sampling: &[Sampling],
        is_end: &dyn Fn(u32) -> bool,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u32>>> {
        for prompt in prompts {
            self.check(prompt)?;
            if prompt.is_empty() {
                return Err(Error::new(ErrorKind::Internal, "an empty prompt cannot be continued"));
            }
        }
        let per_position = 2 * self.config.layers * self.config.kv_width();
        let mut results = vec![];
        while results.len() < prompts.len() {
            let from = results.len();
            let mut held = 0;
            let n = (from..prompts.len())
                .take_while(|i| {
                    held += (prompts[*i].len() + sampling[*i].max_tokens) * per_position;
                    held <= CACHED
                })
                .count()
                .max(1);
            results.extend(self.generate_together(
                &prompts[from..from + n],
                &sampling[from..from + n],
                is_end,
                done,
            )?);
        }
        Ok(results)
    }

    /// Prompts that fit the cache together, one step of all at a time.
    fn generate_together(
        &self,
        prompts: &[Vec<u32>],
        sampling: &[Sampling],
        is_end: &dyn Fn(u32) -> bool,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u32>>> {
        let (width, limit) = (self.config.embedding, self.rows());
        let mut live: Vec<usize> = vec![];
        let (mut caches, mut samplers) = (vec![], vec![]);
        let mut last: Vec<f32> = vec![];
        let mut written = vec![vec![]; prompts.len()];
        let mut at = 0;
        while at < prompts.len() {
            // Prompts are read together, as many as one pass holds; a long one in pieces.
            let mut rows = 0;
            let fits = |p: &&Vec<u32>| {
                rows += p.len();
                rows <= limit
            };
            let n = prompts[at..].iter().take_while(fits).count().max(1);
            let batch = &prompts[at..at + n];
            let mut read = vec![Cache::new(&self.config); n];
            let mut hidden = vec![];
            for piece in 0..batch[0].len().div_ceil(limit).max(1) {
                let pieces: Vec<&[u32]> =
                    batch.iter().map(|p| p.chunks(limit).nth(piece).unwrap_or_default()).collect();
                hidden = forward::hidden(&self.config, &self.weights, &pieces, Some(&mut read))?;
            }
            let mut end = 0;
            for (i, prompt) in batch.iter().enumerate() {
                done(prompt.len());
                // Of a prompt in pieces only the last one's rows are here.
                end = if n == 1 { hidden.len() } else { end + prompt.len() * width };
                last.extend_from_slice(&hidden[end - width..end]);
                live.push(at + i);
                samplers.push(Sampler::new(&sampling[at + i]));
            }
            caches.extend(read);
            at += n;
        }
        while !live.is_empty() {
            let logits = head::logits(&self.weights.head, &last)?;
            let (mut steps, mut keep) = (vec![], vec![]);
            for (slot, row) in logits.chunks_exact(self.config.vocab).enumerate() {
                let (text, settings) = (&mut written[live[slot]], &sampling[live[slot]]);
                let room = text.len() < settings.max_tokens;
                let token = if room { Some(samplers[slot].draw(row)) } else { None };
                let token = token.filter(|t| !is_end(*t));
                text.extend(token);
                let more =
                    text.len() < settings.max_tokens && caches[slot].len() < self.config.context;
                keep.push(token.is_some() && more);
                steps.extend(token.filter(|_| more).map(|t| [t]));
            }
            retain(&mut live, |slot| keep[slot]);
            retain(&mut caches, |slot| keep[slot]);
            retain(&mut samplers, |slot| keep[slot]);
            if live.is_empty() {
                break;
            }
            let steps: Vec<&[u32]> = steps.iter().map(|s| &s[..]).collect();
            last = forward::hidden(&self.config, &self.weights, &steps, Some(&mut caches))?;
            done(steps.len());
        }
        Ok(written)
    }

    /// Rows of a forward pass that keep to the working memory.
    fn rows(&self) -> usize {
        let c = &self.config;
        let row = 4 * c.hidden + 2 * c.q_width() + 2 * c.kv_width() + 3 * c.intermediate;
        (WORKING / row).clamp(16, 512)
    }

    fn check(&self, tokens: &[u32]) -> Result<()> {
        let c = &self.config;
        if let Some(token) = tokens.iter().find(|t| **t as usize >= c.vocab) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("token {token} is beyond the model's vocabulary of {}", c.vocab),
            )
            .hint("the tokenizer belongs to another model"));
        }
        if tokens.len() > c.context {
            return Err(Error::new(
                ErrorKind::Context,
                format!(
                    "{} tokens are more than the model's context of {}",
                    tokens.len(),
                    c.context
                ),
            )
            .hint("use shorter prompts or responses"));
        }
        Ok(())
    }
}

/// Keeps the items of `list` whose index `stays`.
fn retain<T>(list: &mut Vec<T>, stays: impl Fn(usize) -> bool) {
    let mut i = 0;
    list.retain(|_| {
        i += 1;
        stays(i - 1)
    });
}
