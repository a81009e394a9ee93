//! Elementary functions with the same bits on every platform.

/// e^x, relative error below 2e-7; 0 below about −87 and capped above 88.
///
/// Cephes' reduction and polynomial: plain arithmetic only, so that the
/// compiler can use any vector width without changing a bit.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.336_54, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts: the first is exact in few bits, so n · it is too.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5.0e-1;
    let y = (p * r) * r + r + 1.0;
    // The lowest bits of `rounded` are n, and the shift leaves no others: no
    // conversion, which WebAssembly makes of ten instructions. What comes of NaN is
    // multiplied by NaN.
    y * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

/// x · sigmoid(x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Gaussian error linear unit with the tanh approximation (Hendrycks and Gimpel, 2016).
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    let u = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    // tanh(u) = 1 − 2 / (e^2u + 1)
    let tanh = 1.0 - 2.0 / (exp(2.0 * u) + 1.0);
    0.5 * x * (1.0 + tanh)
}

/// Gaussian error linear unit, exact.
#[inline]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_double_precision() {
        let mut worst = 0.0_f64;
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let exact = libm::exp(f64::from(x));
            worst = worst.max((f64::from(exp(x)) / exact - 1.0).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1000.0) < 2e-38);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn activations_agree_with_their_definitions() {
        for i in -800..800 {
            let x = i as f32 / 100.0;
            let d = f64::from(x);
            let close = |a: f32, b: f64| {
                assert!((f64::from(a) - b).abs() < 2e-6 * (1.0 + b.abs()), "{x}: {a} {b}");
            };
            close(silu(x), d / (1.0 + libm::exp(-d)));
            close(gelu(x), 0.5 * d * (1.0 + libm::erf(d / std::f64::consts::SQRT_2)));
            let u = (2.0 / std::f64::consts::PI).sqrt() * (d + 0.044715 * d * d * d);
            close(gelu_tanh(x), 0.5 * d * (1.0 + libm::tanh(u)));
        }
    }
}
