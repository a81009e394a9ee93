//! Sixteen bytes and eight words as arrays, for processors without a file here,
//! and the oracle of those with one.

/// Sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bytes([u8; 16]);

/// Eight words of sixteen bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Words([i16; 8]);

impl Bytes {
    pub fn load(from: &[u8; 16]) -> Self {
        Self(*from)
    }

    pub fn and(self, mask: u8) -> Self {
        Self(self.0.map(|b| b & mask))
    }

    pub fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    pub fn shr<const N: u32>(self) -> Self {
        Self(self.0.map(|b| b >> N))
    }

    /// Of bytes that have room for it.
    pub fn shl<const N: u32>(self) -> Self {
        Self(self.0.map(|b| b << N))
    }

    pub fn widen(self) -> [Words; 2] {
        [0, 8].map(|from| Words(std::array::from_fn(|i| i16::from(self.0[from + i]))))
    }

    pub fn widen_signed(self) -> [Words; 2] {
        [0, 8].map(|from| Words(std::array::from_fn(|i| i16::from(self.0[from + i] as i8))))
    }
}

impl Words {
    pub fn splat(value: i16) -> Self {
        Self([value; 8])
    }

    /// From the first eight.
    pub fn load(from: &[i16]) -> Self {
        Self(std::array::from_fn(|i| from[i]))
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
        let (slow, quick) = (Bytes::load(&bytes), fast::Bytes::load(&bytes));
        let words = |w: [fast::Words; 2]| {
            let mut to = [0_i16; 16];
            w[0].store(&mut to[..8]);
            w[1].store(&mut to[8..]);
            to
        };
        let plain = |w: [Words; 2]| {
            let mut to = [0_i16; 16];
            w[0].store(&mut to[..8]);
            w[1].store(&mut to[8..]);
            to
        };
        for (s, q) in [
            (slow, quick),
            (slow.and(15), quick.and(15)),
            (slow.shr::<4>().and(15), quick.shr::<4>().and(15)),
            (slow.shr::<2>().and(3).shl::<4>(), quick.shr::<2>().and(3).shl::<4>()),
            (
                slow.and(1).shl::<4>().or(slow.shr::<4>()),
                quick.and(1).shl::<4>().or(quick.shr::<4>().and(15)),
            ),
        ] {
            assert_eq!(plain(s.widen()), words(q.widen()));
            assert_eq!(plain(s.widen_signed()), words(q.widen_signed()));
        }
        let a: [i16; 8] = std::array::from_fn(|i| i as i16 * 37 - 100);
        let (s, q) = (Words::load(&a), fast::Words::load(&a));
        let s = s.sub(Words::splat(32)).mul(s);
        let q = q.sub(fast::Words::splat(32)).mul(q);
        assert_eq!(plain([s, s]), words([q, q]));
    }
}
