//! Real model files open, with every tensor in its place. Files that are not
//! on this machine are skipped, and that is said.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise"
)]
#![cfg(not(target_arch = "wasm32"))]

use basetrace::formats::{Archive, Gathered, Metadata, gather};
use basetrace::samples;
use basetrace::source::{FileSource, SharedSource};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Every file below `path`, named relative to its parent.
fn files(path: &Path) -> Vec<SharedSource> {
    let mut found = Vec::new();
    let root = path.parent().unwrap();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Rc::new(FileSource::open(&path, name).unwrap()) as SharedSource);
        }
    }
    found.sort_by(|a, b| a.name().cmp(b.name()));
    found
}

fn gathered(relative: &str) -> Option<Gathered> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    if path.exists() {
        return Some(gather(&files(&path)));
    }
    println!("skipped: {relative} is not on this machine");
    None
}

/// Opens the only candidate under `path` and checks its size.
fn opens(path: &str, label: &str, tensors: usize, ignored: usize) {
    let Some(g) = gathered(path) else { return };
    assert_eq!(g.problems, []);
    let [candidate] = g.candidates.as_slice() else { panic!("{} found", g.candidates.len()) };
    assert_eq!(candidate.label, label);
    assert_eq!(g.ignored.len(), ignored, "{:?}", g.ignored);
    assert_eq!(g.samples.len(), 0);
    let archive = Archive::open(candidate).unwrap();
    assert_eq!(archive.tensors.len(), tensors);
    for (name, info) in &archive.tensors {
        let elements: usize = info.shape.iter().product();
        let bytes = elements / info.dtype.block_size() * info.dtype.type_size();
        assert_eq!(bytes, info.bytes, "{name}");
        let last = archive.read(info, info.bytes as u64 - 2, 2).unwrap();
        assert_eq!(last.len(), 2);
        assert!(archive.read(info, info.bytes as u64 - 1, 2).is_err());
    }
    if let Metadata::Gguf(meta) = &archive.metadata {
        let tokens = meta.strings("tokenizer.ggml.tokens").unwrap();
        assert_eq!(archive.info("token_embd.weight").unwrap().shape[0], tokens.len());
        assert!(meta.str("general.architecture").is_some());
    }
}

#[test]
fn smollm2_gguf() {
    opens("target/models/smollm2-135m-instruct.Q4_1.gguf", "smollm2-135m-instruct.Q4_1", 272, 0);
}

#[test]
fn gemma_gguf() {
    opens("target/models/gemma-3-270m.Q4_K_M.gguf", "gemma-3-270m.Q4_K_M", 236, 0);
}

#[test]
fn stories15m() {
    opens("target/models/stories15m", "stories15m", 56, 0);
}

#[test]
fn minimind2() {
    opens("target/models/minimind2-small", "minimind2-small", 74, 0);
}

#[test]
fn encoder_folders_with_much_beside() {
    opens("target/models/all-minilm-l6-v2", "all-minilm-l6-v2", 103, 10);
    opens("target/models/sre-minilm", "sre-minilm", 103, 8);
}

#[test]
fn stories260k() {
    opens("../shared/models/tiny/stories260k", "stories260k", 47, 0);
}

#[test]
fn a_folder_of_folders() {
    let Some(g) = gathered("../shared/models/tiny") else { return };
    let labels: Vec<&str> = g.candidates.iter().map(|c| c.label.as_str()).collect();
    assert_eq!(labels, ["stories260k"]);
    let problems: Vec<String> = g.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["llama2xs needs tokenizer.json (hint: add it from the same model folder or page)"]
    );
}

#[test]
fn shared_samples() {
    // Counted independently with a few lines of Python.
    for (path, rows, empty, duplicates) in [
        ("../shared/suspects/a.jsonl", 60, 0, 0),
        ("../shared/suspects/b.jsonl", 60, 1, 0),
        ("../shared/suspects/c.jsonl", 60, 5, 0),
        ("../shared/mlmac/bases.jsonl", 1500, 164, 0),
        ("../shared/mlmac/suspects-dev.jsonl", 750, 13, 0),
    ] {
        let Some(g) = gathered(path) else { continue };
        assert_eq!((g.problems.len(), g.samples.len()), (0, 1), "{path}");
        let s = samples::read(g.samples[0].as_ref()).unwrap();
        let count = |kind| s.notes.iter().find(|n| n.kind == kind).map_or(0, |n| n.count);
        assert_eq!((count("empty-response"), count("duplicate")), (empty, duplicates), "{path}");
        assert_eq!(s.samples.len(), rows - empty - duplicates, "{path}");
        assert!(s.samples.iter().any(|s| s.prompt.is_some()));
    }
}
