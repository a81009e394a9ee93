//! Results kept for the next visit, where the user agreed.
//!
//! What is wanted and what is there are brought in line by one task at a time, so
//! that saving and deleting never meet. A failure is told and costs nothing else.

use super::App;
use crate::app::page::dom;
use crate::app::page::kept::Shelf;
use crate::app::page::lists::sentence;
use crate::error::{Error, Result};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Element, HtmlInputElement};

#[derive(Default)]
pub(super) struct Keeping {
    /// `None` until it is found, and where there is none.
    shelf: Option<Shelf>,
    /// Whether the user agreed.
    wanted: bool,
    /// Whether the folder is there, as far as is known.
    there: bool,
    /// Whether there are results that its file lacks.
    fresh: bool,
    busy: bool,
    /// Whether the user knows that it does not work.
    told: bool,
}

impl App {
    /// Takes in what earlier visits kept. A run that begins before computes anew
    /// what it needs; but a worker takes longer to start than a file to be read.
    pub fn recall(&self) {
        let app = self.clone();
        spawn_local(async move {
            let found = async {
                let shelf = Shelf::open().await?;
                let memo = shelf.load().await?;
                Ok::<_, Error>((shelf, memo))
            };
            match found.await {
                Ok((shelf, memo)) => {
                    let there = memo.is_some();
                    {
                        let mut state = app.0.borrow_mut();
                        state.keeping.shelf = Some(shelf);
                        state.keeping.wanted = there;
                        state.keeping.there = there;
                        let newer = std::mem::replace(&mut state.kept, memo.unwrap_or_default());
                        state.kept.absorb(newer);
                        if let Some(link) = &state.link {
                            // What does not arrive is computed again.
                            let _ = link.keep(&state.kept.write());
                        }
                    }
                    tick(there);
                    dom::enable("keep", true);
                }
                Err(e) => note(&words(&e)),
            }
        });
    }

    /// The user agrees, or takes it back.
    pub fn keep(&self, wanted: bool) {
        {
            let keeping = &mut self.0.borrow_mut().keeping;
            keeping.wanted = wanted;
            keeping.told = false;
        }
        self.settle();
    }

    /// Keeps what a worker computed.
    pub(super) fn keep_results(&self, results: &[u8]) {
        if !results.is_empty() {
            let mut state = self.0.borrow_mut();
            // A worker writes whole entries.
            let _ = state.kept.read(results);
            state.keeping.fresh = true;
        }
        self.settle();
    }

    /// Brings what is there in line with what is wanted.
    fn settle(&self) {
        let shelf = {
            let keeping = &mut self.0.borrow_mut().keeping;
            let Some(shelf) = keeping.shelf.clone() else { return };
            if std::mem::replace(&mut keeping.busy, true) {
                return;
            }
            shelf
        };
        let app = self.clone();
        spawn_local(async move {
            let mut done = Ok(());
            while let Some(wanted) = app.due() {
                done = match wanted {
                    true => app.save(&shelf).await,
                    false => app.forget(&shelf).await,
                };
                // What failed is not tried again at once; but a consent may have been
                // taken back meanwhile.
                if done.is_err() && !(wanted && app.due() == Some(false)) {
                    break;
                }
            }
            app.0.borrow_mut().keeping.busy = false;
            match done {
                Ok(()) => note(""),
                Err(e) => app.tell(&e),
            }
        });
    }

    /// Whether to save or to delete, where one of them is due.
    fn due(&self) -> Option<bool> {
        let keeping = &self.0.borrow().keeping;
        let due = match keeping.wanted {
            true => !keeping.there || keeping.fresh,
            false => keeping.there,
        };
        due.then_some(keeping.wanted)
    }

    async fn save(&self, shelf: &Shelf) -> Result<()> {
        if !self.0.borrow().keeping.there {
            if let Err(e) = shelf.allow().await {
                self.0.borrow_mut().keeping.wanted = false;
                tick(false);
                return Err(e);
            }
            let keeping = &mut self.0.borrow_mut().keeping;
            (keeping.there, keeping.fresh) = (true, true);
        }
        // Another tab may have added to it.
        let found = shelf.load().await?;
        let memo = {
            let mut state = self.0.borrow_mut();
            state.keeping.fresh = false;
            found.map(|mut all| {
                all.absorb(std::mem::take(&mut state.kept));
                state.kept = all;
                state.kept.to_file()
            })
        };
        let saved = match memo {
            Some(file) => shelf.save(&file).await,
            None => Ok(false),
        };
        let keeping = &mut self.0.borrow_mut().keeping;
        match saved {
            Ok(true) => keeping.told = false,
            Ok(false) => {
                // Taken back in another tab.
                (keeping.wanted, keeping.there) = (false, false);
                tick(false);
            }
            Err(_) => keeping.fresh = true,
        }
        saved.map(|_| ())
    }

    async fn forget(&self, shelf: &Shelf) -> Result<()> {
        let gone = shelf.forget().await;
        let keeping = &mut self.0.borrow_mut().keeping;
        keeping.there = gone.is_err();
        if gone.is_err() {
            keeping.wanted = true;
            tick(true);
        }
        gone
    }

    /// Says once that keeping failed, after what is said of the run; the next try
    /// comes with the next results.
    fn tell(&self, error: &Error) {
        let words = words(error);
        note(&words);
        if self.running() || std::mem::replace(&mut self.0.borrow_mut().keeping.told, true) {
            return;
        }
        let said = dom::by_id::<Element>("status").ok().and_then(|e| e.text_content());
        let said = said.filter(|s| !s.is_empty()).map(|s| sentence(&s) + " ").unwrap_or_default();
        dom::say("status", &format!("{said}{words}"));
    }
}

/// What is said beside the box.
fn note(words: &str) {
    dom::say("keep-note", words);
    dom::show("keep-note", !words.is_empty());
}

fn tick(on: bool) {
    if let Ok(input) = dom::by_id::<HtmlInputElement>("keep") {
        input.set_checked(on);
    }
}

fn words(error: &Error) -> String {
    let hint = error.hint_text().map(|h| format!(" {}", sentence(h))).unwrap_or_default();
    format!("{}{hint}", sentence(error.what()))
}
