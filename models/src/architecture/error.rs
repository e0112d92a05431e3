//! Why tensors are not those of a known architecture.

use crate::checkpoint::{Dtype, GraphError};

/// Why the tensors of a file are not those of a known architecture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// The names are not those of a code that is known here.
    #[error("unknown architecture: {tensors} tensors, the first is `{first}`")]
    Unknown {
        /// Number of tensors.
        tensors: usize,
        /// Name of the first.
        first: String,
    },
    /// The caller declares an architecture for a file that declares its own.
    #[error("the file declares its architecture itself, so no other can be given")]
    Declared,
    /// The caller asks for another function than the file declares.
    #[error("the file declares {what} {declared}, asked was {asked}")]
    Contradicts {
        /// `input` or `preprocessing`.
        what: &'static str,
        /// In the file.
        declared: String,
        /// By the caller.
        asked: String,
    },
    /// A tensor is missing.
    #[error("tensor `{tensor}` is missing")]
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A tensor among those of dense layers that is none of them.
    #[error(
        "tensor `{tensor}` of shape {shape:?} is neither the weight (two sizes) nor the bias of a plain dense layer, numbered as the others: \
         declare the architecture"
    )]
    NotLinear {
        /// Its name.
        tensor: String,
        /// Its sizes.
        shape: Vec<usize>,
    },
    /// A graph that is not a chain of layers that are read.
    #[error(transparent)]
    Graph(GraphError),
    /// A tensor that belongs to no layer.
    #[error("tensor `{tensor}` belongs to no layer")]
    Extra {
        /// Its name.
        tensor: String,
    },
    /// A tensor has another shape.
    #[error("tensor `{tensor}` has shape {found:?}, expected {}", shape(expected))]
    Shape {
        /// Its name.
        tensor: String,
        /// Expected sizes; 0 stands for any size.
        expected: Vec<usize>,
        /// Sizes in the file.
        found: Vec<usize>,
    },
    /// A tensor that holds no floating-point numbers.
    #[error("tensor `{tensor}` has elements of type {dtype}, expected floating-point numbers")]
    NotFloat {
        /// Its name.
        tensor: String,
        /// Its type.
        dtype: Dtype,
    },
    /// A declaration that is not the JSON object that it should be.
    #[error("declaration (--arch, or in the metadata): {0}")]
    Declaration(serde_json::Error),
    /// A declaration of another version.
    #[error("declaration (--arch, or in the metadata) has schema `{found}`, expected `{expected}`")]
    Schema {
        /// The schema that is read.
        expected: &'static str,
        /// The schema in the file.
        found: String,
    },
    /// A name that cannot be that of an architecture or a layer, or stands twice.
    #[error("`{name}` cannot be the name of {what}, or stands twice")]
    Name {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A layer of a kind that the named architecture does not have.
    #[error("layer `{layer}` of kind `{kind}` does not belong to the architecture `{architecture}`")]
    Kind {
        /// The layer.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// The architecture.
        architecture: String,
    },
    /// A residual layer with another activation than the one for which it is defined.
    #[error(
        "layer `{layer}` of kind `{kind}` applies relu by definition, not `{activation}`: its bound needs slopes in [0, 1], an entry at a time"
    )]
    ResidualActivation {
        /// The layer.
        layer: String,
        /// Its kind.
        kind: &'static str,
        /// What was asked for.
        activation: String,
    },
    /// A slope where none belongs, or none where one is needed.
    #[error("layer `{layer}`: `leaky-relu` needs a `slope`, `relu` has none")]
    Slope {
        /// The layer.
        layer: String,
    },
    /// A padding for which no bound is known.
    #[error(
        "layer `{layer}`: padding `{padding}` is not covered: it repeats pixels, so the padding alone stretches distances and no norm of the kernel bounds the layer"
    )]
    Padding {
        /// The layer.
        layer: String,
        /// The padding.
        padding: &'static str,
    },
    /// A preprocessing that is none.
    #[error("declaration (--arch, or in the metadata): preprocess: {0}")]
    Preprocess(crate::preprocess::PreprocessError),
    /// The shape of the input cannot be told.
    #[error("{}", input(*channels, *side))]
    Input {
        /// Channels of the raw image, where known.
        channels: Option<usize>,
        /// Side of the image, where it follows from the parameters.
        side: Option<usize>,
    },
    /// Sizes beyond those that are read.
    #[error("{what} {size} is larger than {most}")]
    TooLarge {
        /// Which size.
        what: &'static str,
        /// The size.
        size: usize,
        /// The limit.
        most: usize,
    },
}

/// A shape in which 0 stands for any size.
fn shape(expected: &[usize]) -> String {
    let sizes: Vec<String> = expected
        .iter()
        .map(|size| if *size == 0 { "any".to_owned() } else { size.to_string() })
        .collect();
    format!("[{}]", sizes.join(", "))
}

fn input(channels: Option<usize>, side: Option<usize>) -> String {
    match (channels, side) {
        (None, Some(side)) => {
            format!(
                "the number of input channels is not in the file (the image is {side} x {side}): give the input shape, such as `--input 3x{side}x{side}`"
            )
        }
        _ => "the size of the image does not follow from the parameters: give the input shape, such as `--input 3x32x32`"
            .to_owned(),
    }
}
