//! Running other programs: shown, counted, never fed from the keyboard.

use crate::Result;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a program's tests came to, as far as it said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were ignored or skipped themselves.
    pub skipped: u64,
}

/// The cargo that runs this, in `root`.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs to the end, with its output shown.
pub fn run(command: &mut Command) -> Result<()> {
    let line = show(command);
    println!("$ {line}");
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(e) => Err(format!("`{line}` cannot be run: {e}")),
    }
}

/// Runs to the end, with its output shown and the tests in it counted.
pub fn run_tests(command: &mut Command) -> (Result<()>, Counts) {
    let line = show(command);
    println!("$ {line}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return (Err(format!("`{line}` cannot be run: {e}")), Counts::default()),
    };
    let mut counts = Counts::default();
    if let Some(out) = child.stdout.take() {
        let mut out = BufReader::new(out);
        let mut line = vec![];
        while out.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            // A closed terminal is no reason to stop the tests.
            let _ = std::io::stdout().write_all(&line).and_then(|()| std::io::stdout().flush());
            counts.read(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let result = match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(e) => Err(format!("`{line}` was lost: {e}")),
    };
    (result, counts)
}

/// The command as it would be typed, without its environment and folder.
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str())];
    words.extend(command.get_args());
    let words: Vec<_> = words.iter().map(|w| w.to_string_lossy()).collect();
    words.join(" ")
}

impl Counts {
    /// Adds what one line of output says: the summaries of cargo's and
    /// wasm-bindgen's test runners and of node's, and the line `skipped: why`
    /// of a Rust test that found nothing to work on (cargo counts it as passed).
    fn read(&mut self, line: &str) {
        let line = line.trim();
        let number = |s: &str| s.trim().parse().unwrap_or(0u64);
        if let Some((_, rest)) = line.split_once("test result: ") {
            for part in rest.split([';', '.']) {
                match part.trim().split_once(' ') {
                    Some((n, "passed")) => self.passed += number(n),
                    Some((n, "failed")) => self.failed += number(n),
                    Some((n, "ignored")) => self.skipped += number(n),
                    _ => {}
                }
            }
        } else if line.starts_with("skipped: ") {
            self.skipped += 1;
            self.passed = self.passed.saturating_sub(1);
        } else if let Some(rest) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) {
            match rest.split_once(' ') {
                Some(("pass", n)) => self.passed += number(n),
                Some(("fail" | "cancelled", n)) => self.failed += number(n),
                Some(("skipped" | "todo", n)) => self.skipped += number(n),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Counts {
        let mut counts = Counts::default();
        text.lines().for_each(|l| counts.read(l));
        counts
    }

    #[test]
    fn counts_cargo() {
        let text = "running 3 tests\ntest a ... ok\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.11s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(counts(text), Counts { passed: 4, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_test_without_its_data_is_skipped_not_passed() {
        // The line comes after the test's own summary or, from another thread, before it.
        let after =
            "test result: ok. 3 passed; 0 failed; 0 ignored\nskipped: ../shared is not there";
        assert_eq!(counts(after), Counts { passed: 2, failed: 0, skipped: 1 });
    }

    #[test]
    fn counts_node() {
        let text = "✔ works (3ms)\nℹ tests 7\nℹ suites 0\nℹ pass 4\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 0\n";
        assert_eq!(counts(text), Counts { passed: 4, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_program_that_fails_is_an_error() {
        assert!(run(Command::new("cargo").arg("--no-such-option")).is_err());
        let (result, counts) = run_tests(&mut Command::new("/no/such/program"));
        assert!(result.unwrap_err().contains("cannot be run"));
        assert_eq!(counts, Counts::default());
    }
}
