//! Files as they come: picked, dropped, or a folder with all below it.

use crate::error::{Error, ErrorKind};
use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, DataTransfer, File, FileList, FileSystemDirectoryEntry, FileSystemEntry,
    FileSystemFileEntry,
};

/// Files taken from one drop at the most.
const MAX_FILES: usize = 10_000;
/// Folders within folders at the most.
const MAX_DEPTH: usize = 16;

/// A file with the name that it is known by: its path within what was dropped.
#[derive(Clone)]
pub struct Given {
    /// The name to show.
    pub path: String,
    /// Its content, not read.
    pub blob: Blob,
    /// Its SHA-256, once a worker read it. A handle's content does not change: what
    /// was changed on disk cannot be read by it any more.
    pub sha256: Option<String>,
}

impl Given {
    /// `file` under `path`.
    pub fn new(path: String, file: File) -> Self {
        Self { path, blob: file.into(), sha256: None }
    }

    /// Whether both hold the same bytes. Names, lengths and times cannot tell:
    /// two models from archives may agree in all three. Read piece by piece up
    /// to the first difference.
    pub async fn same_content(&self, other: &Self) -> bool {
        const PIECE: f64 = (4 << 20) as f64;
        let size = self.blob.size();
        if size != other.blob.size() {
            return false;
        }
        let mut at = 0.0;
        while at < size {
            let to = (at + PIECE).min(size);
            match (self.bytes(at, to).await, other.bytes(at, to).await) {
                (Some(a), Some(b)) if a == b => at = to,
                _ => return false,
            }
        }
        true
    }

    /// The bytes from `from` to `to`, where they can still be read.
    async fn bytes(&self, from: f64, to: f64) -> Option<Vec<u8>> {
        let slice = self.blob.slice_with_f64_and_f64(from, to).ok()?;
        let buffer = JsFuture::from(slice.array_buffer()).await.ok()?;
        Some(js_sys::Uint8Array::new(&buffer).to_vec())
    }

    /// Whether it can still be read: browsers refuse a file that has changed.
    pub async fn readable(&self) -> bool {
        self.bytes(0.0, 1.0).await.is_some()
    }
}

/// What a drop or choice came to.
#[derive(Default)]
pub struct Taken {
    /// Its files, in order of their paths within each folder.
    pub files: Vec<Given>,
    /// What could not be taken.
    pub problems: Vec<Error>,
    /// Whether there were more than are taken.
    full: bool,
}

impl Taken {
    /// Takes `given`, unless there are too many or it is one that systems leave about.
    fn push(&mut self, given: Given) {
        let name = given.path.rsplit('/').next().unwrap_or_default();
        if matches!(name, ".DS_Store" | "Thumbs.db" | "desktop.ini") {
            return;
        }
        if self.files.len() < MAX_FILES {
            self.files.push(given);
        } else if !self.full {
            self.full = true;
            self.problems.push(
                Error::new(
                    ErrorKind::TooLarge,
                    format!("more than {MAX_FILES} files: the rest is left out"),
                )
                .hint("choose the folders of the models themselves"),
            );
        }
    }
}

/// The files of a picker.
pub fn picked(list: &FileList) -> Taken {
    let mut out = Taken::default();
    for file in (0..list.length()).filter_map(|i| list.item(i)) {
        let relative = Reflect::get(&file, &"webkitRelativePath".into()).ok();
        let path = relative.and_then(|p| p.as_string()).filter(|p| !p.is_empty());
        out.push(Given::new(path.unwrap_or_else(|| file.name()), file));
    }
    out
}

/// What lies in a drop. Must be called before its event ends: the browser
/// empties the drop then.
pub fn entries(transfer: &DataTransfer) -> (Vec<FileSystemEntry>, Taken) {
    let items = transfer.items();
    let entries: Vec<FileSystemEntry> = (0..items.length())
        .filter_map(|i| items.get(i))
        .filter_map(|item| item.webkit_get_as_entry().ok().flatten())
        .collect();
    let plain = match transfer.files() {
        Some(list) if entries.is_empty() => picked(&list),
        _ => Taken::default(),
    };
    (entries, plain)
}

/// All files of `entries` and the folders below them.
pub async fn walk(entries: Vec<FileSystemEntry>) -> Taken {
    let mut out = Taken::default();
    // The last is next; depth first, so that a folder's files stay together.
    let mut open: Vec<(FileSystemEntry, usize)> =
        entries.into_iter().rev().map(|e| (e, 0)).collect();
    while let Some((entry, depth)) = open.pop() {
        let path = entry.full_path();
        let path = path.trim_start_matches('/').to_owned();
        let found = if entry.is_file() {
            file(entry.unchecked_into()).await.map(|file| {
                out.push(Given::new(path.clone(), file));
            })
        } else if depth == MAX_DEPTH {
            Err(format!("folders are more than {MAX_DEPTH} deep"))
        } else {
            children(entry.unchecked_into()).await.map(|mut children| {
                children.sort_by_key(FileSystemEntry::name);
                open.extend(children.into_iter().rev().map(|e| (e, depth + 1)));
            })
        };
        if let Err(why) = found {
            out.problems.push(
                Error::new(ErrorKind::Read, format!("cannot be read: {why}"))
                    .in_file(path)
                    .hint("check that it may be read, or choose it with the button"),
            );
        }
        if out.full {
            break;
        }
    }
    out
}

/// A promise of what `ask` gives to the first of its two callbacks.
async fn callback(ask: impl FnOnce(&Function, &Function)) -> Result<JsValue, String> {
    let mut ask = Some(ask);
    let promise = Promise::new(&mut |yes, no| {
        if let Some(ask) = ask.take() {
            ask(&yes, &no);
        }
    });
    JsFuture::from(promise).await.map_err(|e| {
        let message = Reflect::get(&e, &"message".into()).ok().and_then(|m| m.as_string());
        message.unwrap_or_else(|| "the browser gives no reason".into())
    })
}

async fn file(entry: FileSystemFileEntry) -> Result<File, String> {
    let got = callback(|yes, no| entry.file_with_callback_and_callback(yes, no)).await?;
    Ok(got.unchecked_into())
}

/// The entries of a folder; the browser gives them in batches, an empty one last.
async fn children(folder: FileSystemDirectoryEntry) -> Result<Vec<FileSystemEntry>, String> {
    let reader = folder.create_reader();
    let mut out = vec![];
    loop {
        let batch = callback(|yes, no| {
            // A refusal reaches the second callback.
            let _ = reader.read_entries_with_callback_and_callback(yes, no);
        })
        .await?;
        let batch: Array = batch.unchecked_into();
        if batch.length() == 0 || out.len() > MAX_FILES {
            return Ok(out);
        }
        out.extend(batch.iter().map(JsCast::unchecked_into::<FileSystemEntry>));
    }
}
