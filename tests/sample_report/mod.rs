//! A report made by hand, with everything awkward in it.

use basetrace::decoder::TokenScore;
use basetrace::evidence::lineage::{Basis, Fact, LayerMap, Lineage, Null, Relation, Test, Tree};
use basetrace::evidence::{Access, Finding, NoneOfThese, ResponseScore, Standing};
use basetrace::job::Parameters;
use basetrace::report::{Answer, Candidate, Input, Report, SCHEMA, SampleResult, Verdict};
use basetrace::samples::{Note, Sample};
use basetrace::{Error, ErrorKind};

/// One token per word (its leading space with it).
fn score(response: &str, harder: f32) -> ResponseScore {
    let mut ends: Vec<usize> =
        response.match_indices(' ').map(|m| m.0).filter(|&i| i > 0).collect();
    ends.push(response.len());
    let mut start = 0;
    let mut scored = ResponseScore { bytes: response.len(), ..Default::default() };
    for (i, end) in ends.into_iter().enumerate() {
        let rank = [1, 7, 60, 480, 5000][(i * 3 + harder as usize) % 5];
        let logprob = -0.5 - (rank as f32).log10_by_table() - harder * ((i % 4) as f32 - 1.0);
        scored.tokens.push(TokenScore { logprob, rank, mean: -2.0, variance: 1.5 });
        scored.spans.push((start, end));
        start = end;
    }
    scored
}

/// Exact in every build: the figures go into committed snapshots.
trait Table {
    fn log10_by_table(self) -> f32;
}
impl Table for f32 {
    fn log10_by_table(self) -> f32 {
        match self as u32 {
            1 => 0.0,
            7 => 0.75,
            60 => 1.75,
            480 => 2.75,
            _ => 3.75,
        }
    }
}

/// `labels` ranked with falling probabilities over `responses`.
pub fn report(labels: &[&str], responses: &[(Option<&str>, &str)], answer: Answer) -> Report {
    let n = labels.len();
    let total: f64 = (0..n).map(|i| 1.0 / ((i * i * i) as f64 * 4.0 + 0.5)).sum();
    let standings: Vec<Standing> = (0..n)
        .map(|i| {
            let p = 1.0 / ((i * i * i) as f64 * 4.0 + 0.5) / total;
            let p = (p * 1e4).round() / 1e4;
            Standing {
                candidate: i,
                score: 2.5 - i as f64 * 1.75,
                score_interval: (2.0 - i as f64 * 1.75, 3.25 - i as f64 * 1.75),
                probability: p,
                probability_interval: ((p - 0.125).max(0.0), (p + 0.0625).min(1.0)),
                votes: None,
            }
        })
        .collect();
    let mut baseline = standings.clone();
    baseline.reverse();
    Report {
        schema: SCHEMA.into(),
        version: "0.1.0".into(),
        suspect: "suspect".into(),
        matching: None,
        lineage: vec![],
        tree: None,
        asked: None,
        parameters: Parameters::default(),
        inputs: vec![
            Input {
                name: "models/a.gguf".into(),
                role: "candidate".into(),
                bytes: 92_100_000,
                sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            },
            Input {
                name: "suspect.jsonl".into(),
                role: "samples".into(),
                bytes: 812,
                sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
            },
        ],
        candidates: labels
            .iter()
            .map(|l| Candidate {
                label: (*l).into(),
                family: "llama".into(),
                weights: 134_515_008,
                dtypes: "Q4_1, Q8_0".into(),
                vocab: 49_152,
                context: 2048,
                responses: 0,
            })
            .collect(),
        verdict: Verdict {
            answer,
            candidate: (n > 0).then_some(0),
            method: "calibrated-likelihood".into(),
            text: "The suspect most likely descends from the first candidate (95 % interval given below).".into(),
            warnings: vec!["Only 2 samples: the interval is wide.".into()],
        },
        findings: vec![
            Finding {
                method: "calibrated-likelihood".into(),
                about: "Distance of the suspect's profile from the candidate's own, in nats per token".into(),
                access: Access::Text,
                baseline: false,
                standings,
                none: Some(NoneOfThese {
                    p_value: 0.0125,
                    statistic: 1.5,
                    about: "against responses that the best candidate wrote itself".into(),
                }),
                warnings: vec!["Only 2 samples: the interval is wide.".into()],
                error: 0.049,
            },
            Finding {
                method: "raw-perplexity".into(),
                about: "Mean bits per byte, negated".into(),
                access: Access::Text,
                baseline: true,
                standings: baseline,
                none: None,
                warnings: vec![],
                error: 0.0,
            },
        ],
        levels: (0..n)
            .map(|c| (0..=n).map(|d| (c != 1 || d != 2).then(|| 1.0 + ((c + 2 * d) % 5) as f64 * 0.125)).collect())
            .collect(),
        samples: responses
            .iter()
            .enumerate()
            .map(|(i, (prompt, response))| SampleResult {
                sample: Sample {
                    prompt: prompt.map(Into::into),
                    response: (*response).into(),
                    origin: format!("suspect.jsonl line {}", i + 1),
                    ..Sample::default()
                },
                scores: (0..n)
                    .map(|c| (c != 2 || i != 0).then(|| score(response, ((i + c) % 3) as f32 * 0.5)))
                    .collect(),
            })
            .collect(),
        notes: vec![Note {
            kind: "empty-response".into(),
            text: "1 empty response was left out".into(),
            count: 1,
            places: vec!["suspect.jsonl line 4".into()],
        }],
        problems: vec![
            Error::new(ErrorKind::Truncated, "the header ends early")
                .in_file("<b>.gguf")
                .hint("copy it again"),
        ],
        limits: vec!["A text-only method cannot prove descent.".into()],
    }
}

/// Hostile names and texts.
pub fn hostile() -> Report {
    report(
        &["=cmd|' /C calc'!A0", "<script>alert(1)</script>", "right\u{202e}tfel\0"],
        &[
            (
                Some("\"><img src=x onerror=alert(2)>"),
                "</span><script>alert('3')</script> & \"so on\"",
            ),
            (None, "@SUM(A1:A9) \u{5d0}\u{202e}abc\r\n\tnext\0 line ]]> <!-- é"),
        ],
        Answer::Undetermined,
    )
}

/// Like a real run.
#[allow(dead_code, reason = "not every test shows this one")]
pub fn realistic(answer: Answer) -> Report {
    report(
        &[
            "smollm2-135m-instruct.Q4_1",
            "gemma-3-270m.Q4_K_M",
            "stories15m",
            "minimind2-small",
            "a-very-long-name-of-a-model-that-nobody-would-type-twice-v0.3-beta",
            "distilgpt2",
        ],
        &[
            (
                Some("Once upon a time"),
                "there was a little girl named Lily. She loved to play outside in the sunshine.\nOne day, she saw a big, red ball in the sky.",
            ),
            (
                Some("The court held that"),
                "the licence was not transferable without the written consent of the rights holder, and that no implied licence arose.",
            ),
            (None, "Die Vögel flogen über die Wälder, während der Regen langsam nachließ."),
            (Some("日本の首都は"), "東京です。 人口は約千四百万人です。"),
        ],
        answer,
    )
}

/// With the suspect's weights at hand: a merged adapter of the first candidate,
/// something of the second, nothing of the third, each in `layers` layers.
#[allow(dead_code, reason = "not every test shows this one")]
pub fn kin(layers: usize) -> Report {
    let mut out = report(
        &["larch", "alder <i>", "birch"],
        &[(Some("Say hi"), "hello there, dear friend"), (None, "=1+1 is two")],
        Answer::Attributed,
    );
    out.suspect = "larch-chat".into();
    out.asked = Some("Weights <decide>, so that the models were not run.".into());
    let kinds = ["query", "key", "value", "output", "gate", "up", "down"];
    let map = |likeness: f64, step: f64| LayerMap {
        about: "Cosine of the two matrices, 0 for unrelated ones, 1 for the same".into(),
        columns: kinds.map(Into::into).to_vec(),
        rows: std::iter::once("embedding".into())
            .chain((0..layers).map(|l| format!("layer {l}")))
            .collect(),
        values: (0..=layers)
            .map(|l| {
                let cell = |k: usize| likeness - step * ((l * 3 + k * 2) % 7) as f64;
                (0..kinds.len()).map(|k| (l > 0 || k == 0).then(|| cell(k))).collect()
            })
            .collect(),
        range: (0.0, 1.0),
    };
    let test = |method: &str, statistic: f64, ln_p: Option<f64>, basis| Test {
        method: method.into(),
        about: format!("What {method} measures, in its unit"),
        access: Access::Weights,
        statistic,
        ln_p,
        basis,
        null: None,
        map: None,
        notes: vec![],
    };
    let null = |mean: f64, deviation: f64, controls: &[f64]| {
        Some(Null {
            about: "Models that were trained apart".into(),
            mean,
            deviation,
            controls: controls.to_vec(),
        })
    };
    let agreement = |statistic, ln_p| Test {
        access: Access::Query,
        null: null(0.25, 0.0625, &[0.21875, 0.28125, 0.3125]),
        ..test("next-token", statistic, Some(ln_p), Basis::Asymptotic)
    };
    let tests = |likeness: f64, step: f64, ln_p: f64, agree: (f64, f64)| {
        vec![
            Test {
                null: null(0.0, 0.03125, &[]),
                map: Some(map(likeness, step)),
                notes: vec!["Rows were matched before they were compared".into()],
                ..test("row-matching", likeness, Some(ln_p), Basis::Exact)
            },
            Test {
                null: null(0.125, 0.0625, &[0.0625, 0.09375, 0.1875]),
                ..test(
                    "aligned-similarity",
                    likeness / 2.0 + 0.125,
                    Some(ln_p / 4.0),
                    Basis::Empirical,
                )
            },
            test("tensor-forensics", likeness, None, Basis::Descriptive),
            agreement(agree.0, agree.1),
        ]
    };
    let fact = |name: &str, suspect: &str, candidate: &str| Fact {
        name: name.into(),
        suspect: suspect.into(),
        candidate: candidate.into(),
        same: suspect == candidate,
    };
    let lineage = |candidate, relation, why: &str, ln_p, tests| Lineage {
        candidate,
        relation,
        why: why.into(),
        ln_p,
        tests,
        context: vec![
            fact("architecture", "llama", "llama"),
            fact(
                "vocabulary",
                "4096 tokens",
                ["4096 tokens", "8192 tokens", "4096 tokens"][candidate],
            ),
            fact("name", "=HYPERLINK(1)", "<i>\u{202e}"),
        ],
    };
    out.lineage = vec![
        lineage(
            0,
            Relation::AdapterMerged,
            "Each matrix differs by one of rank 8 or less.",
            Some(-804.5),
            tests(0.9921875, 0.0078125, -806.0, (0.84375, -40.0)),
        ),
        lineage(
            1,
            Relation::SharedInitialisation,
            "Rows match better than by chance, values do not",
            Some(-9.25),
            tests(0.109375, 0.03125, -11.5, (0.34375, -2.75)),
        ),
        lineage(
            2,
            Relation::Independent,
            "Comparable, and no test speaks for kinship.",
            Some(-0.0078125),
            tests(-0.015625, 0.00390625, -0.3125, (0.1875, -0.125)),
        ),
    ];
    out.tree = Some(Tree {
        about: "Share of words in which two models' answers differ".into(),
        leaves: ["larch", "alder <i>", "birch", "larch-chat"].map(Into::into).to_vec(),
        candidates: 3,
        distances: vec![
            vec![0.0, 0.75, 0.875, 0.125],
            vec![0.75, 0.0, 0.8125, 0.6875],
            vec![0.875, 0.8125, 0.0, 0.875],
            vec![0.125, 0.6875, 0.875, 0.0],
        ],
        joins: vec![(0, 3, 0.125), (4, 1, 0.71875), (5, 2, 0.84375)],
    });
    out
}
