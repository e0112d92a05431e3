//! Maps that are defined by an equation or step by step: no layers of a network, but subjects of claims of their own.

use super::tensor::Matrix;
use crate::error::CheckError;

/// The map `x ↦ G z` with `z = σ(W z + U x + b)`, slopes of every coordinate of `σ` in `[0, 1]`, for any `b`.
///
/// # Shapes
///
/// | symbol | method | shape |
/// |---|---|---|
/// | `W` | [`Equilibrium::recurrent`] | `(n, n)` |
/// | `U` | [`Equilibrium::input`] | `(n, d)` |
/// | `G` | [`Equilibrium::output`] | `(m, n)` |
#[derive(Clone, Debug, PartialEq)]
pub struct Equilibrium {
    recurrent: Matrix,
    input: Matrix,
    output: Matrix,
}

impl Equilibrium {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`].
    pub fn new(recurrent: Matrix, input: Matrix, output: Matrix) -> Result<Self, CheckError> {
        let n = recurrent.rows();
        require("recurrent", (n, n), &recurrent)?;
        require("input", (n, input.cols()), &input)?;
        require("output", (output.rows(), n), &output)?;
        Ok(Self {
            recurrent,
            input,
            output,
        })
    }

    /// `W`.
    #[must_use]
    pub const fn recurrent(&self) -> &Matrix {
        &self.recurrent
    }

    /// `U`.
    #[must_use]
    pub const fn input(&self) -> &Matrix {
        &self.input
    }

    /// `G`.
    #[must_use]
    pub const fn output(&self) -> &Matrix {
        &self.output
    }
}

/// The recurrent map `x⁺ = A x + B φ(C x + v) + u` with a 1-Lipschitz `φ`, for any inputs `u`, `v`.
///
/// # Shapes
///
/// | symbol | method | shape |
/// |---|---|---|
/// | `A` | [`Feedback::transition`] | `(n, n)` |
/// | `B` | [`Feedback::entry`] | `(n, q)` |
/// | `C` | [`Feedback::exit`] | `(p, n)` |
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    transition: Matrix,
    entry: Matrix,
    exit: Matrix,
}

impl Feedback {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`].
    pub fn new(transition: Matrix, entry: Matrix, exit: Matrix) -> Result<Self, CheckError> {
        let n = transition.rows();
        require("transition", (n, n), &transition)?;
        require("entry", (n, entry.cols()), &entry)?;
        require("exit", (exit.rows(), n), &exit)?;
        Ok(Self { transition, entry, exit })
    }

    /// `A`.
    #[must_use]
    pub const fn transition(&self) -> &Matrix {
        &self.transition
    }

    /// `B`, by which `φ` acts on the state.
    #[must_use]
    pub const fn entry(&self) -> &Matrix {
        &self.entry
    }

    /// `C`, what `φ` sees of the state.
    #[must_use]
    pub const fn exit(&self) -> &Matrix {
        &self.exit
    }
}

/// Refuses a matrix of another shape.
pub(crate) fn require(what: &'static str, expected: (usize, usize), found: &Matrix) -> Result<(), CheckError> {
    if expected == (found.rows(), found.cols()) {
        Ok(())
    } else {
        Err(CheckError::Shape {
            what,
            expected: vec![expected.0, expected.1],
            found: vec![found.rows(), found.cols()],
        })
    }
}
