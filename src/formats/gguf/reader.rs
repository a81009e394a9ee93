//! The header's bytes one after another: numbers, text and names, each length checked.

use super::{corrupt, too_large};
use crate::error::Result;
use crate::source::{Source, past_end};

const MAX_NAME: u64 = 1 << 16;
const MAX_HEADER: u64 = 512 << 20;
const PIECE: usize = 1 << 18;

/// Sequential reading through one buffer of a bounded size.
pub struct Reader<'a> {
    pub source: &'a dyn Source,
    /// How far it has come.
    pub at: u64,
    piece: Vec<u8>,
    piece_at: u64,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, at: 0, piece: Vec::new(), piece_at: 0 }
    }

    pub fn left(&self) -> u64 {
        self.source.len().saturating_sub(self.at)
    }

    /// Refuses `len` bytes that the file does not have.
    pub fn need(&self, len: u64) -> Result<()> {
        if self.at.saturating_add(len) > MAX_HEADER {
            return Err(too_large("the header is longer than 512 MiB"));
        }
        if len > self.left() {
            return Err(past_end(self.source, self.at, usize::try_from(len).unwrap_or(usize::MAX)));
        }
        Ok(())
    }

    pub fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        self.need(out.len() as u64)?;
        if out.len() >= PIECE {
            self.source.read_at(self.at, out)?;
        } else {
            let from = self.at.wrapping_sub(self.piece_at) as usize;
            if self.at < self.piece_at || from + out.len() > self.piece.len() {
                let n = self.left().min(PIECE as u64) as usize;
                self.piece.resize(n, 0);
                self.source.read_at(self.at, &mut self.piece)?;
                self.piece_at = self.at;
            }
            let from = (self.at - self.piece_at) as usize;
            out.copy_from_slice(&self.piece[from..from + out.len()]);
        }
        self.at += out.len() as u64;
        Ok(())
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut b = [0; N];
        self.fill(&mut b)?;
        Ok(b)
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn text(&mut self, cap: u64, what: &str) -> Result<Vec<u8>> {
        let len = self.u64()?;
        if len > cap {
            return Err(too_large(format!(
                "{what} claims {len} bytes; at most {cap} are accepted"
            )));
        }
        self.need(len)?;
        let mut b = vec![0; len as usize];
        self.fill(&mut b)?;
        Ok(b)
    }

    pub fn name(&mut self, what: &str) -> Result<String> {
        let b = self.text(MAX_NAME, what)?;
        String::from_utf8(b).map_err(|_| corrupt(format!("{what} is not UTF-8")))
    }
}
