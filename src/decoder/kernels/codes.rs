//! The codes of a group of eight rows: how they lie in a panel, and how they come out.
//!
//! A group is 16 pairs of inputs, a pair being two vectors of eight codes: two each
//! of rows 0 to 3, then of rows 4 to 7. Of codes of four bits, a vector of
//! sixteen-bit words holds four pairs, the first one lowest, so that a mask or one
//! shift gives codes as wide as the products need them; further bits have planes of
//! their own.

use super::arch::Words;
use super::blocks::{GROUP, Width};
use super::packed::{CODES, PANEL};
use std::hint::black_box;

/// Bytes that a group of a panel takes.
pub fn stride(width: Width) -> usize {
    match width {
        Width::Four => CODES / 2,
        Width::Five => CODES / 2 + CODES / 8,
        Width::Six => CODES / 2 + CODES / 4,
        Width::Eight => CODES,
    }
}

/// Puts a group's codes of row `lane` of a panel into their places.
pub fn put(width: Width, codes: &[u8; GROUP], lane: usize, to: &mut [u8]) {
    let (half, within) = (lane / 4, lane % 4);
    if width == Width::Eight {
        for (pair, to) in codes.as_chunks::<2>().0.iter().zip(to.chunks_exact_mut(16)) {
            to[half * 8 + 2 * within..][..2].copy_from_slice(pair);
        }
        return;
    }
    // Vectors of words, each of which holds bits of several pairs: two words, one for
    // each input of a pair, are of one row.
    let (nibbles, planes) = to.split_at_mut(CODES / 2);
    let set = |to: &mut [u8], vector: usize, words: [u16; 2]| {
        let to = &mut to[16 * vector + 4 * within..][..4];
        to[..2].copy_from_slice(&words[0].to_le_bytes());
        to[2..].copy_from_slice(&words[1].to_le_bytes());
    };
    for (i, eight) in codes.as_chunks::<8>().0.iter().enumerate() {
        set(nibbles, 2 * i + half, words(eight, |code, pair| (code & 15) << (4 * pair)));
    }
    match width {
        Width::Five => set(planes, half, words(codes, |code, pair| (code >> 4 & 1) << pair)),
        Width::Six => {
            for (i, part) in codes.as_chunks::<{ GROUP / 2 }>().0.iter().enumerate() {
                set(planes, 2 * i + half, words(part, |code, pair| (code >> 4 & 3) << (2 * pair)));
            }
        }
        Width::Four | Width::Eight => {}
    }
}

/// The bits that `field` takes of the first and of the second code of every pair.
#[inline(always)]
fn words<const N: usize>(codes: &[u8; N], field: impl Fn(u16, usize) -> u16) -> [u16; 2] {
    let mut words = [0; 2];
    for (pair, codes) in codes.as_chunks::<2>().0.iter().enumerate() {
        words[0] |= field(u16::from(codes[0]), pair);
        words[1] |= field(u16::from(codes[1]), pair);
    }
    words
}

#[inline(always)]
pub fn eight(from: &[u8], to: &mut [i16; CODES]) {
    for (from, to) in from.as_chunks::<16>().0.iter().zip(to.as_chunks_mut::<16>().0) {
        let (low, high) = to.split_at_mut(8);
        for (words, to) in Words::widen(from).into_iter().zip([low, high]) {
            words.store(to);
        }
    }
}

/// A mask as a value that is kept: V8 would make a constant anew at every use.
#[inline(always)]
fn mask(bits: i16) -> Words {
    black_box(Words::splat(bits))
}

/// The four pairs that a vector holds; `low` is a mask of four bits.
#[inline(always)]
fn nibbles(from: &[u8; 16], low: Words) -> [Words; 4] {
    let words = Words::from_bytes(from);
    [words.and(low), words.shr::<4>().and(low), words.shr::<8>().and(low), words.shr::<12>()]
}

#[inline(always)]
pub fn four(from: &[u8], zero: i16, to: &mut [i16; CODES]) {
    let (zero, low) = (Words::splat(zero), mask(15));
    let (from, _) = from.as_chunks::<16>();
    for (from, to) in from.as_chunks::<2>().0.iter().zip(to.as_chunks_mut::<64>().0) {
        for (half, from) in from.iter().enumerate() {
            for (pair, codes) in nibbles(from, low).into_iter().enumerate() {
                codes.sub(zero).store(&mut to[16 * pair + 8 * half..]);
            }
        }
    }
}

#[inline(always)]
pub fn five(from: &[u8], zero: i16, to: &mut [i16; CODES]) {
    let (zero, low, bit) = (Words::splat(zero), mask(15), mask(1));
    let (from, _) = from.as_chunks::<16>();
    // The bit of the next pair is always the lowest.
    let mut planes = [Words::from_bytes(&from[8]), Words::from_bytes(&from[9])];
    for (from, to) in from[..8].as_chunks::<2>().0.iter().zip(to.as_chunks_mut::<64>().0) {
        for (half, (from, plane)) in from.iter().zip(&mut planes).enumerate() {
            for (pair, codes) in nibbles(from, low).into_iter().enumerate() {
                let codes = codes.or(plane.and(bit).shl::<4>());
                codes.sub(zero).store(&mut to[16 * pair + 8 * half..]);
                *plane = plane.shr::<1>();
            }
        }
    }
}

#[inline(always)]
pub fn six(from: &[u8], zero: i16, factors: &[[u8; PANEL]; 2], to: &mut [i16; CODES]) {
    let (from, _) = from.as_chunks::<16>();
    let (zero, low, bits) = (Words::splat(zero), mask(15), mask(3));
    for (part, to) in to.as_chunks_mut::<{ CODES / 2 }>().0.iter_mut().enumerate() {
        // Each row's factor for its two inputs; at most 32 · 128 keeps to 16 bits.
        let mut each = [0_i16; 16];
        for (i, each) in each.iter_mut().enumerate() {
            *each = i16::from(factors[part][i / 2] as i8);
        }
        let each = [Words::load(&each[..8]), Words::load(&each[8..])];
        // The bits of the next pair are always the lowest.
        let mut planes = [8, 9].map(|i| Words::from_bytes(&from[i + 2 * part]));
        let codes = from[4 * part..4 * part + 4].as_chunks::<2>().0;
        for (from, to) in codes.iter().zip(to.as_chunks_mut::<64>().0) {
            for (half, (from, plane)) in from.iter().zip(&mut planes).enumerate() {
                for (pair, codes) in nibbles(from, low).into_iter().enumerate() {
                    let codes = codes.or(plane.and(bits).shl::<4>()).sub(zero).mul(each[half]);
                    codes.store(&mut to[16 * pair + 8 * half..]);
                    *plane = plane.shr::<2>();
                }
            }
        }
    }
}
