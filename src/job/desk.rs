//! One candidate at its desk: it writes responses and scores texts. What the
//! memo holds is not computed again, and a model that has nothing to compute is
//! not loaded.

use super::Progress;
use super::members::described;
use super::memo::{Memo, ModelId};
use super::observe::Task;
use crate::decoder::{Model, Sampling, TokenScore};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::ResponseScore;
use crate::formats::{Archive, CandidateFiles};
use crate::report::Candidate;
use crate::tokenizer::{Pair, Tokenizer};

/// The one model in memory, once something is asked of it.
pub struct Loaded<'a> {
    worker: &'a Worker,
    id: Option<ModelId>,
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
            ahead.extend([own as u64, ((prompts + responses) / parts) as u64]);
            ahead.extend(vec![own as u64; i + 1]);
        }
        ahead.extend(vec![own as u64; n * n.saturating_sub(1) / 2]);
        ahead.reverse();
        Self { task, memo, progress, done: 0, ahead }
    }

    /// Reads a model's vocabulary; its weights wait until they are needed.
    pub fn open<'w>(&self, worker: &'w Worker) -> Result<Loaded<'w>> {
        Ok(Loaded {
            worker,
            id: self.task.ids.get(worker.index).copied().flatten(),
            tokenizer: Tokenizer::open(&worker.archive)?,
            model: None,
        })
    }

    /// The model, read where it was not yet.
    fn model<'l>(&mut self, loaded: &'l mut Loaded<'_>) -> Result<&'l Model> {
        let archive = &loaded.worker.archive;
        let model = match loaded.model.take() {
            Some(model) => model,
            None => {
                let stage = format!("Loading {}", loaded.worker.about.label);
                let total: u64 = archive.tensors.values().map(|t| t.bytes as u64).sum();
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
        for i in answered.iter().copied() {
            let (context, new) = (worker.about.context, parameters.max_new_tokens);
            prompts.push(fitted(&loaded.tokenizer, self.prompt(i), context, new)?);
            sampling.push(Sampling {
                temperature: parameters.temperature,
                top_p: parameters.top_p,
                max_tokens: new,
                seed: stream(parameters.seed, worker.index, i),
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

    pub fn score_suspect(
        &mut self,
        results: &mut Results,
        loaded: &mut Loaded<'_>,
        problems: &mut Vec<Error>,
    ) -> Result<()> {
        let responses: Vec<&str> = self.task.samples.iter().map(|s| s.response.as_str()).collect();
        let about = &loaded.worker.about;
        let stage = format!("{} scores the suspect", about.label);
        let (scores, long) = self.score(loaded, &stage, &responses)?;
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
        results.suspect = scores;
        Ok(())
    }

    pub fn score_own(
        &mut self,
        results: &mut Results,
        loaded: &mut Loaded<'_>,
        writer: &Worker,
        own: &[String],
    ) -> Result<()> {
        let responses: Vec<&str> = own.iter().map(String::as_str).collect();
        let stage =
            format!("{} scores the responses of {}", loaded.worker.about.label, writer.about.label);
        results.others[writer.index] = self.score(loaded, &stage, &responses)?.0;
        Ok(())
    }

    /// Scores one response per sample; empty and over-long ones and those of
    /// other shares are `None`, the second number counts the over-long.
    fn score(
        &mut self,
        loaded: &mut Loaded<'_>,
        stage: &str,
        responses: &[&str],
    ) -> Result<(Vec<Option<ResponseScore>>, usize)> {
        let context = loaded.worker.about.context;
        let (mut pairs, mut long) = (vec![], 0);
        for (i, response) in responses.iter().enumerate() {
            if response.is_empty() || !self.task.share.has(i) {
                continue;
            }
            let variants: Vec<(usize, Pair)> = loaded
                .tokenizer
                .pair_variants(self.prompt(i), response)?
                .into_iter()
                .map(|p| (i, p))
                .collect();
            if variants.iter().any(|(_, p)| p.tokens.len() > context) {
                long += 1;
                continue;
            }
            pairs.extend(variants);
        }
        let sequences: Vec<(&[u32], usize)> =
            pairs.iter().map(|(_, p)| (&p.tokens[..], p.start)).collect();
        let scored = self.scores(loaded, stage, &sequences)?;
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

/// An independent seed for each candidate and prompt (SplitMix64's finaliser).
pub(super) fn stream(seed: u64, candidate: usize, prompt: usize) -> u64 {
    let mut z = seed ^ ((candidate as u64 + 1) << 32) ^ (prompt as u64 + 1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
