//! AVX2 where the processor has it, else the plain loop.

use super::super::blocks::{GROUP, Width};
use super::super::input::Rows;
use super::super::packed::{CODES, PANEL, Packed, Unpacked};
use super::super::product;
use core::arch::x86_64::*;

/// Eight sums, a weight and an activation of sixteen registers.
pub const BLOCK: usize = 8;

/// Adds `x` times `w` to `sums`, which must be zero.
pub fn block(x: Rows<'_>, w: &Unpacked, sums: &mut [[f32; PANEL]; BLOCK]) {
    if !is_x86_feature_detected!("avx2") {
        return product::plain(x, w, sums);
    }
    // SAFETY: the processor has AVX2.
    unsafe {
        match x.rows {
            8 => rows::<8>(x, w, sums),
            7 => rows::<7>(x, w, sums),
            6 => rows::<6>(x, w, sums),
            5 => rows::<5>(x, w, sums),
            4 => rows::<4>(x, w, sums),
            3 => rows::<3>(x, w, sums),
            2 => rows::<2>(x, w, sums),
            _ => rows::<1>(x, w, sums),
        }
    }
}

#[target_feature(enable = "avx2")]
fn rows<const M: usize>(x: Rows<'_>, w: &Unpacked, sums: &mut [[f32; PANEL]; BLOCK]) {
    let groups = w.scales.len() / PANEL;
    assert!(x.codes.len() >= groups * GROUP * M && w.codes.len() >= groups * CODES);
    assert!(x.scales.len() >= groups * M && x.sums.len() >= groups * M);
    let minima = !w.minima.is_empty();
    assert!(!minima || w.minima.len() >= groups * PANEL);
    let mut total = [_mm256_setzero_ps(); M];
    for g in 0..groups {
        let mut whole = [_mm256_setzero_si256(); M];
        // SAFETY: the assertions above bound every offset.
        unsafe {
            let a = x.codes.as_ptr().add(g * GROUP * M);
            let b = w.codes.as_ptr().add(g * CODES);
            for pair in 0..GROUP / 2 {
                let w = _mm256_loadu_si256(b.add(pair * 16).cast());
                for (i, whole) in whole.iter_mut().enumerate() {
                    let a =
                        _mm256_set1_epi32(a.add(2 * (pair * M + i)).cast::<i32>().read_unaligned());
                    *whole = _mm256_add_epi32(*whole, _mm256_madd_epi16(a, w));
                }
            }
            let scale = _mm256_loadu_ps(w.scales.as_ptr().add(g * PANEL));
            for i in 0..M {
                let a = _mm256_set1_ps(*x.scales.as_ptr().add(g * M + i));
                let whole = _mm256_cvtepi32_ps(whole[i]);
                total[i] = _mm256_add_ps(total[i], _mm256_mul_ps(whole, _mm256_mul_ps(a, scale)));
            }
            if minima {
                let least = _mm256_loadu_ps(w.minima.as_ptr().add(g * PANEL));
                for (i, total) in total.iter_mut().enumerate() {
                    let a = _mm256_set1_ps(*x.sums.as_ptr().add(g * M + i));
                    *total = _mm256_add_ps(*total, _mm256_mul_ps(a, least));
                }
            }
        }
    }
    for (total, sums) in total.iter().zip(sums) {
        // SAFETY: eight floats lie there.
        unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), *total) };
    }
}

/// Adds one row of `x` times a packed panel to `sums`, without unpacking it
/// first; false where the processor or `width` is not made for that.
pub fn single(x: Rows<'_>, w: Packed<'_>, sums: &mut [f32; PANEL]) -> bool {
    if !is_x86_feature_detected!("avx2") {
        return false;
    }
    // SAFETY: the processor has AVX2.
    unsafe {
        match w.width {
            Width::Four => alone::<{ CODES / 2 }>(x, w, sums),
            Width::Eight => alone::<CODES>(x, w, sums),
            _ => return false,
        }
    }
    true
}

/// Groups of `BYTES` bytes: of four bits a code, or of eight.
#[target_feature(enable = "avx2")]
fn alone<const BYTES: usize>(x: Rows<'_>, w: Packed<'_>, sums: &mut [f32; PANEL]) {
    let groups = w.scales.len() / PANEL;
    assert!(x.codes.len() >= groups * GROUP && w.codes.len() >= groups * BYTES);
    assert!(x.scales.len() >= groups && x.sums.len() >= groups);
    let minima = !w.minima.is_empty();
    assert!(!minima || w.minima.len() >= groups * PANEL);
    let zero = _mm256_set1_epi16(w.zero);
    let mut total = _mm256_setzero_ps();
    for g in 0..groups {
        let mut whole = [_mm256_setzero_si256(); 2];
        // SAFETY: the assertions above bound every offset.
        unsafe {
            let a = x.codes.as_ptr().add(g * GROUP);
            let pair = |i: usize| _mm256_set1_epi32(a.add(2 * i).cast::<i32>().read_unaligned());
            let b = w.codes.as_ptr().add(g * BYTES);
            for chunk in 0..BYTES / 16 {
                let bytes = _mm_loadu_si128(b.add(16 * chunk).cast());
                if BYTES == CODES {
                    let codes = _mm256_cvtepi8_epi16(bytes);
                    let sum = _mm256_madd_epi16(pair(chunk), codes);
                    whole[chunk % 2] = _mm256_add_epi32(whole[chunk % 2], sum);
                    continue;
                }
                let low = _mm_and_si128(bytes, _mm_set1_epi8(15));
                let high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
                for (i, codes) in [low, high].into_iter().enumerate() {
                    let codes = _mm256_sub_epi16(_mm256_cvtepu8_epi16(codes), zero);
                    let sum = _mm256_madd_epi16(pair(2 * chunk + i), codes);
                    whole[i] = _mm256_add_epi32(whole[i], sum);
                }
            }
            let whole = _mm256_cvtepi32_ps(_mm256_add_epi32(whole[0], whole[1]));
            let scale = _mm256_loadu_ps(w.scales.as_ptr().add(g * PANEL));
            let scale = _mm256_mul_ps(_mm256_set1_ps(*x.scales.as_ptr().add(g)), scale);
            total = _mm256_add_ps(total, _mm256_mul_ps(whole, scale));
            if minima {
                let least = _mm256_loadu_ps(w.minima.as_ptr().add(g * PANEL));
                let a = _mm256_set1_ps(*x.sums.as_ptr().add(g));
                total = _mm256_add_ps(total, _mm256_mul_ps(a, least));
            }
        }
    }
    // SAFETY: eight floats lie there.
    unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), total) };
}

/// Eight finite half-precision numbers as floats.
#[inline(always)]
pub fn halves(from: &[u16; 8], to: &mut [f32; 8]) {
    // SAFETY: eight numbers lie there, there is room for eight, and every x86-64
    // processor has SSE2.
    unsafe {
        let float = |wide: __m128i| {
            let magnitude = _mm_slli_epi32::<13>(_mm_and_si128(wide, _mm_set1_epi32(0x7fff)));
            let magnitude = _mm_mul_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(super::BIAS));
            let sign = _mm_slli_epi32::<16>(_mm_and_si128(wide, _mm_set1_epi32(0x8000)));
            _mm_or_ps(magnitude, _mm_castsi128_ps(sign))
        };
        let halves = _mm_loadu_si128(from.as_ptr().cast());
        let zero = _mm_setzero_si128();
        _mm_storeu_ps(to.as_mut_ptr(), float(_mm_unpacklo_epi16(halves, zero)));
        _mm_storeu_ps(to.as_mut_ptr().add(4), float(_mm_unpackhi_epi16(halves, zero)));
    }
}

/// Sixteen bytes.
#[derive(Clone, Copy)]
pub struct Bytes(__m128i);

/// Eight words of sixteen bits.
#[derive(Clone, Copy)]
pub struct Words(__m128i);

/// Calls an SSE2 instruction.
macro_rules! sse2 {
    ($e:expr) => {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { $e }
    };
}

impl Bytes {
    #[inline(always)]
    pub fn load(from: &[u8; 16]) -> Self {
        // SAFETY: sixteen bytes lie there.
        Self(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn and(self, mask: u8) -> Self {
        Self(sse2!(_mm_and_si128(self.0, _mm_set1_epi8(mask.cast_signed()))))
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(sse2!(_mm_or_si128(self.0, other.0)))
    }

    /// Bits may come in from the byte above: `and` takes them off.
    #[inline(always)]
    pub fn shr<const N: i32>(self) -> Self {
        Self(sse2!(_mm_srli_epi16::<N>(self.0)))
    }

    /// Of bytes that have room for it.
    #[inline(always)]
    pub fn shl<const N: i32>(self) -> Self {
        Self(sse2!(_mm_slli_epi16::<N>(self.0)))
    }

    #[inline(always)]
    pub fn widen(self) -> [Words; 2] {
        let zero = sse2!(_mm_setzero_si128());
        sse2!([Words(_mm_unpacklo_epi8(self.0, zero)), Words(_mm_unpackhi_epi8(self.0, zero))])
    }

    #[inline(always)]
    pub fn widen_signed(self) -> [Words; 2] {
        // Each byte above itself, then down with its sign.
        let twice = sse2!([_mm_unpacklo_epi8(self.0, self.0), _mm_unpackhi_epi8(self.0, self.0)]);
        twice.map(|t| Words(sse2!(_mm_srai_epi16::<8>(t))))
    }
}

impl Words {
    #[inline(always)]
    pub fn splat(value: i16) -> Self {
        Self(sse2!(_mm_set1_epi16(value)))
    }

    /// From the first eight.
    #[inline(always)]
    pub fn load(from: &[i16]) -> Self {
        assert!(from.len() >= 8);
        // SAFETY: eight words lie there.
        Self(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        Self(sse2!(_mm_sub_epi16(self.0, other.0)))
    }

    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        Self(sse2!(_mm_mullo_epi16(self.0, other.0)))
    }

    /// To the first eight.
    #[inline(always)]
    pub fn store(self, to: &mut [i16]) {
        assert!(to.len() >= 8);
        // SAFETY: there is room for eight words.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), self.0) }
    }
}
