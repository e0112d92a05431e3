//! Networks as files: checkpoints in, [`network::Network`] out.
//!
//! A [`checkpoint::Checkpoint`] is a list of named tensors, whatever the format of the file; an [`architecture::Architecture`] says
//! which map they are the parameters of; a [`network::Network`] is that map over the reals. Nothing in a file is ever executed, no
//! size is believed before the bytes are seen, and every refusal names the file and the tensor.

pub mod architecture;
pub mod checkpoint;
pub mod data;
pub mod error;
pub mod forward;
pub mod inspect;
pub mod network;
pub mod parameterization;
pub mod preprocess;
pub mod training;

pub use error::ModelError;
