//! One decoder for every supported family, driven by [`Config`].

pub mod config;
pub mod families;
mod forward;
mod generate;
mod head;
pub mod kernels;
pub mod locate;
mod prefix;
mod query;
#[cfg(any(test, feature = "zoo"))]
pub mod reference;
mod score;
mod stores;
mod weights;

pub use config::Config;

use crate::error::{Error, ErrorKind, Result};
use crate::formats::Archive;
use forward::{Cache, Segment};
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
/// How many times as much of both there may be beside weights that stay in their
/// file: then every pass reads all of it.
const ROOMY: usize = 8;
/// Bytes of weights up to which a model is held: wasm32 addresses 4 GiB, the rest of
/// which is for everything else.
const ROOM: u64 = if usize::BITS > 32 { u64::MAX } else { 3 << 30 };

impl Model {
    /// Loads tensor by tensor; `loaded` hears the weight bytes read so far. The
    /// layers of a model too large for this machine's addresses stay in the file
    /// and are read at every pass.
    ///
    /// # Errors
    /// Missing, misshapen, unsupported or non-finite tensors.
    pub fn load(archive: &Archive, loaded: &mut dyn FnMut(u64)) -> Result<Self> {
        Self::load_within(archive, ROOM, loaded)
    }

    /// As [`Model::load`], with at most `room` bytes of weights held.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_within(archive: &Archive, room: u64, loaded: &mut dyn FnMut(u64)) -> Result<Self> {
        let layout = families::layout(archive).map_err(|e| e.in_file(&archive.label))?;
        let config = layout.config.clone();
        let weights =
            weights::load(archive, layout, room, loaded).map_err(|e| e.in_file(&archive.label))?;
        Ok(Self { config, weights })
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
        let hidden = self.hidden(&[Segment::alone(tokens)], None, &mut |_| {})?;
        head::logits(&self.weights.head, &hidden)
    }

    /// [`forward::hidden`], in batches that keep to the working memory.
    fn hidden(
        &self,
        segments: &[Segment<'_>],
        caches: Option<&mut [Cache]>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<f32>> {
        forward::hidden(&self.config, &self.weights, segments, caches, self.rows(), done)
    }

    /// Rows of a forward pass that keep to the working memory.
    fn rows(&self) -> usize {
        let c = &self.config;
        let row = 4 * c.hidden + 2 * c.q_width() + 2 * c.kv_width() + 3 * c.intermediate;
        (WORKING / row).clamp(16, 512)
    }

    /// Rows whose hidden states are held at a time.
    fn most(&self) -> usize {
        self.room(WORKING) / self.config.hidden.max(1)
    }

    /// `floats` of memory, and more beside weights that stay in their file.
    fn room(&self, floats: usize) -> usize {
        if self.weights.held() { floats } else { floats * ROOMY }
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
