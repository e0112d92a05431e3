//! AOL, Frobenius, spectral, Cayley, Björck and Householder layers.

use lipcert_models::parameterization::{Parameterization, aol, frobenius, orthogonal, spectral};
use lipcert_proofs::certificate::{LayerCertificate, Prepared as Rules};
use lipcert_proofs::rounding::dense_formula::EnclosedWeight;
use lipcert_proofs::statement::{Bjorck, DenseFormula, Divisor, Layer, Matrix, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{accepted, numbers, plain};

fn matrix(rows: usize, cols: usize, data: Vec<f64>) -> Matrix {
    Matrix::new("weight", rows, cols, data).unwrap()
}

/// The weight of the layer by the plain implementation: its images of the unit vectors, the bias subtracted.
fn plain_weight(layer: &Layer, n: usize) -> DMatrix<f64> {
    let map = plain(std::slice::from_ref(layer), Shape::Flat(n));
    let origin = map(&vec![0.0; n]);
    let column = |j: usize| {
        let mut unit = vec![0.0; n];
        unit[j] = 1.0;
        map(&unit)
    };
    let columns: Vec<Vec<f64>> = (0..n).map(column).collect();
    DMatrix::from_fn(origin.len(), n, |i, j| columns[j][i] - origin[i])
}

/// Two methods: the plain weight lies at the enclosed centre, and its largest singular value is at most the accepted bound. `room` is for the rounding of
/// the plain weight.
fn agree<P: Parameterization>(family: &P, n: usize, room: f64) -> f64 {
    let (realization, bound) = accepted(family, Shape::Flat(n));
    let layer = &realization.layers[0];
    let Layer::DenseFormula { formula, .. } = layer else {
        panic!("another layer")
    };
    let weight = plain_weight(layer, n);
    assert!(weight.singular_values().max() <= bound + room);
    let enclosed = EnclosedWeight::new(formula).unwrap();
    let centre = DMatrix::from_row_slice(weight.nrows(), n, enclosed.centre().data());
    let off = (centre - weight).norm();
    assert!(off <= enclosed.radius() + room, "{off:e} {:e}", enclosed.radius());
    bound
}

fn norm(raw: &Matrix) -> f64 {
    DMatrix::from_row_slice(raw.rows(), raw.cols(), raw.data())
        .singular_values()
        .max()
}

fn raw() -> impl Strategy<Value = Matrix> {
    (1usize..6, 1usize..6).prop_flat_map(|(m, n)| numbers(m * n).prop_map(move |data| matrix(m, n, data)))
}

fn bias(raw: &Matrix) -> Vec<f64> {
    (0..raw.rows()).map(|i| 0.25 * i as f64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn certificates_are_accepted(raw in raw(), epsilon in 0.0..1.0f64, sigma in 0.5..60.0f64, alpha in 0.1..3.0f64, steps in 0usize..9) {
        let (n, bias) = (raw.cols(), bias(&raw));
        let aol = aol::Dense { raw: raw.clone(), epsilon, bias: bias.clone() };
        prop_assert!(agree(&aol, n, 1e-9) <= 1.0);
        let cayley = orthogonal::Cayley { raw: raw.clone(), alpha: None, bias: bias.clone() };
        prop_assert!(agree(&cayley, n, 1e-8) <= 1.0);
        prop_assume!(norm(&raw) > 1e-3);
        let scaled = orthogonal::Cayley { alpha: Some(alpha), ..cayley };
        prop_assert!(agree(&scaled, n, 1e-8) <= 1.0);
        let frobenius = frobenius::Dense { raw: raw.clone(), bias: bias.clone() };
        prop_assert!(agree(&frobenius, n, 1e-9) <= 1.0);
        let exact = spectral::Dense { raw: raw.clone(), divisor: Divisor::Norm, offset: 1e-3, bias: bias.clone() };
        // the plain power iteration may stop before its last digits
        prop_assert!(agree(&exact, n, 1e-5) <= 1.0);
        let stored = spectral::Dense { divisor: Divisor::Stored(sigma), ..exact };
        let bound = agree(&stored, n, 1e-9);
        prop_assert!((bound - norm(&raw) / (sigma + 1e-3)).abs() <= 1e-8 * bound);
        let early = orthogonal::Bjorck {
            raw: raw.clone(),
            divisor: Divisor::Stored(norm(&raw)),
            offset: 0.0,
            steps: Bjorck { beta: 0.5, iterations: steps },
            bias: bias.clone(),
        };
        prop_assert!(agree(&early, n, 1e-8) <= 1.0 + 1e-8);
    }

    #[test]
    fn reflections_are_orthogonal(data in prop::collection::vec(-2.0..2.0f64, 3 * 4)) {
        let vectors = matrix(3, 4, data);
        prop_assume!((0..3).all(|i| vectors.row(i).iter().any(|value| value.abs() > 1e-3)));
        let family = orthogonal::Householder { vectors, bias: vec![0.5; 4] };
        prop_assert!(agree(&family, 4, 1e-12) <= 1.0);
    }

    /// A divisor that is too small by half gives a weight that stretches, and the certificate says by how much; the claim of 1 is refused.
    #[test]
    fn damage_shows(raw in raw(), steps in 1usize..4) {
        prop_assume!(norm(&raw) > 1e-3);
        let sigma = norm(&raw) / 2.0;
        let family = spectral::Dense { raw: raw.clone(), divisor: Divisor::Stored(sigma), offset: 0.0, bias: bias(&raw) };
        let bound = agree(&family, raw.cols(), 1e-9);
        prop_assert!((bound - 2.0).abs() < 1e-6);
        let realization = family.realize(Shape::Flat(raw.cols())).unwrap();
        let mut claim = realization.claims[0].clone();
        claim.lipschitz = 1.0;
        let prepared = Rules::new(&realization.layers[0], Shape::Flat(raw.cols())).unwrap();
        prop_assert!(LayerCertificate::check(&prepared, claim).is_err());
        // steps that overshoot √3 grow instead of converging
        let wild = orthogonal::Bjorck {
            raw: raw.clone(),
            divisor: Divisor::Stored(norm(&raw) / 2.5),
            offset: 0.0,
            steps: Bjorck { beta: 0.5, iterations: steps },
            bias: bias(&raw),
        };
        prop_assert!(agree(&wild, raw.cols(), f64::INFINITY) > 1.0);
    }
}

/// Zero columns, repeated columns, rank one.
#[test]
fn degenerate_parameters() {
    let zero_column = matrix(2, 3, vec![1.0, 0.0, 2.0, -1.0, 0.0, 0.5]);
    let repeated = matrix(2, 3, vec![1.0, 1.0, 1.0, -2.0, -2.0, -2.0]);
    let rank_one = matrix(3, 3, vec![1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 3.0, 6.0, 9.0]);
    for raw in [zero_column, repeated, rank_one] {
        let (n, bias) = (raw.cols(), bias(&raw));
        let aol = aol::Dense {
            raw: raw.clone(),
            epsilon: 0.0,
            bias: bias.clone(),
        };
        agree(&aol, n, 1e-12);
        let frobenius = frobenius::Dense {
            raw: raw.clone(),
            bias: bias.clone(),
        };
        agree(&frobenius, n, 1e-12);
        for divisor in [Divisor::Norm, Divisor::Frobenius] {
            let bjorck = orthogonal::Bjorck {
                raw: raw.clone(),
                divisor,
                offset: 0.0,
                steps: Bjorck {
                    beta: 0.5,
                    iterations: 20,
                },
                bias: bias.clone(),
            };
            agree(&bjorck, n, 1e-10);
        }
        let cayley = orthogonal::Cayley {
            raw: raw.clone(),
            alpha: Some(1.0),
            bias,
        };
        agree(&cayley, n, 1e-12);
    }
    // rank one: every column of the AOL weight has the same direction, and the bound 1 is attained
    let formula = DenseFormula::Aol {
        raw: matrix(1, 2, vec![3.0, 3.0]),
        epsilon: 0.0,
    };
    let weight = EnclosedWeight::new(&formula).unwrap();
    assert!((norm(weight.centre()) - 1.0).abs() < 1e-12);
}
