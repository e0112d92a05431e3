//! The matrix inequalities of claims that stand alone, with enclosed entries.

use super::directed::mul_down;
use super::enclosed::Enclosed;
use super::interval::Interval;
use crate::error::CheckError;
use crate::statement::{Equilibrium, Feedback, GroupedChain, Groups, Matrix};

/// Adds a matrix as it is, its first entry at `(row, col)`.
fn place(inequality: &mut Enclosed, row: usize, col: usize, matrix: &Matrix) {
    for i in 0..matrix.rows() {
        for (j, value) in matrix.row(i).iter().enumerate() {
            inequality.add(row + i, col + j, Interval::point(*value));
        }
    }
}

/// Adds `value` to `count` entries of the diagonal.
fn place_diagonal(inequality: &mut Enclosed, first: usize, count: usize, value: Interval) {
    for i in first..first + count {
        inequality.add(i, i, value);
    }
}

/// Proves that the matrix of [`crate::rules::equilibrium`], before its Schur complements, is positive definite.
pub(crate) fn prove_equilibrium(system: &Equilibrium, multipliers: &[f64], lipschitz: f64) -> Result<(), CheckError> {
    let (recurrent, input, output) = (system.recurrent(), system.input(), system.output());
    let (n, m, d) = (recurrent.rows(), output.rows(), input.cols());
    let mut inequality = Enclosed::zeros(n + m + d)?;
    for (k, lambda) in multipliers.iter().enumerate() {
        let lambda = Interval::point(*lambda);
        inequality.add(k, k, lambda.add(lambda));
        for (j, value) in recurrent.row(k).iter().enumerate() {
            let entry = lambda.mul(Interval::point(*value)).neg();
            inequality.add(k, j, entry);
            if j == k {
                // Of Λ W + Wᵀ Λ: on the diagonal both summands fall on one entry.
                inequality.add(k, k, entry);
            }
        }
        for (j, value) in input.row(k).iter().enumerate() {
            inequality.add(n + m + j, k, lambda.mul(Interval::point(*value)));
        }
    }
    place(&mut inequality, n, 0, output);
    place_diagonal(&mut inequality, n, m + d, Interval::point(lipschitz));
    inequality.prove_definite()
}

/// Proves that the matrix of [`crate::rules::contraction`], before its Schur complements, is positive definite. The lower half of the metric is read.
pub(crate) fn prove_contraction(system: &Feedback, metric: &Matrix, rate: f64) -> Result<(), CheckError> {
    let (transition, entry, exit) = (system.transition(), system.entry(), system.exit());
    let (n, q, p) = (transition.rows(), entry.cols(), exit.rows());
    let symmetric = |i: usize, j: usize| Interval::point(metric.row(i.max(j))[i.min(j)]);
    let mut inequality = Enclosed::zeros(n + q + n + p)?;
    let square = Interval::point(rate).square();
    for i in 0..n {
        for j in 0..=i {
            inequality.add(i, j, square.mul(symmetric(i, j)));
            inequality.add(n + q + i, n + q + j, symmetric(i, j));
        }
        // Row i of P [A B].
        for (first, factor) in [(0, transition), (n, entry)] {
            for j in 0..factor.cols() {
                let terms = (0..n).map(|k| symmetric(i, k).mul(Interval::point(factor.row(k)[j])));
                inequality.add(n + q + i, first + j, terms.fold(Interval::ZERO, Interval::add));
            }
        }
    }
    place_diagonal(&mut inequality, n, q, Interval::ONE);
    place(&mut inequality, n + q + n, 0, exit);
    place_diagonal(&mut inequality, n + q + n, p, Interval::ONE);
    inequality.prove_definite()
}

/// The multiplier `T = λ I + γ E` of each group of a layer, `E` the form that the activation keeps.
struct Multiplier {
    /// First neuron of each group, and the entries of its block, row-major.
    blocks: Vec<(usize, usize, Vec<Interval>)>,
}

impl Multiplier {
    fn new(groups: &Groups, width: usize, identity: &[f64], kept: &[f64]) -> Result<Self, CheckError> {
        let mut first = 0;
        let mut blocks = Vec::new();
        for (index, size) in groups.sizes(width)?.into_iter().enumerate() {
            let (lambda, gamma) = (Interval::point(identity[index]), Interval::point(kept[index]));
            let form = |i: usize, j: usize| match groups {
                Groups::Sorted { .. } => Interval::ONE,
                Groups::Reflected { normals } => {
                    let normal = &normals[index];
                    let product = Interval::point(normal[i]).mul(Interval::point(normal[j])).neg();
                    if i == j {
                        let squares = normal.iter().map(|value| Interval::point(*value).square());
                        squares.fold(product, Interval::add)
                    } else {
                        product
                    }
                }
            };
            let entries = (0..size * size).map(|flat| {
                let (i, j) = (flat / size, flat % size);
                let diagonal = if i == j { lambda } else { Interval::ZERO };
                diagonal.add(gamma.mul(form(i, j)))
            });
            blocks.push((first, size, entries.collect()));
            first += size;
        }
        Ok(Self { blocks })
    }

    /// Adds `T`, its first entry at `(at, at)`.
    fn place(&self, inequality: &mut Enclosed, at: usize) {
        for (first, size, entries) in &self.blocks {
            for i in 0..*size {
                for j in 0..=i {
                    inequality.add(at + first + i, at + first + j, entries[i * size + j]);
                }
            }
        }
    }

    /// Adds `T W`, its first entry at `(row, 0)`.
    fn place_product(&self, inequality: &mut Enclosed, row: usize, weight: &Matrix) {
        for (first, size, entries) in &self.blocks {
            for i in 0..*size {
                for j in 0..weight.cols() {
                    let terms = (0..*size).map(|l| entries[i * size + l].mul(Interval::point(weight.row(first + l)[j])));
                    inequality.add(row + first + i, j, terms.fold(Interval::ZERO, Interval::add));
                }
            }
        }
    }
}

/// Proves the inequalities of [`crate::rules::lipsdp_groupwise`] one after the other: `[T_{k−1} (T_k W_k)ᵀ; T_k W_k T_k] ⪰ 0` with `T_0 = ρ I`, and `[T_h Cᵀ; C I] ⪰ 0`.
///
/// `identity` and `kept` hold `λ` and `γ`, one number a group.
pub(crate) fn prove_groupwise(
    chain: &GroupedChain,
    identity: &[Vec<f64>],
    kept: &[Vec<f64>],
    lipschitz: f64,
) -> Result<(), CheckError> {
    let rho = Interval::point(mul_down(lipschitz, lipschitz));
    let mut before: Option<Multiplier> = None;
    for (layer, weight) in chain.weights().iter().enumerate() {
        let here = Multiplier::new(&chain.groups()[layer], weight.rows(), &identity[layer], &kept[layer])?;
        let mut inequality = Enclosed::zeros(weight.cols() + weight.rows())?;
        match &before {
            Some(before) => before.place(&mut inequality, 0),
            None => place_diagonal(&mut inequality, 0, weight.cols(), rho),
        }
        here.place_product(&mut inequality, weight.cols(), weight);
        here.place(&mut inequality, weight.cols());
        inequality.prove_semidefinite()?;
        before = Some(here);
    }
    let output = chain.output();
    let mut inequality = Enclosed::zeros(output.cols() + output.rows())?;
    if let Some(last) = before {
        last.place(&mut inequality, 0);
    }
    place(&mut inequality, output.cols(), 0, output);
    place_diagonal(&mut inequality, output.cols(), output.rows(), Interval::ONE);
    inequality.prove_semidefinite()
}
