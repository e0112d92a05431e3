//! The conic back end on problems small enough to solve by hand, each with its infeasible or unbounded twin.
//!
//! Optima are about 1, so that `1e-7` is the solver's tolerance of 1e-9 with room for the last step.

use std::f64::consts::SQRT_2;

use faer::Mat;
use lipcert_solver::SolveError;
use lipcert_solver::assemble::chain::{ChainProblem, solve};
use lipcert_solver::assemble::equilibrium::EquilibriumProblem;
use lipcert_solver::assemble::gram::{GramProblem, Objective};
use lipcert_solver::assemble::group_sort::GroupSortProblem;
use lipcert_solver::chain::{Chain, Sharing, Slope, Status};
use lipcert_solver::clarabel::{self, Options, SdpStatus};
use lipcert_solver::problem::{Pencil, SdpProblem};
use nalgebra::DMatrix;

const CLOSE: f64 = 1e-7;

fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= CLOSE, "{found} {expected}");
}

/// `[[x_0, 1], [1, x_1]] ⪰ 0`, that is `x_0 x_1 ≥ 1`.
fn hyperbola() -> Pencil {
    let mut pencil = Pencil::new(2);
    pencil.add(0, 0, 0, 1.0);
    pencil.add(1, 1, 1, 1.0);
    pencil.add_constant(0, 1, 1.0);
    pencil
}

/// `min x_0 + 2 x_1` on the hyperbola: `x = (√2, 1/√2)`, optimum `2√2`, multiplier `[[1, −√2], [−√2, 2]]`.
#[test]
fn a_problem_with_known_optimum() {
    let problem = SdpProblem::new(vec![1.0, 2.0], Vec::new(), vec![hyperbola()]).expect("a problem");
    let answer = clarabel::solve(&problem, &Options::default()).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Solved);
    assert_close(answer.approx_objective, 2.0 * SQRT_2);
    assert_close(answer.approx_dual_objective, 2.0 * SQRT_2);
    assert!((answer.x[0] - SQRT_2).abs() < 1e-4 && (answer.x[1] - SQRT_2.recip()).abs() < 1e-4);
    let expected = DMatrix::from_row_slice(2, 2, &[1.0, -SQRT_2, -SQRT_2, 2.0]);
    assert!((&answer.dual[0] - expected).amax() < CLOSE);
    assert!(answer.iterations > 0 && answer.approx_primal_residual < 1e-8 && answer.approx_dual_residual < 1e-8);
}

/// The entries `(i, j)` and `(j, i)` are one, and the same entry given twice adds up.
#[test]
fn entries_add_up() {
    let mut pencil = Pencil::new(2);
    for (row, col) in [(0, 1), (1, 0)] {
        pencil.add_constant(row, col, 0.5);
    }
    for variable in 0..2 {
        pencil.add(variable, variable, variable, 0.25);
        pencil.add(variable, variable, variable, 0.75);
    }
    assert!((pencil.evaluate(&[3.0, 4.0]) - hyperbola().evaluate(&[3.0, 4.0])).amax() < f64::EPSILON);
    let problem = SdpProblem::new(vec![1.0, 2.0], Vec::new(), vec![pencil]).expect("a problem");
    let answer = clarabel::solve(&problem, &Options::default()).expect("an answer");
    assert_close(answer.approx_objective, 2.0 * SQRT_2);
}

/// Two pencils and a sign: `x_0 ≥ 2` from a pencil of one entry.
#[test]
fn several_pencils_and_signs() {
    let mut bound = Pencil::new(1);
    bound.add(0, 0, 0, 1.0);
    bound.add_constant(0, 0, -2.0);
    let problem = SdpProblem::new(vec![1.0, 1.0], vec![0, 1], vec![hyperbola(), bound]).expect("a problem");
    let answer = clarabel::solve(&problem, &Options::default()).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Solved);
    assert_close(answer.approx_objective, 2.5);
    assert_eq!(answer.dual.iter().map(DMatrix::nrows).collect::<Vec<_>>(), [2, 1]);
}

/// `x_1 ≤ −1` contradicts the hyperbola, whose diagonal cannot be negative.
#[test]
fn the_infeasible_twin() {
    let mut bound = Pencil::new(1);
    bound.add(1, 0, 0, -1.0);
    bound.add_constant(0, 0, -1.0);
    let problem = SdpProblem::new(vec![1.0, 2.0], Vec::new(), vec![hyperbola(), bound]).expect("a problem");
    let answer = clarabel::solve(&problem, &Options::default()).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Infeasible);
    assert_eq!(answer.status.of_iterate(), None);
}

/// With a negative coefficient the objective falls without end.
#[test]
fn the_unbounded_twin() {
    let problem = SdpProblem::new(vec![1.0, -2.0], Vec::new(), vec![hyperbola()]).expect("a problem");
    let answer = clarabel::solve(&problem, &Options::default()).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Unbounded);
    assert_eq!(answer.status.of_iterate(), None);
}

/// No inequality but a sign: the optimum is 0. Without the sign there is none.
#[test]
fn the_empty_twins() {
    let signed = SdpProblem::new(vec![1.0], vec![0], Vec::new()).expect("a problem");
    let answer = clarabel::solve(&signed, &Options::default()).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Solved);
    assert_close(answer.x[0], 0.0);
    let free = SdpProblem::new(vec![1.0], Vec::new(), Vec::new()).expect("a problem");
    let answer = clarabel::solve(&free, &Options::default()).expect("an answer");
    assert_ne!(answer.status, SdpStatus::Solved);
}

#[test]
fn limits_are_kept() {
    let problem = SdpProblem::new(vec![1.0, 2.0], Vec::new(), vec![hyperbola()]).expect("a problem");
    let hasty = Options {
        iterations: 1,
        ..Options::default()
    };
    let answer = clarabel::solve(&problem, &hasty).expect("an answer");
    assert_eq!((answer.status, answer.iterations), (SdpStatus::Iterations, 1));
    let at_once = Options {
        seconds: 1e-9,
        ..Options::default()
    };
    let answer = clarabel::solve(&problem, &at_once).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Time);
    for options in [
        Options {
            tolerance: 0.0,
            ..Options::default()
        },
        Options {
            tolerance: f64::NAN,
            ..Options::default()
        },
        Options {
            seconds: -1.0,
            ..Options::default()
        },
    ] {
        let refused = clarabel::solve(&problem, &options).expect_err("no such option");
        assert!(matches!(refused, SolveError::NotFinite { what: "options", .. }));
    }
}

#[test]
fn an_almost_solved_problem_is_no_solved_one() {
    assert_eq!(SdpStatus::Solved.of_iterate(), Some(Status::Converged));
    assert_eq!(SdpStatus::AlmostSolved.of_iterate(), Some(Status::Stalled));
    assert_eq!(SdpStatus::NotRun.of_iterate(), None);
}

fn shape(result: Result<SdpProblem, SolveError>) -> &'static str {
    match result.expect_err("a malformed problem") {
        SolveError::Shape { what, .. } | SolveError::NotFinite { what, .. } => what,
        other => panic!("{other}"),
    }
}

#[test]
fn malformed_problems_are_refused() {
    assert_eq!(shape(SdpProblem::new(Vec::new(), Vec::new(), Vec::new())), "objective");
    assert_eq!(shape(SdpProblem::new(vec![f64::NAN], Vec::new(), Vec::new())), "objective");
    assert_eq!(shape(SdpProblem::new(vec![1.0], vec![1], Vec::new())), "nonnegative");
    assert_eq!(shape(SdpProblem::new(vec![1.0], Vec::new(), vec![Pencil::new(0)])), "pencil");
    assert_eq!(
        shape(SdpProblem::new(vec![1.0], Vec::new(), vec![hyperbola()])),
        "variable of a pencil"
    );
    let mut outside = Pencil::new(2);
    outside.add_constant(0, 2, 1.0);
    assert_eq!(
        shape(SdpProblem::new(vec![1.0], Vec::new(), vec![outside])),
        "entry of a pencil"
    );
    let mut infinite = Pencil::new(2);
    infinite.add(0, 1, 1, f64::INFINITY);
    assert_eq!(
        shape(SdpProblem::new(vec![1.0], Vec::new(), vec![infinite])),
        "entry of a pencil"
    );
}

/// Entries in `[−1, 1)` that depend on the seed.
fn random(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Mat::from_fn(rows, cols, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

fn random_chain(widths: &[usize], size: f64) -> Chain {
    let mut weights: Vec<Mat<f64>> = widths
        .windows(2)
        .enumerate()
        .map(|(k, pair)| random(pair[1], pair[0], k as u64) * faer::Scale(size))
        .collect();
    let output = weights.pop().expect("a layer");
    let slopes = vec![Slope::UNIT; weights.len()];
    Chain::new(weights, slopes, output).expect("a chain")
}

/// Cliques or one matrix: the same optimum, and a dual matrix that is complete either way.
#[test]
fn chordal_decomposition_changes_nothing() {
    let chain = random_chain(&[3, 6, 6, 6, 6, 2], 0.6);
    let whole = Options {
        chordal: false,
        ..Options::default()
    };
    let (split, whole) = (
        solve(&chain, Sharing::Neuron, &Options::default()).expect("a solution"),
        solve(&chain, Sharing::Neuron, &whole).expect("a solution"),
    );
    let bound = whole.candidates[0].lipschitz;
    assert!((split.candidates[0].lipschitz - bound).abs() <= CLOSE * bound);
    for found in [split, whole] {
        assert_eq!(found.status, Status::Converged);
        let dual = found.dual.expect("vectors");
        let ratio = (chain.output() * &dual.blocks[4]).norm_l2() / dual.blocks[0].norm_l2();
        assert!((ratio - bound).abs() <= 1e-5 * bound, "{ratio} {bound}");
    }
}

/// Scaling the layers of a chain scales the bound, over thirty orders of magnitude: the problem that the solver sees stays the same.
#[test]
fn the_units_of_a_chain_do_not_matter() {
    let base = random_chain(&[3, 5, 5, 2], 1.0);
    let expected = solve(&base, Sharing::Neuron, &Options::default())
        .expect("a solution")
        .candidates[0]
        .lipschitz;
    for factor in [1e-15, 1e-5, 1e5, 1e15] {
        let weights = base.weights().iter().map(|weight| weight * faer::Scale(factor)).collect();
        let chain = Chain::new(weights, base.slopes().to_vec(), base.output().to_owned()).expect("a chain");
        let found = solve(&chain, Sharing::Neuron, &Options::default()).expect("a solution");
        assert_eq!(found.status, Status::Converged);
        let bound = found.candidates[0].lipschitz / (factor * factor);
        assert!((bound - expected).abs() <= CLOSE * expected, "{bound} {expected}");
    }
}

/// An affine map is its norm; an input wider than the first layer is reduced and the dual vectors are put back.
#[test]
fn edges_of_the_chain() {
    let chain = Chain::new(Vec::new(), Vec::new(), random(3, 4, 30)).expect("a chain");
    let found = solve(&chain, Sharing::Neuron, &Options::default()).expect("a solution");
    let norm = DMatrix::from_fn(3, 4, |i, j| chain.output()[(i, j)]).singular_values().max();
    assert!((found.candidates[0].lipschitz - norm).abs() <= CLOSE * norm);

    let wide = random_chain(&[9, 4, 2], 0.5);
    let found = solve(&wide, Sharing::Layer, &Options::default()).expect("a solution");
    assert_eq!(found.candidates[0].multipliers[0].len(), 4);
    assert_eq!(found.dual.expect("vectors").blocks[0].nrows(), 9);

    let dead = Chain::new(vec![Mat::zeros(3, 2)], vec![Slope::UNIT], random(1, 3, 31)).expect("a chain");
    let found = solve(&dead, Sharing::Neuron, &Options::default()).expect("a solution");
    assert!(found.candidates[0].lipschitz < 1e-3, "{}", found.candidates[0].lipschitz);
}

#[test]
fn malformed_claims_are_refused() {
    let chain = random_chain(&[2, 3, 2], 1.0);
    let path = DMatrix::zeros(2, 3);
    let refused = ChainProblem::new(&chain, Some(&path), Sharing::Neuron).expect_err("three inputs");
    assert!(matches!(refused, SolveError::Shape { what: "path", .. }));
    let weight = DMatrix::from_row_slice(2, 2, &[1.0, 0.5, 0.0, 1.0]);
    for coefficients in [vec![1.0], vec![1.0, 0.0], vec![1.0, f64::NAN]] {
        let refused = GramProblem::new(&weight, &Objective::Weighted(coefficients)).expect_err("no such coefficients");
        assert!(matches!(refused, SolveError::Shape { .. } | SolveError::NotFinite { .. }));
    }
    let refused = GramProblem::new(&(&weight * 1e200), &Objective::Trace).expect_err("an overflow");
    assert!(matches!(refused, SolveError::NotFinite { what: "weight", .. }));
    for group in [0, 2] {
        let refused = GroupSortProblem::new(&[random(3, 2, 1)], random(2, 3, 2).as_ref(), group).expect_err("no such groups");
        assert!(matches!(refused, SolveError::Shape { what: "groups", .. }));
    }
    assert!(GroupSortProblem::new(&[], random(2, 3, 2).as_ref(), 2).is_err());
    let refused = EquilibriumProblem::new(&weight, &DMatrix::zeros(3, 1), &weight).expect_err("three states");
    assert!(matches!(refused, SolveError::Shape { what: "input", .. }));
    let refused = EquilibriumProblem::new(&weight.map(|_| f64::NAN), &weight, &weight).expect_err("not a number");
    assert!(matches!(refused, SolveError::NotFinite { what: "recurrent", .. }));
}

/// A network that need not have an equilibrium has no multipliers. No matrix shows it strictly (`γ` may grow without end), so the solver gives up in one way or
/// another; what matters is that it does not say "solved".
#[test]
fn an_equilibrium_that_need_not_exist() {
    let recurrent = DMatrix::from_row_slice(1, 1, &[3.0]);
    let one = DMatrix::from_element(1, 1, 1.0);
    let assembled = EquilibriumProblem::new(&recurrent, &one, &one).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    assert!(!matches!(answer.status, SdpStatus::Solved | SdpStatus::AlmostSolved));
}

/// A zero column of the weight needs no scale, and the others are not disturbed.
#[test]
fn a_zero_column_of_the_common_condition() {
    let weight = DMatrix::from_row_slice(2, 3, &[1.0, 0.0, 0.5, 0.0, 0.0, 1.0]);
    let assembled = GramProblem::new(&weight, &Objective::Trace).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    let scale = assembled.read(&answer.x, 1e-8);
    assert!(scale[1] < 1e-6);
    let slack = DMatrix::from_diagonal(&scale.into()) - weight.tr_mul(&weight);
    assert!(slack.symmetric_eigenvalues().min() > 0.0);
}
