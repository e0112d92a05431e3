//! Worked examples with known optima.
//!
//! The reference optima come from the same solver at a tolerance of about 1e-10 through another front end; both sides err, so that bounds are compared to
//! 1e-7 relative: the absolute tolerance 1e-9 on a scaled optimum `ρ` between 0.1 and 1, the square root, and the references' own error. Matrices that must be
//! positive semidefinite are looked at by nalgebra's eigenvalues, in the units of the example and with the multipliers that an answer hands out.

use std::fs;
use std::path::Path;

use faer::Mat;
use lipcert_solver::assemble::chain::{ChainProblem, solve};
use lipcert_solver::assemble::equilibrium::EquilibriumProblem;
use lipcert_solver::assemble::gram::{GramProblem, Objective};
use lipcert_solver::assemble::group_sort::GroupSortProblem;
use lipcert_solver::chain::{Candidate, Chain, Sharing, Slope, Status, Unwatched};
use lipcert_solver::clarabel::{self, Options, SdpStatus};
use lipcert_solver::structured;
use nalgebra::{Cholesky, DMatrix};
use serde_json::Value;

/// Relative, for bounds.
const CLOSE: f64 = 1e-7;

fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/vectors/{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).expect("the vectors")).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(number).collect()
}

fn matrix(value: &Value) -> DMatrix<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().expect("rows").iter().map(numbers).collect();
    DMatrix::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
}

fn matrices(value: &Value) -> Vec<DMatrix<f64>> {
    value.as_array().expect("matrices").iter().map(matrix).collect()
}

fn faer(matrix: &DMatrix<f64>) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}

fn chain(weights: &[&DMatrix<f64>], output: &DMatrix<f64>, slope: Slope) -> Chain {
    let slopes = vec![slope; weights.len()];
    Chain::new(weights.iter().map(|weight| faer(weight)).collect(), slopes, faer(output)).expect("a chain")
}

fn assert_close(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} {expected}");
}

fn smallest(matrix: &DMatrix<f64>) -> f64 {
    matrix.symmetric_eigenvalues().min()
}

/// The inequality written out block by block: `[ρ I; 2Λ_i; −(α + β) Λ_i W_i]` and `2αβ WᵀΛW`, less `[A 0 C]ᵀ[A 0 C]`.
fn inequality(
    weights: &[&DMatrix<f64>],
    ends: (&DMatrix<f64>, &DMatrix<f64>),
    slope: Slope,
    rho: f64,
    multipliers: &[Vec<f64>],
) -> DMatrix<f64> {
    let (path, output) = ends;
    let input = path.ncols();
    let size = input + weights.iter().map(|weight| weight.nrows()).sum::<usize>();
    let mut matrix = DMatrix::zeros(size, size);
    matrix.view_mut((0, 0), (input, input)).fill_with_identity();
    matrix *= rho;
    let mut before = 0;
    for (weight, lambda) in weights.iter().zip(multipliers) {
        let (rows, cols) = weight.shape();
        let here = before + cols;
        let diagonal = DMatrix::from_diagonal(&lambda.clone().into());
        let cross = &diagonal * *weight * -(slope.lo + slope.hi);
        let mut corner = matrix.view_mut((before, before), (cols, cols));
        corner += weight.transpose() * &diagonal * *weight * (2.0 * slope.lo * slope.hi);
        matrix.view_mut((here, here), (rows, rows)).copy_from(&(diagonal * 2.0));
        matrix.view_mut((here, before), (rows, cols)).copy_from(&cross);
        matrix.view_mut((before, here), (cols, rows)).copy_from(&cross.transpose());
        before = here;
    }
    let mut ends = DMatrix::zeros(output.nrows(), size);
    ends.view_mut((0, 0), path.shape()).copy_from(path);
    let mut last = ends.view_mut((0, before), output.shape());
    last += output;
    matrix - ends.tr_mul(&ends)
}

/// Some candidate satisfies the inequality strictly, and is no more than 1e-5 above the first.
fn assert_some_inside(candidates: &[Candidate], matrix: impl Fn(&Candidate) -> DMatrix<f64>) {
    let inside = candidates
        .iter()
        .find(|candidate| smallest(&matrix(candidate)) > 0.0)
        .expect("a candidate inside");
    assert_close(inside.lipschitz, candidates[0].lipschitz, 1e-5);
}

fn assert_optimum(weights: &[&DMatrix<f64>], output: &DMatrix<f64>, sharing: Sharing, expected: f64) {
    let chain = chain(weights, output, Slope::UNIT);
    let found = solve(&chain, sharing, &Options::default()).expect("a solution");
    assert_eq!(found.status, Status::Converged);
    assert_close(found.candidates[0].lipschitz, expected, CLOSE);
    assert_close(found.approx_dual, expected, CLOSE);
    let options = structured::Options {
        sharing,
        tolerance: CLOSE / 2.0,
        ..structured::Options::default()
    };
    let structured = structured::lipsdp(&chain, &options, &Unwatched).expect("a solution");
    assert_eq!(structured.status, Status::Converged);
    assert_close(structured.candidates[0].lipschitz, expected, CLOSE);
    assert_close(structured.approx_dual, expected, CLOSE);
    let none = DMatrix::zeros(output.nrows(), weights[0].ncols());
    assert_some_inside(&found.candidates, |candidate| {
        inequality(
            weights,
            (&none, output),
            Slope::UNIT,
            candidate.lipschitz.powi(2),
            &candidate.multipliers,
        )
    });
}

#[test]
fn one_hidden_layer() {
    let example = vector("lipsdp_1hidden");
    let (first, last) = (matrix(&example["W0"]), matrix(&example["W1"]));
    assert_optimum(&[&first], &last, Sharing::Neuron, number(&example["L_neuron"]));
    assert_optimum(&[&first], &last, Sharing::Layer, number(&example["L_layer"]));
}

#[test]
fn two_hidden_layers() {
    let example = vector("lipsdp_2hidden");
    let [first, second, last] = ["W0", "W1", "W2"].map(|key| matrix(&example[key]));
    assert_optimum(&[&first, &second], &last, Sharing::Neuron, number(&example["L_neuron"]));
    assert_optimum(&[&first, &second], &last, Sharing::Layer, number(&example["L_layer"]));
}

/// The dual vectors of an answer reproduce its bound: `‖C V_h‖ / ‖V_0‖`. They satisfy the dual equations to 1e-9 and the square root doubles digits lost.
#[test]
fn dual_vectors_reproduce_the_bound() {
    let example = vector("lipsdp_2hidden");
    let [first, second, last] = ["W0", "W1", "W2"].map(|key| matrix(&example[key]));
    let chain = chain(&[&first, &second], &last, Slope::UNIT);
    let found = solve(&chain, Sharing::Neuron, &Options::default()).expect("a solution");
    let dual = found.dual.expect("vectors");
    let ratio = (chain.output() * &dual.blocks[2]).norm_l2() / dual.blocks[0].norm_l2();
    assert_close(ratio, number(&example["L_neuron"]), 1e-6);
}

#[test]
fn residual_block() {
    let example = vector("residual_lmi");
    let [path, weight] = ["H", "W"].map(|key| matrix(&example[key]));
    let first = weight.transpose();
    for (key, expected) in [("G", number(&example["L"])), ("SLL_G", 1.0)] {
        let output = matrix(&example[key]);
        let chain = chain(&[&first], &output, Slope::UNIT);
        let assembled = ChainProblem::new(&chain, Some(&path), Sharing::Neuron).expect("a problem");
        let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
        assert_eq!(answer.status, SdpStatus::Solved);
        let found = assembled.solution(&answer).expect("a solution");
        assert_close(found.candidates[0].lipschitz, expected, CLOSE);
        assert_some_inside(&found.candidates, |candidate| {
            inequality(
                &[&first],
                (&path, &output),
                Slope::UNIT,
                candidate.lipschitz.powi(2),
                &candidate.multipliers,
            )
        });
    }
}

/// For other slopes the bound is at least the largest Jacobian over all extreme slopes, and with `[−1, 1]` strictly above it in this example.
#[test]
fn residual_block_with_other_slopes() {
    let example = vector("residual_lmi");
    let [path, weight, output] = ["H", "W", "G"].map(|key| matrix(&example[key]));
    let first = weight.transpose();
    for (lo, hi) in [(0.0, 1.0), (-1.0, 1.0), (0.2, 0.8), (-0.3, 0.5), (0.7, 0.7), (-0.4, 0.0)] {
        let slope = Slope { lo, hi };
        let chain = chain(&[&first], &output, slope);
        let assembled = ChainProblem::new(&chain, Some(&path), Sharing::Neuron).expect("a problem");
        let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
        let found = assembled.solution(&answer).expect("a solution");
        let bound = found.candidates[0].lipschitz;
        let largest = (0..16_u32)
            .map(|mask| {
                let slopes: Vec<f64> = (0..4).map(|k| if mask >> k & 1 == 1 { hi } else { lo }).collect();
                let jacobian = &path + &output * DMatrix::from_diagonal(&slopes.into()) * &first;
                jacobian.singular_values().max()
            })
            .fold(0.0, f64::max);
        assert!(bound >= largest * (1.0 - CLOSE), "[{lo}, {hi}]: {bound} {largest}");
        assert!(bound <= largest * 1.04, "[{lo}, {hi}]: {bound} {largest}");
        assert_some_inside(&found.candidates, |candidate| {
            inequality(
                &[&first],
                (&path, &output),
                slope,
                candidate.lipschitz.powi(2),
                &candidate.multipliers,
            )
        });
    }
}

#[test]
fn common_condition() {
    let example = vector("residual_lmi");
    let weight = matrix(&example["W"]);
    let assembled = GramProblem::new(&weight, &Objective::Trace).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    let expected = numbers(&example["min_trace_T"]);
    let found = assembled.read(&answer.x, 0.0);
    assert_close(found.iter().sum(), expected.iter().sum(), CLOSE);
    assert_close(
        assembled.read_objective(answer.approx_objective),
        expected.iter().sum(),
        CLOSE,
    );
    // The optimum is flat: an entry is known to the root of the tolerance only.
    for (t, reference) in found.iter().zip(&expected) {
        assert_close(*t, *reference, 1e-4);
    }
    let inside = DMatrix::from_diagonal(&assembled.read(&answer.x, 1e-8).into()) - weight.tr_mul(&weight);
    assert!(smallest(&inside) > 0.0);

    // The largest entry alone is the squared norm, and weights of 1 are the trace.
    let largest = GramProblem::new(&weight, &Objective::Largest).expect("a problem");
    let answer = clarabel::solve(largest.problem(), &Options::default()).expect("an answer");
    assert_close(
        largest.read_objective(answer.approx_objective),
        number(&example["CPL_T"]),
        CLOSE,
    );
    assert!(
        largest
            .read(&answer.x, 0.0)
            .iter()
            .all(|t| (t - number(&example["CPL_T"])).abs() < 1e-6)
    );
    let weighted = GramProblem::new(&weight, &Objective::Weighted(vec![2.0; 4])).expect("a problem");
    let answer = clarabel::solve(weighted.problem(), &Options::default()).expect("an answer");
    assert_close(
        weighted.read_objective(answer.approx_objective),
        2.0 * expected.iter().sum::<f64>(),
        CLOSE,
    );
}

#[test]
fn sorting_in_groups() {
    let example = vector("lipsdp_nsr_maxmin");
    let (first, last) = (matrix(&example["B0"]), matrix(&example["B1"]));
    let assembled = GroupSortProblem::new(&[faer(&first)], faer(&last).as_ref(), 2).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Solved);
    let found = assembled.read(&answer.x);
    assert_close(found.lipschitz, number(&example["L_nsr"]), CLOSE);
    let blocks = |identity: &[f64], sum: &[f64]| {
        DMatrix::from_fn(4, 4, |i, j| {
            let group = i / 2;
            let diagonal = if i == j { identity[group] } else { 0.0 };
            diagonal + if group == j / 2 { sum[group] } else { 0.0 }
        })
    };
    // Both multipliers, those found and those printed in the example, satisfy both inequalities at their bound: to the solver's tolerance times the
    // size of the numbers, about 30.
    for (identity, sum, bound) in [
        (found.identity[0].clone(), found.sum[0].clone(), found.lipschitz),
        (
            numbers(&example["lambda"]),
            numbers(&example["gamma"]),
            number(&example["L_nsr"]),
        ),
    ] {
        assert!(identity.iter().all(|lambda| *lambda >= 0.0));
        let multiplier = blocks(&identity, &sum);
        let input = DMatrix::identity(3, 3) * bound.powi(2) - first.transpose() * &multiplier * &first;
        assert!(smallest(&input) > -1e-7, "{}", smallest(&input));
        let output = multiplier - last.tr_mul(&last);
        assert!(smallest(&output) > -1e-7, "{}", smallest(&output));
    }
}

/// With two layers the bound lies between the norm of the product and the product of the norms, and sorting with `γ = 0`, `λ = ‖·‖²` is the latter.
#[test]
fn sorting_in_two_layers() {
    let example = vector("lipsdp_nsr_maxmin");
    let (first, last) = (matrix(&example["B0"]), matrix(&example["B1"]));
    let middle = DMatrix::from_fn(4, 4, |i, j| ((3 * i + 5 * j + 1) % 7) as f64 / 7.0 - 0.4);
    let assembled = GroupSortProblem::new(&[faer(&first), faer(&middle)], faer(&last).as_ref(), 2).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    let bound = assembled.read(&answer.x).lipschitz;
    let norm = |matrix: &DMatrix<f64>| matrix.singular_values().max();
    assert!(bound >= norm(&(&last * &middle * &first)) * (1.0 - CLOSE));
    assert!(bound <= norm(&last) * norm(&middle) * norm(&first) * (1.0 + CLOSE));
}

#[test]
fn equilibrium() {
    let example = vector("deq_lben");
    let [recurrent, input, output] = ["W", "U", "G"].map(|key| matrix(&example[key]));
    let assembled = EquilibriumProblem::new(&recurrent, &input, &output).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    assert_eq!(answer.status, SdpStatus::Solved);
    let found = assembled.read(&answer.x);
    assert_close(found.lipschitz, number(&example["gamma"]), CLOSE);
    assert!(found.lipschitz >= number(&example["max_mask_norm"]));
    // The condition before the Schur complements, to the solver's tolerance times the size of the numbers, about 10.
    let multiplier = DMatrix::from_diagonal(&found.multipliers[0].clone().into());
    let lambda_input = &multiplier * &input;
    let cross = &multiplier * &recurrent;
    let left = &multiplier * 2.0 - &cross - cross.transpose();
    let right = (output.tr_mul(&output) + &lambda_input * lambda_input.transpose()) / found.lipschitz;
    assert!(smallest(&(left - right)) > -1e-7);
}

/// The printed eigenvalue of the inequality at `γ = 1`, all multipliers 1, and the recursion that decides it in closed form.
#[test]
fn deep_residual_block() {
    let example = vector("residual_deep_exact");
    let [path, output] = ["A", "B"].map(|key| matrix(&example[key]));
    let weights = matrices(&example["C"]);
    let weights: Vec<&DMatrix<f64>> = weights.iter().collect();
    let ones: Vec<Vec<f64>> = weights.iter().map(|weight| vec![1.0; weight.nrows()]).collect();
    let at_one = inequality(&weights, (&path, &output), Slope::UNIT, 1.0, &ones);
    // Eigenvalues of a matrix of norm 4: 16 digits are printed, and a few ulps of the norm are lost.
    assert!((smallest(&at_one) + number(&example["lmi_max_eig"])).abs() < 1e-14);
    // The condition is homogeneous in the output, and tight where the recursion says so.
    for (factor, holds) in [
        (1.0, true),
        (edge(&weights, &path, &output) * (1.0 - 1e-9), true),
        (edge(&weights, &path, &output) * (1.0 + 1e-9), false),
    ] {
        let scaled = &output * factor;
        assert_eq!(recursion(&weights, &path, &scaled), holds);
        let matrix = inequality(&weights, (&path, &scaled), Slope::UNIT, 1.0, &ones);
        assert_eq!(smallest(&matrix) >= 0.0, holds, "{factor}");
    }
    // Free multipliers do at least as well as 1, and the bound exceeds the largest Jacobian.
    let chain = chain(&weights, &output, Slope::UNIT);
    let assembled = ChainProblem::new(&chain, Some(&path), Sharing::Neuron).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    let found = assembled.solution(&answer).expect("a solution");
    let bound = found.candidates[0].lipschitz;
    assert!(
        bound < 1.0 && bound >= number(&example["max_mask_jac"]) * (1.0 - CLOSE),
        "{bound}"
    );
    assert_some_inside(&found.candidates, |candidate| {
        inequality(
            &weights,
            (&path, &output),
            Slope::UNIT,
            candidate.lipschitz.powi(2),
            &candidate.multipliers,
        )
    });
}

/// The factor at which the output stops to satisfy [`recursion`], by bisection.
fn edge(weights: &[&DMatrix<f64>], path: &DMatrix<f64>, output: &DMatrix<f64>) -> f64 {
    let (mut holds, mut fails) = (1.0, 100.0);
    for _ in 0..60 {
        let middle = f64::midpoint(holds, fails);
        if recursion(weights, path, &(output * middle)) {
            holds = middle;
        } else {
            fails = middle;
        }
    }
    holds
}

/// Whether `A x + B w_n` is 1-Lipschitz by multipliers 1: `D_0 = I − AᵀA`, `D_k = 2I − C_k D_{k−1}⁻¹ C_kᵀ`, `Γ_k = Γ_{k−1} D_{k−1}⁻¹ C_kᵀ`,
/// `X = I + A (Σ Γ_k D_k⁻¹ Γ_kᵀ) Aᵀ`, `E = A Γ_n`, and `BᵀX B + BᵀE + EᵀB ⪯ D_n`.
fn recursion(weights: &[&DMatrix<f64>], path: &DMatrix<f64>, output: &DMatrix<f64>) -> bool {
    let n = path.ncols();
    let mut block = DMatrix::identity(n, n) - path.tr_mul(path);
    let mut carried = DMatrix::identity(n, n);
    let mut sum = DMatrix::zeros(n, n);
    for weight in weights {
        let Some(factor) = Cholesky::new(block.clone()) else {
            return false;
        };
        sum += &carried * factor.solve(&carried.transpose());
        let solved = factor.solve(&weight.transpose());
        carried = &carried * &solved;
        block = DMatrix::identity(weight.nrows(), weight.nrows()) * 2.0 - *weight * solved;
    }
    let weighted = DMatrix::identity(path.nrows(), path.nrows()) + path * sum * path.transpose();
    let cross = output.tr_mul(&(path * carried));
    let rest = block - output.transpose() * weighted * output - &cross - cross.transpose();
    smallest(&(0.5 * (&rest + rest.transpose()))) >= 0.0
}

/// The weights follow from the free parameters, and all multipliers 1 leave the printed eigenvalue.
#[test]
fn triangular_factors() {
    let example = vector("ldlt");
    let (free, given) = (matrices(&example["V"]), matrices(&example["C"]));
    let (alpha, gamma) = (numbers(&example["alpha"]), number(&example["gamma"]));
    let mut root = DMatrix::identity(free[0].ncols(), free[0].ncols()) * gamma;
    for (k, (parameter, expected)) in free.iter().zip(&given).enumerate() {
        let width = parameter.ncols();
        let gram = parameter.tr_mul(parameter) + DMatrix::identity(width, width) * alpha[k];
        let factor = Cholesky::new(gram).expect("positive definite").l();
        // N = V R⁻¹ with RᵀR = VᵀV + αI, R = Lᵀ.
        let contraction = factor
            .solve_lower_triangular(&parameter.transpose())
            .expect("nonsingular")
            .transpose();
        let last = k + 1 == free.len();
        let weight = &contraction * &root * if last { 1.0 } else { std::f64::consts::SQRT_2 };
        // Three products and two factorisations of matrices of norm at most 20: measured 3e-16.
        assert!((weight - expected).amax() < 1e-14);
        let rows = parameter.nrows();
        let next = (DMatrix::identity(rows, rows) - &contraction * contraction.transpose()) * 2.0;
        root = Cholesky::new(next).expect("positive definite").l().transpose();
    }
    let (output, hidden) = given.split_last().expect("layers");
    let hidden: Vec<&DMatrix<f64>> = hidden.iter().collect();
    let ones: Vec<Vec<f64>> = hidden.iter().map(|weight| vec![1.0; weight.nrows()]).collect();
    let none = DMatrix::zeros(output.nrows(), hidden[0].ncols());
    let matrix = inequality(&hidden, (&none, output), Slope::UNIT, gamma.powi(2), &ones);
    // A matrix of norm about 10: a few ulps of the norm.
    assert!((smallest(&matrix) - number(&example["lmi_min_eig"])).abs() < 1e-13);
    // So the solver finds no more than γ.
    let chain = chain(&hidden, output, Slope::UNIT);
    let found = solve(&chain, Sharing::Neuron, &Options::default()).expect("a solution");
    assert!(found.candidates[0].lipschitz < gamma);
}
