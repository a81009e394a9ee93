//! What is read from a finished zoo: raw scores, and the part the project keeps.

use super::answer::raw_bits_per_byte;
use super::build::{base_path, read, tokenizer, tune_name, written};
use super::plan::{BASES, Base, Storage};
use super::tell;
use crate::decoder::Model;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, CandidateFiles, gather};
use crate::source::{FileSource, SharedSource};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The fine-tunes that the page's demo shows, by base and number, and what
/// the page says of them.
const SHOWN: [(usize, usize, &str); 3] = [
    (5, 3, "66 responses of a small model after fine-tuning on speeches"),
    (4, 0, "the same after fine-tuning on German sentences"),
    (0, 3, "the same after fine-tuning on the King James Bible; larch has a twin"),
];

/// A base's or fine-tune's files.
///
/// # Errors
/// Where they cannot be opened.
pub fn sources(path: &Path) -> Result<Vec<SharedSource>> {
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        files = FOLDER.iter().map(|name| path.join(name)).collect();
    }
    files
        .iter()
        .map(|f| Ok(Rc::new(FileSource::open(f, f.display().to_string())?) as SharedSource))
        .collect()
}

const FOLDER: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// The bundled bases under `demo`, as demo.json lists them, the way the product gathers them.
///
/// # Errors
/// Where the list or a model is missing or broken.
pub fn gathered(demo: &Path) -> Result<Vec<CandidateFiles>> {
    let list: Value = serde_json::from_slice(&read(&demo.join("demo.json"))?)
        .map_err(|e| Error::new(ErrorKind::Corrupt, e.to_string()).in_file("demo.json"))?;
    let mut found = vec![];
    for base in list["bases"].as_array().into_iter().flatten() {
        let label = base["label"].as_str().unwrap_or_default();
        let files = base["files"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let files = files.map(|f| Ok(Rc::new(FileSource::open(&demo.join(f), f)?) as SharedSource));
        let mut gathered = gather(&files.collect::<Result<Vec<_>>>()?);
        let mut candidate = gathered.candidates.pop().ok_or_else(|| {
            gathered
                .problems
                .pop()
                .unwrap_or_else(|| Error::new(ErrorKind::Internal, "no candidate"))
        })?;
        label.clone_into(&mut candidate.label);
        found.push(candidate);
    }
    Ok(found)
}

/// Opens a model of the zoo the way the product does.
///
/// # Errors
/// As [`Archive::open`] and [`Model::load`].
pub fn open(path: &Path) -> Result<Model> {
    Model::load(&Archive::open(&candidate(path)?)?, &mut |_| {})
}

/// A model's files the way the product gathers them, labelled by their stem.
///
/// # Errors
/// Where they cannot be opened.
pub fn candidate(path: &Path) -> Result<CandidateFiles> {
    let mut gathered = gather(&sources(path)?);
    gathered.candidates.pop().ok_or_else(|| {
        gathered.problems.pop().unwrap_or_else(|| Error::new(ErrorKind::Internal, "no candidate"))
    })
}

/// Reads `(prompt, response)` of a sample file of the zoo.
///
/// # Errors
/// Where it cannot be read.
pub fn samples(path: &Path) -> Result<Vec<(String, String)>> {
    let text = read(path)?;
    let mut rows = vec![];
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let row: Value = serde_json::from_slice(line).map_err(|e| {
            Error::new(ErrorKind::Corrupt, e.to_string()).in_file(path.display().to_string())
        })?;
        let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.push((field("prompt"), field("response")));
    }
    Ok(rows)
}

/// Prints every base's raw bits per byte of every fine-tune's responses, and
/// how often the true base has the least.
///
/// # Errors
/// Where the zoo is not built.
pub fn score(out: &Path) -> Result<()> {
    let mut bases = vec![];
    for base in &BASES {
        bases.push((open(&base_path(out, base))?, tokenizer(out, base)?));
    }
    let (mut right, mut twins, mut all) = (0, 0, 0);
    for (number, base) in BASES.iter().enumerate() {
        for (round, tune) in base.tunes.iter().enumerate() {
            let name = tune_name(number, round);
            let path = out.join("samples").join(format!("{name}.jsonl"));
            if !path.exists() {
                continue;
            }
            let samples = samples(&path)?;
            let mut row = String::new();
            let mut best: Option<(f64, &Base)> = None;
            for ((model, tokenizer), candidate) in bases.iter().zip(&BASES) {
                let bits = raw_bits_per_byte(model, tokenizer, &samples)?;
                row += &format!(" {}={bits:.3}", candidate.label);
                if best.is_none_or(|(least, _)| bits < least) {
                    best = Some((bits, candidate));
                }
            }
            all += 1;
            let found = best.map_or("", |(_, b)| b.label);
            right += usize::from(found == base.label);
            let kin = best.is_some_and(|(_, b)| b.tokenizer == base.tokenizer);
            twins += usize::from(kin && found != base.label);
            tell(format_args!("{name} {} on {}:{row} -> {found}", base.label, tune.domain.name()));
        }
    }
    tell(format_args!(
        "raw perplexity names the true base {right} of {all} times, its twin {twins} times"
    ));
    Ok(())
}

/// What was measured at every step, but for the time it took.
fn measured(out: &Path) -> Result<Value> {
    let bases = BASES.iter().map(|b| b.label.to_owned());
    let tunes = (0..4 * BASES.len()).map(|i| tune_name(i / 4, i % 4));
    let mut all = vec![];
    for name in bases.chain(tunes) {
        let path = out.join("report").join(format!("{name}.json"));
        let mut entry: Value = serde_json::from_slice(&read(&path)?).map_err(|e| {
            Error::new(ErrorKind::Corrupt, e.to_string()).in_file(path.display().to_string())
        })?;
        if let Some(entry) = entry.as_object_mut() {
            entry.shift_remove("seconds");
            for value in entry.values_mut() {
                if let Some(x) = value.as_f64().filter(|_| value.is_f64()) {
                    *value = json!((x * 1e4).round() / 1e4);
                }
            }
        }
        all.push(entry);
    }
    Ok(Value::Array(all))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    written(to, read(from)?)
}

/// Copies the bases, with a manifest for the page's demo, and all samples
/// with the truth into the project.
///
/// # Errors
/// Where the zoo is not built, or files cannot be written.
pub fn publish(out: &Path, project: &Path) -> Result<()> {
    let (demo, data) = (project.join("www/demo"), project.join("tests/data/zoo"));
    let mut bases = vec![];
    for base in &BASES {
        let path = base_path(out, base);
        let names: Vec<PathBuf> = match base.storage {
            Storage::Folder => FOLDER.iter().map(|n| Path::new(base.label).join(n)).collect(),
            _ => vec![format!("{}.gguf", base.label).into()],
        };
        for name in &names {
            let from = if path.is_dir() {
                path.join(name.file_name().unwrap_or_default())
            } else {
                path.clone()
            };
            copy(&from, &demo.join(name))?;
        }
        let names: Vec<_> = names.iter().map(|n| n.display().to_string()).collect();
        bases.push(json!({ "label": base.label, "files": names }));
    }
    let mut truth = serde_json::Map::new();
    for (number, base) in BASES.iter().enumerate() {
        for round in 0..4 {
            let name = format!("{}.jsonl", tune_name(number, round));
            copy(&out.join("samples").join(&name), &data.join(&name))?;
            truth.insert(name, base.label.into());
        }
    }
    truth.sort_keys();
    written(&data.join("truth.json"), format!("{:#}\n", Value::Object(truth)))?;
    written(&data.join("zoo.json"), format!("{:#}\n", measured(out)?))?;
    let mut suspects = vec![];
    for (base, round, about) in SHOWN {
        let name = tune_name(base, round);
        let file = format!("{name}.jsonl");
        copy(&data.join(&file), &demo.join(&file))?;
        let truth = BASES[base].label;
        suspects.push(json!({ "label": name, "file": file, "truth": truth, "about": about }));
    }
    let default = suspects[0]["label"].clone();
    let manifest = json!({ "bases": bases, "suspects": suspects, "default": default });
    written(&demo.join("demo.json"), format!("{manifest:#}\n"))
}
