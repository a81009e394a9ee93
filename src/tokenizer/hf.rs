//! Tokenizers of the `tokenizers` crate: run at a text's start and in its middle.

use super::Encoded;
use super::bytes::Alphabet;
use crate::error::{Error, ErrorKind, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::{
    AddedVocabulary, Model, NormalizerWrapper, OffsetType, PreTokenizer, PreTokenizerWrapper,
};

/// A tokenizer with what a continuation needs in place of its own start.
pub(super) struct Hf {
    inner: tokenizers::Tokenizer,
    /// As the tokenizer's own, but without the space put before a text.
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    /// Added tokens, those of them that are markup read as plain text.
    plain: AddedVocabulary,
    alphabet: Alphabet,
    /// Text of ids whose text an earlier id already has.
    duplicates: BTreeMap<u32, String>,
}

/// A failure inside the library, told as ours.
pub(super) fn failed(what: &str, e: impl std::fmt::Display) -> Error {
    let mut why = e.to_string();
    if let Some((at, _)) = why.char_indices().nth(200) {
        why.truncate(at);
    }
    Error::new(ErrorKind::Corrupt, format!("{what}: {why}"))
        .hint("the tokenizer is damaged or of a kind that is not supported; download it again")
}

impl Hf {
    pub(super) fn new(
        mut inner: tokenizers::Tokenizer,
        duplicates: BTreeMap<u32, String>,
    ) -> Result<Self> {
        let broken = |e| failed("the tokenizer cannot be set up", e);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(broken)?;
        let json = |e: serde_json::Error| failed("the tokenizer cannot be set up", e);
        let part = |v: Option<Value>| v.map(serde_json::from_value).transpose().map_err(json);
        let normalizer = serde_json::to_value(inner.get_normalizer()).map_err(json)?;
        let pre = serde_json::to_value(inner.get_pre_tokenizer()).map_err(json)?;
        let decoder = serde_json::to_value(inner.get_decoder()).map_err(json)?;
        let spelling = [&normalizer, &pre, &decoder].map(Value::to_string).concat();
        let alphabet = if spelling.contains("\"ByteLevel\"") {
            Alphabet::ByteLevel
        } else if spelling.contains('▁') {
            Alphabet::Metaspace
        } else {
            Alphabet::Plain
        };
        let normalizer: Option<NormalizerWrapper> = match unprefixed(normalizer) {
            Some(v) => serde_json::from_value(v).map_err(json)?,
            None => None,
        };
        let pre_tokenizer = part(unprefixed(pre))?;
        let mut plain = inner.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);
        plain.refresh_normalized_tokens(normalizer.as_ref()).map_err(broken)?;
        Ok(Self { inner, normalizer, pre_tokenizer, plain, alphabet, duplicates })
    }

    /// Tokens of `text` with the end of each in `text`. `start`: the text begins
    /// a sequence; `markup`: special tokens in the text are tokens, not text.
    pub(super) fn encode(&self, text: &str, start: bool, markup: bool) -> Result<Vec<Encoded>> {
        let wrong = |e| failed("a text cannot be tokenised", e);
        let added = if markup { self.inner.get_added_vocabulary() } else { &self.plain };
        let (normalizer, pre) = if start {
            (self.inner.get_normalizer(), self.inner.get_pre_tokenizer())
        } else {
            (self.normalizer.as_ref(), self.pre_tokenizer.as_ref())
        };
        let mut run = added.extract_and_normalize(normalizer, text);
        if let Some(pre) = pre {
            pre.pre_tokenize(&mut run).map_err(wrong)?;
        }
        run.tokenize(|n| self.inner.get_model().tokenize(n.get())).map_err(wrong)?;
        let found = run.into_encoding(None, 0, OffsetType::Byte).map_err(wrong)?;
        let mut out: Vec<Encoded> = found
            .get_ids()
            .iter()
            .zip(found.get_offsets())
            .map(|(&id, &(_, end))| Encoded { id, end: end.min(text.len()) })
            .collect();
        self.exact_ends(text, &mut out);
        Ok(out)
    }

    /// Where the tokens spell the text byte for byte (but for a space put
    /// before it), their own lengths say where each ends, also within a
    /// character; the library's offsets know whole characters only.
    fn exact_ends(&self, text: &str, out: &mut [Encoded]) {
        let mut spelt = Vec::new();
        let mut ends = Vec::new();
        for token in out.iter() {
            let Some(bytes) = self.bytes(token.id) else { return };
            spelt.extend(bytes);
            ends.push(spelt.len());
        }
        let extra = spelt.len().saturating_sub(text.len());
        let (front, rest) = spelt.split_at(extra);
        if rest != text.as_bytes() || front.iter().any(|&b| b != b' ') {
            return;
        }
        for (token, end) in out.iter_mut().zip(ends) {
            token.end = end.saturating_sub(extra);
        }
    }

    /// The bytes that token `id` adds to a text; none for markup.
    pub(super) fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        if let Some(added) = self.inner.get_added_vocabulary().get_added_tokens_decoder().get(&id) {
            return match (added.special, self.alphabet) {
                (true, _) => None,
                (false, Alphabet::Metaspace) => Some(added.content.replace('▁', " ").into_bytes()),
                (false, _) => Some(added.content.clone().into_bytes()),
            };
        }
        self.inner
            .get_model()
            .id_to_token(id)
            .or_else(|| self.duplicates.get(&id).cloned())
            .map(|token| self.alphabet.bytes(&token))
    }

    /// The text of `tokens`, where they do not simply spell it.
    pub(super) fn decoded(&self, tokens: &[u32]) -> Option<Result<String>> {
        (self.alphabet == Alphabet::Plain).then(|| {
            self.inner.decode(tokens, true).map_err(|e| failed("tokens cannot be decoded", e))
        })
    }

    /// The tokens that the tokenizer itself puts before a text.
    pub(super) fn leading(&self) -> Result<Vec<u32>> {
        let wrong = |e| failed("a text cannot be tokenised", e);
        let bare = self.inner.encode("a", false).map_err(wrong)?;
        let full = self.inner.encode("a", true).map_err(wrong)?;
        let (bare, full) = (bare.get_ids(), full.get_ids());
        let at = full.windows(bare.len().max(1)).position(|w| w == bare);
        Ok(at.map_or_else(Vec::new, |at| full[..at].to_vec()))
    }

    /// Whether the file says nothing of what goes around a text.
    pub(super) fn silent(&self) -> bool {
        self.inner.get_post_processor().is_none()
    }

    /// The id of a token that is markup, by its text.
    pub(super) fn special(&self, text: &str) -> Option<u32> {
        let id = self.inner.token_to_id(text)?;
        self.inner.get_added_vocabulary().is_special_token(text).then_some(id)
    }
}

/// `part` (a normalizer or pre-tokenizer as JSON) without what it does to the
/// start of a text only.
fn unprefixed(mut part: Value) -> Option<Value> {
    match part.get("type").and_then(Value::as_str) {
        None | Some("Prepend") => return None,
        Some("Metaspace") => part["prepend_scheme"] = "never".into(),
        Some("ByteLevel") if part.get("add_prefix_space").is_some() => {
            part["add_prefix_space"] = false.into();
        }
        Some("Strip") => part["strip_left"] = false.into(),
        Some("Sequence") => {
            for key in ["normalizers", "pretokenizers"] {
                if let Some(parts) = part.get_mut(key).and_then(Value::as_array_mut) {
                    *parts = std::mem::take(parts).into_iter().filter_map(unprefixed).collect();
                }
            }
        }
        Some(_) => {}
    }
    Some(part)
}
