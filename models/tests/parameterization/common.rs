//! What the tests of all families share.

use lipcert_models::forward::Prepared;
use lipcert_models::parameterization::{Parameterization, Realization};
use lipcert_proofs::certificate::{LayerCertificate, Prepared as Rules};
use lipcert_proofs::statement::{Layer, Matrix, NetworkMap, Shape};
use nalgebra::DMatrix;
use ndarray::Array2;
use proptest::prelude::*;

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
    move |x| {
        let prepared = Prepared::<f64>::new(&map);
        let x = Array2::from_shape_vec((1, x.len()), x.to_vec()).unwrap();
        let all = 0..map.layers().len();
        all.fold(x, |x, layer| prepared.apply(layer, x.view()).unwrap())
            .into_iter()
            .collect()
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
