//! What page and worker say to each other: JSON beside the files' handles.
//!
//! A message is the object `{json, files, bytes}`: the text of a [`Request`] or
//! [`Reply`], for a request one `Blob` for each of its paths, and the results that
//! [`Request::Keep`], [`Reply::Shared`] and [`Reply::Done`] carry.

use crate::error::Error;
use crate::job::{MODEL_MEMORY, Parameters, Progress, Share};
use crate::report::Report;
use crate::samples::{Note, Samples};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Compute one part of a run for another worker; answered by [`Reply::Progress`]
    /// and [`Reply::Shared`] or [`Reply::Failed`].
    Share {
        /// The inputs of the run.
        inputs: Inputs,
        /// Its settings.
        parameters: Parameters,
        /// The part.
        share: Share,
    },
    /// Keep what was computed elsewhere, by another worker or on an earlier visit,
    /// which comes beside the message; not answered.
    Keep,
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
    /// The SHA-256 of the files among them that were read before.
    #[serde(default)]
    pub hashes: BTreeMap<String, String>,
    /// Text typed or pasted as samples; perhaps empty.
    pub pasted: String,
    /// Whose responses a file holds, where the user said so; by name of the file.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// The models that are suspects, by the names of their files: labels may
    /// change when another file comes or goes.
    #[serde(default)]
    pub suspects: BTreeSet<String>,
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

/// Workers at the most: beyond these, memory bandwidth is what is short.
const MOST_WORKERS: usize = 8;
/// Bytes of the largest model below which a second worker is not worth its start.
const SMALL_MODEL: u64 = 8 << 20;
/// Samples below which it is not, either.
const FEW_SAMPLES: usize = 4;

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
        /// What was computed that the worker did not know; beside the message.
        #[serde(skip)]
        results: Vec<u8>,
    },
    /// A part of a run came to its end.
    Shared {
        /// The names and the SHA-256 of the files that were hashed.
        hashes: Vec<(String, String)>,
        /// What was computed that the worker did not know; beside the message.
        #[serde(skip)]
        results: Vec<u8>,
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
    /// Models that can be ranked or compared, the suspects' among them.
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

/// A model as listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CandidateInfo {
    /// Its label in the ranking.
    pub label: String,
    /// Decoder family, e.g. `llama`.
    pub family: String,
    /// Names of its files.
    pub files: Vec<String>,
    /// Their length together.
    pub bytes: u64,
    /// Whether it is the suspect, or one of them.
    #[serde(default)]
    pub suspect: bool,
    /// Whether it is an encoder: only its weights can be compared.
    #[serde(default)]
    pub encoder: bool,
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
        let by_text = self.ranked() > self.encoders() && self.has(Role::Suspect);
        by_text || (self.suspects() > 0 && self.compared() > 0)
    }

    fn has(&self, role: Role) -> bool {
        self.samples.iter().any(|s| s.role == role)
    }

    /// How many candidates there are, by weights or by text.
    pub fn ranked(&self) -> usize {
        self.compared() + self.by_text()
    }

    /// How many candidates are known by their responses alone.
    pub fn by_text(&self) -> usize {
        let texts = self.samples.iter().filter(|s| s.role == Role::Candidate);
        texts.map(|s| s.models.len().max(1)).sum()
    }

    /// How many suspects are given by their weights.
    pub fn suspects(&self) -> usize {
        self.candidates.iter().filter(|c| c.suspect).count()
    }

    /// How many candidates have weights to compare.
    fn compared(&self) -> usize {
        self.candidates.len() - self.suspects()
    }

    /// How many of them are encoders, which text cannot rank.
    fn encoders(&self) -> usize {
        self.candidates.iter().filter(|c| c.encoder && !c.suspect).count()
    }

    /// How many workers a run is worth, given so many `cores`: each holds a copy
    /// of one model at a time, and takes a moment to start.
    pub fn workers(&self, cores: usize) -> usize {
        let models = self.candidates.iter().filter(|c| !c.suspect && !c.encoder);
        let largest = models.map(|c| c.bytes).max().unwrap_or(0);
        let suspects = self.samples.iter().filter(|s| s.role == Role::Suspect);
        let samples: usize = suspects.map(|s| s.count).sum();
        if largest < SMALL_MODEL || samples < FEW_SAMPLES {
            return 1;
        }
        let fit = usize::try_from(MODEL_MEMORY / largest).unwrap_or(MOST_WORKERS);
        cores.min(fit).clamp(1, MOST_WORKERS)
    }

    /// What is missing for a run, or for a useful one, in words.
    pub fn needs(&self) -> &'static str {
        match (self.ranked() - self.encoders(), self.has(Role::Suspect)) {
            _ if self.suspects() > 0 && self.compared() > 0 => "",
            (0, false) if self.suspects() > 0 => {
                "Add candidate models to compare the suspect’s weights with."
            }
            (0, false) if self.encoders() > 0 => "Say which model is the suspect.",
            (0, false) => "Add candidate models and text of the suspect, or its weights, first.",
            (0, true) => "Add candidate models first.",
            (_, false) => "Add text of the suspect first, or say which model is the suspect.",
            (1, true) => "With one candidate alone there is nothing to compare it with.",
            (_, true) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_workers_as_cores_and_memory_allow() {
        let workers = |bytes: u64, count, cores| {
            let (name, role) = ("s".to_owned(), Role::Suspect);
            let seen = Inspected {
                candidates: vec![CandidateInfo { bytes, ..Default::default() }],
                samples: vec![SamplesInfo { name, count, role, models: vec![], notes: vec![] }],
                ..Default::default()
            };
            seen.workers(cores)
        };
        assert_eq!(workers(100 << 20, 60, 2), 2);
        assert_eq!(workers(100 << 20, 60, 64), 8);
        assert_eq!(workers(400 << 20, 60, 8), 2);
        assert_eq!(workers(3 << 30, 60, 8), 1);
        assert_eq!(workers(1 << 20, 60, 8), 1);
        assert_eq!(workers(100 << 20, 2, 8), 1);
        assert_eq!(Inspected::default().workers(8), 1);
    }

    #[test]
    fn messages_come_back_as_they_were() {
        let inputs = Inputs {
            paths: vec!["a/b.gguf".into()],
            hashes: [("a/b.gguf".to_owned(), "0f".to_owned())].into(),
            pasted: "x\n\ny".into(),
            roles: [("r.jsonl".to_owned(), Role::Candidate)].into(),
            suspects: ["a/b.gguf".to_owned()].into(),
        };
        let parameters = Parameters { seed: (1 << 53) - 1, ..Default::default() };
        for request in [
            Request::Inspect { number: 7, inputs: inputs.clone() },
            Request::Share {
                inputs: inputs.clone(),
                parameters: parameters.clone(),
                share: Share { part: 1, of: 2 },
            },
            Request::Keep,
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
            Reply::Shared { hashes: vec![("a".into(), "0f".into())], results: vec![] },
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
        assert!(seen.needs().contains("weights"));
        let samples = samples();
        seen.samples.push(samples.clone());
        assert!(!seen.can_run() && seen.needs().contains("candidate"));
        let (label, family) = ("c".into(), "llama".into());
        let candidate = CandidateInfo { label, family, ..CandidateInfo::default() };
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
    fn a_suspect_by_weights_needs_a_candidate_and_no_text() {
        let model = |suspect, encoder| CandidateInfo { suspect, encoder, ..Default::default() };
        let seen = |candidates: &[CandidateInfo], text| Inspected {
            candidates: candidates.to_vec(),
            samples: if text { vec![samples()] } else { vec![] },
            ..Inspected::default()
        };
        let (candidate, suspect) = (model(false, false), model(true, false));
        let (encoder, suspected) = (model(false, true), model(true, true));
        for text in [false, true] {
            let both = seen(&[candidate.clone(), suspect.clone()], text);
            assert!(both.can_run() && both.needs().is_empty());
            assert_eq!((both.ranked(), both.suspects()), (1, 1));
            assert!(seen(&[encoder.clone(), suspected.clone()], text).can_run());
            let alone = seen(std::slice::from_ref(&suspect), text);
            assert!(!alone.can_run() && alone.needs().contains("candidate models"));
        }
        // Text cannot rank encoders.
        let encoders = seen(&[encoder.clone(), encoder.clone()], true);
        assert!(!encoders.can_run() && encoders.needs().contains("candidate models"));
        let encoders = seen(&[encoder.clone(), encoder], false);
        assert!(!encoders.can_run() && encoders.needs().contains("which model is the suspect"));
        let models = seen(&[candidate.clone(), candidate], false);
        assert!(!models.can_run() && models.needs().contains("which model is the suspect"));
        // A list of a page that does not know of suspects.
        let old = r#"{"label":"c","family":"llama","files":[],"bytes":1}"#;
        assert!(!serde_json::from_str::<CandidateInfo>(old).unwrap().suspect);
        assert!(
            serde_json::from_str::<Inputs>(r#"{"paths":[],"pasted":""}"#)
                .unwrap()
                .suspects
                .is_empty()
        );
    }

    fn samples() -> SamplesInfo {
        SamplesInfo {
            name: "s".into(),
            count: 1,
            role: Role::Suspect,
            models: vec![],
            notes: vec![],
        }
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
