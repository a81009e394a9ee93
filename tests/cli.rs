//! The built command: exit codes, messages, files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn basetrace(args: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_basetrace"));
    c.args(args).stdin(Stdio::null());
    c
}

fn run(args: &[&str]) -> (i32, String, String) {
    read(basetrace(args).output().unwrap())
}

fn read(out: Output) -> (i32, String, String) {
    let text = |b| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// A fresh folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn file(dir: &Path, name: &str, content: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn usage_errors_are_2_and_help_is_0() {
    for args in [
        &[][..],
        &["rank"],
        &["rank", "--candidate", "x.gguf"],
        &["rank", "--candidate", "x.gguf", "--samples", "s.txt", "--seed", "many"],
        &["inspect"],
        &["no-such-command"],
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(!err.is_empty());
    }
    let bounded = ["rank", "-c", "x.gguf", "-s", "s.txt", "--bootstrap", "1"];
    let (code, _, err) = run(&bounded);
    assert_eq!(code, 2);
    assert_eq!(
        err,
        "error: the number of bootstrap rounds is 1, outside 100 to 100000 (hint: choose a value in that range)\n"
    );
    let (code, out, _) = run(&["rank", "--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("3  undetermined") && out.contains("--max-new-tokens"));
    assert_eq!(run(&["--version"]).1, concat!("basetrace ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn bad_files_are_1_each_named_once() {
    let dir = folder("bad-files");
    let bad = file(&dir, "bad.gguf", b"GGUF\x03\0\0\0");
    let gone = dir.join("gone.gguf");
    let text = file(&dir, "s.txt", b"One sample.\n\nAnother sample.\n");
    let (code, out, err) = run(&["rank", "-c", &bad, gone.to_str().unwrap(), "-s", &text]);
    assert_eq!((code, out.as_str()), (1, ""));
    for part in [
        "problem: bad.gguf: ",
        "problem: gone.gguf: cannot be opened",
        "error: no usable candidate",
    ] {
        assert_eq!(err.matches(part).count(), 1, "{part}: {err}");
    }
    assert_eq!(err.lines().count(), 3, "{err}");

    // Refused before any work: the output cannot be written.
    let html = dir.join("no/such/folder.html");
    let (code, _, err) = run(&["rank", "-c", &bad, "-s", &text, "--html", html.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains("cannot be written: no such folder"), "{err}");
}

#[test]
fn inspect_says_what_there_is() {
    let dir = folder("inspect");
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/llama/model.gguf");
    let text = file(&dir, "s.txt", b"One sample.\n\nAnother sample.\n");
    let (code, out, err) = run(&["inspect", model.to_str().unwrap(), &text]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("candidate model: "), "{out}");
    assert!(out.contains("\n  model.gguf (72.4\u{a0}kB)\nsamples s.txt: 2 usable\n"), "{out}");

    let lone = dir.join("lone");
    std::fs::create_dir(&lone).unwrap();
    let weights = model.with_extension("safetensors");
    std::fs::copy(weights, lone.join("model.safetensors")).unwrap();
    // Hidden files are nobody's.
    file(&lone, ".hidden", b"\xff");
    let (code, out, err) = run(&["inspect", lone.to_str().unwrap(), &text]);
    assert_eq!(code, 1);
    assert_eq!(out, "samples s.txt: 2 usable\n");
    assert!(err.starts_with("problem: lone") && err.contains("config.json"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn ranks_two_models_end_to_end() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models/tiny");
    if !tiny.is_dir() {
        println!("skipped: ../shared/models/tiny is absent");
        return;
    }
    let dir = folder("rank");
    let a = tiny.join("stories260k").to_str().unwrap().to_owned();
    // The other has the same vocabulary and no tokenizer of its own.
    let other = dir.join("llama2xs");
    std::fs::create_dir(&other).unwrap();
    for from in ["llama2xs/config.json", "llama2xs/model.safetensors", "stories260k/tokenizer.json"]
    {
        let from = tiny.join(from);
        std::fs::copy(&from, other.join(from.file_name().unwrap())).unwrap();
    }
    let b = other.to_str().unwrap().to_owned();
    let samples: String = (0..6)
        .map(|i| format!("{{\"prompt\": \"Once upon a time\", \"response\": \", {i} girls named Lily lived in a big house and played.\"}}\n"))
        .collect();
    let s = file(&dir, "s.jsonl", samples.as_bytes());
    let out = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let forms = [out("r.json"), out("r.csv"), out("r.html"), out("r.svg")];
    let args = |samples: &str| -> Vec<String> {
        let mut args = vec![
            "rank",
            "-c",
            &a,
            &b,
            "-s",
            samples,
            "--max-new-tokens",
            "8",
            "--bootstrap",
            "100",
            "--json",
        ];
        for (flag, path) in ["--out-json", "--csv", "--html", "--svg"].iter().zip(&forms) {
            args.extend([flag, path.as_str()]);
        }
        args.into_iter().map(str::to_owned).collect()
    };
    let first = args(&s);
    let (code, json, err) = run(&first.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(err, "", "no progress where standard error is no terminal");
    let report = basetrace::report::json::read(&json).unwrap();
    let expected = match report.verdict.answer {
        basetrace::report::Answer::Attributed => 0,
        basetrace::report::Answer::Undetermined => 3,
        basetrace::report::Answer::NoneOfThese => 4,
    };
    assert_eq!(code, expected);
    assert_eq!(report.candidates.len(), 2);
    assert_eq!(report.samples.len(), 6);
    assert!(report.findings.iter().all(|f| f.standings.len() == 2));
    assert!(report.inputs.iter().all(|i| i.sha256.len() == 64 && !i.name.contains("..")));
    assert_eq!(std::fs::read_to_string(&forms[0]).unwrap(), json);
    let hash = &report.inputs[0].sha256;
    for form in &forms[1..] {
        assert!(std::fs::read_to_string(form).unwrap().contains(hash), "{form}");
    }

    // From standard input: the same scores, the same code, and the same bytes each time.
    let piped = args("-");
    let mut runs = (0..2).map(|_| {
        let mut child = basetrace(&piped.iter().map(String::as_str).collect::<Vec<_>>())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(samples.as_bytes()).unwrap();
        read(child.wait_with_output().unwrap())
    });
    let (one, two) = (runs.next().unwrap(), runs.next().unwrap());
    assert_eq!((one.0, &one.1), (two.0, &two.1));
    let again = basetrace::report::json::read(&one.1).unwrap();
    assert_eq!((one.0, again.levels), (code, report.levels));
}

#[test]
fn models_answer_prompts_in_the_form_that_is_ranked() {
    let dir = folder("answer");
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/demo");
    let model = |name: &str| demo.join(name).to_str().unwrap().to_owned();
    let (rowan, alder) = (model("rowan.gguf"), model("alder.gguf"));
    let prompts = "{\"prompt\": \"The old man\", \"prompt_set\": \"mine\"}\n{\"prompt\": \"Love is\"}\n{\"prompt\": \"I think that\"}\n{\"prompt\": \"Why do people\"}\n";
    let asked = file(&dir, "p.jsonl", prompts.as_bytes());
    let answers = |more: &[&str]| {
        let args = ["answer", &rowan, &alder, "--prompts", &asked, "--max-new-tokens", "12"];
        let (code, out, err) = run(&[&args, more].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        let rows: Vec<serde_json::Value> =
            out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(rows.len(), 8);
        assert_eq!(rows[0]["prompt_set"], "mine");
        assert_eq!((&rows[1]["model"], &rows[5]["model"]), (&"rowan".into(), &"alder".into()));
        assert_eq!(rows[6]["prompt"], "I think that");
        rows.iter().map(|r| r["response"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (sampled, greedy) = (answers(&[]), answers(&["--temperature", "0"]));
    assert_eq!(answers(&[]), sampled, "the same seed is the same draw");
    assert_ne!(answers(&["--seed", "7"]), sampled);
    assert_eq!(answers(&["--greedy-every", "1"]), greedy);
    let third = answers(&["--greedy-every", "3"]);
    assert_eq!(third[2], greedy[2]);
    assert_eq!((&third[..2], &third[3..4]), (&sampled[..2], &sampled[3..4]));

    // What is written is read as candidates and suspects.
    let (_, out, _) = run(&["answer", &rowan, &alder, "--prompts", &asked, "-q"]);
    let bases = file(&dir, "bases.jsonl", out.as_bytes());
    let (_, out, _) = run(&["answer", &rowan, "--prompts", &asked, "--seed", "3"]);
    let suspect = file(&dir, "suspect.jsonl", out.as_bytes());
    let (_, out, err) = run(&["rank", "-c", &bases, "-s", &suspect, "--json"]);
    let report = basetrace::report::json::read(&out).unwrap();
    let labels: Vec<&str> = report.candidates.iter().map(|c| c.label.as_str()).collect();
    assert_eq!((labels, report.suspect.as_str()), (vec!["rowan", "alder"], "rowan"), "{err}");

    // One that cannot answer costs the others nothing, and no prompts are an error.
    let bad = file(&dir, "bad.gguf", b"GGUF\x03\0\0\0");
    let (code, out, err) = run(&["answer", &bad, &rowan, "--prompts", &asked]);
    assert_eq!((code, out.lines().count()), (1, 4));
    assert!(err.starts_with("problem: bad.gguf: "), "{err}");
    let (code, _, err) = run(&["answer", &rowan, "--prompts", &file(&dir, "none", b" \n")]);
    assert_eq!(code, 1);
    assert!(err.contains("there are no prompts in it"), "{err}");
    for wrong in [["--temperature", "9"], ["--greedy-every", "0"]] {
        let args = [&["answer", &rowan, "--prompts", &asked][..], &wrong].concat();
        assert_eq!(run(&args).0, 2, "{wrong:?}");
    }
}

/// The demo's model of this name.
fn demo(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/demo");
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn weights_are_compared_and_models_asked_as_much_as_is_said() {
    let [larch, birch] = ["larch.gguf", "birch.gguf"].map(demo);
    let compare = |queries: &[&str]| {
        let args = [&["compare", &larch, "-c", &larch, &birch, "--json"][..], queries].concat();
        let (code, out, err) = run(&args);
        assert_eq!(code, 0, "{err}");
        let report = basetrace::report::json::read(&out).unwrap();
        let asked = |t: &&basetrace::evidence::lineage::Test| t.method == "next-token-agreement";
        let about = report.lineage[0].tests.iter().find(asked).map(|t| t.about.clone());
        (report, about.unwrap_or_default())
    };
    // Small models are asked everything, though weights decide.
    let (report, about) = compare(&[]);
    assert_eq!((report.verdict.candidate, report.parameters.queries), (Some(0), None));
    assert!(about.starts_with("share of 100 prompts"), "{about}");
    assert!(report.tree.is_some());
    let (report, about) = compare(&["--queries", "9"]);
    assert_eq!(report.parameters.queries, Some(9));
    assert!(about.starts_with("share of 9 prompts"), "{about}");
    let (report, about) = compare(&["--queries", "0"]);
    assert_eq!((report.verdict.candidate, about.as_str()), (Some(0), ""));
    assert!(report.tree.is_none());
    let (code, _, err) = run(&["compare", &larch, "-c", &birch, "--queries", "10001"]);
    assert_eq!(code, 2);
    assert!(err.contains("the number of queries is 10001"), "{err}");
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_error() {
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/llama/model.gguf");
    let mut child = basetrace(&["inspect", model.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), out.stderr.as_slice()), (Some(0), &b""[..]));
}
