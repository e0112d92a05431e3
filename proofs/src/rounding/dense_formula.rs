//! The weights of formula layers, enclosed.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::directed::{add_down, add_up, div_up, gamma_up, max, min, mul_up, norm_up, sub_down, sub_up};
use super::gram::Gram;
use super::head::norm_enclosed;
use super::interval::Interval;
use super::matrix_ball::MatrixBall;
use super::operator_norm::operator_norm;
use super::small_gram::near_one;
use crate::error::CheckError;
use crate::rules::dense_formula::bjorck_up;
use crate::statement::{Bjorck, DenseFormula, Divisor, Matrix};

/// The exact weight of a formula: a float64 matrix near it, and how near.
#[derive(Clone, Debug, PartialEq)]
pub struct EnclosedWeight {
    centre: Matrix,
    radius: f64,
    reach: f64,
}

impl EnclosedWeight {
    /// Encloses the weight of a formula.
    ///
    /// # Errors
    ///
    /// - [`CheckError::NotPositive`] for a divisor that is zero, or that could not be bounded away from it.
    /// - [`CheckError::NotFinite`] for numbers that overflow or an enclosure that failed.
    /// - [`CheckError::TooLarge`] of the products.
    pub fn new(formula: &DenseFormula) -> Result<Self, CheckError> {
        let (ball, reach) = match formula {
            DenseFormula::Aol { raw, epsilon } => (aol(raw, *epsilon)?, 1.0),
            DenseFormula::Normalized {
                raw,
                divisor,
                offset,
                bjorck,
            } => normalized(raw, divisor, *offset, *bjorck)?,
            DenseFormula::Cayley { raw, alpha } => (cayley(raw, *alpha)?, 1.0),
            DenseFormula::Householder { vectors } => (householder(vectors)?, 1.0),
        };
        Self::of(&ball, reach)
    }

    /// What a ball encloses.
    pub(crate) fn of(ball: &MatrixBall, reach: f64) -> Result<Self, CheckError> {
        let centre = Matrix::new("effective weight", ball.rows(), ball.cols(), ball.centre().to_vec())?;
        let known = ball.radius().is_finite() && reach.is_finite();
        if !known {
            return Err(CheckError::NotFinite {
                what: "radius of the effective weight",
                index: Vec::new(),
            });
        }
        Ok(Self {
            centre,
            radius: ball.radius(),
            reach,
        })
    }

    /// A float64 matrix near the exact weight, `(m, n)`.
    #[must_use]
    pub const fn centre(&self) -> &Matrix {
        &self.centre
    }

    /// Upper bound of the Frobenius norm of the exact weight minus the centre.
    #[must_use]
    pub const fn radius(&self) -> f64 {
        self.radius
    }

    /// Upper bound of the norm of the divided weight, before Björck steps; 1 where the formula does not divide.
    #[must_use]
    pub const fn reach(&self) -> f64 {
        self.reach
    }
}

/// `P D`, `D_jj = (Σ_i |PᵀP|_ij + ε)^{-1/2}`.
fn aol(raw: &Matrix, epsilon: f64) -> Result<MatrixBall, CheckError> {
    // p = power · P, so D = power · (Σ |pᵀp| + power² ε)^{-1/2}
    let (scaled, power) = near_one(raw)?;
    let turned = MatrixBall::exact(&scaled).transpose();
    let turned = Matrix::new("weight", turned.rows(), turned.cols(), turned.centre().to_vec())?;
    let gram = Gram::dense(&turned)?;
    let active: Vec<bool> = (0..gram.inner()).map(|j| !gram.is_zero_row(j)).collect();
    let sums = gram.row_sums(&vec![Interval::ONE; gram.inner()], &active);
    let power = Interval::point(power);
    let epsilon = power.square().mul(Interval::point(epsilon));
    let mut factors = Vec::with_capacity(sums.len());
    for (index, (sum, on)) in sums.iter().zip(&active).enumerate() {
        if !on {
            factors.push(Interval::ZERO);
            continue;
        }
        // The diagonal is one of the terms of the sum.
        let own = norm_enclosed(turned.row(index)).square().lo();
        let total = Interval::between(max(sum.lo(), min(own, sum.hi())), sum.hi()).add(epsilon);
        positive("AOL sum", index, total)?;
        factors.push(Interval::ONE.div(total.sqrt()));
    }
    Ok(MatrixBall::exact(&scaled).scale_columns(&factors).with_norm_at_most(1.0))
}

/// `W / (σ + offset)` and the Björck steps, with a bound of the norm before the steps.
fn normalized(raw: &Matrix, divisor: &Divisor, offset: f64, bjorck: Option<Bjorck>) -> Result<(MatrixBall, f64), CheckError> {
    // w = power · W
    let (scaled, power) = near_one(raw)?;
    let power = Interval::point(power);
    let sigma = match divisor {
        Divisor::Frobenius => norm_enclosed(scaled.data()),
        Divisor::Norm => operator_norm(&scaled)?,
        Divisor::Stored(sigma) => power.mul(Interval::point(*sigma)),
        Divisor::Vectors { left, right } => quadratic(&scaled, left, right),
    };
    let total = sigma.add(power.mul(Interval::point(offset)));
    positive("divisor", 0, total)?;
    let reach = match divisor {
        Divisor::Frobenius | Divisor::Norm => min(1.0, div_up(sigma.hi(), add_down(sigma.hi(), mul_down_power(power, offset)))),
        Divisor::Stored(_) | Divisor::Vectors { .. } => div_up(operator_norm(&scaled)?.hi(), total.lo()),
    };
    let divided = MatrixBall::exact(&scaled)
        .scale(Interval::ONE.div(total))
        .with_norm_at_most(reach);
    match bjorck {
        None => Ok((divided, reach)),
        Some(Bjorck { beta, iterations }) => {
            let (mut ball, mut norm) = (divided, reach);
            for _ in 0..iterations {
                (ball, norm) = bjorck_step(&ball, beta, norm);
            }
            Ok((ball, reach))
        }
    }
}

/// Lower bound of `power · offset`.
fn mul_down_power(power: Interval, offset: f64) -> f64 {
    power.mul(Interval::point(offset)).lo()
}

/// Encloses `uᵀ W v`: two products of conventional sums, `|fl − exact| ≤ γ_{m+n+4} |u|ᵀ|W||v|`.
fn quadratic(weight: &Matrix, left: &[f64], right: &[f64]) -> Interval {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    let image: Vec<f64> = (0..weight.rows()).map(|i| dot(weight.row(i), right)).collect();
    let value = dot(left, &image);
    let (u, v) = (norm_up(left), norm_up(right));
    let terms = weight.rows() + weight.cols() + 4;
    let rounded = mul_up(gamma_up(terms), mul_up(mul_up(u, v), norm_up(weight.data())));
    let lost = mul_up(
        mul_up((weight.data().len() + terms) as f64, f64::MIN_POSITIVE),
        add_up(1.0, norm_up(&[u, v])),
    );
    let error = add_up(rounded, lost);
    Interval::between(sub_down(value, error), add_up(value, error))
}

/// One step `X ← (1 + β) X − β X Xᵀ X` of matrices of norm at most `norm`, with the bound of the norm afterwards.
///
/// The step of the centre is enclosed by products. The rest is carried by the derivative: on `‖X‖₂ ≤ s` the step is Lipschitz in the Frobenius norm with the
/// constant `max(1 + β, 3βs² − 1 − β)`, because on the symmetric dilation `[[0, X], [Xᵀ, 0]]` it is the polynomial `p` of a symmetric matrix, whose derivative
/// in the eigenbasis multiplies the entry `(i, j)` by the divided difference `1 + β − β(λ_i² + λ_iλ_j + λ_j²)` (Daleckii and Krein 1965), and
/// `0 ≤ λ_i² + λ_iλ_j + λ_j² ≤ 3s²`.
fn bjorck_step(ball: &MatrixBall, beta: f64, norm: f64) -> (MatrixBall, f64) {
    let centre = ball.without_radius().with_norm_at_most(add_up(norm, ball.radius()));
    let turned = centre.transpose();
    let cube = if centre.rows() >= centre.cols() {
        centre.product(&turned.product(&centre))
    } else {
        centre.product(&turned).product(&centre)
    };
    let beta_interval = Interval::point(beta);
    let sum = Interval::ONE.add(beta_interval);
    let stepped = centre.scale(sum).sub(&cube.scale(beta_interval));
    let reach = add_up(norm, ball.radius());
    let falling = sub_up(mul_up(mul_up(3.0, beta), mul_up(reach, reach)), sum.lo());
    let carried = mul_up(max(sum.hi(), falling), ball.radius());
    let after = bjorck_up(norm, beta);
    (stepped.widened(carried).with_norm_at_most(after), after)
}

/// The Cayley map of `[U; V]`, `U` square, of `alpha · raw / ‖raw‖_F` or `raw`, transposed on the way where there are more columns than rows.
///
/// `M = I + U − Uᵀ + VᵀV` has `xᵀMx ≥ ‖x‖²`, so `‖M⁻¹‖₂ ≤ 1`; the map is `[2M⁻¹ − I; −2V M⁻¹]`.
pub(super) fn cayley(raw: &Matrix, alpha: Option<f64>) -> Result<MatrixBall, CheckError> {
    let weight = match alpha {
        None => MatrixBall::exact(raw),
        Some(alpha) => {
            let (scaled, _) = near_one(raw)?;
            let norm = norm_enclosed(scaled.data());
            positive("norm", 0, norm)?;
            MatrixBall::exact(&scaled).scale(Interval::point(alpha).div(norm))
        }
    };
    let wide = weight.cols() > weight.rows();
    let weight = if wide { weight.transpose() } else { weight };
    let (m, n) = (weight.rows(), weight.cols());
    let square = weight.row_range(0, n);
    let mut matrix = MatrixBall::identity(n).add(&square.sub(&square.transpose()));
    let rest = (m > n).then(|| weight.row_range(n, m));
    if let Some(rest) = &rest {
        matrix = matrix.add(&rest.transpose().product(rest));
    }
    let inverse = matrix.inverse(1.0);
    let top = inverse
        .scale(Interval::integer(2))
        .sub(&MatrixBall::identity(n))
        .with_norm_at_most(1.0);
    let map = match rest {
        Some(rest) => top.stack(&rest.product(&inverse).scale(Interval::integer(-2)), 1.0),
        None => top,
    };
    Ok(if wide { map.transpose() } else { map })
}

/// `H_1 H_2 ⋯ H_k` with `H = I − 2 vvᵀ/vᵀv` for the rows `v`.
///
/// A reflection is an isometry, so the radius is carried unchanged. Computed is `q_ij − ĉ_i w_j` with `ĉ = fl(Q v)`, `w = fl(τ̂ v)`, `τ = 2/vᵀv`,
/// `|τ̂/τ − 1| ≤ δ`; since `τ‖v‖² = 2` the new error is at most `2 ‖Q‖_F (γ_{n+6} + δ)(1 + δ)(1 + γ_{n+6}) + u ‖Q'‖_F`.
fn householder(vectors: &Matrix) -> Result<MatrixBall, CheckError> {
    let n = vectors.cols();
    let mut ball = MatrixBall::identity(n);
    for index in 0..vectors.rows() {
        let (scaled, _) = near_one(&Matrix::new("vector", 1, n, vectors.row(index).to_vec())?)?;
        let vector = scaled.data();
        let square = norm_enclosed(vector).square();
        positive("norm of a vector", index, square)?;
        let tau = Interval::integer(2).div(square);
        let approx = tau.mid();
        let off = div_up(tau.distance_up(approx), tau.lo());
        let mut centre = ball.centre().to_vec();
        for row in centre.chunks_exact_mut(n) {
            let product = row.iter().zip(vector).fold(0.0, |sum, (q, v)| sum + q * v);
            for (q, v) in row.iter_mut().zip(vector) {
                *q -= product * (approx * v);
            }
        }
        let gamma = gamma_up(n + 6);
        let relative = mul_up(add_up(gamma, off), mul_up(add_up(1.0, off), add_up(1.0, gamma)));
        let update = mul_up(mul_up(2.0, norm_up(ball.centre())), relative);
        let rounded = mul_up(gamma_up(1), norm_up(&centre));
        // What underflows in a product is lost again times an entry of `w`.
        let spread = add_up(1.0, mul_up(mul_up(approx, 2.0), norm_up(vector)));
        let lost = mul_up(mul_up((4 * n * n) as f64, f64::MIN_POSITIVE), spread);
        let radius = add_up(ball.radius(), add_up(add_up(update, rounded), lost));
        let exact = Matrix::new("effective weight", n, n, centre)?;
        ball = MatrixBall::exact(&exact).widened(radius).with_norm_at_most(1.0);
    }
    Ok(ball)
}

/// Refuses an interval that is not positive and finite.
fn positive(what: &'static str, index: usize, value: Interval) -> Result<(), CheckError> {
    let usable = value.lo() > 0.0;
    if !usable {
        return Err(CheckError::NotPositive {
            what,
            index,
            value: value.lo(),
        });
    }
    if value.is_finite() {
        Ok(())
    } else {
        Err(CheckError::NotFinite {
            what,
            index: vec![index],
        })
    }
}
