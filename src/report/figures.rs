//! Numbers as people read them. What is not finite is shown as a dash.

/// Shown where a figure is not known.
pub const UNKNOWN: &str = "–";

/// A probability in percent, never flatly 0 or 100.
pub fn probability(p: f64) -> String {
    match p {
        p if !p.is_finite() => UNKNOWN.into(),
        p if p < 0.001 => "< 0.1\u{a0}%".into(),
        p if p > 0.999 => "> 99.9\u{a0}%".into(),
        p => format!("{:.1}\u{a0}%", p * 100.0),
    }
}

/// A 95 % interval of a probability.
pub fn probability_interval((low, high): (f64, f64)) -> String {
    format!("{} to {}", probability(low), probability(high))
}

/// A statistic, to three significant digits or so.
pub fn score(x: f64) -> String {
    match x.abs() {
        a if !a.is_finite() => UNKNOWN.into(),
        // Also takes the sign from a rounded zero.
        a if a < 0.0005 => "0.000".into(),
        a if a < 10.0 => minus(&format!("{x:.3}")),
        a if a < 1000.0 => minus(&format!("{x:.1}")),
        a if a < 1e9 => minus(&format!("{x:.0}")),
        _ => minus(&format!("{x:.2e}")),
    }
}

/// A 95 % interval of a statistic.
pub fn score_interval((low, high): (f64, f64)) -> String {
    format!("{} to {}", score(low), score(high))
}

/// Bits per byte, where there is a figure.
pub fn bits(b: Option<f64>) -> String {
    b.filter(|b| b.is_finite()).map_or_else(|| UNKNOWN.into(), |b| minus(&format!("{b:.3}")))
}

/// A p-value, with its sign of relation.
pub fn p_value(p: f64) -> String {
    match p {
        p if !p.is_finite() => format!("p {UNKNOWN}"),
        p if p < 0.001 => "p < 0.001".into(),
        p if p < 0.1 => format!("p = {p:.3}"),
        p if p > 0.99 => "p > 0.99".into(),
        p => format!("p = {p:.2}"),
    }
}

/// A large count, e.g. `134.5 M`.
pub fn count(n: u64) -> String {
    scaled(n, &[(1_000_000_000, "B"), (1_000_000, "M"), (1000, "k")], "")
}

/// A length in bytes, e.g. `92.1 MB`.
pub fn bytes(n: u64) -> String {
    scaled(n, &[(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")], "bytes")
}

fn scaled(n: u64, units: &[(u64, &str)], one: &str) -> String {
    for &(size, unit) in units {
        if n >= size {
            return format!("{:.1}\u{a0}{unit}", n as f64 / size as f64);
        }
    }
    if one.is_empty() { n.to_string() } else { format!("{n}\u{a0}{one}") }
}

/// `1st`, `2nd`, …
pub fn ordinal(n: usize) -> String {
    let end = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}

fn minus(s: &str) -> String {
    s.replacen('-', "\u{2212}", 1)
}

/// Columns that `c` takes in a fixed-width font, near enough for layout.
pub fn columns(c: char) -> usize {
    match c as u32 {
        0x300..=0x36f | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe4f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff => 2,
        0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Width of `text` in columns.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// `text` cut to `max` columns, the last an ellipsis where something was cut.
pub fn truncate(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut used = 1;
    let mut out: String = text
        .chars()
        .take_while(|&c| {
            used += columns(c);
            used <= max
        })
        .collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// `text` on one line with nothing that a terminal or a reader's eye could be
/// misled by: control and direction characters are named instead of obeyed.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('↵'),
            '\t' => out.push('⇥'),
            c if invisible(c) => out.push_str(&format!("⟨U+{:04X}⟩", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Whether `c` has an effect but no shape.
pub fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c as u32,
            0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_never_flat_and_never_nan() {
        for (p, s) in [
            (0.0, "< 0.1\u{a0}%"),
            (1.0, "> 99.9\u{a0}%"),
            (0.9995, "> 99.9\u{a0}%"),
            (0.9991, "> 99.9\u{a0}%"),
            (0.999, "99.9\u{a0}%"),
            (0.001, "0.1\u{a0}%"),
            (0.5, "50.0\u{a0}%"),
            (f64::NAN, UNKNOWN),
        ] {
            assert_eq!(probability(p), s, "{p}");
        }
        assert_eq!(p_value(0.0), "p < 0.001");
        assert_eq!(p_value(0.0124), "p = 0.012");
        assert_eq!(score(-0.1234), "\u{2212}0.123");
        assert_eq!(score(-0.0001), "0.000");
        assert_eq!(score(f64::NEG_INFINITY), UNKNOWN);
        assert_eq!(bits(Some(f64::NAN)), UNKNOWN);
    }

    #[test]
    fn words_around_numbers() {
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 21, 112].map(ordinal).join(" "),
            "1st 2nd 3rd 4th 11th 12th 21st 112th"
        );
        assert_eq!(count(134_515_008), "134.5\u{a0}M");
        assert_eq!(bytes(12), "12\u{a0}bytes");
    }

    #[test]
    fn cuts_by_columns_and_names_the_invisible() {
        assert_eq!(truncate("short", 5), "short");
        assert_eq!(truncate("a longer one", 6), "a lon…");
        assert_eq!(truncate("日本語の名前", 7), "日本語…");
        assert_eq!(plain("a\u{202e}b\u{1b}[2J\n"), "a⟨U+202E⟩b⟨U+001B⟩[2J↵");
    }
}
