//! Resampling and its summaries, shared by the methods.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The `share` quantile of values (linear between neighbours); `None` for none.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64))
}

/// The central 95 % of values; both ends `fallback` for none.
pub fn interval(values: &[f64], fallback: f64) -> (f64, f64) {
    (quantile(values, 0.025).unwrap_or(fallback), quantile(values, 0.975).unwrap_or(fallback))
}

/// Mean; `None` for none.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation with n − 1; `None` for fewer than two.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// e^x over their sum, with the largest taken out first.
pub fn softmax(values: &[f64]) -> Vec<f64> {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = values.iter().map(|v| libm::exp(v - max)).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// `rounds` resamples with replacement of the indices 0..n; the first resample
/// of equal arguments is always the same.
pub fn resamples(n: usize, rounds: usize, seed: u64) -> impl Iterator<Item = Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..rounds).map(move |_| (0..n).map(|_| rng.random_range(0..n as u64) as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let v = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&v, 0.0), Some(1.0));
        assert_eq!(quantile(&v, 0.5), Some(2.5));
        assert_eq!(quantile(&v, 1.0), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn resampled_means_spread_like_the_standard_error() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let means: Vec<f64> = resamples(100, 2000, 1)
            .filter_map(|r| mean(&r.iter().map(|i| values[*i]).collect::<Vec<_>>()))
            .collect();
        let expected = deviation(&values).unwrap() / 10.0;
        assert!((deviation(&means).unwrap() / expected - 1.0).abs() < 0.1);
        assert_eq!(resamples(5, 1, 7).next(), resamples(5, 1, 7).next());
        assert_ne!(resamples(9, 1, 7).next(), resamples(9, 1, 8).next());
    }

    #[test]
    fn softmax_sums_to_one_whatever_the_size() {
        let p = softmax(&[1000.0, 999.0, -1e9]);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((p[0] / p[1] - std::f64::consts::E).abs() < 1e-9);
    }
}
