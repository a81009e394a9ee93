//! Files of prompts to run against a suspect, and what its answers lack.

use super::Prompt;
use crate::error::{Error, ErrorKind, Result, within};
use crate::evidence::query;
use crate::responses::{Group, Responses};
use crate::samples::{self, Note, Sample, fields};
use crate::source::{Source, read_vec};
use std::collections::{HashMap, HashSet};

/// The longest file of prompts in bytes.
pub const MAX_FILE: u64 = 16 << 20;
/// Places named in a note; the rest is only counted.
const NAMED: usize = 3;
/// Characters of a prompt that name it.
const SHOWN: usize = 40;

/// One line of a file of prompts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Asked {
    /// The prompt.
    pub prompt: String,
    /// The set that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_set: Option<String>,
}

impl From<&Prompt> for Asked {
    fn from(p: &Prompt) -> Self {
        Self { prompt: p.prompt.clone(), prompt_set: Some(p.label()) }
    }
}

/// The prompts of these columns, each once; columns without a prompt are left out.
pub fn of_columns(responses: &Responses, columns: &[usize]) -> Vec<Asked> {
    let mut met = HashSet::new();
    let columns = columns.iter().map(|c| &responses.columns[*c]);
    let asked = columns.filter_map(|c| {
        let prompt = c.prompt.clone()?;
        met.insert(prompt.trim().to_owned()).then(|| Asked { prompt, prompt_set: c.set.clone() })
    });
    asked.collect()
}

/// The strategy whose prompts the agreement test asks; the same budget and seed
/// must be given to the test.
pub const AGREEMENT: &str = "agreement";

/// Prompts of the agreement test at the most.
const MOST: usize = 10_000;

/// The prompts of a strategy: one of the built-in sets by its name, those of the
/// agreement test ([`AGREEMENT`]), or those that a picker takes from what `bases`
/// answered.
///
/// # Errors
/// A name that is neither, and what the picker cannot do.
pub fn choose(
    strategy: &str,
    bases: &Responses,
    budget: usize,
    seed: u64,
    tell: crate::evidence::text::Tell<'_>,
) -> Result<Vec<Asked>> {
    if let Some(set) = super::Strategy::ALL.into_iter().find(|s| s.name() == strategy) {
        let mut prompts: Vec<Asked> = set.prompts()?.iter().map(Asked::from).collect();
        if budget < prompts.len() {
            // Evenly over the set, so that no candidate's prompts are left out.
            let all = prompts.len();
            prompts = (0..budget).map(|i| prompts[i * all / budget].clone()).collect();
        }
        return Ok(prompts);
    }
    if strategy == AGREEMENT {
        within("the number of prompts", budget, 1, MOST)?;
        let plan = query::Plan { seed, prompts: budget, ..query::Plan::default() };
        let asked = |prompt| Asked { prompt, prompt_set: Some(AGREEMENT.into()) };
        return Ok(query::prompts(&plan).into_iter().map(asked).collect());
    }
    let columns = super::picker(strategy)?.pick(bases, budget, seed, tell)?;
    Ok(of_columns(bases, &columns))
}

/// The prompts as JSON Lines.
///
/// # Errors
/// Never with text.
pub fn write(prompts: &[Asked]) -> Result<String> {
    let mut out = String::new();
    for prompt in prompts {
        let line = serde_json::to_string(prompt)
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        out += &line;
        out.push('\n');
    }
    Ok(out)
}

/// Reads the file of prompts `source`, as [`read`] does.
///
/// # Errors
/// One that is longer than [`MAX_FILE`], and as [`read`].
pub fn open(source: &dyn Source) -> Result<Vec<Asked>> {
    read(source.name(), &text(source)?)
}

fn text(source: &dyn Source) -> Result<String> {
    if source.len() > MAX_FILE {
        return Err(Error::new(ErrorKind::TooLarge, "is too long for a file of prompts")
            .in_file(source.name())
            .hint("at most 16 MiB are read"));
    }
    let bytes = read_vec(source, 0, source.len() as usize)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// What a dropped file holds: samples, or the prompts that were saved to be asked.
#[derive(Clone, Debug)]
pub enum Rows {
    /// Responses.
    Answers(samples::Samples),
    /// Prompts without a response.
    Prompts(Vec<Asked>),
}

/// Reads `source` as samples, and as saved prompts where its rows have no response at all.
///
/// # Errors
/// As [`samples::read`].
pub fn rows(source: &dyn Source) -> Result<Rows> {
    samples::read(source).map(Rows::Answers).or_else(|e| {
        let Ok(text) = text(source) else { return Err(e) };
        // An empty response is an answer, too, and broken rows are no prompts.
        let silent = |line: &str| {
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).is_ok_and(
                |row| !row.keys().any(|k| fields::is_response(k) || fields::is_conversation(k)),
            )
        };
        let prompts = text.lines().filter(|l| !l.trim().is_empty()).all(silent);
        let prompts = prompts.then(|| read(source.name(), &text).ok()).flatten();
        prompts.map(Rows::Prompts).ok_or(e)
    })
}

/// What each of `groups` lacks of the prompts that it was asked.
pub fn gaps(asked: &[Asked], groups: &[Group]) -> Vec<Note> {
    let of = |group: &Group| {
        let notes = missing(asked, &group.samples).into_iter();
        let label = group.label.clone();
        notes.map(move |note| Note { text: format!("{label}: {}", note.text), ..note })
    };
    groups.iter().flat_map(of).collect()
}

/// Reads a file of prompts: JSON Lines with a field for the prompt, or one prompt a line.
///
/// # Errors
/// A line of JSON without a prompt, or nothing at all.
pub fn read(name: &str, text: &str) -> Result<Vec<Asked>> {
    let lines = || text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    let json = lines().next().is_some_and(|(_, l)| l.trim_start().starts_with('{'));
    let of = |(i, line): (usize, &str)| {
        if !json {
            return Ok(Asked { prompt: line.trim().into(), prompt_set: None });
        }
        let value: Option<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_str(line).ok();
        let field = |names: &[&str]| {
            let value = value.as_ref()?;
            names.iter().find_map(|n| value.get(*n)?.as_str().map(str::to_owned))
        };
        let prompt = field(fields::PROMPTS).ok_or_else(|| {
            Error::new(ErrorKind::Samples, format!("line {} names no prompt", i + 1))
                .in_file(name)
                .hint("each line is an object with the field prompt")
        })?;
        Ok(Asked { prompt, prompt_set: field(fields::SETS) })
    };
    let prompts: Vec<Asked> = lines().map(of).collect::<Result<_>>()?;
    if prompts.is_empty() {
        return Err(Error::new(ErrorKind::Samples, "there are no prompts in it").in_file(name));
    }
    Ok(prompts)
}

/// Says what `answers` lack of the prompts that were asked, and what they have
/// beyond them. Prompts meet by their text without the space around it; a
/// blank answer is an answer.
fn missing(asked: &[Asked], answers: &[Sample]) -> Vec<Note> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut wanted = vec![];
    for prompt in asked.iter().map(|a| a.prompt.trim()) {
        if counts.insert(prompt, 0).is_none() {
            wanted.push(prompt);
        }
    }
    let (mut strange, mut blank) = (vec![], 0);
    for answer in answers {
        match answer.prompt.as_deref().map(str::trim) {
            Some(prompt) => match counts.get_mut(prompt) {
                Some(count) => *count += 1,
                None => strange.push(prompt),
            },
            None => blank += 1,
        }
    }
    let with = |n: &dyn Fn(usize) -> bool| -> Vec<&str> {
        wanted.iter().copied().filter(|p| n(counts[p])).collect()
    };
    let (unanswered, several) = (with(&|n| n == 0), with(&|n| n > 1));
    let all = wanted.len();
    let mut notes = vec![];
    let mut say = |kind: &str, text: String, about: &[&str], count: usize| {
        if count > 0 {
            let places: Vec<String> = about.iter().take(NAMED).map(|p| shown(p)).collect();
            let more = if about.len() > NAMED { ", …" } else { "" };
            let list = if places.is_empty() {
                String::new()
            } else {
                format!(": {}{more}", places.join(", "))
            };
            notes.push(Note { kind: kind.into(), text: text + &list, count, places });
        }
    };
    let n = unanswered.len();
    let (s, have) = (if all == 1 { "" } else { "s" }, if n == 1 { "has" } else { "have" });
    say("unanswered", format!("{n} of {all} prompt{s} {have} no answer"), &unanswered, n);
    let n = strange.len();
    let (s, belong) = if n == 1 { ("", "s") } else { ("s", "") };
    say(
        "unasked",
        format!("{n} answer{s} belong{belong} to no prompt that was asked"),
        &strange,
        n,
    );
    let (s, name) = if blank == 1 { ("", "names") } else { ("s", "name") };
    say("no-prompt", format!("{blank} answer{s} {name} no prompt"), &[], blank);
    let n = several.len();
    let (s, have) = if n == 1 { ("", "has") } else { ("s", "have") };
    say("repeated", format!("{n} prompt{s} {have} more than one answer"), &several, n);
    notes
}

/// A prompt in quotation marks, on one line, cut where it is long.
fn shown(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let line = words.join(" ");
    let cut: String = line.chars().take(SHOWN).collect();
    if cut.len() < line.len() { format!("“{cut}…”") } else { format!("“{line}”") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(prompts: &[&str]) -> Vec<Asked> {
        prompts.iter().map(|p| Asked { prompt: (*p).into(), prompt_set: None }).collect()
    }

    fn answers(prompts: &[Option<&str>]) -> Vec<Sample> {
        let sample =
            |p: &Option<&str>| Sample::new(p.map(Into::into), String::new(), String::new());
        prompts.iter().map(sample).collect()
    }

    fn texts(asked: &[Asked], answers: &[Sample]) -> Vec<String> {
        missing(asked, answers).into_iter().map(|n| n.text).collect()
    }

    #[test]
    fn the_export_is_read_back_and_every_prompt_survives() {
        let all: Vec<Asked> =
            super::super::Strategy::Both.prompts().unwrap().iter().map(Into::into).collect();
        let text = write(&all).unwrap();
        assert_eq!(text.lines().count(), all.len());
        assert_eq!(read("p", &text).unwrap(), all);
        assert!(text.contains("\"prompt_set\":\"curated/gpt2-xl\""));
    }

    #[test]
    fn prompts_of_the_agreement_test_are_those_that_it_asks() {
        let none = Responses::default();
        let choose = |n, seed| choose(AGREEMENT, &none, n, seed, &mut |_, _| {});
        let plan = query::Plan { seed: 5, prompts: 40, ..query::Plan::default() };
        let texts: Vec<String> = choose(40, 5).unwrap().into_iter().map(|a| a.prompt).collect();
        assert_eq!(texts, query::prompts(&plan));
        assert_eq!(choose(9, 5).unwrap()[..], choose(40, 5).unwrap()[..9]);
        assert_eq!(choose(0, 5).unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(choose(1 << 40, 5).unwrap_err().kind(), ErrorKind::Usage);
    }

    #[test]
    fn plain_lines_and_other_fields_are_read_and_broken_ones_named() {
        assert_eq!(read("p", "one\n\n two \n").unwrap(), asked(&["one", "two"]));
        assert_eq!(read("p", "{\"instruction\":\"x\"}").unwrap(), asked(&["x"]));
        let e = read("p", "{\"prompt\":\"x\"}\n{\"prompt\":3}").unwrap_err();
        assert!(e.to_string().starts_with("p: line 2 names no prompt"), "{e}");
        assert!(read("p", " \n").unwrap_err().what().contains("no prompts"));
    }

    #[test]
    fn saved_prompts_are_told_from_samples_and_their_gaps_from_blank_answers() {
        let file = |text: &str| crate::source::MemorySource::new("f", text.as_bytes());
        let saved = write(&asked(&["a", "b", "c"])).unwrap();
        let Rows::Prompts(prompts) = rows(&file(&saved)).unwrap() else { panic!("no prompts") };
        let answered =
            "{\"prompt\":\"a\",\"response\":\"x\"}\n{\"prompt\":\"b\",\"response\":\"\"}";
        let Rows::Answers(samples) = rows(&file(answered)).unwrap() else { panic!("no samples") };
        let groups = crate::responses::by_model(&samples, "s").unwrap();
        let texts: Vec<String> = gaps(&prompts, &groups).into_iter().map(|n| n.text).collect();
        assert_eq!(texts, ["s: 1 of 3 prompts has no answer: “c”"]);
        // A blank answer alone is still an answer, not a prompt to be asked.
        for none in ["{\"prompt\":\"a\",\"response\":\" \"}", "{\"x\":1}", "[{\"x\":1}]", ""] {
            assert!(rows(&file(none)).is_err(), "{none}");
        }
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let long = "x".repeat(60);
        let asked = asked(&["a", "b\nc", &long, "d", "e", "a"]);
        let got = texts(&asked, &answers(&[Some("e "), Some("z"), None, Some("y")]));
        assert_eq!(
            got,
            [
                format!("4 of 5 prompts have no answer: “a”, “b c”, “{}…”, …", "x".repeat(40)),
                "2 answers belong to no prompt that was asked: “z”, “y”".into(),
                "1 answer names no prompt".into(),
            ]
        );
        let got = texts(&asked[..1], &answers(&[Some("a"), Some("a"), Some("q")]));
        assert_eq!(
            got,
            [
                "1 answer belongs to no prompt that was asked: “q”",
                "1 prompt has more than one answer: “a”"
            ]
        );
        assert_eq!(texts(&asked[..1], &[]), ["1 of 1 prompt has no answer: “a”"]);
        assert!(missing(&asked[..2], &answers(&[Some("a"), Some("b\nc ")])).is_empty());
    }

    #[test]
    fn columns_without_prompts_and_repeats_are_not_asked() {
        let column = |p: Option<&str>| crate::responses::Column {
            prompt: p.map(Into::into),
            ..Default::default()
        };
        let columns = vec![column(Some("a")), column(None), column(Some("a ")), column(Some("b"))];
        let r = Responses { columns, ..Responses::default() };
        assert_eq!(of_columns(&r, &[3, 1, 2, 0]), asked(&["b", "a "]));
    }
}
