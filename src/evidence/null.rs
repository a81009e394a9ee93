//! Null distributions, their tails in natural logarithms, so that a p-value of
//! 10⁻⁴⁰⁰ is a number and not zero.

use libm::{erfc, lgamma, log, log1p};
use std::f64::consts::{LN_2, PI, SQRT_2};

/// ln P(Z ≥ z) of a standard normal Z.
pub fn ln_normal_tail(z: f64) -> f64 {
    if z < 20.0 {
        return log(0.5 * erfc(z / SQRT_2));
    }
    // Asymptotic series (Abramowitz and Stegun, 26.2.12); its next term is below 1e-8 here.
    let s = 1.0 / (z * z);
    -0.5 * z * z - 0.5 * log(2.0 * PI) - log(z) + log1p(-s * (1.0 - 3.0 * s * (1.0 - 5.0 * s)))
}

/// ln of the regularised incomplete beta function I_x(a, b), by its continued
/// fraction (Lentz's method; Numerical Recipes, section 6.4).
pub fn ln_beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if x >= 1.0 {
        return 0.0;
    }
    let front = lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x);
    if x < (a + 1.0) / (a + b + 2.0) {
        front + log(beta_fraction(a, b, x)) - log(a)
    } else {
        let rest = front + log(beta_fraction(b, a, 1.0 - x)) - log(b);
        log1p(-libm::exp(rest.min(0.0)))
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..500 {
        let m = f64::from(m);
        for step in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / away(1.0 + step * d);
            c = away(1.0 + step / c);
            h *= d * c;
        }
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    h
}

/// ln P(T ≥ t) of Student's t with `dof` degrees of freedom.
pub fn ln_student_tail(t: f64, dof: f64) -> f64 {
    let x = dof / (dof + t * t);
    let half = ln_beta_inc(0.5 * dof, 0.5, x) - LN_2;
    if t >= 0.0 { half } else { log1p(-libm::exp(half)) }
}

/// ln P(X ≥ k) of a binomial X with `n` draws of probability `p`.
pub fn ln_binomial_tail(k: usize, n: usize, p: f64) -> f64 {
    match k {
        0 => 0.0,
        _ if k > n => f64::NEG_INFINITY,
        _ => ln_beta_inc(k as f64, (n - k + 1) as f64, p),
    }
}

/// Fisher's combination of independent p-values: −2 Σ ln p is χ² with twice
/// their number of degrees of freedom. Logarithms in and out; 0 for none.
pub fn fisher(ln_p: &[f64]) -> f64 {
    let x: f64 = -ln_p.iter().map(|p| p.min(0.0)).sum::<f64>();
    if ln_p.is_empty() || x <= 0.0 {
        return 0.0;
    }
    // The tail of an even χ² is a Poisson sum: e^{-x} Σ_{k<n} x^k / k!
    let mut terms = vec![];
    let mut term = -x;
    for k in 0..ln_p.len() {
        if k > 0 {
            term += log(x) - log(k as f64);
        }
        terms.push(term);
    }
    ln_sum(&terms).min(0.0)
}

/// ln Σ e^v.
pub fn ln_sum(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + log(values.iter().map(|v| libm::exp(v - max)).sum::<f64>())
}

/// Mid-ranks, 0 for the least.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut out = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let same = |i: &&usize| values[**i] == values[order[from]];
        let n = order[from..].iter().take_while(same).count();
        let rank = from as f64 + (n - 1) as f64 / 2.0;
        order[from..from + n].iter().for_each(|i| out[*i] = rank);
        from += n;
    }
    out
}

/// Pearson's correlation; `None` for fewer than three or for no variation.
pub fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len()) as f64;
    if n < 3.0 {
        return None;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mx, my) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        xx += (a - mx) * (a - mx);
        yy += (b - my) * (b - my);
        xy += (a - mx) * (b - my);
    }
    let scale = (xx * yy).sqrt();
    (scale > 0.0).then(|| (xy / scale).clamp(-1.0, 1.0))
}

/// Spearman's rank correlation and ln of its one-sided p-value under "the two
/// orders have nothing to do with each other": Student's t with n − 2 degrees
/// of freedom (Kendall and Stuart, 31.19), never below 1/n!, the share of the
/// one order that agrees entirely. `None` below 10 values or without variation.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let n = x.len().min(y.len());
    if n < 10 {
        return None;
    }
    let r = correlation(&ranks(x), &ranks(y))?;
    let dof = (n - 2) as f64;
    let least = -lgamma(n as f64 + 1.0);
    let rest = (1.0 - r) * (1.0 + r);
    let ln_p = if rest < 1e-12 {
        if r > 0.0 { least } else { 0.0 }
    } else {
        ln_student_tail(r * (dof / rest).sqrt(), dof).max(least)
    };
    Some((r, ln_p))
}

/// ln of an upper bound of P(Σ ±x ≥ t), the signs being fair and independent
/// coins: exp(−t² / 2Σx²) (Hoeffding, 1963), and never below 2⁻ⁿ, n the number
/// of terms that are not 0.
pub fn ln_signs(terms: &[f64]) -> f64 {
    let sum: f64 = terms.iter().sum();
    let squares: f64 = terms.iter().map(|x| x * x).sum();
    if sum <= 0.0 || squares <= 0.0 {
        return 0.0;
    }
    let live = terms.iter().filter(|x| **x != 0.0).count();
    (-sum * sum / (2.0 * squares)).max(-LN_2 * live as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// ∫ f over [a, b] by Simpson's rule: the oracle of the tails.
    fn integral(f: impl Fn(f64) -> f64, a: f64, b: f64) -> f64 {
        let n = 200_000;
        let h = (b - a) / f64::from(n);
        let at = |i: i32| f(a + h * f64::from(i));
        let inner: f64 = (1..n).map(|i| at(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        (at(0) + inner + at(n)) * h / 3.0
    }

    #[test]
    fn tails_are_their_integrals() {
        let normal = |x: f64| libm::exp(-0.5 * x * x) / (2.0 * PI).sqrt();
        for z in [-3.0, 0.0, 0.5, 2.0, 6.0] {
            let want = log(integral(normal, z, z + 40.0));
            assert!((ln_normal_tail(z) - want).abs() < 1e-9, "{z}");
        }
        // Both formulas meet where one takes over.
        let step = ln_normal_tail(20.0) - ln_normal_tail(20.0 - 1e-9);
        assert!(step.abs() < 1e-6, "{step}");
        assert!(ln_normal_tail(60.0) < -1800.0);
        for dof in [3.0, 10.0, 254.0] {
            let scale =
                libm::exp(lgamma((dof + 1.0) / 2.0) - lgamma(dof / 2.0)) / (dof * PI).sqrt();
            let density = |x: f64| scale * libm::pow(1.0 + x * x / dof, -(dof + 1.0) / 2.0);
            for t in [-1.5, 0.0, 0.7, 4.0] {
                // The far tail of few degrees falls slowly: substitute x = t + u / (1 − u).
                let f = |u: f64| density(t + u / (1.0 - u)) / ((1.0 - u) * (1.0 - u));
                let want = log(integral(f, 0.0, 1.0 - 1e-9));
                assert!((ln_student_tail(t, dof) - want).abs() < 1e-6, "{dof} {t}");
            }
        }
    }

    #[test]
    fn binomial_tails_are_their_sums() {
        for (n, p) in [(5_usize, 0.3), (40, 0.05), (300, 0.6)] {
            let ln_choose = |k: usize| {
                lgamma(n as f64 + 1.0) - lgamma(k as f64 + 1.0) - lgamma((n - k) as f64 + 1.0)
            };
            for k in [0, 1, n / 3, n / 2, n] {
                let terms: Vec<f64> = (k..=n)
                    .map(|j| ln_choose(j) + j as f64 * log(p) + (n - j) as f64 * log(1.0 - p))
                    .collect();
                let want = ln_sum(&terms).min(0.0);
                assert!((ln_binomial_tail(k, n, p) - want).abs() < 1e-8, "{n} {p} {k}");
            }
        }
        assert_eq!(ln_binomial_tail(6, 5, 0.5), f64::NEG_INFINITY);
    }

    #[test]
    fn fisher_keeps_uniform_uniform_and_adds_up() {
        assert!((fisher(&[log(0.03)]) - log(0.03)).abs() < 1e-12);
        // Two p-values: P(p1 p2 ≤ c) = c (1 − ln c).
        let c: f64 = 0.02 * 0.5;
        assert!((fisher(&[log(0.02), log(0.5)]) - log(c * (1.0 - log(c)))).abs() < 1e-12);
        assert!(fisher(&[-500.0; 30]) < -14_000.0);
        assert_eq!(fisher(&[]), 0.0);
    }

    #[test]
    fn spearman_agrees_with_all_orders() {
        // All 10! orders are too many: a hundred thousand of them, seeded.
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let x: Vec<f64> = (0..12).map(f64::from).collect();
        let draws: Vec<(f64, f64)> = (0..100_000)
            .map(|_| {
                let mut y = x.clone();
                for i in (1..y.len()).rev() {
                    y.swap(i, rng.random_range(0..=i as u64) as usize);
                }
                spearman(&x, &y).unwrap()
            })
            .collect();
        for level in [0.3, 0.05, 0.01] {
            let share = draws.iter().filter(|d| d.1 <= log(level)).count() as f64 / 1e5;
            assert!((share / level - 1.0).abs() < 0.12, "{level} {share}");
        }
        let (r, ln_p) = spearman(&x, &x).unwrap();
        assert!(r == 1.0 && (ln_p + lgamma(13.0)).abs() < 1e-9);
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [1.5, 0.0, 1.5]);
        assert!(spearman(&x[..9], &x[..9]).is_none() && spearman(&x, &[1.0; 12]).is_none());
    }

    #[test]
    fn the_bound_on_signs_holds_for_all_signs() {
        let terms: [f64; 10] = [3.0, 1.0, 0.5, 2.0, 0.1, 1.5, 0.7, 0.2, 2.5, 1.1];
        let sums: Vec<f64> = (0..1024)
            .map(|s| {
                let sign = |i: usize| if s >> i & 1 == 1 { 1.0 } else { -1.0 };
                terms.iter().enumerate().map(|(i, x)| sign(i) * x).sum()
            })
            .collect();
        for (s, sum) in sums.iter().enumerate() {
            let signed: Vec<f64> =
                (0..10).map(|i| if s >> i & 1 == 1 { terms[i] } else { -terms[i] }).collect();
            let exact = sums.iter().filter(|t| **t >= sum - 1e-12).count() as f64 / 1024.0;
            assert!(ln_signs(&signed) >= log(exact) - 1e-12, "{sum}");
        }
        assert_eq!(ln_signs(&[]), 0.0);
        assert!((ln_signs(&[1.0; 40]) + 20.0).abs() < 1e-12);
    }
}
