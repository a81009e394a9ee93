//! Elementary functions with the same bits on every platform.

/// What [`Exp::of`] reckons with.
#[derive(Clone, Copy)]
pub struct Exp {
    bounds: [f32; 2],
    log2_e: f32,
    /// Adding and subtracting 1.5·2²³ rounds to the nearest integer.
    round: f32,
    /// ln 2 in two parts: the first is exact in few bits, so n · it is too.
    ln_2: [f32; 2],
    /// (e^r − 1 − r) / r², highest power first.
    terms: [f32; 4],
    one: f32,
    /// Bits of a float's exponent for 2⁰.
    bias: u32,
}

const EXP: Exp = Exp {
    bounds: [-87.336_54, 88.0],
    log2_e: std::f32::consts::LOG2_E,
    round: 12_582_912.0,
    ln_2: [0.693_359_4, -2.121_944_4e-4],
    terms: [8.312_501e-3, 4.189_033e-2, 1.666_711_6e-1, 4.999_923e-1],
    one: 1.0,
    bias: 127 << 23,
};

impl Exp {
    /// For loops: V8 makes constants anew at every use, which takes twice the time of
    /// the arithmetic, so the compiler must not know that these are any.
    #[inline(always)]
    pub fn opaque() -> Self {
        std::hint::black_box(EXP)
    }

    /// e^x, relative error below 2e-7; 0 below about −87 and capped above 88.
    #[inline(always)]
    pub fn of(&self, x: f32) -> f32 {
        self.below(if x > self.bounds[1] { self.bounds[1] } else { x })
    }

    /// The same for `x` up to 88.
    ///
    /// Cephes' reduction and a minimax polynomial: plain arithmetic only, so that the
    /// compiler can use any vector width without changing a bit.
    #[inline(always)]
    pub fn below(&self, x: f32) -> f32 {
        // Not `clamp`, which asks whether the bounds are in order.
        let x = if x < self.bounds[0] { self.bounds[0] } else { x };
        let rounded = x * self.log2_e + self.round;
        let n = rounded - self.round;
        let r = (x - n * self.ln_2[0]) - n * self.ln_2[1];
        let mut p = self.terms[0];
        for term in &self.terms[1..] {
            p = p * r + term;
        }
        let y = (p * r) * r + r + self.one;
        // The lowest bits of `rounded` are n, and the shift leaves no others: no
        // conversion, which WebAssembly makes of ten instructions. What comes of NaN is
        // multiplied by NaN.
        y * f32::from_bits((rounded.to_bits() << 23).wrapping_add(self.bias))
    }

    /// x · sigmoid(x).
    #[inline(always)]
    pub fn silu(&self, x: f32) -> f32 {
        x / (self.one + self.of(-x))
    }

    /// Gaussian error linear unit with the tanh approximation (Hendrycks and Gimpel, 2016).
    #[inline(always)]
    pub fn gelu_tanh(&self, x: f32) -> f32 {
        let u = 0.797_884_6 * (x + 0.044_715 * x * x * x);
        // tanh(u) = 1 − 2 / (e^2u + 1)
        let tanh = self.one - 2.0 / (self.of(2.0 * u) + self.one);
        0.5 * x * (self.one + tanh)
    }
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
            worst = worst.max((f64::from(EXP.of(x)) / exact - 1.0).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        assert_eq!(EXP.of(0.0), 1.0);
        assert!(EXP.of(-1000.0) < 2e-38);
        assert!(EXP.of(f32::NAN).is_nan());
    }

    #[test]
    fn activations_agree_with_their_definitions() {
        for i in -800..800 {
            let x = i as f32 / 100.0;
            let d = f64::from(x);
            let close = |a: f32, b: f64| {
                assert!((f64::from(a) - b).abs() < 2e-6 * (1.0 + b.abs()), "{x}: {a} {b}");
            };
            close(EXP.silu(x), d / (1.0 + libm::exp(-d)));
            close(gelu(x), 0.5 * d * (1.0 + libm::erf(d / std::f64::consts::SQRT_2)));
            let u = (2.0 / std::f64::consts::PI).sqrt() * (d + 0.044715 * d * d * d);
            close(EXP.gelu_tanh(x), 0.5 * d * (1.0 + libm::tanh(u)));
        }
    }
}
