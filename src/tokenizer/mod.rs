//! Text to tokens and back, from tokenizer.json or from GGUF metadata.

use crate::error::{Error, ErrorKind, Result};
use crate::formats::Archive;

/// A prompt and its response as one token sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Beginning-of-text token (where the model has one), prompt, response.
    pub tokens: Vec<u32>,
    /// Index of the first response token; at least 1 where a model can score it.
    pub start: usize,
    /// Byte range in the response of each response token. Ranges are
    /// ascending, cover the response and may be empty (a token that is part
    /// of a character, or a space that the text does not show).
    pub spans: Vec<(usize, usize)>,
}

/// A model's tokenizer.
pub struct Tokenizer {}

impl Tokenizer {
    /// Builds the tokenizer of a candidate.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] or [`ErrorKind::Unsupported`], with the reason.
    pub fn open(archive: &Archive) -> Result<Self> {
        let _ = archive;
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    /// Number of token ids (one more than the largest).
    pub fn vocab(&self) -> usize {
        0
    }

    /// The tokens of a prompt, ready to be continued: with the
    /// beginning-of-text token, without an end token, never empty.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        let _ = prompt;
        Ok(vec![])
    }

    /// Prompt and response as the model would have seen and written them.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn pair(&self, prompt: &str, response: &str) -> Result<Pair> {
        let _ = (prompt, response);
        Ok(Pair { tokens: vec![], start: 0, spans: vec![] })
    }

    /// The ways in which the join of prompt and response may have been tokenised; at least one.
    ///
    /// # Errors
    /// As [`Tokenizer::pair`].
    pub fn pair_variants(&self, prompt: &str, response: &str) -> Result<Vec<Pair>> {
        Ok(vec![self.pair(prompt, response)?])
    }

    /// Refuses a tokenizer with more ids than the model's embedding has rows.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`].
    pub fn check_fits(&self, model_vocab: usize) -> Result<()> {
        let _ = model_vocab;
        Ok(())
    }

    /// The text that `tokens` add after a prompt: leading spaces kept,
    /// special tokens left out.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn continuation(&self, tokens: &[u32]) -> Result<String> {
        let _ = tokens;
        Ok(String::new())
    }

    /// Whether `token` ends a response.
    pub fn is_end(&self, token: u32) -> bool {
        let _ = token;
        false
    }
}
