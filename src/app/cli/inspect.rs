//! `basetrace inspect`: what each file is.

use super::{files, print, say};
use crate::error::Result;
use crate::formats::{Archive, CandidateFiles};
use crate::prompts::file::{Rows, rows};
use crate::report::figures::{self, plain};
use std::path::PathBuf;

/// Prints what each of `paths` is, which belong together, and what is missing.
///
/// # Errors
/// Where standard output cannot be written.
pub fn inspect(paths: &[PathBuf]) -> Result<u8> {
    let mut problems = vec![];
    let gathered = files::sorted(paths, false, &mut problems);
    let mut out = String::new();
    for c in &gathered.candidates {
        match describe(c) {
            Ok(lines) => out.push_str(&lines),
            Err(e) => problems.push(e),
        }
    }
    for source in &gathered.labels {
        match crate::labels::read(source.as_ref()) {
            Ok(labels) => {
                let name = plain(source.name());
                out.push_str(&format!("labels {name}: the candidates of {}\n", labels.len()));
            }
            Err(e) => problems.push(e),
        }
    }
    for source in &gathered.samples {
        let name = plain(source.name());
        match rows(source.as_ref()) {
            Ok(Rows::Prompts(p)) => {
                out.push_str(&format!("prompts {name}: {} to be asked\n", p.len()));
            }
            Ok(Rows::Answers(s)) => {
                out.push_str(&format!("samples {name}: {} usable\n", s.samples.len()));
                for n in s.notes {
                    out.push_str(&format!("  note: {}\n", plain(&n.text)));
                }
            }
            Err(e) => problems.push(e),
        }
    }
    print(&out)?;
    problems.iter().for_each(|p| say("problem", p));
    Ok(u8::from(!problems.is_empty() || out.is_empty()))
}

fn describe(files: &CandidateFiles) -> Result<String> {
    let archive = Archive::open(files)?;
    let weights: u64 =
        archive.tensors.values().map(|t| t.shape.iter().map(|&n| n as u64).product::<u64>()).sum();
    let mut dtypes: Vec<String> =
        archive.tensors.values().map(|t| format!("{:?}", t.dtype)).collect();
    dtypes.sort();
    dtypes.dedup();
    let mut out = format!(
        "candidate {}: {} weights in {} tensors ({})\n",
        plain(&files.label),
        figures::count(weights),
        archive.tensors.len(),
        dtypes.join(", ")
    );
    for f in &files.files {
        out.push_str(&format!("  {} ({})\n", plain(f.name()), figures::bytes(f.len())));
    }
    Ok(out)
}
