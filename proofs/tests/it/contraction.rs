//! Rule `contraction`, against exact elimination and simulated pairs of runs.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::contraction::{ContractionClaim, check};
use lipcert_proofs::statement::{Feedback, Matrix};
use nalgebra::{DMatrix, DVector};
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{exact, matrix, vector, zero};
use crate::lipsdp::exactly_definite;
use crate::residual_lmi::{nalgebra_of, rows_of};

fn claim(metric: &Matrix, rate: f64) -> ContractionClaim {
    ContractionClaim {
        rate,
        metric: metric.clone(),
    }
}

fn worked() -> (Feedback, Matrix) {
    let v = vector("r2dn_contracting");
    let system = Feedback::new(rows_of(&v["A"]), rows_of(&v["B1"]), rows_of(&v["C1"])).expect("a system");
    (system, rows_of(&v["P"]))
}

fn with(metric: &Matrix, change: impl Fn(usize, usize, f64) -> f64) -> Matrix {
    let n = metric.rows();
    let data = (0..n * n).map(|flat| change(flat / n, flat % n, metric.row(flat / n)[flat % n]));
    matrix(n, n, data.collect())
}

/// `diag(a² P, I) − [A B]ᵀ P [A B] − diag(CᵀC, 0)`, and `P`, in rationals.
fn exact_inequalities(system: &Feedback, claim: &ContractionClaim) -> [Vec<Vec<BigRational>>; 2] {
    let (a, b, c) = (system.transition(), system.entry(), system.exit());
    let (n, q) = (a.rows(), b.cols());
    let metric: Vec<Vec<BigRational>> = (0..n)
        .map(|i| (0..n).map(|j| exact(claim.metric.row(i.max(j))[i.min(j)])).collect())
        .collect();
    let both = |k: usize, j: usize| exact(if j < n { a.row(k)[j] } else { b.row(k)[j - n] });
    let mut p = vec![vec![zero(); n + q]; n + q];
    for i in 0..n + q {
        for j in 0..n + q {
            for k in 0..n {
                for l in 0..n {
                    p[i][j] -= both(k, i) * &metric[k][l] * both(l, j);
                }
            }
            if i < n && j < n {
                p[i][j] += exact(claim.rate) * exact(claim.rate) * &metric[i][j];
                for k in 0..c.rows() {
                    p[i][j] -= exact(c.row(k)[i]) * exact(c.row(k)[j]);
                }
            } else if i == j {
                p[i][j] += exact(1.0);
            }
        }
    }
    [p, metric]
}

#[test]
fn the_worked_example() {
    let (system, metric) = worked();
    for rate in [1.0, 0.99] {
        let good = claim(&metric, rate);
        assert_eq!(check(&system, &good), Ok(()));
        assert!(exact_inequalities(&system, &good).into_iter().all(exactly_definite));
    }
    assert!(check(&system, &claim(&metric, 0.6)).is_err());
}

#[test]
fn damaged_metrics() {
    let (system, metric) = worked();
    type Change = fn(usize, usize, f64) -> f64;
    let changes: [(&str, Change); 6] = [
        ("negative", |_, _, value| -value),
        ("an entry of the diagonal halved", |i, j, value| {
            if i == 1 && j == 1 { 0.5 * value } else { value }
        }),
        (
            "the sign off the diagonal",
            |i, j, value| {
                if i + j == 1 { -8.0 * value } else { value }
            },
        ),
        ("zero", |_, _, _| 0.0),
        ("too large", |_, _, value| 8.0 * value),
        ("too small", |_, _, value| 0.3 * value),
    ];
    for (name, change) in changes {
        let refused = check(&system, &claim(&with(&metric, change), 1.0));
        assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{name}");
    }
    // The upper half is not read.
    let upper = with(&metric, |i, j, value| if i < j { 77.0 } else { value });
    assert_eq!(check(&system, &claim(&upper, 1.0)), Ok(()));
}

#[test]
fn reject_table() {
    let (system, metric) = worked();
    for rate in [0.0, -0.5, f64::NAN] {
        let refused = check(&system, &claim(&metric, rate));
        assert!(matches!(refused, Err(CheckError::NotPositive { what: "rate", .. })), "{rate}");
    }
    for rate in [1.0 + 1e-15, 2.0, f64::INFINITY] {
        let refused = check(&system, &claim(&metric, rate));
        assert!(matches!(refused, Err(CheckError::OutOfRange { what: "rate", .. })), "{rate}");
    }
    let small = matrix(2, 2, vec![1.0, 0.0, 0.0, 1.0]);
    assert!(matches!(
        check(&system, &claim(&small, 1.0)),
        Err(CheckError::Shape { what: "metric", .. })
    ));
    let w = |rows, cols| matrix(rows, cols, vec![0.1; rows * cols]);
    for (a, b, c) in [
        (w(2, 3), w(2, 1), w(1, 2)),
        (w(2, 2), w(3, 1), w(1, 2)),
        (w(2, 2), w(2, 1), w(1, 3)),
    ] {
        assert!(matches!(Feedback::new(a, b, c), Err(CheckError::Shape { .. })));
    }
}

fn problems() -> impl Strategy<Value = (Feedback, Matrix, [Vec<f64>; 2], f64)> {
    (1usize..4, 1usize..3).prop_flat_map(|(n, q)| {
        let weight = |rows: usize, cols: usize| {
            prop::collection::vec(-0.6..0.6f64, rows * cols).prop_map(move |data| matrix(rows, cols, data))
        };
        let system = (weight(n, n), weight(n, q), weight(q, n));
        let system = system.prop_map(|(a, b, c): (Matrix, Matrix, Matrix)| Feedback::new(a, b, c).expect("a system"));
        let metric = (weight(n, n), 0.3..2.0f64).prop_map(move |(root, shift): (Matrix, f64)| {
            let root = nalgebra_of(&root);
            let metric = &root * root.transpose() + DMatrix::identity(n, n) * shift;
            matrix(n, n, metric.as_slice().to_vec())
        });
        let point = || prop::collection::vec(-3.0..3.0f64, n);
        (system, metric, [point(), point()], -2.0..2.0f64)
    })
}

proptest! {
    /// The smallest rate that is accepted is exactly true, and two runs with `φ = |·|` come closer by it.
    #[test]
    fn the_least_accepted_rate_is_true((system, metric, [x, y], shift) in problems()) {
        let (mut refused, mut accepted) = (1e-3, 1.0);
        if check(&system, &claim(&metric, accepted)).is_ok() {
            while accepted / refused > 1.0 + 8.0 * f64::EPSILON {
                let middle = f64::midpoint(accepted, refused);
                if check(&system, &claim(&metric, middle)).is_ok() {
                    accepted = middle;
                } else {
                    refused = middle;
                }
            }
            prop_assert!(exact_inequalities(&system, &claim(&metric, accepted)).into_iter().all(exactly_definite));
            let [a, b, c] = [system.transition(), system.entry(), system.exit()].map(nalgebra_of);
            let step = |x: &[f64]| {
                let x = DVector::from_column_slice(x);
                &a * &x + &b * (&c * &x).map(|value| (value + shift).abs())
            };
            let norm = |d: DVector<f64>| (d.transpose() * nalgebra_of(&metric) * &d)[0].sqrt();
            let before = norm(DVector::from_column_slice(&x) - DVector::from_column_slice(&y));
            prop_assert!(norm(step(&x) - step(&y)) <= accepted * before + 1e-12 * (1.0 + before));
        } else {
            let all = exact_inequalities(&system, &claim(&metric, 1.0 - 1e-9)).into_iter().all(exactly_definite);
            prop_assert!(!all);
        }
    }
}
