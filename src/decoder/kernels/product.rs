//! Quantized activations times quantized weights.
//!
//! Within a group of 32 inputs everything is whole numbers, so the order of
//! addition is free and every processor's widest instruction gives the same
//! sum; groups are then added as floats in ascending order.

use super::arch;
#[cfg(any(test, not(target_arch = "wasm32")))]
use super::blocks::GROUP;
use super::input::Quantized;
#[cfg(any(test, not(target_arch = "wasm32")))]
use super::input::Rows;
#[cfg(any(test, not(target_arch = "wasm32")))]
use super::packed::CODES;
use super::packed::{PANEL, Panels, Unpacked};

/// Positions in a register block.
pub use super::arch::BLOCK;

/// Where a panel's results go: `live` columns from `at` in rows of `n`.
#[derive(Clone, Copy)]
pub struct Columns {
    pub n: usize,
    pub at: usize,
    pub live: usize,
}

/// All positions against one panel.
pub fn panel(x: &Quantized, w: &Unpacked, to: Columns, out: &mut [f32]) {
    for (rows, out) in x.blocks().zip(out.chunks_mut(BLOCK * to.n)) {
        let mut sums = [[0.0_f32; PANEL]; BLOCK];
        arch::block(rows, w, &mut sums);
        for (sums, out) in sums.iter().zip(out.chunks_exact_mut(to.n)) {
            match out[to.at..].first_chunk_mut() {
                // A length known in advance needs no call.
                Some(out) if to.live == PANEL => *out = *sums,
                _ => out[to.at..to.at + to.live].copy_from_slice(&sums[..to.live]),
            }
        }
    }
}

/// One position against a panel as it is kept, where there is a loop for that;
/// else against the panel unpacked. `room` is overwritten.
pub fn single(x: &Quantized, panels: &Panels, p: usize, room: &mut Unpacked) -> [f32; PANEL] {
    let mut sums = [[0.0_f32; PANEL]; BLOCK];
    if let Some(rows) = x.blocks().next() {
        let packed = panels.packed(p, room);
        if !packed.is_some_and(|w| arch::single(rows, w, &mut sums[0])) {
            panels.unpack(p, room);
            arch::block(rows, room, &mut sums);
        }
    }
    sums[0]
}

/// The oracle, one number after another, and the loop of processors without a
/// file in `arch`.
#[cfg(any(test, not(target_arch = "wasm32")))]
pub fn plain(x: Rows<'_>, w: &Unpacked, sums: &mut [[f32; PANEL]]) {
    for g in 0..w.scales.len() / PANEL {
        for (row, sums) in sums.iter_mut().enumerate().take(x.rows) {
            for (lane, total) in sums.iter_mut().enumerate() {
                let mut whole = 0_i32;
                for k in 0..GROUP {
                    let a = x.codes[g * GROUP * x.rows + k / 2 * 2 * x.rows + 2 * row + k % 2];
                    let b = w.codes[g * CODES + k / 2 * 2 * PANEL + 2 * lane + k % 2];
                    whole += i32::from(a) * i32::from(b);
                }
                let at = g * PANEL + lane;
                *total += whole as f32 * (x.scales[g * x.rows + row] * w.scales[at]);
                if let Some(minimum) = w.minima.get(at) {
                    *total += x.sums[g * x.rows + row] * minimum;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Format;
    use super::super::naive;
    use super::super::packed::tests::{FORMATS, panels, quantized};
    use super::*;

    #[test]
    fn every_block_has_the_bits_of_the_oracle() {
        for dtype in FORMATS {
            let (k, format) = (768, Format::of(dtype).unwrap());
            let (bytes, _) = quantized(PANEL, k, dtype, 5);
            let panels = panels(&bytes, k, PANEL, format);
            let mut w = Unpacked::new(k, &format);
            panels.unpack(0, &mut w);
            for rows in 1..=BLOCK {
                let x = Quantized::new(&naive::noise(rows * k, rows as u64), k);
                let (mut fast, mut slow) = ([[0.0; PANEL]; BLOCK], [[0.0; PANEL]; BLOCK]);
                let x = x.blocks().next().unwrap();
                arch::block(x, &w, &mut fast);
                plain(x, &w, &mut slow);
                assert_eq!(fast.map(|r| r.map(f32::to_bits)), slow.map(|r| r.map(f32::to_bits)));
            }
            let x = Quantized::new(&naive::noise(k, 9), k);
            let mut slow = [[0.0; PANEL]; BLOCK];
            plain(x.blocks().next().unwrap(), &w, &mut slow);
            let fast = single(&x, &panels, 0, &mut Unpacked::new(k, &format));
            assert_eq!(fast.map(f32::to_bits), slow[0].map(f32::to_bits), "{dtype:?}");
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        // Codes of −32 times factors of −128 times the largest activations.
        let mut w = Unpacked::new(GROUP, &Format::of(FORMATS[7]).unwrap());
        w.codes.fill(4096);
        w.scales.fill(1.0);
        let x = Quantized::new(&[1.0; GROUP], GROUP);
        let mut sums = [[0.0; PANEL]; BLOCK];
        arch::block(x.blocks().next().unwrap(), &w, &mut sums);
        for sum in sums[0] {
            assert!((sum - 4096.0 * GROUP as f32).abs() < 0.1, "{sum}");
        }
        // The largest codes of four bits, which are summed where they lie, and of eight.
        for (dtype, code) in [(FORMATS[0], 0xff), (FORMATS[1], 0xff), (FORMATS[4], 0x7f)] {
            let format = Format::of(dtype).unwrap();
            let mut bytes = vec![code; PANEL * format.bytes];
            for block in bytes.chunks_mut(format.bytes) {
                // A scale of 1, and a minimum of 1 where there is one.
                block[..2].copy_from_slice(&0x3c00_u16.to_le_bytes());
                if format.minimum {
                    block[2..4].copy_from_slice(&0x3c00_u16.to_le_bytes());
                }
            }
            let panels = panels(&bytes, GROUP, PANEL, format);
            let mut room = Unpacked::new(GROUP, &format);
            let fast = single(&x, &panels, 0, &mut room);
            panels.unpack(0, &mut room);
            let mut slow = [[0.0; PANEL]];
            plain(x.blocks().next().unwrap(), &room, &mut slow);
            assert_eq!(fast.map(f32::to_bits), slow[0].map(f32::to_bits), "{dtype:?}");
            assert!(fast[0] >= 7.0 * GROUP as f32);
        }
    }
}
