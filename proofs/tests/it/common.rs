//! Networks, vectors and second methods for the tests.

use std::path::Path;

use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::statement::{Kernel, Layer, Matrix, NetworkMap, Output, Scale, Shape};
use nalgebra::DMatrix;
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use serde_json::Value;

/// One of the worked examples with digits.
pub(crate) fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/vectors/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).expect("a fixture")).expect("JSON")
}

/// All numbers of a nested list, in order.
pub(crate) fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

/// The exact value of a float.
pub(crate) fn exact(value: f64) -> BigRational {
    BigRational::from_float(value).expect("finite")
}

pub(crate) fn zero() -> BigRational {
    BigRational::from(BigInt::from(0))
}

pub(crate) fn abs(value: &BigRational) -> BigRational {
    if *value < zero() { -value } else { value.clone() }
}

pub(crate) fn matrix(rows: usize, cols: usize, data: Vec<f64>) -> Matrix {
    Matrix::new("weight", rows, cols, data).expect("a matrix")
}

pub(crate) fn dense(weight: Matrix, scale: Scale) -> Layer {
    let bias = vec![0.1; weight.rows()];
    Layer::ResidualDense { weight, bias, scale }
}

/// A dense layer with a stored `T`.
pub(crate) fn stored(weight: Matrix, t: &[f64]) -> Layer {
    let factor = t.iter().map(|t| 1.0 / t).collect();
    dense(weight, Scale::Stored { factor })
}

pub(crate) fn kernel(inner: usize, channels: usize, size: usize, data: Vec<f64>) -> Kernel {
    Kernel::new("kernel", inner, channels, size, data).expect("a kernel")
}

pub(crate) fn input_of(layer: &Layer) -> Shape {
    match layer {
        Layer::ResidualDense { weight, .. } | Layer::NormalizedHead { weight, .. } => Shape::Flat(weight.cols()),
        Layer::ResidualConv { kernel, .. } => Shape::Image {
            channels: kernel.channels(),
            height: 6,
            width: 6,
        },
        _ => Shape::Image {
            channels: 2,
            height: 4,
            width: 4,
        },
    }
}

pub(crate) fn by(witness: GramWitness, lambda: f64) -> GramClaim {
    GramClaim { lambda, witness }
}

pub(crate) fn own_dominance(lambda: f64) -> GramClaim {
    by(GramWitness::DiagonalDominance { weights: None }, lambda)
}

/// Whether the inequality is accepted for the layer.
pub(crate) fn gram_holds(layer: &Layer, claim: &GramClaim) -> Result<(), lipcert_proofs::CheckError> {
    Prepared::new(layer, input_of(layer))?.check_gram(claim)
}

/// The largest eigenvalue of `T^{-1/2} A Aᵀ T^{-1/2}`, by nalgebra.
pub(crate) fn approx_lambda(weight: &Matrix, t: &[f64]) -> f64 {
    let a = DMatrix::from_row_slice(weight.rows(), weight.cols(), weight.data());
    let scaled = DMatrix::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] / t[i].sqrt());
    (&scaled * scaled.transpose()).symmetric_eigenvalues().max()
}

/// A claim that holds for the layer: formulas and structure as they are, a head by Cholesky, a stored factor by dominance.
pub(crate) fn honest_claim(prepared: &Prepared<'_>) -> LayerClaim {
    match prepared.layer() {
        Layer::ResidualDense {
            scale: Scale::Stored { .. },
            ..
        }
        | Layer::ResidualConv {
            scale: Scale::Stored { .. },
            ..
        } => {
            let lambda = 1.0
                + prepared
                    .excess_up(prepared.factor().expect("a factor").approx())
                    .expect("an excess")
                + 1e-9;
            let lipschitz = lipcert_proofs::rules::tolerance::bound_up(lambda);
            LayerClaim {
                lipschitz,
                witness: Witness::Tolerance {
                    inside: own_dominance(lambda),
                },
            }
        }
        Layer::ResidualConv { .. } | Layer::ResidualDense { .. } | Layer::Sandwich(_) => LayerClaim {
            lipschitz: 1.0,
            witness: Witness::Formula { inside: None },
        },
        Layer::NormalizedHead { weight, .. } => {
            let t: Vec<f64> = (0..weight.rows())
                .map(|i| weight.row(i).iter().map(|v| v * v).sum::<f64>().max(1e-24))
                .collect();
            let lambda = approx_lambda(weight, &t) * (1.0 + 1e-9) + 1e-9;
            let inside = by(GramWitness::Cholesky {}, lambda);
            LayerClaim {
                lipschitz: lambda.sqrt() * (1.0 + 1e-12),
                witness: Witness::NormalizedRows { inside },
            }
        }
        Layer::Dense { weight, .. } => {
            let (rows, cols) = (weight.rows(), weight.cols());
            let a = DMatrix::from_row_slice(rows, cols, weight.data());
            let lambda = a.singular_values().max().powi(2) * (1.0 + 1e-9) + 1e-300;
            let inside = by(GramWitness::Cholesky {}, lambda);
            LayerClaim {
                lipschitz: lambda.sqrt() * (1.0 + 1e-12),
                witness: Witness::OperatorNorm { inside },
            }
        }
        Layer::DenseFormula { formula, .. } => {
            let reach = prepared.enclosed().expect("a weight").reach();
            LayerClaim {
                lipschitz: lipcert_proofs::rules::dense_formula::bound_up(formula, reach),
                witness: Witness::Formula { inside: None },
            }
        }
        other => {
            let lipschitz = lipcert_proofs::rules::structural::bound_up(other).expect("a map without weights");
            LayerClaim {
                lipschitz,
                witness: Witness::Structural {},
            }
        }
    }
}

/// Certificates of all layers of a network.
pub(crate) fn certify_layers(map: &NetworkMap) -> Vec<LayerCertificate<'_>> {
    map.layers()
        .iter()
        .zip(map.input_shapes())
        .map(|(layer, input)| {
            let prepared = Prepared::new(layer, input).expect("a layer");
            LayerCertificate::check(&prepared, honest_claim(&prepared)).expect("an honest claim")
        })
        .collect()
}

/// The certificate of a network.
pub(crate) fn certify(map: &NetworkMap) -> NetworkCertificate<'_> {
    NetworkCertificate::compose(map, certify_layers(map), Vec::new(), Output::All).expect("a certificate")
}

/// A head alone, on `n` features.
pub(crate) fn head_network(rows: usize, cols: usize, weight: Vec<f64>, bias: Vec<f64>) -> NetworkMap {
    let head = Layer::NormalizedHead {
        weight: matrix(rows, cols, weight),
        bias,
    };
    NetworkMap::new(Shape::Flat(cols), vec![head]).expect("a network")
}

/// Matrices of small size with entries of very different magnitude, zeros included.
pub(crate) fn matrices() -> impl Strategy<Value = Matrix> {
    (1usize..7, 1usize..9).prop_flat_map(|(rows, cols)| {
        let entry = prop_oneof![8 => -2.0..2.0f64, 1 => Just(0.0), 1 => -1e-5..1e-5f64];
        prop::collection::vec(entry, rows * cols).prop_map(move |data| matrix(rows, cols, data))
    })
}
