//! What models computed, kept from visit to visit in the browser's private file
//! system (OPFS): one file in a folder, and that the folder is there is the user's
//! consent. Whatever else the browser leaves in it, as half a file after a crash,
//! goes with it.
//!
//! The page does it and no worker: a stream here replaces the file as a whole
//! when it is closed, so that neither a closed tab nor an ended worker leaves half
//! of one, and tabs beside each other need no turns.

use super::dom::thrown;
use crate::error::{Error, ErrorKind, Result};
use crate::job::memo::{FILE_LIMIT, Memo};
use js_sys::{ArrayBuffer, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    File, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions,
    FileSystemGetFileOptions, FileSystemRemoveOptions, FileSystemWritableFileStream,
};

/// The folder; other pages may share the origin.
const FOLDER: &str = "basetrace";
/// The file in it.
const FILE: &str = "scores";
/// How often what another tab is writing is tried, and milliseconds between.
const TRIES: usize = 20;
const PAUSE: i32 = 100;

/// Where the folder is or may be.
#[derive(Clone)]
pub struct Shelf(FileSystemDirectoryHandle);

impl Shelf {
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the browser lets pages keep no files, as in
    /// private windows of some, or writes them in no way known here.
    pub async fn open() -> Result<Self> {
        let found = async {
            let window = web_sys::window().ok_or(JsValue::UNDEFINED)?;
            // Looked for one by one: what is missing would not fail but trap.
            let class = Reflect::get(&window, &"FileSystemFileHandle".into())?;
            let methods = Reflect::get(&class, &"prototype".into())?;
            if !Reflect::has(&methods, &"createWritable".into())? {
                return Err(JsValue::UNDEFINED);
            }
            let storage = Reflect::get(&window.navigator(), &"storage".into())?;
            let open: Function = Reflect::get(&storage, &"getDirectory".into())?.dyn_into()?;
            JsFuture::from(Promise::resolve(&open.call0(&storage)?)).await?.dyn_into()
        };
        found.await.map(Self).map_err(|_: JsValue| {
            Error::new(ErrorKind::Unsupported, "this browser lets the page keep nothing here")
                .hint("another browser or a window that is not private may")
        })
    }

    /// What is kept; `None` where the user did not agree. A file that cannot be used,
    /// for whatever reason, holds nothing: the next [`Shelf::save`] replaces it.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the browser does not say what there is.
    pub async fn load(&self) -> Result<Option<Memo>> {
        let Some(folder) = self.folder(false).await? else { return Ok(None) };
        let read = async {
            let file = JsFuture::from(folder.get_file_handle(FILE)).await?;
            let file = file.unchecked_into::<FileSystemFileHandle>();
            let file: File = JsFuture::from(file.get_file()).await?.dyn_into()?;
            if file.size() > FILE_LIMIT as f64 {
                return Ok(vec![]);
            }
            let buffer: ArrayBuffer = JsFuture::from(file.array_buffer()).await?.dyn_into()?;
            Ok::<_, JsValue>(Uint8Array::new(&buffer).to_vec())
        };
        let bytes = read.await.unwrap_or_default();
        Ok(Some(Memo::from_file(&bytes).unwrap_or_default()))
    }

    /// Makes the folder where there is none: from here on results may be kept.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the browser does not let it.
    pub async fn allow(&self) -> Result<()> {
        self.folder(true).await.map(|_| ())
    }

    /// Keeps `content`, by [`Memo::to_file`], in place of what was; `false` where the
    /// folder is gone, for then another tab took the consent back.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where there is no room; the file is as before then.
    pub async fn save(&self, content: &[u8]) -> Result<bool> {
        let bytes = Uint8Array::from(content);
        let Some(folder) = self.folder(false).await? else { return Ok(false) };
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        let stream = async {
            let file = JsFuture::from(folder.get_file_handle_with_options(FILE, &options)).await?;
            let file = file.unchecked_into::<FileSystemFileHandle>();
            patient(|| file.create_writable()).await
        };
        let stream = match stream.await {
            Ok(stream) => stream.unchecked_into::<FileSystemWritableFileStream>(),
            Err(e) if is(&e, "NotFoundError") => return Ok(false),
            Err(e) => return Err(full(&e)),
        };
        let written = async {
            JsFuture::from(stream.write_with_js_u8_array(&bytes)?).await?;
            JsFuture::from(stream.close()).await
        };
        if let Err(e) = written.await {
            // Lets go of the file; one whose end failed has done so already.
            let _ = JsFuture::from(stream.abort()).await;
            return Err(full(&e));
        }
        Ok(true)
    }

    /// Removes the folder with all that is in it.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the browser does not.
    pub async fn forget(&self) -> Result<()> {
        let options = FileSystemRemoveOptions::new();
        options.set_recursive(true);
        match patient(|| self.0.remove_entry_with_options(FOLDER, &options)).await {
            Err(e) if !is(&e, "NotFoundError") => {
                Err(thrown("what was kept could not be deleted", &e).hint(
                    "close other tabs of this page and try again, or delete this site’s data in the browser’s settings",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The folder, made where `create` says so.
    async fn folder(&self, create: bool) -> Result<Option<FileSystemDirectoryHandle>> {
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(create);
        match JsFuture::from(self.0.get_directory_handle_with_options(FOLDER, &options)).await {
            Ok(folder) => Ok(Some(folder.unchecked_into())),
            Err(e) if is(&e, "NotFoundError") => Ok(None),
            Err(e) => Err(full(&e)),
        }
    }
}

/// What `ask` promises; while another tab is at the file it is asked again.
async fn patient(ask: impl Fn() -> Promise) -> Result<JsValue, JsValue> {
    for _ in 0..TRIES {
        match JsFuture::from(ask()).await {
            Err(e) if is(&e, "NoModificationAllowedError") => {}
            other => return other,
        }
        let pause = Promise::new(&mut |wake, _| {
            if let Some(window) = web_sys::window() {
                let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&wake, PAUSE);
            }
        });
        JsFuture::from(pause).await?;
    }
    JsFuture::from(ask()).await
}

/// Whether an exception is the one called `name`.
fn is(e: &JsValue, name: &str) -> bool {
    Reflect::get(e, &"name".into()).is_ok_and(|n| n.as_string().as_deref() == Some(name))
}

/// What an exception while writing says, with what can be done about it.
fn full(e: &JsValue) -> Error {
    let hint = "the report is not affected; free some disk space, or untick “Keep scores”";
    if is(e, "QuotaExceededError") {
        let what = "scores could not be kept for the next visit: the browser gives no more room";
        return Error::new(ErrorKind::Internal, what).hint(hint);
    }
    thrown("scores could not be kept for the next visit", e).hint(hint)
}
