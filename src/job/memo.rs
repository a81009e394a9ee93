//! What models computed before, so that another sample or candidate costs only
//! what is new, and so that several workers can share a run.
//!
//! An entry is known by the SHA-256 of the model's files and of what the model
//! was given. A sequence has the same bits alone and among others, so a result
//! from here is the result of computing it again.

mod file;

use crate::decoder::{Sampling, TokenScore};
use crate::error::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};

pub use file::FILE_LIMIT;

/// Changes whenever the decoder's arithmetic does: kept results of another are no results.
const ARITHMETIC: u32 = 3;
/// The draws of a model hang on this besides its files: another number, other draws.
const DRAWS: u32 = 2;
/// Bytes held at the most; the oldest go first.
const CAPACITY: usize = 64 << 20;
/// Bytes that an entry takes besides its content, about.
const ENTRY: usize = 96;

/// What a result is known by.
pub type Key = [u8; 32];

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Scores(Vec<TokenScore>),
    Tokens(Vec<u32>),
}

/// Results by what they are results of.
#[derive(Default)]
pub struct Memo {
    entries: HashMap<Key, Entry>,
    /// Oldest first.
    order: VecDeque<Key>,
    bytes: usize,
    /// Entries that had to go.
    dropped: usize,
}

/// What a model's results are known by: the hash of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelId(Key);

impl ModelId {
    /// From the SHA-256 of each of the model's files, in any order.
    pub fn new(mut files: Vec<String>) -> Self {
        files.sort();
        let mut hash = Sha256::new();
        hash.update(DRAWS.to_le_bytes());
        files.iter().for_each(|f| hash.update(f.as_bytes()));
        Self(hash.finalize().into())
    }

    /// The scores of `tokens` from index `start` on.
    pub fn scores(&self, tokens: &[u32], start: usize) -> Key {
        self.key(b"scores", tokens, &[start as u64])
    }

    /// The continuation of `prompt`.
    pub fn continuation(&self, prompt: &[u32], s: &Sampling) -> Key {
        let settings = [
            u64::from(s.temperature.to_bits()),
            u64::from(s.top_p.to_bits()),
            s.max_tokens as u64,
            s.seed,
        ];
        self.key(b"tokens", prompt, &settings)
    }

    /// An independent seed for each model and prompt, and for each time that a prompt
    /// is there. It hangs on nothing else, so that what a model wrote is what it would
    /// write among other candidates and samples.
    pub fn seed(&self, seed: u64, prompt: &str, repeat: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(seed.to_le_bytes());
        hash.update(repeat.to_le_bytes());
        hash.update(prompt.as_bytes());
        let digest: Key = hash.finalize().into();
        digest.first_chunk().map_or(seed, |first| u64::from_le_bytes(*first))
    }

    fn key(&self, kind: &[u8; 6], tokens: &[u32], settings: &[u64]) -> Key {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(kind);
        settings.iter().for_each(|s| hash.update(s.to_le_bytes()));
        tokens.iter().for_each(|t| hash.update(t.to_le_bytes()));
        hash.finalize().into()
    }
}

impl Memo {
    /// Scores kept under `key`.
    pub fn scores(&self, key: &Key) -> Option<&[TokenScore]> {
        match self.entries.get(key) {
            Some(Entry::Scores(scores)) => Some(scores),
            _ => None,
        }
    }

    /// Tokens kept under `key`.
    pub fn tokens(&self, key: &Key) -> Option<&[u32]> {
        match self.entries.get(key) {
            Some(Entry::Tokens(tokens)) => Some(tokens),
            _ => None,
        }
    }

    /// Keeps scores.
    pub fn keep_scores(&mut self, key: Key, scores: Vec<TokenScore>) {
        self.keep(key, Entry::Scores(scores));
    }

    /// Keeps tokens.
    pub fn keep_tokens(&mut self, key: Key, tokens: Vec<u32>) {
        self.keep(key, Entry::Tokens(tokens));
    }

    fn keep(&mut self, key: Key, entry: Entry) {
        self.bytes += entry.bytes();
        match self.entries.insert(key, entry) {
            Some(old) => self.bytes -= old.bytes(),
            None => self.order.push_back(key),
        }
        while self.bytes > CAPACITY {
            let Some(oldest) = self.order.pop_front() else { return };
            self.dropped += 1;
            if let Some(old) = self.entries.remove(&oldest) {
                self.bytes -= old.bytes();
            }
        }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes in all that `newer` holds.
    pub fn absorb(&mut self, mut newer: Self) {
        for key in newer.order {
            if let Some(entry) = newer.entries.remove(&key) {
                self.keep(key, entry);
            }
        }
    }

    /// Everything as bytes, oldest first: key, kind, count, content.
    pub fn write(&self) -> Vec<u8> {
        self.write_since(0)
    }

    /// Where what comes from now on begins, for [`Memo::write_since`].
    pub fn mark(&self) -> usize {
        self.dropped + self.order.len()
    }

    /// As [`Memo::write`], of what was added since `mark` and is still there.
    pub fn write_since(&self, mark: usize) -> Vec<u8> {
        let mut out = vec![];
        for key in self.order.iter().skip(mark.saturating_sub(self.dropped)) {
            let Some(entry) = self.entries.get(key) else { continue };
            out.extend_from_slice(key);
            let (kind, len) = match entry {
                Entry::Scores(s) => (0_u32, s.len()),
                Entry::Tokens(t) => (1, t.len()),
            };
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&(len as u32).to_le_bytes());
            match entry {
                Entry::Scores(scores) => scores.iter().for_each(|s| {
                    let numbers =
                        [s.logprob.to_bits(), s.rank, s.mean.to_bits(), s.variance.to_bits()];
                    numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
                }),
                Entry::Tokens(tokens) => {
                    tokens.iter().for_each(|t| out.extend_from_slice(&t.to_le_bytes()));
                }
            }
        }
        out
    }

    /// Takes in what [`Memo::write`] gave.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where the bytes are something else; what came
    /// before the fault is kept.
    pub fn read(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (entry, after) = entry(rest).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "kept results are damaged")
                    .hint("run again; they are computed anew")
            })?;
            self.keep(entry.0, entry.1);
            rest = after;
        }
        Ok(())
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        ENTRY
            + match self {
                Self::Scores(s) => size_of_val(&s[..]),
                Self::Tokens(t) => size_of_val(&t[..]),
            }
    }
}

/// One entry and the bytes after it.
fn entry(bytes: &[u8]) -> Option<((Key, Entry), &[u8])> {
    let (key, rest) = bytes.split_first_chunk::<32>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    let words = match u32::from_le_bytes(*kind) {
        0 => len.checked_mul(4)?,
        1 => len,
        _ => return None,
    };
    // Nothing is reserved before it is known to be there.
    let (content, rest) = rest.split_at_checked(words.checked_mul(4)?)?;
    let words = content.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w));
    let entry = if words.len() == len && kind[0] == 1 {
        Entry::Tokens(words.collect())
    } else {
        let words: Vec<u32> = words.collect();
        let scores = words.as_chunks::<4>().0.iter().map(|w| TokenScore {
            logprob: f32::from_bits(w[0]),
            rank: w[1],
            mean: f32::from_bits(w[2]),
            variance: f32::from_bits(w[3]),
        });
        Entry::Scores(scores.collect())
    };
    Some(((*key, entry), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(logprob: f32) -> TokenScore {
        TokenScore { logprob, rank: 3, mean: -2.5, variance: 0.25 }
    }

    fn sampling(seed: u64) -> Sampling {
        Sampling { temperature: 0.8, top_p: 0.95, max_tokens: 4, seed }
    }

    #[test]
    fn what_was_kept_comes_back_and_nothing_else() {
        let model = ModelId::new(vec!["b".into(), "a".into()]);
        assert_eq!(model, ModelId::new(vec!["a".into(), "b".into()]));
        let other = ModelId::new(vec!["a".into()]);
        let mut memo = Memo::default();
        memo.keep_scores(model.scores(&[1, 2, 3], 1), vec![score(-1.0), score(-0.5)]);
        memo.keep_tokens(model.continuation(&[1, 2], &sampling(7)), vec![5, 6]);
        memo.keep_tokens(model.continuation(&[1], &sampling(7)), vec![]);
        let mut copy = Memo::default();
        copy.read(&memo.write()).unwrap();
        assert_eq!(copy.write(), memo.write());
        let mut last = Memo::default();
        last.read(&memo.write_since(2)).unwrap();
        assert_eq!(last.len(), 1);
        assert!(last.tokens(&model.continuation(&[1], &sampling(7))).is_some());
        assert!(memo.write_since(3).is_empty());
        for memo in [&memo, &copy] {
            assert_eq!(memo.len(), 3);
            let scores = memo.scores(&model.scores(&[1, 2, 3], 1)).unwrap();
            assert_eq!(scores, [score(-1.0), score(-0.5)]);
            assert_eq!(memo.tokens(&model.continuation(&[1, 2], &sampling(7))), Some(&[5, 6][..]));
            assert_eq!(memo.tokens(&model.continuation(&[1], &sampling(7))), Some(&[][..]));
            assert_eq!(memo.scores(&model.scores(&[1, 2, 3], 2)), None);
            assert_eq!(memo.scores(&other.scores(&[1, 2, 3], 1)), None);
            assert_eq!(memo.tokens(&model.continuation(&[1, 2], &sampling(8))), None);
        }
    }

    #[test]
    fn damage_is_an_error_and_keeps_what_came_before() {
        let model = ModelId::new(vec![]);
        let mut memo = Memo::default();
        memo.keep_tokens(model.continuation(&[1], &sampling(1)), vec![1, 2, 3]);
        memo.keep_scores(model.scores(&[1], 1), vec![score(-1.0)]);
        let bytes = memo.write();
        for cut in (1..bytes.len()).filter(|n| *n != 52) {
            let mut found = Memo::default();
            assert!(found.read(&bytes[..cut]).is_err(), "{cut}");
            assert_eq!(found.len(), usize::from(cut > 52));
        }
        let mut wrong = bytes.clone();
        wrong[32] = 9;
        assert!(Memo::default().read(&wrong).is_err());
        let mut long = bytes;
        long[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Memo::default().read(&long).is_err());
    }

    #[test]
    fn the_oldest_go_first() {
        let model = ModelId::new(vec![]);
        let mut memo = Memo::default();
        let large = vec![0_u32; 1 << 20];
        for i in 0..20 {
            memo.keep_tokens(model.continuation(&[i], &sampling(1)), large.clone());
        }
        assert!(memo.bytes <= CAPACITY && memo.len() == 15, "{} {}", memo.bytes, memo.len());
        assert!(memo.tokens(&model.continuation(&[4], &sampling(1))).is_none());
        assert!(memo.tokens(&model.continuation(&[19], &sampling(1))).is_some());
        // What is new is told apart from the rest of a full memo, too.
        let mark = memo.mark();
        memo.keep_tokens(model.continuation(&[20], &sampling(1)), large);
        let mut new = Memo::default();
        new.read(&memo.write_since(mark)).unwrap();
        assert_eq!((memo.len(), new.len()), (15, 1));
        assert!(new.tokens(&model.continuation(&[20], &sampling(1))).is_some());
    }

    #[test]
    fn of_two_the_newer_one_s_entries_go_last() {
        let model = ModelId::new(vec![]);
        let key = |i| model.continuation(&[i], &sampling(1));
        let memo = |keys: &[u32]| {
            let mut out = Memo::default();
            keys.iter().for_each(|i| out.keep_tokens(key(*i), vec![*i]));
            out
        };
        let mut all = memo(&[1, 2]);
        all.absorb(memo(&[3, 2, 4]));
        assert_eq!(all.write(), memo(&[1, 2, 3, 4]).write());
        assert_eq!(all.bytes, memo(&[1, 2, 3, 4]).bytes);
    }
}
