//! Whether p-values are uniform: the test of Kolmogorov and Smirnov.

/// Largest distance of the values' distribution from the uniform one on
/// [0, 1], and the two-sided p-value of as large a one; `None` for no values.
pub fn kolmogorov_smirnov(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let mut distance: f64 = 0.0;
    for (i, x) in sorted.iter().enumerate() {
        distance = distance.max((i + 1) as f64 / n - x).max(x - i as f64 / n);
    }
    (!sorted.is_empty()).then(|| (distance, exceeds(sorted.len(), distance)))
}

/// How far the values lie below the uniform distribution on [0, 1] at the most
/// (p-values that are too small somewhere), and a bound on the p-value of as
/// large an excess (Massart 1990, "The tight constant in the
/// Dvoretzky–Kiefer–Wolfowitz inequality"; it holds where it is ½ or less).
/// `None` for no values.
pub fn excess(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let above = sorted.iter().enumerate().map(|(i, x)| (i + 1) as f64 / n - x);
    let excess = above.fold(0.0, f64::max);
    (!sorted.is_empty()).then(|| (excess, libm::exp(-2.0 * n * excess * excess)))
}

/// P(D ≥ d) for n values (Marsaglia, Tsang and Wang 2003, "Evaluating
/// Kolmogorov's distribution", J. Stat. Soft. 8(18)), with their shortcut in
/// the far tail, exact to seven digits.
fn exceeds(n: usize, d: f64) -> f64 {
    let count = n as f64;
    let s = d * d * count;
    if s > 7.24 || (s > 3.76 && n > 99) {
        let slope = 2.000071 + 0.331 / libm::sqrt(count) + 1.409 / count;
        return (2.0 * libm::exp(-slope * s)).min(1.0);
    }
    let k = (count * d) as usize + 1;
    let (m, h) = (2 * k - 1, k as f64 - count * d);
    let mut power = Power { m, exponent: 0, values: vec![0.0; m * m] };
    for i in 0..m {
        for j in 0..m.min(i + 2) {
            power.values[i * m + j] = 1.0;
        }
    }
    let mut raised = 1.0;
    for i in 0..m {
        raised *= h;
        power.values[i * m] -= raised;
        power.values[(m - 1) * m + (m - 1 - i)] -= raised;
    }
    if 2.0 * h > 1.0 {
        power.values[(m - 1) * m] += libm::pow(2.0 * h - 1.0, m as f64);
    }
    for i in 0..m {
        for j in 0..m.min(i + 1) {
            for g in 1..=i - j + 1 {
                power.values[i * m + j] /= g as f64;
            }
        }
    }
    let power = power.raised(n);
    let (mut below, mut exponent) = (power.values[(k - 1) * m + k - 1], power.exponent);
    for i in 1..=n {
        below *= i as f64 / count;
        if below < 1e-140 {
            below *= 1e140;
            exponent -= 140;
        }
    }
    (1.0 - below * libm::pow(10.0, f64::from(exponent))).clamp(0.0, 1.0)
}

/// A square matrix times a power of ten.
#[derive(Clone)]
struct Power {
    m: usize,
    exponent: i32,
    values: Vec<f64>,
}

impl Power {
    fn times(&self, other: &Self) -> Self {
        let m = self.m;
        let mut values = vec![0.0; m * m];
        for i in 0..m {
            for k in 0..m {
                let a = self.values[i * m + k];
                for j in 0..m {
                    values[i * m + j] += a * other.values[k * m + j];
                }
            }
        }
        let mut exponent = self.exponent + other.exponent;
        if values[m / 2 * m + m / 2] > 1e140 {
            values.iter_mut().for_each(|v| *v *= 1e-140);
            exponent += 140;
        }
        Self { m, exponent, values }
    }

    /// To the `n`-th power, n at least 1.
    fn raised(&self, n: usize) -> Self {
        if n <= 1 {
            return self.clone();
        }
        let half = self.raised(n / 2);
        let square = half.times(&half);
        if n.is_multiple_of(2) { square } else { square.times(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::weights::uniform;
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_distance_is_the_largest_step() {
        let (d, _) = kolmogorov_smirnov(&[0.1, 0.2, 0.3]).unwrap();
        assert!((d - 0.7).abs() < 1e-12);
        let (d, p) = kolmogorov_smirnov(&[0.5]).unwrap();
        assert!((d - 0.5).abs() < 1e-12 && (p - 1.0).abs() < 1e-12);
        assert!(kolmogorov_smirnov(&[]).is_none());
    }

    #[test]
    fn an_excess_is_one_sided() {
        let large: Vec<f64> = (0..200).map(|i| 0.5 + f64::from(i) / 400.0).collect();
        // The largest is .9975, where all lie below.
        assert!((excess(&large).unwrap().0 - 0.0025).abs() < 1e-9);
        assert!(kolmogorov_smirnov(&large).unwrap().1 < 1e-9);
        let small: Vec<f64> = large.iter().map(|x| 1.0 - x).collect();
        let (distance, p) = excess(&small).unwrap();
        assert!((distance - 0.5).abs() < 1e-9 && (p - libm::exp(-100.0)).abs() < 1e-45);
        assert!(excess(&[]).is_none());
    }

    #[test]
    fn the_papers_own_figures() {
        // Section 2 of the paper: P(D₁₀ < .274) = .6284796….
        assert!((1.0 - exceeds(10, 0.274) - 0.628_479_615_4).abs() < 1e-8);
        // One value: P(D < d) = 2d − 1. Two: 1 − 2(1 − d)² from d = ½ on.
        for d in [0.55, 0.7, 0.95] {
            assert!((exceeds(1, d) - (2.0 - 2.0 * d)).abs() < 1e-12);
            assert!((exceeds(2, d) - 2.0 * (1.0 - d) * (1.0 - d)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_limit_is_kolmogorovs() {
        // 2 Σ (−1)^(k−1) exp(−2 k² x²), with Stephens' correction for finite n.
        for (n, d) in [(200, 0.06), (200, 0.09), (600, 0.05), (1000, 0.03)] {
            let root = f64::from(n).sqrt();
            let x = (root + 0.12 + 0.11 / root) * d;
            let sum: f64 = (1..50)
                .map(|k| {
                    let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
                    sign * libm::exp(-2.0 * f64::from(k * k) * x * x)
                })
                .sum();
            let exact = exceeds(n as usize, d);
            assert!((exact - sum).abs() < 0.01, "{n} {d}: {exact} against {sum}");
        }
    }

    #[test]
    fn simulated_distances_exceed_as_often_as_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for n in [7, 40] {
            let rounds = 4000;
            let mut low = 0;
            for _ in 0..rounds {
                let values: Vec<f64> = (0..n).map(|_| f64::from(uniform(&mut rng))).collect();
                low += usize::from(kolmogorov_smirnov(&values).unwrap().1 < 0.2);
            }
            let share = low as f64 / f64::from(rounds);
            assert!((share - 0.2).abs() < 0.02, "{n}: {share}");
        }
        // What is not uniform is found.
        let skewed: Vec<f64> = (0..300).map(|_| f64::from(uniform(&mut rng)).sqrt()).collect();
        assert!(kolmogorov_smirnov(&skewed).unwrap().1 < 1e-6);
    }

    #[test]
    fn the_far_tail_meets_the_exact_part() {
        let at = |s: f64, n: usize| (s / n as f64).sqrt();
        for n in [50, 150] {
            let edge: f64 = if n > 99 { 3.76 } else { 7.24 };
            let (exact, short) = (exceeds(n, at(edge - 1e-9, n)), exceeds(n, at(edge + 1e-9, n)));
            assert!((exact - short).abs() < 2e-6, "{n}: {exact} and {short}");
        }
    }
}
