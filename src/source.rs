//! Bytes read by range: the only way the core sees a file.
//!
//! Natively a [`FileSource`], in the page's worker a browser `File`, in tests
//! a [`MemorySource`]. A source is never copied whole.

use crate::error::{Error, ErrorKind, Result};
use sha2::Digest;
use std::rc::Rc;

/// A named run of bytes that can be read at any offset.
pub trait Source {
    /// The name to show: a path relative to what was dropped.
    fn name(&self) -> &str;
    /// Length in bytes, as known when the source was opened.
    fn len(&self) -> u64;
    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] past the end, [`ErrorKind::Read`] where the
    /// file can no longer be read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()>;
    /// Its SHA-256 in hex digits, where it was read before and is known to be as it was.
    fn known_hash(&self) -> Option<&str> {
        None
    }
    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A shared source. Not `Send`: a browser `File` is not, and the core has no threads.
pub type SharedSource = Rc<dyn Source>;

/// `len` bytes of `source` from `offset`, refusing what the file cannot hold.
///
/// # Errors
/// As [`Source::read_at`]; nothing is allocated past the end of the file.
pub fn read_vec(source: &dyn Source, offset: u64, len: usize) -> Result<Vec<u8>> {
    if offset.checked_add(len as u64).is_none_or(|end| end > source.len()) {
        return Err(past_end(source, offset, len));
    }
    let mut buf = vec![0; len];
    source.read_at(offset, &mut buf)?;
    Ok(buf)
}

/// The error for a read past the end of `source`.
pub fn past_end(source: &dyn Source, offset: u64, len: usize) -> Error {
    Error::new(
        ErrorKind::Truncated,
        format!("the file has {} bytes, but {len} more are needed at byte {offset}", source.len()),
    )
    .in_file(source.name())
    .hint("the file was cut short: copy or download it again")
}

/// Hex SHA-256 of the whole source, read in pieces; `read` hears the bytes done.
///
/// # Errors
/// As [`Source::read_at`].
pub fn sha256(source: &dyn Source, mut read: impl FnMut(u64)) -> Result<String> {
    const PIECE: u64 = 1 << 20;
    let mut hash = sha2::Sha256::new();
    let mut buf = vec![0; PIECE.min(source.len()) as usize];
    let mut at = 0;
    while at < source.len() {
        let n = PIECE.min(source.len() - at) as usize;
        source.read_at(at, &mut buf[..n])?;
        hash.update(&buf[..n]);
        at += n as u64;
        read(at);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Bytes in memory.
pub struct MemorySource {
    name: String,
    bytes: Vec<u8>,
}

impl MemorySource {
    /// A source named `name` over `bytes`.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

impl Source for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(buf.len());
        let bytes = self.bytes.get(from..to).ok_or_else(|| past_end(self, offset, buf.len()))?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

/// A file on disk.
#[cfg(not(target_arch = "wasm32"))]
pub struct FileSource {
    name: String,
    len: u64,
    file: std::cell::RefCell<std::fs::File>,
}

#[cfg(not(target_arch = "wasm32"))]
impl FileSource {
    /// Opens `path`, to be shown as `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Read`] where the file cannot be opened.
    pub fn open(path: &std::path::Path, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let open = || {
            let file = std::fs::File::open(path)?;
            let len = file.metadata()?.len();
            Ok::<_, std::io::Error>((file, len))
        };
        match open() {
            Ok((file, len)) => Ok(Self { name, len, file: file.into() }),
            Err(e) => Err(Error::new(ErrorKind::Read, format!("cannot be opened: {e}"))
                .in_file(name)
                .hint("check that the file exists and may be read")),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(buf)).map_err(|e| {
            match e.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    let end = offset.saturating_add(buf.len() as u64);
                    if end > self.len { past_end(self, offset, buf.len()) } else { shrunk(self) }
                }
                _ => Error::new(ErrorKind::Read, format!("cannot be read: {e}"))
                    .in_file(&self.name)
                    .hint(
                        "the file may have been moved or deleted since it was opened; add it again",
                    ),
            }
        })
    }
}

/// The error for a file that no longer holds what it held when it was opened.
#[cfg(not(target_arch = "wasm32"))]
fn shrunk(source: &dyn Source) -> Error {
    Error::new(ErrorKind::Read, "the file became shorter while it was in use")
        .in_file(source.name())
        .hint("let it finish copying or downloading, then add it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(target_arch = "wasm32"))]
    fn a_file_that_shrinks_or_is_not_there_is_named() {
        let path = std::env::temp_dir().join(format!("basetrace-{}", std::process::id()));
        let gone = FileSource::open(&path, "x").err().unwrap();
        assert_eq!((gone.kind(), gone.file()), (ErrorKind::Read, Some("x")));
        std::fs::write(&path, b"0123456789").unwrap();
        let source = FileSource::open(&path, "x").unwrap();
        std::fs::write(&path, b"0123").unwrap();
        let error = source.read_at(2, &mut [0; 4]).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            error.to_string(),
            "x: the file became shorter while it was in use (hint: let it finish copying or downloading, then add it again)"
        );
    }

    #[test]
    fn reads_ranges_and_refuses_the_rest() {
        let s = MemorySource::new("m", b"abcdef".to_vec());
        assert_eq!(read_vec(&s, 2, 3).unwrap(), b"cde");
        assert_eq!(read_vec(&s, 4, 3).unwrap_err().kind(), ErrorKind::Truncated);
        assert_eq!(read_vec(&s, u64::MAX, 3).unwrap_err().kind(), ErrorKind::Truncated);
        assert_eq!(s.read_at(9, &mut [0]).unwrap_err().kind(), ErrorKind::Truncated);
    }

    #[test]
    fn hashes_in_pieces() {
        let s = MemorySource::new("m", b"abc".to_vec());
        let mut seen = 0;
        assert_eq!(
            sha256(&s, |n| seen = n).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(seen, 3);
    }
}
