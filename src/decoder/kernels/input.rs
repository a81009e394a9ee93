//! Activations as whole numbers, for products with quantized weights.

use super::blocks::GROUP;
use super::product::BLOCK;

/// Largest code. Sums over a group must fit 32 bits: 32 inputs, weights to 4096
/// (Q6_K with its factor) and this.
pub const LARGEST: f32 = 16383.0;

/// Rows of activations with one scale for each 32 values, in blocks of
/// [`BLOCK`] rows whose pairs of inputs lie together; the last block may have
/// fewer rows.
pub struct Quantized {
    k: usize,
    rows: usize,
    /// By block: groups × 16 pairs × rows × 2 codes.
    codes: Vec<i16>,
    /// By block: groups × rows; the sums of the codes; and the two multiplied.
    scales: Vec<f32>,
    totals: Vec<i32>,
    sums: Vec<f32>,
}

/// One block of `rows` rows.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub rows: usize,
    pub codes: &'a [i16],
    pub scales: &'a [f32],
    pub totals: &'a [i32],
    pub sums: &'a [f32],
}

impl Quantized {
    /// Quantizes `x`, rows of `k` values; `k` is a multiple of 32.
    pub fn new(x: &[f32], k: usize) -> Self {
        let (rows, groups) = (x.len() / k, k / GROUP);
        let mut q = Self {
            k,
            rows,
            codes: vec![0; x.len()],
            scales: vec![0.0; rows * groups],
            totals: vec![0; rows * groups],
            sums: vec![0.0; rows * groups],
        };
        for (row, x) in x.chunks_exact(k).enumerate() {
            let first = row / BLOCK * BLOCK;
            let (lane, width) = (row - first, BLOCK.min(rows - first));
            let codes = &mut q.codes[first * k..];
            for (g, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
                let (group, scale, sum) = quantize(x);
                let at = first * groups + g * width + lane;
                (q.scales[at], q.totals[at]) = (scale, sum);
                q.sums[at] = scale * sum as f32;
                let to = &mut codes[g * GROUP * width..(g + 1) * GROUP * width];
                for (pair, to) in
                    group.as_chunks::<2>().0.iter().zip(to.chunks_exact_mut(2 * width))
                {
                    to[2 * lane..2 * lane + 2].copy_from_slice(pair);
                }
            }
        }
        q
    }

    /// Values in a row.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Blocks, first to last.
    pub fn blocks(&self) -> impl Iterator<Item = Rows<'_>> {
        let (k, groups) = (self.k, self.k / GROUP);
        (0..self.rows).step_by(BLOCK).map(move |first| {
            let rows = BLOCK.min(self.rows - first);
            let of = |n: usize| first * n..(first + rows) * n;
            Rows {
                rows,
                codes: &self.codes[of(k)],
                scales: &self.scales[of(groups)],
                totals: &self.totals[of(groups)],
                sums: &self.sums[of(groups)],
            }
        })
    }
}

/// Codes of a group, their scale and their sum. A group with a NaN or an
/// infinity gets the scale NaN, so that it shows in the result.
#[inline(always)]
fn quantize(x: &[f32; GROUP]) -> ([i16; GROUP], f32, i32) {
    // Adding and subtracting 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    // The bits of magnitudes stand in the order of their values, NaN above all.
    let largest = x.iter().fold(0, |m, v| m.max(v.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        return ([0; GROUP], f32::NAN, 0);
    }
    // So small that the inverse would overflow: nothing beside any other value.
    if largest < 1e-30 {
        return ([0; GROUP], 0.0, 0);
    }
    let inverse = LARGEST / largest;
    let mut codes = [0_i16; GROUP];
    let mut sum = 0;
    for (code, v) in codes.iter_mut().zip(x) {
        let whole = ((v * inverse + ROUND) - ROUND) as i32;
        *code = whole as i16;
        sum += whole;
    }
    (codes, largest / LARGEST, sum)
}
