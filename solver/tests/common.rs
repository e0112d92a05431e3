//! The common condition against closed forms, a reference value and a second eigenvalue library.

use faer::Mat;
use lipcert_solver::SolveError;
use lipcert_solver::chain::{Status, Unwatched, Watch};
use lipcert_solver::common::{CommonSolution, Options, approx_gram, minimize_largest, minimize_trace, minimize_weighted};
use nalgebra::DMatrix;
use proptest::prelude::*;

fn gram_of(weight: &Mat<f64>) -> Mat<f64> {
    approx_gram(weight.as_ref(), faer::Par::Seq)
}

/// A repeatable matrix with entries in `[−1, 1)`.
fn weight(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    Mat::from_fn(rows, cols, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// The smallest eigenvalue of `D (diag(t) − G) D` with `D = diag(t)^{-1/2}`, by nalgebra.
fn slack(gram: &Mat<f64>, scale: &[f64]) -> f64 {
    let kept: Vec<usize> = (0..scale.len()).filter(|i| scale[*i] > 0.0).collect();
    let matrix = DMatrix::from_fn(kept.len(), kept.len(), |a, b| {
        let (i, j) = (kept[a], kept[b]);
        f64::from(u8::from(i == j)) - gram[(i, j)] / scale[i].sqrt() / scale[j].sqrt()
    });
    matrix.symmetric_eigenvalues().min()
}

/// `⟨G, D V Vᵀ D⟩` with rows shrunk to `‖v_i‖² ≤ c_i`.
fn dual_value(gram: &Mat<f64>, weights: &[f64], dual: &Mat<f64>) -> f64 {
    let n = weights.len();
    let shrunk = |i: usize| {
        let square: f64 = dual.row(i).iter().map(|v| v * v).sum();
        if square > weights[i] {
            (weights[i] / square).sqrt()
        } else {
            1.0
        }
    };
    let factors: Vec<f64> = (0..n).map(shrunk).collect();
    let rows = Mat::from_fn(n, dual.ncols(), |i, k| dual[(i, k)] * factors[i]);
    let product = gram * &rows;
    (0..n).map(|i| product.row(i) * rows.row(i).transpose()).sum()
}

/// Every candidate feasible up to the rounding of the eigenvalues, each further inside than the one before; the bounds what they say they are.
fn check(gram: &Mat<f64>, weights: &[f64], solution: &CommonSolution) {
    let n = weights.len();
    let tolerance = 16.0 * n as f64 * f64::EPSILON;
    let mut before = f64::NEG_INFINITY;
    for scale in &solution.candidates {
        assert!(slack(gram, scale) >= -tolerance, "{}", slack(gram, scale));
        let objective: f64 = scale.iter().zip(weights).map(|(t, c)| t * c).sum();
        assert!(objective >= before, "{objective} {before}");
        before = objective;
    }
    let first: f64 = solution.candidates[0].iter().zip(weights).map(|(t, c)| t * c).sum();
    assert!((first - solution.approx_objective).abs() <= 1e-14 * first);
    let dual = dual_value(gram, weights, &solution.dual);
    assert!(
        (dual - solution.approx_dual).abs() <= 1e-10 * dual,
        "{dual} {}",
        solution.approx_dual
    );
    assert!(dual <= first * (1.0 + tolerance), "{dual} {first}");
}

fn trace(gram: &Mat<f64>) -> CommonSolution {
    let options = Options {
        tolerance: 1e-9,
        ..Options::default()
    };
    let solution = minimize_trace(gram.as_ref(), &options, &Unwatched).expect("a solution");
    check(gram, &vec![1.0; gram.nrows()], &solution);
    solution
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * expected, "{found} {expected}");
    }
}

/// The optimum is flat: half the digits of the objective are digits of `t`.
const FLAT: f64 = 1e-4;

#[test]
fn agrees_with_an_interior_point_solver() {
    // Clarabel 0.11.1 by way of cvxpy 1.9.3.
    let weight = faer::mat![
        [0.59, 0.71, 0.79, -0.35],
        [-0.46, 0.86, -0.19, -1.28],
        [-1.13, -0.92, 0.5, 0.14],
    ];
    let expected = [
        2.686_893_896_204_235_7,
        4.693_611_025_058_6,
        1.020_899_074_819_943_4,
        3.071_196_003_311_454,
    ];
    let solution = trace(&gram_of(&weight));
    assert_near(&solution.candidates[0], &expected, FLAT);
    assert!((solution.approx_objective - expected.iter().sum::<f64>()).abs() <= 2e-8);
    assert_eq!(solution.status, Status::Converged);
}

#[test]
fn orthogonal_columns_need_their_squares() {
    let gram = Mat::from_fn(5, 5, |i, j| if i == j { (1 + i) as f64 } else { 0.0 });
    let solution = trace(&gram);
    assert_near(&solution.candidates[0], &[1.0, 2.0, 3.0, 4.0, 5.0], 1e-13);
    assert_eq!(solution.status, Status::Converged);
}

#[test]
fn rank_one_is_the_row_sums() {
    let row = [0.5, -2.0, 3.0, 1e-3, 7.0];
    let sum: f64 = row.iter().map(|w: &f64| w.abs()).sum();
    let solution = trace(&gram_of(&Mat::from_fn(1, 5, |_, j| row[j])));
    let expected: Vec<f64> = row.iter().map(|w| w.abs() * sum).collect();
    assert!((solution.approx_objective - sum * sum).abs() <= 1e-8 * sum * sum);
    assert_near(&solution.candidates[0], &expected, FLAT);
}

#[test]
fn a_repeated_column_counts_twice() {
    // Two copies of an orthogonal family: pairs of equal columns, t_i = 2 ‖w_i‖².
    let gram = Mat::from_fn(6, 6, |i, j| if i % 3 == j % 3 { (1 + i % 3) as f64 } else { 0.0 });
    let solution = trace(&gram);
    assert_near(&solution.candidates[0], &[2.0, 4.0, 6.0, 2.0, 4.0, 6.0], 1e-8);
}

#[test]
fn one_column() {
    let solution = trace(&faer::mat![[3.0]]);
    assert_near(&solution.candidates[0], &[3.0], 1e-14);
}

#[test]
fn zero_columns_are_left_out() {
    let mut weight = weight(4, 5, 3);
    for i in 0..4 {
        weight[(i, 2)] = 0.0;
    }
    let solution = trace(&gram_of(&weight));
    for scale in &solution.candidates {
        assert!(scale.iter().enumerate().all(|(i, t)| (*t > 0.0) == (i != 2)));
    }
    let zero = minimize_trace(Mat::<f64>::zeros(3, 3).as_ref(), &Options::default(), &Unwatched).unwrap();
    assert_eq!(zero.candidates, [vec![0.0; 3]]);
}

#[test]
fn weights_are_a_change_of_units() {
    let weight = weight(7, 9, 5);
    let sizes: Vec<f64> = (0..9).map(|i| f64::from(i + 1)).collect();
    let gram = gram_of(&weight);
    let options = Options {
        tolerance: 1e-9,
        ..Options::default()
    };
    let weighted = minimize_weighted(gram.as_ref(), &sizes, &options, &Unwatched).unwrap();
    check(&gram, &sizes, &weighted);
    // Σ c_i t_i over diag(t) ⪰ G is Σ s_i over diag(s) ⪰ √c G √c.
    let scaled = Mat::from_fn(9, 9, |i, j| gram[(i, j)] * (sizes[i] * sizes[j]).sqrt());
    let plain = trace(&scaled);
    assert!((weighted.approx_objective - plain.approx_objective).abs() <= 1e-8 * plain.approx_objective);
}

#[test]
fn columns_of_very_different_size() {
    let base = weight(6, 8, 11);
    for spread in [1, 10, 100] {
        let size = |j: usize| 10.0_f64.powi(spread * (j as i32 - 3) / 4);
        let gram = gram_of(&Mat::from_fn(6, 8, |i, j| base[(i, j)] * size(j)));
        let solution = trace(&gram);
        assert!(solution.candidates[0].iter().all(|t| t.is_finite() && *t > 0.0));
        assert_eq!(solution.status, Status::Converged, "{spread}");
    }
}

#[test]
fn the_largest_is_the_squared_norm() {
    for (rows, cols) in [(7, 5), (5, 7), (1, 1), (310, 300)] {
        let gram = gram_of(&weight(rows, cols, 2));
        let solution = minimize_largest(gram.as_ref(), &Options::default()).unwrap();
        let vector: Vec<f64> = solution.dual.col(0).iter().copied().collect();
        assert!((vector.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-12);
        let product = &gram * &solution.dual;
        let quotient: f64 = (0..cols).map(|i| product[(i, 0)] * vector[i]).sum();
        assert!((quotient - solution.approx_dual).abs() <= 1e-12 * quotient);
        assert!(slack(&gram, &solution.candidates[0]) >= -1e-12);
    }
}

#[test]
fn malformed_problems_are_named() {
    let solve =
        |gram: Mat<f64>, weights: &[f64]| minimize_weighted(gram.as_ref(), weights, &Options::default(), &Unwatched).unwrap_err();
    let shape = |error: SolveError| matches!(error, SolveError::Shape { .. });
    assert!(shape(solve(Mat::zeros(0, 0), &[])));
    assert!(shape(solve(Mat::zeros(2, 3), &[1.0, 1.0])));
    assert!(shape(solve(Mat::identity(2, 2), &[1.0])));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let expected = SolveError::NotFinite {
            what: "weights",
            index: vec![1],
        };
        assert_eq!(solve(Mat::identity(2, 2), &[1.0, bad]), expected);
    }
    let nan = faer::mat![[1.0, 0.0], [f64::NAN, 1.0]];
    let expected = SolveError::NotFinite {
        what: "gram",
        index: vec![1, 0],
    };
    assert_eq!(solve(nan, &[1.0; 2]), expected);
    let not_semidefinite = |row, col| SolveError::NotSemidefinite { what: "gram", row, col };
    assert_eq!(solve(faer::mat![[0.0, 1.0], [1.0, 1.0]], &[1.0; 2]), not_semidefinite(1, 0));
    assert_eq!(solve(faer::mat![[-1.0]], &[1.0]), not_semidefinite(0, 0));
}

#[test]
fn stops_when_asked_with_a_feasible_point() {
    struct Impatient;
    impl Watch for Impatient {
        fn interval(&self, _: f64, _: f64) {}
        fn stop(&self) -> bool {
            true
        }
    }
    let gram = gram_of(&weight(30, 20, 1));
    let solution = minimize_trace(gram.as_ref(), &Options::default(), &Impatient).unwrap();
    assert_eq!(solution.status, Status::Stopped);
    check(&gram, &[1.0; 20], &solution);
}

proptest! {
    #[test]
    fn the_bounds_enclose_the_optimum((rows, cols, seed) in (1..12_usize, 1..16_usize, 0..1000_u64)) {
        let solution = trace(&gram_of(&weight(rows, cols, seed)));
        let gap = (solution.approx_objective - solution.approx_dual) / solution.approx_objective;
        prop_assert!(gap <= 1e-8, "{gap:e} {:?}", solution.status);
    }
}
