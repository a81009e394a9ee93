//! What tests on a running model ask of it: the likeliest next tokens, its mean
//! hidden state, and many short completions of one prompt.

use super::forward::{Cache, Segment};
use super::generate::{Sampler, likeliest};
use super::score::Work;
use super::{CACHED, Model, Sampling, WORKING, head, retain};
use crate::error::{Error, ErrorKind, Result};

impl Model {
    /// The likeliest token after each prompt, the first of equals; `done` hears
    /// the number of tokens just processed.
    ///
    /// # Errors
    /// As [`Model::score`]; an empty prompt has no last position.
    pub fn next(&self, prompts: &[Vec<u32>], done: &mut dyn FnMut(usize)) -> Result<Vec<u32>> {
        let width = self.config.embedding;
        let mut last = Vec::with_capacity(prompts.len() * width);
        self.states(prompts, done, &mut |rows| {
            last.extend_from_slice(&rows[rows.len() - width..]);
        })?;
        let rows = (WORKING / self.config.vocab.max(1)).clamp(1, 64);
        let mut tokens = Vec::with_capacity(prompts.len());
        for rows in last.chunks(rows * width) {
            for logits in head::logits(&self.weights.head, rows)?.chunks_exact(self.config.vocab) {
                if logits.iter().any(|l| l.is_nan()) {
                    return Err(not_finite());
                }
                tokens.push(likeliest(logits) as u32);
            }
        }
        Ok(tokens)
    }

    /// The mean of the last hidden state, as the head sees it, over all positions
    /// of all sequences: one value for each dimension of the embedding.
    ///
    /// # Errors
    /// As [`Model::next`].
    pub fn mean_hidden(
        &self,
        sequences: &[Vec<u32>],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>> {
        let width = self.config.embedding;
        let (mut sums, mut count) = (vec![0.0_f64; width], 0);
        self.states(sequences, done, &mut |rows| {
            for row in rows.chunks_exact(width) {
                count += 1;
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
            }
        })?;
        if sums.iter().any(|v| !v.is_finite()) {
            return Err(not_finite());
        }
        Ok(sums.iter().map(|sum| sum / f64::from(count.max(1))).collect())
    }

    /// `count` continuations of one prompt, which is read once. The `i`th draws
    /// from its own stream, seeded by `sampling.seed + i`, and stops where `enough`
    /// holds of its tokens, at an end (not included), at the cap or at the context's end.
    ///
    /// # Errors
    /// As [`Model::next`].
    pub fn completions(
        &self,
        prompt: &[u32],
        count: usize,
        sampling: &Sampling,
        is_end: &dyn Fn(u32) -> bool,
        enough: &dyn Fn(&[u32]) -> bool,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<u32>>> {
        self.readable(prompt)?;
        let width = self.config.embedding;
        let mut read = [Cache::new(&self.config)];
        let last = self.hidden(&[Segment::alone(prompt)], Some(&mut read), &mut |_| {})?;
        done(prompt.len());
        let first = head::logits(&self.weights.head, &last[last.len() - width..])?;
        if first.iter().any(|l| l.is_nan()) {
            return Err(not_finite());
        }
        let [read] = read;
        let held =
            (prompt.len() + sampling.max_tokens) * 2 * self.config.layers * self.config.kv_width();
        let together = (self.room(CACHED) / held.max(1)).clamp(1, self.rows());
        let mut written: Vec<Vec<u32>> = vec![vec![]; count];
        for from in (0..count).step_by(together) {
            let to = (from + together).min(count);
            let settings: Vec<Sampling> = (from..to)
                .map(|i| Sampling {
                    seed: sampling.seed.wrapping_add(i as u64),
                    ..sampling.clone()
                })
                .collect();
            let mut live: Vec<usize> = (from..to).collect();
            let mut samplers: Vec<Sampler<'_>> = settings.iter().map(Sampler::new).collect();
            let mut caches = vec![read.clone(); live.len()];
            let mut logits = first.repeat(live.len());
            while !live.is_empty() {
                let (mut steps, mut keep) = (vec![], vec![]);
                for (slot, row) in logits.chunks_exact(self.config.vocab).enumerate() {
                    let text = &mut written[live[slot]];
                    let room = text.len() < sampling.max_tokens;
                    let token = room.then(|| samplers[slot].draw(row)).filter(|t| !is_end(*t));
                    text.extend(token);
                    let more = text.len() < sampling.max_tokens
                        && caches[slot].len() < self.config.context
                        && !enough(text);
                    keep.push(token.is_some() && more);
                    steps.extend(token.filter(|_| more).map(|t| [t]));
                }
                retain(&mut live, |slot| keep[slot]);
                retain(&mut caches, |slot| keep[slot]);
                retain(&mut samplers, |slot| keep[slot]);
                if live.is_empty() {
                    break;
                }
                let steps: Vec<Segment<'_>> = steps.iter().map(|s| Segment::alone(s)).collect();
                let last = self.hidden(&steps, Some(&mut caches), &mut |_| {})?;
                logits = head::logits(&self.weights.head, &last)?;
                done(steps.len());
            }
        }
        Ok(written)
    }

    /// Runs the sequences in batches; `each` sees the hidden states of one sequence
    /// after another (length × embedding width).
    fn states(
        &self,
        sequences: &[Vec<u32>],
        done: &mut dyn FnMut(usize),
        each: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        for sequence in sequences {
            self.readable(sequence)?;
        }
        let width = self.config.embedding;
        let most = self.most();
        let mut rest = sequences;
        while !rest.is_empty() {
            let mut rows = 0;
            let fits = |s: &&Vec<u32>| {
                rows += s.len();
                rows <= most
            };
            let (group, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = others;
            let segments: Vec<Segment<'_>> = group.iter().map(|s| Segment::alone(s)).collect();
            let total = group.iter().map(Vec::len).sum();
            let mut work = Work::new(&self.config, total, 0, total, done);
            let hidden = self.hidden(&segments, None, &mut |rows| work.layer(rows))?;
            work.end();
            let mut at = 0;
            for sequence in group {
                each(&hidden[at * width..(at + sequence.len()) * width]);
                at += sequence.len();
            }
        }
        Ok(())
    }

    /// Whether there is something to read, and all of it is within the model's bounds.
    pub(super) fn readable(&self, tokens: &[u32]) -> Result<()> {
        self.check(tokens)?;
        if tokens.is_empty() {
            return Err(Error::new(ErrorKind::Internal, "an empty prompt cannot be continued"));
        }
        Ok(())
    }
}

fn not_finite() -> Error {
    Error::new(ErrorKind::NotFinite, "the model's output is not a number")
        .hint("its weights are damaged, or its arithmetic overflows in 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Archive, CandidateFiles};
    use crate::source::FileSource;
    use std::path::Path;
    use std::rc::Rc;

    fn model() -> Model {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/llama/model.gguf");
        let source = FileSource::open(&path, "model.gguf").unwrap();
        let files = CandidateFiles { label: "tiny".into(), files: vec![Rc::new(source)] };
        Model::load(&Archive::open(&files).unwrap(), &mut |_| {}).unwrap()
    }

    fn sequences(model: &Model) -> Vec<Vec<u32>> {
        let vocab = model.config().vocab as u32;
        let tokens = |i: u32, n: u32| (0..n).map(|j| (i * 31 + j * 17 + 3) % vocab).collect();
        (0..90).map(|i| tokens(i, 1 + i % 13)).collect()
    }

    #[test]
    fn next_tokens_and_mean_states_follow_from_all_logits() {
        let model = model();
        let (vocab, sequences) = (model.config().vocab, sequences(&model));
        let mut heard = 0;
        let next = model.next(&sequences, &mut |n| heard += n).unwrap();
        assert_eq!(heard, sequences.iter().map(Vec::len).sum::<usize>());
        let (mut mean, mut rows) = (vec![0.0_f64; vocab], 0.0);
        for (tokens, next) in sequences.iter().zip(next) {
            let logits = model.logits(tokens).unwrap();
            assert_eq!(next as usize, likeliest(&logits[logits.len() - vocab..]));
            for row in logits.chunks(vocab) {
                rows += 1.0;
                mean.iter_mut().zip(row).for_each(|(m, l)| *m += f64::from(*l));
            }
        }
        // The head is linear, so the mean state has the mean logits.
        let state = model.mean_hidden(&sequences, &mut |_| {}).unwrap();
        let state: Vec<f32> = state.iter().map(|v| *v as f32).collect();
        for (got, want) in head::logits(&model.weights.head, &state).unwrap().iter().zip(mean) {
            assert!((f64::from(*got) - want / rows).abs() < 1e-4, "{got} {}", want / rows);
        }
        assert!(model.next(&[vec![]], &mut |_| {}).is_err());
        assert!(model.next(&[vec![vocab as u32]], &mut |_| {}).is_err());
    }

    #[test]
    fn completions_are_what_generation_writes_by_the_same_seeds() {
        let model = model();
        let prompt: Vec<u32> = vec![1, 17, 40];
        let s = Sampling { temperature: 1.0, top_p: 1.0, max_tokens: 5, seed: 70 };
        let end = |t: u32| t.is_multiple_of(9);
        let got = model.completions(&prompt, 12, &s, &end, &|_| false, &mut |_| {}).unwrap();
        let settings: Vec<Sampling> =
            (0..12).map(|i| Sampling { seed: 70 + i, ..s.clone() }).collect();
        let want = model.generate(&vec![prompt.clone(); 12], &settings, &end, &mut |_| {}).unwrap();
        assert_eq!(got, want);
        assert!(got.iter().any(|t| t.len() < 5) && got.iter().any(|t| t.len() == 5));
        let short =
            model.completions(&prompt, 12, &s, &end, &|t| t.len() > 1, &mut |_| {}).unwrap();
        for (short, long) in short.iter().zip(&want) {
            assert_eq!(short[..], long[..long.len().min(2)]);
        }
    }
}
