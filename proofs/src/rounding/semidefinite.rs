//! A proof that a symmetric matrix is positive semidefinite, from a factor that nobody has to trust.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};

use super::directed::{add_up, div_up, gamma_up, max, min, mul_up, norm_up, sub_down};
use crate::error::CheckError;

/// Proves that every symmetric `M` with `‖M − matrix‖₂ ≤ error` is positive semidefinite.
///
/// `matrix` is `(n, n)`; its lower half in column-major order is read (which is the upper half in row-major order).
///
/// A floating Cholesky of `matrix − c·I` gives a lower triangular `L`, which is only a hint. Then, with `N` the shifted matrix as stored,
/// `N = L Lᵀ + R ⪰ −‖R‖ I`, and `M ⪰ N + (c' − error) I` where `c'` is the smallest amount by which the diagonal was really lowered. So
/// `‖R‖₂ + error ≤ c'` proves the claim. `R` is bounded by one conventional product: `|fl(L Lᵀ) − L Lᵀ| ≤ γ_n |L||L|ᵀ`, whose norm is at most
/// `γ_n Σ_i ‖ℓ_i‖²`, and `‖·‖₂ ≤ ‖·‖_∞` for the symmetric rest. Nothing is assumed of the factorisation.
///
/// Scale the matrix so that its diagonal is of one size; `c` is chosen from its trace.
///
/// # Errors
///
/// [`CheckError::NotSemidefinite`] if the factorisation breaks down or the residual is too large; the matrix may still be semidefinite.
/// NaN anywhere leads here.
///
/// # Source
///
/// Rump, *Verification of positive definiteness*, BIT 46 (2006), in the variant that bounds the residual after the fact.
pub(crate) fn prove_semidefinite(n: usize, matrix: &[f64], error: f64) -> Result<(), CheckError> {
    if n == 0 {
        return Ok(());
    }
    let trace = (0..n).map(|i| matrix[i * n + i].abs()).sum::<f64>();
    let shift = 1.001 * error + 4.0 * gamma_up(n + 2) * trace + trace * 1e-15;
    let failed = |residual| Err(CheckError::NotSemidefinite { shift, residual });

    let mut shifted = matrix.to_vec();
    let mut lowered = f64::INFINITY;
    for i in 0..n {
        shifted[i * n + i] -= shift;
        lowered = min(lowered, sub_down(matrix[i * n + i], shifted[i * n + i]));
    }
    let mut factor = shifted.clone();
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default()));
    let outcome = cholesky_in_place(
        MatMut::from_column_major_slice_mut(&mut factor, n, n),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    );
    if outcome.is_err() {
        return failed(f64::NAN);
    }
    for column in 1..n {
        factor[column * n..column * n + column].fill(0.0);
    }
    let lower = MatRef::from_column_major_slice(&factor, n, n);
    let mut product = vec![0.0; n * n];
    matmul(
        MatMut::from_column_major_slice_mut(&mut product, n, n),
        BlockStructure::TriangularLower,
        Accum::Replace,
        lower,
        BlockStructure::TriangularLower,
        lower.transpose(),
        BlockStructure::TriangularUpper,
        1.0,
        Par::Seq,
    );

    // Row sums of |N − fl(L Lᵀ)| from the lower half; the plain sums are widened once at the end.
    let mut sums = vec![0.0; n];
    for j in 0..n {
        let mut column_sum = 0.0;
        for i in j..n {
            let entry = (shifted[j * n + i] - product[j * n + i]).abs();
            column_sum += entry;
            if i > j {
                sums[i] += entry;
            }
        }
        sums[j] += column_sum;
    }
    let largest = sums.iter().fold(0.0, |largest, sum| max(largest, *sum));
    // One rounding in the subtraction, at most n + 1 in the sum.
    let rest = div_up(largest, sub_down(1.0, gamma_up(n + 2)));
    let norm = norm_up(&factor);
    let absolute = mul_up((n * n) as f64, f64::MIN_POSITIVE);
    let product_error = add_up(mul_up(gamma_up(n + 2), mul_up(norm, norm)), absolute);
    let residual = add_up(rest, add_up(product_error, error));
    let proved = residual <= lowered;
    if proved { Ok(()) } else { failed(residual) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accept and reject side by side: (diagonal, off-diagonal, error, accepted).
    #[test]
    fn two_by_two_table() {
        for (diagonal, off, error, accepted) in [
            (2.0, 1.0, 0.0, true),
            (2.0, 1.0, 0.9, true),
            (2.0, 1.0, 1.1, false),
            (1.0, 1.0, 0.0, false), // singular: semidefinite, but no float test can show it
            (1.0, 1.0 + 1e-9, 0.0, false),
            (1.0, 1.0 - 1e-9, 0.0, true),
            (0.0, 0.0, 0.0, false),
            (-1.0, 0.0, 0.0, false),
            (f64::NAN, 0.0, 0.0, false),
            (2.0, f64::NAN, 0.0, false),
            (2.0, 1.0, f64::NAN, false),
            (f64::INFINITY, 1.0, 0.0, false),
        ] {
            let matrix = [diagonal, off, off, diagonal];
            assert_eq!(
                prove_semidefinite(2, &matrix, error).is_ok(),
                accepted,
                "{diagonal} {off} {error}"
            );
        }
    }

    #[test]
    fn a_negative_eigenvalue_hidden_in_a_large_matrix_is_found() {
        let n = 60;
        // I − (1 + 1e-9) v vᵀ with v = 1/√n has the eigenvalue −1e-9.
        let entry = -(1.0 + 1e-9) / n as f64;
        let matrix: Vec<f64> = (0..n * n)
            .map(|flat| if flat % n == flat / n { 1.0 + entry } else { entry })
            .collect();
        assert!(matches!(
            prove_semidefinite(n, &matrix, 0.0),
            Err(CheckError::NotSemidefinite { .. })
        ));
        let entry = -(1.0 - 1e-9) / n as f64;
        let matrix: Vec<f64> = (0..n * n)
            .map(|flat| if flat % n == flat / n { 1.0 + entry } else { entry })
            .collect();
        assert_eq!(prove_semidefinite(n, &matrix, 0.0), Ok(()));
    }
}
