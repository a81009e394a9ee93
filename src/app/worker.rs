//! The worker: it holds the core, reads the files and does the work, so that
//! the page stays awake.
//!
//! It does one request at a time and reads synchronously. To cancel, the page
//! ends it and starts another.

use super::blob::BlobSource;
use super::protocol::{
    CandidateInfo, Inputs, Inspected, OtherInfo, PASTED, Reply, Request, Role, SamplesInfo, roles,
};
use crate::decoder::families;
use crate::encoder::is_encoder;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, CandidateFiles, Gathered, gather};
use crate::job::memo::Memo;
use crate::job::roles::{Models, sort};
use crate::job::{self, Job, Parameters, Progress};
use crate::labels::{self, Labels};
use crate::prompts::file::{self, Asked, Rows};
use crate::report::json;
use crate::responses::{Group, MAX_MODELS, Responses, of_files};
use crate::samples::{Note, Samples};
use crate::source::{MemorySource, SharedSource};
use js_sys::{Array, Object, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, DedicatedWorkerGlobalScope, MessageEvent};

/// Milliseconds between two messages of progress within one stage.
const PAUSE: f64 = 60.0;

thread_local! {
    /// What models computed since this worker started, and what the page knew before:
    /// a run with another sample or candidate computes only what is new.
    static MEMO: RefCell<Memo> = RefCell::default();
}

/// Starts to listen; the page waits for [`Reply::Ready`].
pub fn start() {
    console_error_panic_hook::set_once();
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let hear = Closure::<dyn FnMut(MessageEvent)>::new(|event: MessageEvent| {
        if let Err(error) = answer(&event.data()) {
            send(&Reply::Failed { error });
        }
    });
    scope.set_onmessage(Some(hear.as_ref().unchecked_ref()));
    hear.forget();
    send(&Reply::Ready);
}

fn answer(message: &JsValue) -> Result<()> {
    let field = |name: &str| Reflect::get(message, &name.into()).unwrap_or(JsValue::UNDEFINED);
    let json = field("json").as_string().unwrap_or_default();
    let request: Request = serde_json::from_str(&json).map_err(|e| {
        Error::new(ErrorKind::Internal, format!("the worker does not understand the page: {e}"))
            .hint("reload the page")
    })?;
    let blobs: Vec<Blob> =
        Array::from(&field("files")).iter().map(JsCast::unchecked_into).collect();
    match request {
        Request::Inspect { number, inputs } => {
            send(&Reply::Inspected(inspect(number, &inputs, blobs)?));
        }
        Request::Prompts { inputs, strategy, budget, seed } => {
            let given = Given::read(&inputs, blobs)?;
            let roles = given.roles(&inputs);
            let texts = given.read.into_iter().zip(roles);
            let texts = texts.filter(|(_, role)| *role == Role::Candidate);
            let files = texts.map(|((source, s), _)| (source.name().to_owned(), s)).collect();
            let (groups, _, _) = of_files(files, None);
            let bases = Responses::new(&groups);
            let chosen = file::choose(&strategy, &bases, budget, seed, &mut |_, _| {})?;
            send(&Reply::Prompts { text: file::write(&chosen)?, count: chosen.len() });
        }
        Request::Share { inputs, parameters, share } => {
            let mut clock = Clock::default();
            let job = Given::read(&inputs, blobs)?.job(&inputs, parameters)?;
            let (hashes, results) = MEMO.with_borrow_mut(|memo| {
                let mark = memo.mark();
                let hashes = job::share(&job, share, memo, &mut |progress| clock.tell(progress))?;
                Ok::<_, Error>((hashes, memo.write_since(mark)))
            })?;
            send_with(&Reply::Shared { hashes, results: vec![] }, &results);
        }
        Request::Keep => {
            let bytes = field("bytes").dyn_into::<Uint8Array>().map(|b| b.to_vec());
            MEMO.with_borrow_mut(|memo| memo.read(&bytes.unwrap_or_default()))?;
        }
        Request::Run { inputs, parameters } => {
            let mut clock = Clock::default();
            let job = Given::read(&inputs, blobs)?.job(&inputs, parameters)?;
            let (reports, results) = MEMO.with_borrow_mut(|memo| {
                let mark = memo.mark();
                let reports = job::run_with(&job, memo, &mut |progress| clock.tell(progress))?;
                Ok::<_, Error>((reports, memo.write_since(mark)))
            })?;
            // The same check as the export's: what cannot be written cannot be sent.
            json::write_all(&reports)?;
            send_with(&Reply::Done { reports, results: vec![] }, &results);
        }
    }
    Ok(())
}

/// The inputs, sorted and the samples read.
struct Given {
    gathered: Gathered,
    read: Vec<(SharedSource, Samples)>,
    /// Saved prompts that the suspects were asked.
    asked: Vec<(SharedSource, Vec<Asked>)>,
    /// Lists of the candidates that known fine-tunes come from.
    labels: Vec<(SharedSource, Labels)>,
}

impl Given {
    /// Whose responses each of the files read holds.
    fn roles(&self, inputs: &Inputs) -> Vec<Role> {
        let files: Vec<(&str, &Samples)> = self.read.iter().map(|(f, s)| (f.name(), s)).collect();
        roles(&files, &inputs.roles)
    }

    fn read(inputs: &Inputs, blobs: Vec<Blob>) -> Result<Self> {
        if blobs.len() != inputs.paths.len() {
            return Err(Error::new(ErrorKind::Internal, "files and their names do not match")
                .hint("reload the page"));
        }
        let sources: Vec<SharedSource> = inputs
            .paths
            .iter()
            .zip(blobs)
            .map(|(path, blob)| BlobSource::shared(path, blob, inputs.hashes.get(path).cloned()))
            .collect::<Result<_>>()?;
        let mut gathered = gather(&sources);
        if !inputs.suspects.is_empty() {
            gathered.admit_bare();
        }
        let mut files = std::mem::take(&mut gathered.samples);
        if !inputs.pasted.trim().is_empty() {
            files.push(Rc::new(MemorySource::new(PASTED, inputs.pasted.as_bytes())));
        }
        let (mut read, mut asked, mut known) = (vec![], vec![], vec![]);
        for file in files {
            match file::rows(file.as_ref()) {
                Ok(Rows::Answers(samples)) => read.push((file, samples)),
                Ok(Rows::Prompts(prompts)) => asked.push((file, prompts)),
                Err(e) => gathered.problems.push(e),
            }
        }
        for file in std::mem::take(&mut gathered.labels) {
            match labels::read(file.as_ref()) {
                Ok(list) => known.push((file, list)),
                Err(e) => gathered.problems.push(e),
            }
        }
        Ok(Self { gathered, read, asked, labels: known })
    }

    /// Known fine-tunes with their candidates, by their rows or by the lists together.
    fn assign(&self, groups: Vec<Group>) -> (Vec<(String, Group)>, Vec<Error>) {
        let lists: Vec<&Labels> = self.labels.iter().map(|(_, l)| l).collect();
        labels::assign(groups, &lists)
    }

    /// What the suspects lack of the prompts in each saved file.
    fn gaps(&self, suspects: &[Group]) -> Vec<Vec<Note>> {
        self.asked.iter().map(|(_, prompts)| file::gaps(prompts, suspects)).collect()
    }

    /// Labels and saved prompts as listed.
    fn others(&self, suspects: &[Group]) -> Vec<OtherInfo> {
        let many = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let list = |(file, labels): &(SharedSource, Labels)| OtherInfo {
            name: file.name().to_owned(),
            about: format!("the candidates of {}", many(labels.len(), "known fine-tune")),
            notes: vec![],
        };
        let asked = |((file, prompts), notes): (&(SharedSource, Vec<Asked>), Vec<Note>)| {
            OtherInfo { name: file.name().to_owned(), about: many(prompts.len(), "prompt"), notes }
        };
        let lists = self.labels.iter().map(list);
        lists.chain(self.asked.iter().zip(self.gaps(suspects)).map(asked)).collect()
    }

    /// The run that was asked for.
    fn job(mut self, inputs: &Inputs, parameters: Parameters) -> Result<Job> {
        let roles = self.roles(inputs);
        // Better than that nothing is there: why it is not there any more.
        let written = roles.contains(&Role::Suspect);
        let gathered = std::mem::take(&mut self.gathered.candidates);
        let models = sort(gathered, &inputs.suspects, written);
        let none = models.candidates.is_empty() && !roles.contains(&Role::Candidate);
        if none || (!written && models.suspects.is_empty()) {
            let gone = self.gathered.problems.iter().find(|p| p.kind() == ErrorKind::Read);
            if let Some(gone) = gone {
                return Err(gone.clone());
            }
        }
        let mut problems = std::mem::take(&mut self.gathered.problems);
        let Models { candidates, encoder, suspects: weights } = models;
        let (mut sources, mut texts, mut suspects, mut known) = (vec![], vec![], vec![], vec![]);
        for ((source, samples), role) in std::mem::take(&mut self.read).into_iter().zip(&roles) {
            let (name, list) = match role {
                Role::Suspect => ("samples", &mut suspects),
                Role::Candidate => ("candidate responses", &mut texts),
                Role::Labelled => ("labelled fine-tunes", &mut known),
            };
            list.push((source.name().to_owned(), samples));
            sources.push((name.to_owned(), source));
        }
        let mut notes = vec![];
        let mut group = |files, unnamed| {
            let (groups, mut noted, mut faults) = of_files(files, unnamed);
            notes.append(&mut noted);
            problems.append(&mut faults);
            groups
        };
        let mut texts = group(texts, None);
        job::tell_apart(&candidates, &mut texts);
        let suspects = group(suspects, Some("suspect"));
        let known = group(known, None);
        notes.extend(self.gaps(&suspects).into_iter().flatten());
        let used = !known.is_empty();
        let (labelled, mut faults) = self.assign(known);
        problems.append(&mut faults);
        let lists = self.labels.into_iter().filter(|_| used).map(|(s, _)| ("labels".into(), s));
        let asked = self.asked.into_iter().map(|(s, _)| ("prompts".into(), s));
        sources.extend(lists.chain(asked));
        Ok(Job {
            candidates,
            encoder,
            texts,
            suspects,
            weights,
            labelled,
            notes,
            sources,
            problems,
            parameters,
        })
    }

    /// The models of the files that `role` wrote.
    fn groups(&self, roles: &[Role], role: Role, unnamed: Option<&str>) -> Vec<Group> {
        let files = self.read.iter().zip(roles).filter(|(_, r)| **r == role);
        let files = files.map(|((f, s), _)| (f.name().to_owned(), s.clone())).collect();
        of_files(files, unnamed).0
    }
}

fn inspect(number: u32, inputs: &Inputs, blobs: Vec<Blob>) -> Result<Inspected> {
    let mut given = Given::read(inputs, blobs)?;
    let roles = given.roles(inputs);
    let known = given.groups(&roles, Role::Labelled, None);
    let (_, mut unlabelled) = given.assign(known);
    let suspects = match given.asked.is_empty() {
        true => vec![],
        false => given.groups(&roles, Role::Suspect, Some("suspect")),
    };
    let others = given.others(&suspects);
    given.gathered.problems.append(&mut unlabelled);
    let texts = roles.contains(&Role::Suspect);
    let gathered = std::mem::take(&mut given.gathered.candidates);
    let order: Vec<String> = gathered.iter().map(|c| c.label.clone()).collect();
    let sorted = sort(gathered, &inputs.suspects, texts);
    let mut candidates = vec![];
    for (suspect, list) in [(false, &sorted.candidates), (true, &sorted.suspects)] {
        for model in list {
            match listed(model) {
                Ok(info) => candidates.push(CandidateInfo { suspect, ..info }),
                Err(e) => given.gathered.problems.push(e.in_file(&model.label)),
            }
        }
    }
    // One that becomes a suspect keeps its place in the list.
    candidates.sort_by_key(|c: &CandidateInfo| order.iter().position(|label| *label == c.label));
    let encoder = sorted.encoder.as_ref().map(encoder);
    let sample = |((source, samples), role): ((SharedSource, Samples), Role)| SamplesInfo {
        name: source.name().to_owned(),
        count: samples.samples.len(),
        role,
        models: models(&samples),
        notes: samples.notes,
    };
    Ok(Inspected {
        number,
        candidates,
        encoder,
        samples: given.read.into_iter().zip(roles).map(sample).collect(),
        others,
        problems: given.gathered.problems,
        ignored: given.gathered.ignored,
    })
}

/// A model as listed. An unsupported family is better named now than in the
/// midst of a run.
fn listed(model: &CandidateFiles) -> Result<CandidateInfo> {
    let archive = Archive::open(model)?;
    if is_encoder(&archive) {
        return Ok(encoder(model));
    }
    let family = families::layout(&archive)?.config.family.to_owned();
    Ok(CandidateInfo { family, encoder: false, ..encoder(model) })
}

fn encoder(model: &CandidateFiles) -> CandidateInfo {
    CandidateInfo {
        label: model.label.clone(),
        family: "bert".into(),
        files: model.files.iter().map(|f| f.name().to_owned()).collect(),
        bytes: model.files.iter().map(|f| f.len()).sum(),
        suspect: false,
        encoder: true,
    }
}

/// The models that the rows name, in order, as many as a run tells apart.
fn models(samples: &Samples) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    for name in samples.samples.iter().filter_map(|s| s.model.as_ref()) {
        if out.len() < MAX_MODELS && !out.contains(name) {
            out.push(name.clone());
        }
    }
    out
}

/// Sends `reply` to the page; one that cannot be sent becomes a failure that can.
fn send(reply: &Reply) {
    send_with(reply, &[]);
}

/// As [`send`], with `bytes` beside it.
fn send_with(reply: &Reply, bytes: &[u8]) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let json = serde_json::to_string(reply).unwrap_or_else(|e| {
        let error = Error::new(ErrorKind::Internal, format!("the worker cannot answer: {e}"));
        serde_json::to_string(&Reply::Failed { error }).unwrap_or_default()
    });
    let message = Object::new();
    let set = Reflect::set(&message, &"json".into(), &json.into());
    let set =
        set.and_then(|_| Reflect::set(&message, &"bytes".into(), &Uint8Array::from(bytes).into()));
    // A page that has gone hears nothing, and needs to hear nothing.
    let _ = set.and_then(|_| scope.post_message(&message));
}

/// Keeps the page from drowning in progress.
#[derive(Default)]
struct Clock {
    stage: String,
    last: f64,
}

impl Clock {
    fn tell(&mut self, progress: &Progress) {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        let now = scope.performance().map_or(0.0, |p| p.now());
        let due = now - self.last >= PAUSE || progress.done == progress.total;
        if due || self.stage != progress.stage {
            self.stage.clone_from(&progress.stage);
            self.last = now;
            send(&Reply::Progress(progress.clone()));
        }
    }
}
