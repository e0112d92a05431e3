//! Rule `common-condition`.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::common_condition::{Condition, Objective, inflate_up, relative_gap_up};
use lipcert_proofs::statement::Matrix;
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{exact, flat, matrices, matrix, vector};

fn ones(n: usize) -> Objective {
    Objective::Weighted(vec![1.0; n])
}

/// The least eigenvalue of `diag(t) − A Aᵀ`, by nalgebra.
fn approx_least(weight: &Matrix, t: &[f64]) -> f64 {
    let a = DMatrix::from_row_slice(weight.rows(), weight.cols(), weight.data());
    (DMatrix::from_diagonal(&DMatrix::from_column_slice(t.len(), 1, t).column(0).into_owned()) - &a * a.transpose())
        .symmetric_eigenvalues()
        .min()
}

#[test]
fn the_worked_example() {
    let v = vector("residual_lmi");
    // W is (3, 4) there; its transpose has one row an entry of T.
    let w = flat(&v["W"]);
    let turned = matrix(4, 3, (0..12).map(|k| w[k % 3 * 4 + k / 3]).collect());
    let condition = Condition::new(&turned).expect("a Gram matrix");
    let t = flat(&v["min_trace_T"]);
    let inflated = inflate_up(&t, 1e-7);
    assert!(condition.check(&inflated).is_ok());
    assert!(
        condition
            .check(&t.iter().map(|t| t * (1.0 - 1e-6)).collect::<Vec<_>>())
            .is_err()
    );
    // Row sums are proved without a factor.
    assert_eq!(
        condition.check(&inflate_up(&flat(&v["SLL_T"]), 1e-12)),
        Ok("diagonal-dominance")
    );
    let norm = flat(&v["CPL_T"])[0];
    assert_eq!(condition.check(&[norm * (1.0 + 1e-9); 4]), Ok("cholesky"));
}

#[test]
fn accept_and_reject() {
    let weight = matrix(3, 2, vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
    let condition = Condition::new(&weight).expect("a Gram matrix");
    assert_eq!(condition.active(), [true, true, false]);
    assert!(condition.check(&[1.0 + 1e-12, 4.0 + 1e-11, 0.0]).is_ok());
    for (t, index) in [([0.0, 5.0, 1.0], 0), ([2.0, -5.0, 1.0], 1), ([2.0, 5.0, -1.0], 2)] {
        let refused = condition.check(&t);
        assert!(
            matches!(refused, Err(CheckError::NotPositive { index: found, .. }) if found == index),
            "{refused:?}"
        );
    }
    assert!(matches!(condition.check(&[2.0, 5.0]), Err(CheckError::Shape { .. })));
    assert!(matches!(
        condition.check(&[2.0, f64::NAN, 1.0]),
        Err(CheckError::NotFinite { .. })
    ));
    assert!(matches!(
        condition.check(&[1e201, 5.0, 1.0]),
        Err(CheckError::OutOfRange { .. })
    ));
    assert!(matches!(
        condition.check(&[0.99, 5.0, 1.0]),
        Err(CheckError::NotSemidefinite { .. })
    ));
}

#[test]
fn orthogonal_rows_have_their_norms() {
    let weight = matrix(2, 2, vec![3.0, 4.0, -4.0, 3.0]);
    let condition = Condition::new(&weight).expect("a Gram matrix");
    let identity = [1.0, 0.0, 0.0, 1.0];
    let dual = condition.dual_down(&ones(2), 2, &identity).expect("vectors");
    assert!(dual <= 50.0 && dual > 50.0 * (1.0 - 1e-12), "{dual}");
    let largest = condition.dual_down(&Objective::Max, 2, &identity).expect("vectors");
    assert!(largest <= 25.0 && largest > 25.0 * (1.0 - 1e-12), "{largest}");
    assert!(condition.dual_down(&ones(2), 2, &[0.0; 4]).expect("vectors") <= 0.0);
    assert!(matches!(
        condition.dual_down(&ones(2), 2, &[1.0; 3]),
        Err(CheckError::Shape { .. })
    ));
    assert!(matches!(
        condition.dual_down(&ones(2), 1, &[1.0, f64::NAN]),
        Err(CheckError::NotFinite { .. })
    ));
}

#[test]
fn objectives_that_are_none() {
    let weight = matrix(2, 2, vec![3.0, 4.0, -4.0, 3.0]);
    let condition = Condition::new(&weight).expect("a Gram matrix");
    let identity = [1.0, 0.0, 0.0, 1.0];
    let judge = |weights: Vec<f64>| condition.dual_down(&Objective::Weighted(weights), 2, &identity);
    assert!(matches!(judge(vec![1.0]), Err(CheckError::Shape { .. })));
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(judge(vec![1.0, bad]), Err(CheckError::NotPositive { index: 1, .. })));
    }
    assert!(ones(3).value_up(&[1.0, 1.0]).is_infinite());
}

#[test]
fn gaps_are_rounded_up() {
    assert!(relative_gap_up(1.0, 1.0).abs() <= 0.0);
    assert!(exact(relative_gap_up(1.0, 0.3)) >= exact(1.0) / exact(0.3) - exact(1.0));
    assert_eq!(relative_gap_up(1.0, 0.0).to_bits(), f64::INFINITY.to_bits());
}

proptest! {
    #[test]
    fn eigenvalues_agree(weight in matrices(), factors in prop::collection::vec(0.5..1.5f64, 6)) {
        let condition = Condition::new(&weight).expect("a Gram matrix");
        let t: Vec<f64> = (0..weight.rows())
            .map(|i| factors[i] * weight.rows() as f64 * weight.row(i).iter().map(|v| v * v).sum::<f64>() + 1e-12)
            .collect();
        if condition.check(&t).is_ok() {
            // The oracle's own rounding: 1e-9 of the size of the matrix.
            let size = t.iter().copied().fold(1.0, f64::max);
            prop_assert!(approx_least(&weight, &t) >= -1e-9 * size);
        }
    }

    /// Whatever the vectors are, no accepted `t` is below their bound.
    #[test]
    fn the_dual_never_passes_the_primal(weight in matrices(), values in prop::collection::vec(-5.0..5.0f64, 12)) {
        let n = weight.rows();
        let condition = Condition::new(&weight).expect("a Gram matrix");
        let rows: Vec<f64> = (0..n)
            .map(|i| (0..n).map(|j| weight.row(i).iter().zip(weight.row(j)).map(|(a, b)| a * b).sum::<f64>().abs()).sum::<f64>())
            .collect();
        let t: Vec<f64> = rows.iter().map(|sum| sum * (1.0 + 1e-9) + 1e-12).collect();
        prop_assume!(condition.check(&t).is_ok());
        for objective in [ones(n), Objective::Weighted(vec![0.25; n]), Objective::Max] {
            let dual = condition.dual_down(&objective, 2, &values[..2 * n]).expect("vectors");
            prop_assert!(dual <= objective.value_up(&t));
        }
    }
}
