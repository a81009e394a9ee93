//! Tokenizers trained on a base's own mix, and what GGUF says of them.

use super::plan::Family;
use crate::error::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashSet};
use tokenizers::decoders::{
    DecoderWrapper, byte_fallback::ByteFallback, byte_level::ByteLevel as ByteLevelDecoder,
    fuse::Fuse, sequence::Sequence as DecoderSequence, strip::Strip,
};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer, Vocab};
use tokenizers::normalizers::{
    NormalizerWrapper, Prepend, Replace, Sequence as NormalizerSequence, unicode::NFC,
};
use tokenizers::pre_tokenizers::{
    PreTokenizerWrapper,
    byte_level::ByteLevel,
    metaspace::{Metaspace, PrependScheme},
    sequence::Sequence,
    split::{Split, SplitPattern},
};
use tokenizers::processors::{PostProcessorWrapper, template::TemplateProcessing};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// Where Qwen's byte-level tokenizers cut words.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const END: &str = "<|endoftext|>";
/// Ids below are SentencePiece's unknown, begin and end, and the 256 bytes.
const FIRST_PIECE: usize = 259;

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("the tokenizer: {e}"))
}

/// A tokenizer of the zoo.
pub struct Vocabulary {
    /// The tokenizer itself.
    pub tokenizer: Tokenizer,
    family: Family,
}

impl Vocabulary {
    /// Trains the tokenizer that `family` uses on `texts`: SentencePiece-like
    /// with byte fallback for Llama, byte-level BPE elsewhere. The same texts
    /// give the same tokenizer.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn train(family: Family, texts: &[&str]) -> Result<Self> {
        let tokenizer = match family {
            Family::Llama => pieces(family.vocab(), texts),
            Family::Qwen3 => byte_level(family.vocab(), texts, Some(QWEN2)).and_then(|mut t| {
                t.with_normalizer(Some(NFC))?;
                Ok(t)
            }),
            Family::Gpt2 | Family::NeoX => byte_level(family.vocab(), texts, None),
        };
        Ok(Self { tokenizer: tokenizer.map_err(failed)?, family })
    }

    /// Reads tokenizer.json.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`].
    pub fn from_json(family: Family, json: &[u8]) -> Result<Self> {
        let tokenizer = Tokenizer::from_bytes(json)
            .map_err(|e| Error::new(ErrorKind::Corrupt, format!("tokenizer.json: {e}")))?;
        Ok(Self { tokenizer, family })
    }

    /// tokenizer.json.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn to_json(&self) -> Result<String> {
        self.tokenizer.to_string(false).map_err(failed)
    }

    /// Tokens of `text`, nothing added.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(text, false).map_err(failed)?.get_ids().to_vec())
    }

    /// Text of `tokens`, special ones left out.
    ///
    /// # Errors
    /// The tokenizer library's own.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.tokenizer.decode(tokens, true).map_err(failed)
    }

    /// The token that opens a text.
    pub fn begin(&self) -> u32 {
        if self.family == Family::Llama { 1 } else { 0 }
    }

    /// The token that ends one.
    pub fn end(&self) -> u32 {
        if self.family == Family::Llama { 2 } else { 0 }
    }

    /// Whether the tokenizer itself puts [`Vocabulary::begin`] first.
    pub fn adds_begin(&self) -> bool {
        self.family == Family::Llama
    }

    /// Tokens by id, and merges as "left right".
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the tokenizer is not a BPE.
    pub fn tables(&self) -> Result<(Vec<String>, Vec<String>)> {
        let json: serde_json::Value = serde_json::from_str(&self.to_json()?).map_err(failed)?;
        let mut tokens: BTreeMap<u64, String> = BTreeMap::new();
        for (token, id) in json["model"]["vocab"].as_object().into_iter().flatten() {
            tokens.insert(id.as_u64().unwrap_or(u64::MAX), token.clone());
        }
        let merge = |m: &serde_json::Value| {
            Some(match m {
                serde_json::Value::String(s) => s.clone(),
                _ => format!("{} {}", m[0].as_str()?, m[1].as_str()?),
            })
        };
        let merges = json["model"]["merges"].as_array().into_iter().flatten();
        let merges: Option<Vec<String>> = merges.map(merge).collect();
        if tokens.len() != self.family.vocab() || tokens.keys().copied().ne(0..tokens.len() as u64)
        {
            return Err(failed(format!("{} tokens are not as planned", tokens.len())));
        }
        Ok((tokens.into_values().collect(), merges.ok_or_else(|| failed("odd merges"))?))
    }

    /// SentencePiece's score of each token: earlier pieces score higher.
    pub fn scores(&self) -> Vec<f32> {
        (0..self.family.vocab()).map(|id| -(id.saturating_sub(FIRST_PIECE) as f32)).collect()
    }

    /// GGUF's type of each token: 1 normal, 2 unknown, 3 control, 6 byte.
    pub fn types(&self) -> Vec<i32> {
        let of = |id| match (self.family, id) {
            (Family::Llama, 0) => 2,
            (Family::Llama, 1 | 2) => 3,
            (Family::Llama, 3..FIRST_PIECE) => 6,
            (Family::Llama, _) => 1,
            (_, 0) => 3,
            _ => 1,
        };
        (0..self.family.vocab()).map(of).collect()
    }
}

fn byte_level(
    vocab: usize,
    texts: &[&str],
    pattern: Option<&str>,
) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(BPE::default());
    let bytes = ByteLevel::new(false, false, pattern.is_none());
    tokenizer.with_pre_tokenizer(Some(match pattern {
        None => PreTokenizerWrapper::ByteLevel(bytes),
        Some(pattern) => PreTokenizerWrapper::Sequence(Sequence::new(vec![
            Split::new(
                SplitPattern::Regex(pattern.to_owned()),
                SplitDelimiterBehavior::Isolated,
                false,
            )?
            .into(),
            bytes.into(),
        ])),
    }));
    tokenizer
        .with_decoder(Some(DecoderWrapper::ByteLevel(ByteLevelDecoder::new(false, false, true))));
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(END, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts.iter())?;
    Ok(tokenizer)
}

fn pieces(vocab: usize, texts: &[&str]) -> tokenizers::Result<Tokenizer> {
    // Trained on words with their space, no newline within; the tokenizer made
    // of the result merges by itself where words end.
    let mut trained = Tokenizer::new(BPE::default());
    let lines =
        Split::new(SplitPattern::String("\n".into()), SplitDelimiterBehavior::Removed, false)?;
    let words = Metaspace::new('▁', PrependScheme::Always, true);
    trained.with_pre_tokenizer(Some(Sequence::new(vec![lines.into(), words.into()])));
    // Characters of less than one in twenty thousand are left to the bytes.
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for c in texts.iter().flat_map(|t| t.chars()) {
        *counts.entry(c).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    counts.retain(|c, n| *n * 20_000 > total && !c.is_whitespace());
    let known: HashSet<char> = counts.into_keys().collect();
    let texts: Vec<String> = texts
        .iter()
        .map(|t| t.chars().map(|c| if known.contains(&c) || c == '\n' { c } else { ' ' }).collect())
        .collect();
    let mut specials = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    specials.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab)
        .show_progress(false)
        .special_tokens(specials.iter().map(|s| AddedToken::from(s.clone(), true)).collect())
        .build();
    trained.train(&mut TrainerWrapper::from(trainer), texts.iter())?;

    let tokens = trained.get_vocab(true);
    let mut by_id: Vec<(&String, u32)> = tokens.iter().map(|(t, id)| (t, *id)).collect();
    by_id.sort_by_key(|(_, id)| *id);
    let piece = |s: &str| tokens.get(s).copied().filter(|id| *id as usize >= FIRST_PIECE);
    // As SentencePiece merges: any two neighbours that form a piece, best score first.
    let mut merges = vec![];
    for (token, _) in by_id.iter().filter(|(_, id)| *id as usize >= FIRST_PIECE) {
        let mut splits: Vec<_> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = token.split_at(at);
                Some((piece(left)?, piece(right)?, left.to_owned(), right.to_owned()))
            })
            .collect();
        splits.sort();
        merges.extend(splits.into_iter().map(|(_, _, left, right)| (left, right)));
    }
    let vocab = by_id.iter().map(|(t, id)| ((*t).clone(), *id)).collect::<Vec<_>>();
    let model = BPE::builder()
        .vocab_and_merges(vocab.into_iter().collect::<Vocab>(), merges)
        .unk_token("<unk>".into())
        .fuse_unk(true)
        .byte_fallback(true)
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.add_special_tokens(
        specials[..3].iter().map(|s| AddedToken::from(s.clone(), true)).collect::<Vec<_>>(),
    )?;
    tokenizer.with_normalizer(Some(NormalizerWrapper::Sequence(NormalizerSequence::new(vec![
        Prepend::new("▁".into()).into(),
        Replace::new(" ", "▁")?.into(),
    ]))))?;
    tokenizer.with_decoder(Some(DecoderWrapper::Sequence(DecoderSequence::new(vec![
        Replace::new("▁", " ")?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
        Strip::new(' ', 1, 0).into(),
    ]))));
    let template = TemplateProcessing::builder()
        .try_single("<s> $A")?
        .special_tokens(vec![("<s>", 1)])
        .build()?;
    tokenizer.with_post_processor(Some(PostProcessorWrapper::Template(template)));
    Ok(tokenizer)
}
