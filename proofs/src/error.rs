//! Why a claim was not accepted.

/// Why a statement is malformed or a certificate was not accepted. Every variant carries the numbers that show it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Two sizes that must agree do not.
    #[error("`{what}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The field.
        what: &'static str,
        /// The shape that the rest of the statement asks for.
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
    /// A number that must be positive is not.
    #[error("`{what}` must be positive, found `{value:e}` at {index}")]
    NotPositive {
        /// The field.
        what: &'static str,
        /// Zero-based position.
        index: usize,
        /// The number.
        value: f64,
    },
    /// A number lies outside the range for which the rule is stated.
    #[error("`{what}` is `{value:e}` at {index}, outside [-{limit}, {limit}]")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// Zero-based position.
        index: usize,
        /// The number.
        value: f64,
        /// The largest magnitude allowed.
        limit: f64,
    },
    /// A text that should be a decimal number is not.
    #[error("`{text}` is not a decimal number of at most 15 digits")]
    NotDecimal {
        /// The text.
        text: String,
    },
    /// The evidence does not prove the row's inequality. The claim may still be true.
    #[error("row {row}: need {lhs:e} <= {rhs:e}")]
    NotDominant {
        /// Zero-based row.
        row: usize,
        /// Proved upper bound of the left side.
        lhs: f64,
        /// Lower bound of the right side.
        rhs: f64,
    },
    /// The factorisation did not prove the matrix positive semidefinite. The claim may still be true.
    #[error("no proof that the slack matrix is positive semidefinite: shift {shift:e}, residual {residual:e}")]
    NotSemidefinite {
        /// The shift that was put aside for rounding.
        shift: f64,
        /// Bound of the residual of the factorisation plus the rounding of the entries; NaN where it broke down.
        residual: f64,
    },
    /// The vector does not show that the condition is violated. The condition may be false all the same.
    #[error("no violation of the condition is shown")]
    NotRefuted,
    /// The claimed bound is below what the evidence proves.
    #[error("`{what}`: claimed {claimed:e}, proved {proved:e}")]
    BoundTooSmall {
        /// What is bounded.
        what: &'static str,
        /// The number in the claim.
        claimed: f64,
        /// The number that the check arrives at.
        proved: f64,
    },
    /// The witness belongs to another kind of layer.
    #[error("rule `{rule}` does not apply to a layer of kind `{kind}`")]
    RuleMismatch {
        /// The rule that the witness names.
        rule: &'static str,
        /// The kind of the layer.
        kind: &'static str,
    },
    /// The enclosures of the layer would need more memory than any check may use.
    #[error("`{what}` needs {entries} products, at most {most} are computed")]
    TooLarge {
        /// Which enclosure.
        what: &'static str,
        /// How many.
        entries: u128,
        /// The limit.
        most: u128,
    },
    /// A check that would take too long.
    #[error("`{what}` would take {work} multiplications, the limit is {most}")]
    TooMuchWork {
        /// Which check.
        what: &'static str,
        /// About how many.
        work: u128,
        /// The limit.
        most: u128,
    },
    /// A frequency grid too coarse for the stated image.
    #[error("grid {grid} is too coarse: need a power of two of at least {least} and at most {most}")]
    Grid {
        /// The grid of the witness.
        grid: usize,
        /// The smallest grid that proves something.
        least: usize,
        /// The largest grid that is read.
        most: usize,
    },
    /// A normalisation stands first only, a normalised head last only, and a network ends in a vector.
    #[error("layer {index} of kind `{kind}` may not stand there")]
    Order {
        /// Zero-based layer.
        index: usize,
        /// Its kind.
        kind: &'static str,
    },
    /// A certificate list does not belong to the network that it is composed for.
    #[error("certificate {index} does not belong to layer {index} of this network")]
    ForeignCertificate {
        /// Zero-based layer.
        index: usize,
    },
    /// A class index outside the head.
    #[error("class {class} does not exist: the head has {classes}")]
    NoSuchClass {
        /// The index asked for.
        class: usize,
        /// The number of classes.
        classes: usize,
    },
    /// Two numbers that must be in order are not.
    #[error("`{what}` at {index}: need {first:e} <= {second:e}")]
    NotOrdered {
        /// The field.
        what: &'static str,
        /// Zero-based position.
        index: usize,
        /// The number that should be the smaller one.
        first: f64,
        /// The other.
        second: f64,
    },
}

/// The most multiplications of one check: half an hour or so.
const WORK_MOST: u128 = 1 << 43;

/// Refuses a check of `repeats` times a product or factorisation of matrices with these three sizes.
pub(crate) fn limit_work(what: &'static str, repeats: usize, sizes: [usize; 3]) -> Result<(), CheckError> {
    let work = sizes
        .iter()
        .fold(repeats as u128, |work, size| work.saturating_mul(*size as u128));
    if work > WORK_MOST {
        return Err(CheckError::TooMuchWork {
            what,
            work,
            most: WORK_MOST,
        });
    }
    Ok(())
}
