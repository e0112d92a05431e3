//! Why a problem was not solved.

/// Why a problem is malformed or a solver found nothing. Every variant carries the numbers that show it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// Two sizes that must agree do not, or one is zero.
    #[error("`{what}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The field.
        what: &'static str,
        /// The shape that the rest of the problem asks for.
        expected: Vec<usize>,
        /// The shape that is there.
        found: Vec<usize>,
    },
    /// NaN or an infinity where a real number is needed.
    #[error("`{what}` is not finite at {index:?}")]
    NotFinite {
        /// The field.
        what: &'static str,
        /// Zero-based position.
        index: Vec<usize>,
    },
    /// Slopes of an activation that are not an interval.
    #[error("the slopes [{lo:e}, {hi:e}] of hidden layer {layer} are no interval")]
    Slope {
        /// Zero-based hidden layer.
        layer: usize,
        /// The smaller.
        lo: f64,
        /// The larger.
        hi: f64,
    },
    /// A matrix that must be positive semidefinite has a zero or negative diagonal entry beside an entry that is not zero.
    #[error("`{what}` is not positive semidefinite at ({row}, {col})")]
    NotSemidefinite {
        /// The field.
        what: &'static str,
        /// Zero-based row.
        row: usize,
        /// Zero-based column.
        col: usize,
    },
    /// No feasible point was found: overflow, or a matrix that no factorisation could handle.
    #[error("{method} found no feasible multipliers")]
    NoCandidate {
        /// Which method.
        method: &'static str,
    },
}
