//! Stylometric features of one text: lexical, syntactic and structural, after
//! Kumarage and Liu, "Neural Authorship Attribution: Stylometric Analysis on
//! Large Language Models" (2023), section 3, with what betrays generated text
//! besides: repetition, scripts, and how a response begins and ends.

use std::collections::{HashMap, HashSet};

/// Characters looked at, at the most.
const LENGTH: usize = 20_000;

/// Marks whose share is a feature.
const MARKS: &str = ".,;:!?'\"()[]{}<>/\\-_=+*#@&%$|~`^\n\t ";

/// English function words; in other languages they are all absent, which tells as well.
const FUNCTION_WORDS: &str = "the of and to a in that is was it for on with as he be by at his i this had not are but from or have an they which you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only";

/// What marks code, by substring.
const CODE: [&str; 8] =
    ["def ", "return ", "import ", "function", "int ", "void ", "public ", "#include"];

/// What marks special tokens and pages, by substring.
const ODD: [&str; 6] = ["<pad>", "<unk>", "</s>", "<|endoftext|>", "<eop>", "http"];

fn log(n: usize) -> f32 {
    libm::log1p(n as f64) as f32
}

fn flag(b: bool) -> f32 {
    f32::from(u8::from(b))
}

/// The features of `text`, always equally many.
pub fn features(text: &str) -> Vec<f32> {
    let text = super::same::head(text, LENGTH);
    let chars: Vec<char> = text.chars().collect();
    let n = chars.len().max(1) as f32;
    let share = |of: &dyn Fn(char) -> bool| chars.iter().filter(|c| of(**c)).count() as f32 / n;
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect();
    let mut f = vec![];
    // Lexical.
    let mut counts: HashMap<&str, usize> = HashMap::new();
    words.iter().for_each(|w| *counts.entry(w).or_default() += 1);
    let of_words = |k: usize| k as f32 / words.len().max(1) as f32;
    f.extend([
        log(chars.len()),
        log(words.len()),
        flag(chars.is_empty()),
        flag(text.trim().is_empty()),
        of_words(words.iter().map(|w| w.chars().count()).sum()),
        of_words(counts.len()),
        of_words(counts.values().filter(|c| **c == 1).count()),
    ]);
    f.extend(FUNCTION_WORDS.split(' ').map(|w| of_words(counts.get(w).copied().unwrap_or(0))));
    // Syntactic.
    f.extend(MARKS.chars().map(|m| share(&|c| c == m)));
    let within = |a: u32, b: u32| move |c: char| (a..b).contains(&u32::from(c));
    f.extend([
        share(&char::is_uppercase),
        share(&char::is_lowercase),
        share(&|c| c.is_ascii_digit()),
        share(&|c| !c.is_ascii()),
        share(&within(0xc0, 0x250)),
        share(&within(0x400, 0x530)),
        share(&within(0x600, 0x1000)),
        share(&|c| within(0x3040, 0xa000)(c) || within(0xac00, 0xd7a4)(c)),
        share(&|c| c == '\u{fffd}'),
    ]);
    // Structural.
    let lines: Vec<&str> = text.split('\n').collect();
    let blank = lines.iter().filter(|l| l.trim().is_empty()).count();
    let sentences: Vec<&str> =
        text.split(['.', '!', '?']).filter(|s| !s.trim().is_empty()).collect();
    f.extend([
        log(lines.len()),
        n / lines.len() as f32,
        blank as f32 / lines.len() as f32,
        log(text.matches("\n\n").count()),
        log(sentences.len()),
        words.len() as f32 / sentences.len().max(1) as f32,
        share(&|c| c == ' ') - 1.0 / 6.0,
        text.matches("    ").count() as f32 / n,
    ]);
    // How it begins and ends.
    let first = chars.first().copied().unwrap_or('\0');
    let last = text.trim_end().chars().last().unwrap_or('\0');
    f.extend([
        flag(first == ' '),
        flag(first == '\n'),
        flag(first.is_alphabetic()),
        flag(first.is_uppercase()),
        flag(first.is_ascii_digit()),
        flag(".,;:!?".contains(first)),
        flag("\"'([".contains(first)),
        flag(text.starts_with("  ")),
        flag(text.starts_with("\n\n")),
        flag(".!?".contains(last)),
        flag(last.is_alphanumeric()),
        flag(",;:".contains(last)),
        flag(text.ends_with(char::is_whitespace)),
    ]);
    // Repetition.
    f.extend((1..=3).map(|k| repeated(&words, k)));
    let (mut run, mut longest) = (1, 1);
    for pair in chars.windows(2) {
        run = if pair[0] == pair[1] { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    f.push(log(longest));
    f.extend(ODD.iter().map(|m| flag(text.contains(m))));
    f.push(flag(CODE.iter().any(|m| text.contains(m))));
    f
}

/// Share of `k` words in a row that stood there before.
fn repeated(words: &[String], k: usize) -> f32 {
    let all = words.len().saturating_sub(k - 1);
    let distinct: HashSet<&[String]> = words.windows(k).collect();
    if all == 0 { 0.0 } else { 1.0 - distinct.len() as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_as_many_and_finite() {
        let n = features("").len();
        for text in
            ["", " ", "\u{fffd}", "日本語のテキスト", "a\0b", "the the the", "\n\n\nx = 1;\n"]
        {
            let f = features(text);
            assert_eq!(f.len(), n);
            assert!(f.iter().all(|v| v.is_finite()), "{text}");
        }
    }

    #[test]
    fn by_hand() {
        let f = features("The cat. The CAT!");
        assert_eq!(f[0], libm::logf(18.0));
        assert_eq!((f[4], f[5], f[6]), (3.0, 0.5, 0.0));
        // "the" is the first function word.
        assert_eq!(f[7], 0.5);
        assert_eq!(repeated(&["a", "b", "a", "b"].map(String::from), 2), 1.0 - 2.0 / 3.0);
    }
}
