//! Contracting recurrent networks (R2DN): `x⁺ = A x + B φ(C x + v) + u` with a 1-Lipschitz `φ`. A recurrent map is no layer here: its contraction is proved, its evaluation is not offered.
//!
//! From free parameters `X`, `(2n, 2n)`, `B̂`, `C`, `Y` and `ε > 0`, in blocks of `n` rows:
//!
//! ```text
//! H = Xᵀ X + blkdiag(CᵀC, B̂ B̂ᵀ) + ε I,   E = (H₁₁ + H₂₂ + Y − Yᵀ) / 2,
//! A = E⁻¹ H₂₁,   B = E⁻¹ B̂,   P = Eᵀ H₂₂⁻¹ E
//! ```
//!
//! `P ⪰ E + Eᵀ − H₂₂ = H₁₁` makes `P` a metric in which the map contracts.
//!
//! # Source
//!
//! Barbara, Wang and Manchester, *R2DN: scalable parameterization of contracting and Lipschitz recurrent deep networks*, 2025, and the authors' code, without its polar scaling of `X`.

use faer::Mat;
use lipcert_proofs::CheckError;
use lipcert_proofs::rules::contraction::ContractionClaim;
use lipcert_proofs::statement::{Feedback, Matrix};

use super::algebra::{cholesky, require, solve, solve_lower, to_faer, to_matrix};
use super::{COMPUTED, Family, Standing};

/// A recurrent network.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// `X`, `(2n, 2n)`.
    pub root: Matrix,
    /// `B̂`, `(n, q)`.
    pub entry: Matrix,
    /// `C`, `(p, n)`.
    pub exit: Matrix,
    /// `Y`, `(n, n)`.
    pub skew: Matrix,
    /// `ε`, positive or 0; with 0 the inequality is not always strict.
    pub epsilon: f64,
}

impl Network {
    /// The family's row in the table.
    pub const FAMILY: Family = Family {
        name: "r2dn-contracting",
        map: "x⁺ = A x + B φ(C x + v) + u, φ 1-Lipschitz; not evaluated",
        rule: "contraction",
        source: "Barbara, Wang and Manchester, 2025",
        standing: Standing::Conditional(COMPUTED),
    };

    /// The map and the claim for it, for [`lipcert_proofs::rules::contraction::check`]: the rate 1.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`] if the sizes do not fit, [`CheckError::NotPositive`] for a negative `ε`, [`CheckError::NotSemidefinite`] if `H₂₂` is singular to rounding,
    /// [`CheckError::NotFinite`] if a weight overflows.
    pub fn realize(&self) -> Result<(Feedback, ContractionClaim), CheckError> {
        let n = self.entry.rows();
        require("root", &self.root, (2 * n, 2 * n))?;
        require("exit", &self.exit, (self.exit.rows(), n))?;
        require("skew", &self.skew, (n, n))?;
        let usable = self.epsilon >= 0.0;
        if !usable {
            return Err(CheckError::NotPositive {
                what: "epsilon",
                index: 0,
                value: self.epsilon,
            });
        }
        let (root, entry) = (to_faer(&self.root), to_faer(&self.entry));
        let (exit, skew) = (to_faer(&self.exit), to_faer(&self.skew));
        let mut h = root.transpose() * &root;
        let (seen, acted) = (exit.transpose() * &exit, &entry * entry.transpose());
        for i in 0..n {
            for j in 0..n {
                h[(i, j)] += seen[(i, j)];
                h[(n + i, n + j)] += acted[(i, j)];
            }
            h[(i, i)] += self.epsilon;
            h[(n + i, n + i)] += self.epsilon;
        }
        let implicit = Mat::from_fn(n, n, |i, j| {
            0.5 * (h[(i, j)] + h[(n + i, n + j)] + skew[(i, j)] - skew[(j, i)])
        });
        let transition = solve(implicit.as_ref(), h.submatrix(n, 0, n, n));
        let entry = solve(implicit.as_ref(), entry.as_ref());
        let lower = cholesky(h.submatrix(n, n, n, n))?;
        let half = solve_lower(lower.as_ref(), implicit.as_ref());
        let metric = half.transpose() * &half;
        let system = Feedback::new(
            to_matrix("transition", transition.as_ref())?,
            to_matrix("entry", entry.as_ref())?,
            self.exit.clone(),
        )?;
        let claim = ContractionClaim {
            rate: 1.0,
            metric: to_matrix("metric", metric.as_ref())?,
        };
        Ok((system, claim))
    }
}
