//! The LipSDP inequality of a chain as a block-tridiagonal matrix with enclosed entries, and the proof that it is semidefinite.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as matmul_triangular};
use faer::{Accum, Mat, Par};

use super::directed::{add_up, gamma_up, max, mul_down, mul_up};
use super::spectral::power_near_inverse_root;
use super::tridiagonal::{BlockTridiagonal, absolute_sums_up, prove_semidefinite, symmetric_sums_up, times_up};
use crate::error::CheckError;
use crate::statement::{Chain, Matrix, Output};

/// The range of bounds for which the rule is stated, either way.
const BOUND_MOST: f64 = 1e100;
/// The range of multipliers for which the rule is stated, either way.
const MULTIPLIER_MOST: f64 = 1e200;
/// The largest magnitude of a weight, and of a slope.
const WEIGHT_MOST: f64 = 1e150;

/// Room for the underflow of all entries of one row of the scaled matrix.
///
/// Scales are at most `2e100`, products with a multiplier are at least `1e-300` or zero, so a lost subnormal weighs at most `1e-123` after both scales;
/// a row has fewer than `1e8` entries. In the curvature a lost product can weigh up to about `1e-107`; there the rounding of the diagonal, `4γ`, is counted
/// on top, which is far more.
const UNDERFLOW: f64 = 1e-110;

/// Proves `P(Λ, l²) ⪰ 0` for the chain; then its output is `l`-Lipschitz.
///
/// With a scale `d`, powers of two, `diag(d) M diag(d)` is shown to be semidefinite, where
///
/// ```text
/// M = | ρI + 2α₁β₁ W₁ᵀΛ₁W₁   −(α₁+β₁) W₁ᵀΛ₁                                    |
///     | −(α₁+β₁) Λ₁W₁         2Λ₁ + 2α₂β₂ W₂ᵀΛ₂W₂   …                          |
///     |                                             …    2Λ_h          Cᵀ      |
///     |                                                  C             I       |
/// ```
///
/// whose Schur complement at the last block is `P`. So the head enters linearly, and no product of weights has to be enclosed unless `αβ ≠ 0`.
///
/// # Errors
///
/// - [`CheckError::Shape`] if there is not one multiplier a hidden neuron.
/// - [`CheckError::OutOfRange`], [`CheckError::NotPositive`] for a bound, a multiplier or a weight outside the range of the rule, NaN included.
/// - [`CheckError::NotSemidefinite`] if it could not be shown.
pub(crate) fn prove(chain: &Chain<'_>, multipliers: &[Vec<f64>], lipschitz: f64) -> Result<(), CheckError> {
    require_ranges(chain, multipliers, lipschitz)?;
    let rho = mul_down(lipschitz, lipschitz);
    let widths = chain.widths();
    let hidden = chain.weights().len();
    let mut scales = vec![vec![power_near_inverse_root(rho); widths[0]]];
    scales.extend(
        multipliers
            .iter()
            .map(|layer| layer.iter().map(|value| power_near_inverse_root(2.0 * value)).collect()),
    );

    let mut matrix = BlockTridiagonal::default();
    let mut errors: Vec<Vec<f64>> = scales.iter().map(|block| vec![UNDERFLOW; block.len()]).collect();
    for (block, scale) in scales.iter().enumerate() {
        // Exact: powers of two, far from over- and underflow.
        let entry = |i: usize| {
            let value = if block == 0 { rho } else { 2.0 * multipliers[block - 1][i] };
            value * scale[i] * scale[i]
        };
        let flat = block == 0 && is_flat(chain);
        // Of a multiple of the identity one entry is kept; it is eliminated below.
        let side = if flat { 1 } else { scale.len() };
        limit(side)?;
        let mut diagonal = Mat::from_fn(side, side, |i, j| if i == j { entry(i) } else { 0.0 });
        if block < hidden && !flat {
            add_curvature(
                &mut diagonal,
                chain.weights()[block],
                &multipliers[block],
                chain.slopes()[block],
                scale,
                &mut errors[block],
            );
        }
        matrix.diagonal.push(diagonal);
        if block > 0 {
            let (weight, slopes) = (chain.weights()[block - 1], chain.slopes()[block - 1]);
            // One rounding here, one with the multiplier and one with the weight below.
            let sum = slopes.0 + slopes.1;
            let left: Vec<f64> = multipliers[block - 1]
                .iter()
                .zip(scale)
                .map(|(value, d)| -(sum * value) * d)
                .collect();
            matrix.below.push(Mat::from_fn(scale.len(), widths[block - 1], |k, j| {
                left[k] * weight.row(k)[j] * scales[block - 1][j]
            }));
        }
    }
    let last = scales.last().expect("the input block");
    let head = head_rows(chain)?;
    matrix
        .below
        .push(Mat::from_fn(head.nrows(), head.ncols(), |i, j| head[(i, j)] * last[j]));
    matrix.diagonal.push(Mat::identity(head.nrows(), head.nrows()));
    errors.push(vec![UNDERFLOW; head.nrows()]);

    // Off the diagonal: at most three roundings an entry.
    let gamma = gamma_up(3);
    for (block, below) in matrix.below.iter().enumerate() {
        let (rows, cols) = absolute_sums_up(below.as_ref());
        for (error, sum) in errors[block + 1].iter_mut().zip(rows) {
            *error = add_up(*error, mul_up(gamma, sum));
        }
        for (error, sum) in errors[block].iter_mut().zip(cols) {
            *error = add_up(*error, mul_up(gamma, sum));
        }
    }
    // Without curvature the input block is a multiple of the identity, and a wide one at that: it is eliminated.
    if is_flat(chain) {
        eliminate_first(&mut matrix, &mut errors);
    }
    // The spectral norm of a symmetric matrix is at most its largest absolute row sum.
    let error = errors.iter().flatten().fold(0.0, |most, sum| max(most, *sum));
    prove_semidefinite(&matrix, error)
}

/// Whether the input block is a multiple of the identity: no curvature of the first activation.
fn is_flat(chain: &Chain<'_>) -> bool {
    chain.slopes().first().is_none_or(|(lo, hi)| lo * hi == 0.0)
}

/// The widest block that is factored: 2 GiB of float64.
const SIDE_MOST: usize = 1 << 14;

fn limit(side: usize) -> Result<(), CheckError> {
    if side <= SIDE_MOST {
        Ok(())
    } else {
        Err(CheckError::TooLarge {
            what: "block of the inequality",
            entries: (side as u128) * (side as u128),
            most: (SIDE_MOST as u128) * (SIDE_MOST as u128),
        })
    }
}

/// Replaces the first two blocks `[p I, Bᵀ; B, D]`, `p > 0`, by the Schur complement `D − B Bᵀ / p`, and adds the bound of its rounding.
///
/// The entries of `B` have three roundings each, so those of `D − B Bᵀ / p` are off by at most `γ_{n+12} (|D| + |B||B|ᵀ / p)`. The errors of the rows of `B` that
/// were counted before stay, which is too many.
fn eliminate_first(matrix: &mut BlockTridiagonal, errors: &mut Vec<Vec<f64>>) {
    let pivot = matrix.diagonal.remove(0)[(0, 0)];
    let below = matrix.below.remove(0);
    errors.remove(0);
    let next = &mut matrix.diagonal[0];
    let gamma = gamma_up(below.ncols() + 16);
    let (_, columns) = absolute_sums_up(below.as_ref());
    let mut sizes = times_up(below.as_ref(), &columns);
    for (size, own) in sizes.iter_mut().zip(symmetric_sums_up(next.as_ref())) {
        *size = add_up(*size, own);
    }
    matmul_triangular(
        next.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        below.as_ref(),
        BlockStructure::Rectangular,
        below.transpose(),
        BlockStructure::Rectangular,
        -1.0 / pivot,
        Par::Seq,
    );
    for (error, size) in errors[0].iter_mut().zip(&sizes) {
        // The pivot lies in [1, 4), so leaving it out only adds.
        *error = add_up(*error, mul_up(gamma, mul_up(2.0, *size)));
    }
}

/// Refuses numbers for which over- or underflow is not excluded.
fn require_ranges(chain: &Chain<'_>, multipliers: &[Vec<f64>], lipschitz: f64) -> Result<(), CheckError> {
    let expected: Vec<usize> = chain.weights().iter().map(|weight| weight.rows()).collect();
    let found: Vec<usize> = multipliers.iter().map(Vec::len).collect();
    if expected != found {
        return Err(CheckError::Shape {
            what: "multipliers",
            expected,
            found,
        });
    }
    let within = |what, index, value: f64, limit: f64| {
        let positive = value > 0.0;
        if !positive {
            return Err(CheckError::NotPositive { what, index, value });
        }
        let usable = value <= limit && value >= 1.0 / limit;
        if usable {
            Ok(())
        } else {
            Err(CheckError::OutOfRange {
                what,
                index,
                value,
                limit,
            })
        }
    };
    within("lipschitz", 0, lipschitz, BOUND_MOST)?;
    for (index, value) in multipliers.iter().flatten().enumerate() {
        within("multiplier", index, *value, MULTIPLIER_MOST)?;
    }
    let small = |what, index, value: f64, limit: f64| {
        let usable = value.abs() <= limit;
        if usable {
            Ok(())
        } else {
            Err(CheckError::OutOfRange {
                what,
                index,
                value,
                limit,
            })
        }
    };
    for weight in chain.weights().iter().chain([&chain.head()]) {
        for (index, value) in weight.data().iter().enumerate() {
            small("weight", index, *value, WEIGHT_MOST)?;
        }
    }
    for (index, (lo, hi)) in chain.slopes().iter().enumerate() {
        for slope in [*lo, *hi] {
            small("slope", index, slope, 1e9)?;
            let normal = slope == 0.0 || slope.abs() >= 1e-9;
            if !normal {
                return Err(CheckError::OutOfRange {
                    what: "1 / slope",
                    index,
                    value: 1.0 / slope,
                    limit: 1e9,
                });
            }
        }
        // A sum of slopes that nearly cancels is exact (Sterbenz) or zero, and never below 1e-26.
    }
    Ok(())
}

/// Adds `2αβ WᵀΛW`, scaled on both sides, to a diagonal block, and the bound of its rounding to the errors of the rows.
fn add_curvature(
    diagonal: &mut Mat<f64>,
    weight: &Matrix,
    multipliers: &[f64],
    slopes: (f64, f64),
    scale: &[f64],
    errors: &mut [f64],
) {
    let product = slopes.0 * slopes.1;
    if product == 0.0 {
        return;
    }
    let plain = Mat::from_fn(weight.rows(), weight.cols(), |k, j| weight.row(k)[j] * scale[j]);
    // Rounded: the product of slopes, times the multiplier, times the weight.
    let weighted = Mat::from_fn(weight.rows(), weight.cols(), |k, j| {
        2.0 * product * multipliers[k] * weight.row(k)[j] * scale[j]
    });
    matmul(
        diagonal.as_mut(),
        Accum::Add,
        plain.transpose(),
        weighted.as_ref(),
        1.0,
        Par::Seq,
    );
    // Row j of |plain|ᵀ|weighted| sums to Σ_k |plain_kj| Σ_l |weighted_kl|; the diagonal entry was added to a number in [1, 4).
    let (sums, _) = absolute_sums_up(weighted.as_ref());
    let gamma = gamma_up(weight.rows() + 6);
    for (j, error) in errors.iter_mut().enumerate() {
        let row = (0..weight.rows()).fold(4.0, |row, k| add_up(row, mul_up(plain[(k, j)].abs(), sums[k])));
        *error = add_up(*error, mul_up(gamma, row));
    }
    // Both halves are the same exact matrix; the lower one is read.
}

/// The matrix `C`: each entry rounded at most once.
///
/// # Errors
///
/// [`CheckError::TooLarge`] if it has more rows than a block may have.
pub(crate) fn head_rows(chain: &Chain<'_>) -> Result<Mat<f64>, CheckError> {
    let head = chain.head();
    limit(match chain.output() {
        Output::All => head.rows(),
        Output::Features => head.cols(),
        Output::Class(_) | Output::Pair(..) => 1,
    })?;
    Ok(match chain.output() {
        Output::All => Mat::from_fn(head.rows(), head.cols(), |i, j| head.row(i)[j]),
        Output::Features => Mat::identity(head.cols(), head.cols()),
        Output::Class(class) => Mat::from_fn(1, head.cols(), |_, j| head.row(class)[j]),
        Output::Pair(a, b) => Mat::from_fn(1, head.cols(), |_, j| head.row(a)[j] - head.row(b)[j]),
    })
}
