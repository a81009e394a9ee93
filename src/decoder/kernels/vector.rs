//! Operations on single vectors.

use super::math::Exp;

/// Partial sums kept apart in [`dot`] and its like, so that they vectorise in one order.
const LANES: usize = 8;

/// Sum of f(i) over pairs, in the crate's fixed order: eight interleaved
/// partial sums, then the tail, then the eight in sequence.
#[inline(always)]
fn lanes(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut acc = [0.0_f32; LANES];
    let (ac, bc) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let mut tail = 0.0;
    for (x, y) in ac.remainder().iter().zip(bc.remainder()) {
        tail += f(*x, *y);
    }
    for (x, y) in ac.zip(bc) {
        for i in 0..LANES {
            acc[i] += f(x[i], y[i]);
        }
    }
    acc.iter().fold(tail, |s, v| s + v)
}

/// Inner product of two vectors of equal length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    lanes(a, b, |x, y| x * y)
}

/// y += x.
#[inline(always)]
pub fn add(y: &mut [f32], x: &[f32]) {
    debug_assert_eq!(y.len(), x.len());
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// y += a · x.
#[inline(always)]
pub fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    debug_assert_eq!(y.len(), x.len());
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// x ← x / rms(x) · (w + `plus`).
pub fn rms_norm(x: &mut [f32], weight: &[f32], plus: f32, eps: f32) {
    let mean = dot(x, x) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for (x, w) in x.iter_mut().zip(weight) {
        *x = *x * scale * (w + plus);
    }
}

/// x ← (x − mean) / sd · w + b; an empty `bias` is none.
pub fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let n = x.len() as f32;
    let mean = lanes(x, x, |v, _| v) / n;
    let variance = lanes(x, x, |v, _| (v - mean) * (v - mean)) / n;
    let scale = 1.0 / (variance + eps).sqrt();
    for (i, (x, w)) in x.iter_mut().zip(weight).enumerate() {
        *x = (*x - mean) * scale * w + bias.get(i).copied().unwrap_or(0.0);
    }
}

/// The largest of `x`; NaN is passed over. `f32::max` would be a call in WebAssembly.
#[inline(always)]
pub fn largest(x: &[f32]) -> f32 {
    let greater = |m: f32, v: f32| if v > m { v } else { m };
    let (eights, rest) = x.as_chunks::<LANES>();
    let mut max = [f32::NEG_INFINITY; LANES];
    for eight in eights {
        for i in 0..LANES {
            max[i] = greater(max[i], eight[i]);
        }
    }
    max.iter().chain(rest).fold(f32::NEG_INFINITY, |m, v| greater(m, *v))
}

/// x ← e^(x − max x); their sum.
pub fn exponentials(x: &mut [f32]) -> f32 {
    let (max, exp) = (largest(x), Exp::opaque());
    for v in x.iter_mut() {
        *v = exp.below(*v - max);
    }
    lanes(x, x, |v, _| v)
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;

    fn vector(n: usize, seed: u64) -> Vec<f32> {
        naive::noise(n, seed)
    }

    #[test]
    fn agree_with_double_precision() {
        for n in [1, 7, 8, 9, 64, 100] {
            let (a, b, w) = (vector(n, 1), vector(n, 2), vector(n, 3));
            let exact: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-5);
            let (mut r, mut l, mut s) = (a.clone(), a.clone(), a.clone());
            rms_norm(&mut r, &w, 0.5, 1e-5);
            layer_norm(&mut l, &w, &b, 1e-5);
            let total = exponentials(&mut s);
            s.iter_mut().for_each(|v| *v /= total);
            for (fast, slow) in [
                (r, naive::rms_norm(&a, &w, 0.5, 1e-5)),
                (l, naive::layer_norm(&a, &w, &b, 1e-5)),
                (s, naive::softmax(&a)),
            ] {
                for (x, y) in fast.iter().zip(&slow) {
                    assert!((x - y).abs() < 1e-5 * (1.0 + y.abs()), "{n}: {x} {y}");
                }
            }
        }
    }
}
