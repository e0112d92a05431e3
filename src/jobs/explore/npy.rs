//! A matrix as the bytes of a `.npy` file, bit for bit.

use crate::results::Counterexample;

/// The weight of a counterexample, float64, as NumPy reads it.
///
/// # Source
///
/// The NPY format, version 1.0: magic, length of the header, header padded to a multiple of 64, little-endian numbers.
#[must_use]
pub fn to_npy(counterexample: &Counterexample) -> Vec<u8> {
    let rows = &counterexample.weight;
    let cols = rows.first().map_or(0, Vec::len);
    let mut header = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {cols}), }}",
        rows.len()
    );
    // Magic, version and length take ten bytes, the line feed one.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
    bytes
}
