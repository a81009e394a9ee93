//! `basetrace compare`, and what it shares with `rank`: where results go, and
//! the run from a job to its exit code.

use super::files::open;
use super::progress::Bar;
use super::{cannot_write, print, say};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::CandidateFiles;
use crate::job::memo::Memo;
use crate::job::{Job, Parameters, Share};
use crate::report::{Answer, Report, chart, csv, html, json, text};
use clap::Args;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Compare {
    /// The suspect's weights: a GGUF file or a folder
    #[arg(required = true, value_name = "SUSPECT")]
    suspect: PathBuf,
    /// A candidate's weights, in any format; may be repeated
    #[arg(long = "candidate", short, required = true, value_name = "PATH", num_args = 1..)]
    candidates: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Where results go.
#[derive(Args)]
pub struct Output {
    /// Print the report as JSON instead of text
    #[arg(long)]
    pub json: bool,
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
    pub seed: u64,
    /// Prompts that models are asked for one next token beside a suspect's weights; 0 for none.
    /// Unless set: 100 where weights do not compare or models are small, else none but a seed print
    #[arg(long, value_name = "N")]
    pub queries: Option<usize>,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

impl Output {
    /// Refuses output paths that cannot work before the long run rather than after it.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<()> {
        let all = [&self.out_json, &self.csv, &self.html, &self.svg];
        all.into_iter().flatten().try_for_each(|p| writable(p))
    }
}

/// Compares a suspect's weights with every candidate's.
///
/// # Errors
/// Where nothing can be compared, or a result cannot be written.
pub fn compare(args: &Compare) -> Result<u8> {
    let Output { seed, queries, .. } = args.output;
    let parameters = Parameters { seed, queries, ..Parameters::default() };
    if let Err(e) = parameters.check() {
        say("error", &e);
        return Ok(2);
    }
    args.output.check()?;
    let mut problems = vec![];
    let (candidates, _) = open(&args.candidates, true, &mut problems);
    let weights = weights(std::slice::from_ref(&args.suspect), &mut problems);
    problems.iter().for_each(|p| say("problem", p));
    for (missing, what) in
        [(candidates.is_empty(), "no usable candidate"), (weights.is_empty(), "no usable suspect")]
    {
        if missing {
            return Err(Error::new(ErrorKind::Missing, what).hint("see the problems above"));
        }
    }
    let job = Job { candidates, weights, problems, parameters, ..Job::default() };
    finish(&job, &mut Memo::default(), &args.output)
}

/// The suspects' weights under `paths`.
pub fn weights(paths: &[PathBuf], problems: &mut Vec<Error>) -> Vec<CandidateFiles> {
    open(paths, true, problems).0
}

/// Bytes of models that may be in memory at a time, over all threads.
const MEMORY: u64 = 4 << 30;

/// Cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Computes for `job`, in so many `threads`, what a run needs of its candidates,
/// into `memo`. A job cannot leave its thread, so the others `open` their own;
/// what fails here is left to the run, which says why.
pub fn share(
    threads: usize,
    job: &Job,
    open: &(dyn Fn() -> Result<Job> + Sync),
    memo: &mut Memo,
    output: &Output,
) {
    let sizes = job.candidates.iter().map(|c| c.files.iter().map(|f| f.len()).sum::<u64>());
    let fit = usize::try_from(MEMORY / sizes.max().unwrap_or(0).max(1)).unwrap_or(threads);
    let threads = threads.min(fit);
    if threads < 2 || job.candidates.is_empty() {
        return;
    }
    let mut bar = Bar::new(!output.quiet && std::io::stderr().is_terminal());
    std::thread::scope(|scope| {
        let part = |part| Share { part, of: threads };
        let others: Vec<_> = (1..threads)
            .map(|i| {
                scope.spawn(move || {
                    let mut memo = Memo::default();
                    let done = open()
                        .and_then(|job| crate::job::share(&job, part(i), &mut memo, &mut |_| {}));
                    done.map(|_| memo.write()).unwrap_or_default()
                })
            })
            .collect();
        let _ = crate::job::share(job, part(0), memo, &mut |p| bar.show(p));
        for other in others {
            let _ = memo.read(&other.join().unwrap_or_default());
        }
    });
    bar.clear();
}

/// Runs `job` and writes its results; the exit code says what they came to.
///
/// # Errors
/// Where there is no result, or it cannot be written.
pub fn finish(job: &Job, memo: &mut Memo, output: &Output) -> Result<u8> {
    let known = job.problems.len();
    let mut bar = Bar::new(!output.quiet && std::io::stderr().is_terminal());
    let reports = crate::job::run_with(job, memo, &mut |p| bar.show(p));
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
    print(&if output.json { json::write_all(&reports)? } else { text::write_all(&reports) })?;
    for (i, report) in reports.iter().enumerate() {
        write_files(output, report, (reports.len() > 1).then_some(i + 1))?;
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
fn write_files(args: &Output, report: &Report, number: Option<usize>) -> Result<()> {
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
