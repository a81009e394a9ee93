//! How well the tests on running models do where the descent is known: power on
//! fine-tunes of the zoo, and false matches among models made independently.

use super::publish::{gathered, sources};
use super::{evaluate::read_json, say};
use crate::bench::wilson;
use crate::decoder::Model;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::lineage::holm;
use crate::evidence::query::{METHODS, Plan, QueryMethod, Record, Subject};
use crate::formats::{Archive, CandidateFiles, gather};
use crate::tokenizer::Tokenizer;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Numbers of prompts in the table; the last is what every model is asked.
const SIZES: [usize; 3] = [100, 300, 1000];

/// The level of a match, after Holm's correction.
const LEVEL: f64 = 0.05;

/// Where models and what was kept of them lie.
pub struct Places {
    /// The bundled bases.
    pub bases: PathBuf,
    /// The fine-tunes `suspect-XX.gguf`; left out where the folder is not there.
    pub tunes: PathBuf,
    /// The base of each fine-tune's samples.
    pub truth: PathBuf,
    /// Other models, each independent of all: files or folders.
    pub others: Vec<PathBuf>,
    /// What models said is kept here and not asked again.
    pub kept: PathBuf,
}

/// One model's records, by method.
struct Seen {
    label: String,
    records: Vec<Record>,
}

/// Asks every model and counts matches; the table goes to the result.
///
/// # Errors
/// Files that are missing or broken.
pub fn queries(places: &Places) -> Result<String> {
    let mut bases = vec![];
    for files in gathered(&places.bases)? {
        bases.push(seen(&files, &places.kept)?);
    }
    let mut others = vec![];
    for path in &places.others {
        others.push(seen(&one(path)?, &places.kept)?);
    }
    let mut tunes = vec![];
    let truth: BTreeMap<String, String> = read_json(&places.truth)?;
    for (file, base) in &truth {
        let path = places.tunes.join(file).with_extension("gguf");
        let truth = bases.iter().position(|b| b.label == *base);
        if let (true, Some(truth)) = (path.exists(), truth) {
            tunes.push((seen(&one(&path)?, &places.kept)?, truth));
        }
    }
    let mut text =
        format!("{} bases, {} fine-tunes, {} others\n", bases.len(), tunes.len(), others.len());
    let all: Vec<&Seen> = bases.iter().chain(&others).collect();
    for (m, method) in METHODS.iter().enumerate() {
        for size in SIZES {
            let mut count = Count { method: *method, m, size, text: String::new() };
            let bases: Vec<&Seen> = bases.iter().collect();
            let known = tunes.iter().map(|(s, t)| (s, &bases[..], Some(*t)));
            count.row("fine-tune, all bases", known)?;
            let known = tunes.iter().map(|(s, t)| (s, &all[..], Some(*t)));
            count.row("fine-tune, all bases and others", known)?;
            let without: Vec<(&Seen, Vec<&Seen>)> = tunes
                .iter()
                .map(|(s, t)| {
                    (s, all.iter().enumerate().filter(|(i, _)| i != t).map(|(_, b)| *b).collect())
                })
                .collect();
            count.row(
                "fine-tune, true base left out",
                without.iter().map(|(s, c)| (*s, &c[..], None)),
            )?;
            let apart: Vec<(&Seen, Vec<&Seen>)> = all
                .iter()
                .map(|s| (*s, all.iter().copied().filter(|b| b.label != s.label).collect()))
                .collect();
            count.row("base, itself left out", apart.iter().map(|(s, c)| (*s, &c[..], None)))?;
            count.row(
                "base, itself among them",
                all.iter().enumerate().map(|(i, s)| (*s, &all[..], Some(i))),
            )?;
            text += &count.text;
            if method.name() != "next-token-agreement" {
                break;
            }
        }
    }
    Ok(text)
}

struct Count {
    method: &'static dyn QueryMethod,
    m: usize,
    size: usize,
    text: String,
}

impl Count {
    /// Adds a row on `cases`: suspect, candidates, and which of them is the truth.
    fn row<'a>(
        &mut self,
        about: &str,
        cases: impl Iterator<Item = (&'a Seen, &'a [&'a Seen], Option<usize>)>,
    ) -> Result<()> {
        let plan = Plan { prompts: self.size, ..Plan::default() };
        let (mut found, mut first, mut knowable, mut wrong, mut suspects, mut tests) =
            (0, 0, 0, 0, 0, 0);
        let mut named = BTreeMap::new();
        for (suspect, candidates, truth) in cases {
            let of = |s: &Seen| cut(&s.records[self.m], self.size);
            let records: Vec<Option<Record>> = candidates.iter().map(|c| Some(of(c))).collect();
            let got = self.method.test(&of(suspect), &records, &plan)?;
            let ln_p: Vec<Option<f64>> =
                got.iter().map(|t| t.as_ref().and_then(|t| t.ln_p)).collect();
            let matched: Vec<bool> =
                holm(&ln_p).iter().map(|p| p.is_some_and(|p| p < libm::log(LEVEL))).collect();
            let score = |c: usize| got[c].as_ref().map_or(f64::NEG_INFINITY, |t| t.statistic);
            let best = (0..got.len()).max_by(|a, b| score(*a).total_cmp(&score(*b)));
            suspects += 1;
            tests += ln_p.iter().flatten().count();
            if let Some(truth) = truth {
                knowable += 1;
                found += usize::from(matched[truth]);
                first += usize::from(best == Some(truth));
            }
            for (c, _) in matched.iter().enumerate().filter(|(c, m)| **m && Some(*c) != truth) {
                wrong += 1;
                *named
                    .entry(format!("{} for {}", candidates[c].label, suspect.label))
                    .or_insert(0) += 1;
            }
        }
        let (low, high) = wilson(found, knowable.max(1));
        let power = if knowable > 0 {
            format!(
                "found {found} of {knowable} ({:.0} to {:.0} %), first {first}; ",
                100.0 * low,
                100.0 * high
            )
        } else {
            String::new()
        };
        let names: Vec<&str> = named.keys().map(String::as_str).collect();
        let size = if self.method.name() == "next-token-agreement" {
            format!(" {}", self.size)
        } else {
            String::new()
        };
        writeln!(
            self.text,
            "{}{size}: {about}: {power}{wrong} false in {tests} tests of {suspects} suspects {}",
            self.method.name(),
            names.join(", ")
        )
        .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
    }
}

/// The record as a smaller plan would have made it.
fn cut(record: &Record, prompts: usize) -> Record {
    match record {
        Record::Answers(answers) => {
            Record::Answers(answers.iter().take(prompts).cloned().collect())
        }
        other => other.clone(),
    }
}

fn one(path: &Path) -> Result<CandidateFiles> {
    let mut gathered = gather(&sources(path)?);
    let mut files = gathered.candidates.pop().ok_or_else(|| {
        gathered.problems.pop().unwrap_or_else(|| Error::new(ErrorKind::Internal, "no candidate"))
    })?;
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned());
    files.label = stem.unwrap_or_default();
    Ok(files)
}

fn seen(files: &CandidateFiles, kept: &Path) -> Result<Seen> {
    let plan = Plan { prompts: SIZES[SIZES.len() - 1], ..Plan::default() };
    let path = kept.join(format!("{}.json", files.label));
    if path.exists() {
        return Ok(Seen { label: files.label.clone(), records: read_json(&path)? });
    }
    let archive = Archive::open(files)?;
    let model = Model::load(&archive, &mut |_| {})?;
    let tokenizer = Tokenizer::open(&archive)?;
    let subject = Subject { model: &model, tokenizer: &tokenizer, label: &files.label };
    let mut records = vec![];
    for method in METHODS {
        let (start, mut tokens) = (std::time::Instant::now(), 0);
        records.push(method.observe(&subject, &plan, &mut |n| tokens += n)?);
        say(format_args!(
            "{}: {}: {tokens} tokens in {:.1} s",
            files.label,
            method.name(),
            start.elapsed().as_secs_f64()
        ));
    }
    let wrong = |e: String| Error::new(ErrorKind::Read, e).in_file(path.display().to_string());
    let bytes = serde_json::to_vec(&records).map_err(|e| wrong(e.to_string()))?;
    std::fs::create_dir_all(kept).map_err(|e| wrong(e.to_string()))?;
    std::fs::write(&path, bytes).map_err(|e| wrong(e.to_string()))?;
    Ok(Seen { label: files.label.clone(), records })
}
