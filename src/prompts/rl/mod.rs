//! Reinforcement learning: a policy is trained, on the candidates' responses
//! alone, to pick prompts that tell them apart.
//!
//! An episode picks prompts one by one. [`arena`] says what the policy sees
//! and rewards each pick by the rise in held-out separation; [`ppo`] trains
//! it. What is handed out is the trained policy's likeliest pick at each step.

mod arena;
mod net;
mod ppo;

use super::pool::Pool;
use super::{Picker, greedy};
use crate::error::Result;
use crate::evidence::text::Tell;
use crate::responses::Responses;
use arena::{Arena, MOST, SEEN, STATE, State};
use ppo::{Policy, Step};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rounds of playing and learning.
const ROUNDS: usize = 40;
/// Episodes of a round.
const EPISODES: usize = 16;
/// Picks of an episode at the most; a longer budget goes on with the policy learnt from these.
const PICKS: usize = 25;
/// Passes over the steps of a round.
const PASSES: usize = 4;
/// Steps in one update.
const BATCH: usize = 100;
/// Learning rate.
const RATE: f64 = 0.01;
/// Work of all rounds in comparisons of a response with a mean, which bounds
/// the time; large pools get fewer rounds.
const WORK: usize = 1 << 30;

/// Picks by a policy trained with PPO.
#[derive(Clone, Copy, Debug)]
pub struct Reinforcement;

impl Picker for Reinforcement {
    fn name(&self) -> &'static str {
        "rl"
    }

    fn about(&self) -> &'static str {
        "a policy trained with PPO to tell the candidates apart by their responses"
    }

    fn seeded(&self) -> bool {
        true
    }

    fn pick(
        &self,
        bases: &Responses,
        budget: usize,
        seed: u64,
        tell: Tell<'_>,
    ) -> Result<Vec<usize>> {
        let pool = Pool::new(bases, budget)?;
        let most = (MOST / pool.bases).max(2);
        // The rest of a pool too large to play with comes in its own order.
        let kept: Vec<usize> = if pool.columns.len() > most {
            greedy::strongest(&pool, most, seed)
        } else {
            (0..pool.columns.len()).collect()
        };
        let budget = budget.min(pool.columns.len());
        let arena = Arena::new(&pool, &kept, horizon(kept.len(), budget));
        let policy = train(&arena, budget, seed, tell);
        let mut picked: Vec<usize> =
            play_out(&arena, &policy, budget).picked.iter().map(|p| kept[*p]).collect();
        let rest = (0..pool.columns.len()).filter(|p| kept.binary_search(p).is_err());
        picked.extend(rest.take(budget - picked.len()));
        Ok(picked.into_iter().map(|i| pool.columns[i]).collect())
    }
}

/// Picks of an episode.
fn horizon(prompts: usize, budget: usize) -> usize {
    // The measure is held out: of a single prompt there is nothing to learn.
    budget.clamp(2, PICKS).min(prompts)
}

fn train(arena: &Arena, budget: usize, seed: u64, tell: Tell<'_>) -> Policy {
    let horizon = horizon(arena.prompts, budget);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut policy = Policy::new(SEEN, STATE, arena.prompts, &mut rng);
    if arena.prompts < 2 {
        return policy;
    }
    let mut adam = net::Adam::new(RATE, policy.parameters.len());
    let rounds = (WORK / (EPISODES * horizon * arena.comparisons())).clamp(2, ROUNDS);
    for round in 0..rounds {
        tell(round as u64, rounds as u64);
        let mut steps: Vec<Step> =
            (0..EPISODES).flat_map(|_| episode(arena, &policy, horizon, &mut rng)).collect();
        level(&mut steps);
        let mut order: Vec<usize> = (0..steps.len()).collect();
        for _ in 0..PASSES {
            super::random::shuffle(&mut order, &mut rng);
            for batch in order.chunks(BATCH) {
                let batch: Vec<&Step> = batch.iter().map(|i| &steps[*i]).collect();
                let mut gradient = vec![0.0; policy.parameters.len()];
                ppo::loss(&policy, &batch, &mut gradient);
                adam.step(&mut policy.parameters, &gradient);
            }
        }
    }
    tell(rounds as u64, rounds as u64);
    policy
}

/// Advantages to mean 0 and deviation 1, so that the rate suits any reward.
fn level(steps: &mut [Step]) {
    let n = steps.len() as f64;
    let mean = steps.iter().map(|s| s.advantage).sum::<f64>() / n;
    let square = |s: &Step| (s.advantage - mean) * (s.advantage - mean);
    let spread = (steps.iter().map(square).sum::<f64>() / n).sqrt();
    let scale = if spread > 1e-9 { 1.0 / spread } else { 0.0 };
    steps.iter_mut().for_each(|s| s.advantage = (s.advantage - mean) * scale);
}

/// Plays one episode, each pick drawn from the policy.
fn episode(arena: &Arena, policy: &Policy, horizon: usize, rng: &mut ChaCha8Rng) -> Vec<Step> {
    let mut state = arena.start();
    let (mut steps, mut rewards, mut values) = (vec![], vec![], vec![]);
    for _ in 0..horizon {
        let (seen, view) = arena.view(&state, horizon);
        let logs = policy.log_probabilities(&state.open, &seen);
        let mut left: f64 = rng.random();
        let taken = logs
            .iter()
            .position(|l| {
                left -= libm::exp(*l);
                left < 0.0
            })
            .unwrap_or(logs.len() - 1);
        values.push(policy.value(&view));
        let step = Step {
            open: state.open.clone(),
            log_probability: logs[taken],
            seen,
            state: view,
            taken,
            ..Step::default()
        };
        rewards.push(arena.pick(&mut state, step.open[taken]));
        steps.push(step);
    }
    for (step, (advantage, outcome)) in steps.iter_mut().zip(ppo::advantages(&rewards, &values)) {
        step.advantage = advantage;
        step.outcome = outcome;
    }
    steps
}

/// The likeliest pick at each step.
fn play_out(arena: &Arena, policy: &Policy, budget: usize) -> State {
    let horizon = horizon(arena.prompts, budget);
    let mut state = arena.start();
    while state.picked.len() < budget.min(arena.prompts) {
        let (seen, _) = arena.view(&state, horizon);
        let logs = policy.log_probabilities(&state.open, &seen);
        let best = (0..logs.len()).fold(0, |m, i| if logs[i] > logs[m] { i } else { m });
        let p = state.open[best];
        arena.pick(&mut state, p);
    }
    state
}

#[cfg(test)]
mod tests;
