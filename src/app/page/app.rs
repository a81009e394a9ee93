//! What the page knows, and what each action does to it.

mod choices;
mod crew;
mod demo;
mod given;
mod keep;
mod run;

pub use choices::training_defaults;

use super::demo::Manifest;
use super::files::Given;
use super::link::{Ear, Link};
use super::lists::sentence;
use super::{dom, exports, lists, result};
use crate::app::eta::Eta;
use crate::app::protocol::{Inputs, Inspected, Reply, Request, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::job::memo::Memo;
use crate::report::Report;
use crew::Crew;
use keep::Keeping;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, HtmlTextAreaElement};

/// A handle on all that the page knows.
#[derive(Clone)]
pub struct App(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// `None` after the worker broke: the next question starts another.
    link: Option<Link>,
    /// The workers of a run in parts.
    crew: Option<Crew>,
    /// What models computed so far, for workers to come.
    kept: Memo,
    /// Whether and how it is kept for the next visit.
    keeping: Keeping,
    files: Vec<Given>,
    /// Problems met while files were taken.
    taking: Vec<Error>,
    /// Number of the last inspection asked for, and whether it is answered.
    number: u32,
    inspecting: bool,
    seen: Inspected,
    phase: Phase,
    eta: Eta,
    /// All that the last run found, and the one of it that is shown.
    reports: Rc<Vec<Report>>,
    report: Option<Rc<Report>>,
    /// Whose responses a file holds, where the user said so.
    roles: BTreeMap<String, Role>,
    /// Files of models that are suspects.
    suspects: BTreeSet<String>,
    rows: usize,
    demo: Option<Demo>,
    /// Whether to run as soon as the files are inspected.
    then_run: bool,
}

/// The demo in use.
struct Demo {
    manifest: Manifest,
    /// Label of the suspect.
    suspect: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Running,
    Done,
    Failed,
}

/// The SHA-256 of the files that a worker read before, by name.
fn hashes(state: &State) -> BTreeMap<String, String> {
    let known = |f: &Given| Some((f.path.clone(), f.sha256.clone()?));
    state.files.iter().filter_map(known).collect()
}

impl App {
    /// The page without files, its worker starting.
    ///
    /// # Errors
    /// Where the browser starts no worker.
    pub fn new() -> Result<Self> {
        let app = Self(Rc::default());
        app.link()?;
        Ok(app)
    }

    /// Starts a worker where there is none.
    fn link(&self) -> Result<()> {
        if self.0.borrow().link.is_none() {
            let app = self.clone();
            let ear: Ear = Rc::new(move |reply| app.hear(reply));
            let link = Link::start(&ear)?;
            link.keep(&self.0.borrow().kept.write())?;
            self.0.borrow_mut().link = Some(link);
        }
        Ok(())
    }

    fn running(&self) -> bool {
        self.0.borrow().phase == Phase::Running
    }

    /// Asks the worker what the files and the pasted text are.
    pub fn inspect(&self) {
        if self.running() {
            return;
        }
        let (number, nothing) = {
            let mut state = self.0.borrow_mut();
            state.number += 1;
            state.inspecting = true;
            (state.number, state.files.is_empty())
        };
        let asked = self.inputs().and_then(|(inputs, blobs)| {
            if nothing && inputs.pasted.trim().is_empty() {
                self.inspected(Inspected { number, ..Default::default() });
                return Ok(());
            }
            dom::say("status", "Looking into the files …");
            dom::enable("run", false);
            self.ask(&Request::Inspect { number, inputs }, &blobs)
        });
        if let Err(e) = asked {
            self.fail(&e);
        }
    }

    fn ask(&self, request: &Request, blobs: &[Blob]) -> Result<()> {
        self.link()?;
        match &self.0.borrow().link {
            Some(link) => link.ask(request, blobs),
            None => Err(Error::new(ErrorKind::Internal, "there is no worker")),
        }
    }

    fn inputs(&self) -> Result<(Inputs, Vec<Blob>)> {
        let pasted = dom::by_id::<HtmlTextAreaElement>("paste")?.value();
        let state = self.0.borrow();
        let paths = state.files.iter().map(|f| f.path.clone()).collect();
        let hashes = hashes(&state);
        let (roles, suspects) = (state.roles.clone(), state.suspects.clone());
        let blobs = state.files.iter().map(|f| f.blob.clone()).collect();
        Ok((Inputs { paths, hashes, pasted, roles, suspects }, blobs))
    }

    fn hear(&self, reply: Result<Reply>) {
        match reply {
            Ok(Reply::Ready) => {}
            Ok(Reply::Inspected(seen)) => self.inspected(seen),
            Ok(Reply::Progress(progress)) if self.in_parts() => self.part_progress(0, &progress),
            Ok(Reply::Progress(progress)) => self.progress(&progress),
            Ok(Reply::Shared { hashes, results }) => {
                self.hashed(hashes);
                self.part_done(0, &results);
            }
            Ok(Reply::Done { reports, results }) => {
                let inputs = reports.first().map_or(&[][..], |r| &r.inputs);
                self.hashed(inputs.iter().map(|i| (i.name.clone(), i.sha256.clone())));
                self.done(reports);
                self.keep_results(&results);
            }
            Ok(Reply::Prompts { text, count }) => self.prompts_chosen(&text, count),
            Ok(Reply::Failed { error }) => self.failed(&error),
            Err(error) => {
                self.dismiss();
                // A worker that broke once is not asked again.
                let broken = self.0.borrow_mut().link.take();
                // Its closures are at work right now: they end a moment later.
                spawn_local(async move { drop(broken) });
                self.fail(&error);
            }
        }
    }

    fn inspected(&self, seen: Inspected) {
        let then_run = {
            let mut state = self.0.borrow_mut();
            if seen.number != state.number {
                return;
            }
            state.inspecting = false;
            state.seen = seen;
            state.phase = Phase::Idle;
            std::mem::take(&mut state.then_run) && state.seen.can_run()
        };
        dom::say("status", &self.summary());
        if let Err(e) = self.refresh() {
            self.fail(&e);
        } else if then_run {
            self.run();
        }
    }

    fn summary(&self) -> String {
        let state = self.0.borrow();
        if state.files.is_empty() && state.seen.samples.is_empty() {
            return String::new();
        }
        let many = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let mut out = format!(
            "{} and {} loaded.",
            many(state.seen.ranked(), "candidate"),
            many(
                state
                    .seen
                    .samples
                    .iter()
                    .filter(|s| s.role == Role::Suspect)
                    .map(|s| s.count)
                    .sum(),
                "sample"
            )
        );
        if let n @ 1.. = state.seen.suspects() {
            let whose = many(n, "suspect");
            out.push_str(&format!(" {whose} by {} weights.", if n == 1 { "its" } else { "their" }));
        }
        let problems = state.seen.problems.len() + state.taking.len();
        if problems > 0 {
            out.push_str(&format!(" {} could not be used.", many(problems, "input")));
        }
        out
    }

    /// Brings lists, buttons and state in line with what is known.
    ///
    /// # Errors
    /// Where the page lacks one of its parts.
    pub fn refresh(&self) -> Result<()> {
        let state = self.0.borrow();
        let running = state.phase == Phase::Running;
        if !matches!(state.phase, Phase::Running | Phase::Done) {
            lists::show(&state.seen, &state.taking, &state.files)?;
        }
        for id in [
            "pick-files",
            "pick-folder",
            "demo",
            "paste",
            "demo-suspect",
            "seed",
            "max-samples",
            "queries",
            "max-new-tokens",
            "knowledge",
            "save-prompts",
            "representation",
            "training-mode",
            "epochs",
            "learning-rate",
            "batch",
        ] {
            dom::enable(id, !running);
        }
        let some = !state.files.is_empty() || !state.seen.samples.is_empty();
        dom::enable("clear", some && !running);
        dom::enable("run", state.seen.can_run() && !running && !state.inspecting);
        dom::enable("cancel", running);
        dom::say("run-needs", state.seen.needs());
        dom::show("progress-box", running);
        dom::show("result", state.report.is_some() && !running);
        dom::show("stale", state.phase != Phase::Done);
        self.show_demo(&state)?;
        dom::set_state(match state.phase {
            Phase::Running => "running",
            Phase::Done => "done",
            Phase::Failed => "error",
            Phase::Idle if state.seen.can_run() => "ready",
            Phase::Idle => "empty",
        });
        Ok(())
    }

    fn fail(&self, error: &Error) {
        {
            let mut state = self.0.borrow_mut();
            state.phase = Phase::Failed;
            state.inspecting = false;
            state.then_run = false;
        }
        let mut text = error.file().map(|f| format!("{f}: ")).unwrap_or_default();
        text.push_str(&sentence(error.what()));
        if let Some(hint) = error.hint_text() {
            text.push_str(&format!(" {}", sentence(hint)));
        }
        let _ = self.refresh();
        dom::set_state("error");
        dom::say("status", &text);
    }

    fn with_report(&self, act: impl FnOnce(&Report) -> Result<()>) {
        let report = self.0.borrow().report.clone();
        if let Some(Err(e)) = report.map(|r| act(&r)) {
            // The result stays: only this was not possible.
            dom::say("status", &e.to_string());
        }
    }

    /// Shows more rows of the table of samples.
    pub fn more_samples(&self) {
        let rows = {
            let mut state = self.0.borrow_mut();
            state.rows += 5 * result::ROWS;
            state.rows
        };
        self.with_report(|r| result::samples(r, rows));
    }

    /// Shows the heat map that is chosen.
    pub fn heat(&self) {
        self.with_report(result::heat);
    }

    /// Saves the report in the form of the button `id`.
    pub fn export(&self, id: &str) {
        self.with_report(|r| exports::text(r, id));
    }

    /// Saves the chart as a picture.
    pub fn export_picture(&self) {
        let Some(report) = self.0.borrow().report.clone() else { return };
        spawn_local(async move {
            if let Err(e) = exports::picture(&report).await {
                dom::say("status", &e.to_string());
            }
        });
    }
}
