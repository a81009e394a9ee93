//! The worker as the page sees it: started, asked, ended, started again.

use super::dom::{document, thrown};
use crate::app::protocol::{Reply, Request};
use crate::error::{Error, ErrorKind, Result};
use gloo::timers::callback::Timeout;
use js_sys::{Array, Object, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, ErrorEvent, Event, MessageEvent, Worker};

/// Milliseconds until a worker must have started.
const PATIENCE: u32 = 60_000;

/// Hears what the worker answers, or why it broke.
pub type Ear = Rc<dyn Fn(Result<Reply>)>;

/// A worker, listening or about to.
pub struct Link {
    worker: Worker,
    /// Messages kept until the worker has started; `None` from then on.
    waiting: Rc<RefCell<Option<Vec<Object>>>>,
    // Dropped with the link, so that an ended worker is not heard any more.
    _late: Timeout,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(Event)>,
}

impl Link {
    /// Starts a worker from the address in the page's `data-worker`.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the browser starts none.
    pub fn start(ear: &Ear) -> Result<Self> {
        let root = document()?.document_element();
        let url = root.and_then(|r| r.get_attribute("data-worker")).unwrap_or_default();
        let worker = Worker::new(&url)
            .map_err(|e| thrown("the worker does not start", &e).hint("reload the page"))?;
        let waiting: Rc<RefCell<Option<Vec<Object>>>> = Rc::new(RefCell::new(Some(vec![])));
        let message = {
            let (ear, waiting, worker) = (ear.clone(), waiting.clone(), worker.clone());
            Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                let json = Reflect::get(&event.data(), &"json".into()).unwrap_or_default();
                let reply = serde_json::from_str(&json.as_string().unwrap_or_default());
                match reply {
                    Ok(Reply::Ready) => {
                        for message in waiting.borrow_mut().take().into_iter().flatten() {
                            if let Err(e) = worker.post_message(&message) {
                                ear(Err(thrown("the worker cannot be asked", &e)));
                            }
                        }
                    }
                    Ok(Reply::Shared { hashes, .. }) => {
                        ear(Ok(Reply::Shared { hashes, results: beside(&event) }));
                    }
                    Ok(Reply::Done { reports, .. }) => {
                        ear(Ok(Reply::Done { reports, results: beside(&event) }));
                    }
                    Ok(reply) => ear(Ok(reply)),
                    Err(e) => ear(Err(Error::new(
                        ErrorKind::Internal,
                        format!("the page does not understand its worker: {e}"),
                    )
                    .hint("reload the page"))),
                }
            })
        };
        let error = {
            let ear = ear.clone();
            Closure::<dyn FnMut(Event)>::new(move |event: Event| {
                event.prevent_default();
                ear(Err(broken(&event)));
            })
        };
        // A worker whose module cannot be fetched or compiled says nothing at all.
        let late = {
            let (ear, waiting) = (ear.clone(), waiting.clone());
            Timeout::new(PATIENCE, move || {
                if waiting.borrow().is_some() {
                    let what = "the worker does not start";
                    ear(Err(Error::new(ErrorKind::Internal, what).hint("reload the page")));
                }
            })
        };
        worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(error.as_ref().unchecked_ref()));
        worker.set_onmessageerror(Some(error.as_ref().unchecked_ref()));
        Ok(Self { worker, waiting, _late: late, _message: message, _error: error })
    }

    /// Sends `request` with its files.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the browser does not take the message.
    pub fn ask(&self, request: &Request, files: &[Blob]) -> Result<()> {
        self.send(request, files, &[])
    }

    /// Hands the worker what was computed elsewhere.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub fn keep(&self, results: &[u8]) -> Result<()> {
        if results.is_empty() {
            return Ok(());
        }
        self.send(&Request::Keep, &[], results)
    }

    fn send(&self, request: &Request, files: &[Blob], bytes: &[u8]) -> Result<()> {
        let json = serde_json::to_string(request).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("the request cannot be written: {e}"))
        })?;
        let message = Object::new();
        let fail = |e: JsValue| thrown("the worker cannot be asked", &e).hint("reload the page");
        Reflect::set(&message, &"json".into(), &json.into()).map_err(fail)?;
        let files: Array = files.iter().collect();
        Reflect::set(&message, &"files".into(), &files).map_err(fail)?;
        Reflect::set(&message, &"bytes".into(), &Uint8Array::from(bytes)).map_err(fail)?;
        match self.waiting.borrow_mut().as_mut() {
            Some(waiting) => waiting.push(message),
            None => self.worker.post_message(&message).map_err(fail)?,
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.set_onmessageerror(None);
        self.worker.terminate();
    }
}

/// The bytes beside a message.
fn beside(event: &MessageEvent) -> Vec<u8> {
    let bytes = Reflect::get(&event.data(), &"bytes".into());
    let bytes = bytes.and_then(JsValue::dyn_into::<Uint8Array>);
    bytes.map(|b| b.to_vec()).unwrap_or_default()
}

/// What the worker's end says, with what can be done about it.
fn broken(event: &Event) -> Error {
    let words = event.dyn_ref::<ErrorEvent>().map(ErrorEvent::message).unwrap_or_default();
    let memory = ["unreachable", "memory", "alloc"].iter().any(|w| words.contains(w));
    let error = match words.as_str() {
        "" => Error::new(ErrorKind::Internal, "the worker stopped or could not be loaded"),
        words => Error::new(ErrorKind::Internal, format!("the worker stopped: {words}")),
    };
    error.hint(if memory {
        "most likely it ran out of memory: use smaller or quantized models, or the command line"
    } else {
        "your files are still listed: run again, or reload the page"
    })
}
