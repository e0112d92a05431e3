//! What is claimed: networks as functions over the real numbers, without evidence.
//!
//! A [`Layer`] is a map between Euclidean spaces with real parameters; every parameter here is a float64 that stands for exactly
//! itself (float32 weights are widened, which is exact), or a [`Decimal`]. Nothing here rounds and nothing here is proved.

mod activation;
mod chain;
mod convolution;
mod decimal;
mod dense_formula;
mod grouped;
mod groupwise;
mod layer;
mod network;
mod objective;
mod resample;
mod residual;
mod system;
mod tensor;

pub use activation::{Activation, ChannelActivation};
pub use chain::Chain;
pub use convolution::{ConvFormula, Padding, SkewDivisor, SkewExponential, TERMS_MOST};
pub use decimal::Decimal;
pub use dense_formula::{Bjorck, DenseFormula, Divisor, Sandwich};
pub use grouped::{GroupedChain, Groups};
pub use groupwise::{ANGLE_LIMIT, Groupwise, PairMap, Paired, Pairing};
pub use layer::{Layer, Operation, Q_LIMIT, Scale};
pub use network::{ENTRIES_MOST, NetworkMap, Output, Shape};
pub use objective::Objective;
pub use resample::{BlockOrder, Over, Resample};
pub use residual::{Hidden, ResidualBlock};
pub use system::{Equilibrium, Feedback};
pub(crate) use tensor::check_finite;
pub use tensor::{Kernel, Matrix};
