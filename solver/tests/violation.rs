//! Vectors that show a condition to be false.

use lipcert_solver::violation::{diagonal, full, top};
use nalgebra::DMatrix;
use proptest::prelude::*;

/// `WᵀW` of a row-major `(rows, n)` weight.
fn gram(weight: &[f64], n: usize) -> Vec<f64> {
    let w = DMatrix::from_row_slice(weight.len() / n, n, weight);
    let g = w.transpose() * w;
    (0..n * n).map(|k| g[(k / n, k % n)]).collect()
}

fn form(matrix: &[f64], v: &[f64]) -> f64 {
    let n = v.len();
    (0..n * n).map(|k| matrix[k] * v[k / n] * v[k % n]).sum()
}

#[test]
fn a_known_pair() {
    // G = [[2, 1], [1, 2]] has the eigenvalue 3 at (1, 1).
    let found = diagonal(&[2.0, 1.0, 1.0, 2.0], &[2.0, 2.0]).unwrap();
    assert!((found.ratio - 1.5).abs() < 1e-14, "{found:?}");
    assert!(found.vector.iter().all(|v| (v - 1.0).abs() < 1e-14), "{found:?}");
}

#[test]
fn entries_that_are_not_positive() {
    let g = [2.0, 0.0, 0.0, 0.0];
    for (t, vector) in [([0.0, 1.0], [1.0, 0.0]), ([3.0, -1.0], [0.0, 1.0]), ([-1.0, 1.0], [1.0, 0.0])] {
        let found = diagonal(&g, &t).unwrap();
        assert!(found.ratio.is_infinite());
        assert_eq!(found.vector, vector, "{t:?}");
        let square = [t[0], 0.0, 0.0, t[1]];
        assert_eq!(full(&g, &square, 2).unwrap().vector, vector);
    }
    // A zero column asks for nothing, and −1e-18 beside 3 is rounding.
    for t in [[3.0, 0.0], [3.0, -1e-18]] {
        assert!(diagonal(&g, &t).unwrap().ratio < 1.0);
    }
    assert_eq!(diagonal(&g, &[f64::NAN, 1.0]), None);
    assert_eq!(diagonal(&[], &[]), None);
}

#[test]
fn a_singular_matrix_bounds_its_own_range_only() {
    // T = G of rank one holds; another direction does not.
    let g = gram(&[1.0, 2.0, 3.0], 3);
    let found = full(&g, &g, 3).unwrap();
    assert!((found.ratio - 1.0).abs() < 1e-12, "{found:?}");
    let other = gram(&[1.0, 2.0, -3.0], 3);
    let found = full(&other, &g, 3).unwrap();
    assert!(found.ratio > 1.0);
    assert!(form(&other, &found.vector) > form(&g, &found.vector) + 1e-3);
    // T = −[[0, 1], [1, 0]]-like: a direction in which T is negative.
    let found = full(&[1.0, 0.0, 0.0, 1.0], &[1.0, 3.0, 3.0, 1.0], 2).unwrap();
    assert!(found.ratio.is_infinite() && found.vector[0] * found.vector[1] < 0.0);
}

proptest! {
    #[test]
    fn the_ratio_is_the_eigenvalue(
        (n, weight, t) in (1usize..30).prop_flat_map(|n| {
            (Just(n), prop::collection::vec(-2.0..2.0f64, n * 4), prop::collection::vec(0.1..3.0f64, n))
        })
    ) {
        let g = gram(&weight, n);
        let scaled = DMatrix::from_fn(n, n, |i, j| g[i * n + j] / (t[i] * t[j]).sqrt());
        let truth = scaled.clone().symmetric_eigenvalues().max();
        let found = diagonal(&g, &t).unwrap();
        prop_assert!((found.ratio - truth).abs() <= 1e-10 * truth.max(1e-3));
        let square: Vec<f64> = (0..n * n).map(|k| if k / n == k % n { t[k / n] } else { 0.0 }).collect();
        let quotient = form(&g, &found.vector) / form(&square, &found.vector);
        prop_assert!((quotient - truth).abs() <= 1e-8 * truth.max(1e-3));
        let same = full(&g, &square, n).unwrap();
        prop_assert!((same.ratio - truth).abs() <= 1e-8 * truth.max(1e-3));
        let (value, _) = top((0..n * n).map(|k| scaled[(k / n, k % n)]).collect(), n).unwrap();
        prop_assert!((value - truth).abs() <= 1e-10 * truth.max(1e-3));
    }
}
