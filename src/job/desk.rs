//! One candidate at its desk: it writes responses and scores texts. What the
//! memo holds is not computed again, and a model that has nothing to compute is
//! not loaded.

use super::members::described;
use super::memo::{Memo, ModelId};
use super::observe::Task;
use super::{MODEL_MEMORY, Progress};
use crate::decoder::{Model, Sampling, TokenScore};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::ResponseScore;
use crate::formats::{Archive, CandidateFiles};
use crate::report::Candidate;
use crate::samples::Sample;
use crate::tokenizer::{Pair, Tokenizer};
use std::collections::HashMap;

/// The model at work, in memory once something is asked of it.
pub struct Loaded<'a> {
    worker: &'a Worker,
    id: Option<ModelId>,
    tokenizer: Tokenizer,
    model: Option<Model>,
}

/// A model put by for its second turn.
struct Kept {
    /// Its place in the job's list.
    index: usize,
    tokenizer: Tokenizer,
    model: Option<Model>,
}

/// A candidate at work.
pub struct Worker {
    pub index: usize,
    pub about: Candidate,
    pub archive: Archive,
}

/// What a candidate wrote and scored.
pub struct Results {
    /// Its own responses, by sample; empty where it was not asked or said nothing.
    pub own: Vec<String>,
    /// The samples whose prompts it was asked.
    pub asked: Vec<usize>,
    pub suspect: Vec<Option<ResponseScore>>,
    /// By writer's place in the job's list.
    pub others: Vec<Vec<Option<ResponseScore>>>,
}

impl Results {
    pub fn new(candidates: usize) -> Self {
        Self { own: vec![], asked: vec![], suspect: vec![], others: vec![vec![]; candidates] }
    }
}

impl Worker {
    pub fn open(index: usize, files: &CandidateFiles) -> Result<Self> {
        let archive = Archive::open(files)?;
        let config = crate::decoder::families::layout(&archive)?.config;
        // Opened to be checked; a large vocabulary is not worth holding until its turn.
        Tokenizer::open(&archive)?.check_fits(config.vocab)?;
        Ok(Self {
            index,
            about: described(&files.label, &archive, config.family, config.vocab, config.context),
            archive,
        })
    }
}

/// What is the same for all candidates, and how far the work is.
pub struct Desk<'a> {
    task: &'a Task<'a>,
    memo: &'a mut Memo,
    progress: &'a mut dyn FnMut(&Progress),
    /// Tokens processed.
    done: u64,
    /// Estimates of the passes still to come, the next last.
    ahead: Vec<u64>,
    /// By sample: how many before it have its prompt.
    repeats: Vec<u64>,
    kept: Vec<Kept>,
    /// Bytes of models that may still be put by.
    room: u64,
}

impl<'a> Desk<'a> {
    pub fn new(
        n: usize,
        task: &'a Task<'a>,
        memo: &'a mut Memo,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        // A token is about four bytes; every pass over all samples costs prompt and response.
        let (samples, parts) = (task.samples, task.share.of.max(1));
        let prompts: usize =
            samples.iter().map(|s| s.prompt.as_deref().map_or(0, str::len) / 4 + 1).sum();
        let responses: usize = samples.iter().map(|s| s.response.len() / 4 + 1).sum();
        let answered = task.parameters.own_responses.min(samples.len());
        let own = (prompts * answered / samples.len().max(1)
            + answered * task.parameters.max_new_tokens)
            / parts;
        let mut ahead = vec![];
        for i in 0..n {
            let scored = (prompts + responses) / parts + (i + 1) * own;
            ahead.extend([own as u64, scored as u64]);
        }
        ahead.extend((1..n).map(|after| (after * own) as u64));
        ahead.reverse();
        let mut seen: HashMap<&str, u64> = HashMap::new();
        let repeat = |s: &'a Sample| {
            let before = seen.entry(s.prompt.as_deref().unwrap_or("")).or_default();
            *before += 1;
            *before - 1
        };
        let repeats = samples.iter().map(repeat).collect();
        let room = MODEL_MEMORY / parts as u64;
        Self { task, memo, progress, done: 0, ahead, repeats, kept: vec![], room }
    }

    /// Reads a model's vocabulary; its weights wait until they are needed.
    pub fn open<'w>(&mut self, worker: &'w Worker) -> Result<Loaded<'w>> {
        let id = self.task.ids.get(worker.index).copied().flatten();
        if let Some(i) = self.kept.iter().position(|k| k.index == worker.index) {
            let Kept { tokenizer, model, .. } = self.kept.swap_remove(i);
            return Ok(Loaded { worker, id, tokenizer, model });
        }
        Ok(Loaded { worker, id, tokenizer: Tokenizer::open(&worker.archive)?, model: None })
    }

    /// Puts a model by for its second turn, where there is room beside the
    /// largest that may come.
    pub fn keep(&mut self, loaded: Loaded<'_>) {
        let Loaded { worker, tokenizer, model, .. } = loaded;
        let bytes = model.as_ref().map_or(0, |_| worker.archive.bytes());
        let largest = self.task.candidates.iter().map(|c| c.files.iter().map(|f| f.len()).sum());
        let free = self.room.saturating_sub(largest.max().unwrap_or(0));
        if bytes <= free {
            self.room -= bytes;
            self.kept.push(Kept { index: worker.index, tokenizer, model });
        }
    }

    /// The model, read where it was not yet.
    fn model<'l>(&mut self, loaded: &'l mut Loaded<'_>) -> Result<&'l Model> {
        let archive = &loaded.worker.archive;
        let model = match loaded.model.take() {
            Some(model) => model,
            None => {
                let stage = format!("Loading {}", loaded.worker.about.label);
                let total = archive.bytes();
                let progress = &mut self.progress;
                Model::load(archive, &mut |done| {
                    progress(&Progress { stage: stage.clone(), done, total, unit: "bytes".into() });
                })?
            }
        };
        Ok(loaded.model.insert(model))
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
        self.task.samples[i].prompt.as_deref().unwrap_or("")
    }

    /// The candidate's own responses to the samples' prompts.
    pub fn write(&mut self, results: &mut Results, loaded: &mut Loaded<'_>) -> Result<()> {
        let (task, worker) = (self.task, loaded.worker);
        let (samples, parameters) = (task.samples.len(), task.parameters);
        let (mut prompts, mut sampling) = (vec![], vec![]);
        let n = parameters.own_responses.min(samples);
        let answered: Vec<usize> =
            (0..n).map(|k| k * samples / n).filter(|i| task.share.has(*i)).collect();
        // A model whose files cannot be read has no hash; its label tells it apart.
        let named = ModelId::new(vec![worker.about.label.clone()]);
        let id = loaded.id.unwrap_or(named);
        for i in answered.iter().copied() {
            let (context, new) = (worker.about.context, parameters.max_new_tokens);
            prompts.push(fitted(&loaded.tokenizer, self.prompt(i), context, new)?);
            sampling.push(Sampling {
                temperature: parameters.temperature,
                top_p: parameters.top_p,
                max_tokens: new,
                seed: id.seed(parameters.seed, self.prompt(i), self.repeats[i]),
            });
        }
        let stage = format!("{} writes its own responses", worker.about.label);
        let written = self.continuations(loaded, &stage, &prompts, &sampling)?;
        results.own = vec![String::new(); samples];
        results.asked.clone_from(&answered);
        for (i, tokens) in answered.into_iter().zip(&written) {
            results.own[i] = loaded.tokenizer.continuation(tokens)?;
        }
        Ok(())
    }

    /// Scores the suspect's responses and those of the candidates that `writers`
    /// names with what they wrote. All at once: those to one prompt share it.
    pub fn score_all(
        &mut self,
        results: &mut Results,
        loaded: &mut Loaded<'_>,
        writers: &[(usize, &[String])],
        problems: &mut Vec<Error>,
    ) -> Result<()> {
        let suspect: Vec<&str> = self.task.samples.iter().map(|s| s.response.as_str()).collect();
        let about = &loaded.worker.about;
        let stage = format!("{} scores all responses", about.label);
        let texts = writers.iter().map(|(_, own)| own.iter().map(String::as_str).collect());
        let texts: Vec<Vec<&str>> = std::iter::once(suspect).chain(texts).collect();
        let mut scored = self.score(loaded, &stage, &texts)?.into_iter();
        let (scores, long) = scored.next().unwrap_or_default();
        results.suspect = scores;
        for ((writer, _), (scores, _)) in writers.iter().zip(scored) {
            results.others[*writer] = scores;
        }
        if long > 0 {
            let context = about.context;
            problems.push(
                Error::new(
                    ErrorKind::Context,
                    format!(
                        "{long} samples are longer than this model's context of {context} tokens"
                    ),
                )
                .in_file(&about.label)
                .hint("those samples do not count for any candidate; shorten them to use them"),
            );
        }
        Ok(())
    }

    /// Scores what the candidates after this one wrote.
    pub fn score_later(
        &mut self,
        results: &mut Results,
        loaded: &mut Loaded<'_>,
        writers: &[(usize, &[String])],
    ) -> Result<()> {
        let stage = format!("{} scores the others' responses", loaded.worker.about.label);
        let texts: Vec<Vec<&str>> =
            writers.iter().map(|(_, own)| own.iter().map(String::as_str).collect()).collect();
        for ((writer, _), (scores, _)) in writers.iter().zip(self.score(loaded, &stage, &texts)?) {
            results.others[*writer] = scores;
        }
        Ok(())
    }

    /// Scores texts of one response per sample; empty and over-long ones and those of
    /// other shares are `None`, the second number counts the over-long.
    fn score(
        &mut self,
        loaded: &mut Loaded<'_>,
        stage: &str,
        texts: &[Vec<&str>],
    ) -> Result<Vec<(Vec<Option<ResponseScore>>, usize)>> {
        let context = loaded.worker.about.context;
        let mut results: Vec<(Vec<Option<ResponseScore>>, usize)> =
            texts.iter().map(|responses| (vec![None; responses.len()], 0)).collect();
        let mut pairs: Vec<(usize, usize, Pair)> = vec![];
        for (text, responses) in texts.iter().enumerate() {
            for (i, response) in responses.iter().enumerate() {
                if response.is_empty() || !self.task.share.has(i) {
                    continue;
                }
                let variants = loaded.tokenizer.pair_variants(self.prompt(i), response)?;
                if variants.iter().any(|p| p.tokens.len() > context) {
                    results[text].1 += 1;
                    continue;
                }
                pairs.extend(variants.into_iter().map(|p| (text, i, p)));
            }
        }
        let sequences: Vec<(&[u32], usize)> =
            pairs.iter().map(|(.., p)| (&p.tokens[..], p.start)).collect();
        let scored = self.scores(loaded, stage, &sequences)?;
        for ((text, i, pair), tokens) in pairs.into_iter().zip(scored) {
            let score = ResponseScore { bytes: texts[text][i].len(), tokens, spans: pair.spans };
            let place = &mut results[text].0[i];
            // Of the ways to read the join between prompt and response the likelier counts.
            if place.as_ref().is_none_or(|s| s.log_likelihood() < score.log_likelihood()) {
                *place = Some(score);
            }
        }
        Ok(results)
    }

    /// [`Model::score`] of what the memo does not hold.
    fn scores(
        &mut self,
        loaded: &mut Loaded<'_>,
        stage: &str,
        sequences: &[(&[u32], usize)],
    ) -> Result<Vec<Vec<TokenScore>>> {
        let key = |i: usize| loaded.id.map(|id| id.scores(sequences[i].0, sequences[i].1));
        let keys: Vec<_> = (0..sequences.len()).map(key).collect();
        let held = |i: &usize| keys[*i].as_ref().and_then(|k| self.memo.scores(k));
        let mut scores: Vec<Option<Vec<TokenScore>>> =
            (0..sequences.len()).map(|i| held(&i).map(<[_]>::to_vec)).collect();
        let missing: Vec<usize> = (0..sequences.len()).filter(|i| scores[*i].is_none()).collect();
        let wanted: Vec<_> = missing.iter().map(|i| sequences[*i]).collect();
        let model = if wanted.is_empty() { None } else { Some(self.model(loaded)?) };
        let fresh =
            self.pass(stage, |tell| model.map_or(Ok(vec![]), |m| m.score(&wanted, tell)))?;
        for (i, fresh) in missing.into_iter().zip(fresh) {
            if let Some(key) = keys[i] {
                self.memo.keep_scores(key, fresh.clone());
            }
            scores[i] = Some(fresh);
        }
        Ok(scores.into_iter().flatten().collect())
    }

    /// [`Model::generate`] of what the memo does not hold.
    fn continuations(
        &mut self,
        loaded: &mut Loaded<'_>,
        stage: &str,
        prompts: &[Vec<u32>],
        sampling: &[Sampling],
    ) -> Result<Vec<Vec<u32>>> {
        let key = |i: usize| loaded.id.map(|id| id.continuation(&prompts[i], &sampling[i]));
        let keys: Vec<_> = (0..prompts.len()).map(key).collect();
        let held = |i: &usize| keys[*i].as_ref().and_then(|k| self.memo.tokens(k));
        let mut written: Vec<Option<Vec<u32>>> =
            (0..prompts.len()).map(|i| held(&i).map(<[_]>::to_vec)).collect();
        let missing: Vec<usize> = (0..prompts.len()).filter(|i| written[*i].is_none()).collect();
        let asked: Vec<Vec<u32>> = missing.iter().map(|i| prompts[*i].clone()).collect();
        let settings: Vec<Sampling> = missing.iter().map(|i| sampling[*i].clone()).collect();
        if !asked.is_empty() {
            self.model(loaded)?;
        }
        let (tokenizer, model) = (&loaded.tokenizer, loaded.model.as_ref());
        let fresh = self.pass(stage, |tell| match model {
            Some(model) => model.generate(&asked, &settings, &|t| tokenizer.is_end(t), tell),
            None => Ok(vec![]),
        })?;
        for (i, fresh) in missing.into_iter().zip(fresh) {
            if let Some(key) = keys[i] {
                self.memo.keep_tokens(key, fresh.clone());
            }
            written[i] = Some(fresh);
        }
        Ok(written.into_iter().flatten().collect())
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
