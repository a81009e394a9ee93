//! The tests on the bundled models of the zoo: six bases, two of them twins
//! that differ only in their seed.

use super::*;
use crate::anatomy::Part;
use crate::evidence::lineage::Relation;
use crate::formats::{CandidateFiles, gather};
use crate::source::{FileSource, SharedSource};
use std::path::Path;
use std::rc::Rc;

fn base(name: &str) -> Anatomy {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/demo");
    let files: Vec<String> = if name == "hazel" {
        ["config.json", "model.safetensors", "tokenizer.json"].map(|f| format!("hazel/{f}")).into()
    } else {
        vec![format!("{name}.gguf")]
    };
    let source = |f: &String| {
        Rc::new(FileSource::open(&folder.join(f), f.as_str()).unwrap()) as SharedSource
    };
    let mut gathered = gather(&files.iter().map(source).collect::<Vec<_>>());
    let files: CandidateFiles = gathered.candidates.pop().unwrap();
    Anatomy::open(&files).unwrap()
}

const BASES: [&str; 6] = ["larch", "larch-twin", "alder", "birch", "hazel", "rowan"];

fn lineages(suspect: &Anatomy, candidates: &[Anatomy]) -> Vec<Lineage> {
    let mut problems = vec![];
    let found = compare(suspect, candidates, 1, &mut problems, &mut |_, _, _| {});
    assert!(problems.is_empty(), "{problems:?}");
    found
}

#[test]
fn a_base_is_its_own_copy_and_nobody_elses_kin() {
    let candidates: Vec<Anatomy> = BASES.iter().map(|b| base(b)).collect();
    for (i, name) in BASES.iter().enumerate() {
        let found = lineages(&base(name), &candidates);
        for (j, lineage) in found.iter().enumerate() {
            let p = lineage.ln_p;
            if i == j {
                assert_eq!(lineage.relation, Relation::Copy, "{name}: {}", lineage.why);
                // Below 1e-9 by every test that applied.
                for test in lineage.tests.iter().filter_map(|t| t.ln_p) {
                    assert!(test < -20.0, "{name}: {:?}", lineage.tests);
                }
                assert!(lineage.context.iter().all(|f| f.same), "{name} {:?}", lineage.context);
            } else {
                assert!(!lineage.relation.kin(), "{name} and {}: {}", BASES[j], lineage.why);
                assert!(p.is_none_or(|p| p > -5.0), "{name} and {}: {p:?}", BASES[j]);
            }
        }
    }
}

#[test]
fn twins_compare_in_full_and_are_independent() {
    let (a, b) = (base("larch"), base("larch-twin"));
    let found = lineages(&a, std::slice::from_ref(&b));
    let methods: Vec<&str> = found[0].tests.iter().map(|t| t.method.as_str()).collect();
    assert_eq!(
        methods,
        ["row-matching", "aligned-similarity", "embedding-rows", "tensor-forensics"]
    );
    assert_eq!(found[0].relation, Relation::Independent);
    assert!(found[0].context.iter().all(|f| f.same), "{:?}", found[0].context);
}

#[test]
fn different_layers_of_one_model_are_independent_units() {
    let model = base("larch");
    let pair = Pair::new(&model, &model, 1).unwrap();
    let mut p = vec![];
    for i in 0..3 {
        for j in 0..3 {
            let layer = rows::layer(&pair, i, j).unwrap().unwrap();
            let (place, views) = (layer.place.unwrap(), layer.views.unwrap());
            if i == j {
                assert!(place.0 == 1.0 && views.0 == 1.0 && place.1 < -500.0);
            } else {
                p.extend([place.1, views.1]);
            }
        }
    }
    assert!(p.iter().all(|p| *p > -7.0), "{p:?}");
}

#[test]
fn products_are_plain_sums() {
    let (a, b): (Vec<f32>, Vec<f32>) =
        ((0..6).map(|v| v as f32).collect(), (0..9).map(|v| 1.0 - v as f32).collect());
    let got = product(&a, &b, 3).unwrap();
    for r in 0..2 {
        for c in 0..3 {
            let want: f32 = (0..3).map(|k| a[r * 3 + k] * b[c * 3 + k]).sum();
            assert_eq!(got[r * 3 + c], want);
        }
    }
    assert_eq!(transposed(&a, 3), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn an_alignment_found_is_the_one_that_was_hidden() {
    let model = base("larch");
    let found = Alignment::find(&model, &model, 1).unwrap();
    assert!(found.dims.is_none() && (found.strength - 1.0).abs() < 1e-4);
    let slab = model.matrix(Part::Up(0)).unwrap();
    let (values, h) = (slab.all().unwrap(), slab.cols);
    let dims: Vec<(usize, f32)> =
        (0..h).map(|d| ((d * 7 + 3) % h, if d % 3 == 0 { -1.0 } else { 1.0 })).collect();
    let moved = Alignment { dims: Some(dims.clone()), ..found };
    let there = moved.columns(values.clone(), h);
    for (row, from) in there.chunks_exact(h).zip(values.chunks_exact(h)) {
        for (d, (e, s)) in dims.iter().enumerate() {
            assert_eq!(row[d], from[*e] * s);
        }
    }
    let rows = slab.rows;
    let turned = moved.rows(transposed(&values, h), rows);
    assert_eq!(transposed(&turned, rows), there);
}
