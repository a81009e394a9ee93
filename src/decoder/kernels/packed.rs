//! Rows of a quantized matrix, rearranged so that a vector holds the same two
//! inputs of several outputs.
//!
//! Eight rows (outputs) make a *panel*. In it, 32 inputs (a group) of 8 rows are
//! 16 pairs of inputs, a pair being 16 codes: row 0's two, row 1's two, and so
//! on. Codes of four bits lie in 16 bytes for each two pairs, the first pair
//! below; further bits have planes of their own. Nothing is rounded: sizes are
//! those of the file, and [`Panels::row`] gives the bits that candle does.

use super::arch::{self, Bytes, Words};
use super::blocks::{Block, Format, GROUP, Width};

/// Rows in a panel.
pub const PANEL: usize = 8;
/// Codes of a group in a panel.
pub const CODES: usize = GROUP * PANEL;

/// Some rows as panels; the last panel is filled up with zeros.
pub struct Panels {
    format: Format,
    /// Groups in a row.
    groups: usize,
    /// By panel and group.
    codes: Box<[u8]>,
    /// By panel and span: eight scales, then eight minima where there are any.
    halves: Box<[u16]>,
    /// By panel and group: eight factors of each kind.
    factors: Box<[[u8; PANEL]]>,
}

/// One panel, unpacked for [`super::product`].
pub struct Unpacked {
    /// Groups × 16 pairs × 8 rows × 2 inputs.
    pub codes: Vec<i16>,
    /// Groups × 8 rows.
    pub scales: Vec<f32>,
    /// Groups × 8 rows, or nothing.
    pub minima: Vec<f32>,
}

/// One panel as it is kept, with its scales unpacked.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// How codes are kept.
    pub width: Width,
    /// Taken from every code.
    pub zero: i16,
    /// By group.
    pub codes: &'a [u8],
    /// As in [`Unpacked`].
    pub scales: &'a [f32],
    /// As in [`Unpacked`].
    pub minima: &'a [f32],
}

impl Unpacked {
    /// Room for panels of `k` inputs in `format`.
    pub fn new(k: usize, format: &Format) -> Self {
        let groups = k / GROUP;
        Self {
            codes: vec![0; groups * CODES],
            scales: vec![0.0; groups * PANEL],
            minima: vec![0.0; if format.minimum { groups * PANEL } else { 0 }],
        }
    }
}

/// Bytes that a group of a panel takes.
fn stride(width: Width) -> usize {
    match width {
        Width::Four => CODES / 2,
        Width::Five => CODES / 2 + CODES / 8,
        Width::Six => CODES / 2 + CODES / 4,
        Width::Eight => CODES,
    }
}

impl Panels {
    /// From rows of whole blocks as a file has them: `rows` rows of `k` inputs.
    pub fn new(bytes: &[u8], k: usize, rows: usize, format: Format) -> Self {
        let (groups, panels) = (k / GROUP, rows.div_ceil(PANEL));
        let (spans, kinds) = (groups / format.span, 1 + usize::from(format.minimum));
        let mut codes = vec![0; panels * groups * stride(format.width)];
        let mut halves = vec![0; panels * spans * kinds * PANEL];
        let mut factors = vec![[0; PANEL]; if format.factors() { panels * groups * 2 } else { 0 }];
        let mut block = Block::ZERO;
        let mut blocks = bytes.chunks_exact(format.bytes);
        for row in 0..rows {
            let (panel, lane) = (row / PANEL, row % PANEL);
            for span in 0..spans {
                let Some(bytes) = blocks.next() else { continue };
                format.read(bytes, &mut block);
                for kind in 0..kinds {
                    halves[((panel * spans + span) * kinds + kind) * PANEL + lane] =
                        block.halves[kind];
                }
                for i in 0..format.span {
                    let group = panel * groups + span * format.span + i;
                    if format.factors() {
                        factors[2 * group][lane] = block.factors[i][0];
                        factors[2 * group + 1][lane] = block.factors[i][1];
                    }
                    let to = &mut codes[group * stride(format.width)..][..stride(format.width)];
                    for (k, code) in block.codes[i * GROUP..(i + 1) * GROUP].iter().enumerate() {
                        put(format.width, to, k, lane, *code);
                    }
                }
            }
        }
        Self { format, groups, codes: codes.into(), halves: halves.into(), factors: factors.into() }
    }

    /// Whether every scale and minimum is a number; codes always are.
    pub fn is_finite(&self) -> bool {
        self.halves.iter().all(|h| h & 0x7c00 != 0x7c00)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.codes.len() + 2 * self.halves.len() + PANEL * self.factors.len()
    }

    /// Unpacks panel `p`.
    pub fn unpack(&self, p: usize, to: &mut Unpacked) {
        self.scales(p, to);
        let bytes = stride(self.format.width);
        let from = &self.codes[p * self.groups * bytes..][..self.groups * bytes];
        let zero = self.format.zero;
        let groups = from.chunks_exact(bytes).zip(to.codes.as_chunks_mut::<CODES>().0);
        match self.format.width {
            Width::Four => groups.for_each(|(from, to)| four(from, zero, to)),
            Width::Five => groups.for_each(|(from, to)| five(from, zero, to)),
            Width::Eight => groups.for_each(|(from, to)| eight(from, to)),
            Width::Six => {
                let factors = self.factors[2 * p * self.groups..].as_chunks::<2>().0;
                groups.zip(factors).for_each(|((from, to), f)| six(from, zero, f, to));
            }
        }
    }

    /// Panel `p` with its codes as they are; `to` is room for the rest.
    pub fn packed<'a>(&'a self, p: usize, to: &'a mut Unpacked) -> Packed<'a> {
        self.scales(p, to);
        let bytes = self.groups * stride(self.format.width);
        Packed {
            width: self.format.width,
            zero: self.format.zero,
            codes: &self.codes[p * bytes..(p + 1) * bytes],
            scales: &to.scales,
            minima: &to.minima,
        }
    }

    /// Scales and minima of panel `p`.
    fn scales(&self, p: usize, to: &mut Unpacked) {
        let span = self.format.span;
        let kinds = 1 + usize::from(self.format.minimum);
        let spans = self.groups / span;
        let eights = self.halves.as_chunks::<PANEL>().0[p * spans * kinds..].iter();
        let mut eights = eights.take(spans * kinds);
        let scales = to.scales.as_chunks_mut::<PANEL>().0;
        let minima = to.minima.as_chunks_mut::<PANEL>().0;
        if !self.format.factors() || kinds == 1 {
            for (g, scale) in scales.chunks_mut(span).enumerate() {
                eights.next().into_iter().for_each(|e| arch::halves(e, &mut scale[0]));
                let (first, rest) = scale.split_at_mut(1);
                rest.fill(first[0]);
                if let (Some(least), 2) = (minima.get_mut(g), kinds) {
                    eights.next().into_iter().for_each(|e| arch::halves(e, least));
                }
            }
            return;
        }
        let factors = self.factors[2 * p * self.groups..].as_chunks::<2>().0;
        let groups = scales.chunks_mut(span).zip(minima.chunks_mut(span));
        for ((scales, minima), factors) in groups.zip(factors.chunks(span)) {
            let mut both = [[0.0; PANEL]; 2];
            for (both, halves) in both.iter_mut().zip(&mut eights) {
                arch::halves(halves, both);
            }
            for ((scale, least), factors) in scales.iter_mut().zip(minima).zip(factors) {
                for i in 0..PANEL {
                    scale[i] = both[0][i] * f32::from(factors[0][i]);
                    least[i] = -(both[1][i] * f32::from(factors[1][i]));
                }
            }
        }
    }

    /// Row `row` as floats, with the bits of candle's unpacking.
    pub fn row(&self, row: usize, unpacked: &mut Unpacked) -> Vec<f32> {
        self.unpack(row / PANEL, unpacked);
        let lane = row % PANEL;
        (0..self.groups * GROUP)
            .map(|k| {
                let code = f32::from(unpacked.codes[k / 2 * 2 * PANEL + 2 * lane + k % 2]);
                let at = k / GROUP * PANEL + lane;
                let value = code * unpacked.scales[at];
                unpacked.minima.get(at).map_or(value, |m| value + m)
            })
            .collect()
    }
}

/// Puts the code of input `k` of a group and row `lane` of a panel into its place.
fn put(width: Width, to: &mut [u8], k: usize, lane: usize, code: u8) {
    let (pair, within) = (k / 2, 2 * lane + k % 2);
    if width == Width::Eight {
        to[pair * 16 + within] = code;
        return;
    }
    let (chunk, upper) = (pair / 2, pair % 2);
    to[chunk * 16 + within] |= (code & 15) << (4 * upper);
    let planes = &mut to[CODES / 2..];
    match width {
        Width::Five => planes[upper * 16 + within] |= (code >> 4 & 1) << chunk,
        Width::Six => {
            planes[(2 * upper + chunk / 4) * 16 + within] |= (code >> 4 & 3) << (2 * (chunk % 4));
        }
        _ => {}
    }
}

/// Writes sixteen codes less `zero`.
#[inline(always)]
fn put_codes(codes: Bytes, zero: Words, to: &mut [i16]) {
    let (low, high) = to.split_at_mut(8);
    for (words, to) in codes.widen().into_iter().zip([low, high]) {
        words.sub(zero).store(to);
    }
}

#[inline(always)]
fn eight(from: &[u8], to: &mut [i16; CODES]) {
    for (from, to) in from.as_chunks::<16>().0.iter().zip(to.as_chunks_mut::<16>().0) {
        let (low, high) = to.split_at_mut(8);
        for (words, to) in Bytes::load(from).widen_signed().into_iter().zip([low, high]) {
            words.store(to);
        }
    }
}

#[inline(always)]
fn four(from: &[u8], zero: i16, to: &mut [i16; CODES]) {
    let zero = Words::splat(zero);
    for (from, to) in from.as_chunks::<16>().0.iter().zip(to.as_chunks_mut::<32>().0) {
        let from = Bytes::load(from);
        put_codes(from.and(15), zero, &mut to[..16]);
        put_codes(from.shr::<4>().and(15), zero, &mut to[16..]);
    }
}

#[inline(always)]
fn five(from: &[u8], zero: i16, to: &mut [i16; CODES]) {
    let (from, _) = from.as_chunks::<16>();
    let zero = Words::splat(zero);
    // The bit of the next chunk is always the lowest.
    let mut planes = [Bytes::load(&from[8]), Bytes::load(&from[9])];
    for (from, to) in from[..8].iter().zip(to.as_chunks_mut::<32>().0) {
        let from = Bytes::load(from);
        let fifth = planes.map(|p| p.and(1).shl::<4>());
        put_codes(from.and(15).or(fifth[0]), zero, &mut to[..16]);
        put_codes(from.shr::<4>().and(15).or(fifth[1]), zero, &mut to[16..]);
        planes = planes.map(|p| p.shr::<1>());
    }
}

#[inline(always)]
fn six(from: &[u8], zero: i16, factors: &[[u8; PANEL]; 2], to: &mut [i16; CODES]) {
    let (from, _) = from.as_chunks::<16>();
    let zero = Words::splat(zero);
    for (half, to) in to.as_chunks_mut::<{ CODES / 2 }>().0.iter_mut().enumerate() {
        // Each row's factor for its two inputs; at most 32 · 128 keeps to 16 bits.
        let mut each = [0_i16; 16];
        for (i, each) in each.iter_mut().enumerate() {
            *each = i16::from(factors[half][i / 2] as i8);
        }
        let each = [Words::load(&each[..8]), Words::load(&each[8..])];
        // The bits of the next chunk are always the lowest.
        let mut planes = [Bytes::load(&from[8 + half]), Bytes::load(&from[10 + half])];
        for (from, to) in from[4 * half..4 * half + 4].iter().zip(to.as_chunks_mut::<32>().0) {
            let from = Bytes::load(from);
            let codes = [from.and(15), from.shr::<4>().and(15)];
            for (i, to) in to.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let words = codes[i].or(planes[i].and(3).shl::<4>()).widen();
                let (low, high) = to.split_at_mut(8);
                words[0].sub(zero).mul(each[0]).store(low);
                words[1].sub(zero).mul(each[1]).store(high);
            }
            planes = planes.map(|p| p.shr::<2>());
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::naive;
    use super::*;
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    /// The formats that are packed.
    pub const FORMATS: [GgmlDType; 8] = [
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
    ];

    /// Seeded rows as a file has them, and as candle unpacks them.
    pub fn quantized(rows: usize, k: usize, dtype: GgmlDType, seed: u64) -> (Vec<u8>, Vec<f32>) {
        let values = Tensor::from_vec(naive::noise(rows * k, seed), (rows, k), &Device::Cpu);
        let stored = QTensor::quantize(&values.unwrap(), dtype).unwrap();
        let floats = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap();
        (stored.data().unwrap().into_owned(), floats.to_vec1().unwrap())
    }

    #[test]
    fn rows_have_the_bits_of_candle() {
        for dtype in FORMATS {
            for rows in [1, 8, 21] {
                let (k, format) = (512, Format::of(dtype).unwrap());
                let (bytes, floats) = quantized(rows, k, dtype, rows as u64);
                let panels = Panels::new(&bytes, k, rows, format);
                assert!(panels.is_finite());
                let mut unpacked = Unpacked::new(k, &format);
                for (row, expected) in floats.chunks(k).enumerate() {
                    let found = panels.row(row, &mut unpacked);
                    for (a, b) in found.iter().zip(expected) {
                        assert!(a.to_bits() == b.to_bits() || a == b, "{dtype:?} {row}: {a} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_are_those_of_the_file() {
        for dtype in FORMATS {
            let (k, rows, format) = (512, 32, Format::of(dtype).unwrap());
            let (bytes, _) = quantized(rows, k, dtype, 1);
            let held = Panels::new(&bytes, k, rows, format).bytes();
            assert!(held <= bytes.len() * 21 / 20, "{dtype:?}: {held} of {}", bytes.len());
        }
    }

    #[test]
    fn infinite_scales_are_seen() {
        for dtype in FORMATS {
            let format = Format::of(dtype).unwrap();
            let (mut bytes, _) = quantized(8, 256, dtype, 3);
            let at = if dtype == GgmlDType::Q6K { 208 } else { 0 };
            bytes[at..at + 2].copy_from_slice(&0x7c00_u16.to_le_bytes());
            assert!(!Panels::new(&bytes, 256, 8, format).is_finite(), "{dtype:?}");
        }
    }
}
