//! WordPiece tokenizers: tokenizer.json, vocab.txt, or GGUF metadata.
//!
//! All three come to the same pieces; the tokenizer is set up from those
//! instead of from tokenizer.json itself, of which the rest (how to pad, how to
//! cut) is for other uses.

use super::Sequence;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::archive::missing;
use crate::formats::{Archive, Metadata, gguf::Meta};
use serde_json::Value;
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

/// Pieces at the most; the largest known vocabulary has about 500,000.
const CAP: usize = 1_000_000;
/// Bytes of a text that are looked at: more than any number of tokens taken.
const MAX_TEXT: usize = 64 << 10;

/// An encoder's tokenizer.
pub struct Vocabulary {
    inner: tokenizers::Tokenizer,
    /// One more than the largest id.
    len: usize,
    first: u32,
    separator: u32,
}

/// Pieces, and how a text is prepared for them.
struct Pieces {
    ids: Vec<(String, u32)>,
    unknown: String,
    prefix: String,
    longest: usize,
    clean: bool,
    chinese: bool,
    accents: Option<bool>,
    lowercase: bool,
}

impl Vocabulary {
    /// The tokenizer of `archive`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`], [`ErrorKind::Unsupported`], [`ErrorKind::Corrupt`]
    /// or [`ErrorKind::TooLarge`], with the reason.
    pub fn open(archive: &Archive) -> Result<Self> {
        let pieces = match &archive.metadata {
            Metadata::Gguf(meta) => from_gguf(meta)?,
            Metadata::HuggingFace { tokenizer, .. } if tokenizer.is_empty() => {
                return Err(missing(&archive.label, "tokenizer.json"));
            }
            Metadata::HuggingFace { tokenizer, .. } => match tokenizer.trim_ascii_start().first() {
                Some(b'{') => from_json(tokenizer)?,
                _ => from_text(tokenizer)?,
            },
        };
        Self::new(pieces)
    }

    /// The piece of each id as it is spelt in the vocabulary; `None` for ids without one.
    pub fn spellings(&self) -> Vec<Option<Vec<u8>>> {
        let piece = |id: usize| self.inner.id_to_token(id as u32).map(String::into_bytes);
        (0..self.len).map(piece).collect()
    }

    fn new(p: Pieces) -> Result<Self> {
        let largest = p.ids.iter().map(|(_, id)| *id as usize).max().unwrap_or(0);
        if p.ids.len() > CAP || largest >= CAP {
            let n = p.ids.len().max(largest);
            let what = format!("the tokenizer has {n} pieces; at most {CAP} are read");
            return Err(Error::new(ErrorKind::TooLarge, what)
                .hint("the file is damaged; download it again"));
        }
        let id = |text: &str| {
            p.ids.iter().find(|(t, _)| t == text).map(|(_, id)| *id).ok_or_else(|| {
                Error::new(ErrorKind::Mismatch, format!("the tokenizer has no \"{text}\"")).hint(
                    "this is not a BERT encoder's tokenizer: use the one published with the model",
                )
            })
        };
        let (first, separator) = (id("[CLS]")?, id("[SEP]")?);
        id(&p.unknown)?;
        let model = WordPiece::builder()
            .vocab(p.ids.into_iter().collect::<Vocab>())
            .unk_token(p.unknown)
            .continuing_subword_prefix(p.prefix)
            .max_input_chars_per_word(p.longest)
            .build()
            .map_err(failed)?;
        let mut inner = tokenizers::Tokenizer::new(model);
        let normalizer = BertNormalizer::new(p.clean, p.chinese, p.accents, p.lowercase);
        inner.with_normalizer(Some(normalizer)).map_err(failed)?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        Ok(Self { inner, len: largest + 1, first, separator })
    }

    /// Checks that a model of `rows` word embeddings has one for every piece.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where pieces lack one.
    pub fn check_fits(&self, rows: usize) -> Result<()> {
        if self.len <= rows {
            return Ok(());
        }
        let what = format!("the tokenizer has {} pieces, the encoder {rows}", self.len);
        Err(Error::new(ErrorKind::Mismatch, what)
            .hint("use the tokenizer that belongs to this model"))
    }

    /// One or two texts in `max` tokens at the most, the marks between them included.
    ///
    /// # Errors
    /// Where the tokenizer itself fails.
    pub fn sequence(&self, before: Option<&str>, text: &str, max: usize) -> Result<Sequence> {
        let mut second = self.encode(text)?;
        let mut first = before.map(|t| self.encode(t)).transpose()?;
        let marks = if first.is_some() { 3 } else { 2 };
        let room = max.saturating_sub(marks);
        match &mut first {
            None => second.truncate(room),
            Some(first) => {
                // Neither falls below half before the other has come down to it.
                let (half, a, b) = (room / 2, first.len(), second.len());
                first.truncate(room - b.min(room - a.min(half)));
                second.truncate(room - first.len().min(room));
            }
        }
        let mut ids = vec![self.first];
        if let Some(first) = first {
            ids.extend(first);
            ids.push(self.separator);
        }
        let mut at = ids.len();
        ids.extend(second);
        ids.push(self.separator);
        if before.is_none() {
            at = ids.len();
        }
        Ok(Sequence { ids, second: at })
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT)];
        let encoded = self.inner.encode_fast(text, false).map_err(failed)?;
        Ok(encoded.get_ids().to_vec())
    }
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the tokenizer cannot be used: {e}"))
        .hint("download the tokenizer again")
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, what).hint("download the tokenizer again")
}

impl Pieces {
    /// BERT's own settings. Files that hold pieces alone do not say whether
    /// text is put in lower case, but the pieces do: cased vocabularies have
    /// capitals by the thousand.
    fn plain(ids: Vec<(String, u32)>) -> Self {
        let mark = |t: &str| t.starts_with('[') && t.ends_with(']');
        let cased = ids.iter().any(|(t, _)| !mark(t) && t.bytes().any(|b| b.is_ascii_uppercase()));
        Self {
            ids,
            unknown: "[UNK]".into(),
            prefix: "##".into(),
            longest: 100,
            clean: true,
            chinese: true,
            accents: None,
            lowercase: !cased,
        }
    }
}

/// vocab.txt: a piece on each line, its id the line's number.
fn from_text(text: &[u8]) -> Result<Pieces> {
    let text = std::str::from_utf8(text).map_err(|_| corrupt("vocab.txt is no UTF-8 text"))?;
    if text.lines().nth(CAP).is_some() {
        return Err(corrupt("vocab.txt has too many lines"));
    }
    Ok(Pieces::plain(text.lines().map(str::trim_end).map(str::to_owned).zip(0..).collect()))
}

/// GGUF: as llama.cpp's converter rewrites them, pieces that begin a word have
/// U+2581 before them and those that continue one have nothing.
fn from_gguf(meta: &Meta) -> Result<Pieces> {
    let missing = |key: &str| {
        Error::new(ErrorKind::Missing, format!("the file has no tokenizer (tokenizer.ggml.{key})"))
            .hint("use a GGUF file that holds its tokenizer, as converters write by default")
    };
    let model = meta.str("tokenizer.ggml.model").ok_or_else(|| missing("model"))?;
    if model != "bert" {
        return Err(unsupported(model));
    }
    let tokens = meta.strings("tokenizer.ggml.tokens").ok_or_else(|| missing("tokens"))?;
    let piece = |token: &String| match token.strip_prefix('\u{2581}') {
        Some(word) => word.to_owned(),
        None if token.starts_with('[') && token.ends_with(']') => token.clone(),
        None => format!("##{token}"),
    };
    Ok(Pieces::plain(tokens.iter().map(piece).zip(0..).collect()))
}

fn from_json(text: &[u8]) -> Result<Pieces> {
    let json: Value = serde_json::from_slice(text)
        .map_err(|e| corrupt(&format!("tokenizer.json cannot be read: {e}")))?;
    let model = json.get("model").unwrap_or(&Value::Null);
    let kind = model.get("type").and_then(Value::as_str).unwrap_or("WordPiece");
    let vocab = model.get("vocab").and_then(Value::as_object);
    let Some(vocab) = vocab.filter(|_| kind == "WordPiece") else {
        return Err(unsupported(kind));
    };
    let id = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    let mut ids = Vec::with_capacity(vocab.len());
    for (piece, value) in vocab {
        let id = id(value).ok_or_else(|| corrupt("tokenizer.json has a piece without an id"))?;
        ids.push((piece.clone(), id));
    }
    for added in json.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
        let piece = added.get("content").and_then(Value::as_str);
        if let (Some(piece), Some(id)) = (piece, added.get("id").and_then(id))
            && !vocab.contains_key(piece)
        {
            ids.push((piece.to_owned(), id));
        }
    }
    let mut pieces = Pieces::plain(ids);
    let text = |key: &str| model.get(key).and_then(Value::as_str).map(str::to_owned);
    pieces.unknown = text("unk_token").unwrap_or(pieces.unknown);
    pieces.prefix = text("continuing_subword_prefix").unwrap_or(pieces.prefix);
    let longest = model.get("max_input_chars_per_word").and_then(Value::as_u64);
    // The search is quadratic in it.
    pieces.longest = longest.map_or(pieces.longest, |n| n.min(1000) as usize);
    let normalizer = json.get("normalizer").filter(|n| !n.is_null());
    if let Some(n) = normalizer {
        let flag = |key: &str| n.get(key).and_then(Value::as_bool);
        match n.get("type").and_then(Value::as_str) {
            Some("BertNormalizer") => {}
            other => return Err(unsupported(other.unwrap_or("an unnamed normalizer"))),
        }
        pieces.clean = flag("clean_text").unwrap_or(true);
        pieces.chinese = flag("handle_chinese_chars").unwrap_or(true);
        pieces.accents = flag("strip_accents");
        pieces.lowercase = flag("lowercase").unwrap_or(true);
    }
    match json.pointer("/pre_tokenizer/type").and_then(Value::as_str) {
        None | Some("BertPreTokenizer") => Ok(pieces),
        Some(other) => Err(unsupported(other)),
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the encoder's tokenizer uses {what}, which is not supported"),
    )
    .hint("use an encoder with BERT's WordPiece tokenizer, such as all-MiniLM-L6-v2")
}
