//! Symmetric matrices as vectors: the order of the triangle and the factor `√2`, here and nowhere else.
//!
//! The upper triangle is read column by column, `(0, 0), (0, 1), (1, 1), (0, 2), …`, and entries off the diagonal are multiplied by `√2`, so that
//! `svec(A) · svec(B) = ⟨A, B⟩`. `(i, j)` and `(j, i)` are the same entry.

use std::f64::consts::SQRT_2;

use nalgebra::DMatrix;

/// The number of entries of `svec` of an `(n, n)` matrix.
pub(crate) const fn length(n: usize) -> usize {
    n * (n + 1) / 2
}

/// Where the entry `(row, col)` lies.
pub(crate) fn index(row: usize, col: usize) -> usize {
    let (row, col) = (row.min(col), row.max(col));
    length(col) + row
}

/// What the entry `(row, col)` is multiplied by.
pub(crate) fn factor(row: usize, col: usize) -> f64 {
    if row == col { 1.0 } else { SQRT_2 }
}

/// The symmetric `(n, n)` matrix with this `svec`; rounds once an entry off the diagonal.
///
/// # Panics
///
/// If there are fewer than [`length`] entries.
pub(crate) fn unpack(packed: &[f64], n: usize) -> DMatrix<f64> {
    DMatrix::from_fn(n, n, |row, col| packed[index(row, col)] / factor(row, col))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `svec(A)`, from the upper triangle of a square matrix; NaN and infinities pass through.
    fn pack(matrix: &DMatrix<f64>) -> Vec<f64> {
        let n = matrix.ncols();
        let mut packed = Vec::with_capacity(length(n));
        for col in 0..n {
            packed.extend((0..=col).map(|row| factor(row, col) * matrix[(row, col)]));
        }
        packed
    }

    fn symmetric(n: usize) -> impl Strategy<Value = DMatrix<f64>> {
        prop::collection::vec(-10.0..10.0_f64, n * n).prop_map(move |entries| {
            let square = DMatrix::from_vec(n, n, entries);
            &square + square.transpose()
        })
    }

    fn pair() -> impl Strategy<Value = (DMatrix<f64>, DMatrix<f64>)> {
        (0_usize..7).prop_flat_map(|n| (symmetric(n), symmetric(n)))
    }

    proptest! {
        /// Entries stay below 20, sums below 49 · 400; three roundings an entry and one a sum.
        #[test]
        fn the_inner_product_is_preserved((a, b) in pair()) {
            let packed: f64 = pack(&a).iter().zip(pack(&b)).map(|(x, y)| x * y).sum();
            prop_assert!((packed - a.dot(&b)).abs() <= 100.0 * 49.0 * 400.0 * f64::EPSILON);
        }

        /// `√2` is multiplied and divided: two roundings.
        #[test]
        fn a_matrix_comes_back((a, _) in pair()) {
            let back = unpack(&pack(&a), a.ncols());
            prop_assert!((&back - &a).amax() <= 2.0 * f64::EPSILON * 20.0 || a.is_empty());
        }
    }

    #[test]
    fn the_order_is_upper_by_columns() {
        let matrix = DMatrix::from_row_slice(3, 3, &[1.0, 2.0, 4.0, 2.0, 3.0, 5.0, 4.0, 5.0, 6.0]);
        let packed: Vec<f64> = pack(&matrix)
            .iter()
            .enumerate()
            .map(|(k, v)| v / [1.0, SQRT_2][usize::from(![0, 2, 5].contains(&k))])
            .collect();
        for (found, expected) in packed.iter().zip(1..=6) {
            assert!((found - f64::from(expected)).abs() <= 8.0 * f64::EPSILON, "{packed:?}");
        }
        assert_eq!((index(2, 0), index(0, 2), length(3)), (3, 3, 6));
    }
}
