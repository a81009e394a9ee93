//! `cargo xtask bench`: the engine beside others, in Chromium.

use crate::Result;
use crate::process::{cargo, run};
use crate::tools::{self, Tools, WASM};
use std::path::{Path, PathBuf};
use std::process::Command;

const BUNDLED: &str = "target/models/smollm2-135m-instruct.Q4_1.gguf";
/// Those of `to_onnx.py` whose answers agree with ours; q8's do not.
const ONNX_KINDS: &str = "q4,fp32";

/// Builds the engine as the page has it and lets it and others take turns;
/// `arguments` are a model, the number of rounds and the lengths to read. With
/// `job` alone, builds the page and measures whole runs. With `onnx` and perhaps the
/// number of rounds, the lengths and the kinds, compares with ONNX Runtime Web; with
/// `native` and perhaps a model and a length, with candle's and llama.cpp's own.
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
    engine(root, &tools)?;
    let (script, arguments) = match arguments {
        ["onnx", rest @ ..] => {
            onnx_models(root, rest.get(2).copied().unwrap_or(ONNX_KINDS))?;
            ("onnx.mjs", rest)
        }
        all => ("engine.mjs", all),
    };
    let mut node = tools.command(root, "node");
    node.arg(format!("xtask/bench/{script}")).args(arguments).env("CHROMIUM", &tools.chromium);
    run(&mut node)
}

/// The engine as the page has it, for a page that only measures.
fn engine(root: &Path, tools: &Tools) -> Result<()> {
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
    run(optimise.arg("-O1").arg(&wasm).arg("-o").arg(&wasm))
}

/// The bundled model as Q4_0, and the same for ONNX Runtime, whose products know no
/// minima as Q4_1 has.
fn onnx_models(root: &Path, kinds: &str) -> Result<()> {
    let gguf = "target/bench/q4_0.gguf";
    let mut requantize = cargo(root);
    requantize.args(["run", "--quiet", "--locked", "--release", "--example", "requantize", "--"]);
    run(requantize.args([BUNDLED, gguf, "q4_0"]))?;
    let python = python(root, "target/bench/onnx", &["onnx==1.23.2", "gguf==0.19.0"])?;
    for kind in kinds.split(',') {
        let onnx = format!("target/bench/{kind}.onnx");
        let mut convert = Command::new(&python);
        convert.args(["xtask/bench/to_onnx.py", gguf, kind, &onnx]);
        run(convert.current_dir(root))?;
    }
    Ok(())
}

/// Python with `packages`, in a place of its own.
fn python(root: &Path, place: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = root.join(place);
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    }
    let mut install = Command::new(&python);
    run(install.args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    Ok(python)
}

/// One thread each. candle and llama.cpp choose their instructions when they are
/// compiled, so all are compiled for this processor.
fn native(root: &Path, arguments: &[&str]) -> Result<()> {
    let model = root.join(arguments.first().copied().unwrap_or(BUNDLED));
    let tokens = arguments.get(1).copied().unwrap_or("256");
    let mut ours = cargo(root);
    ours.args(["run", "--locked", "--release", "--example", "speed", "--target-dir"]);
    ours.arg("target/bench/native").arg("--").arg(&model).arg(tokens);
    run(ours.env("RUSTFLAGS", "-C target-cpu=native").env("RAYON_NUM_THREADS", "1"))?;
    let python = python(root, "target/bench/llama", &["llama-cpp-python==0.3.36"])?;
    let mut theirs = Command::new(&python);
    run(theirs.current_dir(root).arg("xtask/bench/llama.py").arg(&model).arg(tokens))
}
