//! Rule `formula` for dense layers whose weight is computed from free parameters, and their enclosure.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rounding::dense_formula::EnclosedWeight;
use lipcert_proofs::rules::dense_formula::{bjorck_up, bound_up};
use lipcert_proofs::statement::{Bjorck, DenseFormula, Divisor, Layer, Matrix, Shape};
use nalgebra::DMatrix;
use num_rational::BigRational;
use proptest::prelude::*;
use serde_json::Value;

use crate::common::{by, exact, flat, matrices, matrix, vector, zero};

/// A matrix of a vector file.
fn table(value: &Value) -> Matrix {
    let rows = value.as_array().expect("rows").len();
    let data = flat(value);
    matrix(rows, data.len() / rows, data)
}

fn divided(raw: Matrix, divisor: Divisor, offset: f64, bjorck: Option<Bjorck>) -> DenseFormula {
    DenseFormula::Normalized {
        raw,
        divisor,
        offset,
        bjorck,
    }
}

fn aol(raw: Matrix, epsilon: f64) -> DenseFormula {
    DenseFormula::Aol { raw, epsilon }
}

fn cayley(raw: Matrix, alpha: Option<f64>) -> DenseFormula {
    DenseFormula::Cayley { raw, alpha }
}

fn steps(beta: f64, iterations: usize) -> Option<Bjorck> {
    Some(Bjorck { beta, iterations })
}

fn layer(formula: DenseFormula) -> Layer {
    let bias = vec![0.25; formula.rows()];
    Layer::DenseFormula { formula, bias }
}

/// Whether the bound is accepted by the theorem or by the norm of the enclosed weight.
fn judge(formula: &DenseFormula, lipschitz: f64, witness: Witness) -> Result<(), CheckError> {
    let layer = layer(formula.clone());
    let prepared = Prepared::new(&layer, Shape::Flat(formula.cols()))?;
    LayerCertificate::check(&prepared, LayerClaim { lipschitz, witness }).map(|_| ())
}

const THEOREM: Witness = Witness::Formula { inside: None };

fn norm_of(weight: &Matrix) -> f64 {
    DMatrix::from_row_slice(weight.rows(), weight.cols(), weight.data())
        .singular_values()
        .max()
}

/// Distance of the centre from digits, entry by entry; the digits of the vectors have 16 places.
fn assert_near(formula: &DenseFormula, digits: &Value, room: f64) {
    let enclosed = EnclosedWeight::new(formula).expect("a weight");
    let expected = table(digits);
    assert_eq!(
        (enclosed.centre().rows(), enclosed.centre().cols()),
        (expected.rows(), expected.cols())
    );
    let differences = enclosed
        .centre()
        .data()
        .iter()
        .zip(expected.data())
        .map(|(a, b)| (a - b).powi(2));
    let distance = differences.sum::<f64>().sqrt();
    assert!(distance <= enclosed.radius() + room, "{distance:e} {:e}", enclosed.radius());
    assert!(enclosed.radius() < 1e-10, "{:e}", enclosed.radius());
}

#[test]
fn the_published_examples() {
    let v = vector("aol_dense");
    assert_near(&aol(table(&v["P"]), 0.0), &v["W"], 1e-15);
    let scales = flat(&v["D_eps1e-6"]);
    let p = table(&v["P"]);
    let with_epsilon = EnclosedWeight::new(&aol(p.clone(), 1e-6)).expect("a weight");
    for (flat, entry) in with_epsilon.centre().data().iter().enumerate() {
        assert!((entry - p.data()[flat] * scales[flat % 4]).abs() < 1e-15);
    }
    let v = vector("cayley");
    for (raw, map) in [("square", "Q_square"), ("tall", "Q_tall"), ("wide", "Q_wide")] {
        assert_near(&cayley(table(&v[raw]), None), &v[map], 1e-14);
    }
    let alpha = v["scaled_alpha"].as_f64();
    assert_near(&cayley(table(&v["tall"]), alpha), &v["Q_tall_scaled"], 1e-14);
    let v = vector("bjorck");
    let w = table(&v["W"]);
    assert_near(&divided(w.clone(), Divisor::Norm, 0.0, None), &v["W0"], 1e-15);
    for (iterations, name) in [(1, "iter1"), (3, "iter3"), (15, "iter15")] {
        assert_near(
            &divided(w.clone(), Divisor::Norm, 0.0, steps(0.5, iterations)),
            &v[name],
            1e-14,
        );
    }
    // Fifteen steps are not the limit: the distance is far above every rounding.
    let late = EnclosedWeight::new(&divided(w, Divisor::Norm, 0.0, steps(0.5, 15))).expect("a weight");
    let polar = table(&v["polar"]);
    let off = late
        .centre()
        .data()
        .iter()
        .zip(polar.data())
        .fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    assert!(off > 1e-15 && off < 1e-11, "{off:e}");
}

#[test]
fn accept_table() {
    let raw = || matrix(2, 3, vec![3.0, 0.0, 1.0, 4.0, -1.0, 0.5]);
    let norm = norm_of(&raw());
    let unit = |formula: DenseFormula| (formula, 1.0, 1.0_f64.next_down());
    let near = |formula: DenseFormula, bound: f64| (formula, bound * (1.0 + 1e-9), bound * (1.0 - 1e-9));
    let half = || Divisor::Stored(norm / 2.0);
    // Singular values 2 and less before the step; p(2) = 1.5 · 2 − 0.5 · 8 = −1, but p(1) = 1 is also 1.
    let past = 1.5 * 2.2 - 0.5 * 2.2_f64.powi(3);
    for (formula, accepted, rejected) in [
        unit(aol(raw(), 0.0)),
        unit(aol(raw(), 1e-6)),
        unit(aol(matrix(2, 2, vec![0.0, 1.0, 0.0, 1.0]), 0.0)),
        unit(aol(matrix(2, 2, vec![0.0; 4]), 0.0)),
        unit(divided(raw(), Divisor::Frobenius, 0.0, None)),
        unit(divided(raw(), Divisor::Norm, 0.0, None)),
        unit(divided(raw(), Divisor::Norm, 0.0, steps(0.5, 3))),
        unit(divided(raw(), Divisor::Frobenius, 0.0, steps(0.25, 3))),
        unit(cayley(raw(), None)),
        unit(cayley(raw(), Some(1.5))),
        unit(DenseFormula::Householder { vectors: raw() }),
        near(divided(raw(), half(), 0.0, None), 2.0),
        near(divided(raw(), Divisor::Norm, norm, None), 0.5),
        near(divided(raw(), Divisor::Stored(norm / 2.2), 0.0, steps(0.5, 1)), past.abs()),
        near(divided(raw(), Divisor::Norm, norm, steps(0.5, 1)), 0.6875),
        // β above 1/2 overshoots: the largest value of p lies between the ends.
        near(
            divided(raw(), Divisor::Norm, 0.0, steps(1.0, 1)),
            4.0 / 3.0 * (2.0_f64 / 3.0).sqrt(),
        ),
    ] {
        assert_eq!(judge(&formula, accepted, THEOREM), Ok(()), "{formula:?}");
        let short = judge(&formula, rejected, THEOREM);
        assert!(
            matches!(short, Err(CheckError::BoundTooSmall { .. })),
            "{formula:?} {short:?}"
        );
        for claimed in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(judge(&formula, claimed, THEOREM).is_err());
        }
    }
}

#[test]
fn the_norm_of_the_enclosed_weight() {
    let v = vector("aol_dense");
    let formula = aol(table(&v["P"]), 0.0);
    let norm = v["spec_norm"].as_f64().expect("a number");
    let by_norm = |lambda: f64| Witness::OperatorNorm {
        inside: by(GramWitness::Cholesky {}, lambda),
    };
    let lambda = norm * norm * (1.0 + 1e-12);
    assert_eq!(judge(&formula, norm * (1.0 + 1e-9), by_norm(lambda)), Ok(()));
    assert!(matches!(
        judge(&formula, norm * (1.0 + 1e-9), by_norm(norm * norm * (1.0 - 1e-9))),
        Err(CheckError::NotSemidefinite { .. })
    ));
    // The radius counts: √λ alone is not enough.
    assert!(matches!(
        judge(&formula, lambda.sqrt(), by_norm(lambda)),
        Err(CheckError::BoundTooSmall { .. })
    ));
    assert!(matches!(
        judge(&formula, 2.0, Witness::Structural {}),
        Err(CheckError::RuleMismatch { .. })
    ));
}

#[test]
fn refused_by_name() {
    let raw = || matrix(2, 2, vec![1.0, 2.0, 3.0, 4.0]);
    let zeros = || matrix(2, 2, vec![0.0; 4]);
    let outcome = |formula: DenseFormula| judge(&formula, 10.0, THEOREM).expect_err("a refusal");
    for formula in [
        divided(zeros(), Divisor::Frobenius, 0.0, None),
        divided(zeros(), Divisor::Norm, 0.0, None),
        divided(raw(), Divisor::Stored(0.0), 0.0, None),
        divided(raw(), Divisor::Stored(-1.0), 0.0, None),
        divided(raw(), Divisor::Norm, -1e-3, None),
        divided(raw(), Divisor::Norm, 0.0, steps(-0.5, 2)),
        divided(
            raw(),
            Divisor::Vectors {
                left: vec![1.0, 0.0],
                right: vec![-1.0, 0.0],
            },
            0.0,
            None,
        ),
        aol(raw(), -1e-6),
        cayley(zeros(), Some(1.0)),
        DenseFormula::Householder {
            vectors: matrix(2, 2, vec![1.0, 0.0, 0.0, 0.0]),
        },
    ] {
        assert!(
            matches!(outcome(formula.clone()), CheckError::NotPositive { .. }),
            "{formula:?}"
        );
    }
    for formula in [
        aol(raw(), f64::NAN),
        divided(raw(), Divisor::Stored(f64::NAN), 0.0, None),
        divided(raw(), Divisor::Norm, f64::INFINITY, None),
        divided(raw(), Divisor::Norm, 0.0, steps(f64::NAN, 1)),
        cayley(raw(), Some(f64::INFINITY)),
        cayley(matrix(2, 1, vec![1e200, 1e200]), None),
    ] {
        assert!(
            matches!(outcome(formula.clone()), CheckError::NotFinite { .. }),
            "{formula:?}"
        );
    }
    assert!(matches!(
        outcome(divided(raw(), Divisor::Norm, 0.0, steps(0.5, 1001))),
        CheckError::TooLarge { .. }
    ));
    assert!(matches!(
        outcome(divided(raw(), Divisor::Norm, 0.0, steps(1.5, 1))),
        CheckError::OutOfRange { what: "beta", .. }
    ));
    let short = Divisor::Vectors {
        left: vec![1.0],
        right: vec![1.0, 1.0],
    };
    assert!(matches!(
        outcome(divided(raw(), short, 0.0, None)),
        CheckError::Shape { what: "u", .. }
    ));
}

/// Where the exact weight does not depend on the unit of the parameters, sizes of `1e±150` change nothing; Cayley of small numbers is near the identity.
#[test]
fn extreme_sizes_are_right_or_refused() {
    let data = [3.0, 0.5, -1.0, 4.0, 0.25, 2.0];
    for size in [1e-150, 1e150] {
        let scaled = || matrix(3, 2, data.iter().map(|value| value * size).collect());
        for formula in [
            |raw| aol(raw, 0.0),
            |raw| divided(raw, Divisor::Frobenius, 0.0, None),
            |raw| divided(raw, Divisor::Norm, 0.0, None),
            |raw| divided(raw, Divisor::Norm, 0.0, steps(0.5, 5)),
            |raw| cayley(raw, Some(1.0)),
        ] {
            let near_one = EnclosedWeight::new(&formula(matrix(3, 2, data.to_vec()))).expect("a weight");
            let found = EnclosedWeight::new(&formula(scaled())).expect("a weight");
            let pairs = found.centre().data().iter().zip(near_one.centre().data());
            let off = pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(
                off <= 1e-13 && found.radius() < 1e-12,
                "{size:e} {off:e} {:e}",
                found.radius()
            );
        }
    }
    let columns = matrix(2, 2, vec![1e-150, 1e150, 1e-150, -1e150]);
    let mixed = EnclosedWeight::new(&aol(columns, 0.0));
    assert!(mixed.is_err() || mixed.is_ok_and(|weight| norm_of(weight.centre()) <= 1.0 + weight.radius()));
}

/// The exact weight of a Björck step on a stored divisor, and of reflections.
fn rational_bjorck(raw: &Matrix, sigma: f64, beta: f64, iterations: usize) -> Vec<Vec<BigRational>> {
    let (rows, cols) = (raw.rows(), raw.cols());
    let mut w: Vec<Vec<BigRational>> = (0..rows)
        .map(|i| raw.row(i).iter().map(|value| exact(*value) / exact(sigma)).collect())
        .collect();
    for _ in 0..iterations {
        let gram: Vec<Vec<BigRational>> = (0..cols)
            .map(|i| {
                (0..cols)
                    .map(|j| (0..rows).fold(zero(), |sum, k| sum + &w[k][i] * &w[k][j]))
                    .collect()
            })
            .collect();
        w = w
            .iter()
            .map(|row| {
                (0..cols)
                    .map(|j| {
                        let cube = (0..cols).fold(zero(), |sum, k| sum + &row[k] * &gram[k][j]);
                        (exact(1.0) + exact(beta)) * &row[j] - exact(beta) * cube
                    })
                    .collect()
            })
            .collect();
    }
    w
}

fn rational_reflections(vectors: &Matrix) -> Vec<Vec<BigRational>> {
    let n = vectors.cols();
    let mut product: Vec<Vec<BigRational>> = (0..n)
        .map(|i| (0..n).map(|j| exact(f64::from(u8::from(i == j)))).collect())
        .collect();
    for index in 0..vectors.rows() {
        let v: Vec<BigRational> = vectors.row(index).iter().map(|value| exact(*value)).collect();
        let square = v.iter().fold(zero(), |sum, value| sum + value * value);
        for row in &mut product {
            let dot = row.iter().zip(&v).fold(zero(), |sum, (a, b)| sum + a * b);
            for (entry, value) in row.iter_mut().zip(&v) {
                *entry -= exact(2.0) * &dot * value / &square;
            }
        }
    }
    product
}

/// Whether the exact matrix lies within the radius of the centre.
fn holds(weight: &EnclosedWeight, truth: &[Vec<BigRational>]) -> bool {
    let pairs = weight.centre().data().iter().zip(truth.iter().flatten());
    let squares = pairs.map(|(a, b)| exact(*a) - b).fold(zero(), |sum, d| sum + &d * &d);
    squares <= exact(weight.radius()) * exact(weight.radius())
}

fn small() -> impl Strategy<Value = Matrix> {
    (1usize..4, 1usize..4).prop_flat_map(|(rows, cols)| {
        prop::collection::vec(-2.0..2.0f64, rows * cols).prop_map(move |data| matrix(rows, cols, data))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Weights that are rational functions of their parameters, against exact arithmetic.
    #[test]
    fn rational_weights_are_enclosed(raw in small(), sigma in 0.5..4.0f64, beta in 0.0..1.0f64, iterations in 0usize..3) {
        let stored = divided(raw.clone(), Divisor::Stored(sigma), 0.0, steps(beta, iterations));
        let weight = EnclosedWeight::new(&stored).expect("a weight");
        prop_assert!(holds(&weight, &rational_bjorck(&raw, sigma, beta, iterations)));
        prop_assume!((0..raw.rows()).all(|i| raw.row(i).iter().any(|value| value.abs() > 1e-3)));
        let reflections = EnclosedWeight::new(&DenseFormula::Householder { vectors: raw.clone() }).expect("a weight");
        prop_assert!(holds(&reflections, &rational_reflections(&raw)));
        prop_assert!(reflections.radius() < 1e-13);
    }
}

proptest! {
    /// The norm of the exact weight, which lies within the radius of the centre, never exceeds the bound by theorem; by singular values, rounding 1e-12.
    #[test]
    fn bounds_hold(raw in matrices(), sigma in 0.3..5.0f64, offset in 0.0..1.0f64, beta in 0.0..1.0f64, iterations in 0usize..6) {
        let mut formulas = vec![aol(raw.clone(), 0.0), aol(raw.clone(), offset), cayley(raw.clone(), None)];
        if norm_of(&raw) > 1e-6 {
            formulas.push(cayley(raw.clone(), Some(sigma)));
            for divisor in [Divisor::Frobenius, Divisor::Norm, Divisor::Stored(sigma)] {
                formulas.push(divided(raw.clone(), divisor.clone(), offset, None));
                formulas.push(divided(raw.clone(), divisor, offset, steps(beta, iterations)));
            }
        }
        for formula in formulas {
            let Ok(weight) = EnclosedWeight::new(&formula) else { continue };
            let bound = bound_up(&formula, weight.reach());
            prop_assert!(norm_of(weight.centre()) <= (bound + weight.radius()) * (1.0 + 1e-12), "{formula:?} {bound}");
        }
    }

    /// A single weight with an offset in its last bits: the quotient is at most what is claimed, exactly.
    #[test]
    fn an_offset_in_the_last_bits(weight in 0.5..2.0f64, offset in 1e-17..1e-14f64) {
        for divisor in [Divisor::Frobenius, Divisor::Norm] {
            let formula = divided(matrix(1, 1, vec![weight]), divisor, offset, None);
            let reach = EnclosedWeight::new(&formula).expect("a weight").reach();
            prop_assert!(exact(weight) / (exact(weight) + exact(offset)) <= exact(reach));
        }
    }

    /// One step against a fine grid of singular values.
    #[test]
    fn one_step_of_a_number(norm in 0.0..3.0f64, beta in 0.0..1.0f64) {
        let p = |t: f64| ((1.0 + beta) * t - beta * t.powi(3)).abs();
        let most = (0..=1000).map(|k| p(norm * f64::from(k) / 1000.0)).fold(0.0, f64::max);
        let bound = bjorck_up(norm, beta);
        prop_assert!(bound >= most * (1.0 - 1e-14));
        prop_assert!(bound <= most + 1e-5 * (1.0 + norm));
    }
}

/// Steps that would take hours are refused with the weight.
#[test]
fn work_is_limited() {
    let n = 2048;
    let raw = Matrix::new("weight", n, n, vec![0.0; n * n]).expect("a matrix");
    let layer = Layer::DenseFormula {
        formula: divided(
            raw,
            Divisor::Norm,
            1.0,
            Some(Bjorck {
                beta: 0.5,
                iterations: 1000,
            }),
        ),
        bias: vec![0.0; n],
    };
    let judged = layer.output_shape(Shape::Flat(n));
    assert!(
        matches!(judged, Err(CheckError::TooMuchWork { what: "bjorck", .. })),
        "{judged:?}"
    );
}
