//! A memo as a file: what a memo holds, behind a head that tells whether it may
//! be believed.

use super::{ARITHMETIC, CAPACITY, Memo};
use crate::error::{Error, ErrorKind, Result};

/// How a file begins; another layout gets another number.
const MAGIC: [u8; 16] = *b"basetrace memo 1";
/// Bytes before the entries: the above, the arithmetic, the entries' CRC-32.
const HEAD: usize = 24;
/// Bytes of a file at the most: an entry takes fewer than it counts for in memory.
pub const FILE_LIMIT: usize = HEAD + CAPACITY;

impl Memo {
    /// Everything as the content of a file.
    pub fn to_file(&self) -> Vec<u8> {
        let entries = self.write();
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&ARITHMETIC.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&entries).to_le_bytes());
        out.extend_from_slice(&entries);
        out
    }

    /// The memo that [`Memo::to_file`] wrote. All or nothing: where one byte is
    /// wrong, a score may be, too, and nothing else would show it.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] beyond [`FILE_LIMIT`], [`ErrorKind::Unrecognised`]
    /// for another version's file or none at all, [`ErrorKind::Corrupt`] for damage.
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        let fault = |kind, what: &str| {
            Error::new(kind, what).hint("run again; what was kept is computed anew")
        };
        if bytes.len() > FILE_LIMIT {
            return Err(fault(ErrorKind::TooLarge, "the file of kept results is too long"));
        }
        let parts = bytes.strip_prefix(&MAGIC).and_then(|rest| {
            let (arithmetic, rest) = rest.split_first_chunk::<4>()?;
            let (sum, entries) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*arithmetic) == ARITHMETIC).then_some((*sum, entries))
        });
        let Some((sum, entries)) = parts else {
            return Err(fault(ErrorKind::Unrecognised, "kept results are of another version"));
        };
        if u32::from_le_bytes(sum) != crc32fast::hash(entries) {
            return Err(fault(ErrorKind::Corrupt, "kept results are damaged"));
        }
        let mut out = Self::default();
        out.read(entries)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ModelId;
    use super::*;
    use crate::decoder::TokenScore;

    fn memo() -> Memo {
        let model = ModelId::new(vec!["a".into()]);
        let score = TokenScore { logprob: -1.5, rank: 3, mean: -2.5, variance: 0.25 };
        let mut memo = Memo::default();
        memo.keep_scores(model.scores(&[1, 2, 3], 1), vec![score; 2]);
        memo.keep_scores(model.scores(&[1], 1), vec![]);
        memo
    }

    fn kind(bytes: &[u8]) -> ErrorKind {
        Memo::from_file(bytes).err().unwrap().kind()
    }

    #[test]
    fn a_file_comes_back_as_it_was() {
        for memo in [memo(), Memo::default()] {
            let file = memo.to_file();
            let back = Memo::from_file(&file).unwrap();
            assert_eq!(back.len(), memo.len());
            assert_eq!(back.write(), memo.write());
            assert_eq!(back.to_file(), file);
        }
        assert_eq!(Memo::default().to_file().len(), HEAD);
    }

    #[test]
    fn no_damaged_file_is_believed() {
        let file = memo().to_file();
        for i in 0..file.len() {
            for flip in [1, 0x80] {
                let mut wrong = file.clone();
                wrong[i] ^= flip;
                let expected =
                    if i < HEAD - 4 { ErrorKind::Unrecognised } else { ErrorKind::Corrupt };
                assert_eq!(kind(&wrong), expected, "byte {i}");
            }
            assert!(Memo::from_file(&file[..i]).is_err(), "{i} bytes");
        }
        let mut longer = file;
        longer.push(0);
        assert_eq!(kind(&longer), ErrorKind::Corrupt);
        // A sum that fits what is no list of entries.
        let mut noise = MAGIC.to_vec();
        noise.extend_from_slice(&ARITHMETIC.to_le_bytes());
        noise.extend_from_slice(&crc32fast::hash(b"noise").to_le_bytes());
        noise.extend_from_slice(b"noise");
        assert_eq!(kind(&noise), ErrorKind::Corrupt);
    }

    #[test]
    fn another_version_s_file_is_none() {
        let mut other = memo().to_file();
        other[15] = b'2';
        assert_eq!(kind(&other), ErrorKind::Unrecognised);
        let mut other = memo().to_file();
        other[16..20].copy_from_slice(&(ARITHMETIC + 1).to_le_bytes());
        assert_eq!(kind(&other), ErrorKind::Unrecognised);
        assert_eq!(kind(b""), ErrorKind::Unrecognised);
    }

    #[test]
    fn a_full_memo_fits_and_more_is_not_read() {
        let model = ModelId::new(vec![]);
        let mut memo = Memo::default();
        // Entries without content take the most beside it.
        for i in 0..40 {
            memo.keep_scores(model.scores(&[i], 0), vec![]);
            let score = TokenScore { logprob: 0.0, rank: 1, mean: 0.0, variance: 0.0 };
            memo.keep_scores(model.scores(&[i], 1), vec![score; 1 << 17]);
        }
        let file = memo.to_file();
        assert!(memo.mark() > memo.len() && file.len() <= FILE_LIMIT);
        assert_eq!(Memo::from_file(&file).unwrap().len(), memo.len());
        assert_eq!(kind(&vec![0; FILE_LIMIT + 1]), ErrorKind::TooLarge);
    }
}
