//! Why a description is no network.

use lipcert_proofs::CheckError;
use thiserror::Error;

use crate::architecture::ArchitectureError;
use crate::error::ModelError;
use crate::training::preset::PresetError;

/// Why a description is no network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The preset.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// A layer.
    #[error("layer {index} (`{kind}`): {fault}")]
    Layer {
        /// Place in the list, repetitions not counted.
        index: usize,
        /// Its kind as given, or nothing.
        kind: String,
        /// Why.
        fault: LayerFault,
    },
    /// More layers than fit.
    #[error("more than {most} layers")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// Samples of more numbers than are read.
    #[error("the samples have shape {found:?}, more than {most} numbers")]
    Input {
        /// Sizes.
        found: [usize; 3],
        /// The limit.
        most: usize,
    },
    /// Fewer outputs than classes, or none that are a vector.
    #[error("the output has shape {found:?}, the data have {classes} classes")]
    Output {
        /// Number of classes.
        classes: usize,
        /// Sizes.
        found: Vec<usize>,
    },
    /// The preprocessing.
    #[error("network.preprocess: {0}")]
    Preprocess(Box<ModelError>),
    /// What the declaration refuses.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}

/// Why a layer is refused.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum LayerFault {
    /// No text `kind`, or one that cannot be trained.
    #[error("no kind of layer that can be trained")]
    Kind,
    /// A size that is missing.
    #[error("the size `{field}` is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A size that is not an integer in range.
    #[error("`{field}` is `{found}`, expected an integer from 1 to 65536")]
    Size {
        /// Its name.
        field: &'static str,
        /// What stands there.
        found: String,
    },
    /// Something else that cannot stand in a field.
    #[error("`{field}` is `{found}`, expected {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What stands there.
        found: String,
        /// In words.
        expected: &'static str,
    },
    /// A number out of the range of its kind.
    #[error(transparent)]
    Range(#[from] CheckError),
    /// A field that is missing or unknown, or what is not covered by a bound, in the words of the declaration.
    #[error("{0}")]
    Declaration(String),
    /// A name that stands twice.
    #[error("the name `{name}` stands twice")]
    Name {
        /// The name.
        name: String,
    },
    /// A layer behind the head.
    #[error("nothing may stand behind `normalized-head`")]
    BehindHead,
    /// A tensor that is too large.
    #[error("`{field}` would have shape {found:?}, more than {most} numbers")]
    Tensor {
        /// Its name in the layer.
        field: &'static str,
        /// Sizes.
        found: Vec<usize>,
        /// The limit.
        most: usize,
    },
    /// An output that is too large.
    #[error("the output would have shape {found:?}, more than {most} numbers")]
    Output {
        /// Sizes.
        found: Vec<usize>,
        /// The limit.
        most: usize,
    },
    /// A kernel without a centre.
    #[error("`kernel-size` is {found}, expected an odd number")]
    Even {
        /// What stands there.
        found: usize,
    },
    /// A vector where an image is needed, the other way round, or sizes that do not fit.
    #[error("the input has shape {found:?}, expected {expected}")]
    Input {
        /// In words.
        expected: &'static str,
        /// Sizes.
        found: Vec<usize>,
    },
}
