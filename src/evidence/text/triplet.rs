//! The paper's triplet network: an encoder and a projection, trained so that a
//! candidate's responses lie closer to each other than to anyone else's, by a
//! margin (section 4).
//!
//! Distances become log-odds by logistic regression on the one number that
//! they come to: the difference of distances to the two classes' centres, or
//! for a pair the distance of its two responses.

use super::examples::{Input, Task};
use super::training::{Body, Head, Mode, Steps, Training, dropout, embedded, finite, fit};
use super::{Corpus, Setup, Table, Tell, TextMethod, logistic, training};
use crate::encoder::Encoder;
use crate::error::Result;
use candle_core::{D, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::sync::Arc;

/// How much closer, in squared distance on the unit sphere.
const MARGIN: f64 = 0.5;
/// Dimensions that responses are projected to.
const PROJECTED: usize = 64;
/// Penalty of the last, one-dimensional regression: hardly any.
const PENALTY: f64 = 1e-3;

/// One example in so many is kept back.
const KEPT: usize = 5;

/// A triplet network on an encoder.
pub struct Triplet {
    /// What reads the text.
    pub encoder: Arc<Encoder>,
    /// How it is trained.
    pub training: Training,
}

impl TextMethod for Triplet {
    fn name(&self) -> &'static str {
        "triplet"
    }

    fn about(&self) -> &'static str {
        "Mean log-odds that the response is the candidate's rather than another's, by distance in a triplet network on a BERT encoder (margin loss)."
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
        let work = |task: &Task<'_>| self.work(task);
        training::every_task(&self.training, corpus, setup, tell, work, |task, rng, steps| {
            self.judge(task, rng, steps)
        })
    }
}

/// The texts of a task, each once, and which of them each input is made of.
struct Texts<'a> {
    texts: Vec<(Option<&'a str>, &'a str)>,
    learn: Vec<Place>,
    judge: Vec<Place>,
}

/// An input's response, and for a pair what it is compared with.
#[derive(Clone, Copy)]
struct Place {
    response: usize,
    before: Option<usize>,
}

impl<'a> Texts<'a> {
    fn new(task: &Task<'a>) -> Self {
        let mut places = HashMap::new();
        let mut texts = vec![];
        let mut at = |text: (Option<&'a str>, &'a str)| {
            *places.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() - 1
            })
        };
        let mut place = |i: &Input<'a>| {
            if i.pair {
                let before = i.before.map(|text| at((None, text)));
                Place { response: at((None, i.response)), before }
            } else {
                Place { response: at((i.before, i.response)), before: None }
            }
        };
        let learn = task.learn.iter().map(|(i, _)| place(i)).collect();
        let judge = task.judge.iter().map(|(_, _, i)| place(i)).collect();
        Self { texts, learn, judge }
    }
}

impl Triplet {
    pub(super) fn judge(
        &self,
        task: &Task<'_>,
        rng: &mut ChaCha8Rng,
        steps: &mut Steps<'_>,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let t = &self.training;
        let Texts { texts, learn, judge } = Texts::new(task);
        let body = match t.mode {
            Mode::Whole => Body::whole(&self.encoder, &texts, t.max_tokens)?,
            Mode::Frozen => {
                let rows = embedded(&self.encoder, &texts, t.max_tokens, steps)?;
                Body::frozen(rows, &learn.iter().map(|p| p.response).collect::<Vec<_>>())?
            }
        };
        let head = Head::new(body.width()?, PROJECTED, rng)?;
        let classes: Vec<bool> = task.learn.iter().map(|(_, c)| *c).collect();
        let kept = kept_back(&classes);
        let of = |class: bool| -> Vec<Place> {
            let all = learn.iter().zip(classes.iter().zip(&kept));
            all.filter(|(_, (c, kept))| **c == class && !**kept).map(|(p, _)| *p).collect()
        };
        let (own, others) = (of(true), of(false));
        let vars = [body.vars(), head.vars()].concat();
        let n = own.len().max(others.len());
        let each = self.each();
        let losses = fit(
            t,
            vars,
            n,
            rng,
            &mut |examples| {
                steps.done(if t.mode == Mode::Frozen { 1 } else { each * examples as u64 });
            },
            |batch, rng| {
                // Anchors, then what must be near, then what must be far.
                let mut rows = [vec![], vec![], vec![]];
                for i in batch {
                    let far = others[i % others.len()];
                    let anchor = rng.random_range(0..own.len());
                    let step = if own.len() > 1 { rng.random_range(1..own.len()) } else { 0 };
                    let near = own[(anchor + step) % own.len()];
                    rows[0].push(far.before.unwrap_or(own[anchor].response));
                    rows[1].push(near.response);
                    rows[2].push(far.response);
                }
                let x = body.rows(&rows.concat())?;
                let y = unit(&head.apply(&dropout(&x, rng)?)?)?;
                let m = batch.len();
                let part = |i: usize| y.narrow(0, i * m, m);
                let apart = |a: &Tensor, b: &Tensor| (a - b)?.sqr()?.sum(D::Minus1);
                let (anchor, near, far) = (part(0)?, part(1)?, part(2)?);
                let gap = (apart(&anchor, &near)? - apart(&anchor, &far)?)?;
                Ok((gap + MARGIN)?.relu()?.mean_all()?)
            },
        )?;
        let mut points = vec![];
        for batch in (0..texts.len()).collect::<Vec<_>>().chunks(t.batch) {
            points.extend(unit(&head.apply(&body.plain(batch)?)?)?.to_vec2::<f32>()?);
            if t.mode == Mode::Whole {
                steps.done(Body::work(t, 0, batch.len()));
            }
        }
        let centres = [centre(&points, &others), centre(&points, &own)];
        let closeness = |p: &Place| match p.before {
            Some(before) => -distance(&points[before], &points[p.response]),
            None => {
                let at = &points[p.response];
                distance(at, &centres[0]) - distance(at, &centres[1])
            }
        };
        let row = |p: &Place| vec![(0, closeness(p) as f32)];
        // Few examples are not kept back; all then have to serve for both.
        let scale: Vec<usize> = match kept.contains(&true) {
            true => (0..learn.len()).filter(|i| kept[*i]).collect(),
            false => (0..learn.len()).collect(),
        };
        let rows: Vec<logistic::Row> = scale.iter().map(|i| row(&learn[*i])).collect();
        let classes: Vec<bool> = scale.iter().map(|i| classes[*i]).collect();
        finite(rows.iter().flatten().map(|(_, v)| f64::from(*v)).collect())?;
        let model = logistic::fit(&rows.iter().collect::<Vec<_>>(), &classes, 1, PENALTY);
        let odds = judge.iter().map(|p| model.log_odds(&row(p))).collect();
        Ok((finite(odds)?, losses))
    }

    /// Work of one triplet in one epoch, where the encoder learns.
    fn each(&self) -> u64 {
        Body::work(&self.training, 3, 0) / self.training.epochs as u64
    }

    fn work(&self, task: &Task<'_>) -> u64 {
        let classes: Vec<bool> = task.learn.iter().map(|(_, c)| *c).collect();
        let kept = kept_back(&classes);
        let count = |class: bool| {
            classes.iter().zip(&kept).filter(|(c, kept)| **c == class && !**kept).count()
        };
        let n = count(true).max(count(false));
        match self.training.mode {
            Mode::Frozen => Body::work(&self.training, n, 0),
            Mode::Whole => {
                let texts = Texts::new(task).texts.len();
                self.each() * (n * self.training.epochs) as u64
                    + Body::work(&self.training, 0, texts)
            }
        }
    }
}

/// Which examples the network does not learn from: a fifth of each class, on
/// which distances become log-odds. Those it learnt from lie where it put
/// them, so that their distances promise more than new ones keep.
fn kept_back(classes: &[bool]) -> Vec<bool> {
    let few = [true, false].iter().any(|c| classes.iter().filter(|x| *x == c).count() < 2 * KEPT);
    let mut met = [0_usize; 2];
    let kept = |class: &bool| {
        let n = &mut met[usize::from(*class)];
        *n += 1;
        !few && n.is_multiple_of(KEPT)
    };
    classes.iter().map(kept).collect()
}

/// Rows of length 1.
fn unit(x: &Tensor) -> Result<Tensor> {
    let length = (x.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

fn centre(points: &[Vec<f32>], of: &[Place]) -> Vec<f32> {
    let mut sum = vec![0.0; points.first().map_or(0, Vec::len)];
    for place in of {
        sum.iter_mut().zip(&points[place.response]).for_each(|(s, v)| *s += v / of.len() as f32);
    }
    sum
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum()
}
