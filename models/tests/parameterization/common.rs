//! What the tests of all families share.

use std::path::Path;

use lipcert_models::forward::Prepared;
use lipcert_models::parameterization::{Parameterization, Realization};
use lipcert_proofs::certificate::{LayerCertificate, Prepared as Rules};
use lipcert_proofs::statement::{Layer, Matrix, NetworkMap, Shape};
use nalgebra::DMatrix;
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::Value;

/// Random numbers with a few exact zeros, ones and large ones.
pub(crate) fn numbers(length: usize) -> impl Strategy<Value = Vec<f64>> {
    let entry = prop_oneof![6 => -2.0..2.0f64, 1 => Just(0.0), 1 => Just(1.0), 1 => -40.0..40.0f64];
    prop::collection::vec(entry, length)
}

/// Realizes a family and checks every claim; returns the layers and the product of the proved bounds.
pub(crate) fn accepted<P: Parameterization>(family: &P, input: Shape) -> (Realization, f64) {
    let realization = family.realize(input).unwrap();
    let (mut shape, mut product) = (input, 1.0);
    for (layer, claim) in realization.layers.iter().zip(&realization.claims) {
        let prepared = Rules::new(layer, shape).unwrap();
        let certificate = LayerCertificate::check(&prepared, claim.clone()).unwrap();
        if realization.layers.len() == 1 {
            assert_eq!(claim.witness.rule(), P::FAMILY.rule, "the table names another rule");
        }
        product *= certificate.lipschitz();
        shape = layer.output_shape(shape).unwrap();
    }
    (realization, product)
}

/// The layers as a map into vectors, by the second, plain implementation.
pub(crate) fn plain(layers: &[Layer], input: Shape) -> impl Fn(&[f64]) -> Vec<f64> {
    let mut layers = layers.to_vec();
    let output = layers.iter().fold(input, |shape, layer| layer.output_shape(shape).unwrap());
    if matches!(output, Shape::Image { .. }) {
        layers.push(Layer::Flatten);
    }
    let n = output.len();
    let identity = (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect();
    layers.push(Layer::Dense {
        weight: Matrix::new("identity", n, n, identity).unwrap(),
        bias: vec![0.0; n],
    });
    let map = NetworkMap::new(input, layers).unwrap();
    let prepared = Prepared::<f64>::new(&map);
    move |x| {
        let x = Array2::from_shape_vec((1, x.len()), x.to_vec()).unwrap();
        prepared.evaluate(x.view()).unwrap().into_iter().collect()
    }
}

/// The largest singular value of the central difference quotient of a map at `x`, by nalgebra: a lower bound of its Lipschitz constant up to the
/// rounding of the differences.
pub(crate) fn jacobian_norm(map: &impl Fn(&[f64]) -> Vec<f64>, x: &[f64]) -> f64 {
    let step = 1e-6;
    let columns: Vec<Vec<f64>> = (0..x.len())
        .map(|i| {
            let (mut above, mut below) = (x.to_vec(), x.to_vec());
            above[i] += step;
            below[i] -= step;
            let pairs = map(&above).into_iter().zip(map(&below));
            pairs.map(|(a, b)| (a - b) / (2.0 * step)).collect()
        })
        .collect();
    let rows = columns[0].len();
    DMatrix::from_fn(rows, x.len(), |row, col| columns[col][row])
        .singular_values()
        .max()
}

/// The quotient `‖f(x) − f(y)‖ / ‖x − y‖`.
pub(crate) fn quotient(map: &impl Fn(&[f64]) -> Vec<f64>, x: &[f64], y: &[f64]) -> f64 {
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    distance(&map(x), &map(y)) / distance(x, y)
}

/// One of the worked examples with digits.
pub(crate) fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/vectors/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A matrix of a worked example.
pub(crate) fn rows_of(value: &Value) -> Matrix {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(floats_of).collect();
    Matrix::new("example", rows.len(), rows[0].len(), rows.concat()).unwrap()
}

/// The numbers of a list of a worked example.
pub(crate) fn floats_of(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect()
}

/// The same entries for nalgebra, the second linear algebra of the tests.
pub(crate) fn to_nalgebra(matrix: &Matrix) -> DMatrix<f64> {
    DMatrix::from_row_slice(matrix.rows(), matrix.cols(), matrix.data())
}

/// The same entries.
pub(crate) fn from_nalgebra(matrix: &DMatrix<f64>) -> Matrix {
    let entries = matrix.transpose().as_slice().to_vec();
    Matrix::new("matrix", matrix.nrows(), matrix.ncols(), entries).unwrap()
}

/// The largest difference of two entries.
pub(crate) fn distance(a: &Matrix, b: &Matrix) -> f64 {
    (to_nalgebra(a) - to_nalgebra(b)).amax()
}
