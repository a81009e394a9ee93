//! What bytes a token stands for.

/// How a vocabulary spells bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// GPT-2's: each byte is one printable character.
    ByteLevel,
    /// SentencePiece's: '▁' is a space, `<0x0A>` a byte.
    Metaspace,
    /// Tokens are plain text.
    Plain,
}

impl Alphabet {
    /// The bytes of the token spelt `text`.
    pub(super) fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => text.chars().fold(Vec::new(), |mut out, c| {
                match byte_of(c) {
                    Some(b) => out.push(b),
                    None => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                }
                out
            }),
            Self::Metaspace => match byte_token(text) {
                Some(b) => vec![b],
                None => text.replace('▁', " ").into_bytes(),
            },
            Self::Plain => text.as_bytes().to_vec(),
        }
    }
}

/// The byte that `<0x0A>` and its like stand for.
pub(super) fn byte_token(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let valid = hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u8::from_str_radix(hex, 16).ok())?
}

/// The byte behind a character of GPT-2's byte alphabet: printable Latin-1
/// stands for itself, the other 68 bytes are moved to U+0100 and on, in order.
fn byte_of(c: char) -> Option<u8> {
    let c = c as u32;
    match c {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some(c as u8),
        0x100..=0x120 => Some((c - 0x100) as u8),
        0x121..=0x142 => Some((c - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// Text of `bytes`: what is not UTF-8 becomes U+FFFD, but a character that the
/// end cuts off is dropped (the next token would have completed it).
pub(super) fn text(mut bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    while !bytes.is_empty() {
        match std::str::from_utf8(bytes) {
            Ok(s) => {
                out.push_str(s);
                break;
            }
            Err(e) => {
                let (good, bad) = bytes.split_at(e.valid_up_to());
                out.push_str(&String::from_utf8_lossy(good));
                let Some(skip) = e.error_len() else { break };
                out.push('\u{fffd}');
                bytes = &bad[skip..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_alphabet_is_that_of_the_library() {
        // Every byte, through the library's own table.
        let mut seen = std::collections::BTreeSet::new();
        for c in tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet() {
            seen.insert(byte_of(c).unwrap());
        }
        assert_eq!(seen.len(), 256);
        assert_eq!(Alphabet::ByteLevel.bytes("Ġé"), [b' ', 0xe9]);
        assert_eq!(Alphabet::ByteLevel.bytes("Ċ"), b"\n");
        assert_eq!(byte_of('ł'), Some(0xa0));
        assert_eq!(byte_of('ġ'), Some(0x7f));
    }

    #[test]
    fn sentencepiece_spelling() {
        assert_eq!(Alphabet::Metaspace.bytes("▁a▁"), b" a ");
        assert_eq!(Alphabet::Metaspace.bytes("<0x0A>"), b"\n");
        assert_eq!(Alphabet::Metaspace.bytes("<0x+A>").len(), 6);
        assert_eq!(Alphabet::Metaspace.bytes("<0x>").len(), 4);
    }

    #[test]
    fn cut_characters_are_dropped_at_the_end_only() {
        assert_eq!(text(b"a\xe2\x82"), "a");
        assert_eq!(text(b"\xe2\x82a"), "\u{fffd}a");
        assert_eq!(text(b"\xffa\xf0\x9f\x98"), "\u{fffd}a");
        assert_eq!(text("é€".as_bytes()), "é€");
    }
}
