//! From the paths on the command line to files by what they are.

use crate::error::{Error, ErrorKind, Result};
use crate::formats::{CandidateFiles, Gathered, gather};
use crate::source::{FileSource, MemorySource, SharedSource};
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Files taken from one folder at the most.
const MAX_FILES: usize = 10_000;
/// Folders within folders at the most.
const MAX_DEPTH: usize = 16;
/// Bytes read from standard input at the most.
const MAX_STDIN: u64 = 256 << 20;

/// Opens and sorts `paths` into models and samples; what cannot be used is added to
/// `problems`. For comparing `weights` a model needs no tokenizer.
pub fn open(
    paths: &[PathBuf],
    weights: bool,
    problems: &mut Vec<Error>,
) -> (Vec<CandidateFiles>, Vec<SharedSource>) {
    let gathered = sorted(paths, weights, problems);
    let labels = |s: &SharedSource| {
        Error::new(ErrorKind::Mismatch, "names the candidates of fine-tunes, and is none itself")
            .in_file(s.name())
            .hint("give it with --truth, beside --labelled")
    };
    problems.extend(gathered.labels.iter().map(labels));
    (gathered.candidates, gathered.samples)
}

/// As [`open`], with all that the files came to.
pub fn sorted(paths: &[PathBuf], weights: bool, problems: &mut Vec<Error>) -> Gathered {
    let mut sources: Vec<SharedSource> = vec![];
    let mut given = HashSet::new();
    for (path, name) in paths.iter().zip(names(paths)) {
        if path.is_dir() {
            walk(path, &name, 0, &mut sources, problems);
        } else {
            given.insert(name.clone());
            match FileSource::open(path, name) {
                Ok(s) => sources.push(Rc::new(s)),
                Err(e) => problems.push(e),
            }
        }
    }
    let mut gathered = gather(&sources);
    if weights {
        gathered.admit_bare();
    }
    problems.append(&mut gathered.problems);
    // A folder's README and word lists are no mistake of the user's.
    gathered.samples.retain(|s| given.contains(s.name()));
    gathered.labels.retain(|s| given.contains(s.name()));
    gathered
}

/// The shortest distinct ends of `paths`, joined with `/`: what a drop of the
/// same files on the page would call them.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths
        .iter()
        .map(|p| {
            // "." and ".." say nothing; the folder they mean does.
            let full = p.canonicalize().unwrap_or_else(|_| p.clone());
            let normal = full.components().filter_map(|c| match c {
                std::path::Component::Normal(s) => Some(s.to_string_lossy().into_owned()),
                _ => None,
            });
            normal.collect()
        })
        .collect();
    let end = |i: usize, n: usize| parts[i][parts[i].len().saturating_sub(n)..].join("/");
    (0..parts.len())
        .map(|i| {
            let n = (1..parts[i].len())
                .find(|&n| (0..parts.len()).all(|j| j == i || end(j, n) != end(i, n)));
            end(i, n.unwrap_or(1))
        })
        .collect()
}

fn walk(
    folder: &Path,
    name: &str,
    depth: usize,
    sources: &mut Vec<SharedSource>,
    problems: &mut Vec<Error>,
) {
    let read = std::fs::read_dir(folder).and_then(|d| d.collect::<std::io::Result<Vec<_>>>());
    let mut entries = match read {
        Ok(entries) => entries,
        Err(e) => {
            let e = Error::new(ErrorKind::Read, format!("the folder cannot be read: {e}"));
            return problems.push(e.in_file(name).hint("check that it may be read"));
        }
    };
    // The order of a folder depends on the file system; the report must not.
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.starts_with('.') {
            continue;
        }
        let (path, name) = (entry.path(), format!("{name}/{file}"));
        if sources.len() >= MAX_FILES || depth >= MAX_DEPTH {
            let e = Error::new(ErrorKind::TooLarge, "the folder holds too many files or levels");
            return problems.push(e.in_file(name).hint("give the model's own folder"));
        }
        if path.is_dir() {
            walk(&path, &name, depth + 1, sources, problems);
        } else {
            match FileSource::open(&path, name) {
                Ok(s) => sources.push(Rc::new(s)),
                Err(e) => problems.push(e),
            }
        }
    }
}

/// Opens files of samples; what cannot be opened is added to `problems`.
pub fn sources(paths: &[PathBuf], problems: &mut Vec<Error>) -> Vec<SharedSource> {
    let mut sources = vec![];
    for (path, name) in paths.iter().zip(names(paths)) {
        let opened: Result<SharedSource> = if path.as_os_str() == "-" {
            stdin()
        } else if path.is_dir() {
            Err(Error::new(ErrorKind::Read, "is a folder, not a file of samples").in_file(name))
        } else {
            FileSource::open(path, name).map(|s| Rc::new(s) as SharedSource)
        };
        match opened {
            Ok(source) => sources.push(source),
            Err(e) => problems.push(e),
        }
    }
    sources
}

fn stdin() -> Result<SharedSource> {
    let mut bytes = vec![];
    let name = "standard input";
    let read = std::io::stdin().lock().take(MAX_STDIN + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::new(ErrorKind::Read, format!("cannot be read: {e}")).in_file(name))?;
    if bytes.len() as u64 > MAX_STDIN {
        let e = Error::new(ErrorKind::TooLarge, "more than 256 MiB of samples").in_file(name);
        return Err(e.hint("a few hundred samples are enough"));
    }
    Ok(Rc::new(MemorySource::new(name, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_shortest_that_differ() {
        let paths = ["/x/a/model.gguf", "/x/b/model.gguf", "/x/c.gguf"].map(PathBuf::from);
        assert_eq!(names(&paths), ["a/model.gguf", "b/model.gguf", "c.gguf"]);
        let same = ["/x/c.gguf", "/x/c.gguf"].map(PathBuf::from);
        assert_eq!(names(&same), ["c.gguf", "c.gguf"]);
    }
}
