//! What is loaded: candidates, samples and what cannot be used.

use super::dom;
use super::files::Given;
use crate::app::protocol::{CandidateInfo, Inspected, OtherInfo, PASTED, Role, SamplesInfo};
use crate::error::{Error, Result};
use crate::report::figures::{bytes, plain};
use crate::report::markup::{Element, Node, html};
use crate::samples::Note;

/// Shows what `seen` holds. `taking`: problems met before the worker looked.
///
/// # Errors
/// Where the page lacks one of its parts.
pub fn show(seen: &Inspected, taking: &[Error], files: &[Given]) -> Result<()> {
    dom::fill("candidates", seen.candidates.iter().enumerate().map(|(i, c)| candidate(i, c)))?;
    dom::fill("encoder", seen.encoder.iter().map(encoder))?;
    let samples = seen.samples.iter().enumerate().map(|(i, s)| sample(i, s));
    dom::fill("samples", samples.chain(seen.others.iter().map(other)))?;
    dom::show("no-candidates", seen.ranked() == 0);
    let texts = seen.by_text();
    dom::show("text-candidates", texts > 0);
    dom::say("text-candidates", &format!("{texts} known by their responses."));
    dom::show("no-samples", seen.samples.is_empty());
    problems(taking.iter().chain(&seen.problems), files)?;
    let ignored = match seen.ignored.len() {
        0 => String::new(),
        1 => format!("Not needed and left alone: {}.", plain(&seen.ignored[0])),
        n => format!("{n} files of the model folders are not needed and left alone."),
    };
    dom::show("ignored", !ignored.is_empty());
    dom::say("ignored", &ignored);
    Ok(())
}

/// Shows `problems`, each with a button where files of `files` are at fault.
///
/// # Errors
/// As [`show`].
pub fn problems<'a>(problems: impl Iterator<Item = &'a Error>, files: &[Given]) -> Result<()> {
    let items: Vec<Element> = problems.map(|p| problem(p, files)).collect();
    dom::show("problem-box", !items.is_empty());
    dom::fill("problems", items)
}

/// Whether file `path` is what a problem or entry calls `name`: the file
/// itself, or one in a folder of that name.
pub fn is_named(path: &str, name: &str) -> bool {
    let within = path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    path == name || within || path.contains(&format!("/{name}/"))
}

fn candidate(i: usize, c: &CandidateInfo) -> Element {
    let files = match c.files.len() {
        1 => "1 file".to_owned(),
        n => format!("{n} files"),
    };
    let mut about = format!("{} · {} · {files}", c.family, bytes(c.bytes));
    if c.encoder {
        about.push_str(" · compared by its weights alone");
    }
    item(&c.label, &about, &c.files.join("\n"), i).child(part(c, &i.to_string(), "a candidate"))
}

/// The choice of what a model is; `otherwise` names what it is where not the suspect.
fn part(c: &CandidateInfo, which: &str, otherwise: &str) -> Element {
    let id = format!("model-{which}");
    choice(
        "These weights are ",
        &id,
        ("data-model", which),
        [("candidate", otherwise, !c.suspect), ("suspect", "the suspect’s", c.suspect)],
    )
}

/// A labelled choice in a list item: value, words and whether it is chosen.
fn choice<const N: usize>(
    label: &str,
    id: &str,
    (mark, which): (&'static str, &str),
    options: [(&str, &str, bool); N],
) -> Element {
    let option = |(value, text, chosen): (&str, &str, bool)| {
        let option = html("option").attr("value", value).text(text);
        if chosen { option.attr("selected", "selected") } else { option }
    };
    let select = html("select").attr("id", id).attr(mark, which).with(options.map(option));
    html("div").class("whose").child(html("label").attr("for", id).text(label)).child(select)
}

fn sample(i: usize, s: &SamplesInfo) -> Element {
    let mut count =
        if s.count == 1 { "1 sample".to_owned() } else { format!("{} samples", s.count) };
    if s.models.len() > 1 {
        count.push_str(&format!(" of {} models", s.models.len()));
    }
    let mut out = item(&s.name, &count, if s.name == PASTED { "" } else { &s.name }, i);
    if s.name != PASTED {
        out = out.child(whose(s, i));
    }
    noted(out, &s.notes)
}

/// Labels or prompts, taken away by their file's name.
fn other(o: &OtherInfo) -> Element {
    let mut row = item(&o.name, &o.about, &o.name, 0);
    name_removal(&mut row, &o.name);
    noted(row, &o.notes)
}

fn noted(row: Element, notes: &[Note]) -> Element {
    if notes.is_empty() {
        return row;
    }
    let notes = notes.iter().map(|n| {
        let places = plain(&n.places.join(", "));
        let li = html("li").text(plain(&n.text));
        if places.is_empty() { li } else { li.attr("title", places) }
    });
    row.child(html("ul").class("notes").with(notes))
}

/// The encoder, taken away by the name of its file or folder.
fn encoder(e: &CandidateInfo) -> Element {
    let about = format!("text encoder for the classifiers · {}", bytes(e.bytes));
    let mut row = item(&e.label, &about, &e.files.join("\n"), 0);
    let which = match &e.files[..] {
        [one] => one,
        _ => &e.label,
    };
    name_removal(&mut row, which);
    row.child(part(e, "encoder", "the text encoder"))
}

fn name_removal(e: &mut Element, which: &str) {
    for (name, value) in &mut e.attributes {
        if *name == "data-remove" {
            which.clone_into(value);
        }
    }
    for child in &mut e.children {
        if let Node::Element(child) = child {
            name_removal(child, which);
        }
    }
}

/// The choice of whose responses a file holds.
fn whose(s: &SamplesInfo, i: usize) -> Element {
    let option = |role: Role| {
        let text = match role {
            Role::Suspect => "the suspect",
            Role::Candidate => "candidates",
            Role::Labelled => "known fine-tunes to learn from",
        };
        (role.name(), text, s.role == role)
    };
    choice(
        "Written by ",
        &format!("role-{i}"),
        ("data-role", &i.to_string()),
        Role::ALL.map(option),
    )
}

/// A list item with its name, a line about it and a button that takes it away.
fn item(name: &str, about: &str, title: &str, i: usize) -> Element {
    let name = plain(name);
    let what = html("div")
        .class("what")
        .child(html("strong").attr("title", plain(title)).foreign(&name))
        .child(html("span").class("meta").text(about));
    let row = html("div").class("item").child(what).child(remove(&name, i.to_string()));
    html("li").child(row)
}

fn remove(name: &str, which: String) -> Element {
    html("button")
        .attr("type", "button")
        .class("remove")
        .attr("data-remove", which)
        .attr("aria-label", format!("Remove {name}"))
        .attr("title", "Remove")
        .text("×")
}

fn problem(error: &Error, files: &[Given]) -> Element {
    let mut text = html("p");
    if let Some(file) = error.file() {
        text = text.child(html("strong").foreign(plain(file))).text(": ");
    }
    text = text.text(format!("{}. ", plain(error.what())));
    if let Some(hint) = error.hint_text() {
        text = text.child(html("span").class("hint").text(sentence(&plain(hint))));
    }
    let row = html("div").class("item").child(html("div").class("what").child(text));
    let named = error.file().filter(|name| files.iter().any(|f| is_named(&f.path, name)));
    html("li").child(match named {
        Some(name) => row.child(remove(&plain(name), name.to_owned())),
        None => row,
    })
}

/// `text` with a capital and a full stop.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
