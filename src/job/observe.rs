//! The models at work: every candidate writes its own responses to the
//! samples' prompts, and scores the suspect's responses and everyone's own.
//!
//! One model is in memory at a time. On the way down the list each candidate
//! writes and scores what is there by then; on the way back up it scores what
//! those after it wrote.

use super::members::described;
use super::{Parameters, Progress};
use crate::decoder::{Model, Sampling};
use crate::encoder::is_encoder;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{CandidateScores, ResponseScore};
use crate::formats::{Archive, CandidateFiles};
use crate::report::Candidate;
use crate::samples::Sample;
use crate::tokenizer::{Pair, Tokenizer};

/// A candidate that went all the way.
pub struct Observed {
    /// Its place in the job's list.
    pub index: usize,
    /// What it is.
    pub about: Candidate,
    /// What it scored.
    pub scores: CandidateScores,
    /// Its own responses, by sample; `None` where it was not asked.
    pub own: Vec<Option<String>>,
}

/// The one model in memory.
struct Loaded {
    model: Model,
    tokenizer: Tokenizer,
}

/// A candidate at work.
struct Worker {
    index: usize,
    about: Candidate,
    archive: Archive,
    /// Its own responses, by sample; empty where it was not asked or said nothing.
    own: Vec<String>,
    /// The samples whose prompts it was asked.
    asked: Vec<usize>,
    suspect: Vec<Option<ResponseScore>>,
    /// By writer's place in the job's list.
    others: Vec<Vec<Option<ResponseScore>>>,
}

/// Lets all `candidates` work on `samples`; those that fail go to `problems`,
/// encoders among them unless told to skip these.
pub fn all(
    candidates: &[CandidateFiles],
    samples: &[Sample],
    parameters: &Parameters,
    skip_encoders: bool,
    problems: &mut Vec<Error>,
    progress: &mut dyn FnMut(&Progress),
) -> Vec<Observed> {
    let mut workers: Vec<Worker> = vec![];
    for (index, files) in candidates.iter().enumerate() {
        match Worker::open(index, files, candidates.len()) {
            Ok(worker) => workers.push(worker),
            Err(_) if skip_encoders && Archive::open(files).is_ok_and(|a| is_encoder(&a)) => {}
            Err(e) => problems.push(e.in_file(&files.label)),
        }
    }
    let mut desk = Desk::new(&workers, samples, parameters, progress);
    // Down the list: write, and score the suspect and everything written by then.
    let mut n = 0;
    while n < workers.len() {
        let (before, rest) = workers.split_at_mut(n);
        let worker = &mut rest[0];
        let result = desk.load(worker).and_then(|loaded| {
            desk.write(worker, &loaded)?;
            desk.score_suspect(worker, &loaded, problems)?;
            for writer in before.iter() {
                desk.score_own(worker, &loaded, writer.index, &writer.about.label, &writer.own)?;
            }
            let own = worker.own.clone();
            let (index, label) = (worker.index, worker.about.label.clone());
            desk.score_own(worker, &loaded, index, &label, &own)
        });
        match result {
            Ok(()) => n += 1,
            Err(e) => problems.push(e.in_file(workers.remove(n).about.label)),
        }
    }
    // Back up: the last has scored everything already.
    let mut i = workers.len().saturating_sub(1);
    while i > 0 {
        i -= 1;
        let (upto, after) = workers.split_at_mut(i + 1);
        let worker = &mut upto[i];
        let result = desk.load(worker).and_then(|loaded| {
            after
                .iter()
                .try_for_each(|w| desk.score_own(worker, &loaded, w.index, &w.about.label, &w.own))
        });
        if let Err(e) = result {
            problems.push(e.in_file(workers.remove(i).about.label));
        }
    }
    let kept: Vec<usize> = workers.iter().map(|w| w.index).collect();
    workers
        .into_iter()
        .map(|mut w| Observed {
            own: (0..samples.len())
                .map(|i| w.asked.contains(&i).then(|| w.own[i].clone()))
                .collect(),
            index: w.index,
            about: w.about,
            scores: CandidateScores {
                suspect: w.suspect,
                own: kept.iter().map(|d| std::mem::take(&mut w.others[*d])).collect(),
            },
        })
        .collect()
}

impl Worker {
    fn open(index: usize, files: &CandidateFiles, candidates: usize) -> Result<Self> {
        let archive = Archive::open(files)?;
        let config = crate::decoder::families::layout(&archive)?.config;
        // Opened to be checked; a large vocabulary is not worth holding until its turn.
        Tokenizer::open(&archive)?.check_fits(config.vocab)?;
        Ok(Self {
            index,
            about: described(&files.label, &archive, config.family, config.vocab, config.context),
            archive,
            own: vec![],
            asked: vec![],
            suspect: vec![],
            others: vec![vec![]; candidates],
        })
    }
}

/// What is the same for all candidates, and how far the work is.
struct Desk<'a> {
    samples: &'a [Sample],
    parameters: &'a Parameters,
    progress: &'a mut dyn FnMut(&Progress),
    /// Tokens processed.
    done: u64,
    /// Estimates of the passes still to come, the next last.
    ahead: Vec<u64>,
}

impl<'a> Desk<'a> {
    fn new(
        workers: &[Worker],
        samples: &'a [Sample],
        parameters: &'a Parameters,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        // A token is about four bytes; every pass over all samples costs prompt and response.
        let prompts: usize =
            samples.iter().map(|s| s.prompt.as_deref().map_or(0, str::len) / 4 + 1).sum();
        let responses: usize = samples.iter().map(|s| s.response.len() / 4 + 1).sum();
        let answered = parameters.own_responses.min(samples.len());
        let own = (prompts * answered / samples.len().max(1) + answered * parameters.max_new_tokens)
            as u64;
        let n = workers.len();
        let mut ahead = vec![];
        for i in 0..n {
            ahead.extend([own, (prompts + responses) as u64]);
            ahead.extend(vec![own; i + 1]);
        }
        ahead.extend(vec![own; n * n.saturating_sub(1) / 2]);
        ahead.reverse();
        Self { samples, parameters, progress, done: 0, ahead }
    }

    /// Reads a model's weights and vocabulary.
    fn load(&mut self, worker: &Worker) -> Result<Loaded> {
        let stage = format!("Loading {}", worker.about.label);
        let total: u64 = worker.archive.tensors.values().map(|t| t.bytes as u64).sum();
        let model = Model::load(&worker.archive, &mut |done| {
            (self.progress)(&Progress { stage: stage.clone(), done, total, unit: "bytes".into() });
        })?;
        Ok(Loaded { model, tokenizer: Tokenizer::open(&worker.archive)? })
    }

    /// Runs one pass, telling of every batch of tokens done.
    fn pass<T>(
        &mut self,
        stage: &str,
        work: impl FnOnce(&mut dyn FnMut(usize)) -> Result<T>,
    ) -> Result<T> {
        let (start, estimate) = (self.done, self.ahead.pop().unwrap_or(0));
        let ahead: u64 = self.ahead.iter().sum();
        let (done, progress) = (&mut self.done, &mut self.progress);
        let mut tell = |n: usize| {
            *done += n as u64;
            let total = (start + estimate).max(*done) + ahead;
            progress(&Progress { stage: stage.into(), done: *done, total, unit: "tokens".into() });
        };
        tell(0);
        work(&mut tell)
    }

    fn prompt(&self, i: usize) -> &'a str {
        self.samples[i].prompt.as_deref().unwrap_or("")
    }

    /// The candidate's own responses to the samples' prompts.
    fn write(&mut self, worker: &mut Worker, loaded: &Loaded) -> Result<()> {
        let context = loaded.model.config().context;
        let (mut prompts, mut sampling) = (vec![], vec![]);
        let n = self.parameters.own_responses.min(self.samples.len());
        let answered: Vec<usize> = (0..n).map(|k| k * self.samples.len() / n).collect();
        for i in answered.iter().copied() {
            let new = self.parameters.max_new_tokens;
            prompts.push(fitted(&loaded.tokenizer, self.prompt(i), context, new)?);
            sampling.push(Sampling {
                temperature: self.parameters.temperature,
                top_p: self.parameters.top_p,
                max_tokens: self.parameters.max_new_tokens,
                seed: stream(self.parameters.seed, worker.index, i),
            });
        }
        let stage = format!("{} writes its own responses", worker.about.label);
        let tokenizer = &loaded.tokenizer;
        let written = self.pass(&stage, |tell| {
            loaded.model.generate(&prompts, &sampling, &|t| tokenizer.is_end(t), tell)
        })?;
        worker.own = vec![String::new(); self.samples.len()];
        worker.asked.clone_from(&answered);
        for (i, tokens) in answered.into_iter().zip(&written) {
            worker.own[i] = loaded.tokenizer.continuation(tokens)?;
        }
        Ok(())
    }

    fn score_suspect(
        &mut self,
        worker: &mut Worker,
        loaded: &Loaded,
        problems: &mut Vec<Error>,
    ) -> Result<()> {
        let responses: Vec<&str> = self.samples.iter().map(|s| s.response.as_str()).collect();
        let stage = format!("{} scores the suspect", worker.about.label);
        let (scores, long) = self.score(loaded, &stage, &responses)?;
        if long > 0 {
            let context = loaded.model.config().context;
            problems.push(
                Error::new(
                    ErrorKind::Context,
                    format!(
                        "{long} samples are longer than this model's context of {context} tokens"
                    ),
                )
                .in_file(&worker.about.label)
                .hint("those samples do not count for any candidate; shorten them to use them"),
            );
        }
        worker.suspect = scores;
        Ok(())
    }

    fn score_own(
        &mut self,
        worker: &mut Worker,
        loaded: &Loaded,
        writer: usize,
        label: &str,
        own: &[String],
    ) -> Result<()> {
        let responses: Vec<&str> = own.iter().map(String::as_str).collect();
        let stage = format!("{} scores the responses of {label}", worker.about.label);
        worker.others[writer] = self.score(loaded, &stage, &responses)?.0;
        Ok(())
    }

    /// Scores one response per sample; empty and over-long ones are `None`,
    /// the second number counts the over-long.
    fn score(
        &mut self,
        loaded: &Loaded,
        stage: &str,
        responses: &[&str],
    ) -> Result<(Vec<Option<ResponseScore>>, usize)> {
        let (mut pairs, mut long) = (vec![], 0);
        for (i, response) in responses.iter().enumerate() {
            if response.is_empty() {
                continue;
            }
            let variants: Vec<(usize, Pair)> = loaded
                .tokenizer
                .pair_variants(self.prompt(i), response)?
                .into_iter()
                .map(|p| (i, p))
                .collect();
            if variants.iter().any(|(_, p)| p.tokens.len() > loaded.model.config().context) {
                long += 1;
                continue;
            }
            pairs.extend(variants);
        }
        let sequences: Vec<(&[u32], usize)> =
            pairs.iter().map(|(_, p)| (&p.tokens[..], p.start)).collect();
        let scored = self.pass(stage, |tell| loaded.model.score(&sequences, tell))?;
        let mut scores: Vec<Option<ResponseScore>> = vec![None; responses.len()];
        for ((i, pair), tokens) in pairs.into_iter().zip(scored) {
            let score = ResponseScore { bytes: responses[i].len(), tokens, spans: pair.spans };
            // Of the ways to read the join between prompt and response the likelier counts.
            let better =
                scores[i].as_ref().is_none_or(|s| s.log_likelihood() < score.log_likelihood());
            if better {
                scores[i] = Some(score);
            }
        }
        Ok((scores, long))
    }
}

/// A prompt's tokens, at most as many as leave room for `new` ones in the context.
pub(super) fn fitted(
    tokenizer: &Tokenizer,
    prompt: &str,
    context: usize,
    new: usize,
) -> Result<Vec<u32>> {
    let mut tokens = tokenizer.prompt(prompt)?;
    // A prompt that fills the context leaves no room to answer; its end is what counts.
    let room = context.saturating_sub(new).max(1);
    if tokens.len() > room {
        tokens.drain(..tokens.len() - room);
    }
    Ok(tokens)
}

/// An independent seed for each candidate and prompt (SplitMix64's finaliser).
pub(super) fn stream(seed: u64, candidate: usize, prompt: usize) -> u64 {
    let mut z = seed ^ ((candidate as u64 + 1) << 32) ^ (prompt as u64 + 1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
