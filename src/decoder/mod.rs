//! One decoder for every supported family, driven by [`Config`].

pub mod config;
pub mod families;
#[cfg(any(test, feature = "zoo"))]
pub mod reference;

pub use config::Config;

use crate::error::{Error, ErrorKind, Result};
use crate::formats::Archive;

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
pub struct Model {}

impl Model {
    /// Loads tensor by tensor; `loaded` hears the weight bytes read so far.
    ///
    /// # Errors
    /// Missing, misshapen, unsupported or non-finite tensors.
    pub fn load(archive: &Archive, loaded: &mut dyn FnMut(u64)) -> Result<Self> {
        let _ = (archive, loaded);
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        unimplemented!()
    }

    /// Logits of every position: `tokens.len() × vocab`, row-major.
    ///
    /// # Errors
    /// Token ids out of range, or more tokens than the context.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        let _ = tokens;
        Ok(vec![])
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
        let _ = (sequences, done);
        Ok(vec![])
    }

    /// Continues every prompt; stops each at a token for which `is_end` holds
    /// (not included) or at the cap.
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
        let _ = (prompts, sampling, is_end, done);
        Ok(vec![])
    }
}
