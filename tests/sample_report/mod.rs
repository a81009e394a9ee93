//! A report made by hand, with everything awkward in it.

use basetrace::decoder::TokenScore;
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
