//! Why training cannot go on.

use std::path::PathBuf;

use lipcert_models::ModelError;
use lipcert_models::data::DataError;
use lipcert_models::training::config::ConfigError;
use lipcert_models::training::place::PlaceError;
use lipcert_models::training::recipe::RecipeError;
use thiserror::Error;

/// Why a job cannot be done. Every variant carries what the user must look at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network that it describes.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The model file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The samples.
    #[error(transparent)]
    Data(#[from] DataError),
    /// libtorch.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// A file that cannot be read or written.
    #[error("`{path}`: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A number that is no number any more.
    #[error("step {step}: {what} `{name}` is not finite (a smaller `optimizer.rate` or a `train.clip-norm` may help)")]
    NotFinite {
        /// Which step, from 0.
        step: usize,
        /// What `name` is the name of, in words.
        what: &'static str,
        /// The first layer whose output, or the first tensor whose gradient or value is not finite.
        name: String,
    },
    /// Another program trains in the same folder.
    #[error("another training is at work: `{path}` is locked")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// There is no such device.
    #[error("there is no CUDA device {index}: {devices} found{cause}")]
    NoCuda {
        /// The device that was asked for.
        index: usize,
        /// How many there are.
        devices: i64,
        /// Why the CUDA half of libtorch could not be opened, in brackets, if so.
        cause: String,
    },
    /// A file that holds no state of a training.
    #[error("`{path}` is not the state of a training")]
    NoState {
        /// The file.
        path: PathBuf,
    },
    /// The state of another training.
    #[error("`{path}` belongs to another {other}")]
    OtherState {
        /// The file.
        path: PathBuf,
        /// The first thing that differs.
        other: &'static str,
    },
    /// A saved state that is not one of this training.
    #[error("the saved state (`{}` in the folder) has no fitting tensor `{name}`", crate::train::STATE)]
    State {
        /// Name of the tensor.
        name: String,
    },
    /// No samples are left to train on.
    #[error("`data.validation` holds out {held_out} of {samples} samples: none is left to train on")]
    NoSamples {
        /// Of the training split.
        samples: usize,
        /// Held out.
        held_out: usize,
    },
    /// There is nothing to train.
    #[error("no parameter moves: `finetune.parameters` names none of this network")]
    NothingMoves,
    /// More classes than logits.
    #[error("the data has {found} classes, the network {logits} logits")]
    Classes {
        /// Of the data.
        found: usize,
        /// Of the network.
        logits: i64,
    },
    /// An attack that would never end.
    #[error("`{field}` of the attack is {value}, expected at most {most}")]
    Effort {
        /// Of the job.
        field: &'static str,
        /// The number that was given.
        value: usize,
        /// The largest that is taken.
        most: usize,
    },
    /// A size of perturbations that none can have.
    #[error("epsilon `{value}` is not a positive number")]
    Epsilon {
        /// The number that was given.
        value: f64,
    },
    /// Variables of the environment that tell no place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The processes that train together cannot reach each other.
    #[error("{what}: {cause}")]
    Group {
        /// What was tried.
        what: &'static str,
        /// The words of libtorch.
        cause: String,
    },
    /// The others did not come, and nobody waits for them any more.
    #[error("stopped while waiting for the other processes")]
    Alone,
    /// The processes that train together were asked different things.
    #[error("not every process has the {other} of process 0 (this is process {rank})")]
    Others {
        /// The process that says so.
        rank: usize,
        /// What differs.
        other: &'static str,
    },
    /// The processes that train together do not do the same.
    #[error("process {rank} and another one have tensors of different shapes or kinds")]
    Unlike {
        /// The process that says so.
        rank: usize,
    },
    /// A regulariser that has nothing to work on.
    #[error("`{field}` needs {needs}")]
    Regularizer {
        /// Of the configuration.
        field: &'static str,
        /// Layers.
        needs: &'static str,
    },
}
