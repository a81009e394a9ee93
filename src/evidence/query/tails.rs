//! Tails of null distributions as natural logarithms, exact where a probability
//! itself would be rounded to 0.

/// ln P(X ≥ `k`) for X binomial of `n` trials with chance `p` in (0, 1).
pub fn ln_binomial_tail(n: usize, k: usize, p: f64) -> f64 {
    if k == 0 {
        return 0.0;
    }
    if k > n {
        return f64::NEG_INFINITY;
    }
    let ln_choose = |i: usize| {
        let g = |x: usize| libm::lgamma(x as f64 + 1.0);
        g(n) - g(i) - g(n - i)
    };
    let (hit, miss) = (libm::log(p), libm::log1p(-p));
    let terms: Vec<f64> =
        (k..=n).map(|i| ln_choose(i) + i as f64 * hit + (n - i) as f64 * miss).collect();
    let max = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // The smallest first, so that nothing is lost beside the largest.
    let sum: f64 = terms.iter().rev().map(|t| libm::exp(t - max)).sum();
    (max + libm::log(sum)).min(0.0)
}

/// ln P(R ≥ `rho`) for the rank correlation R of `n` pairs in random order, by
/// Student's t with n − 2 degrees of freedom (Kendall, "Rank Correlation
/// Methods", 1970, section 5), never below ln 1/n!, the chance of one order.
pub fn ln_spearman_tail(rho: f64, n: usize) -> f64 {
    if n < 4 {
        return 0.0;
    }
    let (a, x) = ((n as f64 - 2.0) / 2.0, (1.0 - rho * rho).clamp(0.0, 1.0));
    let least = -libm::lgamma(n as f64 + 1.0);
    let half = if x <= 0.0 { f64::NEG_INFINITY } else { ln_beta_tail(x, a) };
    // P(|R| ≥ ρ) halved is the tail on one side.
    let upper = half - std::f64::consts::LN_2;
    let ln_p = if rho >= 0.0 { upper } else { libm::log1p(-libm::exp(upper)) };
    ln_p.clamp(least, 0.0)
}

/// ln of the regularised incomplete beta function I_x(a, 1/2), by its continued
/// fraction (Abramowitz and Stegun, 26.5.8) after Lentz.
fn ln_beta_tail(x: f64, a: f64) -> f64 {
    let b = 0.5;
    if x > (a + 1.0) / (a + b + 2.0) {
        return libm::log1p(-libm::exp(ln_fraction(1.0 - x, b, a)).min(1.0));
    }
    ln_fraction(x, a, b)
}

fn ln_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            change = c * d;
            h *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    let ln_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    a * libm::log(x) + b * libm::log1p(-x) - ln_beta - libm::log(a) + libm::log(h)
}

/// Ranks from 1, equals sharing their mean rank.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    for equal in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let mean = at as f64 + (equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|i| ranks[*i] = mean);
        at += equal.len();
    }
    ranks
}

/// Spearman's rank correlation; 0 where one side does not vary or lengths differ.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return 0.0;
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    if spread > 0.0 { (product(&a, &b) / spread).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_tails_are_sums_of_plain_probabilities() {
        for (n, p) in [(1, 0.5), (12, 0.5), (20, 0.75), (30, 0.01)] {
            // Oracle: Pascal's rule, trial by trial.
            let mut mass = vec![1.0_f64];
            for _ in 0..n {
                let mut next = vec![0.0; mass.len() + 1];
                for (i, m) in mass.iter().enumerate() {
                    next[i] += m * (1.0 - p);
                    next[i + 1] += m * p;
                }
                mass = next;
            }
            for k in 0..=n {
                let want: f64 = mass[k..].iter().sum();
                let got = ln_binomial_tail(n, k, p);
                assert!((got - libm::log(want)).abs() < 1e-10, "{n} {k} {p}: {got} {want}");
            }
        }
        // Far below what a double holds: 1000 of 1000 at 1/10.
        assert!((ln_binomial_tail(1000, 1000, 0.1) - 1000.0 * libm::log(0.1)).abs() < 1e-6);
        assert_eq!(ln_binomial_tail(3, 4, 0.5), f64::NEG_INFINITY);
    }

    #[test]
    fn spearman_tails_are_those_of_all_orders() {
        // Oracle: every order of 8.
        let n = 8;
        let mut all = vec![];
        let mut order: Vec<f64> = (1..=n).map(f64::from).collect();
        let straight = order.clone();
        permute(&mut order, 0, &mut |o| all.push(spearman(&straight, o)));
        assert_eq!(all.len(), 40_320);
        for rho in [-0.5, -0.1, 0.1, 0.3, 0.5, 0.7, 0.8] {
            let want = all.iter().filter(|r| **r >= rho - 1e-12).count() as f64 / 40_320.0;
            let got = libm::exp(ln_spearman_tail(rho, 8));
            assert!((got - want).abs() < 0.02, "{rho}: {got} {want}");
        }
        assert!((ln_spearman_tail(1.0, 8) + libm::log(40_320.0)).abs() < 1e-9);
    }

    fn permute(order: &mut Vec<f64>, at: usize, each: &mut dyn FnMut(&[f64])) {
        if at == order.len() {
            return each(order);
        }
        for i in at..order.len() {
            order.swap(at, i);
            permute(order, at + 1, each);
            order.swap(at, i);
        }
    }

    #[test]
    fn the_tail_of_t_is_the_tabulated_one() {
        // t = 2.228 cuts 2.5 % with 10 degrees of freedom, 3.169 cuts 0.5 %.
        for (t, p) in [(2.228_f64, 0.025_f64), (3.169, 0.005), (0.0, 0.5)] {
            let rho = t / (t * t + 10.0).sqrt();
            assert!((libm::exp(ln_spearman_tail(rho, 12)) - p).abs() < 2e-5);
            assert!((libm::exp(ln_spearman_tail(-rho, 12)) - (1.0 - p)).abs() < 2e-5);
        }
        // Far out it goes on falling, smoothly.
        let far = [0.9, 0.95, 0.99, 0.999].map(|r| ln_spearman_tail(r, 576));
        assert!(far.windows(2).all(|w| w[1] < w[0] - 50.0), "{far:?}");
    }

    #[test]
    fn equals_share_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(spearman(&[1.0, 2.0, 9.0], &[-1.0, 0.0, 0.5]), 1.0);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
    }
}
