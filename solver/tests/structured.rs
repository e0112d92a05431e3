//! LipSDP-Neuron against known optima, an independent eigenvalue library and its own dual.

use faer::{Mat, MatRef};
use lipcert_solver::assemble::chain as general;
use lipcert_solver::chain::{Candidate, Chain, Sharing, Slope, Solution, Status, Unwatched, Watch};
use lipcert_solver::clarabel;
use lipcert_solver::structured::{Options, approx_dual_bound, eclipse_fast, layerwise, lipsdp};
use nalgebra::{DMatrix, DVector};

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn matrix(&mut self, rows: usize, cols: usize, scale: f64) -> Mat<f64> {
        Mat::from_fn(rows, cols, |_, _| scale * (2.0 * self.uniform() - 1.0))
    }
}

fn chain(widths: &[usize], scale: f64, seed: u64, slope: Slope) -> Chain {
    let mut random = Random(seed);
    let mut weights: Vec<Mat<f64>> = widths
        .windows(2)
        .map(|pair| random.matrix(pair[1], pair[0], scale * (3.0 / pair[0] as f64).sqrt()))
        .collect();
    let output = weights.pop().expect("an output");
    let slopes = vec![slope; weights.len()];
    Chain::new(weights, slopes, output).expect("a chain")
}

fn rows(rows: &[&[f64]]) -> Mat<f64> {
    Mat::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
}

fn times(matrix: MatRef<'_, f64>, factor: f64) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] * factor)
}

/// The smallest eigenvalue of the inequality with a unit diagonal, written out entry by entry.
fn smallest(chain: &Chain, candidate: &Candidate) -> f64 {
    let widths = chain.widths();
    let starts: Vec<usize> = (0..widths.len()).map(|i| widths[..i].iter().sum()).collect();
    let total = widths.iter().sum::<usize>();
    let mut p = DMatrix::<f64>::zeros(total, total);
    for k in 0..widths[0] {
        p[(k, k)] += candidate.lipschitz.powi(2);
    }
    for (i, weight) in chain.weights().iter().enumerate() {
        let slope = chain.slopes()[i];
        for (k, multiplier) in candidate.multipliers[i].iter().enumerate() {
            let vector = |factor: f64| {
                let mut v = DVector::<f64>::zeros(total);
                v[starts[i + 1] + k] = 1.0;
                for j in 0..weight.ncols() {
                    v[starts[i] + j] -= factor * weight[(k, j)];
                }
                v
            };
            let (a, b) = (vector(slope.lo), vector(slope.hi));
            p += *multiplier * (&a * b.transpose() + &b * a.transpose());
        }
    }
    let output = chain.output();
    let last = starts[starts.len() - 1];
    for a in 0..output.ncols() {
        for b in 0..output.ncols() {
            p[(last + a, last + b)] -= (0..output.nrows()).map(|i| output[(i, a)] * output[(i, b)]).sum::<f64>();
        }
    }
    let roots: Vec<f64> = (0..total).map(|k| p[(k, k)].sqrt()).collect();
    let scaled = DMatrix::from_fn(total, total, |i, j| p[(i, j)] / (roots[i] * roots[j]));
    scaled.symmetric_eigenvalues().min()
}

fn solve(chain: &Chain) -> Solution {
    lipsdp(chain, &Options::default(), &Unwatched).expect("a solution")
}

/// Feasible candidates in order and a dual below them; the gap.
fn gap(chain: &Chain, solution: &Solution) -> f64 {
    for candidate in &solution.candidates {
        assert!(smallest(chain, candidate) > -1e-13, "{}", smallest(chain, candidate));
    }
    assert!(
        solution
            .candidates
            .windows(2)
            .all(|pair| pair[0].lipschitz <= pair[1].lipschitz)
    );
    let bound = solution.candidates[0].lipschitz;
    let dual = approx_dual_bound(chain, solution.dual.as_ref().expect("dual vectors"));
    assert!(
        (dual - solution.approx_dual).abs() <= 1e-9 * dual,
        "{dual} {}",
        solution.approx_dual
    );
    assert!(dual <= bound * (1.0 + 1e-9), "{dual} {bound}");
    1.0 - dual / bound
}

#[test]
fn known_optima() {
    let first = rows(&[
        &[0.3, -1.04, 0.75],
        &[0.94, -1.95, -1.3],
        &[0.13, -0.32, -0.02],
        &[-0.85, 0.88, 0.78],
    ]);
    let output = rows(&[&[0.07, 1.13, 0.47, -0.86], &[0.37, -0.96, 0.88, -0.05]]);
    let one = Chain::new(vec![first], vec![Slope::UNIT], output).unwrap();
    let solution = solve(&one);
    assert!(gap(&one, &solution) < 1e-6);
    assert!((solution.candidates[0].lipschitz - 4.697_685_862).abs() < 1e-5);

    let first = rows(&[
        &[-0.18, -0.68, 1.22],
        &[-0.15, -0.43, -0.35],
        &[0.53, 0.37, 0.41],
        &[0.43, 2.14, -0.41],
        &[-0.51, -0.81, 0.62],
    ]);
    let second = rows(&[
        &[1.13, -0.11, -0.84, -0.82, 0.65],
        &[0.74, 0.54, -0.67, 0.23, 0.12],
        &[0.22, 0.87, 0.22, 0.68, 0.07],
        &[0.29, 0.63, -1.46, -0.32, -0.47],
    ]);
    let output = rows(&[&[-0.64, -0.28, 1.49, -0.87], &[0.97, -1.68, -0.33, 0.16]]);
    let two = Chain::new(vec![first, second], vec![Slope::UNIT; 2], output).unwrap();
    let solution = solve(&two);
    assert!(gap(&two, &solution) < 1e-6);
    assert!((solution.candidates[0].lipschitz - 6.980_103_793).abs() < 1e-5);
}

/// Where all weights are positive the bound is the norm of their product.
#[test]
fn positive_weights_are_exact() {
    let mut random = Random(5);
    let mut positive = |m: usize, n: usize| Mat::from_fn(m, n, |_, _| random.uniform() / n as f64);
    let (first, second, output) = (positive(10, 2), positive(20, 10), positive(2, 20));
    let norm = (&output * &second * &first).singular_values().unwrap()[0];
    let net = Chain::new(vec![first, second], vec![Slope::UNIT; 2], output).unwrap();
    let solution = solve(&net);
    assert!(gap(&net, &solution) < 1e-6);
    assert!((solution.candidates[0].lipschitz / norm - 1.0).abs() < 1e-6);
}

#[test]
fn deep_nets_converge() {
    for (depth, width) in [(30, 10), (60, 6)] {
        let widths: Vec<usize> = std::iter::once(4).chain(vec![width; depth - 1]).chain([2]).collect();
        let net = chain(&widths, 0.9, depth as u64, Slope::UNIT);
        let solution = solve(&net);
        assert_eq!(solution.status, Status::Converged, "{depth}");
        assert!(gap(&net, &solution) < 1e-6);
        assert!(eclipse_fast(&net).unwrap().candidates[0].lipschitz > solution.candidates[0].lipschitz);
    }
}

#[test]
fn any_slopes() {
    let slopes = [
        (0.0, 1.0),
        (-1.0, 1.0),
        (0.2, 0.8),
        (-0.3, 0.5),
        (0.1, 1.0),
        (-0.2, 0.0),
        (-1.0, 0.1),
        (-0.9, -0.3),
        (0.0, 5.0),
    ];
    for (seed, (lo, hi)) in slopes.into_iter().enumerate() {
        let slope = Slope { lo, hi };
        for widths in [&[3, 4, 2][..], &[5, 4, 6, 3, 2], &[1, 1, 1], &[2, 3, 1, 3, 1]] {
            let net = chain(widths, 1.0, seed as u64, slope);
            let solution = solve(&net);
            let found = gap(&net, &solution);
            assert!(found < 2e-6, "{lo} {hi} {widths:?} {found:e} {:?}", solution.status);
            for closed in [eclipse_fast(&net).unwrap(), layerwise(&net).unwrap()] {
                assert!(closed.candidates[0].lipschitz >= solution.approx_dual * (1.0 - 1e-9));
                assert!(closed.candidates.iter().any(|candidate| smallest(&net, candidate) > 0.0));
            }
        }
    }
}

/// A step between fixed slopes is linear: the bound is the norm of the product.
#[test]
fn an_interval_without_width() {
    let net = chain(&[3, 4, 4, 2], 1.0, 3, Slope { lo: 0.5, hi: 0.5 });
    let solution = solve(&net);
    let product = net.output() * &net.weights()[1] * &net.weights()[0];
    let norm = 0.25 * product.singular_values().unwrap()[0];
    let bound = solution.candidates[0].lipschitz;
    assert!(bound >= norm * (1.0 - 1e-9) && bound < norm * (1.0 + 1e-4), "{bound} {norm}");
    assert!(smallest(&net, &solution.candidates[solution.candidates.len() - 1]) > -1e-9);
}

#[test]
fn no_hidden_layer_is_a_norm() {
    let output = Random(9).matrix(3, 5, 1.0);
    let norm = output.singular_values().unwrap()[0];
    let net = Chain::new(vec![], vec![], output).unwrap();
    let solution = solve(&net);
    assert!(gap(&net, &solution) < 1e-6);
    assert!((solution.candidates[0].lipschitz / norm - 1.0).abs() < 1e-6);
}

/// With one neuron in each layer all is a product of numbers.
#[test]
fn width_one() {
    let number = |value: f64| Mat::from_fn(1, 1, |_, _| value);
    let net = Chain::new(vec![number(3.0), number(-0.5)], vec![Slope::UNIT; 2], number(7.0)).unwrap();
    let solution = solve(&net);
    assert!(gap(&net, &solution) < 1e-6);
    assert!((solution.candidates[0].lipschitz / 10.5 - 1.0).abs() < 1e-6);
}

#[test]
fn constant_maps_have_tiny_bounds() {
    let base = chain(&[3, 4, 5, 2], 1.0, 7, Slope::UNIT);
    let (first, second, output) = (base.weights()[0].clone(), base.weights()[1].clone(), base.output().to_owned());
    let zero = |matrix: &Mat<f64>| times(matrix.as_ref(), 0.0);
    // The middle layer sees only neurons that see nothing.
    let half_first = Mat::from_fn(4, 3, |i, j| if i < 2 { first[(i, j)] } else { 0.0 });
    let half_second = Mat::from_fn(5, 4, |i, j| if j < 2 { 0.0 } else { second[(i, j)] });
    let cases = [
        (zero(&first), second.clone(), output.clone()),
        (first.clone(), zero(&second), output.clone()),
        (first.clone(), second.clone(), zero(&output)),
        (half_first, half_second, output.clone()),
    ];
    for (case, (first, second, output)) in cases.into_iter().enumerate() {
        let net = Chain::new(vec![first, second], vec![Slope::UNIT; 2], output).unwrap();
        for solution in [solve(&net), eclipse_fast(&net).unwrap(), layerwise(&net).unwrap()] {
            let candidate = &solution.candidates[0];
            assert!(candidate.lipschitz < 1e-6, "{case} {}", candidate.lipschitz);
            assert!(smallest(&net, candidate) > 0.0, "{case} {}", smallest(&net, candidate));
        }
    }
    let flat = Chain::new(vec![first, second], vec![Slope::UNIT, Slope { lo: 0.0, hi: 0.0 }], output).unwrap();
    let candidate = &solve(&flat).candidates[0];
    assert!(candidate.lipschitz < 1e-6 && smallest(&flat, candidate) > 0.0);
}

#[test]
fn dead_neurons_change_nothing() {
    let base = chain(&[3, 4, 5, 2], 1.0, 8, Slope::UNIT);
    let bound = solve(&base).candidates[0].lipschitz;
    // One more neuron that sees nothing in layer 1, one more that nobody sees in layer 2.
    let (first, second, output) = (&base.weights()[0], &base.weights()[1], base.output());
    let first = Mat::from_fn(5, 3, |i, j| if i < 4 { first[(i, j)] } else { 0.0 });
    let second = Mat::from_fn(6, 5, |i, j| if i < 5 && j < 4 { second[(i, j)] } else { 0.7 });
    let output = Mat::from_fn(2, 6, |i, j| if j < 5 { output[(i, j)] } else { 0.0 });
    let net = Chain::new(vec![first, second], vec![Slope::UNIT; 2], output).unwrap();
    let solution = solve(&net);
    assert!(gap(&net, &solution) < 1e-6);
    assert!((solution.candidates[0].lipschitz / bound - 1.0).abs() < 2e-6);
}

#[test]
fn scales_of_layers_do_not_matter() {
    let base = chain(&[3, 4, 5, 2], 1.0, 11, Slope::UNIT);
    let bound = solve(&base).candidates[0].lipschitz;
    for (a, b, c) in [
        (1e150, 1e-150, 1.0),
        (1e-150, 1e150, 1.0),
        (1e140, 1e-100, 1e-40),
        (1e-80, 1e-60, 1e130),
    ] {
        let weights = vec![times(base.weights()[0].as_ref(), a), times(base.weights()[1].as_ref(), b)];
        let net = Chain::new(weights, vec![Slope::UNIT; 2], times(base.output(), c)).unwrap();
        match lipsdp(&net, &Options::default(), &Unwatched) {
            Ok(solution) => {
                let ratio = solution.candidates[0].lipschitz / bound / (a * b * c);
                assert!((ratio - 1.0).abs() < 1e-6, "{ratio}");
                let dual = approx_dual_bound(&net, solution.dual.as_ref().unwrap());
                assert!((dual / solution.candidates[0].lipschitz - 1.0).abs() < 1e-6);
            }
            Err(error) => assert!(error.to_string().contains("no feasible multipliers")),
        }
    }
    let huge = vec![
        times(base.weights()[0].as_ref(), 1e200),
        times(base.weights()[1].as_ref(), 1e200),
    ];
    let net = Chain::new(huge, vec![Slope::UNIT; 2], base.output().to_owned()).unwrap();
    assert!(lipsdp(&net, &Options::default(), &Unwatched).is_err());
}

/// A start from a related problem ends at the same optimum.
#[test]
fn a_start_from_a_neighbour() {
    let base = chain(&[6, 8, 8, 3], 1.0, 13, Slope::UNIT);
    let output = base.output();
    let difference = |i: usize, j: usize| {
        let row = Mat::from_fn(1, 8, |_, k| output[(i, k)] - output[(j, k)]);
        Chain::new(base.weights().to_vec(), base.slopes().to_vec(), row).unwrap()
    };
    let (one, two) = (difference(0, 1), difference(0, 2));
    let first = solve(&one);
    let cold = solve(&two);
    let options = Options {
        start: first.candidates.last(),
        ..Options::default()
    };
    let warm = lipsdp(&two, &options, &Unwatched).unwrap();
    assert!(gap(&two, &warm) < 1e-6);
    assert!((warm.candidates[0].lipschitz / cold.candidates[0].lipschitz - 1.0).abs() < 2e-6);
}

/// An onlooker sees a bracket, and can stop at once without losing a bound.
#[test]
fn stopping_keeps_a_bound() {
    struct Stop;
    impl Watch for Stop {
        fn interval(&self, approx_dual: f64, approx_primal: f64) {
            assert!(approx_dual <= approx_primal);
        }
        fn stop(&self) -> bool {
            true
        }
    }
    let net = chain(&[3, 6, 6, 2], 1.0, 17, Slope::UNIT);
    let solution = lipsdp(&net, &Options::default(), &Stop).unwrap();
    assert_eq!(solution.status, Status::Stopped);
    assert!(smallest(&net, &solution.candidates[0]) > 0.0);
}

fn solve_layer(chain: &Chain) -> Solution {
    let options = Options {
        sharing: Sharing::Layer,
        ..Options::default()
    };
    lipsdp(chain, &options, &Unwatched).expect("a solution")
}

/// One multiplier a layer: feasible, above the bound with one a neuron, and where the general solver ends.
#[test]
fn one_multiplier_a_layer() {
    let slopes = [(0.0, 1.0), (-1.0, 1.0), (0.2, 0.8), (-0.3, 0.5), (-0.9, -0.3)];
    for (seed, (lo, hi)) in slopes.into_iter().enumerate() {
        for widths in [&[3, 4, 2][..], &[5, 4, 6, 3, 2], &[2, 3, 1, 3, 1]] {
            let net = chain(widths, 1.0, 50 + seed as u64, Slope { lo, hi });
            let solution = solve_layer(&net);
            assert_eq!(solution.status, Status::Converged, "{lo} {hi} {widths:?}");
            assert!(solution.dual.is_none());
            for candidate in &solution.candidates {
                assert!(smallest(&net, candidate) > -1e-13);
                let even = |layer: &Vec<f64>| layer.iter().all(|value| (value / layer[0] - 1.0).abs() < 1e-12);
                assert!(candidate.multipliers.iter().all(even));
            }
            let bound = solution.candidates[0].lipschitz;
            assert!(solution.approx_dual <= bound && bound - solution.approx_dual < 1e-6 * bound);
            assert!(bound >= solve(&net).approx_dual * (1.0 - 1e-9));
            let general = general::solve(&net, Sharing::Layer, &clarabel::Options::default()).expect("a solution");
            let other = general.candidates[0].lipschitz;
            assert!((bound / other - 1.0).abs() < 1e-6, "{lo} {hi} {widths:?} {bound} {other}");
        }
    }
}

/// A start with equal multipliers is taken, any other ignored.
#[test]
fn a_start_for_one_multiplier_a_layer() {
    let net = chain(&[6, 8, 8, 3], 1.0, 13, Slope::UNIT);
    let (neuron, layer) = (solve(&net), solve_layer(&net));
    for start in [neuron.candidates.last(), layer.candidates.last()] {
        let options = Options {
            sharing: Sharing::Layer,
            start,
            ..Options::default()
        };
        let warm = lipsdp(&net, &options, &Unwatched).expect("a solution");
        assert!((warm.candidates[0].lipschitz / layer.candidates[0].lipschitz - 1.0).abs() < 2e-6);
    }
}

/// Without the Hessian the path ends at the same optimum; for slopes of opposite size neither way finds good vectors in deep nets.
#[test]
fn large_nets_need_no_hessian() {
    let slopes = [(0.0, 1.0), (-1.0, 1.0), (0.2, 0.8), (-0.3, 0.5), (-0.9, -0.3)];
    let deep: Vec<usize> = std::iter::once(4).chain(vec![6; 20]).chain([2]).collect();
    for (seed, (lo, hi)) in slopes.into_iter().enumerate() {
        for widths in [&[3, 4, 2][..], &[5, 14, 6, 13, 2], &deep] {
            let net = chain(widths, 0.9, 70 + seed as u64, Slope { lo, hi });
            let options = Options {
                tolerance: 1e-5,
                dense_most: 0,
                ..Options::default()
            };
            let solution = lipsdp(&net, &options, &Unwatched).expect("a solution");
            let bound = solution.candidates[0].lipschitz;
            let best = solve(&net).candidates[0].lipschitz;
            assert!((bound / best - 1.0).abs() < 1e-5, "{lo} {hi} {} {bound} {best}", widths.len());
            // Slopes from −1 to 1 leave the deep net's path short of the centre, and its dual with it; the bound is what counts.
            let found = gap(&net, &solution);
            assert!(found < 1e-4 || lo < -0.95, "{lo} {hi} {} {found}", widths.len());
        }
    }
}
