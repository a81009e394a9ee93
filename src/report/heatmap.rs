//! One sample's tokens, coloured: by rank under one candidate, or by which
//! candidate they speak for.

use super::figures::{invisible, score, truncate};
use super::markup::{Element, html};
use super::{Report, SampleResult};
use crate::evidence::ResponseScore;
use std::f64::consts::LN_2;

/// What candidate A is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// One other candidate.
    Candidate(usize),
    /// The mean of all others that scored the sample.
    Others,
}

/// A run of the response between two token boundaries.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Byte range in the response, on character boundaries.
    pub span: (usize, usize),
    /// Log-probability of the run, in nats.
    pub logprob: f64,
    /// Worst rank of its tokens.
    pub rank: u32,
    /// Tokens that make it up.
    pub tokens: usize,
}

/// The tokens of `score` as runs of `response` that can be shown: tokens that
/// are part of a character, and tokens without text, join their neighbour.
pub fn pieces(response: &str, score: &ResponseScore) -> Vec<Piece> {
    let mut out: Vec<Piece> = vec![];
    let mut open = Piece { span: (0, 0), logprob: 0.0, rank: 0, tokens: 0 };
    for (token, &(_, end)) in score.tokens.iter().zip(&score.spans) {
        open.logprob += f64::from(token.logprob);
        open.rank = open.rank.max(token.rank);
        open.tokens += 1;
        if end > open.span.0 && end <= response.len() && response.is_char_boundary(end) {
            open.span.1 = end;
            out.push(open);
            open = Piece { span: (end, end), logprob: 0.0, rank: 0, tokens: 0 };
        }
    }
    // What is left has no text of its own, unless the spans do not cover the response.
    if open.span.0 < response.len() {
        open.span.1 = response.len();
        out.push(open);
    } else if let Some(last) = out.last_mut() {
        last.logprob += open.logprob;
        last.rank = last.rank.max(open.rank);
        last.tokens += open.tokens;
    }
    out
}

/// Bits by which `a` finds each run of the response likelier than the mean of
/// `others` does. Runs end where the tokens of all of them end, so that no
/// token's bits are divided by guesswork.
pub fn difference(
    response: &str,
    a: &ResponseScore,
    others: &[&ResponseScore],
) -> Vec<((usize, usize), f64)> {
    if others.is_empty() {
        return vec![];
    }
    let of_a = pieces(response, a);
    let of_others: Vec<_> = others.iter().map(|s| pieces(response, s)).collect();
    let shared = |end: usize| of_others.iter().all(|ps| ps.iter().any(|p| p.span.1 == end));
    let mut out = vec![];
    let mut start = 0;
    for end in of_a.iter().map(|p| p.span.1).filter(|&e| shared(e)) {
        let within = |ps: &[Piece]| -> f64 {
            ps.iter().filter(|p| p.span.0 >= start && p.span.1 <= end).map(|p| p.logprob).sum()
        };
        let mean = of_others.iter().map(|ps| within(ps)).sum::<f64>() / others.len() as f64;
        out.push(((start, end), (within(&of_a) - mean) / LN_2));
        start = end;
    }
    out
}

/// The rank heat map of `result` under candidate `c`; `None` where it was not scored.
pub fn ranks(result: &SampleResult, c: usize) -> Option<Element> {
    let response = &result.sample.response;
    let scored = result.scores.get(c)?.as_ref()?;
    let spans = pieces(response, scored).into_iter().map(|p| {
        let part = response.get(p.span.0..p.span.1).unwrap_or_default();
        let tokens = if p.tokens == 1 { String::new() } else { format!(", {} tokens", p.tokens) };
        let title = format!(
            "“{}”: log-probability {} nats, rank {}{tokens}",
            visible(part, false),
            score(p.logprob),
            p.rank
        );
        token(rank_class(p.rank), title, part)
    });
    Some(html("div").class("bt-heat").attr("dir", "auto").with(spans))
}

/// The comparison heat map of `result`: what speaks for candidate `a` or
/// against it. `None` where there is nothing to compare.
pub fn compare(
    report: &Report,
    result: &SampleResult,
    a: usize,
    against: Against,
) -> Option<Element> {
    let response = &result.sample.response;
    let scored = |c: usize| result.scores.get(c).and_then(Option::as_ref);
    let others: Vec<&ResponseScore> = match against {
        Against::Candidate(b) => scored(b).into_iter().collect(),
        Against::Others => {
            (0..result.scores.len()).filter(|&c| c != a).filter_map(scored).collect()
        }
    };
    if others.is_empty() {
        return None;
    }
    let name = truncate(&super::figures::plain(report.label(a)), 40);
    let spans = difference(response, scored(a)?, &others).into_iter().map(|((from, to), bits)| {
        let part = response.get(from..to).unwrap_or_default();
        let per_byte = bits / (to - from).max(1) as f64;
        let side = if bits < 0.0 { "against" } else { "for" };
        let title = format!(
            "“{}”: {} bits {side} {name} ({} per byte)",
            visible(part, false),
            score(bits.abs()),
            score(per_byte.abs())
        );
        token(side_class(per_byte), title, part)
    });
    Some(html("div").class("bt-heat").attr("dir", "auto").with(spans))
}

/// The legend of [`ranks`].
pub fn rank_legend() -> Element {
    legend(&[
        ("bt-r1", "rank 1–10"),
        ("bt-r2", "11–100"),
        ("bt-r3", "101–1000"),
        ("bt-r4", "beyond 1000"),
    ])
}

/// The legend of [`compare`].
pub fn compare_legend(report: &Report, a: usize, against: Against) -> Element {
    let a = truncate(&super::figures::plain(report.label(a)), 30);
    let b = match against {
        Against::Candidate(b) => truncate(&super::figures::plain(report.label(b)), 30),
        Against::Others => "the mean of the others".into(),
    };
    legend(&[
        ("bt-f2", &format!("strongly for {a} (1 bit per byte or more)")),
        ("bt-f1", &format!("for {a} (0.25 or more)")),
        ("bt-f0", "neither"),
        ("bt-a1", &format!("for {b} (0.25 or more)")),
        ("bt-a2", &format!("strongly for {b}")),
    ])
}

fn legend(entries: &[(&'static str, &str)]) -> Element {
    let entry = |&(class, text): &(&'static str, &str)| {
        html("li")
            .child(
                html("span").class(format!("bt-t {class}")).attr("aria-hidden", "true").text("abc"),
            )
            .text(format!(" {text}"))
    };
    html("ul").class("bt-legend").with(entries.iter().map(entry))
}

fn rank_class(rank: u32) -> &'static str {
    match rank {
        0..=10 => "bt-r1",
        11..=100 => "bt-r2",
        101..=1000 => "bt-r3",
        _ => "bt-r4",
    }
}

/// By bits per byte for the candidate.
fn side_class(bits: f64) -> &'static str {
    match bits {
        b if b >= 1.0 => "bt-f2",
        b if b >= 0.25 => "bt-f1",
        b if b <= -1.0 => "bt-a2",
        b if b <= -0.25 => "bt-a1",
        _ => "bt-f0",
    }
}

fn token(class: &'static str, title: String, text: &str) -> Element {
    html("span").class(format!("bt-t {class}")).attr("title", title).text(visible(text, true))
}

/// `text` with blanks and invisible characters shown; `wrap` keeps the places
/// where a line may break.
fn visible(text: &str, wrap: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            ' ' => out.push_str(if wrap { "·\u{200b}" } else { " " }),
            '\n' => out.push_str(if wrap { "↵\n" } else { "↵" }),
            '\t' => out.push_str(if wrap { "⇥\u{200b}" } else { "⇥" }),
            '\u{a0}' => out.push('⍽'),
            c if invisible(c) => out.push_str(&format!("⟨U+{:04X}⟩", c as u32)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::TokenScore;

    fn scored(response: &str, tokens: &[(f32, u32, usize, usize)]) -> ResponseScore {
        ResponseScore {
            bytes: response.len(),
            tokens: tokens
                .iter()
                .map(|&(logprob, rank, ..)| TokenScore { logprob, rank, mean: 0.0, variance: 0.0 })
                .collect(),
            spans: tokens.iter().map(|&(.., a, b)| (a, b)).collect(),
        }
    }

    #[test]
    fn tokens_within_a_character_and_without_text_join() {
        let s = "é x";
        let score = scored(
            s,
            &[
                (-1.0, 3, 0, 0),
                (-2.0, 40, 0, 1),
                (-4.0, 2, 1, 2),
                (-8.0, 1, 2, 4),
                (-16.0, 9, 4, 4),
            ],
        );
        let ps = pieces(s, &score);
        assert_eq!(
            ps,
            vec![
                Piece { span: (0, 2), logprob: -7.0, rank: 40, tokens: 3 },
                Piece { span: (2, 4), logprob: -24.0, rank: 9, tokens: 2 },
            ]
        );
    }

    #[test]
    fn spans_that_do_not_fit_never_panic_and_lose_no_text() {
        for tokens in [vec![], vec![(-1.0, 1, 0, 99)], vec![(-1.0, 1, 3, 1), (-1.0, 1, 7, 2)]] {
            let ps = pieces("déjà", &scored("déjà", &tokens));
            assert_eq!((ps[0].span.0, ps[ps.len() - 1].span.1), (0, 6));
            let sum: f64 = ps.iter().map(|p| p.logprob).sum();
            assert_eq!(sum, -(tokens.len() as f64));
        }
        assert!(pieces("", &scored("", &[(-1.0, 1, 0, 0)])).is_empty());
    }

    /// Against a slow oracle: bits spread evenly over each token's bytes, then summed.
    #[test]
    fn the_difference_is_the_sum_over_bytes() {
        let s = "one two";
        let a = scored(s, &[(-1.0, 1, 0, 1), (-2.0, 1, 1, 3), (-3.0, 1, 3, 7)]);
        let b = scored(s, &[(-4.0, 1, 0, 3), (-0.5, 1, 3, 5), (-0.5, 1, 5, 7)]);
        let c = scored(s, &[(-2.0, 1, 0, 2), (-2.0, 1, 2, 3), (-5.0, 1, 3, 7)]);
        let per_byte = |s: &ResponseScore, i: usize| -> f64 {
            let at = s.spans.iter().position(|&(from, to)| from <= i && i < to).unwrap();
            f64::from(s.tokens[at].logprob) / (s.spans[at].1 - s.spans[at].0) as f64
        };
        let found = difference(s, &a, &[&b, &c]);
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [(0, 3), (3, 7)]);
        for ((from, to), bits) in found {
            let oracle: f64 = (from..to)
                .map(|i| (per_byte(&a, i) - (per_byte(&b, i) + per_byte(&c, i)) / 2.0) / LN_2)
                .sum();
            assert!((bits - oracle).abs() < 1e-12, "{bits} {oracle}");
        }
    }

    #[test]
    fn blanks_are_shown() {
        assert_eq!(visible("a b\n\t\u{202e}\0", true), "a·\u{200b}b↵\n⇥\u{200b}⟨U+202E⟩⟨U+0000⟩");
    }
}
