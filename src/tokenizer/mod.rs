//! Text to tokens and back, from tokenizer.json or from GGUF metadata.
//!
//! Two engines: the `tokenizers` crate (tokenizer.json, and GGUF's byte-level
//! BPE), and SentencePiece's BPE in [`spm`] (GGUF's "llama" vocabularies,
//! Gemma's among them). Both can encode a text as the beginning of a sequence
//! or as the continuation of one.

mod bytes;
mod gguf;
mod hf;
mod json;
mod pre;
mod spm;

use crate::error::{Error, ErrorKind, Result};
use crate::formats::archive::missing;
use crate::formats::{Archive, Metadata};
pub use gguf::GgufVocab;
use serde_json::Value;
use std::collections::BTreeSet;

/// Most tokens of a vocabulary; the largest known has about 262,000.
const CAP: usize = 1_000_000;

/// Markup that ends a response in one model family or another.
const ENDS: [&str; 16] = [
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|im_end|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|eos|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<|endofturn|>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
];

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

/// A token and where its text ends (bytes from the text's start).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Encoded {
    id: u32,
    end: usize,
}

enum Engine {
    Hf(Box<hf::Hf>),
    Spm(Box<spm::Spm>),
}

/// A model's tokenizer.
pub struct Tokenizer {
    engine: Engine,
    /// What comes before a text.
    leading: Vec<u32>,
    /// What stands for an empty prompt where nothing leads.
    empty: Option<u32>,
    ends: BTreeSet<u32>,
    vocab: usize,
}

impl Tokenizer {
    /// Builds the tokenizer of a candidate.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] or [`ErrorKind::Unsupported`], with the reason.
    pub fn open(archive: &Archive) -> Result<Self> {
        match &archive.metadata {
            Metadata::HuggingFace { tokenizer, .. } if tokenizer.is_empty() => {
                Err(missing(&archive.label, "tokenizer.json"))
            }
            Metadata::HuggingFace { config, tokenizer } => Self::from_json(tokenizer, config),
            Metadata::Gguf(meta) => GgufVocab::of(meta).and_then(|v| Self::from_gguf(&v)),
        }
        .map_err(|e| e.in_file(&archive.label))
    }

    /// Builds a tokenizer from tokenizer.json and config.json.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`], [`ErrorKind::TooLarge`] or [`ErrorKind::Unsupported`].
    pub fn from_json(tokenizer: &[u8], config: &Value) -> Result<Self> {
        let (hf, vocab) = json::open(tokenizer)?;
        let ids = |key: &str| -> Vec<u32> {
            // Models of several modes keep their language part apart.
            let value = config.get(key).or_else(|| config.get("text_config")?.get(key));
            let listed = match value {
                Some(Value::Array(ids)) => ids.as_slice(),
                Some(id) => std::slice::from_ref(id),
                None => &[],
            };
            let ids = listed.iter().filter_map(Value::as_u64);
            ids.filter(|&id| id < vocab as u64).map(|id| id as u32).collect()
        };
        let (bos, eos) = (ids("bos_token_id"), ids("eos_token_id"));
        let mut leading = hf.leading()?;
        // A file that says nothing of a beginning, beside a configuration that
        // names one of its own: the model was trained with it, and some fall
        // apart without (MiniMind2: 23 nats instead of 7 on a first token).
        if let (true, Some(bos)) =
            (hf.silent() && leading.is_empty(), bos.first().filter(|b| !eos.contains(b)))
        {
            leading.push(*bos);
        }
        let empty = bos.first().or(eos.first()).copied().or_else(|| hf.special("<|endoftext|>"));
        Ok(Self::new(Engine::Hf(Box::new(hf)), leading, empty, eos, vocab))
    }

    /// Builds a tokenizer from the values of GGUF's `tokenizer.ggml.*` keys.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`], [`ErrorKind::TooLarge`] or [`ErrorKind::Unsupported`].
    pub fn from_gguf(vocab: &GgufVocab<'_>) -> Result<Self> {
        let (engine, add_bos) = gguf::open(vocab)?;
        let n = vocab.tokens.len();
        let id = |id: Option<u64>| id.filter(|&id| id < n as u64).map(|id| id as u32);
        // SentencePiece's own defaults where the file is silent.
        let spm = matches!(engine, Engine::Spm(_)) && n > 2;
        let bos = id(vocab.bos).or(spm.then_some(1));
        let eos = id(vocab.eos).or(spm.then_some(2));
        let leading = if add_bos { Vec::from_iter(bos) } else { vec![] };
        let ends = [eos, id(vocab.ends[0]), id(vocab.ends[1])].into_iter().flatten().collect();
        let text = |t: &str| vocab.tokens.iter().position(|s| s == t).map(|id| id as u32);
        let empty = bos.or(eos).or_else(|| text("<|endoftext|>"));
        Ok(Self::new(engine, leading, empty, ends, n))
    }

    fn new(
        engine: Engine,
        leading: Vec<u32>,
        empty: Option<u32>,
        ends: Vec<u32>,
        vocab: usize,
    ) -> Self {
        let mut ends = BTreeSet::from_iter(ends);
        match &engine {
            Engine::Hf(hf) => ends.extend(ENDS.iter().filter_map(|t| hf.special(t))),
            Engine::Spm(spm) => ends.extend((0..spm.len() as u32).filter(|&id| {
                spm.piece(id).is_some_and(|(t, kind)| kind.special() && ENDS.contains(&t))
            })),
        }
        Self { engine, leading, empty, ends, vocab }
    }

    /// Number of token ids (one more than the largest).
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// Checks that a model of `model_vocab` embeddings has one for every token.
    /// More embeddings than tokens are fine: models pad their tables.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where tokens lack an embedding.
    pub fn check_fits(&self, model_vocab: usize) -> Result<()> {
        if self.vocab <= model_vocab {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!("the tokenizer has {} tokens, the model {model_vocab}", self.vocab),
        )
        .hint("use the tokenizer that belongs to this model"))
    }

    /// The tokens of a prompt, ready to be continued: with the
    /// beginning-of-text token, without an end token, never empty.
    /// Markup in the prompt (`<|im_start|>`) is read as such, as generators do.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        let mut tokens = self.leading.clone();
        tokens.extend(self.encode(prompt, true, true)?.iter().map(|t| t.id));
        if tokens.is_empty() {
            tokens.push(self.empty.ok_or_else(|| {
                Error::new(ErrorKind::Unsupported, "no token can stand for an empty prompt")
                    .hint("give the samples prompts, or name bos_token_id in config.json")
            })?);
        }
        Ok(tokens)
    }

    /// Prompt and response as the model would have seen and written them:
    /// the response continues the prompt, with no space put before it, unless
    /// the prompt is empty, where the response is the text's own beginning.
    /// Markup in the response (`</s>`) is plain text: a sample cannot speak in
    /// a model's control tokens. No end token is added.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn pair(&self, prompt: &str, response: &str) -> Result<Pair> {
        self.joined(prompt, response, "")
    }

    /// The ways in which a model may have written `response`: as it stands
    /// ([`Self::pair`]) and, where neither prompt nor response has white space at the
    /// seam, with the leading space that generators strip. One or two, all distinct.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn pair_variants(&self, prompt: &str, response: &str) -> Result<Vec<Pair>> {
        let mut pairs = vec![self.pair(prompt, response)?];
        if !response.is_empty()
            && !response.starts_with(char::is_whitespace)
            && !prompt.ends_with(char::is_whitespace)
        {
            let spaced = self.joined(prompt, response, " ")?;
            if spaced.tokens != pairs[0].tokens {
                pairs.push(spaced);
            }
        }
        Ok(pairs)
    }

    /// The one rule of how prompt and response meet; `stripped` is put back
    /// before the response and shown in no span.
    fn joined(&self, prompt: &str, response: &str, stripped: &str) -> Result<Pair> {
        let mut tokens = self.prompt(prompt)?;
        let start = tokens.len();
        // A restored space is the dummy space, so that none is put before it.
        let begins = prompt.is_empty() && stripped.is_empty();
        let encoded = self.encode(&format!("{stripped}{response}"), begins, false)?;
        tokens.extend(encoded.iter().map(|t| t.id));
        let mut at = 0;
        let last = encoded.len().saturating_sub(1);
        let spans = encoded.iter().enumerate().map(|(i, token)| {
            let end = token.end.saturating_sub(stripped.len()).clamp(at, response.len());
            let end = if i == last { response.len() } else { end };
            (std::mem::replace(&mut at, end), end)
        });
        let spans = spans.collect();
        Ok(Pair { tokens, start, spans })
    }

    fn encode(&self, text: &str, start: bool, markup: bool) -> Result<Vec<Encoded>> {
        if text.is_empty() {
            return Ok(vec![]);
        }
        match &self.engine {
            Engine::Hf(hf) => hf.encode(text, start, markup),
            Engine::Spm(spm) => Ok(spm.encode(text, start, markup)),
        }
    }

    /// The text that `tokens` add after a prompt: leading spaces kept, special
    /// tokens left out, a character that the end cuts off dropped.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn continuation(&self, tokens: &[u32]) -> Result<String> {
        if let Engine::Hf(hf) = &self.engine
            && let Some(text) = hf.decoded(tokens)
        {
            return text;
        }
        let spelt: Vec<u8> = tokens.iter().filter_map(|&id| self.bytes(id)).flatten().collect();
        Ok(bytes::text(&spelt))
    }

    /// The bytes that a token adds to a text; none for markup.
    fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        match &self.engine {
            Engine::Hf(hf) => hf.bytes(id),
            Engine::Spm(spm) => match spm.piece(id)? {
                (_, kind) if kind.special() => None,
                (text, spm::Kind::UserDefined) => Some(text.as_bytes().to_vec()),
                (text, _) => Some(bytes::Alphabet::Metaspace.bytes(text)),
            },
        }
    }

    /// What each id adds to a text, in bytes; `None` for markup and unused ids.
    pub fn spellings(&self) -> Vec<Option<Vec<u8>>> {
        (0..self.vocab as u32).map(|id| self.bytes(id)).collect()
    }

    /// Whether `token` ends a response.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }
}

/// The error for a vocabulary beyond the cap.
fn too_many(n: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the tokenizer has {n} tokens; at most {CAP} are read"))
        .hint("the file is damaged; download it again")
}
