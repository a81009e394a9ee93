//! Slow oracles in double precision.

use rand::{Rng, SeedableRng};

/// Seeded values in −1..1.
pub fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub fn rms_norm(x: &[f32], w: &[f32], plus: f64, eps: f64) -> Vec<f32> {
    let mean = x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / x.len() as f64;
    x.iter()
        .zip(w)
        .map(|(v, w)| (f64::from(*v) / (mean + eps).sqrt() * (f64::from(*w) + plus)) as f32)
        .collect()
}

pub fn layer_norm(x: &[f32], w: &[f32], b: &[f32], eps: f64) -> Vec<f32> {
    let n = x.len() as f64;
    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let var = x.iter().map(|v| (f64::from(*v) - mean) * (f64::from(*v) - mean)).sum::<f64>() / n;
    (0..x.len())
        .map(|i| {
            ((f64::from(x[i]) - mean) / (var + eps).sqrt() * f64::from(w[i]) + f64::from(b[i]))
                as f32
        })
        .collect()
}

pub fn softmax(x: &[f32]) -> Vec<f32> {
    let e: Vec<f64> = x.iter().map(|v| libm::exp(f64::from(*v))).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|v| (v / sum) as f32).collect()
}

/// x (m × k) times w (n × k) transposed, plus bias.
pub fn matmul(x: &[f32], w: &[f32], bias: Option<&[f32]>, k: usize) -> Vec<f32> {
    let mut out = vec![];
    for row in x.chunks(k) {
        for (j, col) in w.chunks(k).enumerate() {
            let sum: f64 = row.iter().zip(col).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            out.push((sum + bias.map_or(0.0, |b| f64::from(b[j]))) as f32);
        }
    }
    out
}
