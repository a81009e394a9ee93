//! The tests on running models, on the bundled bases: each is its own kin, and
//! neither twins of another seed nor other models are.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use basetrace::decoder::Model;
use basetrace::evidence::lineage::{Test, holm};
use basetrace::evidence::query::{METHODS, Plan, Record, Subject, tree};
use basetrace::formats::{Archive, CandidateFiles};
use basetrace::source::{FileSource, SharedSource};
use basetrace::tokenizer::Tokenizer;
use std::path::Path;
use std::rc::Rc;

/// The bundled bases with their files; the twins first.
const BASES: [(&str, &[&str]); 6] = [
    ("larch", &["larch.gguf"]),
    ("larch-twin", &["larch-twin.gguf"]),
    ("alder", &["alder.gguf"]),
    ("birch", &["birch.gguf"]),
    ("hazel", &["hazel/config.json", "hazel/model.safetensors", "hazel/tokenizer.json"]),
    ("rowan", &["rowan.gguf"]),
];

fn plan() -> Plan {
    Plan { prompts: 150, draws: 12, ..Plan::default() }
}

/// Records by method and base.
fn records() -> Vec<Vec<Option<Record>>> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/demo");
    let mut all = vec![vec![]; METHODS.len()];
    for (label, files) in BASES {
        let open = |f: &&str| Rc::new(FileSource::open(&demo.join(f), *f).unwrap()) as SharedSource;
        let files = CandidateFiles { label: label.into(), files: files.iter().map(open).collect() };
        let archive = Archive::open(&files).unwrap();
        let model = Model::load(&archive, &mut |_| {}).unwrap();
        let tokenizer = Tokenizer::open(&archive).unwrap();
        let subject = Subject { model: &model, tokenizer: &tokenizer, label };
        for (records, method) in all.iter_mut().zip(METHODS) {
            records.push(Some(method.observe(&subject, &plan(), &mut |_| {}).unwrap()));
        }
    }
    all
}

fn p_values(tests: &[Option<Test>]) -> Vec<Option<f64>> {
    holm(&tests.iter().map(|t| t.as_ref().and_then(|t| t.ln_p)).collect::<Vec<_>>())
}

#[test]
fn every_base_is_its_own_kin_and_nobody_elses() {
    for (method, records) in METHODS.iter().zip(records()) {
        for (i, suspect) in records.iter().enumerate() {
            let test = |candidates: &[Option<Record>]| {
                method.test(suspect.as_ref().unwrap(), candidates, &plan()).unwrap()
            };
            let tests = test(&records);
            // Few draws may not tell twins apart by what they say: a tie is no error.
            let score = |c: usize| tests[c].as_ref().unwrap().statistic;
            for (c, other) in BASES.iter().enumerate() {
                let names = (method.name(), BASES[i].0, other.0);
                assert!(score(c) <= score(i), "{names:?} {} {}", score(c), score(i));
            }
            // Among all, and with itself left out: no match that is none.
            let mut apart = records.clone();
            apart[i] = None;
            for (tests, among) in [(&tests, true), (&test(&apart), false)] {
                for (c, ln_p) in p_values(tests).into_iter().enumerate() {
                    let Some(ln_p) = ln_p else { continue };
                    let names = (method.name(), BASES[i].0, BASES[c].0);
                    assert_eq!(ln_p < libm::log(0.05), among && c == i, "{names:?} {ln_p}");
                }
            }
        }
        if matches!(records[0], Some(Record::Draws(_))) {
            let names: Vec<String> = BASES.iter().map(|b| b.0.to_owned()).collect();
            let tree = tree(&names, BASES.len(), &records).unwrap();
            assert_eq!((tree.joins.len(), tree.candidates), (5, 6));
            assert_eq!((tree.joins[0].0, tree.joins[0].1), (0, 1), "the twins are nearest");
        }
    }
}

#[test]
fn the_same_plan_gives_the_same_records() {
    assert_eq!(records(), records());
}
