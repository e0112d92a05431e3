//! Rule `lipsdp-groupwise`, against exact elimination and Jacobians of every ordering.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::lipsdp_groupwise::{GroupedClaim, check};
use lipcert_proofs::statement::{GroupedChain, Groups, Matrix};
use nalgebra::DMatrix;
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{exact, flat, matrix, vector, zero};
use crate::lipsdp::exactly_definite;
use crate::residual_lmi::{nalgebra_of, rows_of};

const PAIRS: Groups = Groups::Sorted { size: 2 };

fn worked() -> (GroupedChain, GroupedClaim) {
    let v = vector("lipsdp_nsr_maxmin");
    let chain = GroupedChain::new(vec![rows_of(&v["B0"])], vec![PAIRS], rows_of(&v["B1"])).expect("a chain");
    let claim = GroupedClaim {
        lipschitz: flat(&v["L_nsr"])[0],
        identity: vec![flat(&v["lambda"])],
        kept: vec![flat(&v["gamma"])],
    };
    (chain, claim)
}

/// The same evidence, enlarged: the inequalities are homogeneous in `(ρ, T)` but for the output.
fn larger(claim: &GroupedClaim, excess: f64) -> GroupedClaim {
    let scale = |layers: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let layer = |layer: &Vec<f64>| layer.iter().map(|value| value * (1.0 + excess)).collect();
        layers.iter().map(layer).collect()
    };
    GroupedClaim {
        lipschitz: claim.lipschitz * (1.0 + excess),
        identity: scale(&claim.identity),
        kept: scale(&claim.kept),
    }
}

/// The pieces of the activation of a group: permutations for sorting, the identity and the reflection.
fn pieces(groups: &Groups, index: usize, size: usize) -> Vec<DMatrix<f64>> {
    match groups {
        Groups::Sorted { .. } => {
            let mut orders = vec![vec![]];
            for _ in 0..size {
                orders = orders
                    .into_iter()
                    .flat_map(|order: Vec<usize>| {
                        let rest: Vec<usize> = (0..size).filter(|i| !order.contains(i)).collect();
                        rest.into_iter().map(move |i| [order.clone(), vec![i]].concat())
                    })
                    .collect();
            }
            let permutation = |order: Vec<usize>| DMatrix::from_fn(size, size, |i, j| f64::from(u8::from(order[i] == j)));
            orders.into_iter().map(permutation).collect()
        }
        Groups::Reflected { normals } => {
            let u = nalgebra::DVector::from_column_slice(&normals[index]);
            let identity = DMatrix::identity(size, size);
            vec![identity.clone(), identity - &u * u.transpose() * (2.0 / u.norm_squared())]
        }
    }
}

/// The largest norm of the Jacobians with every combination of pieces.
fn largest_jacobian(chain: &GroupedChain) -> f64 {
    let mut products = vec![nalgebra_of(&chain.weights()[0])];
    for (layer, groups) in chain.groups().iter().enumerate() {
        let width = chain.weights()[layer].rows();
        let mut first = 0;
        for (index, size) in groups.sizes(width).expect("groups").into_iter().enumerate() {
            let choices = pieces(groups, index, size);
            products = products
                .into_iter()
                .flat_map(|product: DMatrix<f64>| {
                    let choices = choices.clone();
                    choices.into_iter().map(move |piece| {
                        let mut moved = product.clone();
                        let rows = piece * product.rows(first, size);
                        moved.rows_mut(first, size).copy_from(&rows);
                        moved
                    })
                })
                .collect();
            first += size;
        }
        let next = nalgebra_of(chain.weights().get(layer + 1).unwrap_or(chain.output()));
        products = products.into_iter().map(|product| &next * product).collect();
    }
    products
        .into_iter()
        .map(|product| product.singular_values().max())
        .fold(0.0, f64::max)
}

/// The inequalities `T_{k−1} − W_kᵀ T_k W_k` and `T_h − CᵀC` in rationals.
fn exact_inequalities(chain: &GroupedChain, claim: &GroupedClaim) -> Vec<Vec<Vec<BigRational>>> {
    let inputs = chain.weights()[0].cols();
    let mut multipliers = vec![vec![vec![zero(); inputs]; inputs]];
    for (i, row) in multipliers[0].iter_mut().enumerate() {
        row[i] = exact(claim.lipschitz) * exact(claim.lipschitz);
    }
    for (layer, groups) in chain.groups().iter().enumerate() {
        let width = chain.weights()[layer].rows();
        let mut t = vec![vec![zero(); width]; width];
        let mut first = 0;
        for (index, size) in groups.sizes(width).expect("groups").into_iter().enumerate() {
            let (lambda, gamma) = (exact(claim.identity[layer][index]), exact(claim.kept[layer][index]));
            for i in 0..size {
                for j in 0..size {
                    let form = match groups {
                        Groups::Sorted { .. } => exact(1.0),
                        Groups::Reflected { normals } => {
                            let u: Vec<BigRational> = normals[index].iter().map(|value| exact(*value)).collect();
                            let squares = u.iter().fold(zero(), |sum, value| sum + value * value);
                            let diagonal = if i == j { squares } else { zero() };
                            diagonal - &u[i] * &u[j]
                        }
                    };
                    let diagonal = if i == j { lambda.clone() } else { zero() };
                    t[first + i][first + j] = diagonal + &gamma * form;
                }
            }
            first += size;
        }
        multipliers.push(t);
    }
    let output = chain.output();
    let mut identity = vec![vec![zero(); output.rows()]; output.rows()];
    for (i, row) in identity.iter_mut().enumerate() {
        row[i] = exact(1.0);
    }
    multipliers.push(identity);
    let factors = chain.weights().iter().chain([output]);
    factors
        .zip(multipliers.windows(2))
        .map(|(weight, pair)| {
            let mut p = pair[0].clone();
            for (i, row) in p.iter_mut().enumerate() {
                for (j, entry) in row.iter_mut().enumerate() {
                    for k in 0..weight.rows() {
                        for l in 0..weight.rows() {
                            *entry -= exact(weight.row(k)[i]) * &pair[1][k][l] * exact(weight.row(l)[j]);
                        }
                    }
                }
            }
            p
        })
        .collect()
}

#[test]
fn the_worked_example() {
    let (chain, printed) = worked();
    let good = larger(&printed, 1e-6);
    assert_eq!(check(&chain, &good), Ok(()));
    assert!(exact_inequalities(&chain, &good).into_iter().all(exactly_definite));
    let largest = largest_jacobian(&chain);
    assert!((largest - flat(&vector("lipsdp_nsr_maxmin")["max_perm_norm"])[0]).abs() < 1e-12);
    // Below the norm for some ordering no multipliers do.
    for excess in [-0.3, -1e-6, 0.0, 1e-6, 0.3] {
        let mut low = larger(&printed, excess);
        low.lipschitz = largest * (1.0 - 1e-6);
        assert!(
            matches!(check(&chain, &low), Err(CheckError::NotSemidefinite { .. })),
            "{excess}"
        );
    }
}

/// `γ = 0` gives the product of the norms and no less: the kept sum is what gains.
#[test]
fn without_the_sum_it_is_the_product() {
    let (chain, _) = worked();
    let norm = |matrix: &Matrix| nalgebra_of(matrix).singular_values().max();
    let (first, last) = (norm(&chain.weights()[0]), norm(chain.output()));
    let product = flat(&vector("lipsdp_nsr_maxmin")["product_bound"])[0];
    assert!((first * last - product).abs() < 1e-12);
    let plain = |bound: f64| GroupedClaim {
        lipschitz: bound,
        identity: vec![vec![last * last * (1.0 + 1e-9); 2]],
        kept: vec![vec![0.0; 2]],
    };
    assert_eq!(check(&chain, &plain(product * (1.0 + 1e-8))), Ok(()));
    assert!(check(&chain, &plain(product * (1.0 - 1e-8))).is_err());
}

#[test]
fn reject_table() {
    let (chain, printed) = worked();
    let good = larger(&printed, 1e-3);
    assert_eq!(check(&chain, &good), Ok(()));
    // A negative λ with a large γ would use a form that sorting does not keep.
    for value in [-1e-9, -1.0, f64::NAN] {
        let mut wrong = good.clone();
        wrong.identity[0][1] = value;
        let refused = check(&chain, &wrong);
        assert!(matches!(refused, Err(CheckError::NotPositive { index: 1, .. })), "{value}");
    }
    for value in [f64::NAN, f64::INFINITY] {
        let mut wrong = good.clone();
        wrong.kept[0][0] = value;
        assert!(matches!(check(&chain, &wrong), Err(CheckError::NotFinite { .. })), "{value}");
    }
    for value in [0.0, -1.0, f64::NAN] {
        let mut wrong = good.clone();
        wrong.lipschitz = value;
        assert!(
            matches!(check(&chain, &wrong), Err(CheckError::NotPositive { what: "lipschitz", .. })),
            "{value}"
        );
    }
    for (identity, kept) in [
        (vec![], vec![]),
        (vec![vec![5.0; 3]], vec![vec![0.0; 2]]),
        (vec![vec![5.0; 2]], vec![vec![0.0; 1]]),
    ] {
        let wrong = GroupedClaim {
            lipschitz: 9.0,
            identity,
            kept,
        };
        assert!(matches!(check(&chain, &wrong), Err(CheckError::Shape { .. })));
    }
}

#[test]
fn malformed_chains() {
    let w = |rows, cols| matrix(rows, cols, vec![0.5; rows * cols]);
    let normals = |normals: &[&[f64]]| Groups::Reflected {
        normals: normals.iter().map(|normal| normal.to_vec()).collect(),
    };
    for (weights, groups, output) in [
        (vec![], vec![], w(1, 4)),
        (vec![w(4, 3)], vec![], w(1, 4)),
        (vec![w(4, 3)], vec![Groups::Sorted { size: 3 }], w(1, 4)),
        (vec![w(4, 3)], vec![Groups::Sorted { size: 0 }], w(1, 4)),
        (vec![w(4, 3)], vec![PAIRS], w(1, 3)),
        (vec![w(4, 3), w(4, 3)], vec![PAIRS, PAIRS], w(1, 4)),
        (vec![w(4, 3)], vec![normals(&[&[1.0, 0.0], &[1.0]])], w(1, 4)),
        (vec![w(4, 3)], vec![normals(&[&[1.0, 0.0], &[0.0, 0.0]])], w(1, 4)),
        (vec![w(4, 3)], vec![normals(&[&[1.0, 0.0], &[0.0, f64::NAN]])], w(1, 4)),
    ] {
        let refused = GroupedChain::new(weights, groups, output);
        assert!(
            matches!(
                refused,
                Err(CheckError::Shape { .. } | CheckError::NotPositive { .. } | CheckError::NotFinite { .. })
            ),
            "{refused:?}"
        );
    }
    assert!(GroupedChain::new(vec![w(4, 3)], vec![normals(&[&[1.0, 0.0], &[0.5, -0.5]])], w(1, 4)).is_ok());
}

/// A layer and the next: sorted in groups, or reflected at random normals; with multipliers.
type Layer = (Matrix, Groups, Vec<f64>, Vec<f64>);

fn layer(inputs: usize) -> impl Strategy<Value = Layer> {
    let shapes = prop_oneof![Just((1usize, 2usize)), Just((2, 2)), Just((1, 3)), Just((2, 1))];
    (shapes, any::<bool>()).prop_flat_map(move |((count, size), sorted)| {
        let rows = count * size;
        let weight = prop::collection::vec(-1.0..1.0f64, rows * inputs).prop_map(move |data| matrix(rows, inputs, data));
        let normals = prop::collection::vec(prop::collection::vec(0.1..1.0f64, size), count);
        let groups = normals.prop_map(move |normals| {
            if sorted {
                Groups::Sorted { size }
            } else {
                Groups::Reflected { normals }
            }
        });
        let numbers = |lo: f64, hi: f64| prop::collection::vec(lo..hi, count);
        (weight, groups, numbers(0.0, 4.0), numbers(-0.3, 2.0))
    })
}

fn problems() -> impl Strategy<Value = (GroupedChain, GroupedClaim)> {
    let first = layer(2);
    let second = first.prop_flat_map(|first| {
        let inputs = first.0.rows();
        (Just(first), layer(inputs))
    });
    let whole = second.prop_flat_map(|(first, second)| {
        let inputs = second.0.rows();
        let output = prop::collection::vec(-1.0..1.0f64, inputs).prop_map(move |data| matrix(1, inputs, data));
        (Just(first), Just(second), output, 1.0..5.0f64)
    });
    whole.prop_map(|(first, second, output, growth)| {
        let chain = GroupedChain::new(vec![first.0, second.0], vec![first.1, second.1], output).expect("a chain");
        // Larger multipliers in front, else little is accepted.
        let grown = |values: Vec<f64>| values.into_iter().map(|value| value * growth).collect();
        let claim = GroupedClaim {
            lipschitz: 1.0,
            identity: vec![grown(first.2), second.2],
            kept: vec![grown(first.3), second.3],
        };
        (chain, claim)
    })
}

proptest! {
    /// The smallest bound that is accepted is exactly true, and no Jacobian passes it.
    #[test]
    fn the_least_accepted_bound_is_true((chain, mut claim) in problems()) {
        let (mut refused, mut accepted) = (1e-3, 1e3);
        claim.lipschitz = accepted;
        if check(&chain, &claim).is_ok() {
            while accepted / refused > 1.0 + 8.0 * f64::EPSILON {
                claim.lipschitz = f64::midpoint(accepted, refused);
                if check(&chain, &claim).is_ok() {
                    accepted = claim.lipschitz;
                } else {
                    refused = claim.lipschitz;
                }
            }
            claim.lipschitz = accepted;
            prop_assert!(exact_inequalities(&chain, &claim).into_iter().all(exactly_definite));
            let largest = largest_jacobian(&chain);
            prop_assert!(largest <= accepted * (1.0 + 1e-12), "{largest} {accepted}");
        } else {
            let inside = exact_inequalities(&chain, &larger(&claim, -1e-9)).into_iter().all(exactly_definite);
            prop_assert!(!inside);
        }
    }
}
