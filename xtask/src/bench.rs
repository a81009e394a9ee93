//! `cargo xtask bench`: the engine beside others, in Chromium.

use crate::Result;
use crate::process::{cargo, run};
use crate::tools::{self, WASM};
use std::path::Path;

/// Builds the engine as the page has it and lets it and others take turns;
/// `arguments` are a model, the number of rounds and the lengths to read. With
/// `job` alone, builds the page and measures whole runs; with `native` and perhaps a
/// model and a length, compares with candle's and llama.cpp's own.
pub fn bench(root: &Path, arguments: &[&str]) -> Result<()> {
    if let ["native", rest @ ..] = arguments {
        return native(root, rest);
    }
    let tools = tools::for_bench(root)?;
    if arguments == ["job"] {
        crate::build_page(root, &tools)?;
        let mut node = tools.command(root, "node");
        return run(node.arg("xtask/bench/job.mjs").env("CHROMIUM", &tools.chromium));
    }
    let mut build = cargo(root);
    build.args(["build", "--locked", "--release", "--target", WASM, "--example", "speed"]);
    run(&mut build)?;
    let built = root.join("target").join(WASM).join("release/examples/speed.wasm");
    let out = root.join("target/bench");
    let mut bind = tools.command(root, "wasm-bindgen");
    run(bind.arg(&built).args(["--target", "web", "--no-typescript", "--out-dir"]).arg(&out))?;
    // As index.html has the worker made.
    let wasm = out.join("speed_bg.wasm");
    let mut optimise = tools.command(root, "wasm-opt");
    run(optimise.arg("-O1").arg(&wasm).arg("-o").arg(&wasm))?;
    let mut node = tools.command(root, "node");
    node.arg("xtask/bench/engine.mjs").args(arguments).env("CHROMIUM", &tools.chromium);
    run(&mut node)
}

/// One thread each. candle and llama.cpp choose their instructions when they are
/// compiled, so all are compiled for this processor.
fn native(root: &Path, arguments: &[&str]) -> Result<()> {
    let bundled = root.join("target/models/smollm2-135m-instruct.Q4_1.gguf");
    let model = arguments.first().map_or(bundled, |m| root.join(m));
    let tokens = arguments.get(1).copied().unwrap_or("256");
    let mut ours = cargo(root);
    ours.args(["run", "--locked", "--release", "--example", "speed", "--target-dir"]);
    ours.arg("target/bench/native").arg("--").arg(&model).arg(tokens);
    run(ours.env("RUSTFLAGS", "-C target-cpu=native").env("RAYON_NUM_THREADS", "1"))?;
    let python = root.join("target/bench/llama/bin/python");
    if !python.exists() {
        let folder = root.join("target/bench/llama");
        run(std::process::Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    }
    let mut install = std::process::Command::new(&python);
    run(install.args(["-m", "pip", "install", "--quiet", "llama-cpp-python==0.3.36"]))?;
    let mut theirs = std::process::Command::new(&python);
    run(theirs.current_dir(root).arg("xtask/bench/llama.py").arg(&model).arg(tokens))
}
