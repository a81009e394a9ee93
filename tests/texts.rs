//! Text alone, by the built command: ranking, several suspects, benchmark,
//! prompts, and what bad input comes to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn run(args: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_basetrace")).args(args).output().unwrap();
    let text = |b| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A file of rows: model, prompt, response.
fn rows(
    dir: &Path,
    name: &str,
    rows: impl IntoIterator<Item = (String, String, String)>,
) -> String {
    let line = |(model, prompt, response)| {
        serde_json::json!({"model": model, "prompt": prompt, "response": response}).to_string()
    };
    let text: Vec<String> = rows.into_iter().map(line).collect();
    let path = dir.join(name);
    std::fs::write(&path, text.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Thirty answers of `model`, each made by `of`.
fn answers(model: &str, of: fn(usize) -> String) -> Vec<(String, String, String)> {
    (0..30).map(|i| (model.to_owned(), format!("prompt {i}"), of(i))).collect()
}

fn shout(i: usize) -> String {
    format!("YES {i}! WHAT {i}!!")
}
fn calm(i: usize) -> String {
    format!("well, perhaps {i} of them, quietly")
}
fn louder(i: usize) -> String {
    format!("YES {i}! AND MORE {i}!")
}
fn meek(i: usize) -> String {
    format!("well, {i} it may be, so to say")
}

fn both(dir: &Path) -> (String, String) {
    let bases = rows(dir, "bases.jsonl", [answers("a", shout), answers("b", calm)].concat());
    let suspects = rows(dir, "suspects.jsonl", [answers("s", meek), answers("t", louder)].concat());
    (bases, suspects)
}

#[test]
fn two_suspects_are_ranked_and_matched() {
    let dir = folder("texts-rank");
    let (bases, suspects) = both(&dir);
    let html = dir.join("r.html");
    let args = ["rank", "-c", &bases, "-s", &suspects, "--json", "--html", html.to_str().unwrap()];
    let (code, out, err) = run(&args);
    assert!([0, 3].contains(&code), "{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["schema"], "basetrace.reports/1");
    let first = |r: usize| json["reports"][r]["verdict"]["candidate"].as_u64();
    assert_eq!((first(0), first(1)), (Some(1), Some(0)));
    assert_eq!(json["reports"][0]["matching"]["assigned"], serde_json::json!([1, 0]));
    // The level of knowledge stands with every result that rests on it.
    let about = json["reports"][0]["findings"].to_string();
    assert!(about.contains("Knowledge: universal, no labelled fine-tunes"));
    assert!(dir.join("r-1.html").exists() && dir.join("r-2.html").exists());
    // The same bytes again.
    assert_eq!(run(&args).1, out);
    // One suspect alone is one report, as with weights.
    let one = rows(&dir, "one.jsonl", answers("s", meek));
    let (_, out, _) =
        run(&["rank", "-c", &bases, "-s", &one, "--json", "--knowledge", "restricted"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["schema"], "basetrace.report/1");
    assert!(json["findings"].to_string().contains("Knowledge: restricted"));
    let (_, text, _) = run(&["rank", "-c", &bases, "-s", &suspects]);
    assert!(text.contains("=== s ===") && text.contains("supposes that no two suspects"));
}

#[test]
fn labelled_fine_tunes_are_learnt_from() {
    let dir = folder("texts-labelled");
    let (bases, suspects) = both(&dir);
    let known = rows(&dir, "known.jsonl", [answers("k", louder), answers("l", meek)].concat());
    let truth = dir.join("truth.json");
    std::fs::write(&truth, r#"{"k": "a", "l": "nobody"}"#).unwrap();
    let (_, out, err) = run(&[
        "rank",
        "-c",
        &bases,
        "-s",
        &suspects,
        "--json",
        "--labelled",
        &known,
        "--truth",
        truth.to_str().unwrap(),
    ]);
    assert!(out.contains("1 labelled fine-tunes"), "{err}");
    assert!(err.contains("l is labelled as a fine-tune of nobody, which is no candidate"));
    // A column of the rows does as well, and who has neither is left out by name.
    let text = std::fs::read_to_string(&known).unwrap();
    let based = text.replace("\"model\":\"k\"", "\"model\":\"k\",\"base\":\"a\"");
    assert_ne!(based, text);
    std::fs::write(&known, based).unwrap();
    let args = ["rank", "-c", &bases, "-s", &suspects, "--json", "--labelled", &known];
    let (code, out, err) = run(&args);
    assert!([0, 3].contains(&code) && out.contains("1 labelled fine-tunes"), "{err}");
    assert!(err.contains("problem: l: nothing says which candidate this fine-tune comes from"));
    // Labels among the candidates are no candidate, and said to be labels.
    let list = truth.to_str().unwrap();
    let (_, _, err) = run(&["rank", "-c", &bases, list, "-s", &suspects]);
    assert!(err.contains("truth.json: names the candidates of fine-tunes"), "{err}");
    let (code, out, _) = run(&["inspect", list]);
    assert_eq!((code, out.as_str()), (0, "labels truth.json: the candidates of 2\n"));
}

#[test]
fn the_report_says_which_saved_prompts_have_no_answer() {
    let dir = folder("texts-gaps");
    let (bases, suspects) = both(&dir);
    // More were asked than anybody answered.
    let asked: String = (0..33)
        .map(|i| serde_json::json!({"prompt": format!("prompt {i}")}).to_string() + "\n")
        .collect();
    let saved = dir.join("prompts.jsonl");
    std::fs::write(&saved, asked).unwrap();
    let saved = saved.to_str().unwrap();
    let (_, out, err) = run(&["rank", "-c", &bases, "-s", &suspects, "--prompts", saved, "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    let notes = json["reports"][0]["notes"].to_string();
    for suspect in ["s", "t"] {
        let note = format!(
            "{suspect}: 3 of 33 prompts have no answer: “prompt 30”, “prompt 31”, “prompt 32”"
        );
        assert!(notes.contains(&note), "{notes} {err}");
    }
    assert!(json["reports"][0]["inputs"].to_string().contains("prompts.jsonl"));
    let (code, out, _) = run(&["inspect", saved]);
    assert_eq!((code, out.as_str()), (0, "prompts prompts.jsonl: 33 to be asked\n"));
}

#[test]
fn bad_input_is_named_and_costs_nothing_else() {
    let dir = folder("texts-bad");
    let (bases, _) = both(&dir);
    let blank = |i: usize| {
        let _ = i;
        String::new()
    };
    let mut mixed = answers("mute", blank);
    mixed.extend((0..30).map(|i| ("other".into(), format!("question {i}"), louder(i))));
    let suspects = rows(&dir, "mixed.jsonl", mixed);
    let (code, out, err) = run(&["rank", "-c", &bases, "-s", &suspects]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("problem: mute: all its responses are empty"), "{err}");
    assert!(err.contains("the prompts do not overlap"), "{err}");
    // Style needs no common prompts.
    assert!(
        out.contains("stylometry")
            && out.contains("30 prompts that others answered have no answer of other")
    );
    // One candidate alone: no model column.
    let alone = rows(&dir, "alone.jsonl", answers("a", shout));
    let (code, out, _) = run(&["rank", "-c", &alone, "-s", &suspects]);
    assert_eq!(code, 3);
    assert!(out.contains("Undetermined"));
    // A column of ids is no model column.
    let ids = rows(&dir, "ids.jsonl", (0..300).map(|i| (format!("id{i}"), "p".into(), shout(i))));
    let (code, _, err) = run(&["rank", "-c", &ids, "-s", &suspects]);
    assert_eq!(code, 1);
    assert!(err.contains("names more than 200 models"), "{err}");
}

#[test]
fn fifty_thousand_rows_are_thinned_and_said() {
    let dir = folder("texts-many");
    let many = |model: &'static str, of: fn(usize) -> String| {
        (0..12_500).map(move |i| (model.to_owned(), format!("prompt {i}"), of(i)))
    };
    let bases = rows(&dir, "bases.jsonl", many("a", shout).chain(many("b", calm)));
    let suspects = rows(&dir, "suspects.jsonl", many("s", louder).chain(many("t", meek)));
    let (code, out, err) = run(&["rank", "-c", &bases, "-s", &suspects, "--bootstrap", "100"]);
    assert!([0, 3].contains(&code), "{err}");
    assert!(out.contains("10500 of 12500 prompts were left out: 2000 are plenty"), "{out}");
}

#[test]
fn the_benchmark_counts_resumes_and_refuses() {
    let dir = folder("texts-bench");
    let (bases, suspects) = both(&dir);
    let truth = dir.join("truth.json");
    std::fs::write(&truth, r#"{"s": "b", "t": "a"}"#).unwrap();
    let kept = dir.join("kept.jsonl");
    let args = [
        "bench",
        "--bases",
        &bases,
        "--suspects",
        &suspects,
        "--truth",
        truth.to_str().unwrap(),
        "--json",
        "--resume",
        kept.to_str().unwrap(),
    ];
    let (code, out, err) = run(&args);
    assert_eq!(code, 0, "{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    let row =
        json["rows"].as_array().unwrap().iter().find(|r| r["method"] == "stylometry").unwrap();
    assert_eq!((&row["right"], &row["suspects"]), (&2.into(), &2.into()));
    // Taken up again: what was kept is what is shown, and a cut line is done anew.
    let text = std::fs::read_to_string(&kept).unwrap();
    let altered = text.replacen("\"right\":2", "\"right\":1", 1);
    assert_ne!(altered, text);
    std::fs::write(&kept, &altered[..altered.len() - 9]).unwrap();
    let (_, again, _) = run(&args);
    assert_eq!(again.matches("\"right\": 1").count(), out.matches("\"right\": 1").count() + 1);
    std::fs::write(&truth, r#"{"s": "b"}"#).unwrap();
    let (code, _, err) = run(&args);
    assert_eq!(code, 1);
    assert!(err.contains("the truth does not name the base of t"), "{err}");
}

#[test]
fn prompts_come_from_sets_and_from_picking() {
    let dir = folder("texts-prompts");
    let (bases, _) = both(&dir);
    let (code, out, _) = run(&["prompts", "--strategy", "curated", "--budget", "20"]);
    assert_eq!((code, out.lines().count()), (0, 20));
    for picker in ["greedy", "rl", "random"] {
        let (code, out, err) =
            run(&["prompts", "--strategy", picker, "--bases", &bases, "--budget", "5"]);
        assert_eq!((code, out.lines().count()), (0, 5), "{err}");
        let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert!(first["prompt"].as_str().unwrap().starts_with("prompt "));
    }
    let (code, _, err) = run(&["prompts", "--strategy", "magic"]);
    assert_eq!(code, 1);
    assert!(err.contains("magic") && err.contains("greedy"), "{err}");
}
