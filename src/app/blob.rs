//! A browser's file as a source, read by range in the worker.

use crate::error::{Error, ErrorKind, Result};
use crate::source::{SharedSource, Source, past_end};
use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, FileReaderSync};

/// Bytes asked of the browser at once, so that no tensor is in memory twice.
const PIECE: usize = 4 << 20;
/// Small reads take this much ahead: asking costs more than reading.
const AHEAD: usize = 256 << 10;
/// Bytes of a buffer that makes the browser look for others to collect.
const NUDGE: u32 = 4 << 20;

/// A browser's file, read by range.
pub struct BlobSource {
    name: String,
    blob: Blob,
    len: u64,
    reader: FileReaderSync,
    hash: Option<String>,
    /// The last block read ahead, and where it begins.
    block: RefCell<(u64, Vec<u8>)>,
}

impl BlobSource {
    /// The file `blob`, called `name`; `hash` is its SHA-256 where that is known.
    ///
    /// # Errors
    /// Where the browser reads no files.
    pub fn shared(name: &str, blob: Blob, hash: Option<String>) -> Result<SharedSource> {
        let reader = FileReaderSync::new().map_err(|e| {
            Error::new(ErrorKind::Internal, format!("this browser reads no files: {}", words(&e)))
                .hint("use a current Firefox, Chrome, Edge or Safari")
        })?;
        let len = blob.size() as u64;
        let block = RefCell::default();
        Ok(Rc::new(Self { name: name.to_owned(), blob, len, reader, hash, block }))
    }

    /// Fills `buf` from the file itself.
    fn fetch(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let mut at = offset as f64;
        for piece in buf.chunks_mut(PIECE) {
            let to = at + piece.len() as f64;
            let read = self
                .blob
                .slice_with_f64_and_f64(at, to)
                .and_then(|slice| self.reader.read_as_array_buffer(&slice))
                .map_err(|e| self.gone(&reason(&e)))?;
            let read = Uint8Array::new(&read);
            if read.length() as usize != piece.len() {
                return Err(self.gone(": it became shorter"));
            }
            read.copy_to(piece);
            // What a file reader hands out does not count towards the collector's
            // limits in Chromium, so that a run which never rests came to hold
            // 2.7 GB of it. A buffer of the script's own does, and both are collected.
            drop(ArrayBuffer::new(NUDGE));
            at = to;
        }
        Ok(())
    }

    fn gone(&self, why: &str) -> Error {
        Error::new(ErrorKind::Read, format!("cannot be read any more{why}"))
            .in_file(&self.name)
            .hint("it was moved, changed or deleted after it was added: add it again")
    }
}

impl Source for BlobSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn known_hash(&self) -> Option<&str> {
        self.hash.as_deref()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(past_end(self, offset, buf.len()));
        }
        if buf.len() >= AHEAD {
            return self.fetch(offset, buf);
        }
        let mut block = self.block.borrow_mut();
        let within = |(from, bytes): &(u64, Vec<u8>)| {
            let start = usize::try_from(offset.checked_sub(*from)?).ok()?;
            let end = start.checked_add(buf.len())?;
            (end <= bytes.len()).then_some(start..end)
        };
        let range = match within(&block) {
            Some(range) => range,
            None => {
                let mut bytes = vec![0; AHEAD.min((self.len - offset) as usize)];
                self.fetch(offset, &mut bytes)?;
                *block = (offset, bytes);
                0..buf.len()
            }
        };
        buf.copy_from_slice(&block.1[range]);
        Ok(())
    }
}

/// Why a file cannot be read, unless it is the usual: that it is gone or
/// changed, for which browsers have only long and vague words.
fn reason(thrown: &JsValue) -> String {
    let name = Reflect::get(thrown, &"name".into()).ok().and_then(|n| n.as_string());
    match name.as_deref() {
        Some("NotReadableError" | "NotFoundError") => String::new(),
        _ => format!(": {}", words(thrown).trim_end_matches('.')),
    }
}

/// What a JavaScript exception says.
fn words(thrown: &JsValue) -> String {
    let message = Reflect::get(thrown, &"message".into()).ok().and_then(|m| m.as_string());
    message.filter(|m| !m.is_empty()).unwrap_or_else(|| "the browser gives no reason".into())
}
