//! Trains Lipschitz-bounded networks through libtorch.
//!
//! A network is an architecture of [`lipcert_models`] whose tensors lie on a device; what leaves the crate is a safetensors file with that
//! architecture in it. Nothing here is a proof, and no number that is computed here is a claim: the file is what gets verified. The program of this crate
//! speaks [`lipcert_models::training::job`].

pub mod attack;
pub mod augment;
pub mod derived;
pub mod device;
pub mod distributed;
pub mod error;
pub mod initial;
mod layers;
pub mod log;
pub mod loss;
pub mod metrics;
pub mod network;
pub mod optimizer;
pub mod parameters;
pub mod precision;
pub mod regularizer;
pub mod samples;
pub mod schedule;
pub mod state;
pub mod tensorboard;
pub mod train;

pub use error::TrainError;
pub use network::Network;
