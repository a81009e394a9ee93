//! A text chunk for a PNG that the browser drew, so that the picture carries
//! its origin. Format: W3C PNG, 11.3.3.4 (iTXt) and 5.3 (chunk layout).

use crate::error::{Error, ErrorKind, Result};

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// Signature and IHDR, which is the first chunk and has 13 bytes of data.
const HEAD: usize = 8 + 4 + 4 + 13 + 4;

/// `png` with `text` under `keyword` (Latin letters, at most 79), uncompressed.
///
/// # Errors
/// [`ErrorKind::Internal`] where it is no PNG.
pub fn with_text(png: &[u8], keyword: &str, text: &str) -> Result<Vec<u8>> {
    let head = png.get(..HEAD).filter(|h| h.starts_with(&SIGNATURE) && &h[12..16] == b"IHDR");
    let Some(head) = head else {
        return Err(Error::new(ErrorKind::Internal, "the browser drew no PNG")
            .hint("save the chart as SVG"));
    };
    let mut body = b"iTXt".to_vec();
    body.extend_from_slice(keyword.as_bytes());
    // Ends the keyword; not compressed; no language; no translated keyword.
    body.extend_from_slice(&[0, 0, 0, 0, 0]);
    body.extend_from_slice(text.as_bytes());
    let length = u32::try_from(body.len() - 4)
        .map_err(|_| Error::new(ErrorKind::TooLarge, "the text is too long for a PNG"))?;
    let mut out = head.to_vec();
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&body);
    out.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    out.extend_from_slice(&png[HEAD..]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CRC of the PNG specification's own sample code, bit by bit.
    fn slow_crc(bytes: &[u8]) -> u32 {
        let mut c = u32::MAX;
        for &b in bytes {
            c ^= u32::from(b);
            for _ in 0..8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
            }
        }
        !c
    }

    #[test]
    fn the_text_is_the_second_chunk() {
        let mut png = SIGNATURE.to_vec();
        png.extend_from_slice(&[0, 0, 0, 13]);
        png.extend_from_slice(b"IHDR");
        png.extend_from_slice(&[0; 17]);
        png.extend_from_slice(b"the rest");
        let out = with_text(&png, "Comment", "é").unwrap();
        assert_eq!(out[..HEAD], png[..HEAD]);
        assert_eq!(out[HEAD..HEAD + 8], *b"\0\0\0\x0eiTXt");
        let data = &out[HEAD + 4..HEAD + 8 + 14];
        assert_eq!(data, b"iTXtComment\0\0\0\0\0\xc3\xa9");
        assert_eq!(out[HEAD + 22..HEAD + 26], slow_crc(data).to_be_bytes());
        assert_eq!(out[HEAD + 26..], *b"the rest");
    }

    #[test]
    fn what_is_no_png_is_refused() {
        for bytes in [&b""[..], b"GIF89a", &SIGNATURE, &[0; 40]] {
            assert_eq!(with_text(bytes, "k", "t").unwrap_err().kind(), ErrorKind::Internal);
        }
    }
}
