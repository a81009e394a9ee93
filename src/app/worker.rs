//! The worker: it holds the core, reads the files and does the work, so that
//! the page stays awake.
//!
//! It does one request at a time and reads synchronously. To cancel, the page
//! ends it and starts another.

use super::protocol::{
    CandidateInfo, Inputs, Inspected, PASTED, Reply, Request, Role, SamplesInfo, roles,
};
use crate::decoder::families;
use crate::encoder::is_encoder;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{Archive, CandidateFiles, Gathered, gather};
use crate::job::roles::{Models, sort};
use crate::job::{self, Job, Progress};
use crate::prompts::file;
use crate::report::json;
use crate::responses::{MAX_MODELS, Responses, of_files};
use crate::samples::{self, Samples};
use crate::source::{MemorySource, SharedSource, Source, past_end};
use js_sys::{Array, Object, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, DedicatedWorkerGlobalScope, FileReaderSync, MessageEvent};

/// Bytes asked of the browser at once, so that no tensor is in memory twice.
const PIECE: usize = 4 << 20;
/// Small reads take this much ahead: asking costs more than reading.
const AHEAD: usize = 256 << 10;
/// Milliseconds between two messages of progress within one stage.
const PAUSE: f64 = 60.0;

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
        Request::Run { inputs, parameters } => {
            let given = Given::read(&inputs, blobs)?;
            // Better than that nothing is there: why it is not there any more.
            let roles = given.roles(&inputs);
            let texts = roles.contains(&Role::Suspect);
            let models = sort(given.gathered.candidates, &inputs.suspects, texts);
            let none = models.candidates.is_empty() && !roles.contains(&Role::Candidate);
            if none || (!texts && models.suspects.is_empty()) {
                let gone = given.gathered.problems.iter().find(|p| p.kind() == ErrorKind::Read);
                if let Some(gone) = gone {
                    return Err(gone.clone());
                }
            }
            let mut clock = Clock::default();
            let mut problems = given.gathered.problems;
            let Models { candidates, encoder, suspects: weights } = models;
            let (mut sources, mut texts, mut suspects) = (vec![], vec![], vec![]);
            for ((source, samples), role) in given.read.into_iter().zip(&roles) {
                let (name, list) = match role {
                    Role::Suspect => ("samples", &mut suspects),
                    Role::Candidate => ("candidate responses", &mut texts),
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
            let job = Job {
                candidates,
                encoder,
                texts,
                suspects,
                weights,
                labelled: vec![],
                notes,
                sources,
                problems,
                parameters,
            };
            let reports = job::run(&job, &mut |progress| clock.tell(progress))?;
            // The same check as the export's: what cannot be written cannot be sent.
            json::write_all(&reports)?;
            send(&Reply::Done { reports });
        }
    }
    Ok(())
}

/// The inputs, sorted and the samples read.
struct Given {
    gathered: Gathered,
    read: Vec<(SharedSource, Samples)>,
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
            .map(|(path, blob)| BlobSource::shared(path, blob))
            .collect::<Result<_>>()?;
        let mut gathered = gather(&sources);
        if !inputs.suspects.is_empty() {
            gathered.admit_bare();
        }
        let mut files = std::mem::take(&mut gathered.samples);
        if !inputs.pasted.trim().is_empty() {
            files.push(Rc::new(MemorySource::new(PASTED, inputs.pasted.as_bytes())));
        }
        let mut read = vec![];
        for file in files {
            match samples::read(file.as_ref()) {
                Ok(samples) => read.push((file, samples)),
                Err(e) => gathered.problems.push(e),
            }
        }
        Ok(Self { gathered, read })
    }
}

fn inspect(number: u32, inputs: &Inputs, blobs: Vec<Blob>) -> Result<Inspected> {
    let mut given = Given::read(inputs, blobs)?;
    let roles = given.roles(inputs);
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
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let json = serde_json::to_string(reply).unwrap_or_else(|e| {
        let error = Error::new(ErrorKind::Internal, format!("the worker cannot answer: {e}"));
        serde_json::to_string(&Reply::Failed { error }).unwrap_or_default()
    });
    let message = Object::new();
    let set = Reflect::set(&message, &"json".into(), &json.into());
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

/// A browser's file, read by range.
struct BlobSource {
    name: String,
    blob: Blob,
    len: u64,
    reader: FileReaderSync,
    /// The last block read ahead, and where it begins.
    block: RefCell<(u64, Vec<u8>)>,
}

impl BlobSource {
    fn shared(name: &str, blob: Blob) -> Result<SharedSource> {
        let reader = FileReaderSync::new().map_err(|e| {
            Error::new(ErrorKind::Internal, format!("this browser reads no files: {}", words(&e)))
                .hint("use a current Firefox, Chrome, Edge or Safari")
        })?;
        let len = blob.size() as u64;
        let block = RefCell::default();
        Ok(Rc::new(Self { name: name.to_owned(), blob, len, reader, block }))
    }

    /// Fills `buf` from the file itself.
    fn fetch(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let mut at = offset as f64;
        for piece in buf.chunks_mut(PIECE) {
            let to = at + piece.len() as f64;
            let read = self
                .blob
                .slice_with_f64_and_f64(at, to)
                .and_then(|slice| self.reader.read_as_array_buffer(&slice))
                .map_err(|e| self.gone(&reason(&e)))?;
            let read = Uint8Array::new(&read);
            if read.length() as usize != piece.len() {
                return Err(self.gone(": it became shorter"));
            }
            read.copy_to(piece);
            at = to;
        }
        Ok(())
    }

    fn gone(&self, why: &str) -> Error {
        Error::new(ErrorKind::Read, format!("cannot be read any more{why}"))
            .in_file(&self.name)
            .hint("it was moved, changed or deleted after it was added: add it again")
    }
}

impl Source for BlobSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(past_end(self, offset, buf.len()));
        }
        if buf.len() >= AHEAD {
            return self.fetch(offset, buf);
        }
        let mut block = self.block.borrow_mut();
        let within = |(from, bytes): &(u64, Vec<u8>)| {
            let start = usize::try_from(offset.checked_sub(*from)?).ok()?;
            let end = start.checked_add(buf.len())?;
            (end <= bytes.len()).then_some(start..end)
        };
        let range = match within(&block) {
            Some(range) => range,
            None => {
                let mut bytes = vec![0; AHEAD.min((self.len - offset) as usize)];
                self.fetch(offset, &mut bytes)?;
                *block = (offset, bytes);
                0..buf.len()
            }
        };
        buf.copy_from_slice(&block.1[range]);
        Ok(())
    }
}

/// Why a file cannot be read, unless it is the usual: that it is gone or
/// changed, for which browsers have only long and vague words.
fn reason(thrown: &JsValue) -> String {
    let name = Reflect::get(thrown, &"name".into()).ok().and_then(|n| n.as_string());
    match name.as_deref() {
        Some("NotReadableError" | "NotFoundError") => String::new(),
        _ => format!(": {}", words(thrown).trim_end_matches('.')),
    }
}

/// What a JavaScript exception says.
fn words(thrown: &JsValue) -> String {
    let message = Reflect::get(thrown, &"message".into()).ok().and_then(|m| m.as_string());
    message.filter(|m| !m.is_empty()).unwrap_or_else(|| "the browser gives no reason".into())
}
