//! The settings of a run.

use crate::error::{Error, ErrorKind, Result, within};
use crate::evidence::text::training::Training;
use crate::evidence::text::{Knowledge, Representation};

/// Everything a user can set.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Seed of every random draw.
    pub seed: u64,
    /// Samples used at the most, taken evenly over the input.
    pub max_samples: usize,
    /// Prompts that each candidate answers itself, taken evenly over the samples' prompts.
    pub own_responses: usize,
    /// New tokens in a candidate's own response at the most.
    pub max_new_tokens: usize,
    /// Temperature of the candidates' own responses.
    pub temperature: f32,
    /// Nucleus mass of the candidates' own responses.
    pub top_p: f32,
    /// Bootstrap rounds.
    pub bootstrap: usize,
    /// Whom the text classifiers know.
    pub knowledge: Knowledge,
    /// What the text classifiers read.
    pub representation: Representation,
    /// How classifiers on an encoder are trained.
    pub training: Training,
    /// Prompts that models are asked for one next token beside a suspect whose
    /// weights are at hand; 0 for no questions, `None` for as many as the
    /// comparison of weights leaves open and the size of the models allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries: Option<usize>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            seed: 2306,
            max_samples: 60,
            own_responses: 20,
            max_new_tokens: 48,
            temperature: 0.8,
            top_p: 0.95,
            bootstrap: 1000,
            knowledge: Knowledge::Universal,
            representation: Representation::Response,
            training: Training::default(),
            queries: None,
        }
    }
}

impl Parameters {
    /// # Errors
    /// [`ErrorKind::Usage`] naming the setting that is out of range.
    pub fn check(&self) -> Result<()> {
        within("the number of samples", self.max_samples, 1, 10_000)?;
        within("the number of own responses", self.own_responses, 1, 10_000)?;
        within("the number of new tokens", self.max_new_tokens, 1, 4096)?;
        within("the number of queries", self.queries.unwrap_or(0), 0, 10_000)?;
        within("the number of bootstrap rounds", self.bootstrap, 100, 100_000)?;
        self.training.check()?;
        let temperature = self.temperature.is_finite() && (0.0..=4.0).contains(&self.temperature);
        let mass = self.top_p > 0.0 && self.top_p <= 1.0;
        if !temperature || !mass {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("temperature {} or top-p {} is out of range", self.temperature, self.top_p),
            )
            .hint("temperature goes from 0 to 4, top-p from above 0 to 1"));
        }
        Ok(())
    }
}
