//! `cargo xtask bench`: the engine beside others, in Chromium.

use crate::Result;
use crate::process::{cargo, run};
use crate::tools::{self, WASM};
use std::path::Path;

/// Builds the engine as the page has it and lets it and others take turns;
/// `arguments` are a model, the number of rounds and the lengths to read. With
/// `job` alone, builds the page and measures whole runs.
pub fn bench(root: &Path, arguments: &[&str]) -> Result<()> {
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
