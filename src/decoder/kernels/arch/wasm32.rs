//! WebAssembly's 128-bit vectors: four outputs' pairs of inputs in each.

use super::super::blocks::{GROUP, Width};
use super::super::input::Rows;
use super::super::packed::{CODES, PANEL, Packed, Scales, Unpacked};
use core::arch::wasm32::*;
use std::hint::black_box;

/// Eight sums, two weights, an activation and a product fit V8's fifteen registers.
pub const BLOCK: usize = 4;

/// Adds `x` times `w` to `sums`.
pub fn block(x: Rows<'_>, w: &Unpacked, sums: &mut [[f32; PANEL]; BLOCK]) {
    match x.rows {
        4 => rows::<4>(x, w, sums),
        3 => rows::<3>(x, w, sums),
        2 => rows::<2>(x, w, sums),
        _ => rows::<1>(x, w, sums),
    }
}

#[inline(always)]
fn rows<const M: usize>(x: Rows<'_>, w: &Unpacked, sums: &mut [[f32; PANEL]; BLOCK]) {
    let groups = w.scales.len() / PANEL;
    assert!(x.codes.len() >= groups * GROUP * M && w.codes.len() >= groups * CODES);
    assert!(x.scales.len() >= groups * M && x.sums.len() >= groups * M);
    let minima = !w.minima.is_empty();
    assert!(!minima || w.minima.len() >= groups * PANEL);
    let zero = f32x4_splat(0.0);
    let mut total = [[zero; 2]; M];
    let pairs = black_box(GROUP / 2);
    for g in 0..groups {
        let mut whole = [[i32x4_splat(0); 2]; M];
        // SAFETY: the assertions above bound every offset.
        unsafe {
            let mut a = x.codes.as_ptr().add(g * GROUP * M);
            let mut b = w.codes.as_ptr().add(g * CODES);
            for _ in 0..pairs {
                let (low, high) = (v128_load(b.cast()), v128_load(b.add(8).cast()));
                for (i, whole) in whole.iter_mut().enumerate() {
                    let a = v128_load32_splat(a.add(2 * i).cast());
                    whole[0] = i32x4_add(whole[0], i32x4_dot_i16x8(a, low));
                    whole[1] = i32x4_add(whole[1], i32x4_dot_i16x8(a, high));
                }
                (a, b) = (a.add(2 * M), b.add(16));
            }
            let scale = w.scales.as_ptr().add(g * PANEL);
            let scale = [v128_load(scale.cast()), v128_load(scale.add(4).cast())];
            for (i, (total, whole)) in total.iter_mut().zip(&whole).enumerate() {
                let a = v128_load32_splat(x.scales.as_ptr().add(g * M + i).cast());
                for (h, total) in total.iter_mut().enumerate() {
                    let whole = f32x4_convert_i32x4(whole[h]);
                    *total = f32x4_add(*total, f32x4_mul(whole, f32x4_mul(a, scale[h])));
                }
            }
            if minima {
                let least = w.minima.as_ptr().add(g * PANEL);
                let least = [v128_load(least.cast()), v128_load(least.add(4).cast())];
                for (i, total) in total.iter_mut().enumerate() {
                    let a = v128_load32_splat(x.sums.as_ptr().add(g * M + i).cast());
                    for (h, total) in total.iter_mut().enumerate() {
                        *total = f32x4_add(*total, f32x4_mul(a, least[h]));
                    }
                }
            }
        }
    }
    for (total, sums) in total.iter().zip(sums) {
        // SAFETY: eight floats lie there.
        unsafe {
            v128_store(sums.as_mut_ptr().cast(), total[0]);
            v128_store(sums.as_mut_ptr().add(4).cast(), total[1]);
        }
    }
}

/// Adds one row of `x` times a packed panel to `sums`, without unpacking it
/// first; false where `width` is not made for that.
pub fn single(x: Rows<'_>, w: Packed<'_>, sums: &mut [f32; PANEL]) -> bool {
    match w.width {
        Width::Four => scaled::<{ CODES / 2 }>(x, w, sums, (four, shifted)),
        Width::Eight => scaled::<CODES>(x, w, sums, (eight, added)),
        _ => return false,
    }
    true
}

/// Adds products of activations and bytes of codes.
type Step = unsafe fn(*const i16, *const u8, &[v128; 3], &mut [[v128; 3]; 2]);
/// The sums of a group of what the steps added.
type Finish = fn([[v128; 3]; 2]) -> [v128; 2];

#[inline(always)]
fn scaled<const BYTES: usize>(
    x: Rows<'_>,
    w: Packed<'_>,
    sums: &mut [f32; PANEL],
    group: (Step, Finish),
) {
    let load = |f: &[f32; PANEL]| {
        // SAFETY: eight floats lie there.
        unsafe { [v128_load(f.as_ptr().cast()), v128_load(f.as_ptr().add(4).cast())] }
    };
    match w.scales {
        Scales::Halves(scales) => {
            alone::<BYTES>(x, w, scales.len(), sums, group, |g| (floats(&scales[g]), None));
        }
        Scales::Pairs(pairs) => alone::<BYTES>(x, w, pairs.len(), sums, group, |g| {
            (floats(&pairs[g][0]), Some(floats(&pairs[g][1])))
        }),
        Scales::Floats(scales, minima) => {
            alone::<BYTES>(x, w, scales.len(), sums, group, |g| {
                (load(&scales[g]), Some(load(&minima[g])))
            });
        }
    }
}

/// `step` adds the products of a quarter of a group, `BYTES / 4` bytes of codes;
/// `unpack` gives a group's scales and its minima.
#[inline(always)]
fn alone<const BYTES: usize>(
    x: Rows<'_>,
    w: Packed<'_>,
    groups: usize,
    sums: &mut [f32; PANEL],
    (step, finish): (Step, Finish),
    unpack: impl Fn(usize) -> ([v128; 2], Option<[v128; 2]>),
) {
    assert!(x.codes.len() >= groups * GROUP && w.codes.len() >= groups * BYTES);
    assert!(x.scales.len() >= groups && x.sums.len() >= groups && x.totals.len() >= groups);
    let zero = i32x4_splat(0);
    let mut total = [f32x4_splat(0.0); 2];
    // Were they known, the compiler would unroll the quarters, put all sums of the
    // first half before those of the second and keep the activations in memory; and
    // V8 would make the masks anew every time.
    let quarters = black_box(4);
    let masks = black_box([0x000f, 0x00f0, 0x0f00].map(|m| u16x8_splat(m)));
    let (mut a, mut b) = (x.codes.as_ptr(), w.codes.as_ptr());
    for g in 0..groups {
        let mut whole = [[zero; 3]; 2];
        for _ in 0..quarters {
            // SAFETY: the assertion above: four quarters of each group lie there.
            unsafe {
                step(a, b, &masks, &mut whole);
                (a, b) = (a.add(GROUP / 4), b.add(BYTES / 4));
            }
        }
        let zeros = i32x4_splat(i32::from(w.zero) * x.totals[g]);
        let whole = finish(whole).map(|sum| i32x4_sub(sum, zeros));
        let (scale, minima) = unpack(g);
        let a = f32x4_splat(x.scales[g]);
        for (h, total) in total.iter_mut().enumerate() {
            let whole = f32x4_convert_i32x4(whole[h]);
            *total = f32x4_add(*total, f32x4_mul(whole, f32x4_mul(a, scale[h])));
        }
        if let Some(least) = minima {
            let a = f32x4_splat(x.sums[g]);
            for (h, total) in total.iter_mut().enumerate() {
                *total = f32x4_add(*total, f32x4_mul(a, least[h]));
            }
        }
    }
    // SAFETY: eight floats lie there.
    unsafe {
        v128_store(sums.as_mut_ptr().cast(), total[0]);
        v128_store(sums.as_mut_ptr().add(4).cast(), total[1]);
    }
}

/// Codes in the upper nibbles of a byte are left where they are and their sums
/// shifted: 8 products of 16383 and 15 · 256 keep to 32 bits.
#[inline(always)]
unsafe fn four(a: *const i16, b: *const u8, masks: &[v128; 3], whole: &mut [[v128; 3]; 2]) {
    // SAFETY: the caller's; two vectors hold four pairs of inputs.
    let pair = |i: usize| unsafe { v128_load32_splat(a.add(2 * i).cast()) };
    let pairs = [pair(0), pair(1), pair(2), pair(3)];
    for (h, whole) in whole.iter_mut().enumerate() {
        // SAFETY: as above.
        let words = unsafe { v128_load(b.add(16 * h).cast()) };
        let mut add = |to: usize, pair: usize, codes: v128| {
            whole[to] = i32x4_add(whole[to], i32x4_dot_i16x8(pairs[pair], codes));
        };
        add(0, 0, v128_and(words, masks[0]));
        add(1, 1, v128_and(words, masks[1]));
        add(2, 2, v128_and(words, masks[2]));
        add(0, 3, u16x8_shr(words, 12));
    }
}

#[inline(always)]
fn shifted(whole: [[v128; 3]; 2]) -> [v128; 2] {
    whole.map(|[low, middle, high]| {
        i32x4_add(low, i32x4_add(i32x4_shr(middle, 4), i32x4_shr(high, 8)))
    })
}

#[inline(always)]
unsafe fn eight(a: *const i16, b: *const u8, _: &[v128; 3], whole: &mut [[v128; 3]; 2]) {
    for pair in 0..4 {
        // SAFETY: the caller's; sixteen bytes hold one pair of inputs.
        let (codes, a) = unsafe {
            (v128_load(b.add(16 * pair).cast()), v128_load32_splat(a.add(2 * pair).cast()))
        };
        let halves = [i16x8_extend_low_i8x16(codes), i16x8_extend_high_i8x16(codes)];
        for h in 0..2 {
            whole[h][pair % 2] = i32x4_add(whole[h][pair % 2], i32x4_dot_i16x8(a, halves[h]));
        }
    }
}

#[inline(always)]
fn added(whole: [[v128; 3]; 2]) -> [v128; 2] {
    whole.map(|[a, b, _]| i32x4_add(a, b))
}

#[inline(always)]
fn floats(from: &[u16; 8]) -> [v128; 2] {
    let float = |wide: v128| {
        // The sign is in every bit above the fifteenth: one of them is kept.
        let bits = v128_and(i32x4_shl(wide, 13), u32x4_splat(0x8fff_e000));
        f32x4_mul(bits, f32x4_splat(super::BIAS))
    };
    // SAFETY: eight numbers lie there.
    let halves = unsafe { v128_load(from.as_ptr().cast()) };
    [float(i32x4_extend_low_i16x8(halves)), float(i32x4_extend_high_i16x8(halves))]
}

/// Eight finite half-precision numbers as floats.
#[inline(always)]
pub fn halves(from: &[u16; 8], to: &mut [f32; 8]) {
    let [low, high] = floats(from);
    // SAFETY: there is room for eight.
    unsafe {
        v128_store(to.as_mut_ptr().cast(), low);
        v128_store(to.as_mut_ptr().add(4).cast(), high);
    }
}

/// Eight words of sixteen bits.
#[derive(Clone, Copy)]
pub struct Words(v128);

impl Words {
    #[inline(always)]
    pub fn splat(value: i16) -> Self {
        Self(i16x8_splat(value))
    }

    /// From the first eight.
    #[inline(always)]
    pub fn load(from: &[i16]) -> Self {
        assert!(from.len() >= 8);
        // SAFETY: eight words lie there.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    /// Lower byte first.
    #[inline(always)]
    pub fn from_bytes(from: &[u8; 16]) -> Self {
        // SAFETY: sixteen bytes lie there.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    /// Signed bytes.
    #[inline(always)]
    pub fn widen(from: &[u8; 16]) -> [Self; 2] {
        let Self(bytes) = Self::from_bytes(from);
        [Self(i16x8_extend_low_i8x16(bytes)), Self(i16x8_extend_high_i8x16(bytes))]
    }

    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(v128_and(self.0, other.0))
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(v128_or(self.0, other.0))
    }

    /// Zeros come in.
    #[inline(always)]
    pub fn shr<const N: u32>(self) -> Self {
        Self(u16x8_shr(self.0, N))
    }

    #[inline(always)]
    pub fn shl<const N: u32>(self) -> Self {
        Self(u16x8_shl(self.0, N))
    }

    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        Self(i16x8_sub(self.0, other.0))
    }

    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        Self(i16x8_mul(self.0, other.0))
    }

    /// To the first eight.
    #[inline(always)]
    pub fn store(self, to: &mut [i16]) {
        assert!(to.len() >= 8);
        // SAFETY: there is room for eight words.
        unsafe { v128_store(to.as_mut_ptr().cast(), self.0) }
    }
}
