//! What the tests of the convolutions share: random kernels, and the layer as a matrix by the second implementation.

use lipcert_models::parameterization::{Parameterization, Realization};
use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::statement::{Kernel, Layer, Padding, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;
use serde_json::Value;

use crate::common::{accepted, numbers, plain};

/// All numbers of a nested list, in order.
pub(crate) fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

pub(crate) fn kernel(out: usize, channels: usize, size: usize, data: Vec<f64>) -> Kernel {
    Kernel::new("kernel", out, channels, size, data).unwrap()
}

pub(crate) fn image(channels: usize, height: usize, width: usize) -> Shape {
    Shape::Image { channels, height, width }
}

pub(crate) fn paddings() -> impl Strategy<Value = Padding> {
    prop_oneof![Just(Padding::Zero), Just(Padding::Circular)]
}

/// Raw kernels `(out, in, k, k)` with a bias, on images of all small shapes: one pixel, not square, smaller than the kernel.
pub(crate) fn kernels(square: bool) -> impl Strategy<Value = (Kernel, Vec<f64>, Shape, Padding)> {
    (1usize..4, 1usize..4, 0usize..3, 1usize..5, 1usize..5, paddings()).prop_flat_map(
        move |(out, channels, half, height, width, padding)| {
            let (out, size) = (if square { channels } else { out }, 2 * half + 1);
            (numbers(out * channels * size * size), numbers(out)).prop_map(move |(data, bias)| {
                (
                    kernel(out, channels, size, data),
                    bias,
                    image(channels, height, width),
                    padding,
                )
            })
        },
    )
}

/// The linear part of an affine layer as a matrix, by the second, plain implementation.
pub(crate) fn linear_part(layers: &[Layer], input: Shape) -> DMatrix<f64> {
    let map = plain(layers, input);
    let origin = map(&vec![0.0; input.len()]);
    let columns: Vec<Vec<f64>> = (0..input.len())
        .map(|i| {
            let mut unit = vec![0.0; input.len()];
            unit[i] = 1.0;
            map(&unit).iter().zip(&origin).map(|(a, b)| a - b).collect()
        })
        .collect();
    DMatrix::from_fn(origin.len(), input.len(), |row, col| columns[col][row])
}

/// Realizes a family, checks its claim, and compares the bound with the largest singular value; 1e-9 is far above the rounding of both.
pub(crate) fn bounded<P: Parameterization>(family: &P, input: Shape) -> (Realization, f64, f64) {
    let (realization, bound) = accepted(family, input);
    let norm = linear_part(&realization.layers, input).singular_values().max();
    assert!(norm <= bound * (1.0 + 1e-9) + 1e-9, "{norm} {bound}");
    damaged(&realization, input);
    (realization, bound, norm)
}

/// A claim with less than what was proved is refused.
fn damaged(realization: &Realization, input: Shape) {
    let layer = &realization.layers[0];
    let LayerClaim { lipschitz, witness } = realization.claims[0].clone();
    let prepared = Prepared::new(layer, input).unwrap();
    let refused = |claim| LayerCertificate::check(&prepared, claim).is_err();
    let less = lipschitz * (1.0 - 1e-12) - 1e-320;
    let witness_again = witness.clone();
    assert!(refused(LayerClaim {
        lipschitz: less,
        witness: witness_again,
    }));
    let smaller = |inside: &GramClaim| GramClaim {
        lambda: inside.lambda * 0.9 - 1e-320,
        witness: inside.witness.clone(),
    };
    match &witness {
        Witness::OperatorNorm { inside } => {
            assert!(matches!(inside.witness, GramWitness::GramIteration { .. }));
            let witness = Witness::OperatorNorm { inside: smaller(inside) };
            assert!(refused(LayerClaim { lipschitz, witness }));
        }
        Witness::TaylorRemainder { inside } => {
            let witness = Witness::TaylorRemainder { inside: smaller(inside) };
            assert!(refused(LayerClaim { lipschitz, witness }));
        }
        _ => {}
    }
}
