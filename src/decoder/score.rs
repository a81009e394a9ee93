//! Scoring: what a model thought of tokens that were there.

use super::config::Config;
use super::prefix::{Tree, added};
use super::{Model, TokenScore, head};
use crate::error::{Error, ErrorKind, Result};

/// A token to score.
struct Target {
    sequence: usize,
    /// The row that answers for it: that of the token before.
    row: usize,
    token: u32,
}

impl Model {
    /// Scores the tokens from index `start` (at least 1) of every sequence
    /// `(tokens, start)`; what sequences have in common at their beginning is
    /// computed once. `done` hears the number of tokens just processed.
    ///
    /// # Errors
    /// As [`Model::logits`]; [`ErrorKind::NotFinite`] where the model answers NaN.
    pub fn score(
        &self,
        sequences: &[(&[u32], usize)],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<TokenScore>>> {
        for (tokens, start) in sequences {
            self.check(tokens)?;
            if *start == 0 {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "the first token of a sequence cannot be scored",
                ));
            }
        }
        // Nothing comes after the last token, so its row is not needed.
        let read = |i: usize| {
            let (tokens, start) = sequences[i];
            if start < tokens.len() { &tokens[..tokens.len() - 1] } else { &[] }
        };
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|i| read(*i));
        let most = self.most();
        let mut results = vec![vec![]; sequences.len()];
        let mut rest = &order[..];
        while !rest.is_empty() {
            let (mut rows, mut before) = (0, &[][..]);
            let fits = |i: &&usize| {
                rows += added(before, read(**i));
                before = read(**i);
                rows <= most
            };
            let n = rest.iter().take_while(fits).count().max(1);
            let (group, others) = rest.split_at(n);
            rest = others;
            let tokens: Vec<&[u32]> = group.iter().map(|i| read(*i)).collect();
            let tree = Tree::new(&tokens);
            let mut targets: Vec<Target> = vec![];
            for (place, i) in group.iter().enumerate() {
                let (tokens, start) = sequences[*i];
                let rows = tree.rows(place, start - 1..read(*i).len());
                let each = rows.into_iter().zip(tokens.iter().skip(start));
                targets.extend(each.map(|(row, token)| Target {
                    sequence: *i,
                    row,
                    token: *token,
                }));
            }
            let total = group.iter().map(|i| sequences[*i].0.len()).sum();
            let mut work = Work::new(&self.config, tree.height(), targets.len(), total, done);
            let hidden = self.hidden(&tree.segments, None, &mut |rows| work.layer(rows))?;
            self.score_targets(&hidden, &targets, &mut results, &mut work)?;
            work.end();
        }
        Ok(results)
    }

    /// Scores `targets` by the `hidden` states of their rows, into their sequences' `results`.
    fn score_targets(
        &self,
        hidden: &[f32],
        targets: &[Target],
        results: &mut [Vec<TokenScore>],
        work: &mut Work<'_>,
    ) -> Result<()> {
        let width = self.config.embedding;
        for targets in targets.chunks(self.rows()) {
            let mut rows = Vec::with_capacity(targets.len() * width);
            for target in targets {
                rows.extend_from_slice(&hidden[target.row * width..(target.row + 1) * width]);
            }
            let tokens: Vec<u32> = targets.iter().map(|t| t.token).collect();
            let scores = head::score(&self.weights.head, &rows, &tokens)?;
            targets.iter().zip(scores).for_each(|(t, score)| results[t.sequence].push(score));
            work.head(targets.len());
        }
        Ok(())
    }
}

/// Tells of work in tokens, by the products that layers and head take.
pub(super) struct Work<'a> {
    /// Products of one row in one layer, and of one target in the head.
    layer: u64,
    head: u64,
    /// Products in all, and so far.
    all: u64,
    done: u64,
    /// Tokens in all, and told of.
    tokens: usize,
    told: usize,
    tell: &'a mut dyn FnMut(usize),
}

impl<'a> Work<'a> {
    /// Work of `rows` in every layer and `targets` in the head, `tokens` in all.
    pub(super) fn new(
        c: &Config,
        rows: usize,
        targets: usize,
        tokens: usize,
        tell: &'a mut dyn FnMut(usize),
    ) -> Self {
        let attention = 2 * c.q_width() + 2 * c.kv_width();
        let mlp = if c.gated { 3 } else { 2 } * c.intermediate;
        let layer = (c.hidden * (attention + mlp)) as u64;
        let head = (c.vocab * c.embedding) as u64;
        let all = (rows * c.layers) as u64 * layer + targets as u64 * head;
        Self { layer, head, all, done: 0, tokens, told: 0, tell }
    }

    /// So many rows passed a layer.
    pub(super) fn layer(&mut self, rows: usize) {
        self.add(rows as u64 * self.layer);
    }

    fn head(&mut self, targets: usize) {
        self.add(targets as u64 * self.head);
    }

    fn add(&mut self, products: u64) {
        self.done += products;
        let share = self.tokens as u128 * u128::from(self.done) / u128::from(self.all.max(1));
        self.upto(share as usize);
    }

    /// All of it is done.
    pub(super) fn end(&mut self) {
        self.upto(self.tokens);
    }

    fn upto(&mut self, tokens: usize) {
        let tokens = tokens.min(self.tokens);
        if tokens > self.told {
            (self.tell)(tokens - self.told);
            self.told = tokens;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::{Sampling, forward};
    use crate::formats::{Archive, CandidateFiles};
    use crate::source::FileSource;
    use std::path::Path;
    use std::rc::Rc;

    /// One of the fixtures, with at most `room` bytes of weights held.
    fn model(family: &str, room: u64) -> Model {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/fixtures/families/{family}/model.gguf"));
        let source = FileSource::open(&path, "model.gguf").unwrap();
        let files = CandidateFiles { label: "tiny".into(), files: vec![Rc::new(source)] };
        Model::load_within(&Archive::open(&files).unwrap(), room, &mut |_| {}).unwrap()
    }

    /// Prompts with a common beginning, each with two responses, and what is odd.
    fn sequences(vocab: u32) -> Vec<(Vec<u32>, usize)> {
        let tokens = |i: u32, n: u32| (0..n).map(move |j| (i * 31 + j * 17 + 3) % vocab);
        let mut all: Vec<(Vec<u32>, usize)> = vec![];
        for i in 0..6 {
            let prompt: Vec<u32> = tokens(0, 9).chain(tokens(i / 2, 4 + i)).collect();
            for j in 0..2 {
                let all_tokens = prompt.iter().copied().chain(tokens(7 + i * 2 + j, 3 + j * 5));
                all.push((all_tokens.collect(), prompt.len()));
            }
        }
        all.push(all[3].clone());
        all.push((all[3].0.clone(), 2));
        all.push((all[4].0.clone(), all[4].0.len()));
        all.push((vec![5], 1));
        all.push((vec![5, 6], 1));
        all
    }

    fn score(model: &Model, sequences: &[(Vec<u32>, usize)]) -> (Vec<Vec<TokenScore>>, usize) {
        let borrowed: Vec<(&[u32], usize)> = sequences.iter().map(|(t, s)| (&t[..], *s)).collect();
        let mut heard = 0;
        (model.score(&borrowed, &mut |n| heard += n).unwrap(), heard)
    }

    #[test]
    fn scores_are_the_same_alone_together_and_with_the_layers_in_the_file() {
        // Rotary positions, learned ones, penalties, and local layers.
        for family in ["llama", "gpt2", "bloom", "gemma3"] {
            let (held, stored) = (model(family, u64::MAX), model(family, 0));
            assert!(held.weights.held() && !stored.weights.held());
            let all = sequences(held.config.vocab as u32);
            let (together, heard) = score(&held, &all);
            assert_eq!(heard, all.iter().map(|(t, _)| t.len()).sum::<usize>());
            for (found, one) in together.iter().zip(&all) {
                assert_eq!(found.len(), one.0.len() - one.1);
                assert_eq!(*found, score(&held, std::slice::from_ref(one)).0[0], "{family}");
            }
            assert_eq!((together, heard), score(&stored, &all), "{family}");
            let mut tokens: Vec<&[u32]> = all[..12].iter().map(|(t, _)| &t[..]).collect();
            tokens.sort();
            let segments = Tree::new(&tokens).segments;
            let states = |limit| {
                let (config, weights) = (&held.config, &held.weights);
                forward::hidden(config, weights, &segments, None, limit, &mut |_| {}).unwrap()
            };
            assert_eq!(states(1000), states(5), "{family}");

            let prompts: Vec<Vec<u32>> =
                all.iter().filter(|(_, s)| *s > 1).map(|(t, s)| t[..*s].to_vec()).collect();
            let settings: Vec<Sampling> = (0..prompts.len() as u64)
                .map(|seed| Sampling { temperature: 1.0, top_p: 0.9, max_tokens: 6, seed })
                .collect();
            let written = |m: &Model, from: usize, to: usize| {
                let range = from..to;
                m.generate(&prompts[range.clone()], &settings[range], &|_| false, &mut |_| {})
                    .unwrap()
            };
            let together = written(&held, 0, prompts.len());
            for (i, found) in together.iter().enumerate() {
                assert_eq!(*found, written(&held, i, i + 1)[0], "{family}");
            }
            assert_eq!(together, written(&stored, 0, prompts.len()), "{family}");
        }
    }

    #[test]
    fn scores_are_those_of_all_logits() {
        let model = model("llama", u64::MAX);
        let (vocab, all) = (model.config.vocab, sequences(model.config.vocab as u32));
        for ((tokens, start), scores) in all.iter().zip(score(&model, &all).0) {
            let logits = model.logits(tokens).unwrap();
            for (i, score) in (*start..).zip(scores) {
                let row: Vec<f64> =
                    logits[(i - 1) * vocab..i * vocab].iter().map(|l| f64::from(*l)).collect();
                let sum: f64 = row.iter().map(|l| libm::exp(*l)).sum();
                let expected = row[tokens[i] as usize] - libm::log(sum);
                assert!((f64::from(score.logprob) - expected).abs() < 1e-5);
            }
        }
    }
}
