//! Closed forms against eigenvalues of a second library and published bounds.

mod nets;

use faer::{Mat, Par};
use lipcert_solver::SolveError;
use lipcert_solver::chain::{Candidate, Chain, Sharing, Slope, Solution, Status, Unwatched};
use lipcert_solver::closed::recursion::{Choice, Direction};
use lipcert_solver::closed::{diagonal, product, recursion};
use lipcert_solver::common::approx_gram;
use lipcert_solver::eigenvalue::approx_norm;
use lipcert_solver::structured;
use nalgebra::DMatrix;
use nets::{chain_of, matrix, published, random_chain};
use proptest::prelude::*;

/// The smallest eigenvalue of `diag(t) − G` over the largest `t`.
fn inside(gram: &Mat<f64>, scale: &[f64]) -> f64 {
    let n = scale.len();
    let largest = scale.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let matrix = DMatrix::from_fn(n, n, |i, j| (if i == j { scale[i] } else { 0.0 } - gram[(i, j)]) / largest);
    matrix.symmetric_eigenvalues().min()
}

/// The smallest eigenvalue of `P(Λ, ρ)`, its diagonal scaled to one, by nalgebra.
fn slack(chain: &Chain, candidate: &Candidate) -> f64 {
    let widths = chain.widths();
    let starts: Vec<usize> = widths
        .iter()
        .scan(0, |sum, width| {
            *sum += width;
            Some(*sum - width)
        })
        .collect();
    let size: usize = widths.iter().sum();
    let mut p = DMatrix::<f64>::zeros(size, size);
    for i in 0..widths[0] {
        p[(i, i)] = candidate.lipschitz.powi(2);
    }
    for (layer, (weight, slope)) in chain.weights().iter().zip(chain.slopes()).enumerate() {
        for k in 0..weight.nrows() {
            let row = |steep: f64| {
                let mut vector = DMatrix::<f64>::zeros(size, 1);
                vector[(starts[layer + 1] + k, 0)] = 1.0;
                for j in 0..weight.ncols() {
                    vector[(starts[layer] + j, 0)] = -steep * weight[(k, j)];
                }
                vector
            };
            let (a, b) = (row(slope.lo), row(slope.hi));
            p += candidate.multipliers[layer][k] * (&a * b.transpose() + &b * a.transpose());
        }
    }
    let output = chain.output();
    let last = starts[widths.len() - 1];
    for i in 0..output.ncols() {
        for j in 0..output.ncols() {
            p[(last + i, last + j)] -= (0..output.nrows()).map(|k| output[(k, i)] * output[(k, j)]).sum::<f64>();
        }
    }
    let roots: Vec<f64> = (0..size).map(|i| p[(i, i)].max(1e-300).sqrt()).collect();
    DMatrix::from_fn(size, size, |i, j| p[(i, j)] / roots[i] / roots[j])
        .symmetric_eigenvalues()
        .min()
}

/// Every candidate satisfies the inequality up to rounding, later ones with higher bounds.
fn check(chain: &Chain, solution: &Solution) {
    assert_eq!(solution.status, Status::Closed);
    let mut before = 0.0;
    for candidate in &solution.candidates {
        assert!(candidate.lipschitz > before);
        before = candidate.lipschitz;
        let slack = slack(chain, candidate);
        assert!(slack >= -1e-11, "{slack:e}");
    }
}

fn bound(solution: &Solution) -> f64 {
    solution.candidates[0].lipschitz
}

fn fast(chain: &Chain) -> f64 {
    let bounds = recursion::bounds(chain).expect("slopes from zero");
    let fast = |bound: &&recursion::Bound| bound.direction == Direction::Forward && bound.choice == Choice::Spectral;
    bounds.iter().find(fast).expect("finite").approx_lipschitz
}

#[test]
fn the_formulas_of_a_known_layer() {
    // Reference values computed in Python.
    let weight = faer::mat![
        [0.59, 0.71, 0.79, -0.35],
        [-0.46, 0.86, -0.19, -1.28],
        [-1.13, -0.92, 0.5, 0.14],
    ];
    let gram = approx_gram(weight.as_ref(), Par::Seq);
    let sums = diagonal::row_sums(gram.as_ref());
    for (found, expected) in sums.iter().zip([3.1351, 4.6936, 1.0209, 3.5194]) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    let spectral = diagonal::spectral(gram.as_ref()).unwrap();
    assert!((spectral[0] - 3.678_870_595_648_622_3).abs() < 1e-13);
    let perron = diagonal::perron(gram.as_ref())[0];
    assert!(perron >= spectral[0] && perron <= 4.6936);
}

#[test]
fn iterated_row_sums_come_near_the_norm() {
    let gram = approx_gram(matrix(6, 8, -1.0, 3).as_ref(), Par::Seq);
    let top = diagonal::spectral(gram.as_ref()).unwrap()[0];
    let mut before = f64::INFINITY;
    for iterations in [1, 2, 4, 8, 20] {
        let largest = diagonal::iterated_row_sums(gram.as_ref(), iterations)
            .into_iter()
            .fold(0.0, f64::max);
        assert!(largest >= top * (1.0 - 1e-12) && largest < before);
        before = largest;
    }
    assert!(before <= top * 1.001);
}

#[test]
fn zero_and_empty_matrices() {
    for line in diagonal::all(Mat::<f64>::zeros(3, 3).as_ref()) {
        assert_eq!(line.scale, [0.0; 3], "{}", line.name);
    }
    for line in diagonal::all(Mat::<f64>::zeros(0, 0).as_ref()) {
        assert!(line.scale.is_empty(), "{}", line.name);
    }
}

#[test]
fn the_product_has_multipliers_for_all_slopes() {
    for (lo, hi) in [(0.0, 1.0), (-1.0, 1.0), (0.2, 0.8), (-0.3, 0.5), (-0.9, 0.1), (0.0, 3.0)] {
        let chain = random_chain(&[3, 6, 4, 2], Slope { lo, hi }, -1.0, 7);
        let solution = product::solve(&chain).unwrap();
        check(&chain, &solution);
        let steep: f64 = f64::max(-lo, hi);
        let norms: f64 = chain
            .weights()
            .iter()
            .map(|weight| approx_norm(weight.as_ref()).unwrap() * steep)
            .product();
        let expected = norms * approx_norm(chain.output()).unwrap();
        assert!((bound(&solution) - expected).abs() <= 1e-11 * expected);
    }
}

#[test]
fn an_affine_map_has_its_norm() {
    let chain = chain_of(vec![matrix(3, 5, -1.0, 1)]);
    let norm = approx_norm(chain.output()).unwrap();
    for solution in [product::solve(&chain).unwrap(), recursion::solve(&chain).unwrap()] {
        assert!((bound(&solution) - norm).abs() <= 1e-11 * norm);
        assert!(solution.candidates[0].multipliers.is_empty());
    }
}

#[test]
fn slopes_outside_a_method_are_named() {
    let linear = random_chain(&[2, 3, 1], Slope { lo: 1.0, hi: 1.0 }, -1.0, 1);
    assert!(matches!(product::solve(&linear), Err(SolveError::Slope { layer: 0, .. })));
    let leaky = random_chain(&[2, 3, 1], Slope { lo: 0.1, hi: 1.0 }, -1.0, 1);
    assert!(matches!(recursion::solve(&leaky), Err(SolveError::Slope { layer: 0, .. })));
    assert!(matches!(recursion::bounds(&leaky), Err(SolveError::Slope { layer: 0, .. })));
}

/// Networks with published bounds: the product of the norms and ECLipsE-Fast.
#[test]
fn published_networks() {
    for (name, norms, eclipse) in [
        ("lipsdp/random_weights.npz", 43.3056, 39.902),
        ("lipsdp/mnist_weights.npz", 31.5035, 26.809),
        ("eclipse/ECLipsE_paper__datasets__MNIST__lyr3n100test1.npz", 25.94, 18.80),
    ] {
        let Some(chain) = published(name) else { continue };
        let by_norms = bound(&product::solve(&chain).unwrap());
        assert!((by_norms - norms).abs() <= 3e-4 * norms, "{name}: {by_norms}");
        let fast = fast(&chain);
        assert!((fast - eclipse).abs() <= 3e-4 * eclipse, "{name}: {fast}");
        let best = recursion::solve(&chain).unwrap();
        assert!(bound(&best) < fast, "{name}: {}", bound(&best));
    }
}

/// The best with one multiplier a layer: as published, and below what ECLipsE-Fast finds of that kind.
#[test]
fn published_one_multiplier_a_layer() {
    let Some(chain) = published("lipsdp/random_weights.npz") else {
        return;
    };
    let options = structured::Options {
        sharing: Sharing::Layer,
        ..structured::Options::default()
    };
    let layer = bound(&structured::lipsdp(&chain, &options, &Unwatched).unwrap());
    assert!((layer - 39.839).abs() <= 5e-4 && layer < fast(&chain), "{layer}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_formula_is_feasible((rows, cols, seed) in (1..9_usize, 1..9_usize, 0..1000_u64)) {
        let gram = approx_gram(matrix(rows, cols, -1.0, seed).as_ref(), Par::Seq);
        let q: Vec<f64> = (0..cols).map(|i| 1.0 + i as f64).collect();
        let mut lines: Vec<(&str, Vec<f64>)> = diagonal::all(gram.as_ref()).into_iter().map(|line| (line.name, line.scale)).collect();
        prop_assert_eq!(lines.len(), 6);
        lines.push(("sll", diagonal::weighted_row_sums(gram.as_ref(), &q)));
        lines.push(("diagonal", diagonal::scaled_spectral(gram.as_ref(), 1.0).unwrap()));
        lines.push(("root-diagonal", diagonal::scaled_spectral(gram.as_ref(), 0.5).unwrap()));
        for (name, scale) in lines {
            prop_assert!(inside(&gram, &scale) >= -1e-12, "{name} {scale:?}");
        }
    }

    #[test]
    fn the_recursion_is_feasible_and_no_worse_than_its_parts(
        (widths, seed) in (proptest::collection::vec(1..7_usize, 2..6), 0..1000_u64)
    ) {
        let chain = random_chain(&widths, Slope { lo: 0.0, hi: 1.5 }, -1.0, seed);
        let solution = recursion::solve(&chain).unwrap();
        check(&chain, &solution);
        for part in recursion::bounds(&chain).unwrap() {
            prop_assert!(bound(&solution) <= part.approx_lipschitz * (1.0 + 1e-9), "{part:?}");
        }
        prop_assert!(bound(&solution) <= bound(&product::solve(&chain).unwrap()) * (1.0 + 1e-9));
    }
}
