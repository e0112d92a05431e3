//! Formulas for a diagonal `T ⪰ G`, `G = WᵀW`.
//!
//! Each takes `G`, `(n, n)`, both triangles filled, and returns about `t`, `(n,)`; in exact arithmetic `diag(t) ⪰ G`. NaN stays NaN, an empty matrix gives
//! an empty vector. All but [`spectral`], [`frobenius`] and [`perron`] return 0 for a zero column.

use faer::{Mat, MatRef};

use crate::common::power_of_two;
use crate::eigenvalue;

/// Steps of the power iteration for a Perron vector.
const PERRON_STEPS: usize = 200;

/// One line of a table of formulas.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Short name, as a table prints it.
    pub name: &'static str,
    /// About `t`.
    pub scale: Vec<f64>,
}

/// All formulas that need nothing but `G`. Leaves out one whose numbers are not finite.
#[must_use]
pub fn all(gram: MatRef<'_, f64>) -> Vec<Named> {
    let named = |name, scale: Vec<f64>| Named { name, scale };
    let mut lines = vec![
        named("frobenius", frobenius(gram)),
        named("aol", row_sums(gram)),
        named("perron", perron(gram)),
        named("gram-2", iterated_row_sums(gram, 2)),
        named("gram-3", iterated_row_sums(gram, 3)),
    ];
    lines.extend(spectral(gram).map(|scale| named("spectral", scale)));
    lines.retain(|line| line.scale.iter().all(|t| t.is_finite()));
    lines
}

/// `T = ‖W‖² I`; the eigenvalue is found from below. Nothing if an eigenvalue routine fails.
#[must_use]
pub fn spectral(gram: MatRef<'_, f64>) -> Option<Vec<f64>> {
    if gram.nrows() == 0 {
        return Some(Vec::new());
    }
    eigenvalue::largest(gram).map(|top| vec![top; gram.nrows()])
}

/// `T = E λ_max(E^{-1/2} G E^{-1/2})` with `E = diag(G)^power`: [`spectral`] for `power = 0`, the smallest multiple of the diagonal for 1.
///
/// Nothing if an eigenvalue routine fails.
#[must_use]
pub fn scaled_spectral(gram: MatRef<'_, f64>, power: f64) -> Option<Vec<f64>> {
    let n = gram.nrows();
    if n == 0 {
        return Some(Vec::new());
    }
    let sizes: Vec<f64> = (0..n).map(|i| gram[(i, i)].powf(power)).collect();
    let roots: Vec<f64> = sizes.iter().map(|e| if *e > 0.0 { e.sqrt().recip() } else { 0.0 }).collect();
    let scaled = Mat::from_fn(n, n, |i, j| gram[(i, j)] * roots[i] * roots[j]);
    let top = eigenvalue::largest(scaled.as_ref())?;
    Some(sizes.iter().map(|e| e * top).collect())
}

/// `T = ‖W‖_F² I`.
#[must_use]
pub fn frobenius(gram: MatRef<'_, f64>) -> Vec<f64> {
    let trace: f64 = (0..gram.nrows()).map(|i| gram[(i, i)]).sum();
    vec![trace; gram.nrows()]
}

/// `t_i = Σ_j |G_ij|`.
///
/// # Source
///
/// Prach and Lampert, *Almost-orthogonal layers for efficient general-purpose Lipschitz networks*, ECCV 2022 (AOL).
#[must_use]
pub fn row_sums(gram: MatRef<'_, f64>) -> Vec<f64> {
    weighted_row_sums(gram, &vec![1.0; gram.nrows()])
}

/// `t_i = Σ_j |G_ij| q_j / q_i` for `q > 0`, `(n,)`.
///
/// With `q_i = √c_i` it is the best of all `q` for the objective `Σ c_i t_i`: each pair then contributes `2 |G_ij| √(c_i c_j)`, the least by the
/// inequality of the means.
///
/// # Source
///
/// Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023 (SLL).
#[must_use]
pub fn weighted_row_sums(gram: MatRef<'_, f64>, q: &[f64]) -> Vec<f64> {
    let n = gram.nrows().min(q.len());
    (0..n)
        .map(|i| (0..n).map(|j| gram[(j, i)].abs() * (q[j] / q[i])).sum())
        .collect()
}

/// About the `q` for which [`weighted_row_sums`] has the smallest largest entry: the Perron vector of `|G|`, `(n,)`, positive.
fn perron_vector(gram: MatRef<'_, f64>) -> Vec<f64> {
    let n = gram.nrows();
    let mut q = vec![1.0; n];
    for _ in 0..PERRON_STEPS {
        // The shift by q itself keeps a reducible or periodic matrix from trouble.
        let next: Vec<f64> = (0..n)
            .map(|i| (0..n).map(|j| gram[(j, i)].abs() * q[j]).sum::<f64>())
            .collect();
        let largest = next.iter().copied().fold(0.0, f64::max);
        if largest.is_nan() || largest <= 0.0 {
            break;
        }
        for (q, next) in q.iter_mut().zip(&next) {
            *q = (0.5 * (*q + next / largest)).max(1e-100);
        }
    }
    q
}

/// `T = ρ(|G|) I`, from above: the largest weighted row sum of about the Perron vector.
#[must_use]
pub fn perron(gram: MatRef<'_, f64>) -> Vec<f64> {
    let sums = weighted_row_sums(gram, &perron_vector(gram));
    vec![sums.iter().copied().fold(0.0, f64::max); gram.nrows()]
}

/// `t_i = (Σ_j |(G^p)_ij|)^{1/p}`, `p = 2^{iterations − 1}`; one iteration is [`row_sums`], many come near [`spectral`].
///
/// `diag(t)^p ⪰ G^p` by dominance, and the root of order `p` respects the order of positive semidefinite matrices.
///
/// # Source
///
/// Delattre et al., *Spectral norm of convolutional layers with circular and zero paddings*, 2024 (spectral rescaling).
#[must_use]
pub fn iterated_row_sums(gram: MatRef<'_, f64>, iterations: u32) -> Vec<f64> {
    let n = gram.nrows();
    let mut power = gram.to_owned();
    // The matrix is `power · 2^exponent`.
    let mut exponent = 0.0;
    let mut order = 1.0;
    for _ in 1..iterations {
        let largest = (0..n).map(|i| power[(i, i)]).fold(0.0, f64::max);
        let unit = if largest > 0.0 { power_of_two(largest) } else { 1.0 };
        power *= faer::Scale(unit.recip());
        exponent = 2.0 * (exponent + unit.log2());
        power = &power * &power;
        order *= 2.0;
    }
    row_sums(power.as_ref())
        .iter()
        .map(|sum| (sum.log2() / order + exponent / order).exp2())
        .collect()
}
