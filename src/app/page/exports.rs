//! The result as files.

use super::dom::{document, thrown};
use crate::app::png;
use crate::error::{Error, ErrorKind, Result};
use crate::report::markup::Element;
use crate::report::{Report, chart, csv, draw, html, json};
use gloo::timers::callback::Timeout;
use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, BlobPropertyBag, CanvasRenderingContext2d, HtmlAnchorElement, HtmlCanvasElement,
    HtmlImageElement, Url,
};

/// Canvas points for each point of the chart.
const SCALE: f64 = 2.0;
/// Milliseconds that the browser has to take a download.
const KEPT: u32 = 60_000;

/// The forms that are text, by the id of their button.
pub const TEXTS: [&str; 4] = ["export-json", "export-csv", "export-svg", "export-html"];

/// Saves `report` in the form of the button `id`.
///
/// # Errors
/// Where it cannot be written, or the browser refuses.
pub fn text(report: &Report, id: &str) -> Result<()> {
    let (name, kind, text) = match id {
        "export-json" => ("basetrace-report.json", "application/json", json::write(report)?),
        "export-csv" => ("basetrace-report.csv", "text/csv;charset=utf-8", csv::write(report)?),
        "export-svg" => {
            return drawing(report, "basetrace-chart.svg", chart::chart(report, "basetrace"));
        }
        _ => ("basetrace-report.html", "text/html;charset=utf-8", html::write(report)),
    };
    save(name, &blob(&JsValue::from_str(&text), kind)?)
}

/// Saves `drawing` as SVG, with what is needed to repeat the run.
///
/// # Errors
/// As [`text`].
pub fn drawing(report: &Report, name: &str, drawing: Element) -> Result<()> {
    save(name, &blob(&JsValue::from_str(&draw::file(drawing, report)?), "image/svg+xml")?)
}

/// Saves a file of prompts.
///
/// # Errors
/// As [`text`].
pub fn prompts(text: &str) -> Result<()> {
    save("basetrace-prompts.jsonl", &blob(&JsValue::from_str(text), "application/jsonl")?)
}

/// Saves the chart as a picture.
///
/// # Errors
/// Where the browser cannot draw it.
pub async fn picture(report: &Report) -> Result<()> {
    let fail = |e: JsValue| thrown("the chart cannot be drawn", &e).hint("save it as SVG instead");
    let chart = chart::chart(report, "basetrace");
    let size = |wanted: &str| {
        let of = chart.attributes.iter().find(|(name, _)| *name == wanted);
        of.and_then(|(_, v)| v.parse::<f64>().ok()).unwrap_or(760.0) * SCALE
    };
    let (width, height) = (size("width"), size("height"));
    let source = blob(&JsValue::from_str(&chart.to_svg()), "image/svg+xml")?;
    let address = Url::create_object_url_with_blob(&source).map_err(fail)?;
    let image = HtmlImageElement::new().map_err(fail)?;
    image.set_src(&address);
    let loaded = JsFuture::from(image.decode()).await;
    let canvas: HtmlCanvasElement =
        document()?.create_element("canvas").map_err(fail)?.unchecked_into();
    canvas.set_width(width as u32);
    canvas.set_height(height as u32);
    let brush: CanvasRenderingContext2d = canvas
        .get_context("2d")
        .map_err(fail)?
        .ok_or_else(|| fail(JsValue::from_str("the browser gives no canvas")))?
        .unchecked_into();
    let drawn = loaded.and_then(|_| {
        brush.draw_image_with_html_image_element_and_dw_and_dh(&image, 0.0, 0.0, width, height)
    });
    let _ = Url::revoke_object_url(&address);
    drawn.map_err(fail)?;
    let encoded = Promise::new(&mut |yes, no| {
        if let Err(e) = canvas.to_blob(&yes) {
            let _ = no.call1(&JsValue::UNDEFINED, &e);
        }
    });
    let encoded: Blob = JsFuture::from(encoded)
        .await
        .map_err(fail)?
        .dyn_into()
        .map_err(|_| fail(JsValue::from_str("the picture is too large")))?;
    let bytes = JsFuture::from(encoded.array_buffer()).await.map_err(fail)?;
    let bytes = Uint8Array::new(&bytes).to_vec();
    let bytes = png::with_text(&bytes, "Comment", &json::provenance(report)?)?;
    save("basetrace-chart.png", &blob(&Uint8Array::from(&bytes[..]).into(), "image/png")?)
}

fn blob(content: &JsValue, kind: &str) -> Result<Blob> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    Blob::new_with_blob_sequence_and_options(&Array::of1(content), &options)
        .map_err(|e| thrown("the file cannot be made", &e))
}

/// Lets the browser download `blob` as `name`.
fn save(name: &str, blob: &Blob) -> Result<()> {
    let fail = |e: JsValue| thrown("the file cannot be saved", &e);
    let address = Url::create_object_url_with_blob(blob).map_err(fail)?;
    let link: HtmlAnchorElement = document()?
        .create_element("a")
        .map_err(fail)?
        .dyn_into()
        .map_err(|_| Error::new(ErrorKind::Internal, "the browser makes no links"))?;
    link.set_href(&address);
    link.set_download(name);
    link.click();
    Timeout::new(KEPT, move || {
        let _ = Url::revoke_object_url(&address);
    })
    .forget();
    Ok(())
}
