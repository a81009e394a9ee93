//! `basetrace bench`: the text methods on suspects whose bases are known.

use super::{print, say, sources, texts};
use crate::bench::{Row, Setting, Suite, settings};
use crate::encoder::Encoder;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::Archive;
use crate::prompts::{self, judge::Score};
use crate::report::figures::{UNKNOWN, plain, truncate, width};
use clap::Args;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args)]
pub struct Bench {
    /// Responses of the bases, with a model column
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    bases: Vec<PathBuf>,
    /// Responses of the suspects, with a model column
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    suspects: Vec<PathBuf>,
    /// JSON object that names each suspect's base
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// Only this method; may be repeated
    #[arg(long = "method", value_name = "NAME")]
    methods: Vec<String>,
    /// A BERT encoder for the classifiers that read through one: a folder or a GGUF file
    #[arg(long, value_name = "PATH")]
    encoder: Option<PathBuf>,
    #[command(flatten)]
    training: texts::Trained,
    /// Also every representation, knowledge level, share of labelled fine-tunes and prompt set
    #[arg(long)]
    full: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Keep finished rows here, and take up from them when run again
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Draw accuracy against the number of prompts, by every way of picking them, as SVG
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
    /// Numbers of prompts for the curve
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [10, 25, 50, 150])]
    budgets: Vec<usize>,
    /// Seed of every random draw
    #[arg(long, value_name = "N", default_value_t = 2306)]
    seed: u64,
}

/// What a finished row was made from: only the same is taken up again.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    key: String,
    row: Row,
}

#[derive(serde::Serialize)]
struct Output<'a> {
    schema: &'a str,
    version: &'a str,
    seed: u64,
    rows: &'a [Row],
}

/// Runs the benchmark.
///
/// # Errors
/// Files that cannot be read, or that do not fit each other.
pub fn bench(args: &Bench) -> Result<u8> {
    let mut problems = vec![];
    let mut given = texts::Given::default();
    let bases = given.groups("bases", None, &sources(&args.bases, &mut problems), &mut problems);
    let suspects =
        given.groups("suspects", None, &sources(&args.suspects, &mut problems), &mut problems);
    problems.iter().for_each(|p| say("problem", p));
    let mut suite = Suite::new(bases, suspects, &texts::truth(&args.truth)?)?;
    if let Some(path) = &args.encoder {
        let mut faults = vec![];
        let (mut models, _) = super::open(std::slice::from_ref(path), false, &mut faults);
        let files = crate::job::take_encoder(&mut models, &mut faults).ok_or_else(|| {
            faults.pop().unwrap_or_else(|| {
                Error::new(ErrorKind::Unsupported, "is no BERT encoder")
                    .in_file(path.display().to_string())
            })
        })?;
        let encoder = Archive::open(&files).and_then(|archive| Encoder::open(&archive))?;
        suite.add_encoder(&Arc::new(encoder), args.training.read());
        given.sources.extend(files.files.into_iter().map(|s| ("encoder".into(), s)));
    }
    let mut inputs = format!("{:?}", args.training.read());
    for (_, source) in &given.sources {
        inputs.push_str(&crate::source::sha256(source.as_ref(), |_| {})?);
    }
    let mut wanted: Vec<(Setting, Vec<usize>)> = vec![];
    for setting in settings(&suite, &args.methods, args.full) {
        wanted.push((setting.clone(), suite.all_columns()));
        if args.full {
            for set in suite.sets() {
                let columns = suite.columns_of(&set);
                wanted.push((Setting { prompts: set, ..setting.clone() }, columns));
            }
        }
    }
    if wanted.is_empty() {
        let e = Error::new(ErrorKind::Usage, "no method of that name");
        say("error", &e.hint("leave --method out to see all of them"));
        return Ok(2);
    }
    if let Some(path) = &args.curve {
        return curve(args, &suite, path);
    }
    let kept = args.resume.as_deref().map(read_kept).transpose()?.unwrap_or_default();
    let mut rows = vec![];
    let show = !args.json && std::io::stderr().is_terminal();
    for (n, (setting, columns)) in wanted.iter().enumerate() {
        let setting_key = serde_json::to_string(setting).unwrap_or_default();
        let key = format!("{}/{}/{inputs}/{setting_key}", env!("CARGO_PKG_VERSION"), args.seed);
        if let Some(old) = kept.iter().find(|k| k.key == key) {
            rows.push(old.row.clone());
            continue;
        }
        if show {
            let _ = write!(std::io::stderr(), "\r{} of {} ", n + 1, wanted.len());
        }
        match suite.row(setting, columns, args.seed) {
            Ok(row) => {
                if let Some(path) = &args.resume {
                    keep(path, &Kept { key, row: row.clone() })?;
                }
                rows.push(row);
            }
            // One setting that cannot work must not cost the others.
            Err(e) => {
                say("problem", &e.in_file(format!("{} on {}", setting.method, setting.prompts)))
            }
        }
    }
    if show {
        let _ = write!(std::io::stderr(), "\r                \r");
    }
    if args.json {
        let output = Output {
            schema: "basetrace.bench/1",
            version: env!("CARGO_PKG_VERSION"),
            seed: args.seed,
            rows: &rows,
        };
        let text = serde_json::to_string_pretty(&output).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("the rows cannot be written: {e}"))
        })?;
        print(&format!("{text}\n"))?;
    } else {
        print(&table(&rows))?;
    }
    Ok(u8::from(rows.is_empty()))
}

/// Accuracy of the first method asked for (or of all together) against the number of prompts.
fn curve(args: &Bench, suite: &Suite, path: &Path) -> Result<u8> {
    let Some(setting) = settings(suite, &args.methods, false).into_iter().next() else {
        return Ok(2);
    };
    let seeds: Vec<u64> = (0..5).map(|i| args.seed + i).collect();
    let mut attribute = |columns: &[usize]| {
        let row = suite.row(&setting, columns, args.seed)?;
        Ok(Score { right: row.right, total: row.suspects })
    };
    let show = std::io::stderr().is_terminal();
    let points = prompts::curve(
        &suite.bases(),
        &prompts::PICKERS,
        &args.budgets,
        &seeds,
        &mut attribute,
        &mut |done, all| {
            if show {
                let _ = write!(std::io::stderr(), "\r{done} of {all} ");
            }
        },
    )?;
    std::fs::write(path, prompts::chart(&points)).map_err(|e| super::cannot_write(path, &e))?;
    let mut out = format!("{}: share of suspects with the right base first\n", setting.method);
    for p in &points {
        out.push_str(&format!(
            "{:<8} {:>4} prompts  {:.3}  ({:.3} to {:.3} over {} seeds)\n",
            p.picker, p.budget, p.accuracy, p.range.0, p.range.1, p.seeds
        ));
    }
    print(&out)?;
    Ok(0)
}

fn read_kept(path: &Path) -> Result<Vec<Kept>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => {
            return Err(Error::new(ErrorKind::Read, format!("cannot be read: {e}"))
                .in_file(path.display().to_string()));
        }
    };
    // A last line cut off in mid-write is done again.
    Ok(text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect())
}

fn keep(path: &Path, kept: &Kept) -> Result<()> {
    let line = serde_json::to_string(kept)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("a row cannot be written: {e}")))?;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut f| writeln!(f, "{line}"))
        .map_err(|e| super::cannot_write(path, &e))
}

fn table(rows: &[Row]) -> String {
    let heads = [
        "method",
        "reads",
        "knows",
        "labelled",
        "prompts",
        "n",
        "top-1",
        "95 % interval",
        "votes",
        "matched",
        "MRR",
        "AUC",
    ];
    let mut lines = vec![heads.map(str::to_owned).to_vec()];
    for r in rows {
        let percent = |p: f64| format!("{:.0}", 100.0 * p);
        lines.push(vec![
            r.setting.method.clone(),
            r.setting.representation.name().into(),
            r.setting.knowledge.name().into(),
            r.setting.labelled.name().into(),
            truncate(&plain(&r.setting.prompts), 16),
            r.columns.to_string(),
            format!("{}/{}", r.right, r.suspects),
            format!("{} to {} %", percent(r.interval.0), percent(r.interval.1)),
            r.votes.map_or_else(|| UNKNOWN.into(), |v| v.to_string()),
            r.matched.to_string(),
            format!("{:.3}", r.reciprocal),
            r.mean_auc.map_or_else(|| UNKNOWN.into(), |a| format!("{a:.3}")),
        ]);
    }
    let widths: Vec<usize> =
        (0..heads.len()).map(|c| lines.iter().map(|l| width(&l[c])).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(c, (cell, w))| {
            let pad = " ".repeat(w - width(cell));
            if c < 5 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    if let Some(first) = rows.first() {
        for (suspect, rank) in &first.ranks {
            out.push_str(&format!(
                "{}: the true base of {} is in place {rank}\n",
                first.setting.method,
                plain(suspect)
            ));
        }
    }
    out
}
