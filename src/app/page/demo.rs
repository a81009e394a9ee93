//! The demo: small models and samples that come with the page.

use super::dom::thrown;
use super::files::Given;
use crate::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Response};

/// Where the demo's files are, from the page.
const FOLDER: &str = "demo/";

/// demo/demo.json.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// The candidates.
    pub bases: Vec<Base>,
    /// Suspects to choose from.
    pub suspects: Vec<Suspect>,
    /// Label of the suspect to begin with.
    pub default: String,
}

/// One bundled model.
#[derive(Clone, Debug, Deserialize)]
pub struct Base {
    /// Its label in the ranking.
    pub label: String,
    /// Its files.
    pub files: Vec<String>,
}

/// One bundled suspect.
#[derive(Clone, Debug, Deserialize)]
pub struct Suspect {
    /// Its name.
    pub label: String,
    /// Its samples.
    pub file: String,
    /// Label of its true base.
    pub truth: String,
    /// What it is, in words.
    pub about: String,
}

impl Manifest {
    /// The suspect called `label`, or the first.
    pub fn suspect(&self, label: &str) -> Option<&Suspect> {
        self.suspects.iter().find(|s| s.label == label).or_else(|| self.suspects.first())
    }
}

/// Reads what the demo consists of.
///
/// # Errors
/// Where the page's host does not give it.
pub async fn manifest() -> Result<Manifest> {
    let text = JsFuture::from(get("demo.json").await?.text().map_err(|e| lost("demo.json", &e))?)
        .await
        .map_err(|e| lost("demo.json", &e))?;
    serde_json::from_str(&text.as_string().unwrap_or_default()).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("the demo's list is broken: {e}"))
            .in_file("demo/demo.json")
            .hint("reload the page")
    })
}

/// The models of `manifest`.
///
/// # Errors
/// As [`manifest`].
pub async fn bases(manifest: &Manifest) -> Result<Vec<Given>> {
    let mut out = vec![];
    for base in &manifest.bases {
        for file in &base.files {
            // Its folder or file names a candidate.
            let path = match file.contains('/') {
                true => file.clone(),
                false => format!("{}/{file}", base.label),
            };
            out.push(Given { path, blob: blob(file).await?, sha256: None });
        }
    }
    Ok(out)
}

/// The samples of `suspect`.
///
/// # Errors
/// As [`manifest`].
pub async fn samples(suspect: &Suspect) -> Result<Given> {
    let blob = blob(&suspect.file).await?;
    Ok(Given { path: suspect.file.clone(), blob, sha256: None })
}

async fn blob(file: &str) -> Result<Blob> {
    let promise = get(file).await?.blob().map_err(|e| lost(file, &e))?;
    JsFuture::from(promise).await.map(JsCast::unchecked_into).map_err(|e| lost(file, &e))
}

async fn get(file: &str) -> Result<Response> {
    let window =
        web_sys::window().ok_or_else(|| Error::new(ErrorKind::Internal, "there is no window"))?;
    let answer = JsFuture::from(window.fetch_with_str(&format!("{FOLDER}{file}")))
        .await
        .map_err(|e| lost(file, &e))?;
    let answer: Response = answer.unchecked_into();
    if answer.ok() {
        return Ok(answer);
    }
    let status = JsValue::from_str(&format!("the host answers {}", answer.status()));
    Err(lost(file, &status))
}

fn lost(file: &str, e: &JsValue) -> Error {
    thrown("the demo cannot be loaded", e)
        .in_file(format!("{FOLDER}{file}"))
        .hint("reload the page once with a network; afterwards it works without")
}
