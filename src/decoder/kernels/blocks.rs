//! GGUF's block formats, read into codes and scales.
//!
//! The layouts are facts of the format (ggml's `block_q4_0` and its like);
//! candle's own unpacking is the oracle in the tests of `packed`.

use candle_core::quantized::GgmlDType;

/// Inputs that share a scale here. Q6_K shares one among sixteen and multiplies
/// it into the codes.
pub const GROUP: usize = 32;

/// How wide a code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Four bits.
    Four,
    /// Four bits and one of a plane of their own.
    Five,
    /// Four bits and two of a plane of their own.
    Six,
    /// A signed byte.
    Eight,
}

/// What a format's values are made of: (code − `zero`) · scale (+ minimum).
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Width of a code.
    pub width: Width,
    /// Taken from every code.
    pub zero: i16,
    /// Whether a minimum is added.
    pub minimum: bool,
    /// Groups that share the half-precision scale.
    pub span: usize,
    /// Bytes of a block of `span` groups.
    pub bytes: usize,
    /// How the bytes lie.
    read: fn(&[u8], &mut Block),
}

/// `span` groups of one row: eight at the most.
pub struct Block {
    /// One code for each input.
    pub codes: [u8; 8 * GROUP],
    /// Half-precision scale and minimum.
    pub halves: [u16; 2],
    /// What they are multiplied by in each group: for the scale and for the
    /// minimum, or (Q6_K, signed) for the first and the second sixteen inputs.
    pub factors: [[u8; 2]; 8],
}

impl Block {
    /// A block of zeros.
    pub const ZERO: Self = Self { codes: [0; 8 * GROUP], halves: [0; 2], factors: [[0; 2]; 8] };
}

impl Format {
    /// The format of `dtype`; `None` where it is kept as candle has it.
    pub fn of(dtype: GgmlDType) -> Option<Self> {
        let format = |width, zero, minimum, span, bytes, read| {
            Some(Self { width, zero, minimum, span, bytes, read })
        };
        match dtype {
            GgmlDType::Q4_0 => format(Width::Four, 8, false, 1, 18, q4_0),
            GgmlDType::Q4_1 => format(Width::Four, 0, true, 1, 20, q4_1),
            GgmlDType::Q5_0 => format(Width::Five, 16, false, 1, 22, q5_0),
            GgmlDType::Q5_1 => format(Width::Five, 0, true, 1, 24, q5_1),
            GgmlDType::Q8_0 => format(Width::Eight, 0, false, 1, 34, q8_0),
            GgmlDType::Q4K => format(Width::Four, 0, true, 8, 144, q4_k),
            GgmlDType::Q5K => format(Width::Five, 0, true, 8, 176, q5_k),
            GgmlDType::Q6K => format(Width::Six, 32, false, 8, 210, q6_k),
            _ => None,
        }
    }

    /// Whether groups have factors of their own.
    pub fn factors(&self) -> bool {
        self.span > 1
    }

    /// Reads one block of [`Format::bytes`] bytes.
    pub fn read(&self, bytes: &[u8], block: &mut Block) {
        (self.read)(bytes, block);
    }
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Sixteen bytes of nibbles: the low ones are the first sixteen codes.
fn nibbles(bytes: &[u8], codes: &mut [u8]) {
    for (i, b) in bytes.iter().enumerate() {
        codes[i] = b & 15;
        codes[i + bytes.len()] = b >> 4;
    }
}

/// The fifth bit of 32 codes.
fn fifth(bits: &[u8], codes: &mut [u8]) {
    for (i, code) in codes.iter_mut().enumerate() {
        *code |= (bits[i / 8] >> (i % 8) & 1) << 4;
    }
}

fn q4_0(b: &[u8], to: &mut Block) {
    to.halves[0] = half(b, 0);
    nibbles(&b[2..18], &mut to.codes[..GROUP]);
}

fn q4_1(b: &[u8], to: &mut Block) {
    to.halves = [half(b, 0), half(b, 2)];
    nibbles(&b[4..20], &mut to.codes[..GROUP]);
}

fn q5_0(b: &[u8], to: &mut Block) {
    to.halves[0] = half(b, 0);
    nibbles(&b[6..22], &mut to.codes[..GROUP]);
    fifth(&b[2..6], &mut to.codes[..GROUP]);
}

fn q5_1(b: &[u8], to: &mut Block) {
    to.halves = [half(b, 0), half(b, 2)];
    nibbles(&b[8..24], &mut to.codes[..GROUP]);
    fifth(&b[4..8], &mut to.codes[..GROUP]);
}

fn q8_0(b: &[u8], to: &mut Block) {
    to.halves[0] = half(b, 0);
    to.codes[..GROUP].copy_from_slice(&b[2..34]);
}

/// Eight pairs of six-bit factors in twelve bytes.
fn factors(s: &[u8], to: &mut Block) {
    for (j, factors) in to.factors.iter_mut().enumerate() {
        *factors = if j < 4 {
            [s[j] & 63, s[j + 4] & 63]
        } else {
            [s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4]
        };
    }
}

fn q4_k(b: &[u8], to: &mut Block) {
    to.halves = [half(b, 0), half(b, 2)];
    factors(&b[4..16], to);
    for (bytes, codes) in b[16..144].chunks_exact(32).zip(to.codes.chunks_exact_mut(64)) {
        nibbles(bytes, codes);
    }
}

fn q5_k(b: &[u8], to: &mut Block) {
    to.halves = [half(b, 0), half(b, 2)];
    factors(&b[4..16], to);
    for (bytes, codes) in b[48..176].chunks_exact(32).zip(to.codes.chunks_exact_mut(64)) {
        nibbles(bytes, codes);
    }
    for (j, codes) in to.codes.chunks_exact_mut(GROUP).enumerate() {
        for (code, bits) in codes.iter_mut().zip(&b[16..48]) {
            *code |= (bits >> j & 1) << 4;
        }
    }
}

fn q6_k(b: &[u8], to: &mut Block) {
    let (low, high, scales) = (&b[..128], &b[128..192], &b[192..208]);
    to.halves[0] = half(b, 208);
    for (j, codes) in to.codes.chunks_exact_mut(GROUP).enumerate() {
        // Four groups to each half of the block; two share their low bytes.
        let (part, group) = (j / 4, j % 4);
        for (l, code) in codes.iter_mut().enumerate() {
            let byte = low[part * 64 + group % 2 * 32 + l];
            let four = if group < 2 { byte & 15 } else { byte >> 4 };
            *code = four | (high[part * 32 + l] >> (2 * group) & 3) << 4;
        }
        to.factors[j] = [scales[2 * j], scales[2 * j + 1]];
    }
}
