//! What a file is, told by its content alone.

use super::{gguf, safetensors};
use crate::error::{Error, ErrorKind, Result};
use crate::samples::fields;
use crate::source::{Source, read_vec};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// JSON files longer than this are taken for samples: configuration and
/// tokenizer files are not that long.
pub const MAX_JSON: u64 = 64 << 20;
const HEAD: u64 = 64 << 10;
const KEPT_KEYS: usize = 64;

/// The kinds of files that matter here.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A GGUF model.
    Gguf,
    /// safetensors weights.
    Safetensors,
    /// A Hugging Face model configuration.
    Config,
    /// A Hugging Face tokenizer.json.
    Tokenizer,
    /// The index of sharded weights.
    Index,
    /// A LoRA adapter's configuration.
    Adapter,
    /// A WordPiece vocabulary as plain text: an encoder's tokenizer where it
    /// has no tokenizer.json.
    Vocabulary,
    /// Part of many model folders, and not needed.
    Companion,
    /// Text samples.
    Samples,
    /// An object of names only: which candidate known fine-tunes come from.
    Labels,
    /// Perhaps text samples: JSON without a known response field, or plain text.
    Perhaps {
        /// Whether it is plain text rather than JSON.
        plain: bool,
    },
    /// Known or not, but nothing to use; the error says what it is.
    Foreign(Error),
}

/// Tells what `source` is.
///
/// # Errors
/// Where it cannot be read.
pub fn kind(source: &dyn Source) -> Result<Kind> {
    let len = source.len();
    let head = read_vec(source, 0, len.min(HEAD) as usize)?;
    let foreign = |e: Error| Ok(Kind::Foreign(e.in_file(source.name())));
    if head.is_empty() {
        return foreign(
            Error::new(ErrorKind::Truncated, "the file is empty").hint("copy or download it again"),
        );
    }
    if head.starts_with(&gguf::MAGIC) {
        return Ok(Kind::Gguf);
    }
    if let Some(error) = not_supported(&head) {
        return foreign(error);
    }
    if safetensors::looks_like(&head, len) {
        return Ok(Kind::Safetensors);
    }
    if head.starts_with(b"[PAD]\n") || head.starts_with(b"[PAD]\r\n") {
        return Ok(Kind::Vocabulary);
    }
    if companion(&head) {
        return Ok(Kind::Companion);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{' | b'[') if len <= MAX_JSON => json(source, head.len() == len as usize, text),
        Some(b'{' | b'[') => Ok(Kind::Samples),
        _ if is_text(&head) => Ok(Kind::Perhaps { plain: true }),
        _ => foreign(
            Error::new(ErrorKind::Unrecognised, "this is neither a model nor text samples").hint(
                "basetrace reads GGUF files, Hugging Face folders with safetensors, and text samples",
            ),
        ),
    }
}

fn json(source: &dyn Source, whole: bool, text: &[u8]) -> Result<Kind> {
    let all;
    let bytes = if whole {
        text
    } else {
        all = read_vec(source, 0, source.len() as usize)?;
        all.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&all)
    };
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Outline>();
    let Some(Ok(first)) = values.next() else { return Ok(Kind::Perhaps { plain: false }) };
    let rest = &bytes[values.byte_offset()..];
    let single = rest.iter().all(u8::is_ascii_whitespace);
    Ok(match &first {
        Outline::Object(pairs) if single => object(&first, pairs),
        _ if first.is_samples() => Kind::Samples,
        _ => Kind::Perhaps { plain: false },
    })
}

fn object(outline: &Outline, pairs: &[(String, Outline)]) -> Kind {
    let get = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v);
    let is_object = |key: &str| matches!(get(key), Some(Outline::Object(_)));
    if is_object("weight_map") {
        Kind::Index
    } else if get("peft_type").is_some() {
        Kind::Adapter
    } else if is_object("model")
        && ["added_tokens", "pre_tokenizer", "normalizer", "decoder", "post_processor"]
            .iter()
            .any(|k| get(k).is_some())
    {
        Kind::Tokenizer
    } else if get("architectures").is_some()
        || get("model_type").is_some() && SIZES.iter().any(|k| get(k).is_some())
    {
        Kind::Config
    } else if outline.is_samples() {
        Kind::Samples
    } else if is_labels(pairs) {
        Kind::Labels
    } else {
        Kind::Perhaps { plain: false }
    }
}

/// Whether an object pairs names with names, and neither tokens by their role
/// (special_tokens_map.json) nor a single prompt's fields.
fn is_labels(pairs: &[(String, Outline)]) -> bool {
    let names = pairs.iter().all(|(_, v)| matches!(v, Outline::Text));
    let tokens = pairs.iter().all(|(k, _)| k.ends_with("_token"));
    names && !tokens && !pairs.iter().any(|(k, _)| fields::is_prompt(k))
}

/// One of these beside its type tells a model's configuration from a
/// toolkit's, which may name a type too.
const SIZES: &[&str] =
    &["vocab_size", "hidden_size", "n_embd", "d_model", "num_hidden_layers", "n_layer"];

/// The first levels of a JSON value: enough to tell what it is, without
/// keeping what it holds.
enum Outline {
    Object(Vec<(String, Outline)>),
    List(Option<Box<Outline>>),
    Text,
    Other,
}

impl Outline {
    fn is_samples(&self) -> bool {
        match self {
            Outline::List(Some(first)) => match first.as_ref() {
                Outline::Text => true,
                Outline::Object(pairs) => has_response(pairs),
                _ => false,
            },
            Outline::Object(pairs) => {
                has_response(pairs)
                    || pairs.iter().any(|(_, v)| match v {
                        Outline::List(Some(first)) => {
                            matches!(first.as_ref(), Outline::Object(p) if has_response(p))
                        }
                        _ => false,
                    })
            }
            _ => false,
        }
    }
}

fn has_response(pairs: &[(String, Outline)]) -> bool {
    pairs.iter().any(|(k, v)| match v {
        // A vocabulary has entries such as "text" too, but they are numbers.
        Outline::Text => fields::is_response(k),
        Outline::List(_) => fields::is_response(k) || fields::is_conversation(k),
        _ => false,
    })
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct See;
        impl<'de> Visitor<'de> for See {
            type Value = Outline;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if pairs.len() < KEPT_KEYS {
                        pairs.push((key, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Outline::Object(pairs))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Outline, A::Error> {
                let first = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Outline::List(first.map(Box::new)))
            }
            fn visit_str<E>(self, _: &str) -> Result<Outline, E> {
                Ok(Outline::Text)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Outline, E> {
                Ok(Outline::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Outline, E> {
                Ok(Outline::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Outline, E> {
                Ok(Outline::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Outline, E> {
                Ok(Outline::Other)
            }
            fn visit_unit<E>(self) -> Result<Outline, E> {
                Ok(Outline::Other)
            }
        }
        d.deserialize_any(See)
    }
}

const CONVERT: &str = "convert it to safetensors or GGUF, or take the safetensors file that most model pages offer beside it";
const UNPACK: &str = "unpack it and add the files inside";
const AS_TEXT: &str = "save its text as plain text, CSV or JSONL";

/// Formats that people do drop, by the bytes that they start with.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (b"FUGG", "this is a big-endian GGUF file", "use the little-endian file"),
    (b"lmgg", "this is an old GGML model", "use a GGUF file of the model"),
    (b"tjgg", "this is an old GGJT model", "use a GGUF file of the model"),
    (b"fmgg", "this is an old GGMF model", "use a GGUF file of the model"),
    (b"\x80\x02", "these are PyTorch weights", CONVERT),
    (b"\x80\x03", "these are PyTorch weights", CONVERT),
    (b"\x80\x04", "these are PyTorch weights", CONVERT),
    (b"\x89HDF\r\n\x1a\n", "these are Keras or HDF5 weights", CONVERT),
    (b"\x1f\x8b", "this is a gzip archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "this is a 7z archive", UNPACK),
    (b"\xfd7zXZ\0", "this is an xz archive", UNPACK),
    (b"BZh", "this is a bzip2 archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "this is a zstd archive", UNPACK),
    (b"Rar!\x1a\x07", "this is a RAR archive", UNPACK),
    (b"%PDF-", "this is a PDF document", AS_TEXT),
    (b"\x89PNG\r\n\x1a\n", "this is an image", AS_TEXT),
    (b"\xff\xd8\xff", "this is an image", AS_TEXT),
    (b"GIF8", "this is an image", AS_TEXT),
    (b"PAR1", "this is a Parquet file", "save its rows as CSV or JSONL"),
    (
        b"version https://git-lfs",
        "this is a Git LFS pointer, not the file itself",
        "fetch the file with `git lfs pull`, or download it from the model's page",
    ),
];

fn not_supported(head: &[u8]) -> Option<Error> {
    let unsupported = |what: &str, hint: &str| {
        Some(
            Error::new(ErrorKind::Unsupported, format!("{what}, which is not supported"))
                .hint(hint),
        )
    };
    for (magic, what, hint) in FOREIGN {
        if head.starts_with(magic) {
            return unsupported(what, hint);
        }
    }
    if head.starts_with(b"PK\x03\x04") {
        let has = |name: &[u8]| head.windows(name.len()).any(|w| w == name);
        return if has(b"data.pkl") || has(b"/version") {
            unsupported("these are PyTorch weights", CONVERT)
        } else if has(b"word/") || has(b"xl/") || has(b"ppt/") {
            unsupported("this is an Office document", AS_TEXT)
        } else if has(b".npy") {
            unsupported("these are NumPy arrays", CONVERT)
        } else {
            unsupported("this is a zip archive", UNPACK)
        };
    }
    // An ONNX model is a protobuf whose first field is the small IR version,
    // followed by the producer's name.
    if let [0x08, 1..=20, 0x12 | 0x1a, ..] = head {
        return unsupported("this is an ONNX model", CONVERT);
    }
    // A SentencePiece model is a protobuf of pieces; the first is <unk> or <pad>.
    let piece = |p: &[u8]| head.get(4..4 + p.len()) == Some(p);
    if head.starts_with(b"\n") && (piece(b"<unk>") || piece(b"<pad>") || piece(b"<s>")) {
        return unsupported(
            "this is a SentencePiece tokenizer",
            "take the tokenizer.json of the model, or make one: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
        );
    }
    None
}

/// Files of model folders that are text, and neither needed nor samples.
fn companion(head: &[u8]) -> bool {
    let trimmed = head.trim_ascii_start();
    head.starts_with(b"\0\0\0\x01Bud1") // a Mac folder's settings
        || head.starts_with(b"#version: ") // merges.txt
        || head.starts_with(b"---\n") // a model card
        || trimmed.starts_with(b"Apache License")
        || trimmed.starts_with(b"MIT License")
        || head.split(|b| *b == b'\n').take(3).any(|l| l.windows(10).any(|w| w == b"filter=lfs"))
}

/// Whether bytes are text: UTF-16 with its mark, or hardly any control characters.
fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let odd = head.iter().filter(|b| matches!(b, 0..=8 | 14..=26 | 28..=31 | 127)).count();
    !head.contains(&0) && odd * 20 <= head.len()
}
