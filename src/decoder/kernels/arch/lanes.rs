//! Eight words as an array, for processors without a file here, and the oracle
//! of those with one.

/// Eight words of sixteen bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Words([i16; 8]);

impl Words {
    pub fn splat(value: i16) -> Self {
        Self([value; 8])
    }

    /// From the first eight.
    pub fn load(from: &[i16]) -> Self {
        Self(std::array::from_fn(|i| from[i]))
    }

    /// Lower byte first.
    pub fn from_bytes(from: &[u8; 16]) -> Self {
        Self(std::array::from_fn(|i| i16::from_le_bytes([from[2 * i], from[2 * i + 1]])))
    }

    /// Signed bytes.
    pub fn widen(from: &[u8; 16]) -> [Self; 2] {
        [0, 8].map(|at| Self(std::array::from_fn(|i| i16::from(from[at + i] as i8))))
    }

    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    pub fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Zeros come in.
    pub fn shr<const N: u32>(self) -> Self {
        Self(self.0.map(|w| (w.cast_unsigned() >> N).cast_signed()))
    }

    pub fn shl<const N: u32>(self) -> Self {
        Self(self.0.map(|w| w << N))
    }

    pub fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_sub(other.0[i])))
    }

    pub fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_mul(other.0[i])))
    }

    /// To the first eight.
    pub fn store(self, to: &mut [i16]) {
        to[..8].copy_from_slice(&self.0);
    }
}

/// Eight finite half-precision numbers as floats.
pub fn halves(from: &[u16; 8], to: &mut [f32; 8]) {
    for (to, half) in to.iter_mut().zip(from) {
        let magnitude = f32::from_bits(u32::from(half & 0x7fff) << 13) * super::BIAS;
        *to = f32::from_bits(magnitude.to_bits() | u32::from(half & 0x8000) << 16);
    }
}

#[cfg(test)]
mod tests {
    use super::super as fast;
    use super::*;

    #[test]
    fn halves_become_what_they_are() {
        let finite: Vec<u16> = (0..=u16::MAX).filter(|b| b & 0x7c00 != 0x7c00).collect();
        for eight in finite.as_chunks::<8>().0 {
            let (mut slow, mut quick) = ([0.0; 8], [0.0; 8]);
            halves(eight, &mut slow);
            fast::halves(eight, &mut quick);
            assert_eq!(slow.map(f32::to_bits), quick.map(f32::to_bits));
            for (bits, value) in eight.iter().zip(slow) {
                let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
                let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
                let magnitude = if exponent == 0 {
                    fraction * libm::exp2(-24.0)
                } else {
                    (1024.0 + fraction) * libm::exp2(f64::from(exponent - 25))
                };
                assert_eq!(f64::from(value), sign * magnitude, "{bits:04x}");
            }
        }
    }

    #[test]
    fn vectors_do_what_arrays_do() {
        let bytes: [u8; 16] = std::array::from_fn(|i| (i as u8).wrapping_mul(53).wrapping_add(200));
        let a: [i16; 8] = std::array::from_fn(|i| i as i16 * 37 - 100);
        /// The same steps on either kind.
        macro_rules! steps {
            ($words:ty) => {{
                let (w, a) = (<$words>::from_bytes(&bytes), <$words>::load(&a));
                let [low, high] = <$words>::widen(&bytes);
                let all = [
                    w,
                    low,
                    high,
                    w.and(<$words>::splat(15)),
                    w.and(<$words>::splat(0x0f00)),
                    w.shr::<4>().and(<$words>::splat(15)),
                    w.shr::<12>(),
                    w.and(<$words>::splat(1)).shl::<4>().or(w.shr::<8>().and(<$words>::splat(15))),
                    a.sub(<$words>::splat(32)).mul(a),
                ];
                let mut to = vec![0_i16; 8 * all.len()];
                for (words, to) in all.into_iter().zip(to.chunks_exact_mut(8)) {
                    words.store(to);
                }
                to
            }};
        }
        assert_eq!(steps!(Words), steps!(fast::Words));
    }
}
