//! Malformed models.

use crate::build::*;
use basetrace::formats::gguf::Value;
use basetrace::formats::{Archive, CandidateFiles, Metadata, gather};
use basetrace::source::{SharedSource, Source};
use basetrace::{Error, ErrorKind, Result};
use std::rc::Rc;

const DAMAGED: &str =
    "(hint: the file is damaged: copy or download it again, and compare its checksum)";
const CUT: &str = "(hint: the file was cut short: copy or download it again)";
const UNREAL: &str =
    "(hint: no real model is like this: the file is damaged, so download it again)";
const CONVERT: &str = "(hint: convert it to safetensors or GGUF, or take the safetensors file that most model pages offer beside it)";
const PART: &str = "(hint: add it from the same model folder or page)";
const TOGETHER: &str = "(hint: index and shards are not of one model: download them together)";
const OTHER_QUANT: &str =
    "(hint: use another quantization of the model, such as Q4_K_M, Q8_0 or F16)";

/// The bad files, and the one message they must lead to.
struct Case(Vec<SharedSource>, String);

fn bad(bytes: impl Into<Vec<u8>>, message: &str, hint: &str) -> Case {
    Case(vec![file("bad.bin", bytes)], format!("bad.bin: {message} {hint}"))
}

fn with_count(at: usize, n: u64) -> Vec<u8> {
    let mut b = good_gguf();
    b[at..at + 8].copy_from_slice(&n.to_le_bytes());
    b
}

fn with_version(v: u32) -> Vec<u8> {
    let mut b = good_gguf();
    b[4..8].copy_from_slice(&v.to_le_bytes());
    b
}

fn one_pair(kind: u32, value: &[u8]) -> Vec<u8> {
    gguf(3, &[pair(b"k", kind, value)], &[], 64)
}

fn one_tensor(dims: &[u64], dtype: u32, offset: u64) -> Vec<u8> {
    gguf(3, &[], &[tensor("t", dims, dtype, offset)], 64)
}

fn list_head(kind: u32, n: u64) -> Vec<u8> {
    [kind.to_le_bytes().as_slice(), &n.to_le_bytes()].concat()
}

fn ggufs() -> Vec<Case> {
    let good = good_gguf();
    let huge = (1u64 << 60).to_le_bytes();
    let lists: Vec<u8> = (0..6).flat_map(|_| list_head(9, 1)).chain([0; 64]).collect();
    vec![
        bad(
            good[..good.len() - 1].to_vec(),
            &format!("tensor \"b\" lies beyond the end of the file ({} bytes)", good.len() - 1),
            CUT,
        ),
        bad(good[..6].to_vec(), "the file has 6 bytes, but 4 more are needed at byte 4", CUT),
        bad(
            good[..100].to_vec(),
            "the header claims 18 metadata pairs, more than the file has room for",
            CUT,
        ),
        bad(
            with_count(8, 1 << 60),
            "the header claims 1152921504606846976 tensors; at most 131072 are accepted",
            UNREAL,
        ),
        bad(
            with_count(8, 1000),
            "the header claims 1000 tensors, more than the file has room for",
            CUT,
        ),
        bad(
            with_count(16, u64::MAX),
            "the header claims 18446744073709551615 metadata pairs; at most 65536 are accepted",
            UNREAL,
        ),
        bad(
            with_version(1),
            "GGUF version 1 is not supported",
            "(hint: convert the model again with a current llama.cpp; versions 2 and 3 are read)",
        ),
        bad(
            with_version(0x0300_0000),
            "GGUF version 3 in big-endian byte order is not supported",
            "(hint: use the little-endian file, or convert with gguf_convert_endian.py)",
        ),
        bad(with_version(9), "GGUF version 9 is not known", "(hint: versions 2 and 3 are read)"),
        bad(
            [b"GGUX", &good[4..]].concat(),
            "this is neither a model nor text samples",
            "(hint: basetrace reads GGUF files, Hugging Face folders with safetensors, and text samples)",
        ),
        bad(
            one_pair(8, &huge),
            "\"k\" claims 1152921504606846976 bytes; at most 67108864 are accepted",
            UNREAL,
        ),
        bad(
            one_pair(8, &1000u64.to_le_bytes()),
            "the file has 128 bytes, but 1000 more are needed at byte 45",
            CUT,
        ),
        bad(
            one_pair(9, &list_head(4, 1 << 60)),
            "\"k\" claims 1152921504606846976 elements; at most 4194304 are accepted",
            UNREAL,
        ),
        bad(one_pair(9, &list_head(99, 1)), "\"k\" lists the unknown value type 99", DAMAGED),
        bad(one_pair(9, &lists), "\"k\" is a list nested too deeply", DAMAGED),
        bad(one_pair(99, &[]), "\"k\" has the unknown value type 99", DAMAGED),
        bad(one_pair(7, &[7]), "\"k\" should be true or false, but is 7", DAMAGED),
        bad(
            one_pair(9, &[&list_head(10, 1)[..], &[0xff; 8]].concat()),
            "\"k\" lists 18446744073709551615, beyond 64-bit signed integers",
            DAMAGED,
        ),
        bad(
            gguf(3, &[pair(b"k\xff", 0, &[1])], &[], 0),
            "the key of metadata pair 1 is not UTF-8",
            DAMAGED,
        ),
        bad(
            gguf(3, &[pair(b"k", 0, &[1]), pair(b"k", 0, &[2])], &[], 0),
            "metadata key \"k\" appears twice",
            DAMAGED,
        ),
        bad(
            gguf(3, &[pair(b"general.alignment", 4, &0u32.to_le_bytes())], &[], 0),
            "general.alignment is no power of two up to 1048576",
            DAMAGED,
        ),
        bad(
            gguf(3, &[pair(b"general.alignment", 8, &text(b"x"))], &[], 0),
            "general.alignment is no power of two up to 1048576",
            DAMAGED,
        ),
        bad(
            gguf(3, &[pair(b"split.count", 2, &[3, 0])], &[tensor("t", &[1], 0, 0)], 4),
            "this is one of 3 parts of a split GGUF model, which is not supported",
            "(hint: join the parts with `llama-gguf-split --merge`)",
        ),
        bad(
            gguf(3, &[pair(b"general.type", 8, &text(b"adapter"))], &[tensor("t", &[1], 0, 0)], 4),
            "this GGUF file holds no model, but \"adapter\"",
            "(hint: add the model itself; an adapter must be merged into its base first)",
        ),
        bad(
            gguf(2, &[], &[], 0),
            "the file holds no tensors",
            "(hint: this may be a vocabulary alone: add the whole model)",
        ),
        bad(
            one_tensor(&[1; 5], 0, 0),
            "tensor \"t\" claims 5 dimensions; at most 4 exist",
            DAMAGED,
        ),
        bad(one_tensor(&[0], 0, 0), "tensor \"t\" has an impossible shape", DAMAGED),
        bad(one_tensor(&[1 << 40, 1 << 40], 0, 0), "tensor \"t\" has an impossible shape", DAMAGED),
        bad(one_tensor(&[u64::MAX / 2], 0, 0), "tensor \"t\" has an impossible shape", DAMAGED),
        bad(
            one_tensor(&[1 << 40], 0, 0),
            "tensor \"t\" lies beyond the end of the file (128 bytes)",
            CUT,
        ),
        bad(
            one_tensor(&[4], 0, u64::MAX - 31),
            "tensor \"t\" lies beyond the end of the file (128 bytes)",
            CUT,
        ),
        bad(
            one_tensor(&[4], 0, 4),
            "tensor \"t\" starts at byte 4, no multiple of the alignment 32",
            DAMAGED,
        ),
        bad(
            one_tensor(&[33], 8, 0),
            "tensor \"t\" has rows of 33 elements, no multiple of the 32 that Q8_0 stores together",
            DAMAGED,
        ),
        bad(
            one_tensor(&[256], 23, 0),
            "tensor \"t\" is stored as IQ4_XS, which is not supported",
            OTHER_QUANT,
        ),
        bad(
            one_tensor(&[256], 77, 0),
            "tensor \"t\" is stored as type 77, which is not supported",
            OTHER_QUANT,
        ),
        bad(
            gguf(3, &[], &[tensor("t", &[1], 0, 0), tensor("t", &[1], 0, 32)], 64),
            "tensor \"t\" is listed twice",
            DAMAGED,
        ),
        bad(
            gguf(3, &[], &[tensor("t", &[9], 0, 0), tensor("u", &[1], 0, 32)], 64),
            "tensors \"t\" and \"u\" overlap",
            DAMAGED,
        ),
    ]
}

fn weights(bytes: Vec<u8>, message: &str, hint: &str) -> Case {
    Case(folder("m", &[("w", bytes)]), format!("m/w: {message} {hint}"))
}

fn header(entries: &str, message: &str, hint: &str) -> Case {
    weights(safetensors(entries, 8), message, hint)
}

fn sharded(files: &[(&str, Vec<u8>)], message: &str) -> Case {
    Case(folder("m", files), message.to_owned())
}

fn folders() -> Vec<Case> {
    let one = r#""dtype":"F32","shape":[2],"data_offsets":"#;
    let s = |n: u32| format!("model-0000{n}-of-00002.safetensors");
    let (s1, s2) = (s(1), s(2));
    let (s1, s2) = (s1.as_str(), s2.as_str());
    let index =
        |a: &str, b: &str| format!(r#"{{"weight_map":{{"a":"{a}","b":"{b}"}}}}"#).into_bytes();
    let (a, b) = (good_safetensors("a"), good_safetensors("b"));
    let mut long = a.clone();
    long[..8].copy_from_slice(&200_000_000u64.to_le_bytes());
    let mut past = a.clone();
    past[..8].copy_from_slice(&5000u64.to_le_bytes());
    let config = file("m/config.json", CONFIG);
    let tokenizer = file("m/tokenizer.json", TOKENIZER);
    let model = file("m/model.safetensors", a.clone());
    vec![
        weights(long, "the header claims 200000000 bytes; at most 100000000 are accepted", "(hint: this is no safetensors file, or it is damaged: download it again)"),
        weights(past, "the file has 70 bytes, but 5000 more are needed at byte 8", CUT),
        header("{x}", "the header is not valid safetensors JSON: key must be a string at line 1 column 2", DAMAGED),
        header(r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, "the header is not valid safetensors JSON: invalid value: integer `-2`, expected u64 at line 1 column 31", DAMAGED),
        header(&format!("{{\"a\":{{{one}[0,80]}}}}"), "tensor \"a\" lies beyond the end of the file (71 bytes)", CUT),
        header(&format!("{{\"a\":{{{one}[8,0]}}}}"), "tensor \"a\" ends before it starts", DAMAGED),
        header(&format!("{{\"a\":{{{one}[0,4]}}}}"), "tensor \"a\" has 4 bytes, but its shape needs 8", DAMAGED),
        header(&format!("{{\"a\":{{{one}[0,8]}},\"b\":{{{one}[0,8]}}}}"), "tensors \"a\" and \"b\" overlap", DAMAGED),
        header(&format!("{{\"a\":{{{one}[0,8]}},\"a\":{{{one}[0,8]}}}}"), "tensor \"a\" is listed twice", DAMAGED),
        header(r#"{"a":{"dtype":"F32","shape":[9999999999,9999999999],"data_offsets":[0,8]}}"#, "tensor \"a\" has an impossible shape", DAMAGED),
        Case(folder("m", &[("w", safetensors(r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, 8))]), "the weights of m hold no tensors in F32, F16 or BF16 (hint: add the model's weights in one of these types)".into()),
        Case(vec![config.clone(), model.clone()], format!("m needs tokenizer.json {PART}")),
        Case(vec![tokenizer.clone(), model.clone()], format!("m needs config.json {PART}")),
        Case(vec![config.clone(), tokenizer.clone()], format!("m needs its weights (model.safetensors) {PART}")),
        Case(vec![model], format!("m needs config.json and tokenizer.json {PART}")),
        sharded(&[("i", index(s1, s2)), (s1, a.clone())], &format!("m needs {s2} {PART}")),
        sharded(&[(s2, b.clone())], &format!("m needs {s1} {PART}")),
        sharded(&[("i", index(s1, s2)), (s1, a.clone()), (s2, good_safetensors("c"))], &format!("m/i: tensor \"b\" is not in {s2} {TOGETHER}")),
        sharded(&[("i", index(s2, s1)), (s1, a.clone()), (s2, b.clone())], &format!("m/i: tensor \"a\" is not in {s2} {TOGETHER}")),
        sharded(&[("i", format!(r#"{{"weight_map":{{"a":"{s1}"}}}}"#).into_bytes()), (s1, safetensors(&format!("{{\"a\":{{{one}[0,8]}},\"z\":{{{one}[8,16]}}}}"), 16))], &format!("m/i: tensor \"z\" of {s1} is not listed {TOGETHER}")),
        sharded(&[(s1, a.clone()), (s2, a.clone())], &format!("m/{s2}: tensor \"a\" is also in m/{s1} (hint: the shards are not of one model: download them together)")),
        sharded(&[("i", br#"{"weight_map":{"a":7}}"#.to_vec()), (s1, a.clone())], "m/i: this is not a valid index of shards: invalid type: integer `7`, expected a string at line 1 column 20 (hint: download model.safetensors.index.json again)"),
        sharded(&[("v.safetensors", a.clone()), ("w.safetensors", b)], "m has several weight files and no index: m/v.safetensors and m/w.safetensors (hint: add model.safetensors.index.json, or keep one weight file per folder)"),
        sharded(&[("w", a.clone()), ("other.json", CONFIG.into())], "m has more than one config.json: m/config.json and m/other.json (hint: put each model into a folder of its own)"),
        Case(vec![file("l/adapter_config.json", r#"{"peft_type":"LORA"}"#), file("l/w", a)], "l is a LoRA adapter and no whole model (hint: merge it into its base model first, with peft's merge_and_unload)".into()),
    ]
}

fn foreign() -> Vec<Case> {
    vec![
        bad("", "the file is empty", "(hint: copy or download it again)"),
        bad(
            b"\x80\x02\x8a\x0a".to_vec(),
            "these are PyTorch weights, which is not supported",
            CONVERT,
        ),
        bad(
            b"PK\x03\x04....archive/data.pkl".to_vec(),
            "these are PyTorch weights, which is not supported",
            CONVERT,
        ),
        bad(
            b"PK\x03\x04....readme.txt".to_vec(),
            "this is a zip archive, which is not supported",
            "(hint: unpack it and add the files inside)",
        ),
        bad(
            b"\x1f\x8b\x08".to_vec(),
            "this is a gzip archive, which is not supported",
            "(hint: unpack it and add the files inside)",
        ),
        bad(
            b"\x08\x08\x12\x07pytorch".to_vec(),
            "this is an ONNX model, which is not supported",
            CONVERT,
        ),
        bad(
            b"tjgg\x03\0\0\0".to_vec(),
            "this is an old GGJT model, which is not supported",
            "(hint: use a GGUF file of the model)",
        ),
        bad(
            b"%PDF-1.7".to_vec(),
            "this is a PDF document, which is not supported",
            "(hint: save its text as plain text, CSV or JSONL)",
        ),
        bad(
            "version https://git-lfs.github.com/spec/v1\n",
            "this is a Git LFS pointer, not the file itself, which is not supported",
            "(hint: fetch the file with `git lfs pull`, or download it from the model's page)",
        ),
        bad(
            vec![0u8; 100],
            "this is neither a model nor text samples",
            "(hint: basetrace reads GGUF files, Hugging Face folders with safetensors, and text samples)",
        ),
    ]
}

#[test]
fn each_has_its_message_and_costs_no_other_file() {
    let cases: Vec<Case> = ggufs().into_iter().chain(folders()).chain(foreign()).collect();
    assert!(cases.len() > 60);
    for Case(mut files, message) in cases {
        files.insert(0, file("good.gguf", good_gguf()));
        files.push(file("s.jsonl", "{\"response\":\"x\"}"));
        files.extend(folder("fine", &[("w.safetensors", good_safetensors("a"))]));
        let g = gather(&files);
        let problems: Vec<String> = g.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [message]);
        let labels: Vec<&str> = g.candidates.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, ["good", "fine"]);
        assert_eq!(g.samples.len(), 1);
    }
}

#[test]
fn the_valid_file_is_read_as_written() {
    let files = CandidateFiles { label: "g".into(), files: vec![file("g", good_gguf())] };
    let archive = Archive::open(&files).unwrap();
    let Metadata::Gguf(meta) = &archive.metadata else { panic!("not GGUF") };
    assert_eq!(meta.str("general.architecture"), Some("llama"));
    for (key, value) in [("u8", 200), ("u16", 60000), ("u32", 4_000_000_000), ("i32", 7)] {
        assert_eq!(meta.uint(key), Some(value), "{key}");
    }
    assert_eq!(meta.uint("u64"), Some(u64::MAX));
    assert_eq!(meta.uint("i8"), None);
    assert_eq!(meta.values["i8"], Value::Int(-1));
    assert_eq!(meta.values["i16"], Value::Int(-2));
    assert_eq!(meta.values["i64"], Value::Int(i64::MIN));
    assert_eq!((meta.float("f32"), meta.float("f64")), (Some(0.5), Some(0.25)));
    assert_eq!(meta.flag("flag"), Some(true));
    assert_eq!(meta.strings("tokenizer.ggml.tokens").unwrap(), ["a", "b"]);
    assert_eq!(meta.floats("floats"), Some([1.5].as_slice()));
    assert_eq!(meta.ints("ints"), Some([-3].as_slice()));
    assert_eq!(meta.values["bools"], Value::Bools(vec![true, false]));
    assert_eq!(meta.values["nested"], Value::Nested);
    assert_eq!(meta.str("latin"), Some("caf\u{fffd}"));
    let a = archive.info("a").unwrap();
    assert_eq!((a.shape.as_slice(), a.bytes, a.offset % 32), ([2, 32].as_slice(), 68, 0));
    let b = archive.info("b").unwrap();
    assert_eq!((b.shape.as_slice(), b.bytes, b.offset - a.offset), ([3].as_slice(), 12, 96));
}

#[test]
fn tensors_of_other_types_are_named_when_asked_for() {
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"m":{"dtype":"BOOL","shape":[2],"data_offsets":[8,10]}}"#;
    let files = folder("m", &[("w", safetensors(header, 10))]);
    let archive = Archive::open(&CandidateFiles { label: "m".into(), files }).unwrap();
    assert_eq!(archive.info("a").unwrap().bytes, 8);
    assert_eq!(
        archive.info("m").unwrap_err().to_string(),
        "m/w: tensor \"m\" is stored as BOOL, which is not supported (hint: use a copy of the model in F32, F16 or BF16)"
    );
    assert_eq!(
        archive.info("z").unwrap_err().to_string(),
        "m: tensor \"z\" is not in the model (hint: the file is incomplete or of a variant that is not supported)"
    );
}

/// A file that is deleted once `reads` reads were made.
struct Deleted(SharedSource, std::cell::Cell<usize>);

impl Source for Deleted {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        match self.1.get() {
            0 => Err(Error::new(ErrorKind::Read, "cannot be read").in_file(self.name())),
            n => {
                self.1.set(n - 1);
                self.0.read_at(offset, buf)
            }
        }
    }
}

#[test]
fn a_deleted_file_is_named_and_costs_no_other() {
    for reads in 0..4 {
        let gone: SharedSource =
            Rc::new(Deleted(file("gone.gguf", good_gguf()), std::cell::Cell::new(reads)));
        let other = gguf(3, &[], &[tensor("t", &[1], 0, 0)], 4);
        let g = gather(&[gone.clone(), file("good.gguf", other)]);
        let problems: Vec<String> = g.problems.iter().map(ToString::to_string).collect();
        if let Some(candidate) = g.candidates.iter().find(|c| c.label == "gone") {
            let error = Archive::open(candidate).err().unwrap();
            assert_eq!(error.to_string(), "gone.gguf: cannot be read");
        } else {
            assert_eq!(problems, ["gone.gguf: cannot be read"]);
        }
        assert!(g.candidates.iter().any(|c| c.label == "good"));
    }
}

#[test]
fn duplicates_are_said_and_used_once() {
    let other = gguf(2, &[], &[tensor("t", &[1], 0, 0)], 4);
    let g = gather(&[
        file("a/m.gguf", good_gguf()),
        file("a/m.gguf", good_gguf()),
        file("b/m.gguf", other),
        file("c/copy.gguf", good_gguf()),
        file("s.txt", "x y"),
        file("t.txt", "x y"),
    ]);
    let labels: Vec<&str> = g.candidates.iter().map(|c| c.label.as_str()).collect();
    assert_eq!(labels, ["m", "m (2)"]);
    assert_eq!(g.samples.len(), 1);
    let problems: Vec<String> = g.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "a/m.gguf: this file was added twice and is used once (hint: remove one of the two)",
            "copy: this is the same as m and is used once (hint: remove one of the two)",
            "t.txt: this is the same as s.txt and is used once (hint: remove one of the two)",
        ]
    );
}

#[test]
fn model_folders_keep_their_documentation() {
    let mut files = folder(
        "m",
        &[
            ("model-00001-of-00002.safetensors", good_safetensors("a")),
            ("model-00002-of-00002.safetensors", good_safetensors("b")),
            ("generation_config.json", br#"{"bos_token_id": 1}"#.to_vec()),
            ("tokenizer_config.json", br#"{"bos_token": "<s>"}"#.to_vec()),
            ("vocab.json", br#"{"a": 0, "text": 1}"#.to_vec()),
            ("merges.txt", b"#version: 0.2\na b\n".to_vec()),
            ("README.md", b"# A model".to_vec()),
            ("pytorch_model.bin", b"PK\x03\x04....archive/data.pkl".to_vec()),
            ("onnx/model.onnx", b"\x08\x08\x12\x07pytorch".to_vec()),
        ],
    );
    files.push(file("m/my samples.jsonl", "{\"response\":\"x\"}"));
    let g = gather(&files);
    assert_eq!(g.problems, []);
    assert_eq!(g.candidates.len(), 1);
    assert_eq!(Archive::open(&g.candidates[0]).unwrap().tensors.len(), 2);
    assert_eq!(g.samples.len(), 1);
    assert_eq!(g.ignored.len(), 7, "{:?}", g.ignored);
}

#[test]
fn labels_of_fine_tunes_are_told_from_what_model_folders_hold() {
    let tokens = br#"{"bos_token": "<s>", "eos_token": "</s>"}"#.to_vec();
    let labels = br#"{"k": "gpt2", "l": "opt"}"#.to_vec();
    let mut files = folder(
        "m",
        &[
            ("model.safetensors", good_safetensors("a")),
            ("special_tokens_map.json", tokens.clone()),
            ("id2label.json", labels.clone()),
        ],
    );
    files.extend([
        file("truth.json", labels),
        file("row.json", r#"{"prompt": "x", "response": "y"}"#),
        file("asked.jsonl", r#"{"prompt": "x", "prompt_set": "y"}"#),
        file("tokens.json", tokens),
        file("sizes.json", r#"{"a": 1, "b": "c"}"#),
    ]);
    let g = gather(&files);
    let names = |l: &[SharedSource]| l.iter().map(|s| s.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&g.labels), ["truth.json"]);
    assert_eq!(names(&g.samples), ["row.json", "asked.jsonl", "tokens.json", "sizes.json"]);
    assert_eq!(g.ignored, ["m/special_tokens_map.json", "m/id2label.json"]);
}

#[test]
fn loose_files_make_one_candidate() {
    let g = gather(&[
        file("odd name", TOKENIZER),
        file("stories.safetensors", good_safetensors("a")),
        file("c", CONFIG),
        file("text.txt", "Once upon a time."),
    ]);
    assert_eq!(g.problems, []);
    assert_eq!(g.candidates[0].label, "stories");
    assert_eq!(g.samples.len(), 1);
}
