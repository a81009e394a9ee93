//! Logistic regression with an L2 penalty on sparse rows, solved by L-BFGS
//! (Nocedal and Wright, Numerical Optimization, algorithm 7.4 and 7.5).

/// A row of features: index and value, no index twice.
pub type Row = Vec<(u32, f32)>;

/// Steps kept to model the curvature.
const MEMORY: usize = 8;
/// Steps at the most.
const STEPS: usize = 300;
/// Where the gradient is this small, in units of the loss per example, the rest is noise.
const TOLERANCE: f64 = 1e-5;

/// A fitted classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// One weight for each feature.
    weights: Vec<f64>,
    bias: f64,
}

impl Model {
    /// Log-odds of the positive class.
    pub fn log_odds(&self, row: &Row) -> f64 {
        self.bias + dot(&self.weights, row)
    }
}

fn dot(weights: &[f64], row: &Row) -> f64 {
    row.iter().map(|(i, v)| weights[*i as usize] * f64::from(*v)).sum()
}

/// log(1 + exp(x)), without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// Fits `rows` over `features` to `classes`. The loss is the mean of the
/// examples' cross-entropy, both classes weighing the same whatever their
/// numbers, plus `penalty` / 2 times the squared norm of the weights; the bias
/// goes free. There must be rows of both classes.
pub fn fit(rows: &[&Row], classes: &[bool], features: usize, penalty: f64) -> Model {
    let positive = classes.iter().filter(|c| **c).count();
    let share = |n: usize| 0.5 / n.max(1) as f64;
    let weight = |class: bool| share(if class { positive } else { classes.len() - positive });
    // The last parameter is the bias.
    let loss = |p: &[f64], gradient: &mut [f64]| -> f64 {
        let mut total = 0.0;
        for (g, w) in gradient[..features].iter_mut().zip(p) {
            *g = penalty * w;
            total += 0.5 * penalty * w * w;
        }
        gradient[features] = 0.0;
        for (row, class) in rows.iter().zip(classes) {
            let sign = if *class { 1.0 } else { -1.0 };
            let margin = sign * (p[features] + dot(&p[..features], row));
            total += weight(*class) * softplus(-margin);
            let pull = -sign * weight(*class) / (1.0 + libm::exp(margin));
            row.iter().for_each(|(i, v)| gradient[*i as usize] += pull * f64::from(*v));
            gradient[features] += pull;
        }
        total
    };
    let mut weights = minimise(vec![0.0; features + 1], loss);
    let bias = weights.pop().unwrap_or(0.0);
    Model { weights, bias }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The minimum of a smooth convex `loss`, which fills in its gradient.
fn minimise(mut at: Vec<f64>, loss: impl Fn(&[f64], &mut [f64]) -> f64) -> Vec<f64> {
    let mut gradient = vec![0.0; at.len()];
    let mut value = loss(&at, &mut gradient);
    let mut past: Vec<(Vec<f64>, Vec<f64>, f64)> = vec![];
    for _ in 0..STEPS {
        let largest = gradient.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        if largest < TOLERANCE {
            break;
        }
        let mut way = direction(&gradient, &past);
        let mut slope = product(&way, &gradient);
        if slope >= 0.0 {
            past.clear();
            way = gradient.iter().map(|g| -g).collect();
            slope = -product(&gradient, &gradient);
        }
        // Halve until the loss falls by a fair part of what the slope promises.
        let mut step =
            if past.is_empty() { 1.0 / product(&way, &way).sqrt().max(1.0) } else { 1.0 };
        let mut next_gradient = vec![0.0; at.len()];
        let next = loop {
            let next: Vec<f64> = at.iter().zip(&way).map(|(x, d)| x + step * d).collect();
            let next_value = loss(&next, &mut next_gradient);
            if next_value <= value + 1e-4 * step * slope {
                value = next_value;
                break Some(next);
            }
            step *= 0.5;
            if step < 1e-12 {
                break None;
            }
        };
        let Some(next) = next else { break };
        let moved: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = product(&moved, &turned);
        if curvature > 1e-12 {
            past.push((moved, turned, curvature));
            if past.len() > MEMORY {
                past.remove(0);
            }
        }
        (at, gradient) = (next, next_gradient);
    }
    at
}

/// The two-loop recursion: minus the inverse curvature times the gradient.
fn direction(gradient: &[f64], past: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.to_vec();
    let mut alphas = vec![];
    for (s, y, curvature) in past.iter().rev() {
        let alpha = product(s, &q) / curvature;
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((_, y, curvature)) = past.last() {
        let scale = curvature / product(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, curvature), alpha) in past.iter().zip(alphas.into_iter().rev()) {
        let beta = product(y, &q) / curvature;
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// Plain gradient descent on dense rows, long enough.
    fn oracle(rows: &[Row], classes: &[bool], features: usize, penalty: f64) -> Model {
        let mut model = Model { weights: vec![0.0; features], bias: 0.0 };
        let n = |c: bool| classes.iter().filter(|x| **x == c).count() as f64;
        for _ in 0..200_000 {
            let mut g: Vec<f64> = model.weights.iter().map(|w| penalty * w).collect();
            let mut b = 0.0;
            for (row, class) in rows.iter().zip(classes) {
                let p = 1.0 / (1.0 + libm::exp(-model.log_odds(row)));
                let e = (p - f64::from(u8::from(*class))) * 0.5 / n(*class);
                row.iter().for_each(|(i, v)| g[*i as usize] += e * f64::from(*v));
                b += e;
            }
            model.weights.iter_mut().zip(&g).for_each(|(w, g)| *w -= 0.3 * g);
            model.bias -= 0.3 * b;
        }
        model
    }

    #[test]
    fn agrees_with_plain_gradient_descent() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let rows: Vec<Row> = (0..60)
            .map(|_| (0..5).map(|i| (i, rng.random::<f32>() * 2.0 - 1.0)).collect())
            .collect();
        let classes: Vec<bool> =
            rows.iter().map(|r| r[0].1 + 0.5 * r[3].1 + rng.random::<f32>() > 0.9).collect();
        let refs: Vec<&Row> = rows.iter().collect();
        for penalty in [0.01, 0.3] {
            let fast = fit(&refs, &classes, 5, penalty);
            let slow = oracle(&rows, &classes, 5, penalty);
            for row in &rows {
                let (a, b) = (fast.log_odds(row), slow.log_odds(row));
                assert!((a - b).abs() < 2e-3, "{a} {b}");
            }
        }
    }

    #[test]
    fn separable_and_constant_rows_stay_finite() {
        let rows: Vec<Row> = vec![vec![(0, 1.0)], vec![(0, -1.0)], vec![(0, 1.0)], vec![]];
        let refs: Vec<&Row> = rows.iter().collect();
        let model = fit(&refs, &[true, false, true, false], 2, 1e-3);
        assert!(model.log_odds(&rows[0]) > 2.0 && model.log_odds(&rows[1]) < -2.0);
        let flat = fit(&[&rows[3], &rows[3]], &[true, false], 1, 0.1);
        assert!(flat.log_odds(&rows[3]).abs() < 1e-9);
    }
}
