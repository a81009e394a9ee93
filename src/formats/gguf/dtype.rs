//! ggml's numbers of tensor types.

use candle_core::quantized::GgmlDType;

/// ggml's number of a type, or the name of one that is not supported.
pub fn named(n: u32) -> Result<GgmlDType, String> {
    use GgmlDType::{
        BF16, F16, F32, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8_1, Q8K,
    };
    let name = match n {
        0 => return Ok(F32),
        1 => return Ok(F16),
        2 => return Ok(Q4_0),
        3 => return Ok(Q4_1),
        6 => return Ok(Q5_0),
        7 => return Ok(Q5_1),
        8 => return Ok(Q8_0),
        9 => return Ok(Q8_1),
        10 => return Ok(Q2K),
        11 => return Ok(Q3K),
        12 => return Ok(Q4K),
        13 => return Ok(Q5K),
        14 => return Ok(Q6K),
        15 => return Ok(Q8K),
        30 => return Ok(BF16),
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return Err(format!("type {n}")),
    };
    Err(name.to_owned())
}
