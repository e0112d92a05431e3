//! Why a certificate file was refused.

use super::SCHEMA;

/// Why a certificate file was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file is larger than any certificate.
    #[error("{bytes} bytes are more than the {most} that a certificate may have")]
    TooLarge {
        /// Length of the file.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Not the JSON of a certificate: syntax, an unknown, missing or repeated field, a number that is none, trailing bytes.
    #[error("{cause}")]
    Json {
        /// One-based.
        line: usize,
        /// One-based.
        column: usize,
        /// What the JSON reader says.
        cause: String,
    },
    /// Written for another schema.
    #[error("schema `{found}` is not `{SCHEMA}`")]
    Schema {
        /// What the file says.
        found: String,
    },
    /// The bytes are not those that were written.
    #[error("the file says that its digest is `{stated}`, it is `{computed}`: something in it was changed")]
    Digest {
        /// In the file.
        stated: String,
        /// Of the content.
        computed: String,
    },
    /// The file says what it says in another way than it is written: other spacing, digits that no float64 has, escapes.
    #[error("the file is not in canonical form from byte {position} on")]
    NotCanonical {
        /// Zero-based.
        position: usize,
    },
    /// The certificate speaks of other model bytes.
    #[error("the certificate is of a model with sha256 `{certified}`, this one has `{found}`")]
    Model {
        /// In the certificate.
        certified: String,
        /// Of the model at hand.
        found: String,
    },
    /// The certificate describes another network.
    #[error("`{what}` of layer {index}: the certificate says `{stated}`, the network has `{found}`")]
    Layer {
        /// Zero-based layer.
        index: usize,
        /// Which field.
        what: &'static str,
        /// In the certificate.
        stated: String,
        /// In the network.
        found: String,
    },
    /// A bound in the certificate is not the one that its own claims give.
    #[error("`{what}`: the certificate says {stated:e}, its claims give {derived:e}")]
    Bound {
        /// Which bound.
        what: &'static str,
        /// In the certificate.
        stated: f64,
        /// From the claims.
        derived: f64,
    },
}
