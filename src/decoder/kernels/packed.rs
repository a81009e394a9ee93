//! Rows of a quantized matrix, rearranged so that a vector holds the same two
//! inputs of several outputs.
//!
//! Eight rows (outputs) make a *panel*, 32 inputs of it a group, whose codes lie as
//! [`super::codes`] says. Nothing is rounded: sizes are those of the file, and
//! [`Panels::row`] gives the bits that candle does.

use super::arch;
use super::blocks::{Block, Format, GROUP, Width};
use super::codes::{eight, five, four, put, six, stride};

/// Rows in a panel.
pub const PANEL: usize = 8;
/// Codes of a group in a panel.
pub const CODES: usize = GROUP * PANEL;

/// A matrix as panels; the last panel is filled up with zeros. All panels lie one
/// after another: one position's products take half as long again where memory is
/// read in many short runs.
pub struct Panels {
    format: Format,
    /// Groups in a row.
    groups: usize,
    /// By panel and group.
    codes: Vec<u8>,
    /// By panel and span: eight scales, then eight minima where there are any.
    halves: Vec<u16>,
    /// By panel and group: eight factors of each kind.
    factors: Vec<[u8; PANEL]>,
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

/// One panel as it is kept.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// How codes are kept.
    pub width: Width,
    /// Taken from every code.
    pub zero: i16,
    /// By group.
    pub codes: &'a [u8],
    /// What the codes are multiplied by.
    pub scales: Scales<'a>,
}

/// Scales of a panel by group, and minima where there are any.
#[derive(Clone, Copy)]
pub enum Scales<'a> {
    /// As the file has them: half-precision scales, for each group.
    Halves(&'a [[u16; PANEL]]),
    /// The same, each followed by the minima.
    Pairs(&'a [[[u16; PANEL]; 2]]),
    /// Scales and minima, unpacked: of groups that have factors of their own.
    Floats(&'a [[f32; PANEL]], &'a [[f32; PANEL]]),
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

impl Panels {
    /// None yet, of `k` inputs, with room for `rows` rows.
    pub fn new(k: usize, rows: usize, format: Format) -> Self {
        let mut new =
            Self { format, groups: k / GROUP, codes: vec![], halves: vec![], factors: vec![] };
        let [codes, halves, factors] = new.sizes().map(|each| rows.div_ceil(PANEL) * each);
        new.codes.reserve_exact(codes);
        new.halves.reserve_exact(halves);
        new.factors.reserve_exact(factors);
        new
    }

    /// Codes, halves and factors of one panel.
    fn sizes(&self) -> [usize; 3] {
        let Format { width, minimum, span, .. } = self.format;
        [
            self.groups * stride(width),
            self.groups / span * (1 + usize::from(minimum)) * PANEL,
            if self.format.factors() { self.groups * 2 } else { 0 },
        ]
    }

    /// Appends `rows` rows of whole blocks as a file has them; all rows before must
    /// fill their panels. Whether every scale and minimum among them is a number;
    /// codes always are.
    pub fn push(&mut self, bytes: &[u8], rows: usize) -> bool {
        let (format, groups) = (self.format, self.groups);
        let (spans, kinds) = (groups / format.span, 1 + usize::from(format.minimum));
        let starts = [self.codes.len(), self.halves.len(), self.factors.len()];
        let [codes, halves, factors] = self.sizes().map(|each| rows.div_ceil(PANEL) * each);
        self.codes.resize(starts[0] + codes, 0);
        self.halves.resize(starts[1] + halves, 0);
        self.factors.resize(starts[2] + factors, [0; PANEL]);
        let (codes, halves) = (&mut self.codes[starts[0]..], &mut self.halves[starts[1]..]);
        let factors = &mut self.factors[starts[2]..];
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
                    put(format.width, &block.codes.as_chunks().0[i], lane, to);
                }
            }
        }
        halves.iter().all(|h| h & 0x7c00 != 0x7c00)
    }

    /// Room for one panel.
    pub fn room(&self) -> Unpacked {
        Unpacked::new(self.groups * GROUP, &self.format)
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

    /// Panel `p` as it is, where no bits of its codes lie in planes of their own; `to`
    /// is room for scales that must be unpacked.
    pub fn packed<'a>(&'a self, p: usize, to: &'a mut Unpacked) -> Option<Packed<'a>> {
        let Format { width, zero, minimum, .. } = self.format;
        if !matches!(width, Width::Four | Width::Eight) {
            return None;
        }
        let scales = if self.format.factors() {
            self.scales(p, to);
            Scales::Floats(to.scales.as_chunks().0, to.minima.as_chunks().0)
        } else if minimum {
            let pairs = self.halves.as_chunks().0.as_chunks().0;
            Scales::Pairs(&pairs[p * self.groups..(p + 1) * self.groups])
        } else {
            let halves = self.halves.as_chunks().0;
            Scales::Halves(&halves[p * self.groups..(p + 1) * self.groups])
        };
        let bytes = self.groups * stride(width);
        let codes = &self.codes[p * bytes..(p + 1) * bytes];
        Some(Packed { width, zero, codes, scales })
    }

    /// Scales and minima of panel `p`.
    fn scales(&self, p: usize, to: &mut Unpacked) {
        let Format { span, minimum, .. } = self.format;
        let each = self.groups / span * (1 + usize::from(minimum));
        let halves = &self.halves.as_chunks::<PANEL>().0[p * each..(p + 1) * each];
        let (pairs, _) = halves.as_chunks::<2>();
        let scales = to.scales.as_chunks_mut::<PANEL>().0;
        let minima = to.minima.as_chunks_mut::<PANEL>().0;
        let factors = self.factors.as_chunks::<2>().0.get(p * self.groups..).unwrap_or(&[]);
        match (self.format.factors(), minimum) {
            (false, false) => halves.iter().zip(scales).for_each(|(h, s)| arch::halves(h, s)),
            (false, true) => {
                for (([s, m], scale), least) in pairs.iter().zip(scales).zip(minima) {
                    arch::halves(s, scale);
                    arch::halves(m, least);
                }
            }
            // The factors are in the codes.
            (true, false) => {
                for (h, scales) in halves.iter().zip(scales.chunks_mut(span)) {
                    let mut scale = [0.0; PANEL];
                    arch::halves(h, &mut scale);
                    scales.fill(scale);
                }
            }
            (true, true) => {
                let groups = scales.chunks_mut(span).zip(minima.chunks_mut(span));
                for (([s, m], groups), factors) in
                    pairs.iter().zip(groups).zip(factors.chunks(span))
                {
                    let mut both = [[0.0; PANEL]; 2];
                    arch::halves(s, &mut both[0]);
                    arch::halves(m, &mut both[1]);
                    for ((scale, least), factors) in groups.0.iter_mut().zip(groups.1).zip(factors)
                    {
                        for i in 0..PANEL {
                            scale[i] = both[0][i] * f32::from(factors[0][i]);
                            least[i] = -(both[1][i] * f32::from(factors[1][i]));
                        }
                    }
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

    /// Panels of some rows as a file has them.
    pub fn panels(bytes: &[u8], k: usize, rows: usize, format: Format) -> Panels {
        let mut panels = Panels::new(k, rows, format);
        assert!(panels.push(bytes, rows));
        panels
    }

    #[test]
    fn rows_have_the_bits_of_candle() {
        for dtype in FORMATS {
            for rows in [1, 8, 21] {
                let (k, format) = (512, Format::of(dtype).unwrap());
                let (bytes, floats) = quantized(rows, k, dtype, rows as u64);
                let mut panels = Panels::new(k, 0, format);
                // In two parts, as a matrix comes.
                let (first, rest) = bytes.split_at(bytes.len() / rows * (rows / 16 * 8));
                assert!(panels.push(first, rows / 16 * 8));
                assert!(panels.push(rest, rows - rows / 16 * 8));
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
            let held = panels(&bytes, k, rows, format).bytes();
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
            assert!(!Panels::new(256, 8, format).push(&bytes, 8), "{dtype:?}");
        }
    }
}
