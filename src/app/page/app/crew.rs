//! The workers of a run: beside the page's own, helpers that each compute a
//! part of what the models have to score, so that all cores are at work.
//!
//! Each has a memory and a copy of one model of its own. Threads over one
//! memory would need a standard library built for them, which no stable
//! toolchain has. What comes out is the same however many there are, because a
//! sequence gets the same bits alone and among others; a helper that fails only
//! leaves its part to the run itself.

use super::{App, Phase, hashes};
use crate::app::page::link::{Ear, Link};
use crate::app::protocol::{Inputs, Reply, Request};
use crate::error::{Error, Result};
use crate::job::{Parameters, Progress, Share};
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

/// A run in parts.
pub(super) struct Crew {
    /// All but the page's own worker, which does the first part; `None` once done.
    helpers: Vec<Option<Link>>,
    /// Parts not ended yet, the first one among them.
    open: usize,
    /// Tokens done and to do, by part.
    tokens: Vec<(u64, u64)>,
    /// The run to do once all parts are there.
    run: Option<(Inputs, Parameters, Vec<Blob>)>,
}

impl App {
    /// Begins a run of `n` workers, this page's own among them.
    pub(super) fn share(
        &self,
        n: usize,
        inputs: Inputs,
        parameters: Parameters,
        blobs: Vec<Blob>,
    ) -> Result<()> {
        let part = |part| Request::Share {
            inputs: inputs.clone(),
            parameters: parameters.clone(),
            share: Share { part, of: n },
        };
        let start = |i: usize| -> Result<Link> {
            let app = self.clone();
            let ear: Ear = Rc::new(move |reply| app.hear_helper(i, reply));
            let link = Link::start(&ear)?;
            link.keep(&self.0.borrow().kept.write())?;
            link.ask(&part(i), &blobs)?;
            Ok(link)
        };
        // One that does not start leaves its part to the run, too.
        let helpers: Vec<Option<Link>> = (1..n).map(|i| start(i).ok()).collect();
        let open = 1 + helpers.iter().flatten().count();
        self.ask(&part(0), &blobs)?;
        self.0.borrow_mut().crew = Some(Crew {
            helpers,
            open,
            tokens: vec![(0, 0); n],
            run: Some((inputs, parameters, blobs)),
        });
        Ok(())
    }

    fn hear_helper(&self, part: usize, reply: Result<Reply>) {
        match reply {
            Ok(Reply::Progress(progress)) => self.part_progress(part, &progress),
            Ok(Reply::Shared { results, .. }) => self.part_done(part, &results),
            Ok(Reply::Failed { .. }) | Err(_) => self.part_done(part, &[]),
            Ok(_) => {}
        }
    }

    /// A part came to its end; the last one lets the run begin.
    pub(super) fn part_done(&self, part: usize, results: &[u8]) {
        let (helper, run) = {
            let mut state = self.0.borrow_mut();
            let state = &mut *state;
            let Some(crew) = state.crew.as_mut() else { return };
            let helper = part.checked_sub(1).and_then(|i| crew.helpers.get_mut(i)?.take());
            if part > 0 && helper.is_none() {
                return;
            }
            if let (Some(link), true) = (&state.link, part > 0 && !results.is_empty()) {
                // What does not arrive is computed again.
                let _ = link.keep(results);
            }
            crew.open = crew.open.saturating_sub(1);
            (helper, if crew.open == 0 { crew.run.take() } else { None })
        };
        // Its closures are at work right now: they end a moment later.
        spawn_local(async move { drop(helper) });
        self.keep_results(results);
        if let Some((mut inputs, parameters, blobs)) = run {
            {
                let mut state = self.0.borrow_mut();
                state.crew = None;
                inputs.hashes = hashes(&state);
            }
            if let Err(e) = self.ask(&Request::Run { inputs, parameters }, &blobs) {
                self.fail(&e);
            }
        }
    }

    /// Adds up what all parts have done; the stage is the first part's.
    pub(super) fn part_progress(&self, part: usize, progress: &Progress) {
        if progress.unit != "tokens" {
            if part == 0 {
                self.progress(progress);
            }
            return;
        }
        let sum = {
            let mut state = self.0.borrow_mut();
            let Some(crew) = state.crew.as_mut() else { return };
            crew.tokens[part] = (progress.done, progress.total);
            let known = crew.tokens.iter().filter(|t| t.1 > 0).count().max(1) as u64;
            let of = crew.tokens.len() as u64;
            let sum = |f: fn(&(u64, u64)) -> u64| crew.tokens.iter().map(f).sum::<u64>();
            // Parts that have not begun will take about as long as the others.
            Progress {
                stage: format!("{} ({of} workers)", progress.stage),
                done: sum(|t| t.0),
                total: sum(|t| t.1) * of / known,
                unit: progress.unit.clone(),
            }
        };
        self.progress(&sum);
    }

    /// Ends all helpers.
    pub(super) fn dismiss(&self) {
        let crew = self.0.borrow_mut().crew.take();
        spawn_local(async move { drop(crew) });
    }

    /// Whether parts of a run are still open.
    pub(super) fn in_parts(&self) -> bool {
        let state = self.0.borrow();
        state.phase == Phase::Running && state.crew.is_some()
    }

    /// A failure of the page's own worker: in its part of a run, the run names it.
    pub(super) fn failed(&self, error: &Error) {
        if self.in_parts() {
            self.part_done(0, &[]);
        } else {
            self.fail(error);
        }
    }

    /// Cores that the browser tells of.
    pub(super) fn cores() -> usize {
        web_sys::window().map_or(1, |w| w.navigator().hardware_concurrency() as usize)
    }
}
