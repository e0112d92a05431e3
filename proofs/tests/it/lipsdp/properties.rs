//! Random networks against second methods.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::lipsdp::{check, dual_down};
use lipcert_proofs::statement::{Activation, Chain, Matrix, Output};
use nalgebra::DMatrix;
use num_bigint::BigInt;
use proptest::prelude::*;

use super::{dense_network, exact_inequality, exactly_definite};
use crate::common::{exact, matrix};

/// Small random networks with random multipliers.
fn problems() -> impl Strategy<Value = (Vec<Matrix>, f64, Vec<Vec<f64>>)> {
    (1usize..4, 1usize..4, 1usize..4, 1usize..3, -0.9..1.9f64).prop_flat_map(|(n0, n1, n2, m, slope)| {
        let weight = |rows: usize, cols: usize| {
            prop::collection::vec(-2.0..2.0f64, rows * cols).prop_map(move |data| matrix(rows, cols, data))
        };
        let layer = |n: usize| prop::collection::vec(0.05..4.0f64, n);
        (
            (weight(n1, n0), weight(n2, n1), weight(m, n2)).prop_map(|(a, b, c)| vec![a, b, c]),
            Just(slope),
            (layer(n1), layer(n2)).prop_map(|(a, b)| vec![a, b]),
        )
    })
}

proptest! {
    /// Soundness against exact elimination, and the rule against a dense second assembly in floats, for slopes of every sign.
    #[test]
    fn slopes_against_dense_matrices((weights, slope, multipliers) in problems(), bound in 0.1..60.0f64) {
        let map = dense_network(&weights, Activation::LeakyRelu { slope });
        for output in [Output::All, Output::Class(0), Output::Features] {
            let chain = Chain::of(&map, output).expect("a chain");
            let p = exact_inequality(&chain, &multipliers, &(exact(bound) * exact(bound)));
            let floats = DMatrix::from_fn(p.len(), p.len(), |i, j| {
                let (n, d) = (p[i][j].numer(), p[i][j].denom());
                ratio(n, d)
            });
            let least = floats.symmetric_eigenvalues().min();
            let size = floats.amax();
            if check(&chain, &multipliers, bound).is_ok() {
                prop_assert!(exactly_definite(p));
                prop_assert!(least >= -1e-12 * size);
            } else {
                // Completeness: what is refused is not far inside. 1e-9 is far above the rounding of a matrix of this size.
                prop_assert!(least <= 1e-9 * size, "{least} {size}");
            }
        }
    }

    /// The smallest bound that is accepted, found by bisection down to the last bits, is exactly true: rounding is counted where it matters. The relu case
    /// eliminates the input block, the others do not.
    #[test]
    fn the_least_accepted_bound_is_true((weights, slope, multipliers) in problems(), wide in prop::collection::vec(-2.0..2.0f64, 60)) {
        let rows = weights[0].rows();
        let first = matrix(rows, 60 / rows, wide[..60 / rows * rows].to_vec());
        let relu = dense_network(&[first, weights[1].clone(), weights[2].clone()], Activation::Relu);
        let leaky = dense_network(&weights, Activation::LeakyRelu { slope });
        for map in [relu, leaky] {
            let chain = Chain::of(&map, Output::All).expect("a chain");
            let (mut refused, mut accepted) = (1e-3, 1e6);
            if check(&chain, &multipliers, accepted).is_err() {
                continue;
            }
            while accepted / refused > 1.0 + 4.0 * f64::EPSILON {
                let middle = (accepted * refused).sqrt();
                if check(&chain, &multipliers, middle).is_ok() {
                    accepted = middle;
                } else {
                    refused = middle;
                }
            }
            let p = exact_inequality(&chain, &multipliers, &(exact(accepted) * exact(accepted)));
            prop_assert!(exactly_definite(p), "{accepted:e}");
        }
    }

    /// Any vectors give a bound that no accepted multipliers pass.
    #[test]
    fn the_dual_stays_below((weights, slope, multipliers) in problems(), seed in prop::collection::vec(-1.0..1.0f64, 60)) {
        let map = dense_network(&weights, Activation::LeakyRelu { slope });
        let chain = Chain::of(&map, Output::All).expect("a chain");
        let rank = 2;
        let mut values = seed.iter().cycle();
        let blocks: Vec<Vec<f64>> = chain.widths().iter().map(|n| values.by_ref().take(n * rank).copied().collect()).collect();
        let dual = dual_down(&chain, rank, &blocks).expect("vectors");
        if dual > 0.0 {
            prop_assert!(check(&chain, &multipliers, dual * (1.0 - 1e-12)).is_err());
        }
    }
}

/// The float next to a quotient of big integers, near enough.
fn ratio(numerator: &BigInt, denominator: &BigInt) -> f64 {
    let shift = i64::try_from(denominator.bits()).expect("small") - 80;
    let (n, d) = if shift > 0 {
        (numerator >> shift, denominator >> shift)
    } else {
        (numerator.clone(), denominator.clone())
    };
    let float = |value: &BigInt| value.to_string().parse::<f64>().expect("digits");
    float(&n) / float(&d)
}

#[test]
fn the_dual_of_one_neuron_is_exact() {
    let map = dense_network(&[matrix(1, 1, vec![3.0]), matrix(1, 1, vec![-7.0])], Activation::Relu);
    let chain = Chain::of(&map, Output::All).expect("a chain");
    // x₀ = 1, x₁ = u = 3: the largest slope.
    let dual = dual_down(&chain, 1, &[vec![1.0], vec![1.0]]).expect("vectors");
    assert!(dual <= 21.0 && dual > 21.0 * (1.0 - 1e-12), "{dual}");
    for wrong in [vec![vec![1.0]], vec![vec![1.0, 1.0], vec![1.0]]] {
        assert!(matches!(dual_down(&chain, 1, &wrong), Err(CheckError::Shape { .. })));
    }
    let nan = [vec![f64::NAN], vec![1.0]];
    assert!(matches!(dual_down(&chain, 1, &nan), Err(CheckError::NotFinite { .. })));
    let zeros = [vec![0.0], vec![0.0]];
    assert!(dual_down(&chain, 1, &zeros).expect("vectors") <= 0.0);
}
