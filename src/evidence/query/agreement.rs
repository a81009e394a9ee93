//! Next-token agreement, after Nikolić et al., "Model Provenance Testing for
//! Large Language Models" (NeurIPS 2025).

use super::{Plan, QueryMethod, Record, Subject, foreign, words};
use crate::error::Result;
use crate::evidence::lineage::Test;
use crate::samples::Sample;
use crate::tokenizer::Tokenizer;

/// Characters of an answer that are kept.
const KEPT: usize = 16;

/// Agreement on the likeliest next piece of text.
pub struct Agreement;

/// The prompts of a plan, each different; those of a smaller plan come first.
pub fn prompts(plan: &Plan) -> Vec<String> {
    words::random(plan.prompts, plan.seed)
}

/// The record of a model that was asked elsewhere: `samples` hold its answers,
/// which meet the plan's prompts by their text without the space around it.
pub fn from_answers(plan: &Plan, samples: &[Sample]) -> Record {
    let answer = |prompt: &String| {
        let sample = samples.iter().find(|s| s.prompt.as_deref().map(str::trim) == Some(prompt))?;
        Some(piece(&sample.response))
    };
    Record::Answers(prompts(plan).iter().map(answer).collect())
}

fn piece(text: &str) -> String {
    text.trim().chars().take(KEPT).collect()
}

impl QueryMethod for Agreement {
    fn name(&self) -> &'static str {
        "next-token-agreement"
    }

    fn observe(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        tell: &mut dyn FnMut(usize),
    ) -> Result<Record> {
        let asked: Vec<Vec<u32>> =
            prompts(plan).iter().map(|p| subject.tokenizer.prompt(p)).collect::<Result<_>>()?;
        let next = subject.model.next(&asked, tell)?;
        let answers = next.iter().map(|token| said(subject.tokenizer, *token));
        answers.collect::<Result<_>>().map(Record::Answers)
    }

    fn test(
        &self,
        suspect: &Record,
        _candidates: &[Option<Record>],
        _plan: &Plan,
    ) -> Result<Vec<Option<Test>>> {
        let Record::Answers(_) = suspect else { return Err(foreign(self.name())) };
        Ok(vec![])
    }
}

/// What a token says; `None` for a part of a character.
fn said(tokenizer: &Tokenizer, token: u32) -> Result<Option<String>> {
    let text = tokenizer.continuation(&[token])?;
    Ok((tokenizer.is_end(token) || !text.is_empty()).then(|| piece(&text)))
}
