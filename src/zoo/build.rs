//! Makes the zoo step by step; a step whose result is there is not repeated.

use super::answer::answer;
use super::corpora::{self, texts};
use super::files;
use super::plan::{BASES, Base, Domain, FINETUNE, PRETRAIN, Schedule, Storage, Tune};
use super::prompts::PROMPTS;
use super::publish::open;
use super::train::{Lessons, Stream, bits_per_byte, train, train_adapter};
use super::vocabulary::Vocabulary;
use super::weights::{self, Parts};
use super::{say, tell};
use crate::decoder::config::{Config, Part};
use crate::decoder::reference::Reference;
use crate::error::{Error, ErrorKind, Result};
use crate::tokenizer::Tokenizer;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Of each domain no more than this is read for a base (bytes).
const BASE_TEXT: usize = 2_000_000;
/// The same for a fine-tune.
const TUNE_TEXT: usize = 700_000;
/// What a tokenizer is trained on (bytes).
const TOKENIZER_TEXT: usize = 1_500_000;
/// What a loss is measured on (bytes).
const HELD_OUT: usize = 16_000;

/// Writes a file, making its folder.
///
/// # Errors
/// [`ErrorKind::Read`], as for reading.
pub fn written(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    folder_of(path)?;
    std::fs::write(path, bytes).map_err(|e| not_written(path, &e))
}

fn not_written(path: &Path, e: &std::io::Error) -> Error {
    Error::new(ErrorKind::Read, format!("cannot be written: {e}"))
        .in_file(path.display().to_string())
}

pub(super) fn folder_of(path: &Path) -> Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| std::fs::create_dir_all(folder).map_err(|e| not_written(path, &e)))
}

/// Reads a file of the zoo.
///
/// # Errors
/// [`ErrorKind::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        Error::new(ErrorKind::Read, format!("cannot be read: {e}"))
            .in_file(path.display().to_string())
            .hint("run `basetrace zoo build` first")
    })
}

/// Evenly spaced documents of about `most` bytes in all.
fn spread(documents: &[String], most: usize) -> Vec<&str> {
    let total: usize = documents.iter().map(String::len).sum();
    let mut chosen = vec![];
    // In whole numbers, so that rounding cannot differ.
    let mut due = 0;
    for document in documents {
        due += most.min(total);
        if due >= total {
            due -= total;
            chosen.push(document.as_str());
        }
    }
    chosen
}

/// Where a base lies.
pub fn base_path(out: &Path, base: &Base) -> PathBuf {
    let name = match base.storage {
        Storage::Folder => base.label.to_owned(),
        _ => format!("{}.gguf", base.label),
    };
    out.join("bases").join(name)
}

/// Name of a fine-tune, numbered within the whole zoo so that it tells nothing.
pub fn tune_name(base: usize, tune: usize) -> String {
    // 24 names in an order that 7 scrambles (7 and 24 share no factor).
    format!("suspect-{:02}", (base * 4 + tune) * 7 % 24 + 1)
}

struct Timer(std::time::Instant);

impl Timer {
    fn seconds(&self) -> f64 {
        (self.0.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }
}

/// Builds what is missing of the zoo under `out`.
///
/// # Errors
/// Where texts cannot be fetched or files not written, or training fails.
pub fn build(out: &Path, only: &[String], bases_only: bool) -> Result<()> {
    let cache = out.join("corpora");
    corpora::fetch(&cache)?;
    let wanted = |base: &Base| only.is_empty() || only.iter().any(|o| o == base.label);
    for base in BASES.iter().filter(|b| wanted(b)) {
        if !base_path(out, base).exists() {
            build_base(out, &cache, base)?;
        }
    }
    if bases_only {
        return Ok(());
    }
    // By rounds, so that an interrupted build has some of every base.
    for round in 0..4 {
        for (number, base) in BASES.iter().enumerate().filter(|(_, b)| wanted(b)) {
            let name = tune_name(number, round);
            if !out.join("samples").join(format!("{name}.jsonl")).exists() {
                build_tune(out, &cache, base, &base.tunes[round], &name)?;
            }
        }
    }
    Ok(())
}

fn storage_name(storage: Storage) -> &'static str {
    match storage {
        Storage::GgufF16 => "F16",
        Storage::GgufQ8 => "Q8_0",
        Storage::GgufQ4 => "Q4_0",
        Storage::GgufQ4K => "Q4_K",
        Storage::Folder => "safetensors F16",
    }
}

pub(super) fn vocabulary(out: &Path, cache: &Path, base: &Base) -> Result<Vocabulary> {
    let path = out.join("tokenizers").join(format!("{}.json", base.tokenizer));
    if path.exists() {
        return Vocabulary::from_json(base.family, &read(&path)?);
    }
    let mut documents = vec![];
    for (domain, share) in base.mix {
        let most = (TOKENIZER_TEXT as f64 * share) as usize;
        documents.extend(spread(&texts(cache, *domain)?.train, most).into_iter().map(String::from));
    }
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    let made = Vocabulary::train(base.family, &documents)?;
    written(&path, made.to_json()?)?;
    Ok(made)
}

/// The product's tokenizer for a base and its fine-tunes.
///
/// # Errors
/// Where the zoo is not built.
pub fn tokenizer(out: &Path, base: &Base) -> Result<Tokenizer> {
    let json = read(&out.join("tokenizers").join(format!("{}.json", base.tokenizer)))?;
    let own = Vocabulary::from_json(base.family, &json)?;
    let config = json!({ "bos_token_id": own.begin(), "eos_token_id": own.end() });
    Tokenizer::from_json(&json, &config)
}

/// One training run of the zoo.
pub(super) struct Run<'a> {
    /// Whose plan it follows.
    pub base: &'a Base,
    /// Shares of its text.
    pub mix: &'a [(Domain, f64)],
    /// Length and pace.
    pub schedule: Schedule,
    /// Seed of the batches.
    pub seed: u64,
    /// Matrices that get an adapter; without, every weight is trained.
    pub adapted: Option<&'a dyn Fn(Part) -> bool>,
}

/// Trains and reports what happens; weights, held-out texts, and the last loss.
pub(super) fn run(
    cache: &Path,
    config: &Config,
    start: &Parts,
    vocabulary: &Vocabulary,
    run: &Run<'_>,
) -> Result<(Parts, Vec<String>, f32)> {
    let Run { base, mix, schedule, seed, adapted } = run;
    let (mut streams, mut held_out) = (vec![], vec![]);
    for (domain, share) in *mix {
        let texts = texts(cache, *domain)?;
        let most = if mix.len() > 1 { BASE_TEXT } else { TUNE_TEXT };
        streams.push(Stream::new(*share, &spread(&texts.train, most), vocabulary)?);
        let most = (HELD_OUT as f64 * share) as usize;
        held_out.extend(spread(&texts.held_out, most).into_iter().map(String::from));
    }
    let timer = Timer(std::time::Instant::now());
    let mut last = vec![];
    let mut log = |step: usize, loss: f32| {
        last.push(loss);
        if (step + 1).is_multiple_of(100) || step + 1 == schedule.steps {
            let recent = &last[last.len().saturating_sub(50)..];
            let mean = recent.iter().sum::<f32>() / recent.len() as f32;
            let time = timer.seconds();
            say(format_args!(
                "  {} step {}: {mean:.3} nats per token, {time} s",
                base.label,
                step + 1
            ));
        }
    };
    let lessons = Lessons { streams: &streams, vocabulary, schedule, seed: *seed };
    let parts = match adapted {
        Some(adapted) => train_adapter(config, start, adapted, &lessons, &mut log)?,
        None => train(config, start, &lessons, &mut log)?,
    };
    let recent = &last[last.len().saturating_sub(50)..];
    Ok((parts, held_out, recent.iter().sum::<f32>() / recent.len() as f32))
}

pub(super) fn record(out: &Path, name: &str, entry: &Value) -> Result<()> {
    tell(format_args!("{entry}"));
    written(&out.join("report").join(format!("{name}.json")), format!("{entry:#}\n"))
}

fn build_base(out: &Path, cache: &Path, base: &Base) -> Result<()> {
    say(format_args!("base {}", base.label));
    let timer = Timer(std::time::Instant::now());
    let vocabulary = vocabulary(out, cache, base)?;
    let config = base.family.config();
    let start = weights::init(base.family, &config, base.seed)?;
    let schedule = Schedule { steps: base.steps, ..PRETRAIN };
    let plan = Run { base, mix: base.mix, schedule, seed: base.seed + 1000, adapted: None };
    let (parts, held_out, loss) = run(cache, &config, &start, &vocabulary, &plan)?;
    let path = base_path(out, base);
    folder_of(&path)?;
    files::save(&path, base.family, &config, &parts, &vocabulary, base.storage, base.label)?;
    let parts = files::load(&path, base.family, &config)?;
    let model = Reference::new(config, parts);
    let held_out: Vec<&str> = held_out.iter().map(String::as_str).collect();
    let bits = bits_per_byte(&model, &vocabulary, &held_out, PRETRAIN.length)?;
    let weights: usize = model
        .parts()
        .values()
        .map(|(w, b)| w.elem_count() + b.as_ref().map_or(0, |b| b.elem_count()))
        .sum();
    let entry = json!({
        "base": base.label, "weights": weights, "nats_per_token": loss, "bits_per_byte": bits,
        "seconds": timer.seconds(),
    });
    record(out, base.label, &entry)
}

fn build_tune(out: &Path, cache: &Path, base: &Base, tune: &Tune, name: &str) -> Result<()> {
    say(format_args!("{name}: {} on {}", base.label, tune.domain.name()));
    let timer = Timer(std::time::Instant::now());
    let vocabulary = vocabulary(out, cache, base)?;
    let config = base.family.config();
    let start = files::load(&base_path(out, base), base.family, &config)?;
    let mix = [(tune.domain, 1.0)];
    let seed = base.seed * 100 + tune.domain as u64;
    let plan = Run { base, mix: &mix, schedule: FINETUNE, seed, adapted: None };
    let (parts, held_out, loss) = run(cache, &config, &start, &vocabulary, &plan)?;
    let path = out.join("tunes").join(format!("{name}.gguf"));
    folder_of(&path)?;
    files::save(&path, base.family, &config, &parts, &vocabulary, tune.storage, name)?;
    let held_out: Vec<&str> = held_out.iter().map(String::as_str).collect();
    let before = Reference::new(config.clone(), start);
    let before = bits_per_byte(&before, &vocabulary, &held_out, FINETUNE.length)?;
    let model = Reference::new(config.clone(), files::load(&path, base.family, &config)?);
    let after = bits_per_byte(&model, &vocabulary, &held_out, FINETUNE.length)?;
    let responses = answer(&open(&path)?, &tokenizer(out, base)?, &PROMPTS, seed)?;
    let mut lines = String::new();
    for (prompt, response) in PROMPTS.iter().zip(&responses) {
        lines += &json!({ "prompt": prompt, "response": response }).to_string();
        lines.push('\n');
    }
    written(&out.join("samples").join(format!("{name}.jsonl")), lines)?;
    let entry = json!({
        "suspect": name, "base": base.label, "domain": tune.domain.name(),
        "storage": storage_name(tune.storage), "nats_per_token": loss,
        "bits_per_byte_before": before,
        "bits_per_byte": after, "seconds": timer.seconds(),
    });
    record(out, name, &entry)
}
