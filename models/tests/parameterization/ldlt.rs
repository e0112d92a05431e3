//! LDLT networks.

use lipcert_models::parameterization::Parameterization;
use lipcert_models::parameterization::ldlt::{Free, Network};
use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{ChainCertificate, ChainClaim};
use lipcert_proofs::statement::{Layer, Matrix, NetworkMap, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{accepted, distance, floats_of, numbers, plain, quotient, rows_of, to_nalgebra, vector};

fn worked() -> Network {
    let v = vector("ldlt");
    let layers = v["V"].as_array().unwrap().iter().zip(floats_of(&v["alpha"]));
    let free = layers.map(|(weight, alpha)| {
        let weight = rows_of(weight);
        Free {
            bias: vec![0.25; weight.rows()],
            weight,
            alpha,
        }
    });
    Network {
        layers: free.collect(),
        gamma: v["gamma"].as_f64().unwrap(),
    }
}

/// Whether the chain is accepted, with its bound multiplied.
fn judge(network: &Network, factor: f64) -> Result<f64, CheckError> {
    let input = Shape::Flat(network.layers[0].weight.cols());
    let realization = network.realize(input).unwrap();
    let claim = realization.chain.unwrap();
    let map = NetworkMap::new(input, realization.layers).unwrap();
    let lipschitz = claim.lipschitz * factor;
    ChainCertificate::check(&map, ChainClaim { lipschitz, ..claim }).map(|certificate| certificate.lipschitz())
}

#[test]
fn the_worked_example() {
    let network = worked();
    let expected = vector("ldlt");
    let weights = network.weights().unwrap();
    for (weight, expected) in weights.iter().zip(expected["C"].as_array().unwrap()) {
        assert!(distance(weight, &rows_of(expected)) < 1e-9);
    }
    let bound = judge(&network, 1.0).unwrap();
    assert!(bound <= 2.0 * (1.0 + 1.000_001e-9), "{bound}");
    accepted(&network, Shape::Flat(3));
}

/// With a last `α` near zero and as many outputs as neurons the last pivot nearly vanishes, and nothing below `γ` is accepted.
#[test]
fn a_tight_network() {
    let mut network = worked();
    let last = network.layers.last_mut().unwrap();
    last.weight = Matrix::new("weight", 4, 4, (0..16).map(|i| f64::from((5 * i + 3) % 7) - 3.0).collect()).unwrap();
    last.bias = vec![0.0; 4];
    last.alpha = 1e-8;
    assert!(judge(&network, 1.0).is_ok());
    let refused = judge(&network, 1.0 - 1e-3);
    assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{refused:?}");
}

#[test]
fn malformed_parameters() {
    let refuse = |change: &dyn Fn(&mut Network)| {
        let mut network = worked();
        change(&mut network);
        network.realize(Shape::Flat(3)).unwrap_err()
    };
    for alpha in [0.0, -1.0, f64::NAN] {
        let refused = refuse(&|network| network.layers[1].alpha = alpha);
        assert!(
            matches!(refused, CheckError::NotPositive { what: "alpha", .. }),
            "{refused:?}"
        );
    }
    let refused = refuse(&|network| {
        network.layers.remove(1);
    });
    assert!(matches!(refused, CheckError::Shape { what: "weight", .. }), "{refused:?}");
    let refused = refuse(&|network| network.layers[0].bias.push(0.0));
    assert!(matches!(refused, CheckError::Shape { what: "bias", .. }), "{refused:?}");
    assert!(worked().realize(Shape::Flat(4)).is_err());
}

/// The largest norm of the Jacobians with every mask of the hidden neurons.
fn largest_jacobian(layers: &[Layer]) -> f64 {
    let weights: Vec<DMatrix<f64>> = layers
        .iter()
        .filter_map(|layer| match layer {
            Layer::Dense { weight, .. } => Some(to_nalgebra(weight)),
            _ => None,
        })
        .collect();
    let (last, hidden) = weights.split_last().unwrap();
    let neurons: usize = hidden.iter().map(DMatrix::nrows).sum();
    let norm = |mask: u32| {
        let mut bit = 0;
        let mut product = DMatrix::identity(weights[0].ncols(), weights[0].ncols());
        for weight in hidden {
            product = weight * product;
            for mut row in product.row_iter_mut() {
                row *= f64::from(mask >> bit & 1);
                bit += 1;
            }
        }
        (last * product).singular_values().max()
    };
    (0..1u32 << neurons).map(norm).fold(0.0, f64::max)
}

fn networks() -> impl Strategy<Value = (Network, Vec<f64>, Vec<f64>)> {
    let widths = prop::collection::vec(1usize..4, 3..5);
    (widths, 0.1..10.0f64).prop_flat_map(|(widths, gamma)| {
        let layer = |pair: &[usize]| {
            let (n, m) = (pair[0], pair[1]);
            (numbers(n * m), 0.05..3.0f64, numbers(m)).prop_map(move |(entries, alpha, bias)| Free {
                weight: Matrix::new("weight", m, n, entries).unwrap(),
                alpha,
                bias,
            })
        };
        let layers: Vec<_> = widths.windows(2).map(layer).collect();
        let network = layers.prop_map(move |layers| Network { layers, gamma });
        (network, numbers(widths[0]), numbers(widths[0]))
    })
}

proptest! {
    #[test]
    fn networks_are_gamma_lipschitz((network, x, y) in networks()) {
        let input = Shape::Flat(x.len());
        let (realization, _) = accepted(&network, input);
        let bound = judge(&network, 1.0).unwrap();
        prop_assert!(largest_jacobian(&realization.layers) <= bound);
        prop_assume!(x != y);
        prop_assert!(quotient(&plain(&realization.layers, input), &x, &y) <= bound * (1.0 + 1e-9));
    }
}
