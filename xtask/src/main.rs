//! The project's commands: build, run and test with pinned tools.
//!
//! `cargo xtask help` lists them. Only the standard library is used, so that
//! this builds in seconds wherever cargo is.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people and logs")]

mod bench;
mod checks;
mod process;
mod serve;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tools::Tools;

const HELP: &str = "\
cargo xtask COMMAND

  run [--port N] [--no-open]  build the page, serve it on this machine, open it
  test [STEP...]              run all checks and tests, or only the steps named
  build                       build the page into dist/
  bench [MODEL] [ROUNDS] [SIZES]  measure the engine beside others, in Chromium
  bench job                   measure whole runs in the page
  bench onnx [ROUNDS] [SIZES] [KINDS]
                              measure the engine beside ONNX Runtime Web
  bench native [MODEL] [SIZE] measure the engine beside candle and llama.cpp, natively
  setup                       install the pinned tools into target/tools

Missing tools are installed first, by every command.";

/// What went wrong and what to do, for the person at the terminal.
type Result<T, E = String> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let result = match arguments.as_slice() {
        ["run", rest @ ..] => run(&root, rest),
        ["test", rest @ ..] => return checks::test(&root, rest),
        ["build"] => build(&root),
        ["bench", rest @ ..] => bench::bench(&root, rest),
        ["setup"] => tools::for_tests(&root).map(drop),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("error: no such command: cargo xtask {}\n\n{HELP}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The repository, wherever the command was called from.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Builds the page into dist/.
fn build(root: &Path) -> Result<()> {
    let tools = tools::for_page(root)?;
    build_page(root, &tools)
}

/// Trunk, kept from fetching anything: the tools are there, and so are the
/// crates once `cargo fetch` has run.
fn build_page(root: &Path, tools: &Tools) -> Result<()> {
    let mut fetch = process::cargo(root);
    fetch.args(["fetch", "--locked", "--target", tools::WASM]);
    process::run(&mut fetch)?;
    let mut trunk = tools.command(root, "trunk");
    trunk.args(["build", "--release", "--locked", "--offline", "--skip-version-check"]);
    // Trunk takes this variable for a flag and refuses "1", its usual value.
    trunk.env_remove("NO_COLOR");
    process::run(&mut trunk)
}

fn run(root: &Path, options: &[&str]) -> Result<()> {
    let mut port = 8017;
    let mut open = std::env::var_os("CI").is_none();
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match *option {
            "--no-open" => open = false,
            "--port" => {
                port = rest
                    .next()
                    .and_then(|p| p.parse().ok())
                    .ok_or("--port needs a number from 1 to 65535")?;
            }
            other => return Err(format!("run has no option {other}\n\n{HELP}")),
        }
    }
    build(root)?;
    serve::serve(&root.join("dist"), port, open)
}
