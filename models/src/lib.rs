//! Networks, checkpoints and data sets.

pub mod data;
pub mod forward;
