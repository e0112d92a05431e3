//! Reading runs back from files, which are untrusted: a run that contradicts itself is refused.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::certified::{Certified, fraction};
use super::common::Verdict;
use super::epsilon::{Epsilon, EpsilonError};
use super::run::Run;
use super::several::{CertifiedModels, Mean};

/// Why a file is not a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not JSON, another schema, or a missing or unknown key.
    #[error("not a run of `lipcert certify` that this version reads")]
    Json(#[from] serde_json::Error),
    /// A perturbation size that is none.
    #[error(transparent)]
    Epsilon(#[from] EpsilonError),
    /// A number that disagrees with the rest of the run.
    #[error("`{what}` is `{found}`, the rest of the run says `{expected}`")]
    Number {
        /// The key.
        what: &'static str,
        /// The number in the file.
        found: f64,
        /// What follows from other keys.
        expected: f64,
    },
    /// A count above another one that it is a part of.
    #[error("`{what}` is `{found}`, more than `{limit}`")]
    Count {
        /// The key.
        what: &'static str,
        /// The count in the file.
        found: usize,
        /// The count that it is a part of.
        limit: usize,
    },
    /// A verdict that does not go with the rest of the run.
    #[error("verdict `{verdict}` with {assumptions} assumptions and Lipschitz bound `{upper:?}`")]
    Verdict {
        /// The verdict in the file.
        verdict: Verdict,
        /// Number of assumptions.
        assumptions: usize,
        /// The bound.
        upper: Option<f64>,
    },
    /// A row of another data set or with other ε than the first one.
    #[error("model {index} was run on other data or with other ε than the run says")]
    Row {
        /// Zero-based row.
        index: usize,
    },
}

impl Run {
    /// Reads a file that `lipcert certify -o` or `lipcert demo -o` wrote.
    ///
    /// What is checked is that the file agrees with itself. Whether it tells the truth is for `lipcert certify` to find out again.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        /// Enough to tell the two forms apart.
        #[derive(Deserialize)]
        struct Form {
            models: Option<IgnoredAny>,
        }
        let form: Form = serde_json::from_slice(bytes)?;
        if form.models.is_some() {
            let many: CertifiedModels = serde_json::from_slice(bytes)?;
            many.consistent()?;
            Ok(Self::Many(Box::new(many)))
        } else {
            let one: Certified = serde_json::from_slice(bytes)?;
            one.consistent()?;
            Ok(Self::One(Box::new(one)))
        }
    }
}

impl Certified {
    /// Refuses a run that contradicts itself.
    fn consistent(&self) -> Result<(), ReadError> {
        let upper = self.lipschitz.upper;
        let agrees = match self.verdict {
            Verdict::Certified => self.assumptions.is_empty() && upper.is_some(),
            Verdict::Conditional => !self.assumptions.is_empty() && upper.is_some(),
            Verdict::NotCertified => true,
        };
        if !agrees {
            return Err(ReadError::Verdict {
                verdict: self.verdict,
                assumptions: self.assumptions.len(),
                upper,
            });
        }
        at_most("correct", self.correct, self.samples)?;
        at_most("undecided", self.undecided, self.correct)?;
        same("data.samples", self.data.samples as f64, self.samples as f64)?;
        at_most("data.samples", self.data.samples, self.data.total)?;
        same("accuracy", self.accuracy, fraction(self.correct, self.samples))?;
        for row in &self.certified {
            at_most("certified[].count", row.count, self.correct)?;
            same("certified[].accuracy", row.accuracy, fraction(row.count, self.samples))?;
            same("certified[].radius", row.radius, row.epsilon.parse::<Epsilon>()?.radius())?;
            for point in &self.curve {
                if point.radius >= row.radius {
                    at_most("curve[].count", point.count, row.count)?;
                }
                if point.radius <= row.radius {
                    at_most("certified[].count", row.count, point.count)?;
                }
            }
        }
        let mut left = (f64::NEG_INFINITY, self.correct);
        for point in &self.curve {
            at_most("curve[].count", point.count, left.1)?;
            if point.radius.partial_cmp(&left.0) != Some(std::cmp::Ordering::Greater) {
                return Err(ReadError::Number {
                    what: "curve[].radius",
                    found: point.radius,
                    expected: left.0,
                });
            }
            left = (point.radius, point.count);
        }
        Ok(())
    }
}

impl CertifiedModels {
    /// Refuses a run that contradicts itself.
    fn consistent(&self) -> Result<(), ReadError> {
        let epsilons = |model: &Certified| -> Vec<String> { model.certified.iter().map(|row| row.epsilon.clone()).collect() };
        let expected = self.models.first().map(epsilons);
        for (index, model) in self.models.iter().enumerate() {
            model.consistent()?;
            if model.data != self.data || model.semantics != self.semantics || Some(epsilons(model)) != expected {
                return Err(ReadError::Row { index });
            }
            if !model
                .assumptions
                .iter()
                .all(|assumption| self.assumptions.contains(assumption))
            {
                return Err(ReadError::Row { index });
            }
        }
        let weakest = self.models.iter().map(|model| model.verdict).max();
        if weakest != Some(self.verdict) {
            return Err(ReadError::Verdict {
                verdict: self.verdict,
                assumptions: self.assumptions.len(),
                upper: None,
            });
        }
        let mean = Mean::of(&self.models);
        same("mean.accuracy", self.mean.accuracy, mean.accuracy)?;
        same(
            "mean.certified",
            self.mean.certified.len() as f64,
            mean.certified.len() as f64,
        )?;
        for (found, expected) in self.mean.certified.iter().zip(&mean.certified) {
            same("mean.certified[].radius", found.radius, expected.radius)?;
            same("mean.certified[].accuracy", found.accuracy, expected.accuracy)?;
        }
        Ok(())
    }
}

/// Refuses a count that is larger than the one it is a part of.
fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), ReadError> {
    if found <= limit {
        Ok(())
    } else {
        Err(ReadError::Count { what, found, limit })
    }
}

/// Refuses a number that is not, bit for bit, what other keys say.
fn same(what: &'static str, found: f64, expected: f64) -> Result<(), ReadError> {
    if found.to_bits() == expected.to_bits() {
        Ok(())
    } else {
        Err(ReadError::Number { what, found, expected })
    }
}
