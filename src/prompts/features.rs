//! Cheap features of a response: all that this module knows of text.
//!
//! [`traits`] is the only way in, so that other features can take its place.

/// Real-valued features, each about 0 to 1.
pub const REAL: usize = 26;
/// Buckets that character trigrams are hashed into.
pub const GRAMS: usize = 512;
/// Features with few values.
pub const LEVELS: usize = 11;
/// The values that one of them can have are below this.
pub const VALUES: usize = 16;
/// Characters read of a response; habits show long before.
const READ: usize = 4096;

/// What is seen of a response.
#[derive(Clone, Debug, PartialEq)]
pub struct Traits {
    /// Lengths and shares.
    pub real: [f32; REAL],
    /// Buckets of trigrams in rising order and their weights, of unit length together.
    pub grams: Vec<(u32, f32)>,
    /// Classes with fixed limits, so that small differences make no other class.
    pub levels: [u8; LEVELS],
}

/// Reads a response.
pub fn traits(text: &str) -> Traits {
    let chars: Vec<char> = text.chars().take(READ).collect();
    let n = chars.len().max(1) as f32;
    let share =
        |wanted: &dyn Fn(char) -> bool| chars.iter().filter(|c| wanted(**c)).count() as f32 / n;
    let words: Vec<&str> = text.split_whitespace().take(READ / 4).collect();
    let distinct: std::collections::BTreeSet<&str> = words.iter().copied().collect();
    let word_count = words.len().max(1) as f32;
    let first = chars.first().copied().map_or(0, opening);
    let last = chars.iter().rev().find(|c| !c.is_whitespace()).copied();
    let end = last.map_or(0, ending);
    let scripts: [f32; 4] = std::array::from_fn(|s| share(&|c| script(c) == Some(s)));
    let newlines = chars.iter().filter(|c| **c == '\n').count();

    let mut real = [0.0; REAL];
    real[0] = libm::log2f(1.0 + chars.len() as f32) / 10.0;
    real[1 + first] = 1.0;
    real[9 + end] = 1.0;
    real[13..17].copy_from_slice(&scripts);
    real[17] = share(&|c| c.is_ascii_digit());
    real[18] = share(&|c| c.is_ascii_punctuation());
    real[19] = share(&|c| "{}()[];=<>_/\\#$".contains(c));
    real[20] = share(&char::is_whitespace);
    real[21] = (newlines as f32 / n * 10.0).min(1.0);
    real[22] = share(&char::is_uppercase);
    real[23] = distinct.len() as f32 / word_count;
    real[24] = (longest_run(&chars) as f32 / 10.0).min(1.0);
    real[25] = (chars.len() as f32 / word_count / 10.0).min(1.0);

    let class = |value: f32, limits: &[f32]| limits.iter().filter(|l| value > **l).count() as u8;
    let most = (0..4).fold(4, |m, s| {
        if scripts[s] > 0.25 && (m == 4 || scripts[s] > scripts[m]) { s } else { m }
    });
    let levels = [
        class(chars.len() as f32, &[0.0, 4.0, 12.0, 36.0, 108.0, 324.0, 972.0]),
        first as u8,
        end as u8,
        most as u8,
        class(real[17], &[0.0, 0.1, 0.4]),
        class(real[18], &[0.0, 0.04, 0.1, 0.3]),
        class(real[19], &[0.0, 0.02, 0.08]),
        class(newlines as f32, &[0.0, 1.0, 4.0]),
        class(real[22], &[0.0, 0.03, 0.1, 0.4]),
        class(real[23], &[0.3, 0.6, 0.8, 0.99]),
        class(real[25], &[0.0, 0.3, 0.5, 0.65, 0.9]),
    ];
    Traits { real, grams: grams(&chars), levels }
}

/// The kind of the first character: 0 for none, at most 7.
fn opening(c: char) -> usize {
    match c {
        '\n' | '\r' => 2,
        c if c.is_whitespace() => 1,
        c if c.is_numeric() => 3,
        c if script(c).is_some_and(|s| s > 0) => 7,
        c if c.is_uppercase() => 4,
        c if c.is_alphabetic() => 5,
        _ => 6,
    }
}

/// The kind of the last character that is no space: 0 for none, at most 3.
fn ending(c: char) -> usize {
    match c {
        '.' | '!' | '?' | '。' | '"' | '”' => 1,
        c if c.is_alphanumeric() => 2,
        _ => 3,
    }
}

/// Latin, Greek and Cyrillic, East Asian, or any other script; `None` for what is no letter.
fn script(c: char) -> Option<usize> {
    match c as u32 {
        _ if !c.is_alphabetic() => None,
        0..=0x24F | 0x1E00..=0x1EFF => Some(0),
        0x370..=0x52F => Some(1),
        0x1100..=0x11FF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7AF => Some(2),
        _ => Some(3),
    }
}

fn longest_run(chars: &[char]) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for (i, c) in chars.iter().enumerate() {
        run = if i > 0 && chars[i - 1] == *c { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    longest
}

/// Hashed trigrams; roots of counts, so that one that repeats does not drown the others.
fn grams(chars: &[char]) -> Vec<(u32, f32)> {
    let mut counts = vec![0_u32; GRAMS];
    for three in chars.windows(3) {
        let mut hash = 0x811C_9DC5_u32; // FNV-1a
        for byte in three.iter().flat_map(|c| (*c as u32).to_le_bytes()) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        counts[(hash ^ (hash >> 15)) as usize % GRAMS] += 1;
    }
    let total: u32 = counts.iter().sum();
    let weight = |n: u32| (n as f32 / total as f32).sqrt();
    let kept = counts.iter().enumerate().filter(|(_, n)| **n > 0);
    kept.map(|(i, n)| (i as u32, weight(*n))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_within_their_range_and_texts_differ() {
        let texts = [
            "",
            " ",
            "\n",
            "a",
            "Über 7 Wölfe.",
            "def f(x):\n    return {}",
            "日本語の文",
            "Привет",
            "हिन्दी",
            "!!!!!!!!!!!!",
            "😀",
            "a\u{301}",
            "12 34",
            "\r\n\r\n",
            "HELLO WORLD",
            "the the the the",
        ];
        let seen: Vec<Traits> = texts.iter().map(|t| traits(t)).collect();
        for t in &seen {
            assert!(t.levels.iter().all(|l| usize::from(*l) < VALUES));
            assert!(t.real.iter().all(|r| (0.0..=1.3).contains(r)), "{:?}", t.real);
            let norm: f32 = t.grams.iter().map(|(_, w)| w * w).sum();
            assert!(t.grams.is_empty() || (norm - 1.0).abs() < 1e-4);
        }
        for (i, a) in seen.iter().enumerate() {
            assert!(seen[..i].iter().all(|b| a != b), "{i}");
        }
        assert_eq!(traits("日本語の文").levels[3], 2);
        assert_eq!(traits("Привет").levels[3], 1);
    }

    #[test]
    fn a_long_text_is_read_in_part() {
        let t = traits(&"x y\n".repeat(100_000));
        assert_eq!(t.levels[0], 7);
    }
}
