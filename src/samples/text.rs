//! Bytes to text: byte-order marks, UTF-16, and what is not UTF-8.

/// Decoded text and the lines (1-based) where it had to be repaired.
pub struct Decoded {
    /// The text without a byte-order mark.
    pub text: String,
    /// Lines that hold bytes which are no characters.
    pub bad_lines: Vec<usize>,
}

/// Decodes UTF-8 or, with a byte-order mark, UTF-16. What is no character
/// becomes U+FFFD and is reported.
pub fn decode(bytes: &[u8]) -> Decoded {
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        return utf16(rest, u16::from_le_bytes);
    }
    if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        return utf16(rest, u16::from_be_bytes);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut out = Decoded { text: String::with_capacity(bytes.len()), bad_lines: Vec::new() };
    let mut line = 1;
    for chunk in bytes.utf8_chunks() {
        out.text.push_str(chunk.valid());
        line += newlines(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.bad(line);
        }
    }
    out
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Decoded {
    let mut out = Decoded { text: String::with_capacity(bytes.len()), bad_lines: Vec::new() };
    let pairs = bytes.chunks_exact(2);
    let odd = !pairs.remainder().is_empty();
    let mut line = 1;
    for c in char::decode_utf16(pairs.map(|p| unit([p[0], p[1]]))) {
        match c {
            Ok(c) => {
                line += usize::from(c == '\n');
                out.text.push(c);
            }
            Err(_) => out.bad(line),
        }
    }
    if odd {
        out.bad(line);
    }
    out
}

impl Decoded {
    fn bad(&mut self, line: usize) {
        self.text.push(char::REPLACEMENT_CHARACTER);
        if self.bad_lines.last() != Some(&line) {
            self.bad_lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_and_says_where() {
        let d = decode(b"\xef\xbb\xbfab\nc\xffd\xfe\n\xc3\xa9\n\xc3");
        assert_eq!(d.text, "ab\nc\u{fffd}d\u{fffd}\n\u{e9}\n\u{fffd}");
        assert_eq!(d.bad_lines, [2, 4]);
    }

    #[test]
    fn utf16_of_both_orders() {
        let text = "h\u{e9}\n\u{1f600}";
        for (mark, bytes) in [
            (b"\xff\xfe", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
            (b"\xfe\xff", text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
        ] {
            let d = decode(&[mark.as_slice(), &bytes].concat());
            assert_eq!(d.text, text);
            assert!(d.bad_lines.is_empty());
            let d = decode(&[mark.as_slice(), &bytes, b"x"].concat());
            assert_eq!(d.bad_lines, [2]);
        }
    }
}
