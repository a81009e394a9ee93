//! Sorts dropped files, by content, into candidates and samples.

use super::archive::{Archive, missing};
use super::sniff::{self, Kind};
use crate::error::{Error, ErrorKind};
use crate::source::SharedSource;
use std::collections::{BTreeMap, BTreeSet};

/// The files that make up one candidate model.
#[derive(Clone)]
pub struct CandidateFiles {
    /// A short unique label: the file's stem or the folder's name.
    pub label: String,
    /// The files of the candidate (one GGUF, or a folder's parts).
    pub files: Vec<SharedSource>,
}

/// What a drop came to.
#[derive(Default)]
pub struct Gathered {
    /// Complete candidates, whose headers can be read.
    pub candidates: Vec<CandidateFiles>,
    /// Models that lack a tokenizer and nothing else, each with the problem
    /// that says so, which is among `problems`, too: enough to compare weights.
    pub bare: Vec<(CandidateFiles, Error)>,
    /// Files that hold text samples.
    pub samples: Vec<SharedSource>,
    /// Files that say which candidate known fine-tunes come from.
    pub labels: Vec<SharedSource>,
    /// One error per file or group that cannot be used, e.g. "needs tokenizer.json".
    pub problems: Vec<Error>,
    /// Names of files that belong to a model folder and are not needed.
    pub ignored: Vec<String>,
}

impl Gathered {
    /// Counts models without a tokenizer as candidates: for comparing weights.
    pub fn admit_bare(&mut self) {
        for (files, problem) in std::mem::take(&mut self.bare) {
            self.problems.retain(|p| *p != problem);
            self.candidates.push(files);
        }
    }
}

/// The files of one folder, by what they are.
#[derive(Default)]
struct Folder {
    parts: Vec<SharedSource>,
    weights: bool,
    index: bool,
    config: bool,
    tokenizer: bool,
    adapter: bool,
    vocabularies: Vec<SharedSource>,
}

impl Folder {
    fn is_model(&self) -> bool {
        self.weights || self.index || self.config || self.tokenizer
    }
}

/// Sorts `files` by their content; names only decide which folder they share,
/// and which shard is which. Every file ends up in one of the lists.
pub fn gather(files: &[SharedSource]) -> Gathered {
    let mut out = Gathered::default();
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    let mut ggufs = Vec::new();
    let mut undecided = Vec::new();
    for file in once(files, &mut out) {
        let kind = match sniff::kind(file.as_ref()) {
            Ok(kind) => kind,
            Err(e) => {
                out.problems.push(e);
                continue;
            }
        };
        let mut part = |mark: fn(&mut Folder) -> &mut bool| {
            let folder = folders.entry(folder_of(file.name()).to_owned()).or_default();
            *mark(folder) = true;
            folder.parts.push(file.clone());
        };
        match kind {
            Kind::Gguf => ggufs.push(file.clone()),
            Kind::Safetensors => part(|f| &mut f.weights),
            Kind::Index => part(|f| &mut f.index),
            Kind::Config => part(|f| &mut f.config),
            Kind::Tokenizer => part(|f| &mut f.tokenizer),
            Kind::Adapter => part(|f| &mut f.adapter),
            Kind::Vocabulary => {
                let folder = folders.entry(folder_of(file.name()).to_owned()).or_default();
                folder.vocabularies.push(file.clone());
            }
            Kind::Samples => out.samples.push(file.clone()),
            Kind::Companion => out.ignored.push(file.name().to_owned()),
            Kind::Labels | Kind::Perhaps { .. } | Kind::Foreign(_) => {
                undecided.push((file.clone(), kind));
            }
        }
    }
    for (file, kind) in undecided {
        decide(&file, kind, &folders, &mut out);
    }
    let mut labels = BTreeSet::new();
    for file in ggufs {
        let label = unique(stem(file.name()), &mut labels);
        admit(CandidateFiles { label, files: vec![file] }, &mut out);
    }
    for (path, folder) in folders {
        candidate(&path, folder, &mut labels, &mut out);
    }
    drop_twins(&mut out);
    out
}

/// Files once each: one dropped twice under the same name is kept once.
fn once<'a>(files: &'a [SharedSource], out: &mut Gathered) -> Vec<&'a SharedSource> {
    let mut kept: Vec<&SharedSource> = Vec::new();
    for file in files {
        let twin = kept.iter().any(|k| k.name() == file.name() && same(k, file));
        if twin { out.problems.push(twice(file.name(), None)) } else { kept.push(file) }
    }
    kept
}

/// The problem of a file that was added already, perhaps under another name.
fn twice(name: &str, other: Option<&str>) -> Error {
    let what = match other {
        None => "this file was added twice and is used once".to_owned(),
        Some(other) => format!("this is the same as {other} and is used once"),
    };
    Error::new(ErrorKind::Mismatch, what).in_file(name).hint("remove one of the two")
}

/// Whether two files have the same content. Files that differ mostly do so at
/// once, so comparing is cheap; where reading fails they count as different,
/// and the failure shows where the file is used.
fn same(a: &SharedSource, b: &SharedSource) -> bool {
    const PIECE: u64 = 1 << 18;
    if a.len() != b.len() {
        return false;
    }
    let n = PIECE.min(a.len()) as usize;
    let (mut x, mut y) = (vec![0; n], vec![0; n]);
    let mut at = 0;
    while at < a.len() {
        let n = PIECE.min(a.len() - at) as usize;
        let read = a.read_at(at, &mut x[..n]).and_then(|()| b.read_at(at, &mut y[..n]));
        if read.is_err() || x[..n] != y[..n] {
            return false;
        }
        at += n as u64;
    }
    true
}

/// Settles what only its surroundings can: text in a model folder is that
/// model's documentation, elsewhere it is samples.
fn decide(file: &SharedSource, kind: Kind, folders: &BTreeMap<String, Folder>, out: &mut Gathered) {
    let mut path = folder_of(file.name());
    let beside_model = loop {
        if folders.get(path).is_some_and(Folder::is_model) {
            break true;
        }
        if path.is_empty() {
            break false;
        }
        path = folder_of(path);
    };
    // Loose plain text or labels beside loose model files were chosen by hand.
    let chosen = matches!(kind, Kind::Perhaps { plain: true } | Kind::Labels);
    match kind {
        _ if beside_model && !(chosen && path.is_empty()) => {
            out.ignored.push(file.name().to_owned())
        }
        Kind::Foreign(error) => out.problems.push(error),
        Kind::Labels => out.labels.push(file.clone()),
        _ => out.samples.push(file.clone()),
    }
}

/// Makes a candidate of a folder, or says what it lacks.
fn candidate(path: &str, mut folder: Folder, labels: &mut BTreeSet<String>, out: &mut Gathered) {
    // vocab.txt is needed only where nothing else is the tokenizer.
    if !folder.tokenizer && folder.config && !folder.vocabularies.is_empty() {
        folder.tokenizer = true;
        folder.parts.append(&mut folder.vocabularies);
    }
    out.ignored.extend(folder.vocabularies.iter().map(|v| v.name().to_owned()));
    if !folder.is_model() && !folder.adapter {
        return;
    }
    let label = unique(&folder_label(path, &folder), labels);
    if folder.adapter && !folder.config {
        out.problems.push(
            Error::new(
                ErrorKind::Unsupported,
                format!("{label} is a LoRA adapter and no whole model"),
            )
            .hint("merge it into its base model first, with peft's merge_and_unload"),
        );
        return;
    }
    let mut absent = Vec::new();
    if !folder.config {
        absent.push("config.json");
    }
    if !folder.tokenizer {
        absent.push("tokenizer.json");
    }
    if !folder.weights && !folder.index {
        absent.push("its weights (model.safetensors)");
    }
    if absent.is_empty() {
        admit(CandidateFiles { label, files: folder.parts }, out);
    } else {
        let problem = missing(&label, &absent.join(" and "));
        let candidate = CandidateFiles { label, files: folder.parts };
        if absent == ["tokenizer.json"] && Archive::open(&candidate).is_ok() {
            out.bare.push((candidate, problem.clone()));
        }
        out.problems.push(problem);
    }
}

/// Takes a candidate in if its headers can be read.
fn admit(candidate: CandidateFiles, out: &mut Gathered) {
    match Archive::open(&candidate) {
        Ok(_) => out.candidates.push(candidate),
        Err(e) => out.problems.push(e),
    }
}

/// Drops candidates and samples that are the same as earlier ones.
fn drop_twins(out: &mut Gathered) {
    let mut kept: Vec<CandidateFiles> = Vec::new();
    for candidate in std::mem::take(&mut out.candidates) {
        let twin = kept.iter().find(|k| {
            k.files.len() == candidate.files.len()
                && candidate.files.iter().all(|f| k.files.iter().any(|g| same(f, g)))
        });
        match twin {
            Some(k) => out.problems.push(twice(&candidate.label, Some(&k.label))),
            None => kept.push(candidate),
        }
    }
    out.candidates = kept;
    let mut kept: Vec<SharedSource> = Vec::new();
    for file in std::mem::take(&mut out.samples) {
        match kept.iter().find(|k| same(k, &file)) {
            Some(k) => out.problems.push(twice(file.name(), Some(k.name()))),
            None => kept.push(file),
        }
    }
    out.samples = kept;
}

/// The path without its last part.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A file's name without folder and ending.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// A folder's name; in the Hugging Face cache the model's rather than the
/// revision's, and for loose files what their weights are called.
fn folder_label(path: &str, folder: &Folder) -> String {
    let mut above = path.rsplit('/');
    let name = above.next().unwrap_or_default();
    if let (Some("snapshots"), Some(model)) = (above.next(), above.next())
        && let Some(model) = model.strip_prefix("models--")
    {
        return model.replace("--", "/");
    }
    if !name.is_empty() {
        return name.to_owned();
    }
    let weights = |f: &&SharedSource| f.name().ends_with(".safetensors");
    match folder.parts.iter().find(weights).map(|f| stem(f.name())) {
        Some(stem) if !stem.contains("-of-") => stem.to_owned(),
        _ => "model".to_owned(),
    }
}

/// `label`, or `label (2)` and so on where it is taken.
fn unique(label: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = label.to_owned();
    let mut n = 2;
    while !taken.insert(name.clone()) {
        name = format!("{label} ({n})");
        n += 1;
    }
    name
}
