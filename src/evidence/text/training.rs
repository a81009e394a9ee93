//! Training on an encoder: settings, the loop, and where vectors come from.
//!
//! Two modes. *Frozen*: each distinct text is embedded once, and only a small
//! head learns. *Whole*: every weight of the encoder learns with the head, as
//! in the paper; that costs three forward passes for each example and epoch.
//! All randomness is seeded: candle's own dropout is not, so masks are made here.

use super::examples::{self, Task};
use super::{Corpus, Setup, Table, Tell};
use crate::encoder::{Batch, Encoder, Network, Sequence};
use crate::error::{Error, ErrorKind, Result, within};
use candle_core::{Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Share of values that dropout sets to zero (paper, appendix).
const DROPOUT: f32 = 0.5;
/// Work of one forward pass beside that of one step of a head: for progress alone.
const PASS: u64 = 8;

/// What learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A head on the encoder as it is.
    #[default]
    Frozen,
    /// The encoder too.
    Whole,
}

/// How classifiers on an encoder are trained.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// What learns.
    pub mode: Mode,
    /// Times that each example is seen.
    pub epochs: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Examples in a step.
    pub batch: usize,
    /// Tokens that are read of a text at the most.
    pub max_tokens: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self::of(Mode::Frozen)
    }
}

impl Training {
    /// The defaults of a mode.
    pub fn of(mode: Mode) -> Self {
        let (epochs, learning_rate, batch) = match mode {
            Mode::Frozen => (20, 1e-3, 32),
            Mode::Whole => (3, 5e-5, 16),
        };
        Self { mode, epochs, learning_rate, batch, max_tokens: 64 }
    }

    /// # Errors
    /// [`ErrorKind::Usage`] naming the setting that is out of range.
    pub fn check(&self) -> Result<()> {
        within("the number of epochs", self.epochs, 1, 1000)?;
        within("the batch size", self.batch, 1, 256)?;
        within("the number of tokens read", self.max_tokens, 8, 512)?;
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            let what = format!("the learning rate is {}, outside 0 to 1", self.learning_rate);
            return Err(Error::new(ErrorKind::Usage, what)
                .hint("5e-5 is usual for a whole encoder, 1e-3 for a head"));
        }
        Ok(())
    }
}

/// Work done and to be done.
pub(super) struct Steps<'a> {
    done: u64,
    total: u64,
    tell: Tell<'a>,
}

impl<'a> Steps<'a> {
    pub fn new(tell: Tell<'a>) -> Self {
        Self { done: 0, total: 0, tell }
    }

    /// More work has come to light.
    pub fn expect(&mut self, work: u64) {
        self.total += work;
    }

    pub fn done(&mut self, work: u64) {
        self.done = (self.done + work).min(self.total);
        (self.tell)(self.done, self.total);
    }
}

/// Lets `judge` learn and judge every task; gives the tables, and a sentence on the loss.
///
/// # Errors
/// As the task's, and settings out of range.
pub(super) fn every_task<'t>(
    training: &Training,
    corpus: &'t Corpus,
    setup: &Setup,
    tell: Tell<'_>,
    work: impl Fn(&Task<'t>) -> u64,
    mut judge: impl FnMut(&Task<'t>, &mut ChaCha8Rng, &mut Steps<'_>) -> Result<(Vec<f64>, Vec<f64>)>,
) -> Result<(Vec<Table>, String)> {
    training.check()?;
    let tasks = examples::tasks(corpus, setup)?;
    let mut steps = Steps::new(tell);
    tasks.iter().for_each(|task| steps.expect(work(task)));
    let (mut odds, mut first, mut last) = (vec![], 0.0, 0.0);
    for (n, task) in tasks.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(setup.seed);
        rng.set_stream(n as u64);
        let (judged, losses) = judge(task, &mut rng, &mut steps)?;
        odds.push(judged);
        first += losses.first().copied().unwrap_or(0.0);
        last += losses.last().copied().unwrap_or(0.0);
    }
    let n = tasks.len().max(1) as f64;
    let mode = match training.mode {
        Mode::Frozen => "a head on the frozen encoder",
        Mode::Whole => "the whole encoder",
    };
    let note = format!(
        "Training of {mode}: mean loss {:.3} in the first epoch and {:.3} in the last of {}, over {} classifiers.",
        first / n,
        last / n,
        training.epochs,
        tasks.len()
    );
    Ok((examples::tables(corpus, &tasks, &odds), note))
}

/// Where the vectors of a task's texts come from.
pub(super) enum Body {
    /// Rows computed before.
    Frozen(Tensor),
    /// An encoder that learns, and what it reads.
    Whole(Box<Network>, Vec<Sequence>, Vec<Var>),
}

/// Rows of the encoder as it is, for texts and for what stands before them.
pub(super) fn embedded(
    encoder: &Encoder,
    texts: &[(Option<&str>, &str)],
    max_tokens: usize,
    steps: &mut Steps<'_>,
) -> Result<Vec<Vec<f32>>> {
    let sequence = |(a, b): &(Option<&str>, &str)| encoder.sequence(*a, b, max_tokens);
    let sequences: Vec<Sequence> = texts.iter().map(sequence).collect::<Result<_>>()?;
    steps.expect(encoder.unknown(&sequences) as u64 * PASS);
    let mut before = 0;
    let rows = encoder.embeddings(&sequences, &mut |n| {
        steps.done((n - before) as u64 * PASS);
        before = n;
    })?;
    Ok(rows.iter().map(|row| row.to_vec()).collect())
}

impl Body {
    /// Rows that are already there, every column brought to mean 0 and
    /// deviation 1 over the `learnt`, so that one learning rate suits all encoders.
    pub fn frozen(mut rows: Vec<Vec<f32>>, learnt: &[usize]) -> Result<Self> {
        let width = rows.first().map_or(0, Vec::len);
        for j in 0..width {
            let n = learnt.len().max(1) as f64;
            let column = || learnt.iter().map(|i| f64::from(rows[*i][j]));
            let mean = column().sum::<f64>() / n;
            let variance = column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
            let scale = 1.0 / variance.sqrt().max(1e-6);
            rows.iter_mut().for_each(|r| r[j] = ((f64::from(r[j]) - mean) * scale) as f32);
        }
        let shape = (rows.len(), width);
        Ok(Self::Frozen(Tensor::from_vec(rows.concat(), shape, &Device::Cpu)?))
    }

    /// A copy of `encoder` that learns.
    pub fn whole(
        encoder: &Encoder,
        texts: &[(Option<&str>, &str)],
        max_tokens: usize,
    ) -> Result<Self> {
        let sequence = |(a, b): &(Option<&str>, &str)| encoder.sequence(*a, b, max_tokens);
        let mut sequences: Vec<Sequence> = texts.iter().map(sequence).collect::<Result<_>>()?;
        let (network, vars) = encoder.trainable(&mut sequences)?;
        Ok(Self::Whole(Box::new(network), sequences, vars))
    }

    /// Values in a row.
    pub fn width(&self) -> Result<usize> {
        match self {
            Self::Frozen(rows) => Ok(rows.dim(1)?),
            Self::Whole(network, ..) => Ok(network.sizes.hidden),
        }
    }

    /// The rows of these texts.
    pub fn rows(&self, of: &[usize]) -> Result<Tensor> {
        match self {
            Self::Frozen(rows) => {
                let of: Vec<u32> = of.iter().map(|i| *i as u32).collect();
                Ok(rows.index_select(&Tensor::new(of, &Device::Cpu)?, 0)?)
            }
            Self::Whole(network, sequences, _) => {
                network.embed(&Batch::new(&of.iter().map(|i| &sequences[*i]).collect::<Vec<_>>())?)
            }
        }
    }

    /// The same where nothing learns any more.
    pub fn plain(&self, of: &[usize]) -> Result<Tensor> {
        match self {
            Self::Frozen(_) => self.rows(of),
            Self::Whole(network, sequences, _) => {
                network.plain(&Batch::new(&of.iter().map(|i| &sequences[*i]).collect::<Vec<_>>())?)
            }
        }
    }

    /// What learns of it.
    pub fn vars(&self) -> Vec<Var> {
        match self {
            Self::Frozen(_) => vec![],
            Self::Whole(_, _, vars) => vars.clone(),
        }
    }

    /// Work to learn from `learn` texts in every epoch and to judge `judge`.
    pub fn work(training: &Training, learn: usize, judge: usize) -> u64 {
        match training.mode {
            Mode::Frozen => (learn.div_ceil(training.batch) * training.epochs) as u64,
            Mode::Whole => (3 * learn * training.epochs + judge) as u64 * PASS,
        }
    }
}

/// A linear layer that learns, drawn from `rng`.
pub(super) struct Head {
    weight: Var,
    bias: Var,
}

impl Head {
    pub fn new(inputs: usize, outputs: usize, rng: &mut ChaCha8Rng) -> Result<Self> {
        let bound = 1.0 / (inputs.max(1) as f32).sqrt();
        let values: Vec<f32> =
            (0..inputs * outputs).map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound).collect();
        Ok(Self {
            weight: Var::from_vec(values, (outputs, inputs), &Device::Cpu)?,
            bias: Var::from_vec(vec![0.0_f32; outputs], outputs, &Device::Cpu)?,
        })
    }

    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?)
    }

    pub fn vars(&self) -> Vec<Var> {
        vec![self.weight.clone(), self.bias.clone()]
    }
}

/// `x` with half of its values gone and the others doubled.
pub(super) fn dropout(x: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let kept = 1.0 / (1.0 - DROPOUT);
    let mask: Vec<f32> = (0..x.elem_count())
        .map(|_| if rng.random::<f32>() < DROPOUT { 0.0 } else { kept })
        .collect();
    Ok((x * Tensor::from_vec(mask, x.shape(), &Device::Cpu)?)?)
}

/// Whole numbers below `n` in a random order.
pub(super) fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
}

/// Lowers `loss` over `n` examples by AdamW; `step` hears the examples of each
/// batch. Gives the mean loss of every epoch.
///
/// # Errors
/// [`ErrorKind::NotFinite`] where training diverges.
pub(super) fn fit(
    training: &Training,
    vars: Vec<Var>,
    n: usize,
    rng: &mut ChaCha8Rng,
    step: &mut dyn FnMut(usize),
    mut loss: impl FnMut(&[usize], &mut ChaCha8Rng) -> Result<Tensor>,
) -> Result<Vec<f64>> {
    let settings = ParamsAdamW { lr: training.learning_rate, ..Default::default() };
    let mut optimiser = AdamW::new(vars, settings)?;
    let mut losses = vec![];
    for epoch in 0..training.epochs {
        let mut sum = 0.0;
        for batch in shuffled(n, rng).chunks(training.batch) {
            let value = loss(batch, rng)?;
            let number = f64::from(value.to_scalar::<f32>()?);
            if !number.is_finite() {
                return Err(Error::new(
                    ErrorKind::NotFinite,
                    format!("training diverged: the loss of epoch {} is {number}", epoch + 1),
                )
                .hint("lower the learning rate"));
            }
            optimiser.backward_step(&value)?;
            sum += number * batch.len() as f64;
            step(batch.len());
        }
        losses.push(sum / n.max(1) as f64);
    }
    Ok(losses)
}

/// A table's numbers, which must be numbers.
///
/// # Errors
/// [`ErrorKind::NotFinite`] where training ended in none.
pub(super) fn finite(values: Vec<f64>) -> Result<Vec<f64>> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(values);
    }
    Err(Error::new(ErrorKind::NotFinite, "training diverged: the classifier gives no number")
        .hint("lower the learning rate"))
}
