//! A run: begun, followed, cancelled, ended.

use super::{App, Phase};
use crate::app::eta::{self, Eta};
use crate::app::page::{dom, lists, result};
use crate::app::protocol::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::text::training::{Mode, Training};
use crate::evidence::text::{Knowledge, Representation};
use crate::job::{Parameters, Progress};
use crate::report::Report;
use crate::report::figures::{bytes, plain};
use std::rc::Rc;
use web_sys::{HtmlInputElement, HtmlProgressElement, HtmlSelectElement};

impl App {
    /// Ranks what is loaded.
    pub fn run(&self) {
        if self.running() || self.0.borrow().inspecting {
            return;
        }
        let asked = parameters().and_then(|parameters| {
            parameters.check()?;
            let (inputs, blobs) = self.inputs()?;
            let workers = self.0.borrow().seen.workers(Self::cores());
            match workers {
                1 => self.ask(&Request::Run { inputs, parameters }, &blobs),
                n => self.share(n, inputs, parameters, blobs),
            }
        });
        if let Err(e) = asked {
            self.fail(&e);
            return;
        }
        {
            let mut state = self.0.borrow_mut();
            state.phase = Phase::Running;
            state.eta = Eta::default();
        }
        if let Ok(bar) = dom::by_id::<HtmlProgressElement>("progress") {
            // Without a value it shows that there is none yet.
            let _ = bar.remove_attribute("value");
        }
        dom::say("stage", "Opening the models");
        dom::say("time-left", "");
        dom::say("status", "Running.");
        let _ = self.refresh();
        dom::focus("cancel");
    }

    /// Ends the run at once; the files stay.
    pub fn cancel(&self) {
        if !self.running() {
            return;
        }
        {
            let mut state = self.0.borrow_mut();
            state.link = None;
            state.phase = Phase::Idle;
        }
        self.dismiss();
        // Started now, so that the next run need not wait for it.
        let started = self.link().and_then(|()| self.refresh());
        dom::say("status", "Cancelled. The files stay loaded.");
        dom::focus("run");
        if let Err(e) = started {
            self.fail(&e);
        }
    }

    pub(super) fn progress(&self, progress: &Progress) {
        if !self.running() {
            return;
        }
        if progress.unit == "steps" {
            let (done, total) = (grouped(progress.done), grouped(progress.total));
            dom::say("stage", &format!("{}: {done} of {total}", progress.stage));
            return;
        }
        if progress.unit != "tokens" {
            let read = (bytes(progress.done), bytes(progress.total));
            dom::say("stage", &format!("{}: {} of {}", progress.stage, read.0, read.1));
            return;
        }
        let left = {
            let mut state = self.0.borrow_mut();
            state.eta.note(dom::now(), progress.done);
            state.eta.left(progress.total)
        };
        if let Ok(bar) = dom::by_id::<HtmlProgressElement>("progress") {
            bar.set_max(progress.total.max(1) as f64);
            bar.set_value(progress.done as f64);
        }
        dom::say("stage", &progress.stage);
        // Told aloud at each quarter; more would be noise.
        if let quarter @ 1.. = progress.done * 4 / progress.total.max(1) {
            dom::say("status", &format!("Running: {} % done.", quarter * 25));
        }
        let mut text = format!("{} of {} tokens", grouped(progress.done), grouped(progress.total));
        if let Some(seconds) = left {
            text.push_str(&format!(" · {}", eta::words(seconds)));
        }
        dom::say("time-left", &text);
    }

    pub(super) fn done(&self, reports: Vec<Report>) {
        let Some(report) = reports.first().cloned().map(Rc::new) else { return };
        {
            let mut state = self.0.borrow_mut();
            state.phase = Phase::Done;
            state.report = Some(report.clone());
            state.reports = Rc::new(reports);
            state.rows = result::ROWS;
        }
        let reports = self.0.borrow().reports.clone();
        let shown = result::suspects(&reports)
            .and_then(|()| result::show(&report))
            .and_then(|()| {
                let state = self.0.borrow();
                lists::problems(state.taking.iter().chain(&report.problems), &state.files)
            })
            .and_then(|()| self.refresh());
        if let Err(e) = shown {
            self.fail(&e);
            return;
        }
        let said = match reports.len() {
            1 => result::headline(&report),
            n => format!("{n} suspects. {}: {}", plain(&report.suspect), result::headline(&report)),
        };
        dom::say("status", &format!("Done. {said}"));
        dom::focus("verdict");
        // The focus alone would leave it at the lower edge.
        if let Ok(section) = dom::by_id::<web_sys::Element>("result") {
            section.scroll_into_view();
        }
    }
}

/// The number in a field.
pub(super) fn number<T: std::str::FromStr>(id: &str, name: &str) -> Result<T> {
    let text = dom::by_id::<HtmlInputElement>(id)?.value();
    text.trim().parse().map_err(|_| {
        Error::new(ErrorKind::Usage, format!("{name} must be a number"))
            .hint("correct it under Settings")
    })
}

/// The number in a field that may be left empty.
fn optional<T: std::str::FromStr>(id: &str, name: &str) -> Result<Option<T>> {
    let field = dom::by_id::<HtmlInputElement>(id)?;
    // What is no number reads as empty, too.
    match field.value().trim().is_empty() && field.check_validity() {
        true => Ok(None),
        false => number(id, name).map(Some),
    }
}

/// The settings as entered.
fn parameters() -> Result<Parameters> {
    Ok(Parameters {
        seed: number("seed", "the seed")?,
        max_samples: number("max-samples", "the number of samples")?,
        max_new_tokens: number("max-new-tokens", "the number of new tokens")?,
        queries: optional("queries", "the number of queries")?,
        knowledge: choice("knowledge", &Knowledge::ALL, Knowledge::name)?,
        representation: choice("representation", &Representation::ALL, Representation::name)?,
        training: Training {
            mode: choice("training-mode", &[Mode::Frozen, Mode::Whole], |m| match m {
                Mode::Frozen => "frozen",
                Mode::Whole => "whole",
            })?,
            epochs: number("epochs", "the number of epochs")?,
            learning_rate: number("learning-rate", "the learning rate")?,
            batch: number("batch", "the batch size")?,
            ..Training::default()
        },
        ..Parameters::default()
    })
}

/// The one of `all` whose name a field holds; the first for none.
fn choice<T: Copy + Default>(id: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
    let value = dom::by_id::<HtmlSelectElement>(id)?.value();
    Ok(all.iter().copied().find(|k| name(*k) == value).unwrap_or_default())
}

/// `12345` as `12,345`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
