//! The demo: loaded in place of what is there, and run.

use super::{App, Demo, State};
use crate::app::page::lists::sentence;
use crate::app::page::{demo, dom};
use crate::error::{Error, ErrorKind, Result};
use crate::report::markup::html;
use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlSelectElement;

impl App {
    /// Loads the demo in place of what is there, and runs it.
    pub fn demo(&self) {
        self.load_demo(None);
    }

    /// Runs the demo on another suspect.
    pub fn demo_suspect(&self, label: &str) {
        self.load_demo(Some(label.to_owned()));
    }

    fn load_demo(&self, wanted: Option<String>) {
        if self.running() {
            return;
        }
        let app = self.clone();
        dom::say("status", "Loading the demo …");
        dom::enable("demo", false);
        spawn_local(async move {
            let loaded = async {
                let manifest = demo::manifest().await?;
                let wanted = wanted.as_deref().unwrap_or(&manifest.default);
                let suspect = manifest
                    .suspect(wanted)
                    .cloned()
                    .ok_or_else(|| Error::new(ErrorKind::Missing, "the demo has no suspect"))?;
                let mut files = demo::bases(&manifest).await?;
                files.push(demo::samples(&suspect).await?);
                Ok::<_, Error>((files, Demo { manifest, suspect: suspect.label }))
            };
            let loaded = loaded.await;
            dom::enable("demo", true);
            match loaded {
                Ok((files, demo)) if !app.running() => {
                    app.empty();
                    {
                        let mut state = app.0.borrow_mut();
                        state.files = files;
                        state.demo = Some(demo);
                        state.then_run = true;
                    }
                    app.inspect();
                }
                Ok(_) => {}
                Err(e) => app.fail(&e),
            }
        });
    }

    pub(super) fn show_demo(&self, state: &State) -> Result<()> {
        let chosen = state
            .demo
            .as_ref()
            .and_then(|d| d.manifest.suspect(&d.suspect).map(|suspect| (&d.manifest, suspect)));
        dom::show("demo-choice", chosen.is_some());
        dom::show("truth", chosen.is_some());
        let Some((manifest, suspect)) = chosen else { return Ok(()) };
        let options =
            manifest.suspects.iter().map(|s| html("option").attr("value", &s.label).text(&s.label));
        dom::fill("demo-suspect", options)?;
        dom::by_id::<HtmlSelectElement>("demo-suspect")?.set_value(&suspect.label);
        dom::say("demo-about", &sentence(&suspect.about));
        dom::say(
            "truth",
            &format!("This demo suspect was in truth fine-tuned from {}.", suspect.truth),
        );
        Ok(())
    }
}
