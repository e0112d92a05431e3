//! What is claimed: networks as functions over the real numbers, without evidence.
//!
//! A [`Layer`] is a map between Euclidean spaces with real parameters; every parameter here is a float64 that stands for exactly
//! itself (float32 weights are widened, which is exact), or a [`Decimal`]. Nothing here rounds and nothing here is proved.

mod chain;
mod decimal;
mod layer;
mod network;
mod tensor;

pub use chain::Chain;
pub use decimal::Decimal;
pub use layer::{Activation, Layer, Operation, Q_LIMIT, Scale};
pub use network::{NetworkMap, Output, Shape};
pub(crate) use tensor::check_finite;
pub use tensor::{Kernel, Matrix};
