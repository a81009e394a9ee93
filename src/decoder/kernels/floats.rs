//! A matrix of floats, rearranged so that a vector holds the same input of several
//! outputs.
//!
//! As many rows as [`float::panel_width`] make a panel, input by input; the panels
//! lie one after another, in the stored type.

use super::{arch, float};
use candle_core::quantized::GgmlDType;

/// Rows in panels; the last panel is filled up with zeros.
pub struct Floats {
    k: usize,
    width: usize,
    values: Values,
}

enum Values {
    Single(Vec<f32>),
    Half(Vec<u16>),
    Brain(Vec<u16>),
}

impl Floats {
    /// None yet, of `k` inputs, with room for `rows` rows; `None` for types that are no
    /// plain floats.
    pub fn new(k: usize, rows: usize, dtype: GgmlDType) -> Option<Self> {
        let width = float::panel_width();
        let room = rows.next_multiple_of(width) * k;
        let values = match dtype {
            GgmlDType::F32 => Values::Single(Vec::with_capacity(room)),
            GgmlDType::F16 => Values::Half(Vec::with_capacity(room)),
            GgmlDType::BF16 => Values::Brain(Vec::with_capacity(room)),
            _ => return None,
        };
        Some(Self { k, width, values })
    }

    /// Rows in a panel.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Appends rows as a file has them, aligned to four bytes; all rows before must
    /// fill their panels. Whether every value is a number.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let (k, width) = (self.k, self.width);
        match &mut self.values {
            Values::Single(all) => {
                let rows: &[f32] = bytemuck::cast_slice(bytes);
                append(rows, k, width, all);
                rows.iter().all(|v| v.is_finite())
            }
            Values::Half(all) => {
                let rows: &[u16] = bytemuck::cast_slice(bytes);
                append(rows, k, width, all);
                rows.iter().all(|h| h & 0x7c00 != 0x7c00)
            }
            Values::Brain(all) => {
                let rows: &[u16] = bytemuck::cast_slice(bytes);
                append(rows, k, width, all);
                rows.iter().all(|b| b & 0x7f80 != 0x7f80)
            }
        }
    }

    /// Panel `p`, `k` × [`Floats::width`]; `room` is where it is unpacked if it must be.
    pub fn panel<'a>(&'a self, p: usize, room: &'a mut Vec<f32>) -> &'a [f32] {
        let range = p * self.width * self.k..(p + 1) * self.width * self.k;
        match &self.values {
            Values::Single(all) => return &all[range],
            Values::Half(all) => {
                room.resize(range.len(), 0.0);
                let eights = all[range].as_chunks::<8>().0;
                for (from, to) in eights.iter().zip(room.as_chunks_mut::<8>().0) {
                    arch::halves(from, to);
                }
            }
            Values::Brain(all) => {
                room.resize(range.len(), 0.0);
                for (to, b) in room.iter_mut().zip(&all[range]) {
                    *to = f32::from_bits(u32::from(*b) << 16);
                }
            }
        }
        room
    }

    /// Row `row`.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let mut room = vec![];
        let panel = self.panel(row / self.width, &mut room);
        panel.iter().skip(row % self.width).step_by(self.width).copied().collect()
    }
}

/// Appends `rows` to `all` as panels.
fn append<T: Copy + Default>(rows: &[T], k: usize, width: usize, all: &mut Vec<T>) {
    for rows in rows.chunks(width * k) {
        let from = all.len();
        all.resize(from + width * k, T::default());
        float::interleave(rows, k, width, &mut all[from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    #[test]
    fn rows_have_the_bits_of_candle() {
        for dtype in [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16] {
            let (k, rows) = (40, 53);
            // Some too small for a full mantissa in half precision.
            let mut values = naive::noise(rows * k, 3);
            values.iter_mut().step_by(7).for_each(|v| *v *= 1e-6);
            let values = Tensor::from_vec(values, (rows, k), &Device::Cpu);
            let stored = QTensor::quantize(&values.unwrap(), dtype).unwrap();
            let floats = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap();
            let floats: Vec<f32> = floats.to_vec1().unwrap();
            let bytes = stored.data().unwrap().into_owned();
            let mut panels = Floats::new(k, rows, dtype).unwrap();
            // In two parts, as a matrix comes.
            let (first, rest) = bytes.split_at(bytes.len() / rows * 32);
            assert!(panels.push(first) && panels.push(rest));
            for (row, expected) in floats.chunks(k).enumerate() {
                let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
                assert!(panels.row(row).iter().zip(expected).all(same), "{dtype:?} {row}");
            }
        }
        assert!(Floats::new(32, 8, GgmlDType::Q4_0).is_none());
    }

    #[test]
    fn what_is_no_number_is_seen() {
        let wide = [1.0, f32::INFINITY];
        assert!(!Floats::new(2, 1, GgmlDType::F32).unwrap().push(bytemuck::cast_slice(&wide)));
        for (dtype, largest, infinite) in
            [(GgmlDType::F16, 0x7bff_u16, 0xfc00_u16), (GgmlDType::BF16, 0x7f7f, 0xff81)]
        {
            let push = |v: u16| {
                let row = [0, v];
                Floats::new(2, 1, dtype).unwrap().push(bytemuck::cast_slice(&row))
            };
            assert!(push(largest) && !push(infinite), "{dtype:?}");
        }
    }
}
