//! AVX2 where the processor has it, else the plain loop.

use super::super::blocks::{GROUP, Width};
use super::super::input::Rows;
use super::super::packed::{CODES, PANEL, Packed, Scales, Unpacked};
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
            Width::Four => scaled::<{ CODES / 2 }>(x, w, sums),
            Width::Eight => scaled::<CODES>(x, w, sums),
            _ => return false,
        }
    }
    true
}

#[target_feature(enable = "avx2")]
fn scaled<const BYTES: usize>(x: Rows<'_>, w: Packed<'_>, sums: &mut [f32; PANEL]) {
    // SAFETY: eight floats lie there.
    let load = |f: &[f32; PANEL]| unsafe { _mm256_loadu_ps(f.as_ptr()) };
    let float = |h: &[u16; PANEL]| {
        let mut floats = [0.0; PANEL];
        halves(h, &mut floats);
        load(&floats)
    };
    match w.scales {
        Scales::Halves(scales) => {
            alone::<BYTES>(x, w, scales.len(), sums, |g| (float(&scales[g]), None));
        }
        Scales::Pairs(pairs) => alone::<BYTES>(x, w, pairs.len(), sums, |g| {
            (float(&pairs[g][0]), Some(float(&pairs[g][1])))
        }),
        Scales::Floats(scales, minima) => {
            alone::<BYTES>(x, w, scales.len(), sums, |g| {
                (load(&scales[g]), Some(load(&minima[g])))
            });
        }
    }
}

/// Groups of `BYTES` bytes: of four bits a code, or of eight; `unpack` gives the
/// scales and the minima of one.
#[target_feature(enable = "avx2")]
#[inline]
fn alone<const BYTES: usize>(
    x: Rows<'_>,
    w: Packed<'_>,
    groups: usize,
    sums: &mut [f32; PANEL],
    unpack: impl Fn(usize) -> (__m256, Option<__m256>),
) {
    assert!(x.codes.len() >= groups * GROUP && w.codes.len() >= groups * BYTES);
    assert!(x.scales.len() >= groups && x.sums.len() >= groups && x.totals.len() >= groups);
    let mut total = _mm256_setzero_ps();
    for g in 0..groups {
        // SAFETY: the assertion above: a group of each lies there.
        let whole = unsafe {
            products::<BYTES>(x.codes.as_ptr().add(g * GROUP), w.codes.as_ptr().add(g * BYTES))
        };
        let whole = _mm256_sub_epi32(whole, _mm256_set1_epi32(i32::from(w.zero) * x.totals[g]));
        let (scale, minima) = unpack(g);
        let scale = _mm256_mul_ps(_mm256_set1_ps(x.scales[g]), scale);
        total = _mm256_add_ps(total, _mm256_mul_ps(_mm256_cvtepi32_ps(whole), scale));
        if let Some(least) = minima {
            let a = _mm256_set1_ps(x.sums[g]);
            total = _mm256_add_ps(total, _mm256_mul_ps(a, least));
        }
    }
    // SAFETY: eight floats lie there.
    unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), total) };
}

/// Sums the products of a group, codes taken as they are.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn products<const BYTES: usize>(a: *const i16, b: *const u8) -> __m256i {
    // SAFETY: the caller's.
    let pair = |i: usize| unsafe { _mm256_set1_epi32(a.add(2 * i).cast::<i32>().read_unaligned()) };
    let add = |to: &mut __m256i, pair: __m256i, codes: __m256i| {
        *to = _mm256_add_epi32(*to, _mm256_madd_epi16(pair, codes));
    };
    let mut whole = [_mm256_setzero_si256(); 3];
    if BYTES == CODES {
        for chunk in 0..GROUP / 2 {
            // SAFETY: the caller's; sixteen bytes hold one pair of inputs.
            let bytes = unsafe { _mm_loadu_si128(b.add(16 * chunk).cast()) };
            add(&mut whole[chunk % 3], pair(chunk), _mm256_cvtepi8_epi16(bytes));
        }
        return _mm256_add_epi32(_mm256_add_epi32(whole[0], whole[1]), whole[2]);
    }
    // Codes in the upper nibbles of a byte are left where they are and their sums
    // shifted: 8 products of 16383 and 15 · 256 keep to 32 bits.
    for chunk in 0..4 {
        // SAFETY: the caller's; 32 bytes hold four pairs of inputs.
        let words = unsafe { _mm256_loadu_si256(b.add(32 * chunk).cast()) };
        let masked = |mask: i16| _mm256_and_si256(words, _mm256_set1_epi16(mask));
        add(&mut whole[0], pair(4 * chunk), masked(0x000f));
        add(&mut whole[1], pair(4 * chunk + 1), masked(0x00f0));
        add(&mut whole[2], pair(4 * chunk + 2), masked(0x0f00));
        add(&mut whole[0], pair(4 * chunk + 3), _mm256_srli_epi16::<12>(words));
    }
    let upper =
        _mm256_add_epi32(_mm256_srai_epi32::<4>(whole[1]), _mm256_srai_epi32::<8>(whole[2]));
    _mm256_add_epi32(whole[0], upper)
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

    /// Lower byte first.
    #[inline(always)]
    pub fn from_bytes(from: &[u8; 16]) -> Self {
        // SAFETY: sixteen bytes lie there.
        Self(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }

    /// Signed bytes.
    #[inline(always)]
    pub fn widen(from: &[u8; 16]) -> [Self; 2] {
        let Self(bytes) = Self::from_bytes(from);
        // Each byte above itself, then down with its sign.
        let twice = sse2!([_mm_unpacklo_epi8(bytes, bytes), _mm_unpackhi_epi8(bytes, bytes)]);
        twice.map(|t| Self(sse2!(_mm_srai_epi16::<8>(t))))
    }

    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(sse2!(_mm_and_si128(self.0, other.0)))
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(sse2!(_mm_or_si128(self.0, other.0)))
    }

    /// Zeros come in.
    #[inline(always)]
    pub fn shr<const N: i32>(self) -> Self {
        Self(sse2!(_mm_srli_epi16::<N>(self.0)))
    }

    #[inline(always)]
    pub fn shl<const N: i32>(self) -> Self {
        Self(sse2!(_mm_slli_epi16::<N>(self.0)))
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
