//! A network with one hidden layer and a single output, its gradient by hand,
//! and Adam (Kingma and Ba 2015).

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Hidden units.
pub const HIDDEN: usize = 8;

/// Parameters of a network with `inputs` inputs.
pub fn size(inputs: usize) -> usize {
    HIDDEN * (inputs + 2)
}

/// Small random weights, so that it begins near indifference.
pub fn start(inputs: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut draw = |scale: f64| (rng.random::<f64>() * 2.0 - 1.0) * scale;
    (0..size(inputs))
        .map(|i| if i < HIDDEN * (inputs + 1) { draw(0.5) } else { draw(0.1) })
        .collect()
}

/// x / (1 + |x|): smooth once, and cheap.
fn squash(x: f64) -> f64 {
    x / (1.0 + x.abs())
}

/// What goes into hidden unit `h`.
fn inflow(net: &[f64], x: &[f64], h: usize) -> f64 {
    let weights = &net[h * x.len()..(h + 1) * x.len()];
    let sum: f64 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
    sum + net[HIDDEN * x.len() + h]
}

/// The output at `x`.
pub fn output(net: &[f64], x: &[f64]) -> f64 {
    let last = HIDDEN * (x.len() + 1);
    (0..HIDDEN).map(|h| net[last + h] * squash(inflow(net, x, h))).sum()
}

/// Adds `pull` times the gradient of the output at `x`.
pub fn backward(net: &[f64], x: &[f64], pull: f64, gradient: &mut [f64]) {
    let n = x.len();
    let last = HIDDEN * (n + 1);
    for h in 0..HIDDEN {
        let z = inflow(net, x, h);
        gradient[last + h] += pull * squash(z);
        let flat = 1.0 + z.abs();
        let down = pull * net[last + h] / (flat * flat);
        gradient[h * n..(h + 1) * n].iter_mut().zip(x).for_each(|(g, x)| *g += down * x);
        gradient[HIDDEN * n + h] += down;
    }
}

/// Adam with its usual decay rates.
pub struct Adam {
    rate: f64,
    first: Vec<f64>,
    second: Vec<f64>,
    decay: (f64, f64),
}

impl Adam {
    /// For that many parameters.
    pub fn new(rate: f64, parameters: usize) -> Self {
        Self {
            rate,
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            decay: (1.0, 1.0),
        }
    }

    /// One step down the gradient.
    pub fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        self.decay.0 *= 0.9;
        self.decay.1 *= 0.999;
        for (i, (p, g)) in parameters.iter_mut().zip(gradient).enumerate() {
            self.first[i] = 0.9 * self.first[i] + 0.1 * g;
            self.second[i] = 0.999 * self.second[i] + 0.001 * g * g;
            let mean = self.first[i] / (1.0 - self.decay.0);
            let spread = (self.second[i] / (1.0 - self.decay.1)).sqrt();
            *p -= self.rate * mean / (spread + 1e-8);
        }
    }
}
