//! The tokenizers against the reference libraries (tests/fixtures/tokenizer_fixtures.py
//! writes what those give), and against themselves.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise"
)]

use basetrace::ErrorKind;
use basetrace::formats::{Archive, gather};
use basetrace::source::{FileSource, SharedSource};
use basetrace::tokenizer::{GgufVocab, Pair, Tokenizer};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::rc::Rc;

fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn parsed(name: &str) -> Value {
    serde_json::from_slice(&data(name)).unwrap()
}

/// GGUF values, owned.
#[derive(Clone, serde::Deserialize)]
struct Vocab {
    model: String,
    pre: Option<String>,
    tokens: Vec<String>,
    types: Option<Vec<i64>>,
    scores: Option<Vec<f32>>,
    merges: Option<Vec<String>>,
    bos: Option<u64>,
    eos: Option<u64>,
    unknown: Option<u64>,
    add_bos: Option<bool>,
    add_space_prefix: Option<bool>,
}

impl Vocab {
    fn read(name: &str) -> Self {
        serde_json::from_slice(&data(name)).unwrap()
    }
    fn view(&self) -> GgufVocab<'_> {
        GgufVocab {
            model: &self.model,
            pre: self.pre.as_deref(),
            tokens: &self.tokens,
            scores: self.scores.as_deref(),
            types: self.types.as_deref(),
            merges: self.merges.as_deref(),
            bos: self.bos,
            eos: self.eos,
            unknown: self.unknown,
            ends: [None, None],
            add_bos: self.add_bos,
            add_space_prefix: self.add_space_prefix,
        }
    }
    fn open(&self) -> Tokenizer {
        Tokenizer::from_gguf(&self.view()).unwrap()
    }
}

fn from_json(name: &str) -> Tokenizer {
    Tokenizer::from_json(&data(name), &json!({"bos_token_id": 1, "eos_token_id": 2})).unwrap()
}

/// All small tokenizers by name.
fn small() -> Vec<(&'static str, Tokenizer)> {
    vec![
        ("byte_level.json", from_json("byte_level.json")),
        ("llama.json", from_json("llama.json")),
        ("byte_level.gguf", Vocab::read("byte_level.gguf.json").open()),
        ("sp_prefix.gguf", Vocab::read("sp_prefix.gguf.json").open()),
        ("sp_plain.gguf", Vocab::read("sp_plain.gguf.json").open()),
    ]
}

/// Response alone (an empty prompt), as the reference encodes a whole text.
fn whole(t: &Tokenizer, text: &str) -> Vec<u32> {
    let p = t.pair("", text).unwrap();
    p.tokens[p.start..].to_vec()
}

fn compare(t: &Tokenizer, name: &str) {
    let expected = parsed(name);
    let rows = expected["plain"].as_array().unwrap();
    assert!(rows.len() >= 20);
    for row in rows {
        let (text, ids): (String, Vec<u32>) = serde_json::from_value(row.clone()).unwrap();
        assert_eq!(whole(t, &text), ids, "{name}: {text:?}");
        covered(&t.pair("", &text).unwrap(), &text);
    }
}

fn covered(pair: &Pair, response: &str) {
    assert_eq!(pair.spans.len(), pair.tokens.len() - pair.start);
    assert!(pair.start >= 1);
    let mut at = 0;
    for &(from, to) in &pair.spans {
        assert_eq!(from, at, "{response:?} {:?}", pair.spans);
        assert!(to >= from);
        at = to;
    }
    assert_eq!(at, response.len(), "{response:?}");
}

#[test]
fn small_tokenizers_equal_their_references() {
    for (name, t) in small() {
        let stem = name.split('.').next().unwrap();
        compare(&t, &format!("{stem}.expected.json"));
    }
}

#[test]
fn named_pre_tokenizers_equal_the_librarys_classes() {
    let vocab = Vocab::read("byte_level.gguf.json");
    let expected = parsed("byte_level.expected.json");
    let pres = expected["pre"].as_object().unwrap();
    assert!(pres.len() >= 6);
    for (name, rows) in pres {
        let t = Vocab { pre: Some(name.clone()), ..vocab.clone() }.open();
        for (row, ids) in expected["plain"].as_array().unwrap().iter().zip(rows.as_array().unwrap())
        {
            let text = row[0].as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
            assert_eq!(whole(&t, text), ids, "{name}: {text:?}");
        }
    }
}

#[test]
fn prompts_lead_with_bos_and_never_end() {
    for (name, t) in small() {
        let bos = t.prompt("").unwrap();
        assert_eq!(bos, [1], "{name}");
        let p = t.prompt("the cat").unwrap();
        assert!(p.len() > 1 && p[0] == 1 && !t.is_end(*p.last().unwrap()), "{name}: {p:?}");
        assert!(t.is_end(2), "{name}");
        assert!(!t.is_end(1), "{name}");
    }
    // Without a beginning token the empty prompt still yields one token.
    let t = Vocab { add_bos: Some(false), ..Vocab::read("byte_level.gguf.json") }.open();
    assert_eq!(t.prompt("").unwrap(), [1]);
    assert_ne!(t.prompt("the").unwrap()[0], 1);
    let none = Vocab { bos: None, eos: None, ..Vocab::read("byte_level.gguf.json") }.open();
    assert_eq!(none.prompt("").unwrap(), [0], "<|endoftext|> stands for an empty prompt");
}

#[test]
fn responses_continue_without_a_dummy_space() {
    for (name, t) in small() {
        for (prompt, response) in
            [("the", "cat"), ("the ", "cat sat"), ("a\n", "🙂 x"), ("q", " a")]
        {
            let pair = t.pair(prompt, response).unwrap();
            covered(&pair, response);
            assert_eq!(&pair.tokens[..pair.start], t.prompt(prompt).unwrap(), "{name}");
            let back = t.continuation(&pair.tokens[pair.start..]).unwrap();
            assert_eq!(back, response, "{name}");
        }
        let two = t.pair_variants("the", "cat").unwrap();
        assert_eq!(two.len(), 2, "{name}");
        assert_eq!(t.continuation(&two[1].tokens[two[1].start..]).unwrap(), " cat", "{name}");
        covered(&two[1], "cat");
        assert_eq!(t.pair_variants("the ", "cat").unwrap().len(), 1, "{name}");
        assert_eq!(t.pair_variants("the", " cat").unwrap().len(), 1, "{name}");
        assert_eq!(t.pair_variants("the", "").unwrap().len(), 1, "{name}");
    }
}

#[test]
fn markup_in_a_response_is_text_and_in_a_prompt_markup() {
    for (name, t) in small() {
        let end = if name.starts_with("byte") { "<|im_end|>" } else { "</s>" };
        let pair = t.pair("the", &format!("x{end}y")).unwrap();
        assert!(!pair.tokens[pair.start..].contains(&2), "{name}");
        assert_eq!(t.continuation(&pair.tokens[pair.start..]).unwrap(), format!("x{end}y"));
        assert!(t.prompt(&format!("x{end}y")).unwrap().contains(&2), "{name}");
        assert_eq!(t.continuation(&[2]).unwrap(), "", "{name}");
    }
}

#[test]
fn split_characters_have_exact_spans() {
    for (name, t) in small() {
        let pair = t.pair("the", "ñ𒀀").unwrap();
        covered(&pair, "ñ𒀀");
        let pieces = &pair.tokens[pair.start..];
        assert_eq!(pair.spans.len(), 6, "{name}: one token a byte");
        assert!(pair.spans.iter().all(|s| s.1 - s.0 == 1), "{name}: {:?}", pair.spans);
        assert_eq!(t.continuation(&pieces[..4]).unwrap(), "ñ", "{name}: the cut one is dropped");
        assert_eq!(t.continuation(&pieces[1..2]).unwrap(), "\u{fffd}", "{name}");
    }
}

#[test]
fn random_tokens_round_trip() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    for (name, t) in small() {
        let (mut same, mut all) = (0, 0);
        for _ in 0..300 {
            let n = rng.random_range(1..30);
            let tokens: Vec<u32> = (0..n).map(|_| rng.random_range(0..t.vocab() as u32)).collect();
            let text = t.continuation(&tokens).unwrap();
            let pair = t.pair("the cat", &text).unwrap();
            covered(&pair, &text);
            all += 1;
            same += usize::from(t.continuation(&pair.tokens[pair.start..]).unwrap() == text);
        }
        // A literal U+FFFD aside, text survives exactly.
        assert_eq!(same, all, "{name}");
    }
}

#[test]
fn a_tokenizer_larger_than_its_model_is_named() {
    let t = from_json("byte_level.json");
    assert!(t.check_fits(t.vocab()).is_ok());
    assert!(t.check_fits(t.vocab() + 64).is_ok());
    let e = t.check_fits(t.vocab() - 1).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Mismatch);
    assert!(e.hint_text().is_some());
}

#[test]
fn malformed_gguf_vocabularies_are_refused() {
    let good = Vocab::read("byte_level.gguf.json");
    let sp = Vocab::read("sp_prefix.gguf.json");
    let nan = sp.scores.clone().map(|mut s| {
        s[5] = f32::NAN;
        s
    });
    let cases: Vec<(Vocab, ErrorKind, &str)> = vec![
        (Vocab { tokens: vec![], ..good.clone() }, ErrorKind::Corrupt, "has no tokens"),
        (Vocab { merges: None, ..good.clone() }, ErrorKind::Corrupt, "no merges"),
        (
            Vocab { merges: Some(vec!["zz qq".into()]), ..good.clone() },
            ErrorKind::Corrupt,
            "the merge \"zz qq\" names an unknown token",
        ),
        (
            Vocab { merges: Some(vec!["a".into()]), ..good.clone() },
            ErrorKind::Corrupt,
            "merge \"a\"",
        ),
        (Vocab { merges: Some(vec!["".into()]), ..good.clone() }, ErrorKind::Corrupt, "merge \"\""),
        (Vocab { types: Some(vec![1]), ..good.clone() }, ErrorKind::Corrupt, "token_type has 1"),
        (Vocab { bos: Some(1 << 40), ..good.clone() }, ErrorKind::Corrupt, "the bos token's id"),
        (
            Vocab { pre: Some("quux".into()), ..good.clone() },
            ErrorKind::Unsupported,
            "the pre-tokenizer \"quux\"",
        ),
        (Vocab { model: "bert".into(), ..good.clone() }, ErrorKind::Unsupported, "model \"bert\""),
        (
            Vocab { tokens: vec!["a".into(); 1_000_001], types: None, ..good.clone() },
            ErrorKind::TooLarge,
            "1000001 tokens",
        ),
        (Vocab { scores: None, ..sp.clone() }, ErrorKind::Corrupt, "no scores"),
        (Vocab { scores: nan, ..sp.clone() }, ErrorKind::Corrupt, "not a number"),
    ];
    for (vocab, kind, what) in cases {
        let e = Tokenizer::from_gguf(&vocab.view()).err().expect(what);
        assert_eq!(e.kind(), kind, "{e}");
        assert!(e.what().contains(what), "{e} / {what}");
        assert!(e.hint_text().is_some(), "{e}");
    }
    // Duplicates: the first keeps the text, the others still decode.
    let mut twice = good.clone();
    twice.tokens.push(twice.tokens[100].clone());
    twice.types.as_mut().unwrap().push(1);
    let (t, n) = (twice.open(), twice.tokens.len() as u32);
    assert_eq!(t.continuation(&[n - 1]).unwrap(), t.continuation(&[100]).unwrap());
}

#[test]
fn malformed_tokenizer_json_is_refused() {
    let good = parsed("byte_level.json");
    let edit = |path: &str, value: Value| {
        let mut v = good.clone();
        *v.pointer_mut(path).unwrap() = value;
        serde_json::to_vec(&v).unwrap()
    };
    let long = "x".repeat(500);
    let mut dropped = good.clone();
    dropped["model"].as_object_mut().unwrap().remove("vocab");
    let cases: Vec<(Vec<u8>, ErrorKind)> = vec![
        (b"".to_vec(), ErrorKind::Corrupt),
        (b"[]".to_vec(), ErrorKind::Corrupt),
        (b"{\"model\":".to_vec(), ErrorKind::Corrupt),
        (b"\xff\xfe".to_vec(), ErrorKind::Corrupt),
        (serde_json::to_vec(&dropped).unwrap(), ErrorKind::Corrupt),
        (edit("/model/merges", json!([[long, long]])), ErrorKind::Corrupt),
        (edit("/model/merges", json!([["zz", "qq"]])), ErrorKind::Corrupt),
        (edit("/model/merges", json!(["nospace"])), ErrorKind::Corrupt),
        (edit("/model/vocab", json!({})), ErrorKind::Corrupt),
        (edit("/model/vocab", json!({"a": 4_000_000_000u64})), ErrorKind::TooLarge),
        (edit("/model/vocab", json!({"a": -1})), ErrorKind::Corrupt),
        (edit("/model/continuing_subword_prefix", json!("long prefix")), ErrorKind::Corrupt),
        (edit("/model/dropout", json!(0.5)), ErrorKind::Unsupported),
        (edit("/model/type", json!("WordPiece")), ErrorKind::Unsupported),
        (edit("/normalizer", json!({"type": "Precompiled"})), ErrorKind::Unsupported),
        (
            edit("/pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
            ErrorKind::Unsupported,
        ),
    ];
    for (text, kind) in cases {
        let shown = String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned();
        let e = Tokenizer::from_json(&text, &json!({})).err().expect(&shown);
        assert_eq!(e.kind(), kind, "{e} {shown}");
        assert!(e.hint_text().is_some(), "{e}");
    }
}

/// A fetched model's files, or a line that says they are not there.
fn fetched(name: &str) -> Option<Tokenizer> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/models").join(name);
    if !path.exists() {
        println!("skipped: {} is not there (../shared/models/fetch target/models)", path.display());
        return None;
    }
    if path.is_dir() {
        let read = |f: &str| std::fs::read(path.join(f)).unwrap();
        let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
        return Some(Tokenizer::from_json(&read("tokenizer.json"), &config).unwrap());
    }
    let source: SharedSource = Rc::new(FileSource::open(&path, name).unwrap());
    let gathered = gather(&[source]);
    let archive = Archive::open(&gathered.candidates[0]).unwrap();
    let began = std::time::Instant::now();
    let t = Tokenizer::open(&archive).unwrap();
    println!("{name}: {} tokens, built in {:?}", t.vocab(), began.elapsed());
    Some(t)
}

#[test]
fn smollm2_equals_its_reference() {
    let Some(t) = fetched("smollm2-135m-instruct.Q4_1.gguf") else { return };
    assert_eq!(t.vocab(), 49152);
    assert!(t.is_end(0) && t.is_end(2) && !t.is_end(1));
    compare(&t, "smollm2.expected.json");
}

#[test]
fn stories15m_equals_its_reference() {
    let Some(t) = fetched("stories15m") else { return };
    assert_eq!(t.vocab(), 32000);
    assert!(t.is_end(2));
    compare(&t, "stories15m.expected.json");
}

#[test]
fn gemma3_equals_sentencepiece() {
    let Some(t) = fetched("gemma-3-270m.Q4_K_M.gguf") else { return };
    assert_eq!(t.vocab(), 262_144);
    assert!(t.is_end(1) && t.is_end(106) && !t.is_end(212), "</s> is an HTML tag here");
    compare(&t, "gemma3.expected.json");
}
