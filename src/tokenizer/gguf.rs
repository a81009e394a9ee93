//! Tokenizers from GGUF metadata (`tokenizer.ggml.*`).

use super::hf::{Hf, failed};
use super::pre::{self, Pre};
use super::spm::{Kind, Spm};
use super::{CAP, Engine, too_many};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::gguf::Meta;
use std::collections::{BTreeMap, HashMap};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::{PreTokenizerWrapper, byte_level::ByteLevel};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

/// What GGUF says of a tokenizer: its `tokenizer.ggml.*` values.
#[derive(Clone, Debug, Default)]
pub struct GgufVocab<'a> {
    /// `model`: "gpt2" or "llama".
    pub model: &'a str,
    /// `pre`: the pre-tokenizer's name.
    pub pre: Option<&'a str>,
    /// `tokens`: text by id.
    pub tokens: &'a [String],
    /// `scores`, as many as tokens.
    pub scores: Option<&'a [f32]>,
    /// `token_type`, as many as tokens.
    pub types: Option<&'a [i64]>,
    /// `merges`: "left right", best first.
    pub merges: Option<&'a [String]>,
    /// `bos_token_id`.
    pub bos: Option<u64>,
    /// `eos_token_id`.
    pub eos: Option<u64>,
    /// `unknown_token_id`.
    pub unknown: Option<u64>,
    /// `eot_token_id` and `eom_token_id`.
    pub ends: [Option<u64>; 2],
    /// `add_bos_token`.
    pub add_bos: Option<bool>,
    /// `add_space_prefix`.
    pub add_space_prefix: Option<bool>,
}

impl<'a> GgufVocab<'a> {
    /// The tokenizer's part of a file's key-value pairs.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] where the file holds no tokenizer.
    pub fn of(meta: &'a Meta) -> Result<Self> {
        let missing = |key: &str| {
            Error::new(
                ErrorKind::Missing,
                format!("the file has no tokenizer (tokenizer.ggml.{key})"),
            )
            .hint("use a GGUF file that holds its tokenizer, as converters write by default")
        };
        Ok(Self {
            model: meta.str("tokenizer.ggml.model").ok_or_else(|| missing("model"))?,
            pre: meta.str("tokenizer.ggml.pre"),
            tokens: meta.strings("tokenizer.ggml.tokens").ok_or_else(|| missing("tokens"))?,
            scores: meta.floats("tokenizer.ggml.scores"),
            types: meta.ints("tokenizer.ggml.token_type"),
            merges: meta.strings("tokenizer.ggml.merges"),
            bos: meta.uint("tokenizer.ggml.bos_token_id"),
            eos: meta.uint("tokenizer.ggml.eos_token_id"),
            unknown: meta.uint("tokenizer.ggml.unknown_token_id"),
            ends: [
                meta.uint("tokenizer.ggml.eot_token_id"),
                meta.uint("tokenizer.ggml.eom_token_id"),
            ],
            add_bos: meta.flag("tokenizer.ggml.add_bos_token"),
            add_space_prefix: meta.flag("tokenizer.ggml.add_space_prefix"),
        })
    }
}

/// A tokenizer's engine, whether texts begin with BOS.
pub(super) fn open(v: &GgufVocab<'_>) -> Result<(Engine, bool)> {
    let n = v.tokens.len();
    if n > CAP {
        return Err(too_many(n));
    }
    if n == 0 {
        return Err(corrupt("the file has no tokens (tokenizer.ggml.tokens)".into()));
    }
    let lengths = [("token_type", v.types.map(<[_]>::len)), ("scores", v.scores.map(<[_]>::len))];
    for (key, len) in lengths {
        if len.is_some_and(|len| len != n) {
            let len = len.unwrap_or(0);
            return Err(corrupt(format!("tokenizer.ggml.{key} has {len} entries for {n} tokens")));
        }
    }
    for (key, id) in [("bos", v.bos), ("eos", v.eos), ("unknown", v.unknown)] {
        if id.is_some_and(|id| id >= n as u64) {
            let id = id.unwrap_or(0);
            return Err(corrupt(format!("the {key} token's id {id} is beyond the {n} tokens")));
        }
    }
    match v.model {
        "gpt2" => {
            let name = v.pre.unwrap_or("default");
            let pre = pre::named(name).ok_or_else(|| {
                Error::new(ErrorKind::Unsupported, format!("the pre-tokenizer \"{name}\""))
                    .hint("use the model's Hugging Face folder with its tokenizer.json instead")
            })?;
            let hf = byte_level(v, pre)?;
            Ok((Engine::Hf(Box::new(hf)), v.add_bos.unwrap_or(pre.bos)))
        }
        "llama" => Ok((Engine::Spm(Box::new(sentencepiece(v)?)), v.add_bos.unwrap_or(true))),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            format!("the tokenizer model \"{other}\" (tokenizer.ggml.model)"),
        )
        .hint("byte-level BPE (gpt2) and SentencePiece BPE (llama) are supported")),
    }
}

fn corrupt(what: String) -> Error {
    Error::new(ErrorKind::Corrupt, what).hint("the GGUF file is damaged; download it again")
}

fn kind(v: &GgufVocab<'_>, id: usize) -> Kind {
    v.types.and_then(|t| t.get(id)).map_or(Kind::Normal, |&code| Kind::of(code))
}

fn sentencepiece(v: &GgufVocab<'_>) -> Result<Spm> {
    let Some(scores) = v.scores else {
        return Err(corrupt("a SentencePiece tokenizer has no scores".into()));
    };
    if scores.iter().any(|s| s.is_nan()) {
        return Err(corrupt("a score of the tokenizer is not a number".into()));
    }
    let kinds = match v.types {
        Some(_) => (0..v.tokens.len()).map(|id| kind(v, id)).collect(),
        // Files from before token types: bytes and the three first tokens by their looks.
        None => v.tokens.iter().map(|t| guessed(t)).collect(),
    };
    let unknown = v
        .unknown
        .map(|id| id as u32)
        .or_else(|| v.tokens.iter().position(|t| t == "<unk>").map(|id| id as u32));
    Ok(Spm::new(
        v.tokens.iter().map(|t| t.as_str().into()).collect(),
        kinds,
        scores.to_vec(),
        unknown,
        v.add_space_prefix.unwrap_or(true),
    ))
}

fn guessed(token: &str) -> Kind {
    match token {
        "<unk>" => Kind::Unknown,
        "<s>" | "</s>" => Kind::Control,
        t if super::bytes::byte_token(t).is_some() => Kind::Byte,
        _ => Kind::Normal,
    }
}

fn byte_level(v: &GgufVocab<'_>, pre: &Pre) -> Result<Hf> {
    let Some(lines) = v.merges else {
        return Err(corrupt("a byte-level BPE tokenizer has no merges".into()));
    };
    if lines.len() > 2 * CAP {
        return Err(too_many(lines.len()));
    }
    let mut seen: HashMap<&str, u32> = HashMap::with_capacity(v.tokens.len());
    let mut duplicates = BTreeMap::new();
    for (id, token) in (0u32..).zip(v.tokens) {
        if seen.contains_key(token.as_str()) || token.is_empty() {
            duplicates.insert(id, token.clone());
        } else {
            seen.insert(token, id);
        }
    }
    let mut merges = Vec::with_capacity(lines.len());
    let mut joined = String::new();
    for line in lines {
        // A token may itself begin with a space, so the first byte never parts the two.
        let at = line.bytes().skip(1).position(|b| b == b' ').map(|at| at + 1);
        let (left, right) = at.map_or(("", ""), |at| (&line[..at], &line[at + 1..]));
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        if ![left, right, &joined].iter().all(|part| seen.contains_key(part)) {
            return Err(corrupt(format!("the merge \"{}\" names an unknown token", short(line))));
        }
        merges.push((left.to_owned(), right.to_owned()));
    }
    let vocab: Vocab = seen.into_iter().map(|(token, id)| (token.to_owned(), id)).collect();
    let broken = |e| failed("the tokenizer cannot be set up", e);
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(pre.whole_words)
        .build()
        .map_err(broken)?;
    let mut inner = tokenizers::Tokenizer::new(bpe);
    if pre.nfc {
        inner.with_normalizer(Some(tokenizers::normalizers::unicode::NFC)).map_err(broken)?;
    }
    let split = |pattern: &&str| {
        let pattern = SplitPattern::Regex((*pattern).to_owned());
        Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map(PreTokenizerWrapper::from)
            .map_err(broken)
    };
    let mut parts = pre.splits.iter().map(split).collect::<Result<Vec<_>>>()?;
    parts.push(ByteLevel::new(v.add_space_prefix.unwrap_or(false), false, false).into());
    for pattern in pre.after {
        parts.push(split(pattern)?);
    }
    inner.with_pre_tokenizer(Some(Sequence::new(parts)));
    inner.with_decoder(Some(ByteLevel::new(false, false, false)));
    let added = v.tokens.iter().enumerate().filter_map(|(id, token)| {
        let kind = kind(v, id);
        let whole = kind.special() || kind == Kind::UserDefined;
        (whole && !token.is_empty() && !duplicates.contains_key(&(id as u32)))
            .then(|| AddedToken::from(token.clone(), kind.special()).normalized(false))
    });
    inner.add_tokens(added).map_err(broken)?;
    Hf::new(inner, duplicates)
}

/// The beginning of `s`, fit for a message.
fn short(s: &str) -> String {
    s.chars().take(40).collect()
}
