//! The files that the page was given: how they come and go.

use super::super::dom;
use super::super::files::{Given, Taken};
use super::super::lists::is_named;
use super::App;
use crate::app::arrivals;
use crate::app::protocol::PASTED;
use std::collections::HashSet;
use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlTextAreaElement;

impl App {
    /// Takes files in. One given again replaces its earlier self, and so does
    /// a changed one; another of the same name gets a name of its own.
    pub fn add(&self, taken: Taken) {
        if self.running() {
            dom::say("status", "Cancel the run first, then add files.");
            return;
        }
        {
            // Nothing runs on part of what was given: the answer to come is outdated, and
            // the button waits for the next.
            let mut state = self.0.borrow_mut();
            state.number += 1;
            state.inspecting = true;
        }
        dom::enable("run", false);
        let app = self.clone();
        spawn_local(async move {
            app.0.borrow_mut().taking.extend(taken.problems);
            // Files of one name in one drop come one after the other.
            let mut left = taken.files;
            while !left.is_empty() {
                let mut paths = HashSet::new();
                let (round, later) = left.into_iter().partition(|f| paths.insert(f.path.clone()));
                left = later;
                app.admit(round).await;
            }
            app.inspect();
        });
    }

    /// Takes in `given`, no two of one path.
    async fn admit(&self, given: Vec<Given>) {
        let held: Vec<Given> = {
            let state = self.0.borrow();
            let paths = state.files.iter().map(|f| f.path.as_str()).collect();
            let of = |g: &Given| arrivals::namesakes(&g.path, &paths);
            let names: HashSet<String> = given.iter().flat_map(of).collect();
            state.files.iter().filter(|f| names.contains(&f.path)).cloned().collect()
        };
        // The names under which each is there already.
        let mut known: Vec<HashSet<String>> = vec![HashSet::new(); given.len()];
        for old in held {
            if !old.readable().await {
                self.0.borrow_mut().files.retain(|f| f.blob != old.blob);
                continue;
            }
            for (file, known) in given.iter().zip(&mut known) {
                if file.same_content(&old).await {
                    known.insert(old.path.clone());
                }
            }
        }
        let mut state = self.0.borrow_mut();
        let paths: Vec<String> = given.iter().map(|f| f.path.clone()).collect();
        let names = arrivals::names(&paths, |i, name| {
            !known[i].contains(name) && state.files.iter().any(|f| f.path == name)
        });
        for (file, path) in given.into_iter().zip(names) {
            let file = Given { path, ..file };
            match state.files.iter_mut().find(|f| f.path == file.path) {
                Some(old) => *old = file,
                None => state.files.push(file),
            }
        }
    }

    /// Notes the hashes of files, by name: the next run need not read them for it.
    pub(super) fn hashed(&self, hashes: impl IntoIterator<Item = (String, String)>) {
        let mut state = self.0.borrow_mut();
        for (path, hash) in hashes {
            if let Some(file) = state.files.iter_mut().find(|f| f.path == path) {
                file.sha256 = Some(hash);
            }
        }
    }

    /// Takes away the entry `which` of a list.
    pub fn remove(&self, list: &str, which: &str) {
        if self.running() {
            return;
        }
        let entry = which.parse::<usize>().ok();
        let pasted = {
            let mut state = self.0.borrow_mut();
            let gone: Vec<String> = match (list, entry) {
                ("candidates", Some(i)) => {
                    state.seen.candidates.get(i).map(|c| c.files.clone()).unwrap_or_default()
                }
                ("samples", Some(i)) => {
                    state.seen.samples.get(i).map(|s| s.name.clone()).into_iter().collect()
                }
                _ => state
                    .files
                    .iter()
                    .map(|f| &f.path)
                    .filter(|p| is_named(p, which))
                    .cloned()
                    .collect(),
            };
            state.files.retain(|f| !gone.contains(&f.path));
            // Another file of that name is another model.
            state.suspects.retain(|f| !gone.contains(f));
            list == "samples" && (which == PASTED || gone.iter().any(|name| name == PASTED))
        };
        if pasted && let Ok(field) = dom::by_id::<HtmlTextAreaElement>("paste") {
            field.set_value("");
        }
        self.inspect();
        // The button that had the focus is gone.
        dom::focus("pick-files");
    }

    /// Takes everything away.
    pub fn clear(&self) {
        if self.running() {
            return;
        }
        self.empty();
        self.0.borrow_mut().report = None;
        self.inspect();
        dom::focus("pick-files");
    }

    pub(super) fn empty(&self) {
        let mut state = self.0.borrow_mut();
        state.files.clear();
        state.taking.clear();
        state.roles.clear();
        state.suspects.clear();
        state.demo = None;
        state.then_run = false;
        if let Ok(field) = dom::by_id::<HtmlTextAreaElement>("paste") {
            field.set_value("");
        }
    }
}
