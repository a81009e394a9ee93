//! The native command: arguments and files in, a report and an exit code out.

mod bench;
mod progress;
mod prompts;
mod texts;

use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, CandidateFiles, gather};
use crate::job::{Job, Parameters};
use crate::report::figures::{self, plain};
use crate::report::{Answer, Report, chart, csv, html, json, text};
use crate::source::{FileSource, MemorySource, SharedSource};
use clap::{Args, Parser, Subcommand};
use progress::Bar;
use std::collections::HashSet;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Files taken from one folder at the most.
const MAX_FILES: usize = 10_000;
/// Folders within folders at the most.
const MAX_DEPTH: usize = 16;
/// Bytes read from standard input at the most.
const MAX_STDIN: u64 = 256 << 20;

const EXIT_CODES: &str = "Exit codes of rank:
  0  attributed to one candidate
  1  error: nothing could be ranked, or a result could not be written
  2  wrong usage
  3  undetermined: the evidence does not separate the candidates
  4  none of these: the evidence speaks against all candidates
Inputs that cannot be used are reported on standard error; the others are ranked.

Exit codes of inspect: 0 all files are usable, 1 some are not, 2 wrong usage.";

/// Trace a fine-tuned language model back to its pre-trained base.
#[derive(Parser)]
#[command(name = "basetrace", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rank candidate base models by samples of a suspect's text
    #[command(after_help = EXIT_CODES)]
    Rank(Rank),
    /// Say what each file is, which belong together and what is missing
    #[command(after_help = EXIT_CODES)]
    Inspect {
        /// Model files, folders or samples
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Choose prompts to put to a suspect, as JSON Lines
    Prompts(prompts::Prompts),
    /// Measure the text methods on suspects whose bases are known
    Bench(bench::Bench),
    /// Train and measure the toy zoo
    #[cfg(feature = "zoo")]
    #[command(disable_help_flag = true)]
    Zoo {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

#[derive(Args)]
struct Rank {
    /// A candidate: a GGUF file, a Hugging Face folder, or a file of its responses
    /// (with a model column, of several candidates); may be repeated. A BERT encoder
    /// among them serves the text classifiers
    #[arg(long = "candidate", short, required = true, value_name = "PATH", num_args = 1..)]
    candidates: Vec<PathBuf>,
    /// The suspect's text: JSONL, JSON, CSV, TSV or plain; - is standard input.
    /// With a model column it may hold several suspects
    #[arg(long, short, required = true, value_name = "FILE", num_args = 1..)]
    samples: Vec<PathBuf>,
    /// Responses of known fine-tunes to learn from, with a model column
    #[arg(long, value_name = "FILE", requires = "truth")]
    labelled: Option<PathBuf>,
    /// JSON object that names the candidate of each labelled fine-tune
    #[arg(long, value_name = "FILE", requires = "labelled")]
    truth: Option<PathBuf>,
    /// Whom the text classifiers know: all candidates, or one at a time
    #[arg(long, value_enum, default_value_t = texts::Level::Universal)]
    knowledge: texts::Level,
    /// What the text classifiers read
    #[arg(long, value_enum, default_value_t = texts::Reads::Response)]
    representation: texts::Reads,
    #[command(flatten)]
    training: texts::Trained,
    /// Print the report as JSON instead of text
    #[arg(long)]
    json: bool,
    /// Also write the report as JSON
    #[arg(long, value_name = "FILE")]
    out_json: Option<PathBuf>,
    /// Also write the report as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also write the report as one self-contained HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write the chart as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Seed of every random draw
    #[arg(long, value_name = "N", default_value_t = Parameters::default().seed)]
    seed: u64,
    /// Samples used at the most
    #[arg(long, value_name = "N", default_value_t = Parameters::default().max_samples)]
    max_samples: usize,
    /// Prompts that each candidate answers itself at the most
    #[arg(long, value_name = "N", default_value_t = Parameters::default().own_responses)]
    own_responses: usize,
    /// New tokens in a candidate's own response at the most
    #[arg(long, value_name = "N", default_value_t = Parameters::default().max_new_tokens)]
    max_new_tokens: usize,
    /// Temperature of the candidates' own responses
    #[arg(long, value_name = "T", default_value_t = Parameters::default().temperature)]
    temperature: f32,
    /// Nucleus mass of the candidates' own responses
    #[arg(long, value_name = "P", default_value_t = Parameters::default().top_p)]
    top_p: f32,
    /// Bootstrap rounds
    #[arg(long, value_name = "N", default_value_t = Parameters::default().bootstrap)]
    bootstrap: usize,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command line of this process; returns its exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come this way too, with code 0.
            let _ = e.print();
            return u8::try_from(e.exit_code()).unwrap_or(2);
        }
    };
    let done = match cli.command {
        Command::Rank(args) => rank(&args),
        Command::Inspect { files } => inspect(&files),
        Command::Prompts(args) => prompts::prompts(&args),
        Command::Bench(args) => bench::bench(&args),
        #[cfg(feature = "zoo")]
        Command::Zoo { args } => zoo(args),
    };
    done.unwrap_or_else(|e| {
        say("error", &e);
        1
    })
}

#[cfg(feature = "zoo")]
fn zoo(args: Vec<std::ffi::OsString>) -> Result<u8> {
    let help = args.iter().any(|a| a == "--help" || a == "-h" || a == "help");
    match crate::zoo::main(std::iter::once("basetrace zoo".into()).chain(args)) {
        // Help or usage as clap laid it out, over several lines.
        Err(e) if e.kind() == ErrorKind::Usage => {
            let _ = std::io::stderr().write_all(e.what().as_bytes());
            Ok(if help { 0 } else { 2 })
        }
        done => done.map(|()| 0),
    }
}

fn rank(args: &Rank) -> Result<u8> {
    let parameters = Parameters {
        seed: args.seed,
        max_samples: args.max_samples,
        own_responses: args.own_responses,
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_p: args.top_p,
        bootstrap: args.bootstrap,
        knowledge: args.knowledge.into(),
        representation: args.representation.into(),
        training: args.training.read(),
    };
    if let Err(e) = parameters.check() {
        say("error", &e);
        return Ok(2);
    }
    let outputs = [&args.out_json, &args.csv, &args.html, &args.svg];
    outputs.into_iter().flatten().try_for_each(|p| writable(p))?;

    let mut problems = vec![];
    let (mut candidates, written) = open(&args.candidates, &mut problems);
    let encoder = crate::job::take_encoder(&mut candidates, &mut problems);
    let mut given = texts::Given::default();
    let texts = given.groups("candidate responses", None, &written, &mut problems);
    let suspects = given.groups(
        "samples",
        Some("suspect"),
        &sources(&args.samples, &mut problems),
        &mut problems,
    );
    let labelled = match &args.labelled {
        Some(path) => {
            let rows = given.groups(
                "labelled fine-tunes",
                None,
                &sources(std::slice::from_ref(path), &mut problems),
                &mut problems,
            );
            texts::labelled(rows, args.truth.as_deref(), &mut problems)
        }
        None => vec![],
    };
    problems.iter().for_each(|p| say("problem", p));
    let usable = |missing: bool, what: &str, hint: &str| {
        if missing { Err(Error::new(ErrorKind::Missing, what).hint(hint)) } else { Ok(()) }
    };
    usable(
        candidates.is_empty() && texts.is_empty(),
        "no usable candidate",
        "see the problems above",
    )?;
    usable(suspects.is_empty(), "no usable sample", "see the problems above")?;

    let known = problems.len();
    let job = Job {
        candidates,
        encoder,
        texts,
        labelled,
        suspects,
        notes: given.notes,
        sources: given.sources,
        problems,
        parameters,
    };
    let mut bar = Bar::new(!args.quiet && std::io::stderr().is_terminal());
    let reports = crate::job::run(&job, &mut |p| bar.show(p));
    bar.clear();
    let reports = reports?;
    let mut said: Vec<&Error> = vec![];
    for p in reports.iter().flat_map(|r| r.problems.iter().skip(known)) {
        if !said.contains(&p) {
            say("problem", p);
            said.push(p);
        }
    }

    // The answer first: a full disk must not cost the user the run.
    print(&if args.json { json::write_all(&reports)? } else { text::write_all(&reports) })?;
    for (i, report) in reports.iter().enumerate() {
        write_files(args, report, (reports.len() > 1).then_some(i + 1))?;
    }
    let answers: Vec<Answer> = reports.iter().map(|r| r.verdict.answer).collect();
    Ok(if answers.iter().all(|a| *a == Answer::Attributed) {
        0
    } else if answers.iter().all(|a| *a == Answer::NoneOfThese) {
        4
    } else {
        3
    })
}

/// Writes the files asked for; of several suspects each gets its `number` before the ending.
fn write_files(args: &Rank, report: &Report, number: Option<usize>) -> Result<()> {
    type Write = fn(&Report) -> Result<String>;
    let forms: [(&Option<PathBuf>, Write); 4] = [
        (&args.out_json, json::write),
        (&args.csv, csv::write),
        (&args.html, |r| Ok(html::write(r))),
        (&args.svg, chart::svg_file),
    ];
    let mut first = Ok(());
    for (path, form) in forms {
        let Some(path) = path else { continue };
        let path = &match number {
            Some(n) => numbered(path, n),
            None => path.clone(),
        };
        let written = form(report)
            .and_then(|content| std::fs::write(path, content).map_err(|e| cannot_write(path, &e)));
        // The other files are still wanted; the first error decides the exit code.
        if let Err(e) = written {
            if first.is_ok() { first = Err(e) } else { say("error", &e) }
        }
    }
    first
}

/// `a/report.html` becomes `a/report-2.html`.
fn numbered(path: &Path, n: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map_or(String::new(), |e| format!(".{}", e.to_string_lossy()));
    path.with_file_name(format!("{stem}-{n}{ending}"))
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Error {
    Error::new(ErrorKind::Usage, format!("cannot be written: {e}"))
        .in_file(path.display().to_string())
        .hint("check that the folder exists and may be written")
}

/// Refuses an output path that cannot work before the long run rather than after it.
fn writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() || path.is_dir() {
        let e =
            std::io::Error::other(if path.is_dir() { "it is a folder" } else { "no such folder" });
        return Err(cannot_write(path, &e));
    }
    Ok(())
}

fn inspect(paths: &[PathBuf]) -> Result<u8> {
    let mut problems = vec![];
    let (candidates, samples) = open(paths, &mut problems);
    let mut out = String::new();
    for c in &candidates {
        match describe(c) {
            Ok(lines) => out.push_str(&lines),
            Err(e) => problems.push(e),
        }
    }
    for source in &samples {
        match crate::samples::read(source.as_ref()) {
            Ok(s) => {
                let name = plain(source.name());
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

/// Opens and sorts `paths`; what cannot be used is added to `problems`.
fn open(paths: &[PathBuf], problems: &mut Vec<Error>) -> (Vec<CandidateFiles>, Vec<SharedSource>) {
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
    problems.append(&mut gathered.problems);
    // A folder's README and word lists are no mistake of the user's.
    gathered.samples.retain(|s| given.contains(s.name()));
    (gathered.candidates, gathered.samples)
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
fn sources(paths: &[PathBuf], problems: &mut Vec<Error>) -> Vec<SharedSource> {
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

/// Writes to standard output; a reader that has seen enough is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Usage, format!("standard output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}

/// One line on standard error; when even that is closed there is nobody to tell.
fn say(what: &str, e: &Error) {
    let _ = writeln!(std::io::stderr(), "{what}: {}", plain(&e.to_string()));
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
