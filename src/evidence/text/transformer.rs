//! The paper's transformer classifier: an encoder, dropout and a linear layer,
//! trained by cross-entropy (section 4).

use super::examples::{Input, Task};
use super::training::{Body, Head, Mode, Steps, Training, dropout, embedded, finite, fit};
use super::{Corpus, Setup, Table, Tell, TextMethod, training};
use crate::encoder::Encoder;
use crate::error::Result;
use candle_core::{D, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// A classifier on an encoder.
pub struct Transformer {
    /// What reads the text.
    pub encoder: Arc<Encoder>,
    /// How it is trained.
    pub training: Training,
}

impl TextMethod for Transformer {
    fn name(&self) -> &'static str {
        "transformer"
    }

    fn about(&self) -> &'static str {
        "Mean log-odds that the response is the candidate's rather than another's, by a classifier on a BERT encoder (dropout, linear layer, cross-entropy)."
    }

    fn baseline(&self) -> bool {
        false
    }

    fn learns(&self) -> bool {
        true
    }

    fn tables(&self, corpus: &Corpus, setup: &Setup, tell: Tell<'_>) -> Result<Vec<Table>> {
        Ok(self.trained(corpus, setup, tell)?.0)
    }

    fn trained(
        &self,
        corpus: &Corpus,
        setup: &Setup,
        tell: Tell<'_>,
    ) -> Result<(Vec<Table>, String)> {
        let work = |task: &Task<'_>| Body::work(&self.training, task.learn.len(), task.judge.len());
        training::every_task(&self.training, corpus, setup, tell, work, |task, rng, steps| {
            self.judge(task, rng, steps)
        })
    }
}

impl Transformer {
    /// The log-odds of what `task` judges, and the loss of every epoch.
    pub(super) fn judge(
        &self,
        task: &Task<'_>,
        rng: &mut ChaCha8Rng,
        steps: &mut Steps<'_>,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let (classes, n) = (&task.learn, task.learn.len());
        let inputs: Vec<&Input<'_>> =
            classes.iter().map(|(i, _)| i).chain(task.judge.iter().map(|(_, _, i)| i)).collect();
        let body = self.body(&inputs, n, steps)?;
        let head = Head::new(body.width()?, 2, rng)?;
        let positive = classes.iter().filter(|(_, class)| *class).count();
        // Both classes weigh the same, whatever their numbers.
        let weight = |class: bool| {
            n as f32 / (2 * if class { positive } else { n - positive }).max(1) as f32
        };
        let vars = [body.vars(), head.vars()].concat();
        let work = Body::work(&self.training, 1, 0) / self.training.epochs as u64;
        let losses = fit(
            &self.training,
            vars,
            n,
            rng,
            &mut |examples| {
                let frozen = self.training.mode == Mode::Frozen;
                steps.done(if frozen { 1 } else { work * examples as u64 });
            },
            |batch, rng| {
                let logits = head.apply(&dropout(&body.rows(batch)?, rng)?)?;
                let target: Vec<f32> = batch
                    .iter()
                    .flat_map(|i| {
                        let w = weight(classes[*i].1) / batch.len() as f32;
                        if classes[*i].1 { [0.0, w] } else { [w, 0.0] }
                    })
                    .collect();
                let target = Tensor::from_vec(target, (batch.len(), 2), &Device::Cpu)?;
                let logs = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
                Ok((logs * target)?.sum_all()?.neg()?)
            },
        )?;
        let mut odds = vec![];
        let judged: Vec<usize> = (n..inputs.len()).collect();
        for batch in judged.chunks(self.training.batch) {
            let logits = head.apply(&body.plain(batch)?)?.to_vec2::<f32>()?;
            odds.extend(logits.iter().map(|l| f64::from(l[1]) - f64::from(l[0])));
            if self.training.mode == Mode::Whole {
                steps.done(Body::work(&self.training, 0, batch.len()));
            }
        }
        Ok((finite(odds)?, losses))
    }

    /// Whole, an encoder reads "before \[SEP] response". Frozen, it was never
    /// taught to compare what stands so, and would have to read every response
    /// once for each candidate; so the two responses of a pair are read apart,
    /// and the head sees both vectors, their distance and their product
    /// (Conneau et al., "Supervised Learning of Universal Sentence
    /// Representations", 2017).
    fn body(&self, inputs: &[&Input<'_>], learnt: usize, steps: &mut Steps<'_>) -> Result<Body> {
        let max = self.training.max_tokens;
        let texts: Vec<(Option<&str>, &str)> =
            inputs.iter().map(|i| (i.before, i.response)).collect();
        if self.training.mode == Mode::Whole {
            return Body::whole(&self.encoder, &texts, max);
        }
        let rows = if inputs.iter().any(|i| i.pair) {
            let first: Vec<_> = inputs.iter().map(|i| (None, i.before.unwrap_or(""))).collect();
            let second: Vec<_> = inputs.iter().map(|i| (None, i.response)).collect();
            let first = embedded(&self.encoder, &first, max, steps)?;
            let second = embedded(&self.encoder, &second, max, steps)?;
            let both = first.into_iter().zip(second);
            let row = |(a, b): (Vec<f32>, Vec<f32>)| {
                let apart: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).collect();
                let product: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
                [a, b, apart, product].concat()
            };
            both.map(row).collect()
        } else {
            embedded(&self.encoder, &texts, max, steps)?
        };
        Body::frozen(rows, &(0..learnt).collect::<Vec<_>>())
    }
}
