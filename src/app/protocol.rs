//! What page and worker say to each other: JSON beside the files' handles.
//!
//! A message is the object `{json, files}`: the text of a [`Request`] or
//! [`Reply`], and for a request one `Blob` for each of its paths.

use crate::error::Error;
use crate::job::{Parameters, Progress};
use crate::report::Report;
use crate::samples::{Note, Samples};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the page asks of the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Say what the files are; answered by [`Reply::Inspected`].
    Inspect {
        /// Given back in the answer, so that an outdated one is known as such.
        number: u32,
        /// The inputs.
        inputs: Inputs,
    },
    /// Choose prompts to put to a suspect; answered by [`Reply::Prompts`] or [`Reply::Failed`].
    Prompts {
        /// The inputs: a picker goes by the responses of the candidates among them.
        inputs: Inputs,
        /// A built-in set, or a picker.
        strategy: String,
        /// Prompts at the most.
        budget: usize,
        /// Seed of every random draw.
        seed: u64,
    },
    /// Rank; answered by [`Reply::Progress`] and [`Reply::Done`] or [`Reply::Failed`].
    Run {
        /// The inputs.
        inputs: Inputs,
        /// Settings.
        parameters: Parameters,
    },
}

/// What the user gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The name of each file that comes with the message.
    pub paths: Vec<String>,
    /// Text typed or pasted as samples; perhaps empty.
    pub pasted: String,
    /// Whose responses a file holds, where the user said so; by name of the file.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
}

/// Whose responses a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The suspect's, or several suspects'.
    #[default]
    Suspect,
    /// Those of candidates, each known by its responses.
    Candidate,
    /// Those of known fine-tunes, for the text classifiers to learn from.
    Labelled,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Suspect, Self::Candidate, Self::Labelled];

    /// Its name as a value of the page's choice.
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Candidate => "candidate",
            Self::Labelled => "labelled",
        }
    }
}

/// The role of each file of samples: as the user said, else by content. One
/// whose every row names a base holds known fine-tunes; of the rest the first
/// that names its models holds candidates, all others suspects.
pub fn roles(files: &[(&str, &Samples)], said: &BTreeMap<String, Role>) -> Vec<Role> {
    let taken = said.values().any(|r| *r == Role::Candidate);
    let labelled = |s: &Samples| s.samples.iter().all(|s| s.base.is_some());
    let named = |s: &Samples| s.samples.iter().any(|s| s.model.is_some()) && !labelled(s);
    let first =
        files.iter().position(|(name, s)| named(s) && !said.contains_key(*name)).filter(|_| !taken);
    let role = |(i, (name, samples)): (usize, &(&str, &Samples))| match said.get(*name) {
        Some(role) => *role,
        None if labelled(samples) => Role::Labelled,
        None if first == Some(i) => Role::Candidate,
        None => Role::Suspect,
    };
    files.iter().enumerate().map(role).collect()
}

/// Name under which pasted text stands among the sample files.
pub const PASTED: &str = "pasted text";

/// What the worker answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The worker has started.
    Ready,
    /// What the files are.
    Inspected(Inspected),
    /// Where a run is.
    Progress(Progress),
    /// A run came to its end.
    Done {
        /// What it found, for each suspect.
        reports: Vec<Report>,
    },
    /// The prompts chosen.
    Prompts {
        /// JSON Lines.
        text: String,
        /// How many.
        count: usize,
    },
    /// A run came to no result.
    Failed {
        /// Why.
        error: Error,
    },
}

/// What the files are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// The number of the request.
    pub number: u32,
    /// Models that can be ranked.
    pub candidates: Vec<CandidateInfo>,
    /// The encoder for the text classifiers.
    pub encoder: Option<CandidateInfo>,
    /// Files with usable samples, pasted text among them.
    pub samples: Vec<SamplesInfo>,
    /// Files that say something of the samples.
    pub others: Vec<OtherInfo>,
    /// Files and groups that cannot be used.
    pub problems: Vec<Error>,
    /// Files of model folders that are not needed.
    pub ignored: Vec<String>,
}

/// A candidate as listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateInfo {
    /// Its label in the ranking.
    pub label: String,
    /// Decoder family, e.g. `llama`.
    pub family: String,
    /// Names of its files.
    pub files: Vec<String>,
    /// Their length together.
    pub bytes: u64,
}

/// A file of samples as listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplesInfo {
    /// Its name.
    pub name: String,
    /// Usable samples in it.
    pub count: usize,
    /// Whose responses it holds.
    pub role: Role,
    /// The models that its rows name.
    pub models: Vec<String>,
    /// What was set aside or repaired.
    pub notes: Vec<Note>,
}

/// A file beside the samples as listed: labels of fine-tunes, or prompts asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherInfo {
    /// Its name.
    pub name: String,
    /// What it holds, in words.
    pub about: String,
    /// What was noticed.
    pub notes: Vec<Note>,
}

impl Inspected {
    /// Whether there is something to rank and something to rank it by.
    pub fn can_run(&self) -> bool {
        self.ranked() > 0 && self.has(Role::Suspect)
    }

    fn has(&self, role: Role) -> bool {
        self.samples.iter().any(|s| s.role == role)
    }

    /// How many candidates there are, by weights or by text.
    pub fn ranked(&self) -> usize {
        let texts = self.samples.iter().filter(|s| s.role == Role::Candidate);
        self.candidates.len() + texts.map(|s| s.models.len().max(1)).sum::<usize>()
    }

    /// What is missing for a run, or for a useful one, in words.
    pub fn needs(&self) -> &'static str {
        match (self.ranked(), !self.has(Role::Suspect)) {
            (0, true) => "Add candidate models and text of the suspect first.",
            (0, false) => "Add candidate models first.",
            (_, true) => "Add text of the suspect first.",
            (1, false) => "With one candidate alone there is nothing to compare it with.",
            (_, false) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        let inputs = Inputs {
            paths: vec!["a/b.gguf".into()],
            pasted: "x\n\ny".into(),
            roles: [("r.jsonl".to_owned(), Role::Candidate)].into(),
        };
        let parameters = Parameters { seed: (1 << 53) - 1, ..Default::default() };
        for request in [
            Request::Inspect { number: 7, inputs: inputs.clone() },
            Request::Run { inputs, parameters },
        ] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request);
        }
        let progress = Progress { stage: "s".into(), done: 1, total: 2, unit: "tokens".into() };
        let error = Error::new(crate::ErrorKind::Read, "gone").in_file("f").hint("h");
        for reply in [
            Reply::Ready,
            Reply::Inspected(Inspected { number: 7, ..Default::default() }),
            Reply::Progress(progress),
            Reply::Failed { error },
        ] {
            let json = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<Reply>(&json).unwrap(), reply);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut seen = Inspected::default();
        assert!(!seen.can_run() && seen.needs().contains("models and text"));
        let samples = SamplesInfo {
            name: "s".into(),
            count: 1,
            role: Role::Suspect,
            models: vec![],
            notes: vec![],
        };
        seen.samples.push(samples.clone());
        assert!(!seen.can_run() && seen.needs().contains("candidate"));
        let (label, family) = ("c".into(), "llama".into());
        let candidate = CandidateInfo { label, family, files: vec![], bytes: 0 };
        seen.candidates.push(candidate.clone());
        assert!(seen.can_run() && seen.needs().contains("one candidate"));
        seen.candidates.push(candidate);
        assert!(seen.can_run() && seen.needs().is_empty());
        // Two candidates by their text do as well.
        seen.candidates.clear();
        let models = vec!["a".into(), "b".into()];
        seen.samples.push(SamplesInfo { role: Role::Candidate, models, ..samples });
        assert!(seen.can_run() && seen.needs().is_empty());
    }

    #[test]
    fn the_first_file_that_names_models_holds_candidates() {
        let read = |text: &str| crate::samples::parse("s", text.as_bytes()).unwrap();
        let named = read("model,prompt,response\na,p,x\nb,p,y\n");
        let plain = read("one\n\ntwo");
        let files = [("plain", &plain), ("a", &named), ("b", &named)];
        let of = |said: &[(&str, Role)]| {
            roles(&files, &said.iter().map(|(n, r)| ((*n).to_owned(), *r)).collect())
        };
        use Role::{Candidate, Labelled, Suspect};
        assert_eq!(of(&[]), [Suspect, Candidate, Suspect]);
        assert_eq!(of(&[("b", Candidate)]), [Suspect, Suspect, Candidate]);
        assert_eq!(of(&[("a", Suspect)]), [Suspect, Suspect, Candidate]);
        assert_eq!(of(&[("plain", Candidate), ("a", Candidate)]), [Candidate, Candidate, Suspect]);
        // Rows that name their base are of known fine-tunes, and of no candidates.
        let known = read("model,base,prompt,response\nk,a,p,x\nl,b,p,y\n");
        let files = [("k", &known), ("a", &named)];
        assert_eq!(roles(&files, &BTreeMap::new()), [Labelled, Candidate]);
        assert_eq!(roles(&files, &[("k".to_owned(), Suspect)].into()), [Suspect, Candidate]);
    }
}
