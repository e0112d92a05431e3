//! Rule `common-condition`: a diagonal `t` with `A Aᵀ ⪯ diag(t)`, and how far from the best it can be.
//!
//! # Statement
//!
//! `A` has the shape `(inner, n)`; the literature writes `W = Aᵀ` and `WᵀW ⪯ T`. [`Condition::check`] accepts `t` only if the condition holds for the exact `A`.
//! [`Condition::dual_down`] gives a number below `min { objective(t) : A Aᵀ ⪯ diag(t) }`.
//!
//! # Proof
//!
//! The condition: by the factor of [`super::cholesky`] or by [`super::diagonal_dominance`], on the rows of `A` that are not zero; a zero row asks for
//! `t_i ≥ 0`. The bound: for `V` with rows of `‖v_i‖² ≤ c_i`, `Σ c_i t_i ≥ Σ t_i ‖v_i‖² = tr(Vᵀ diag(t) V) ≥ tr(Vᵀ A Aᵀ V) = ‖AᵀV‖_F²`. For the largest entry the
//! same with `Σ ‖v_i‖² ≤ 1`.
//!
//! # Source
//!
//! The condition: Araujo et al., ICLR 2023, Theorem 1. Weak duality of semidefinite programs: elementary.
//!
//! # Mutation note
//!
//! The norm of the vectors not compared with `c`: `common_condition::the_dual_never_passes_the_primal` went red. A `t` of a non-zero row set to zero:
//! `common_condition::accept_and_reject`.

use crate::error::CheckError;
use crate::rounding::condition;
use crate::rounding::gram::Gram;
use crate::rounding::interval::Interval;
use crate::rounding::spectral::{SCALE_LEAST, SCALE_MOST};
use crate::rules::{cholesky, diagonal_dominance};
use crate::statement::Matrix;

pub use crate::statement::Objective;

/// A weight with its enclosed Gram matrix, for many checks.
#[derive(Debug)]
pub struct Condition<'a> {
    weight: &'a Matrix,
    gram: Gram,
    active: Vec<bool>,
}

impl<'a> Condition<'a> {
    /// Encloses `A Aᵀ`.
    ///
    /// # Errors
    ///
    /// Those of [`Gram::dense`].
    pub fn new(weight: &'a Matrix) -> Result<Self, CheckError> {
        let gram = Gram::dense(weight)?;
        let active = (0..gram.inner()).map(|i| !gram.is_zero_row(i)).collect();
        Ok(Self { weight, gram, active })
    }

    /// The enclosed Gram matrix.
    #[must_use]
    pub const fn gram(&self) -> &Gram {
        &self.gram
    }

    /// Which rows of `A` are not zero.
    #[must_use]
    pub fn active(&self) -> &[bool] {
        &self.active
    }

    /// Checks `A Aᵀ ⪯ diag(t)` and names the rule that showed it.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`], [`CheckError::NotFinite`], [`CheckError::NotPositive`], [`CheckError::OutOfRange`] for an unusable `t`.
    /// - [`CheckError::NotSemidefinite`] if neither rule shows it.
    pub fn check(&self, t: &[f64]) -> Result<&'static str, CheckError> {
        if t.len() != self.gram.inner() {
            return Err(CheckError::Shape {
                what: "t",
                expected: vec![self.gram.inner()],
                found: vec![t.len()],
            });
        }
        for (index, value) in t.iter().enumerate() {
            if !value.is_finite() {
                return Err(CheckError::NotFinite {
                    what: "t",
                    index: vec![index],
                });
            }
            let usable = *value > 0.0 || (*value >= 0.0 && !self.active[index]);
            if !usable {
                return Err(CheckError::NotPositive {
                    what: "t",
                    index,
                    value: *value,
                });
            }
            if self.active[index] && !(SCALE_LEAST..=SCALE_MOST).contains(value) {
                return Err(CheckError::OutOfRange {
                    what: "t",
                    index,
                    value: *value,
                    limit: SCALE_MOST,
                });
            }
        }
        let ones = vec![Interval::ONE; t.len()];
        if diagonal_dominance::check(&self.gram, &ones, t, &self.active, 1.0).is_ok() {
            return Ok("diagonal-dominance");
        }
        cholesky::check(&self.gram, t, &self.active, 1.0).map(|()| "cholesky")
    }

    /// A number below the objective of every `t` that satisfies the condition, from any vectors, `(inner, rank)` row-major; their rows are scaled first.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`], [`CheckError::NotFinite`], [`CheckError::NotPositive`] for unusable vectors or weights of the objective.
    pub fn dual_down(&self, objective: &Objective, rank: usize, vectors: &[f64]) -> Result<f64, CheckError> {
        objective.validate(self.gram.inner())?;
        condition::dual_down(self.weight, objective, rank, vectors)
    }
}

impl Objective {
    /// Upper bound of the objective at `t`; infinite if there is not one weight an entry.
    #[must_use]
    pub fn value_up(&self, t: &[f64]) -> f64 {
        match self.validate(t.len()) {
            Ok(()) => condition::objective_up(self, t),
            Err(_) => f64::INFINITY,
        }
    }
}

/// `t` times `1 + excess`, rounded up.
#[must_use]
pub fn inflate_up(t: &[f64], excess: f64) -> Vec<f64> {
    condition::inflate_up(t, excess)
}

/// Upper bound of `upper / lower − 1`; infinite where `lower` is not positive.
#[must_use]
pub fn relative_gap_up(upper: f64, lower: f64) -> f64 {
    condition::relative_gap_up(upper, lower)
}
