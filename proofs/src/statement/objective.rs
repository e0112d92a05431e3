//! What is to be small among the diagonal matrices of a condition.

use crate::error::CheckError;

/// What is to be small.
#[derive(Clone, Debug, PartialEq)]
pub enum Objective {
    /// `Σ c_i t_i` with `c_i ≥ 0`, `(inner,)`; ones for the trace.
    Weighted(Vec<f64>),
    /// `max_i t_i`.
    Max,
}

impl Objective {
    /// Checks number and sign of the weights.
    pub(crate) fn validate(&self, entries: usize) -> Result<(), CheckError> {
        let Self::Weighted(weights) = self else { return Ok(()) };
        if weights.len() != entries {
            return Err(CheckError::Shape {
                what: "weights of the objective",
                expected: vec![entries],
                found: vec![weights.len()],
            });
        }
        let usable = |weight: &f64| *weight >= 0.0 && weight.is_finite();
        match weights.iter().position(|weight| !usable(weight)) {
            Some(index) => Err(CheckError::NotPositive {
                what: "weights of the objective",
                index,
                value: weights[index],
            }),
            None => Ok(()),
        }
    }
}
