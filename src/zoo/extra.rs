//! Models beside the zoo's plan, for tests on weights: more independent ones
//! of equal architecture, and fine-tunes by a low-rank adapter.

use super::build::{Run, base_path, folder_of, record, run, vocabulary};
use super::corpora;
use super::files;
use super::plan::{BASES, Base, Domain, FINETUNE, PRETRAIN, Schedule, Storage};
use super::weights;
use crate::decoder::config::Part;
use crate::error::{Error, ErrorKind, Result};
use serde_json::json;
use std::path::Path;

/// How adapters are trained: as fine-tunes, but shorter and, as is usual for
/// them, faster.
const ADAPTER: Schedule = Schedule { steps: 100, rate: 5e-3, ..FINETUNE };

/// Which matrices get an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Adapted {
    /// Query and value.
    Qv,
    /// Every matrix of every layer.
    All,
}

impl Adapted {
    /// Whether `part` is one of them.
    pub fn holds(self, part: Part) -> bool {
        match self {
            Self::Qv => matches!(part, Part::Query(_) | Part::Value(_)),
            Self::All => is_linear(part),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Qv => "qv",
            Self::All => "all",
        }
    }
}

/// Whether a part is one of a layer's matrices.
pub fn is_linear(part: Part) -> bool {
    matches!(
        part,
        Part::Query(_)
            | Part::Key(_)
            | Part::Value(_)
            | Part::Output(_)
            | Part::Gate(_)
            | Part::Up(_)
            | Part::Down(_)
    )
}

fn base(label: &str) -> Result<&'static Base> {
    BASES.iter().find(|b| b.label == label).ok_or_else(|| {
        let known: Vec<&str> = BASES.iter().map(|b| b.label).collect();
        Error::new(ErrorKind::Usage, format!("there is no base {label}: {}\n", known.join(", ")))
    })
}

/// The seed of a base's `n`-th spare model, the first being 1.
pub fn spare_seed(base: &Base, n: usize) -> u64 {
    base.seed * 10_000 + n as u64
}

/// Trains up to `count` models after the plan of each of `labels`, each with a seed of its
/// own ([`spare_seed`]), into `<out>/extra`; those that are there stay.
///
/// # Errors
/// As building the zoo.
pub fn spare(out: &Path, labels: &[String], count: usize, steps: usize) -> Result<()> {
    let cache = out.join("corpora");
    corpora::fetch(&cache)?;
    let bases = labels.iter().map(|l| base(l)).collect::<Result<Vec<_>>>()?;
    // By turns, so that an interrupted run has some of each.
    for n in 1..=count {
        for base in &bases {
            let name = format!("{}-spare-{n:02}", base.label);
            let path = out.join("extra").join(format!("{name}.gguf"));
            if path.exists() {
                continue;
            }
            let vocabulary = vocabulary(out, &cache, base)?;
            let (config, seed) = (base.family.config(), spare_seed(base, n));
            let start = weights::init(base.family, &config, seed)?;
            let schedule = Schedule { steps, ..PRETRAIN };
            let plan = Run { base, mix: base.mix, schedule, seed: seed + 1000, adapted: None };
            let (parts, _, loss) = run(&cache, &config, &start, &vocabulary, &plan)?;
            folder_of(&path)?;
            let storage = Storage::GgufF16;
            files::save(&path, base.family, &config, &parts, &vocabulary, storage, &name)?;
            let entry = json!({
                "spare": name, "plan": base.label, "seed": seed, "steps": steps,
                "nats_per_token": loss,
            });
            record(out, &name, &entry)?;
        }
    }
    Ok(())
}

/// Fine-tunes the base `label` on `domain` by an adapter and merges it, into
/// `<out>/adapters/<label>-<domain>-<which>.gguf`.
///
/// # Errors
/// As building the zoo.
pub fn adapter(out: &Path, label: &str, domain: Domain, which: Adapted) -> Result<()> {
    let cache = out.join("corpora");
    corpora::fetch(&cache)?;
    let base = base(label)?;
    let vocabulary = vocabulary(out, &cache, base)?;
    let config = base.family.config();
    let start = files::load(&base_path(out, base), base.family, &config)?;
    let seed = base.seed * 100 + domain as u64;
    let adapted = |part| which.holds(part);
    let plan =
        Run { base, mix: &[(domain, 1.0)], schedule: ADAPTER, seed, adapted: Some(&adapted) };
    let (parts, _, loss) = run(&cache, &config, &start, &vocabulary, &plan)?;
    let name = format!("{label}-{}-{}", domain.name(), which.name());
    let path = out.join("adapters").join(format!("{name}.gguf"));
    folder_of(&path)?;
    files::save(&path, base.family, &config, &parts, &vocabulary, Storage::GgufF16, &name)?;
    let entry = json!({
        "adapter": name, "base": label, "domain": domain.name(), "seed": seed,
        "nats_per_token": loss,
    });
    record(out, &name, &entry)
}
