//! What the user chooses beside files: whose a text is, which suspect is
//! shown, which prompts to save, and the mode of training.

use super::App;
use super::run::number;
use crate::app::page::{dom, exports, lineage, result};
use crate::app::protocol::{Request, Role};
use crate::error::Result;
use crate::evidence::text::training::{Mode, Training};
use crate::report::figures::plain;
use std::rc::Rc;
use web_sys::{HtmlInputElement, HtmlSelectElement};

impl App {
    /// Asks for prompts to put to a suspect, to be saved as a file.
    pub fn prompts(&self) {
        if self.running() {
            return;
        }
        let asked = wanted().and_then(|(strategy, budget, seed)| {
            let (inputs, blobs) = self.inputs()?;
            dom::say("status", "Choosing prompts …");
            self.ask(&Request::Prompts { inputs, strategy, budget, seed }, &blobs)
        });
        if let Err(e) = asked {
            self.fail(&e);
        }
    }

    pub(super) fn prompts_chosen(&self, text: &str, count: usize) {
        match exports::prompts(text) {
            Ok(()) => dom::say("status", &format!("{count} prompts saved.")),
            Err(e) => self.fail(&e),
        }
    }

    /// The user says whose responses file number `which` holds.
    pub fn role(&self, which: &str, role: &str) {
        if self.running() {
            return;
        }
        let Some(role) = Role::ALL.into_iter().find(|r| r.name() == role) else { return };
        {
            let mut state = self.0.borrow_mut();
            let name = which.parse().ok().and_then(|i: usize| state.seen.samples.get(i));
            let Some(name) = name.map(|s| s.name.clone()) else { return };
            state.roles.insert(name, role);
        }
        self.inspect();
    }

    /// The user says what the model in row `which` of the lists is.
    pub fn model(&self, which: &str, part: &str) {
        if self.running() {
            return;
        }
        {
            let mut state = self.0.borrow_mut();
            let seen = match which.parse() {
                Ok(i) => state.seen.candidates.get::<usize>(i),
                Err(_) => state.seen.encoder.as_ref(),
            };
            let Some(files) = seen.map(|c| c.files.clone()) else { return };
            for file in files {
                if part == "suspect" {
                    state.suspects.insert(file);
                } else {
                    state.suspects.remove(&file);
                }
            }
        }
        self.inspect();
    }

    /// Shows what the choices among the evidence of descent name.
    pub fn lineage(&self, choice: &str) {
        self.with_report(|r| match choice {
            "lineage-candidate" => lineage::candidate(r),
            _ => lineage::layers(r),
        });
    }

    /// Saves the picture of the button `id`.
    pub fn save_picture(&self, id: &str) {
        self.with_report(|r| match lineage::picture(r, id)? {
            Some((name, drawing)) => exports::drawing(r, name, drawing),
            None => Ok(()),
        });
    }

    /// Shows what was found about suspect number `which`.
    pub fn suspect(&self, which: &str) {
        let chosen = {
            let mut state = self.0.borrow_mut();
            let chosen = which.parse().ok().and_then(|i: usize| state.reports.get(i).cloned());
            let Some(chosen) = chosen.map(Rc::new) else { return };
            state.report = Some(chosen.clone());
            state.rows = result::ROWS;
            chosen
        };
        if let Err(e) = result::show(&chosen) {
            self.fail(&e);
        }
        dom::say("status", &format!("{}: {}", plain(&chosen.suspect), result::headline(&chosen)));
    }
}

/// Fills in the defaults of a training mode.
pub fn training_defaults(mode: &str) {
    let t = Training::of(if mode == "whole" { Mode::Whole } else { Mode::Frozen });
    let fields = [
        ("epochs", t.epochs.to_string()),
        ("learning-rate", t.learning_rate.to_string()),
        ("batch", t.batch.to_string()),
    ];
    for (id, value) in fields {
        match dom::by_id::<HtmlInputElement>(id) {
            Ok(field) => field.set_value(&value),
            Err(e) => dom::say("status", &e.to_string()),
        }
    }
}

/// Strategy, budget and seed of the prompts to choose.
fn wanted() -> Result<(String, usize, u64)> {
    let strategy = dom::by_id::<HtmlSelectElement>("prompt-strategy")?.value();
    Ok((strategy, number("prompt-budget", "the number of prompts")?, number("seed", "the seed")?))
}
