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

/// A p-value given by its natural logarithm, with its sign of relation: however
/// small, it is never shown as 0.
pub fn ln_p_value(ln_p: f64) -> String {
    match ln_p_figure(ln_p) {
        p if p.starts_with(['<', '>']) || p == UNKNOWN => format!("p {p}"),
        p => format!("p = {p}"),
    }
}

/// As [`ln_p_value`], to stand in a column of p-values.
pub fn ln_p_figure(ln_p: f64) -> String {
    /// Powers of ten below which the figure says nothing any more.
    const LEAST: f64 = -300.0;
    if !ln_p.is_finite() {
        return UNKNOWN.into();
    }
    let power = ln_p / std::f64::consts::LN_10;
    match libm::exp(ln_p) {
        _ if power < LEAST => "< 10⁻³⁰⁰".into(),
        p if p > 0.99 => "> 0.99".into(),
        p if p >= 0.1 => format!("{p:.2}"),
        p if p >= 0.00095 => format!("{p:.3}"),
        _ => {
            let whole = power.floor();
            let digit = libm::exp((power - whole) * std::f64::consts::LN_10).round();
            // 9.6 rounds to the next power's 1.
            let (digit, whole) = if digit < 10.0 { (digit, whole) } else { (1.0, whole + 1.0) };
            format!("{digit} × 10{}", raised(whole))
        }
    }
}

/// A whole number as an exponent.
fn raised(n: f64) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raise = |c: char| match c.to_digit(10) {
        Some(d) => digits[d as usize],
        None => '⁻',
    };
    format!("{n:.0}").chars().map(raise).collect()
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
    fn small_p_values_are_never_zero() {
        let of = |p: f64| ln_p_value(libm::log(p));
        for (p, s) in [
            (1.0, "p > 0.99"),
            (0.5, "p = 0.50"),
            (0.0124, "p = 0.012"),
            (0.001, "p = 0.001"),
            (0.00034, "p = 3 × 10⁻⁴"),
            (0.00097, "p = 0.001"),
            (0.00094, "p = 9 × 10⁻⁴"),
            (3.2e-12, "p = 3 × 10⁻¹²"),
            (9.7e-100, "p = 1 × 10⁻⁹⁹"),
        ] {
            assert_eq!(of(p), s, "{p}");
        }
        assert_eq!(ln_p_value(-690.0), "p = 2 × 10⁻³⁰⁰");
        for below in [-691.0, -1e5, -1e300] {
            assert_eq!(ln_p_value(below), "p < 10⁻³⁰⁰");
        }
        // Where it can still be held as such, the digits are those of the number itself.
        for i in 1..700 {
            let ln_p = -6.93 - f64::from(i);
            let p = format!("{:.0e}", libm::exp(ln_p));
            let (digit, power) = p.split_once("e-").unwrap_or_default();
            if power.parse::<u32>().is_ok_and(|n| n < 300) {
                let power: String =
                    power.chars().map(|c| raised(f64::from(c.to_digit(10).unwrap_or(0)))).collect();
                assert_eq!(ln_p_figure(ln_p), format!("{digit} × 10⁻{power}"), "{ln_p}");
            }
        }
        assert_eq!(ln_p_value(f64::NEG_INFINITY), "p –");
        assert_eq!(ln_p_value(f64::NAN), "p –");
        assert_eq!(ln_p_value(0.5), "p > 0.99");
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
