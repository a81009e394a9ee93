//! The same bits natively and in the browser.
//!
//! These tests run in both places and compare with the same constants: the
//! SHA-256 of every bit of a result. A constant that changes in both places
//! alike changed with the arithmetic, and is then written anew; one that
//! changes in one place only is a defect.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use basetrace::decoder::kernels::{Matrix, dot, exponentials, layer_norm, math, matmul, rms_norm};
use basetrace::decoder::{Model, Sampling};
use basetrace::formats::gather;
use basetrace::job::memo::Memo;
use basetrace::job::{Job, Parameters, Progress, Share, run, run_with, share};
use basetrace::responses::by_model;
use basetrace::samples::{Sample, parse};
use basetrace::source::{MemorySource, SharedSource, sha256};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use common::hugging_face;
use rand::{Rng, SeedableRng};
use std::rc::Rc;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// A small Hugging Face folder of tests/fixtures/families.
macro_rules! family {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("fixtures/families/", $name, "/config.json")).as_slice(),
            include_bytes!(concat!("fixtures/families/", $name, "/model.safetensors")).as_slice(),
        )
    };
}

type Family = (&'static str, &'static [u8], &'static [u8]);

/// The first 16 hex digits of the SHA-256 of all bits.
fn print(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
    hash(bytes)
}

fn hash(bytes: Vec<u8>) -> String {
    sha256(&MemorySource::new("values", bytes), |_| {}).unwrap()[..16].to_owned()
}

/// Compares all before it fails, so that one run shows every new constant.
fn compare(found: &[(String, String)], expected: &[(&str, &str)]) {
    let found: Vec<_> = found.iter().map(|(n, h)| (n.as_str(), h.as_str())).collect();
    assert_eq!(found, expected);
}

fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn model(family: Family) -> Model {
    model_within(family, u64::MAX)
}

/// With at most `room` bytes of weights held.
fn model_within((name, config, weights): Family, room: u64) -> Model {
    let archive = hugging_face(name, config.to_vec(), weights.to_vec()).unwrap();
    Model::load_within(&archive, room, &mut |_| {}).unwrap()
}

#[test]
fn elementary_functions() {
    let grid: Vec<f32> = (-9000..9000).map(|i| i as f32 / 97.0).collect();
    type Function = fn(f32) -> f32;
    let functions: [(&str, Function); 4] = [
        ("exp", |x| math::Exp::opaque().of(x)),
        ("silu", |x| math::Exp::opaque().silu(x)),
        ("gelu_tanh", |x| math::Exp::opaque().gelu_tanh(x)),
        ("gelu", math::gelu),
    ];
    let found: Vec<_> = functions
        .iter()
        .map(|(name, f)| {
            ((*name).to_owned(), print(&grid.iter().map(|x| f(*x)).collect::<Vec<_>>()))
        })
        .collect();
    compare(&found, &ELEMENTARY);
}

const ELEMENTARY: [(&str, &str); 4] = [
    ("exp", "d5ce4370c94ec0bd"),
    ("silu", "1a92eb084faee7b5"),
    ("gelu_tanh", "c95e3d4842436661"),
    ("gelu", "2e826b7091a746ea"),
];

/// A product of `rows × inner` with a matrix of every stored type, and norms.
#[test]
fn kernels() {
    const INNER: usize = 512;
    const OUTER: usize = 83;
    let x = noise(5 * INNER, 1);
    let weights = Tensor::from_vec(noise(OUTER * INNER, 2), (OUTER, INNER), &Device::Cpu).unwrap();
    let mut found = vec![];
    for dtype in [
        GgmlDType::F32,
        GgmlDType::F16,
        GgmlDType::BF16,
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q6K,
    ] {
        let stored = QTensor::quantize(&weights, dtype).unwrap();
        let row = Matrix::row_bytes(INNER, dtype).unwrap();
        let mut matrix = Matrix::new(OUTER, INNER, dtype);
        let data = stored.data().unwrap();
        for tile in data.chunks(row * basetrace::decoder::kernels::TILE_ROWS) {
            matrix.push(tile.len() / row, tile).unwrap();
        }
        let mut out = vec![0.0; 5 * OUTER];
        matmul(&x, &matrix, None, &mut out).unwrap();
        found.push((format!("{dtype:?}"), print(&out)));
    }
    compare(&found, &KERNELS);
}

const KERNELS: [(&str, &str); 9] = [
    ("F32", "6297cd6ae96902ce"),
    ("F16", "fc0e70b5915bebc0"),
    ("BF16", "4d0fef633f6e373c"),
    ("Q4_0", "ca9f1b11f3379ab3"),
    ("Q4_1", "2cf1dc11bc5a2673"),
    ("Q5_0", "330799307a738762"),
    ("Q8_0", "eb02a6f73a118158"),
    ("Q4K", "63d48283d7d24fd9"),
    ("Q6K", "9d328b571acdbbf9"),
];

/// Every way in which a family differs from the others.
const FAMILIES: [Family; 10] = [
    family!("llama"),
    family!("mistral"),
    family!("qwen2"),
    family!("qwen3"),
    family!("gemma3"),
    family!("gpt2"),
    family!("gpt-neox"),
    family!("gptj"),
    family!("opt"),
    family!("bloom"),
];

#[test]
fn logits_of_every_family() {
    let tokens: Vec<u32> = (0..24).map(|i| i * 7 % 64).collect();
    let found: Vec<_> = FAMILIES
        .iter()
        .map(|f| (f.0.to_owned(), print(&model(*f).logits(&tokens).unwrap())))
        .collect();
    compare(&found, &LOGITS);
}

const LOGITS: [(&str, &str); 10] = [
    ("llama", "5787999a3aac8913"),
    ("mistral", "b8a468b42edeba7d"),
    ("qwen2", "d0083f4b29961c58"),
    ("qwen3", "4a1ce09c1057b6b6"),
    ("gemma3", "87501af0ebc972af"),
    ("gpt2", "d1a972cd8710b4cb"),
    ("gpt-neox", "9367c428cbea92bb"),
    ("gptj", "8e08d352ac770929"),
    ("opt", "d2dcd7535dd460b0"),
    ("bloom", "5fb15aabd99d694b"),
];

/// Drawing tokens by chance, over a cache, and scoring what was drawn; the layers in
/// memory or in their file.
#[test]
fn generation_and_scores() {
    for room in [u64::MAX, 0] {
        let mut found = vec![];
        for family in [FAMILIES[0], FAMILIES[4]] {
            found.extend(written_and_scored(family.0, &model_within(family, room)));
        }
        compare(&found, &WRITTEN);
    }
}

fn written_and_scored(name: &str, model: &Model) -> [(String, String); 2] {
    let prompts: Vec<Vec<u32>> = (1..5).map(|n| (0..n * 3).map(|i| i * 5 % 64).collect()).collect();
    let sampling: Vec<Sampling> = (0..4)
        .map(|seed| Sampling { temperature: 0.8, top_p: 0.95, max_tokens: 20, seed })
        .collect();
    let written = model.generate(&prompts, &sampling, &|_| false, &mut |_| {}).unwrap();
    let bytes = written.iter().flatten().flat_map(|t| t.to_le_bytes()).collect();
    let whole: Vec<Vec<u32>> =
        prompts.iter().zip(&written).map(|(p, w)| [&p[..], w].concat()).collect();
    let sequences: Vec<(&[u32], usize)> =
        whole.iter().zip(&prompts).map(|(w, p)| (&w[..], p.len())).collect();
    let scores = model.score(&sequences, &mut |_| {}).unwrap();
    let values: Vec<f32> = scores
        .iter()
        .flatten()
        .flat_map(|s| [s.logprob, s.rank as f32, s.mean, s.variance])
        .collect();
    [(format!("{name} writes"), hash(bytes)), (format!("{name} scores"), print(&values))]
}

const WRITTEN: [(&str, &str); 4] = [
    ("llama writes", "37e9f1637269d61f"),
    ("llama scores", "27245cf736072647"),
    ("gemma3 writes", "0b0e1e69564b3d92"),
    ("gemma3 scores", "31f9caf747205903"),
];

/// Two models and some samples.
fn job() -> Job {
    let files = [FAMILIES[0], FAMILIES[5]].into_iter().flat_map(|(name, config, weights)| {
        [
            ("config.json", config.to_vec()),
            ("model.safetensors", weights.to_vec()),
            ("tokenizer.json", common::tokenizer(64)),
        ]
        .map(|(file, bytes)| {
            Rc::new(MemorySource::new(format!("{name}/{file}"), bytes)) as SharedSource
        })
    });
    let files: Vec<_> = files.collect();
    let gathered = gather(&files);
    assert_eq!(gathered.problems, []);
    let samples = b"FIRST/RESPONSE\n\nTHE<SECOND>ONE\n\nAND:A=THIRD";
    let samples = parse("samples.txt", samples).unwrap();
    assert_eq!(samples.samples.len(), 3);
    Job {
        candidates: gathered.candidates,
        suspects: by_model(&samples, "suspect").unwrap(),
        parameters: Parameters { max_new_tokens: 8, bootstrap: 100, ..Parameters::default() },
        ..Job::default()
    }
}

/// A whole run from files to scores: what every method starts from. Beyond
/// it, the browser tests compare the page's report with the native command's.
#[test]
fn a_whole_run() {
    let report = run(&job(), &mut |_| {}).unwrap().remove(0);
    assert_eq!(report.problems, []);
    let bytes = serde_json::to_vec(&(&report.candidates, &report.samples, &report.levels)).unwrap();
    compare(&[("run".to_owned(), hash(bytes))], &[("run", "66aed247a64a70dc")]);
}

/// Work done by several workers, or before, gives the same report, and no model
/// is loaded for it again.
#[test]
fn parts_change_nothing() {
    let job = job();
    let whole = run(&job, &mut |_| {}).unwrap();
    for of in 1..=4 {
        let mut memo = Memo::default();
        for part in 0..of {
            let mut own = Memo::default();
            share(&job, Share { part, of }, &mut own, &mut |_| {}).unwrap();
            memo.read(&own.write()).unwrap();
        }
        let held = memo.len();
        let mut loaded = 0;
        let mut count = |p: &Progress| loaded += usize::from(p.stage.starts_with("Loading"));
        assert_eq!(run_with(&job, &mut memo, &mut count).unwrap(), whole, "{of} parts");
        assert_eq!((loaded, memo.len()), (0, held), "{of} parts");
        // A part that is missing is made up for.
        let mut lacking = Memo::default();
        share(&job, Share { part: 0, of: of + 1 }, &mut lacking, &mut |_| {}).unwrap();
        assert!(lacking.len() < held);
        assert_eq!(run_with(&job, &mut lacking, &mut |_| {}).unwrap(), whole);
    }
}

/// Another sample, wherever it comes, costs what it costs alone, and one candidate
/// less costs nothing.
#[test]
fn only_what_is_new_is_computed() {
    let mut job = job();
    let mut memo = Memo::default();
    run_with(&job, &mut memo, &mut |_| {}).unwrap();
    let before = memo.len();
    let new = Sample::new(Some("ASK".into()), "NEW/SAMPLE".into(), String::new());
    let mut alone = Memo::default();
    let old = std::mem::replace(&mut job.suspects[0].samples, vec![new]);
    run_with(&job, &mut alone, &mut |_| {}).unwrap();
    job.suspects[0].samples.extend(old);
    let whole = run_with(&job, &mut memo, &mut |_| {}).unwrap();
    assert_eq!(memo.len(), before + alone.len());
    assert_eq!(whole, run(&job, &mut |_| {}).unwrap());

    job.candidates.remove(0);
    let mut loaded = 0;
    let mut count = |p: &Progress| loaded += usize::from(p.stage.starts_with("Loading"));
    let fewer = run_with(&job, &mut memo, &mut count).unwrap();
    assert_eq!((loaded, memo.len()), (0, before + alone.len()));
    assert_eq!(fewer, run(&job, &mut |_| {}).unwrap());
}

/// Norms, and the sum and the normalisation inside attention.
#[test]
fn vectors() {
    let (x, w, b) = (noise(768, 3), noise(768, 4), noise(768, 5));
    let mut found = vec![];
    let mut add = |name: &str, f: &dyn Fn(&mut Vec<f32>)| {
        let mut y = x.clone();
        f(&mut y);
        found.push((name.to_owned(), print(&y)));
    };
    add("softmax", &|y| {
        let scale = 1.0 / exponentials(y);
        y.iter_mut().for_each(|v| *v *= scale);
    });
    add("rms_norm", &|y| rms_norm(y, &w, 1.0, 1e-6));
    add("layer_norm", &|y| layer_norm(y, &w, &b, 1e-5));
    add("dot", &|y| *y = (1..96).map(|n| dot(&y[..n], &w[..n])).collect());
    compare(&found, &VECTORS);
}

const VECTORS: [(&str, &str); 4] = [
    ("softmax", "570928d484a3932f"),
    ("rms_norm", "151715b8fd92efab"),
    ("layer_norm", "830bb958012f6262"),
    ("dot", "be888ffa7be6ef9b"),
];
