//! Proximal policy optimisation (Schulman et al. 2017) for picking one of a
//! list of candidates at each step: the clipped surrogate, a value baseline,
//! an entropy bonus, and advantages by GAE (Schulman et al. 2016).

use super::net;

/// The ratio of new to old probability may gain until this far from 1.
const CLIP: f64 = 0.2;
/// Weight of the entropy bonus.
const ENTROPY: f64 = 0.01;
/// Weight of the value's squared error.
const VALUE: f64 = 0.5;
/// λ of the advantages; rewards are not discounted, an episode is short.
const LAMBDA: f64 = 0.95;

/// A softmax over a score for each candidate: a network on what is seen of it,
/// plus a preference of its own; and a network that foresees the return.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The networks' weights, then the preferences.
    pub parameters: Vec<f64>,
    /// Features of a candidate.
    seen: usize,
    /// Features of a state.
    state: usize,
}

impl Policy {
    /// For `items` candidates.
    pub fn new(seen: usize, state: usize, items: usize, rng: &mut rand_chacha::ChaCha8Rng) -> Self {
        let mut parameters = net::start(seen, rng);
        parameters.extend(net::start(state, rng));
        parameters.extend(vec![0.0; items]);
        Self { parameters, seen, state }
    }

    /// Where the score's network, the value's and the preferences lie.
    fn parts(&self) -> (std::ops::Range<usize>, std::ops::Range<usize>, usize) {
        let (a, b) = (net::size(self.seen), net::size(self.state));
        (0..a, a..a + b, a + b)
    }

    /// Log-probability of each of the open candidates; `seen` holds their features in a row.
    pub fn log_probabilities(&self, open: &[usize], seen: &[f64]) -> Vec<f64> {
        let (score, _, preferences) = self.parts();
        let score = &self.parameters[score];
        let mut out: Vec<f64> = open
            .iter()
            .zip(seen.chunks(self.seen))
            .map(|(i, x)| net::output(score, x) + self.parameters[preferences + i])
            .collect();
        let most = out.iter().fold(f64::NEG_INFINITY, |m, z| m.max(*z));
        let sum: f64 = out.iter().map(|z| libm::exp(z - most)).sum();
        let level = most + libm::log(sum);
        out.iter_mut().for_each(|z| *z -= level);
        out
    }

    /// The return that is expected from a state.
    pub fn value(&self, state: &[f64]) -> f64 {
        net::output(&self.parameters[self.parts().1], state)
    }
}

/// One choice that was made.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The candidates it was made among.
    pub open: Vec<usize>,
    /// Their features.
    pub seen: Vec<f64>,
    /// Features of the state.
    pub state: Vec<f64>,
    /// The place in `open` of the one that was taken.
    pub taken: usize,
    /// Its log-probability then.
    pub log_probability: f64,
    /// How much better it went than was expected.
    pub advantage: f64,
    /// What came of it to the end.
    pub outcome: f64,
}

/// The advantages and outcomes of one episode; after its last step nothing comes.
pub fn advantages(rewards: &[f64], values: &[f64]) -> Vec<(f64, f64)> {
    let mut out = vec![(0.0, 0.0); rewards.len()];
    let (mut running, mut next) = (0.0, 0.0);
    for t in (0..rewards.len()).rev() {
        running = rewards[t] + next - values[t] + LAMBDA * running;
        next = values[t];
        out[t] = (running, running + values[t]);
    }
    out
}

/// The loss of `policy` on `steps`; adds its gradient.
pub fn loss(policy: &Policy, steps: &[&Step], gradient: &mut [f64]) -> f64 {
    let (score, value, preferences) = policy.parts();
    let share = 1.0 / steps.len() as f64;
    let mut total = 0.0;
    for step in steps {
        let logs = policy.log_probabilities(&step.open, &step.seen);
        let ratio = libm::exp(logs[step.taken] - step.log_probability);
        let free = ratio * step.advantage;
        let held = ratio.clamp(1.0 - CLIP, 1.0 + CLIP) * step.advantage;
        // Where the clipped one is less it does not depend on the policy.
        let pull = if free <= held { -free } else { 0.0 };
        let entropy: f64 = logs.iter().map(|l| -libm::exp(*l) * l).sum();
        total -= share * (free.min(held) + ENTROPY * entropy);
        for (at, (log, x)) in logs.iter().zip(step.seen.chunks(policy.seen)).enumerate() {
            let p = libm::exp(*log);
            let chosen = f64::from(u8::from(at == step.taken));
            let slope = share * (pull * (chosen - p) + ENTROPY * p * (log + entropy));
            net::backward(
                &policy.parameters[score.clone()],
                x,
                slope,
                &mut gradient[score.clone()],
            );
            gradient[preferences + step.open[at]] += slope;
        }
        let error = policy.value(&step.state) - step.outcome;
        total += share * VALUE * error * error;
        let slope = share * VALUE * 2.0 * error;
        net::backward(
            &policy.parameters[value.clone()],
            &step.state,
            slope,
            &mut gradient[value.clone()],
        );
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut policy = Policy::new(4, 3, 6, &mut rng);
        policy.parameters.iter_mut().for_each(|p| *p += rng.random::<f64>() - 0.5);
        let mut draw = |n: usize| (0..n).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect();
        // Old probabilities well apart from the new: on both sides of the clip,
        // with gains and losses.
        let steps: Vec<Step> = [(0.6, 1.0), (-0.6, 1.0), (0.6, -1.0), (-0.6, -1.0), (0.01, 0.5)]
            .iter()
            .map(|(shift, advantage)| {
                let open = vec![5, 1, 3];
                let seen: Vec<f64> = draw(12);
                let log_probability = policy.log_probabilities(&open, &seen)[2] + shift;
                let state = draw(3);
                Step {
                    open,
                    seen,
                    state,
                    taken: 2,
                    log_probability,
                    advantage: *advantage,
                    outcome: 0.7,
                }
            })
            .collect();
        for some in [&steps[..], &steps[..1], &steps[1..2], &steps[2..3], &steps[3..4]] {
            let steps: Vec<&Step> = some.iter().collect();
            let mut gradient = vec![0.0; policy.parameters.len()];
            loss(&policy, &steps, &mut gradient);
            let mut waste = gradient.clone();
            let mut at = |i: usize, shift: f64| {
                let mut other = policy.clone();
                other.parameters[i] += shift;
                loss(&other, &steps, &mut waste)
            };
            let mut moved = 0;
            for (i, g) in gradient.iter().enumerate() {
                let slope = (at(i, 1e-5) - at(i, -1e-5)) / 2e-5;
                assert!((slope - g).abs() < 1e-7, "{i}: {slope} {g}");
                moved += usize::from(g.abs() > 1e-6);
            }
            assert!(moved > 40, "{moved}");
        }
    }

    #[test]
    fn beyond_the_clip_only_entropy_and_value_pull() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let policy = Policy::new(1, 1, 2, &mut rng);
        let (open, seen) = (vec![0, 1], vec![0.3, -0.9]);
        let now = policy.log_probabilities(&open, &seen)[0];
        let with = |advantage: f64, shift: f64| {
            let step = Step {
                open: open.clone(),
                seen: seen.clone(),
                state: vec![0.0],
                log_probability: now - shift,
                advantage,
                ..Step::default()
            };
            let mut gradient = vec![0.0; policy.parameters.len()];
            loss(&policy, &[&step], &mut gradient);
            gradient
        };
        assert_eq!(with(1.0, 0.5), with(9.0, 0.5), "already likelier: no more to gain");
        assert_eq!(with(-1.0, -0.5), with(-9.0, -0.5), "already unlikelier");
        assert_ne!(with(1.0, -0.5), with(9.0, -0.5), "unlikelier although good: mended");
        assert_ne!(with(-1.0, 0.5), with(-9.0, 0.5), "likelier although bad: mended");
    }

    #[test]
    fn advantages_are_discounted_sums_of_surprises() {
        let got = advantages(&[1.0, 0.0, 2.0], &[0.5, 1.5, 1.0]);
        let surprises = [1.0 + 1.5 - 0.5, 0.0 + 1.0 - 1.5, 2.0 - 1.0];
        let expected = surprises[0] + LAMBDA * (surprises[1] + LAMBDA * surprises[2]);
        assert!((got[0].0 - expected).abs() < 1e-12);
        assert!((got[0].1 - expected - 0.5).abs() < 1e-12);
        assert!((got[2].0 - 1.0).abs() < 1e-12);
    }
}
