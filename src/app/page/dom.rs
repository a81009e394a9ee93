//! The few things that the page does to its document.

use crate::error::{Error, ErrorKind, Result};
use crate::report::markup::{self, Node};
use gloo::events::EventListener;
use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element, Event, HtmlElement};

/// The page's document.
///
/// # Errors
/// [`ErrorKind::Internal`] outside a page.
pub fn document() -> Result<Document> {
    web_sys::window()
        .and_then(|w| w.document())
        .ok_or_else(|| Error::new(ErrorKind::Internal, "there is no document"))
}

/// The element with `id`, of the wanted class.
///
/// # Errors
/// [`ErrorKind::Internal`] where index.html has no such element.
pub fn by_id<T: JsCast>(id: &str) -> Result<T> {
    document()?
        .get_element_by_id(id)
        .and_then(|e| e.dyn_into().ok())
        .ok_or_else(|| Error::new(ErrorKind::Internal, format!("the page lacks its part {id}")))
}

/// What a JavaScript exception says, as an error.
pub fn thrown(doing: &str, e: &JsValue) -> Error {
    let message = Reflect::get(e, &"message".into()).ok().and_then(|m| m.as_string());
    let why = message.or_else(|| e.as_string()).unwrap_or_else(|| "no reason given".into());
    Error::new(ErrorKind::Internal, format!("{doing}: {why}"))
}

/// `element` with all below it as part of the document. Text arrives as text
/// nodes: nothing is parsed.
///
/// # Errors
/// [`ErrorKind::Internal`] where the browser refuses.
pub fn build(element: &markup::Element) -> Result<Element> {
    let doc = document()?;
    let fail = |e: JsValue| thrown("the page cannot show its result", &e);
    let out = doc.create_element_ns(Some(element.namespace.uri()), element.tag).map_err(fail)?;
    for (name, value) in &element.attributes {
        out.set_attribute(name, value).map_err(fail)?;
    }
    for child in &element.children {
        match child {
            Node::Text(text) => out.append_child(&doc.create_text_node(text)),
            Node::Element(child) => out.append_child(&*build(child)?),
        }
        .map_err(fail)?;
    }
    Ok(out)
}

/// Fills the element `id` with `children` alone. What had the focus in it keeps
/// it, where one of the same id takes its place.
///
/// # Errors
/// As [`by_id`] and [`build`].
pub fn fill(id: &str, children: impl IntoIterator<Item = markup::Element>) -> Result<()> {
    let target: Element = by_id(id)?;
    let focused = document()?.active_element().filter(|e| target.contains(Some(e)) && *e != target);
    let focused = focused.map(|e| e.id()).filter(|id| !id.is_empty());
    target.set_text_content(None);
    for child in children {
        target
            .append_child(&*build(&child)?)
            .map_err(|e| thrown("the page cannot show its result", &e))?;
    }
    if let Some(id) = focused {
        focus(&id);
    }
    Ok(())
}

/// Sets the text of the element `id`, where it is another: a live region is
/// read aloud whenever it is set.
pub fn say(id: &str, text: &str) {
    if let Ok(target) = by_id::<Element>(id)
        && target.text_content().as_deref() != Some(text)
    {
        target.set_text_content(Some(text));
    }
}

/// Shows or hides the element `id`.
pub fn show(id: &str, shown: bool) {
    if let Ok(target) = by_id::<HtmlElement>(id) {
        target.set_hidden(!shown);
    }
}

/// Enables or disables the button or field `id`.
pub fn enable(id: &str, enabled: bool) {
    if let Ok(target) = by_id::<Element>(id) {
        let _ = target.toggle_attribute_with_force("disabled", !enabled);
    }
}

/// Gives the element `id` the focus and brings it into view.
pub fn focus(id: &str) {
    if let Ok(target) = by_id::<HtmlElement>(id) {
        let _ = target.focus();
    }
}

/// Calls `react` at each `event` of the element `id`, as long as the page lives.
///
/// # Errors
/// As [`by_id`].
pub fn on(id: &str, event: &'static str, react: impl FnMut(&Event) + 'static) -> Result<()> {
    let target: Element = by_id(id)?;
    EventListener::new(&target, event, react).forget();
    Ok(())
}

/// Where the page is: `empty`, `ready`, `running`, `done` or `error`.
pub fn set_state(state: &str) {
    if let Some(root) = document().ok().and_then(|d| d.document_element()) {
        let _ = root.set_attribute("data-state", state);
    }
}

/// Milliseconds since the page was opened.
pub fn now() -> f64 {
    web_sys::window().and_then(|w| w.performance()).map_or(0.0, |p| p.now())
}
