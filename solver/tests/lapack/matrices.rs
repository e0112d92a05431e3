//! Matrices, and arrays that hold them.

use nalgebra::DMatrix;

pub(crate) const SIZES: [usize; 10] = [1, 2, 3, 4, 5, 6, 8, 16, 17, 40];

/// Entries in `[−1, 1)` that depend on the seed.
pub(crate) fn random(rows: usize, cols: usize, seed: u64) -> DMatrix<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    DMatrix::from_fn(rows, cols, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// What an array holds where no routine may write. Finite: arithmetic on NaN would leave NaN and hide a write.
pub(crate) const OUTSIDE: f64 = 1e6;

/// Columns of `rows + 3` entries, [`OUTSIDE`] where the matrix is not.
pub(crate) fn stored(matrix: &DMatrix<f64>) -> (Vec<f64>, i32) {
    let lead = matrix.nrows() + 3;
    let mut data = vec![OUTSIDE; lead * matrix.ncols()];
    for (column, entries) in data.chunks_exact_mut(lead).zip(matrix.column_iter()) {
        column[..matrix.nrows()].copy_from_slice(entries.as_slice());
    }
    (data, lead as i32)
}

/// The matrix in such an array; whatever lies outside must be as it was.
pub(crate) fn read(data: &[f64], lead: i32, rows: usize, cols: usize) -> DMatrix<f64> {
    let lead = lead as usize;
    for (k, value) in data.iter().enumerate() {
        assert!(k % lead < rows || value.to_bits() == OUTSIDE.to_bits(), "written outside");
    }
    DMatrix::from_fn(rows, cols, |i, j| data[j * lead + i])
}

/// Whether an entry lies in a triangle.
pub(crate) fn inside(uplo: u8, i: usize, j: usize) -> bool {
    i == j || (i < j) == (uplo == b'U')
}

/// The triangle, and [`OUTSIDE`] elsewhere.
pub(crate) fn triangle(uplo: u8, matrix: &DMatrix<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| {
        if inside(uplo, i, j) { matrix[(i, j)] } else { OUTSIDE }
    })
}

pub(crate) fn assert_near(found: &DMatrix<f64>, expected: &DMatrix<f64>, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape());
    for (a, b) in found.iter().zip(expected.iter()) {
        assert!((a - b).abs() <= tolerance, "{a} {b}");
    }
}

/// A matrix and its transpose if `trans` says that the transpose is stored.
pub(crate) fn turned(trans: u8, matrix: &DMatrix<f64>) -> DMatrix<f64> {
    if trans == b'N' { matrix.clone() } else { matrix.transpose() }
}
