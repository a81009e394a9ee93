//! Samples in JSON and JSON Lines.

use super::collect::{Collector, Fault};
use super::{Sample, fields};
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Nested lists are followed this far; pipelines wrap each answer in a list.
const MAX_DEPTH: usize = 3;

/// Reads a single JSON value: a list of rows, an object that holds one, or one row.
pub fn document(value: Value, name: &str, out: &mut Collector) {
    match value {
        Value::Array(rows) => list(rows, name, out),
        Value::Object(object) => {
            if let Some(rows) = columns(&object) {
                for (i, (prompt, response)) in rows.into_iter().enumerate() {
                    out.add(Sample::new(prompt, response, format!("{name} item {}", i + 1)));
                }
            } else if response(&object).is_some() || conversation(&object).is_some() {
                row(Value::Object(object), &format!("{name} item 1"), 0, out);
            } else if let Some(rows) = longest_list(object) {
                list(rows, name, out);
            } else {
                out.fault(Fault::Missing, format!("{name} item 1"));
            }
        }
        other => row(other, &format!("{name} item 1"), 0, out),
    }
}

fn list(rows: Vec<Value>, name: &str, out: &mut Collector) {
    for (i, value) in rows.into_iter().enumerate() {
        row(value, &format!("{name} item {}", i + 1), 0, out);
    }
}

/// Reads one JSON value per line.
pub fn lines(text: &str, name: &str, out: &mut Collector) {
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let origin = format!("{name} line {}", i + 1);
        match serde_json::from_str(line) {
            Ok(value) => row(value, &origin, 0, out),
            Err(_) => out.fault(Fault::Row, origin),
        }
    }
}

/// One row: a response alone, an object of fields, or a list of these.
fn row(value: Value, origin: &str, depth: usize, out: &mut Collector) {
    match value {
        Value::String(text) => out.add(Sample::new(None, text, origin.to_owned())),
        Value::Array(rows) if depth < MAX_DEPTH => {
            rows.into_iter().for_each(|r| row(r, origin, depth + 1, out));
        }
        Value::Object(object) => match (response(&object), conversation(&object)) {
            (Some(Value::String(text)), _) => {
                out.add(sample(&object, text, origin));
            }
            (Some(Value::Array(several)), _) if !several.is_empty() => {
                for text in several {
                    match text {
                        Value::String(s) => {
                            out.add(sample(&object, s, origin));
                        }
                        _ => out.fault(Fault::Missing, origin.to_owned()),
                    }
                }
            }
            (_, Some(messages)) => chat(messages, origin, out),
            _ => out.fault(Fault::Missing, origin.to_owned()),
        },
        _ => out.fault(Fault::Missing, origin.to_owned()),
    }
}

/// The first of `names` that the object has, in the order of the names.
fn field<'a>(object: &'a Object, names: &[&str]) -> Option<&'a Value> {
    let find = |n: &&str| {
        let found = object.iter().find(|(k, _)| k.trim().eq_ignore_ascii_case(n));
        found.map(|(_, v)| v).filter(|v| !v.is_null())
    };
    names.iter().find_map(find)
}

/// A row's response with what else the row says.
fn sample(object: &Object, response: &str, origin: &str) -> Sample {
    let name = |names: &[&str]| match field(object, names) {
        Some(Value::String(s)) if !s.trim().is_empty() => Some(s.trim().to_owned()),
        Some(Value::Number(n)) => Some(n.to_string()),
        _ => None,
    };
    let mut sample = Sample::new(prompt(object), response.to_owned(), origin.to_owned());
    sample.model = name(fields::MODELS);
    sample.set = name(fields::SETS);
    sample.base = name(fields::BASES);
    sample
}

fn response(object: &Object) -> Option<&Value> {
    field(object, fields::RESPONSES)
}

/// The prompt; an instruction with a further input is both, as Alpaca has it.
fn prompt(object: &Object) -> Option<String> {
    let text = |names: &[&str]| field(object, names).and_then(Value::as_str);
    match (text(&["instruction"]), text(&["input"])) {
        (Some(a), Some(b)) if !a.trim().is_empty() && !b.trim().is_empty() => {
            Some(format!("{a}\n\n{b}"))
        }
        (Some(a), _) if !a.trim().is_empty() => Some(a.to_owned()),
        _ => text(fields::PROMPTS).map(str::to_owned),
    }
}

fn conversation(object: &Object) -> Option<&Vec<Value>> {
    field(object, fields::CONVERSATIONS).and_then(Value::as_array)
}

/// Each answer of the assistant, with the message before it as the prompt.
fn chat(messages: &[Value], origin: &str, out: &mut Collector) {
    let mut asked: Option<String> = None;
    let mut answers = 0;
    for message in messages {
        let Value::Object(m) = message else { continue };
        let role = field(m, &["role", "from", "speaker"]).and_then(Value::as_str);
        let Some(content) = field(m, &["content", "value", "text"]).and_then(content) else {
            continue;
        };
        match role.map(str::to_ascii_lowercase).as_deref() {
            Some("assistant" | "gpt" | "bot" | "model" | "chatgpt") => {
                answers += 1;
                out.add(Sample::new(asked.take(), content, origin.to_owned()));
            }
            Some("user" | "human" | "prompter") => asked = Some(content),
            _ => {}
        }
    }
    if answers == 0 {
        out.fault(Fault::Missing, origin.to_owned());
    }
}

/// A message's text, also where it comes in typed pieces.
fn content(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Array(pieces) => {
            let texts = pieces.iter().filter_map(|p| p.get("text").and_then(Value::as_str));
            Some(texts.collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

/// An object of equally long lists, as a table is written column by column.
fn columns(object: &Object) -> Option<Vec<(Option<String>, String)>> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let responses = response(object)?.as_array()?;
    let prompts = field(object, fields::PROMPTS)?.as_array()?;
    if prompts.len() != responses.len() {
        return None;
    }
    let pair = |(p, r): (&Value, &Value)| (text(p), text(r).unwrap_or_default());
    Some(prompts.iter().zip(responses).map(pair).collect())
}

/// The longest list among an object's values; the first of equals.
fn longest_list(object: Object) -> Option<Vec<Value>> {
    let lists = object.into_iter().filter_map(|(_, v)| match v {
        Value::Array(rows) if !rows.is_empty() => Some(rows),
        _ => None,
    });
    lists.reduce(|a, b| if b.len() > a.len() { b } else { a })
}
