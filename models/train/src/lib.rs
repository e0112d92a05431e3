//! Trains Lipschitz-bounded networks through libtorch.
//!
//! A network is an architecture of [`lipcert_models`] whose tensors lie on a device; what leaves the crate is a safetensors file with that
//! architecture in it. Nothing here is a proof, and no number that is computed here is a claim: the file is what gets verified. The program of this crate
//! speaks [`lipcert_models::training::job`].

pub mod attack;
pub mod derived;
pub mod device;
pub mod distributed;
pub mod error;
pub mod initial;
mod layers;
pub mod log;
pub mod network;
pub mod parameters;
pub mod tensorboard;

pub use error::TrainError;
pub use network::Network;
