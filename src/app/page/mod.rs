//! The page: what is seen and clicked. It holds the files' handles and shows
//! the report; all work with their content is the worker's.

mod app;
mod demo;
mod dom;
mod exports;
mod files;
mod kept;
mod lineage;
mod link;
mod lists;
mod result;

use app::App;
use gloo::events::{EventListener, EventListenerOptions};
use gloo::timers::callback::Timeout;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::JsCast;
use web_sys::{DragEvent, Element, Event, HtmlInputElement, HtmlSelectElement};

/// Milliseconds without a key until pasted text is looked at.
const SETTLED: u32 = 400;

/// Brings the page to life.
pub fn start() {
    console_error_panic_hook::set_once();
    let begun = App::new().and_then(|app| {
        wire(&app)?;
        app.recall();
        app.refresh()
    });
    if let Err(e) = begun {
        dom::set_state("error");
        dom::say("status", &e.to_string());
    }
}

fn wire(app: &App) -> crate::Result<()> {
    for (button, input) in [("pick-files", "input-files"), ("pick-folder", "input-folder")] {
        dom::on(button, "click", move |_| {
            if let Ok(input) = dom::by_id::<HtmlInputElement>(input) {
                input.click();
            }
        })?;
        let app = app.clone();
        dom::on(input, "change", move |event| {
            let Some(input) = target::<HtmlInputElement>(event) else { return };
            let taken = input.files().map(|list| files::picked(&list)).unwrap_or_default();
            // Cleared, so that the same file chosen again is noticed.
            input.set_value("");
            app.add(taken);
        })?;
    }
    type Act = fn(&App);
    let clicks: [(&str, Act); 7] = [
        ("save-prompts", App::prompts),
        ("demo", App::demo),
        ("clear", App::clear),
        ("run", App::run),
        ("cancel", App::cancel),
        ("more-samples", App::more_samples),
        ("export-png", App::export_picture),
    ];
    for (id, act) in clicks {
        let app = app.clone();
        dom::on(id, "click", move |_| act(&app))?;
    }
    for id in exports::TEXTS {
        let app = app.clone();
        dom::on(id, "click", move |_| app.export(id))?;
    }
    for id in ["heat-sample", "heat-candidate", "heat-against"] {
        let app = app.clone();
        dom::on(id, "change", move |_| app.heat())?;
    }
    for id in lineage::CHOICES {
        let app = app.clone();
        dom::on(id, "change", move |_| app.lineage(id))?;
    }
    for id in lineage::PICTURES {
        let app = app.clone();
        dom::on(id, "click", move |_| app.save_picture(id))?;
    }
    for list in ["candidates", "encoder", "samples", "problems"] {
        let app = app.clone();
        dom::on(list, "click", move |event| {
            let button =
                target::<Element>(event).and_then(|e| e.closest("[data-remove]").ok().flatten());
            if let Some(which) = button.and_then(|b| b.get_attribute("data-remove")) {
                app.remove(list, &which);
            }
        })?;
    }
    type Choose = fn(&App, &str, &str);
    let choices: [(&str, &str, Choose); 3] = [
        ("samples", "data-role", App::role),
        ("candidates", "data-model", App::model),
        ("encoder", "data-model", App::model),
    ];
    for (list, mark, choose) in choices {
        let app = app.clone();
        dom::on(list, "change", move |event| {
            let Some(select) = target::<HtmlSelectElement>(event) else { return };
            if let Some(which) = select.get_attribute(mark) {
                choose(&app, &which, &select.value());
            }
        })?;
    }
    dom::on("training-mode", "change", move |event| {
        if let Some(select) = target::<HtmlSelectElement>(event) {
            app::training_defaults(&select.value());
        }
    })?;
    let own = app.clone();
    dom::on("keep", "change", move |event| {
        if let Some(input) = target::<HtmlInputElement>(event) {
            own.keep(input.checked());
        }
    })?;
    let own = app.clone();
    dom::on("suspect-choice", "change", move |event| {
        if let Some(select) = target::<HtmlSelectElement>(event) {
            own.suspect(&select.value());
        }
    })?;
    let own = app.clone();
    dom::on("demo-suspect", "change", move |event| {
        if let Some(select) = target::<HtmlSelectElement>(event) {
            own.demo_suspect(&select.value());
        }
    })?;
    paste(app)?;
    drops(app)
}

/// Pasted text is looked at when typing rests or the field is left.
fn paste(app: &App) -> crate::Result<()> {
    let timer: Rc<RefCell<Option<Timeout>>> = Rc::default();
    // Whether there is text that was not looked at: else leaving the field for the
    // button that runs would take the click from it.
    let fresh: Rc<Cell<bool>> = Rc::default();
    let (own, its) = (app.clone(), fresh.clone());
    dom::on("paste", "input", move |_| {
        its.set(true);
        let (own, its) = (own.clone(), its.clone());
        let look = move || {
            if its.take() {
                own.inspect();
            }
        };
        // The earlier one is dropped, and with it called off.
        *timer.borrow_mut() = Some(Timeout::new(SETTLED, look));
    })?;
    let own = app.clone();
    dom::on("paste", "change", move |_| {
        if fresh.take() {
            own.inspect();
        }
    })
}

/// Files may be dropped anywhere on the page.
fn drops(app: &App) -> crate::Result<()> {
    let document = dom::document()?;
    let zone: Element = dom::by_id("drop")?;
    let options = EventListenerOptions::enable_prevent_default();
    let mark = |zone: &Element, over: bool| {
        let _ = zone.class_list().toggle_with_force("over", over);
    };
    let lit = zone.clone();
    EventListener::new_with_options(&document, "dragover", options, move |event| {
        event.prevent_default();
        mark(&lit, true);
    })
    .forget();
    let lit = zone.clone();
    EventListener::new(&document, "dragleave", move |event| {
        // Leaving the window has no place that is entered.
        let event: Option<&DragEvent> = event.dyn_ref();
        if event.is_some_and(|e| e.related_target().is_none()) {
            mark(&lit, false);
        }
    })
    .forget();
    let app = app.clone();
    EventListener::new_with_options(&document, "drop", options, move |event| {
        event.prevent_default();
        mark(&zone, false);
        let transfer = event.dyn_ref::<DragEvent>().and_then(DragEvent::data_transfer);
        let Some(transfer) = transfer else { return };
        let (entries, plain) = files::entries(&transfer);
        let app = app.clone();
        wasm_bindgen_futures::spawn_local(async move {
            let mut taken = files::walk(entries).await;
            taken.files.extend(plain.files);
            taken.problems.extend(plain.problems);
            app.add(taken);
        });
    })
    .forget();
    Ok(())
}

fn target<T: JsCast>(event: &Event) -> Option<T> {
    event.target().and_then(|t| t.dyn_into().ok())
}
