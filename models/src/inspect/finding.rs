//! One oddity of a file.

use std::fmt;

use lipcert_proofs::statement::Decimal;
use serde::Serialize;

use crate::checkpoint::Dtype;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The file cannot be loaded as it is.
    Error,
    /// The file can be loaded, but it is hardly what was meant.
    Warning,
    /// Good to know.
    Note,
}

/// What is odd. Positions are zero-based.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Oddity {
    /// NaN or infinities.
    NotFinite {
        /// Number of NaN.
        nan: usize,
        /// Number of infinities.
        infinite: usize,
        /// Position of the first of either.
        first: Vec<usize>,
    },
    /// Elements that are no floating-point numbers.
    NotFloat {
        /// Their type.
        dtype: Dtype,
    },
    /// The tensor cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// The tensors are not those of a known architecture.
    UnknownArchitecture {
        /// Why.
        reason: String,
    },
    /// Exponents for which the deployed float32 code overflows.
    LargeQ {
        /// How many.
        count: usize,
        /// Position of the first.
        first: usize,
        /// Its value.
        value: f64,
        /// The largest magnitude that is allowed.
        limit: f64,
    },
    /// A weight of zeros only.
    AllZero,
    /// Rows of zeros: their channels do nothing.
    ZeroRows {
        /// How many.
        count: usize,
        /// The first.
        first: usize,
    },
    /// A row of the head whose direction is hardly determined.
    TinyRow {
        /// The row.
        row: usize,
        /// Its length, about.
        approx_norm: f64,
    },
    /// Two rows of the head that agree once they are normalised, so that only the biases tell the classes apart.
    TiedRows {
        /// One row.
        first: usize,
        /// The other row.
        second: usize,
        /// Whether they agree bit for bit as stored.
        identical: bool,
    },
    /// A standard deviation other than 1: the Lipschitz bound is multiplied by the inverse of the smallest.
    Scaling {
        /// The smallest.
        std: Decimal,
        /// Its inverse, about.
        approx_factor: f64,
    },
    /// Numbers below the normal range of float32, which some hardware reads as zero.
    Subnormal {
        /// How many.
        count: usize,
        /// Position of the first.
        first: Vec<usize>,
    },
    /// Float64 numbers that are no float32 numbers: float32 code computes another function.
    NotFloat32,
    /// The file holds weights only: the activation between the layers is a convention.
    AssumedActivation {
        /// Its kind, as in [`lipcert_proofs::statement::Layer::kind`].
        activation: &'static str,
    },
    /// A tensor that the graph computes from constants; it is rounded at every step.
    Computed,
    /// Layers whose `q` has no effect.
    InertQ {
        /// How many.
        layers: usize,
    },
    /// An optimizer's state, which is not read.
    OptimizerState {
        /// Its key.
        key: String,
    },
}

impl Oddity {
    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::NotFinite { .. } | Self::NotFloat { .. } | Self::Unreadable { .. } | Self::LargeQ { .. } => Severity::Error,
            Self::UnknownArchitecture { .. }
            | Self::AllZero
            | Self::TinyRow { .. }
            | Self::TiedRows { .. }
            | Self::NotFloat32 => Severity::Warning,
            Self::ZeroRows { .. }
            | Self::Scaling { .. }
            | Self::Subnormal { .. }
            | Self::AssumedActivation { .. }
            | Self::Computed
            | Self::InertQ { .. }
            | Self::OptimizerState { .. } => Severity::Note,
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { nan, infinite, first } => {
                write!(f, "{nan} NaN and {infinite} infinite entries, the first at {first:?}")
            }
            Self::NotFloat { dtype } => write!(f, "elements are {dtype}, a network needs floating-point numbers"),
            Self::Unreadable { reason } | Self::UnknownArchitecture { reason } => f.write_str(reason),
            Self::LargeQ {
                count,
                first,
                value,
                limit,
            } => write!(f, "{count} entries with |q| > {limit}, the first at {first} is `{value:e}`"),
            Self::AllZero => f.write_str("all entries are zero"),
            Self::ZeroRows { count, first } => write!(f, "{count} rows are zero, the first is {first}: their channels are off"),
            Self::TinyRow { row, approx_norm } => write!(f, "row {row} has a norm of about {approx_norm:.1e}"),
            Self::TiedRows {
                first,
                second,
                identical,
            } => {
                let how = if *identical { "identical" } else { "parallel" };
                write!(
                    f,
                    "rows {first} and {second} are {how}: only the biases tell these classes apart"
                )
            }
            Self::Scaling { std, approx_factor } => {
                write!(
                    f,
                    "the smallest std is {std}: the Lipschitz bound is multiplied by about {approx_factor:.4}"
                )
            }
            Self::Subnormal { count, first } => {
                write!(f, "{count} entries below the normal range of float32, the first at {first:?}")
            }
            Self::NotFloat32 => f.write_str("float64 entries that no float32 equals"),
            Self::AssumedActivation { activation } => {
                write!(
                    f,
                    "assumed activation {activation} between the layers: the file does not say, `--arch` does"
                )
            }
            Self::Computed => {
                f.write_str("computed from constants of the graph, rounded at every step; the network has these numbers")
            }
            Self::InertQ { layers } => write!(f, "q cancels in {layers} layers: T = Σ|KᵀK| row by row, whatever q is"),
            Self::OptimizerState { key } => write!(f, "`{key}` is in the file and is not read"),
        }
    }
}

/// One oddity and where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The tensor, unless the whole file is meant.
    pub tensor: Option<String>,
    /// What is odd.
    #[serde(flatten)]
    pub oddity: Oddity,
    /// The same in words.
    pub message: String,
}

impl Finding {
    /// About the whole file.
    #[must_use]
    pub fn of_file(oddity: Oddity) -> Self {
        Self {
            severity: oddity.severity(),
            tensor: None,
            message: oddity.to_string(),
            oddity,
        }
    }

    /// About one tensor.
    #[must_use]
    pub fn of_tensor(tensor: &str, oddity: Oddity) -> Self {
        Self {
            tensor: Some(tensor.to_owned()),
            ..Self::of_file(oddity)
        }
    }
}
