//! `cargo xtask test`: every check, each named and timed, all of them run.

use crate::process::{Counts, cargo, run, run_tests};
use crate::tools::{self, Tools, WASM};
use crate::{Result, build_page};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What became of one step.
enum Outcome {
    /// It ran; the tests in it, if it counts any.
    Ran(Result<()>, Counts),
    /// It did not run, and why.
    Skipped(String),
}

struct Step {
    name: &'static str,
    run: fn(&Checks) -> Outcome,
}

/// In the order in which a fault is cheapest to find.
const STEPS: [Step; 9] = [
    Step { name: "format", run: format },
    Step { name: "clippy-native", run: clippy_native },
    Step { name: "clippy-wasm", run: clippy_wasm },
    Step { name: "models", run: models },
    Step { name: "native", run: native },
    Step { name: "tools", run: tools_step },
    Step { name: "wasm", run: wasm },
    Step { name: "page", run: page },
    Step { name: "browser", run: browser },
];

/// What the steps share.
struct Checks {
    root: PathBuf,
    tools: OnceCell<Result<Tools>>,
}

impl Checks {
    fn tools(&self) -> Result<&Tools> {
        self.tools.get_or_init(|| tools::for_tests(&self.root)).as_ref().map_err(Clone::clone)
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = cargo(&self.root);
        cargo.args(arguments);
        cargo
    }
}

/// Runs the steps named, or all; prints a table and the closing line.
pub fn test(root: &Path, only: &[&str]) -> ExitCode {
    if let Some(unknown) = only.iter().find(|o| STEPS.iter().all(|s| s.name != **o)) {
        let names: Vec<_> = STEPS.iter().map(|s| s.name).collect();
        eprintln!("error: there is no step {unknown}; the steps are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let checks = Checks { root: root.to_owned(), tools: OnceCell::new() };
    let start = Instant::now();
    let mut table = vec![];
    let mut total = Counts::default();
    for step in STEPS.iter().filter(|s| only.is_empty() || only.contains(&s.name)) {
        println!("\n== {} ==", step.name);
        let begun = Instant::now();
        let outcome = (step.run)(&checks);
        let (verdict, counts) = judge(outcome);
        total.passed += counts.passed;
        total.failed += counts.failed;
        total.skipped += counts.skipped;
        println!("== {}: {verdict} ==", step.name);
        table.push(format!("{:15}{:>9}  {verdict}", step.name, clock(begun.elapsed())));
    }
    println!("\n{}\n{:15}{:>9}\n", table.join("\n"), "all", clock(start.elapsed()));
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A step's verdict in words, and what it adds to the closing line: the tests
/// in it, or one for the step itself where it counts none.
fn judge(outcome: Outcome) -> (String, Counts) {
    match outcome {
        Outcome::Skipped(why) => {
            println!("skipped: {why}");
            (format!("skipped: {why}"), Counts { skipped: 1, ..Counts::default() })
        }
        Outcome::Ran(Ok(()), counts) if counts == Counts::default() => {
            ("passed".into(), Counts { passed: 1, ..counts })
        }
        Outcome::Ran(Ok(()), counts) if counts.failed == 0 => {
            let Counts { passed, skipped, .. } = counts;
            (format!("passed ({passed} tests, {skipped} skipped)"), counts)
        }
        // A program that ends well and reports failures is not believed.
        Outcome::Ran(Ok(()), counts) => (format!("FAILED ({} tests)", counts.failed), counts),
        Outcome::Ran(Err(e), counts) => {
            println!("error: {e}");
            let counts = Counts { failed: counts.failed.max(1), ..counts };
            ("FAILED".into(), counts)
        }
    }
}

fn clock(time: Duration) -> String {
    let s = time.as_secs_f32();
    if s < 60.0 {
        format!("{s:.1} s")
    } else {
        format!("{}:{:02} min", s as u32 / 60, s as u32 % 60)
    }
}

/// A step that is one program without tests to count.
fn plain(mut command: Command) -> Outcome {
    Outcome::Ran(run(&mut command), Counts::default())
}

/// A step that is one program with tests; none at all is a failure, too.
fn counted(mut command: Command) -> Outcome {
    let (result, counts) = run_tests(&mut command);
    let result = match result {
        Ok(()) if counts == Counts::default() => Err("no test was run".into()),
        other => other,
    };
    Outcome::Ran(result, counts)
}

fn format(checks: &Checks) -> Outcome {
    plain(checks.cargo(&["fmt", "--all", "--check"]))
}

fn clippy_native(checks: &Checks) -> Outcome {
    let what = ["clippy", "--locked", "--workspace", "--all-targets", "--all-features"];
    let mut command = checks.cargo(&what);
    command.args(["--", "-D", "warnings"]);
    plain(command)
}

fn clippy_wasm(checks: &Checks) -> Outcome {
    if let Err(e) = tools::wasm_target(&checks.root) {
        return Outcome::Ran(Err(e), Counts::default());
    }
    let what = ["--lib", "--bin", "page", "--bin", "worker", "--test", "wasm"];
    let mut command = checks.cargo(&["clippy", "--locked", "--target", WASM]);
    command.args(what).args(["--", "-D", "warnings"]);
    plain(command)
}

/// Brings the real models that some tests read, where the shared data is.
fn models(checks: &Checks) -> Outcome {
    let fetch = checks.root.join("../shared/models/fetch");
    if !fetch.exists() {
        let why = "../shared is not there, so tests on real models are skipped";
        return Outcome::Skipped(why.into());
    }
    let mut command = Command::new(fetch);
    command.arg(checks.root.join("target/models"));
    plain(command)
}

fn native(checks: &Checks) -> Outcome {
    let what = ["test", "--locked", "--workspace", "--all-features", "--no-fail-fast"];
    let mut command = checks.cargo(&what);
    // Tables and `skipped:` lines of tests that pass are part of the answer.
    command.args(["--", "--show-output"]);
    counted(command)
}

fn tools_step(checks: &Checks) -> Outcome {
    Outcome::Ran(checks.tools().map(drop), Counts::default())
}

fn wasm(checks: &Checks) -> Outcome {
    let tools = match checks.tools() {
        Ok(tools) => tools,
        Err(e) => return Outcome::Ran(Err(e), Counts::default()),
    };
    let mut command = checks.cargo(&["test", "--locked", "--target", WASM, "--test", "wasm"]);
    command
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER",
            tools.program("wasm-bindgen-test-runner"),
        )
        .env("CHROMEDRIVER", &tools.chromedriver)
        // Loaded machines need longer than the 20 s and 5 s it would wait.
        .env("WASM_BINDGEN_TEST_TIMEOUT", "600")
        .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60");
    counted(command)
}

fn page(checks: &Checks) -> Outcome {
    // A page of an earlier build must not be what the browser tests see.
    let dist = checks.root.join("dist");
    if dist.exists()
        && let Err(e) = std::fs::remove_dir_all(&dist)
    {
        return Outcome::Ran(Err(format!("dist cannot be emptied: {e}")), Counts::default());
    }
    Outcome::Ran(checks.tools().and_then(|t| build_page(&checks.root, t)), Counts::default())
}

fn browser(checks: &Checks) -> Outcome {
    if !checks.root.join("dist/index.html").exists() {
        return Outcome::Skipped("there is no page in dist/ to test".into());
    }
    let tools = match checks.tools() {
        Ok(tools) => tools,
        Err(e) => return Outcome::Ran(Err(e), Counts::default()),
    };
    let mut command = tools.command(&checks.root.join("tests/browser"), "node");
    command
        .args(["--test", "--test-reporter=spec"])
        .env("CHROMIUM", &tools.chromium)
        .env("BASETRACE", checks.root.join("target/debug/basetrace"));
    counted(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_tests_counts_as_one() {
        let one = |outcome| judge(outcome).1;
        let none = Counts::default();
        assert_eq!(one(Outcome::Ran(Ok(()), none)), Counts { passed: 1, ..none });
        assert_eq!(one(Outcome::Ran(Err("x".into()), none)), Counts { failed: 1, ..none });
        assert_eq!(one(Outcome::Skipped("x".into())), Counts { skipped: 1, ..none });
    }

    #[test]
    fn failures_survive_a_good_exit_status() {
        let counts = Counts { passed: 3, failed: 2, skipped: 0 };
        let (verdict, kept) = judge(Outcome::Ran(Ok(()), counts));
        assert!(verdict.starts_with("FAILED"), "{verdict}");
        assert_eq!(kept, counts);
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(clock(Duration::from_millis(4210)), "4.2 s");
        assert_eq!(clock(Duration::from_secs(605)), "10:05 min");
    }
}
