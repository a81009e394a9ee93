//! WebAssembly's 128-bit vectors: four outputs' pairs of inputs in each.

use super::super::blocks::{GROUP, Width};
use super::super::input::Rows;
use super::super::packed::{CODES, PANEL, Packed, Unpacked};
use core::arch::wasm32::*;

/// Eight sums, two weights and an activation fit sixteen registers.
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
    for g in 0..groups {
        let mut whole = [[i32x4_splat(0); 2]; M];
        // SAFETY: the assertions above bound every offset.
        unsafe {
            let a = x.codes.as_ptr().add(g * GROUP * M);
            let b = w.codes.as_ptr().add(g * CODES);
            for pair in 0..GROUP / 2 {
                let low = v128_load(b.add(pair * 16).cast());
                let high = v128_load(b.add(pair * 16 + 8).cast());
                for (i, whole) in whole.iter_mut().enumerate() {
                    let a = v128_load32_splat(a.add(2 * (pair * M + i)).cast());
                    whole[0] = i32x4_add(whole[0], i32x4_dot_i16x8(a, low));
                    whole[1] = i32x4_add(whole[1], i32x4_dot_i16x8(a, high));
                }
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
    match (w.width, w.zero) {
        (Width::Four, 0) => alone::<{ CODES / 2 }>(x, w, sums, four::<0>),
        (Width::Four, 8) => alone::<{ CODES / 2 }>(x, w, sums, four::<8>),
        (Width::Eight, 0) => alone::<CODES>(x, w, sums, eight),
        _ => return false,
    }
    true
}

/// `group` sums the products of a group: activations at its first argument,
/// `BYTES` bytes of codes at its second.
#[inline(always)]
fn alone<const BYTES: usize>(
    x: Rows<'_>,
    w: Packed<'_>,
    sums: &mut [f32; PANEL],
    group: unsafe fn(*const i16, *const u8) -> [v128; 2],
) {
    let groups = w.scales.len() / PANEL;
    assert!(x.codes.len() >= groups * GROUP && w.codes.len() >= groups * BYTES);
    assert!(x.scales.len() >= groups && x.sums.len() >= groups);
    let minima = !w.minima.is_empty();
    assert!(!minima || w.minima.len() >= groups * PANEL);
    let mut total = [f32x4_splat(0.0); 2];
    for g in 0..groups {
        // SAFETY: the assertions above bound every offset.
        unsafe {
            let whole = group(x.codes.as_ptr().add(g * GROUP), w.codes.as_ptr().add(g * BYTES));
            let a = f32x4_splat(*x.scales.as_ptr().add(g));
            for (h, total) in total.iter_mut().enumerate() {
                let scale = v128_load(w.scales.as_ptr().add(g * PANEL + 4 * h).cast());
                let whole = f32x4_convert_i32x4(whole[h]);
                *total = f32x4_add(*total, f32x4_mul(whole, f32x4_mul(a, scale)));
            }
            if minima {
                let a = f32x4_splat(*x.sums.as_ptr().add(g));
                for (h, total) in total.iter_mut().enumerate() {
                    let least = v128_load(w.minima.as_ptr().add(g * PANEL + 4 * h).cast());
                    *total = f32x4_add(*total, f32x4_mul(a, least));
                }
            }
        }
    }
    // SAFETY: eight floats lie there.
    unsafe {
        v128_store(sums.as_mut_ptr().cast(), total[0]);
        v128_store(sums.as_mut_ptr().add(4).cast(), total[1]);
    }
}

#[inline(always)]
unsafe fn four<const ZERO: i8>(a: *const i16, b: *const u8) -> [v128; 2] {
    let zero = i32x4_splat(0);
    let mut whole = [[zero; 2]; 2];
    for chunk in 0..8 {
        // SAFETY: the caller's; sixteen bytes hold two pairs of inputs.
        let (bytes, pairs) = unsafe {
            let pair = |i: usize| v128_load32_splat(a.add(4 * chunk + 2 * i).cast());
            (v128_load(b.add(16 * chunk).cast()), [pair(0), pair(1)])
        };
        let codes = [v128_and(bytes, u8x16_splat(15)), u8x16_shr(bytes, 4)];
        for (i, whole) in whole.iter_mut().enumerate() {
            let codes = if ZERO == 0 { codes[i] } else { i8x16_sub(codes[i], i8x16_splat(ZERO)) };
            let halves = [i16x8_extend_low_i8x16(codes), i16x8_extend_high_i8x16(codes)];
            for (h, whole) in whole.iter_mut().enumerate() {
                *whole = i32x4_add(*whole, i32x4_dot_i16x8(pairs[i], halves[h]));
            }
        }
    }
    [i32x4_add(whole[0][0], whole[1][0]), i32x4_add(whole[0][1], whole[1][1])]
}

#[inline(always)]
unsafe fn eight(a: *const i16, b: *const u8) -> [v128; 2] {
    let zero = i32x4_splat(0);
    let mut whole = [[zero; 2]; 2];
    for pair in 0..GROUP / 2 {
        // SAFETY: the caller's; sixteen bytes hold one pair of inputs.
        let (codes, a) = unsafe {
            (v128_load(b.add(16 * pair).cast()), v128_load32_splat(a.add(2 * pair).cast()))
        };
        let halves = [i16x8_extend_low_i8x16(codes), i16x8_extend_high_i8x16(codes)];
        for h in 0..2 {
            whole[pair % 2][h] = i32x4_add(whole[pair % 2][h], i32x4_dot_i16x8(a, halves[h]));
        }
    }
    [i32x4_add(whole[0][0], whole[1][0]), i32x4_add(whole[0][1], whole[1][1])]
}

/// Eight finite half-precision numbers as floats.
#[inline(always)]
pub fn halves(from: &[u16; 8], to: &mut [f32; 8]) {
    let float = |wide: v128| {
        let magnitude = u32x4_shl(v128_and(wide, u32x4_splat(0x7fff)), 13);
        let magnitude = f32x4_mul(magnitude, f32x4_splat(super::BIAS));
        v128_or(magnitude, u32x4_shl(v128_and(wide, u32x4_splat(0x8000)), 16))
    };
    // SAFETY: eight numbers lie there, and there is room for eight.
    unsafe {
        let halves = v128_load(from.as_ptr().cast());
        v128_store(to.as_mut_ptr().cast(), float(u32x4_extend_low_u16x8(halves)));
        v128_store(to.as_mut_ptr().add(4).cast(), float(u32x4_extend_high_u16x8(halves)));
    }
}

/// Sixteen bytes.
#[derive(Clone, Copy)]
pub struct Bytes(v128);

/// Eight words of sixteen bits.
#[derive(Clone, Copy)]
pub struct Words(v128);

impl Bytes {
    #[inline(always)]
    pub fn load(from: &[u8; 16]) -> Self {
        // SAFETY: sixteen bytes lie there.
        Self(unsafe { v128_load(from.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn and(self, mask: u8) -> Self {
        Self(v128_and(self.0, u8x16_splat(mask)))
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(v128_or(self.0, other.0))
    }

    /// Bits may come in from the byte above: `and` takes them off.
    #[inline(always)]
    pub fn shr<const N: u32>(self) -> Self {
        Self(u16x8_shr(self.0, N))
    }

    /// Of bytes that have room for it.
    #[inline(always)]
    pub fn shl<const N: u32>(self) -> Self {
        Self(u16x8_shl(self.0, N))
    }

    #[inline(always)]
    pub fn widen(self) -> [Words; 2] {
        [Words(u16x8_extend_low_u8x16(self.0)), Words(u16x8_extend_high_u8x16(self.0))]
    }

    #[inline(always)]
    pub fn widen_signed(self) -> [Words; 2] {
        [Words(i16x8_extend_low_i8x16(self.0)), Words(i16x8_extend_high_i8x16(self.0))]
    }
}

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
