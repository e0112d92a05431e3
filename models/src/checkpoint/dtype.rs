//! Element types and their exact widening to float64.

use std::fmt;

use half::{bf16, f16};
use serde::Serialize;

/// Type of the elements of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE half precision.
    Float16,
    /// The upper half of a float32.
    Bfloat16,
    /// IEEE single precision.
    Float32,
    /// IEEE double precision.
    Float64,
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
}

impl Dtype {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Float16 | Self::Bfloat16 | Self::Uint16 | Self::Int16 => 2,
            Self::Float32 | Self::Uint32 | Self::Int32 => 4,
            Self::Float64 | Self::Uint64 | Self::Int64 => 8,
        }
    }

    /// Whether the elements are floating-point numbers, the only ones that a network may hold.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float16 | Self::Bfloat16 | Self::Float32 | Self::Float64)
    }

    /// Appends the little-endian floats in `bytes` to `out`, each widened exactly; NaN and infinities pass.
    ///
    /// Other element types append nothing; a rest of fewer bytes than one element is ignored.
    pub(crate) fn widen(self, bytes: &[u8], out: &mut Vec<f64>) {
        match self {
            Self::Float16 => out.extend(bytes.as_chunks().0.iter().map(|b| f64::from(f16::from_le_bytes(*b)))),
            Self::Bfloat16 => out.extend(bytes.as_chunks().0.iter().map(|b| f64::from(bf16::from_le_bytes(*b)))),
            Self::Float32 => out.extend(bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)))),
            Self::Float64 => out.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b))),
            _ => {}
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Bool => "bool",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn every_half_widens_to_the_number_that_its_bits_say() {
        for bits in 0..=u16::MAX {
            let mut out = Vec::new();
            Dtype::Bfloat16.widen(&bits.to_le_bytes(), &mut out);
            let expected = f64::from(f32::from_bits(u32::from(bits) << 16));
            assert!(same(out[0], expected), "{bits:#x}");
            Dtype::Float16.widen(&bits.to_le_bytes(), &mut out);
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let expected = match exponent {
                0 => sign * mantissa * 2f64.powi(-24),
                31 if mantissa == 0.0 => sign * f64::INFINITY,
                31 => f64::NAN,
                _ => sign * (1024.0 + mantissa) * 2f64.powi(exponent - 25),
            };
            assert!(same(out[1], expected), "{bits:#x}");
        }
    }
}
