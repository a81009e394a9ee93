use super::*;
use crate::formats::gather;
use crate::source::{FileSource, SharedSource};
use std::path::Path;
use std::rc::Rc;

fn open(folder: &str, files: &[&str]) -> Anatomy {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let source = |f: &&str| Rc::new(FileSource::open(&folder.join(f), *f).unwrap()) as SharedSource;
    let mut gathered = gather(&files.iter().map(source).collect::<Vec<_>>());
    gathered.admit_bare();
    assert_eq!(gathered.candidates.len(), 1, "{:?}", gathered.problems);
    Anatomy::open(&gathered.candidates[0]).unwrap()
}

fn parts(layers: usize) -> Vec<Part> {
    let mut all = vec![Part::Embedding, Part::Positions, Part::Head];
    for i in 0..layers {
        all.extend([Part::Query(i), Part::Key(i), Part::Value(i), Part::Output(i)]);
        all.extend([Part::Gate(i), Part::Up(i), Part::Down(i)]);
    }
    all
}

/// Both containers of one model, as the families' fixtures have them: the same
/// parts, whatever their names, their fusing and the order of their rows.
#[test]
fn a_part_is_the_same_from_either_container() {
    let mut compared = 0;
    for family in ["llama", "llama-tied", "qwen2", "qwen3", "gemma3", "gpt2", "gpt-neox", "bloom"] {
        let folder = format!("tests/fixtures/families/{family}");
        let safetensors = open(&folder, &["config.json", "model.safetensors"]);
        let gguf = open(&folder, &["model.gguf"]);
        let layers = safetensors.config().unwrap().layers;
        assert!(layers > 0);
        for part in parts(layers) {
            let (a, b) = (safetensors.matrix(part), gguf.matrix(part));
            // A converter may write a shared output matrix out.
            assert!(part == Part::Head || a.is_some() == b.is_some(), "{family} {part:?}");
            let (Some(a), Some(b)) = (a, b) else { continue };
            assert_eq!((a.rows, a.cols), (b.rows, b.cols), "{family} {part:?}");
            let (x, y) = (a.all().unwrap(), b.all().unwrap());
            let far = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(far < 1e-6, "{family} {part:?}: {far}");
            assert!(x.iter().any(|v| *v != 0.0));
            // Some rows are those rows of all.
            let last = a.rows - 1;
            let rows = a.some(&[last, 0, 1]).unwrap();
            let row = |r: usize| &x[r * a.cols..(r + 1) * a.cols];
            assert_eq!(rows, [row(last), row(0), row(1)].concat(), "{family} {part:?}");
            compared += 1;
        }
        for part in [Part::Query(0), Part::Up(0)] {
            let (a, b) =
                (safetensors.vector(part, "bias").unwrap(), gguf.vector(part, "bias").unwrap());
            // A rotary family's bias would need its rows turned, too; the only one with biases stores halves apart.
            assert_eq!(a.map(|v| v.len()), b.map(|v| v.len()), "{family}");
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn an_unknown_family_still_has_its_tensors() {
    let mut model = open("tests/fixtures/families/llama", &["config.json", "model.safetensors"]);
    let known = model.archive.tensors.len();
    if let crate::formats::Metadata::HuggingFace { config, .. } = &mut model.archive.metadata {
        config["model_type"] = "never-heard-of".into();
    }
    let model = Anatomy::of(model.archive);
    assert!(model.config().is_none() && model.matrix(Part::Embedding).is_none());
    assert_eq!(model.archive.tensors.len(), known);
    assert!(model.spellings().is_err());
}
