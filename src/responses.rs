//! Responses of several models side by side: a row for each model, a column
//! for each prompt.
//!
//! Rows meet by the text of the prompt. Where a model answered one prompt
//! several times, its first answer meets the others' first, and so on. A gap
//! (no answer known) is not the same as a blank answer (the model said
//! nothing).

use crate::error::{Error, ErrorKind, Result};
use crate::samples::{Note, Sample, Samples};
use std::collections::HashMap;

/// Columns used at the most; beyond this they are thinned evenly.
pub const MAX_COLUMNS: usize = 2000;
/// Models told apart in one file at the most.
pub const MAX_MODELS: usize = 200;

/// What one model wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The model's name.
    pub label: String,
    /// Its samples, blank ones among them.
    pub samples: Vec<Sample>,
}

/// Parts `samples` by their model column; those without one belong to `unnamed`.
///
/// # Errors
/// More models than [`MAX_MODELS`]: the column then hardly names models.
pub fn by_model(samples: &Samples, unnamed: &str) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = vec![];
    let mut places: HashMap<&str, usize> = HashMap::new();
    for sample in samples.samples.iter().chain(&samples.blank) {
        let label = sample.model.as_deref().unwrap_or(unnamed);
        let at = match places.get(label) {
            Some(at) => *at,
            None if groups.len() == MAX_MODELS => {
                return Err(Error::new(
                    ErrorKind::Samples,
                    format!("the model column names more than {MAX_MODELS} models"),
                )
                .hint("that column should hold the name of the model that wrote the row"));
            }
            None => {
                groups.push(Group { label: label.into(), samples: vec![] });
                places.insert(label, groups.len() - 1);
                groups.len() - 1
            }
        };
        groups[at].samples.push(sample.clone());
    }
    Ok(groups)
}

/// The models whose responses several files hold, with what was noticed and
/// what could not be used. Rows without a model belong to `unnamed`, or, where
/// that is `None`, to a model of their file's name. Files that name the same
/// model are one model's.
pub fn of_files(
    mut files: Vec<(String, Samples)>,
    unnamed: Option<&str>,
) -> (Vec<Group>, Vec<Note>, Vec<Error>) {
    let mut groups: Vec<Group> = vec![];
    let (mut notes, mut problems) = (vec![], vec![]);
    if let Some(name) = unnamed {
        // Duplicates count across the files, too.
        let all = crate::samples::merge(files.drain(..).map(|(_, s)| s).collect());
        files.push((name.into(), all));
    }
    for (name, samples) in files {
        let stem = name.rsplit('/').next().unwrap_or(&name);
        let stem = stem.rsplit_once('.').map_or(stem, |(s, _)| s);
        match by_model(&samples, stem) {
            Ok(found) => {
                notes.extend(samples.notes);
                for group in found {
                    match groups.iter_mut().find(|g| g.label == group.label) {
                        Some(old) => old.samples.extend(group.samples),
                        None => groups.push(group),
                    }
                }
            }
            Err(e) => problems.push(e.in_file(name)),
        }
    }
    (groups, notes, problems)
}

/// One prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Its text; `None` where the rows name no prompt.
    pub prompt: Option<String>,
    /// How often the same prompt stands before it.
    pub occurrence: usize,
    /// The set that it belongs to, where a row says so.
    pub set: Option<String>,
}

/// The responses by model and prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Responses {
    /// The prompts, in order of their first appearance.
    pub columns: Vec<Column>,
    /// Names of the models.
    pub labels: Vec<String>,
    /// `rows[model][column]`: the response, `None` for a gap.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Responses {
    /// Lines the groups up by prompt, keeping their order.
    pub fn new(groups: &[Group]) -> Self {
        let mut columns: Vec<Column> = vec![];
        let mut places: HashMap<(Option<&str>, usize), usize> = HashMap::new();
        let mut cells = vec![];
        for group in groups {
            let mut met: HashMap<Option<&str>, usize> = HashMap::new();
            let mut row = vec![];
            for sample in &group.samples {
                let prompt = sample.prompt.as_deref().map(str::trim);
                let count = met.entry(prompt).or_default();
                let at = *places.entry((prompt, *count)).or_insert_with(|| {
                    columns.push(Column {
                        prompt: sample.prompt.clone(),
                        occurrence: *count,
                        set: sample.set.clone(),
                    });
                    columns.len() - 1
                });
                *count += 1;
                row.push((at, sample.response.clone()));
            }
            cells.push(row);
        }
        let rows = cells
            .into_iter()
            .map(|row| {
                let mut full = vec![None; columns.len()];
                row.into_iter().for_each(|(at, text)| full[at] = Some(text));
                full
            })
            .collect();
        Self { columns, labels: groups.iter().map(|g| g.label.clone()).collect(), rows }
    }

    /// The same with these columns alone, in this order.
    pub fn at(&self, columns: &[usize]) -> Self {
        let row = |r: &Vec<Option<String>>| columns.iter().map(|c| r[*c].clone()).collect();
        Self {
            columns: columns.iter().map(|c| self.columns[*c].clone()).collect(),
            labels: self.labels.clone(),
            rows: self.rows.iter().map(row).collect(),
        }
    }

    /// At most `n` columns, evenly spread; the note says what was left out.
    pub fn thinned(self, n: usize) -> (Self, Option<Note>) {
        let all = self.columns.len();
        if all <= n {
            return (self, None);
        }
        let kept: Vec<usize> = (0..n).map(|i| i * all / n).collect();
        let note = Note {
            kind: "prompt-limit".into(),
            text: format!("{} of {all} prompts were left out: {n} are plenty", all - n),
            count: all - n,
            places: vec![],
        };
        (self.at(&kept), Some(note))
    }

    /// What each of `models` lacks of the prompts that any of `others` answered.
    pub fn gaps(&self, models: &[usize], others: &[usize]) -> Vec<usize> {
        let asked = |c: &usize| others.iter().any(|m| self.rows[*m][*c].is_some());
        let asked: Vec<usize> = (0..self.columns.len()).filter(asked).collect();
        models
            .iter()
            .map(|m| asked.iter().filter(|c| self.rows[*m][**c].is_none()).count())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn groups(text: &str) -> Vec<Group> {
        by_model(&samples::parse("s", text.as_bytes()).unwrap(), "me").unwrap()
    }

    #[test]
    fn rows_meet_by_prompt_and_blanks_are_no_gaps() {
        let g = groups(
            "{\"model\":\"a\",\"prompt\":\"x\",\"response\":\"1\"}\n{\"model\":\"a\",\"prompt\":\"x\",\"response\":\"2\"}\n\
             {\"model\":\"b\",\"prompt\":\"y\",\"response\":\"\",\"prompt_set\":\"s\"}\n{\"model\":\"b\",\"prompt\":\"x \",\"response\":\"3\"}\n\
             {\"prompt\":\"x\",\"response\":\"4\"}\n{\"model\": 7, \"prompt\":\"y\",\"response\":\"5\"}",
        );
        let labels: Vec<&str> = g.iter().map(|g| g.label.as_str()).collect();
        assert_eq!(labels, ["a", "b", "me", "7"]);
        let r = Responses::new(&g);
        let columns: Vec<(Option<&str>, usize)> =
            r.columns.iter().map(|c| (c.prompt.as_deref(), c.occurrence)).collect();
        assert_eq!(columns, [(Some("x"), 0), (Some("x"), 1), (Some("y"), 0)]);
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(r.rows[0], [some("1"), some("2"), None]);
        assert_eq!(r.rows[1], [some("3"), None, some("")]);
        assert_eq!(r.rows[3], [None, None, some("5")]);
        assert_eq!(r.gaps(&[0, 1, 2], &[0, 1]), [1, 1, 2]);
    }

    #[test]
    fn the_same_response_of_two_models_is_no_duplicate() {
        let g = groups("model,prompt,response\na,x,1\nb,x,1\na,x,1\n");
        assert_eq!(g.iter().map(|g| g.samples.len()).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn too_many_columns_are_thinned_and_said() {
        let rows: Vec<String> =
            (0..10).map(|i| format!("{{\"prompt\":\"{i}\",\"response\":\"r\"}}")).collect();
        let (r, note) = Responses::new(&groups(&rows.join("\n"))).thinned(5);
        assert_eq!(r.columns[4].prompt.as_deref(), Some("8"));
        assert!(note.unwrap().text.starts_with("5 of 10 prompts"));
    }

    #[test]
    fn a_column_of_ids_is_no_model_column() {
        let rows: Vec<String> =
            (0..300).map(|i| format!("{{\"model\":\"{i}\",\"response\":\"r\"}}")).collect();
        let samples = samples::parse("s", rows.join("\n").as_bytes()).unwrap();
        assert!(by_model(&samples, "me").unwrap_err().what().contains("200"));
    }
}
