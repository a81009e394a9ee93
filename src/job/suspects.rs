//! Who is traced: each suspect with its text, its weights, or both.

use super::{Job, spread};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::CandidateFiles;
use crate::responses::Group;
use crate::samples::Sample;

/// A suspect with something to go by.
pub struct Suspect<'a> {
    /// Its name.
    pub label: String,
    /// Its responses.
    pub group: Option<&'a Group>,
    /// The samples that the models score.
    pub scored: Vec<Sample>,
    /// Its weights.
    pub weights: Option<&'a CandidateFiles>,
}

/// The suspects of a job. Text and weights under one name are one suspect, and
/// so are the only text and the only weights there are.
///
/// # Errors
/// Where there is none.
pub fn usable<'a>(job: &'a Job, problems: &mut Vec<Error>) -> Result<Vec<Suspect<'a>>> {
    let mut suspects: Vec<Suspect<'_>> = vec![];
    for group in &job.suspects {
        let written: Vec<Sample> =
            group.samples.iter().filter(|s| !s.response.trim().is_empty()).cloned().collect();
        if written.is_empty() {
            problems.push(
                Error::new(ErrorKind::Samples, "all its responses are empty")
                    .in_file(&group.label)
                    .hint("ask it again; without text there is nothing to go by"),
            );
        } else {
            let scored = spread(&written, job.parameters.max_samples);
            let label = group.label.clone();
            suspects.push(Suspect { label, group: Some(group), scored, weights: None });
        }
    }
    let alone = suspects.len() == 1 && job.weights.len() == 1;
    for files in &job.weights {
        let same = |s: &&mut Suspect<'_>| alone || s.label == files.label;
        match suspects.iter_mut().find(same) {
            Some(suspect) => {
                suspect.weights = Some(files);
                // A file of weights has a name; pasted text has none worth keeping.
                suspect.label.clone_from(&files.label);
            }
            None => suspects.push(Suspect {
                label: files.label.clone(),
                group: None,
                scored: vec![],
                weights: Some(files),
            }),
        }
    }
    if suspects.is_empty() {
        return Err(Error::new(ErrorKind::Samples, "there are no samples to score")
            .hint("add a file of the suspect's responses, or its weights, or paste some text"));
    }
    Ok(suspects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(texts: &[&str], weights: &[&str]) -> Job {
        let sample = || Sample::new(None, "words".into(), String::new());
        let group = |l: &&str| Group { label: (*l).into(), samples: vec![sample()] };
        let files = |l: &&str| CandidateFiles { label: (*l).into(), files: vec![] };
        Job {
            suspects: texts.iter().map(group).collect(),
            weights: weights.iter().map(files).collect(),
            ..Job::default()
        }
    }

    #[test]
    fn text_and_weights_of_one_model_are_one_suspect() {
        let of = |texts: &[&str], weights: &[&str]| {
            let job = job(texts, weights);
            let found = usable(&job, &mut vec![]).unwrap();
            let show = |s: &Suspect<'_>| (s.label.clone(), s.group.is_some(), s.weights.is_some());
            found.iter().map(show).collect::<Vec<_>>()
        };
        let s = |l: &str, text, weights| (l.to_owned(), text, weights);
        assert_eq!(of(&["suspect"], &["m"]), [s("m", true, true)]);
        assert_eq!(
            of(&["a", "m"], &["m", "n"]),
            [s("a", true, false), s("m", true, true), s("n", false, true)]
        );
        assert_eq!(of(&[], &["m"]), [s("m", false, true)]);
        assert!(usable(&job(&[], &[]), &mut vec![]).is_err());
    }
}
