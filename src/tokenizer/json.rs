//! tokenizer.json: checked before the `tokenizers` crate reads it.
//!
//! The crate trusts some of what it reads (a merge longer than every token
//! makes it panic, which ends the page's worker), so the file is first walked
//! once, without building anything, for what would hurt.

use super::hf::{Hf, failed};
use super::{CAP, too_many};
use crate::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// More than the largest public tokenizer.json by a factor of four.
const MAX_BYTES: usize = 160 << 20;

/// Model types and parts that generators use and that take any input safely.
const MODELS: [&str; 3] = ["BPE", "Unigram", "WordLevel"];
const PARTS: [&str; 20] = [
    "Sequence",
    "Prepend",
    "Replace",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Lowercase",
    "Strip",
    "StripAccents",
    "ByteLevel",
    "Metaspace",
    "Split",
    "Digits",
    "Whitespace",
    "WhitespaceSplit",
    "Punctuation",
    "CharDelimiterSplit",
    "UnicodeScripts",
];

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    model: ModelOutline<'a>,
    #[serde(default)]
    added_tokens: Option<Vec<Added>>,
    #[serde(default)]
    normalizer: Option<Value>,
    #[serde(default)]
    pre_tokenizer: Option<Value>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
}

#[derive(Deserialize)]
struct ModelOutline<'a> {
    #[serde(default, rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    vocab: Vocab,
    #[serde(default)]
    merges: Merges,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default, borrow)]
    continuing_subword_prefix: Option<Cow<'a, str>>,
}

/// What matters of a vocabulary: a map to ids, or Unigram's list.
#[derive(Default)]
struct Vocab {
    count: usize,
    max_id: u64,
    longest: usize,
}

/// What matters of the merges: the longest result and the shortest right side.
#[derive(Default)]
struct Merges {
    longest: usize,
    shortest_right: Option<usize>,
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Vocab;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Vocab, E> {
                Ok(Vocab::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut v = Vocab::default();
                while let Some((token, id)) = map.next_entry::<Cow<'de, str>, u64>()? {
                    v.count += 1;
                    v.max_id = v.max_id.max(id);
                    v.longest = v.longest.max(token.len());
                }
                Ok(v)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vocab, A::Error> {
                let mut v = Vocab::default();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    v.count += 1;
                }
                v.max_id = (v.count as u64).saturating_sub(1);
                Ok(v)
            }
        }
        d.deserialize_any(V)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge<'a> {
    Pair(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>),
    Joined(#[serde(borrow)] Cow<'a, str>),
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Merges;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of merges")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Merges, E> {
                Ok(Merges::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Merges, A::Error> {
                let mut m = Merges::default();
                while let Some(merge) = seq.next_element::<Merge<'de>>()? {
                    let (left, right) = match &merge {
                        Merge::Pair(l, r) => (l.len(), r.len()),
                        Merge::Joined(s) => {
                            let (l, r) = s.split_once(' ').unwrap_or((s, ""));
                            (l.len(), r.len())
                        }
                    };
                    m.longest = m.longest.max(left + right);
                    m.shortest_right = Some(m.shortest_right.map_or(right, |n| n.min(right)));
                }
                Ok(m)
            }
        }
        d.deserialize_any(V)
    }
}

/// Reads tokenizer.json. Returns the tokenizer and one more than its largest id.
pub(super) fn open(text: &[u8]) -> Result<(Hf, usize)> {
    if text.len() > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("tokenizer.json has {} bytes; at most {MAX_BYTES} are read", text.len()),
        ));
    }
    let vocab = check(text)?;
    let inner = tokenizers::Tokenizer::from_bytes(text)
        .map_err(|e| failed("tokenizer.json cannot be used", e))?;
    // Ids of added tokens as the crate assigned them, which may differ from the file's.
    let added = inner.get_added_vocabulary().get_added_tokens_decoder().keys().max();
    let vocab = vocab.max(added.map_or(0, |&id| id as usize + 1));
    Ok((Hf::new(inner, BTreeMap::new())?, vocab))
}

/// Walks the file for what the crate would stumble over; returns the number of ids.
fn check(text: &[u8]) -> Result<usize> {
    let outline: Outline<'_> =
        serde_json::from_slice(text).map_err(|e| failed("tokenizer.json cannot be read", e))?;
    let model = &outline.model;
    let kind = model.kind.as_deref().unwrap_or("BPE");
    if !MODELS.contains(&kind) {
        return Err(unsupported(&format!("model \"{kind}\"")));
    }
    for part in [&outline.normalizer, &outline.pre_tokenizer].into_iter().flatten() {
        check_part(part)?;
    }
    let added = outline.added_tokens.as_deref().unwrap_or(&[]);
    let max_id = added.iter().map(|a| a.id).fold(model.vocab.max_id, u64::max);
    let count = model.vocab.count.saturating_add(added.len());
    if count > CAP || max_id >= CAP as u64 {
        return Err(too_many(count.max(usize::try_from(max_id).unwrap_or(usize::MAX))));
    }
    if model.vocab.count == 0 {
        return Err(Error::new(ErrorKind::Corrupt, "tokenizer.json has an empty vocabulary")
            .hint("download tokenizer.json again"));
    }
    if model.dropout.is_some_and(|p| p > 0.0) {
        return Err(unsupported("dropout, which makes its tokens random"));
    }
    let prefix = model.continuing_subword_prefix.as_ref().map_or(0, |p| p.len());
    if model.merges.shortest_right.is_some_and(|n| n < prefix)
        || model.merges.longest > model.vocab.longest.saturating_add(prefix)
    {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "tokenizer.json has a merge whose result is not in its vocabulary",
        )
        .hint("download tokenizer.json again"));
    }
    Ok(max_id as usize + 1)
}

fn check_part(part: &Value) -> Result<()> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("");
    if !part.is_null() && !PARTS.contains(&kind) {
        return Err(unsupported(&format!("part \"{kind}\"")));
    }
    for key in ["normalizers", "pretokenizers"] {
        for inner in part.get(key).and_then(Value::as_array).into_iter().flatten() {
            check_part(inner)?;
        }
    }
    Ok(())
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("tokenizer.json uses {what}"))
        .hint("tokenizers of generating models (BPE, Unigram) are supported")
}
