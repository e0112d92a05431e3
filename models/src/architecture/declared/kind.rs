//! The kinds of layers that a declaration may name.

use lipcert_proofs::statement::{BlockOrder, Over, Pairing};
use serde::{Deserialize, Serialize};

use super::super::ScaleKind;
use super::super::convolution::DeclaredPadding;

/// One layer; the sizes of its parameters are those of its tensors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Declared {
    PadChannels {
        name: String,
        channels: usize,
    },
    SllConv {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    SllConvWeighted {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    ResidualConv {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    AolDense {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    SllDense {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    ResidualDense {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    AveragePool {
        name: String,
        size: usize,
        divisor: u32,
    },
    Flatten {
        name: String,
    },
    Dense {
        name: String,
    },
    Relu {
        name: String,
    },
    LeakyRelu {
        name: String,
        slope: f64,
    },
    Add {
        name: String,
    },
    Subtract {
        name: String,
    },
    Multiply {
        name: String,
    },
    Divide {
        name: String,
    },
    NormalizedHead {
        name: String,
    },
    Abs {
        name: String,
    },
    Prelu {
        name: String,
    },
    Lprelu {
        name: String,
    },
    NActivation {
        name: String,
    },
    MaxMin {
        name: String,
        pairing: Pairing,
    },
    GroupSort {
        name: String,
        size: usize,
    },
    FullSort {
        name: String,
    },
    Crelu {
        name: String,
    },
    CplConv {
        name: String,
    },
    CplDense {
        name: String,
    },
    CplFrobenius {
        name: String,
    },
    Aol {
        name: String,
        #[serde(default)]
        epsilon: f64,
    },
    Frobenius {
        name: String,
        #[serde(default)]
        offset: f64,
    },
    Spectral {
        name: String,
        #[serde(default)]
        offset: f64,
    },
    Bjorck {
        name: String,
        #[serde(default)]
        offset: f64,
        #[serde(default = "half")]
        beta: f64,
        iterations: usize,
    },
    Cayley {
        name: String,
    },
    HouseholderProduct {
        name: String,
    },
    Householder {
        name: String,
    },
    #[serde(rename = "householder-2")]
    Householder2 {
        name: String,
    },
    ProjectionPool {
        name: String,
    },
    PixelUnshuffle {
        name: String,
        factor: usize,
        order: BlockOrder,
    },
    PixelShuffle {
        name: String,
        factor: usize,
        order: BlockOrder,
    },
    FirstChannels {
        name: String,
        channels: usize,
    },
    PadFeatures {
        name: String,
        features: usize,
    },
    Center {
        name: String,
        over: Over,
    },
    MaxPool {
        name: String,
        size: usize,
        stride: usize,
    },
    NormPool {
        name: String,
        size: usize,
    },
    PairMax {
        name: String,
    },
    Tanh {
        name: String,
    },
    Sigmoid {
        name: String,
    },
    Softplus {
        name: String,
        beta: f64,
    },
    Elu {
        name: String,
    },
    ResidualBlock {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slope: Option<f64>,
    },
    Sandwich {
        name: String,
        activation: Between,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slope: Option<f64>,
    },
    Convolution {
        name: String,
        #[serde(default, skip_serializing_if = "DeclaredPadding::is_zero")]
        padding: DeclaredPadding,
    },
    AolConv {
        name: String,
        #[serde(default, skip_serializing_if = "DeclaredPadding::is_zero")]
        padding: DeclaredPadding,
        #[serde(default)]
        epsilon: f64,
    },
    LinearResidualConv {
        name: String,
        #[serde(default, skip_serializing_if = "DeclaredPadding::is_zero")]
        padding: DeclaredPadding,
    },
    SpectralConv {
        name: String,
        #[serde(default, skip_serializing_if = "DeclaredPadding::is_zero")]
        padding: DeclaredPadding,
    },
    SkewExponential {
        name: String,
        #[serde(default, skip_serializing_if = "DeclaredPadding::is_zero")]
        padding: DeclaredPadding,
        terms: usize,
    },
}

/// The activation inside a sandwich layer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Between {
    Relu,
    LeakyRelu,
}

/// The usual `β` of Björck steps.
const fn half() -> f64 {
    0.5
}

impl Declared {
    pub(super) const fn name(&self) -> &String {
        match self {
            Self::PadChannels { name, .. }
            | Self::SllConv { name, .. }
            | Self::SllConvWeighted { name, .. }
            | Self::ResidualConv { name, .. }
            | Self::AolDense { name, .. }
            | Self::SllDense { name, .. }
            | Self::ResidualDense { name, .. }
            | Self::AveragePool { name, .. }
            | Self::Flatten { name }
            | Self::Dense { name }
            | Self::Relu { name }
            | Self::LeakyRelu { name, .. }
            | Self::Tanh { name }
            | Self::Sigmoid { name }
            | Self::Softplus { name, .. }
            | Self::Elu { name }
            | Self::Add { name }
            | Self::Subtract { name }
            | Self::Multiply { name }
            | Self::Divide { name }
            | Self::NormalizedHead { name }
            | Self::Abs { name }
            | Self::Prelu { name }
            | Self::Lprelu { name }
            | Self::NActivation { name }
            | Self::MaxMin { name, .. }
            | Self::GroupSort { name, .. }
            | Self::FullSort { name }
            | Self::Crelu { name }
            | Self::Householder { name }
            | Self::Householder2 { name }
            | Self::ProjectionPool { name }
            | Self::PixelUnshuffle { name, .. }
            | Self::PixelShuffle { name, .. }
            | Self::FirstChannels { name, .. }
            | Self::PadFeatures { name, .. }
            | Self::Center { name, .. }
            | Self::MaxPool { name, .. }
            | Self::NormPool { name, .. }
            | Self::PairMax { name }
            | Self::ResidualBlock { name, .. }
            | Self::CplConv { name }
            | Self::CplDense { name }
            | Self::CplFrobenius { name }
            | Self::Aol { name, .. }
            | Self::Frobenius { name, .. }
            | Self::Spectral { name, .. }
            | Self::Bjorck { name, .. }
            | Self::Cayley { name }
            | Self::HouseholderProduct { name }
            | Self::Sandwich { name, .. }
            | Self::Convolution { name, .. }
            | Self::AolConv { name, .. }
            | Self::LinearResidualConv { name, .. }
            | Self::SpectralConv { name, .. }
            | Self::SkewExponential { name, .. } => name,
        }
    }

    /// Kind as in [`lipcert_proofs::statement::Layer::kind`], and whether `sll` and `sll-weighted` have it.
    pub(super) const fn kind(&self) -> (&'static str, bool, bool) {
        match self {
            Self::PadChannels { .. } => ("pad-channels", true, true),
            Self::SllConv { .. } => ("sll-conv", true, false),
            Self::SllConvWeighted { .. } => ("sll-conv-weighted", false, true),
            Self::ResidualConv { .. } => ("residual-conv", false, false),
            Self::AolDense { .. } => ("aol-dense", false, false),
            Self::SllDense { .. } => ("sll-dense", true, true),
            Self::ResidualDense { .. } => ("residual-dense", false, false),
            Self::AveragePool { .. } => ("average-pool", true, true),
            Self::Flatten { .. } => ("flatten", true, true),
            Self::Dense { .. } => ("dense", false, false),
            Self::Relu { .. } => ("relu", false, false),
            Self::LeakyRelu { .. } => ("leaky-relu", false, false),
            Self::Tanh { .. } => ("tanh", false, false),
            Self::Sigmoid { .. } => ("sigmoid", false, false),
            Self::Softplus { .. } => ("softplus", false, false),
            Self::Elu { .. } => ("elu", false, false),
            Self::Add { .. } => ("add", false, false),
            Self::Subtract { .. } => ("subtract", false, false),
            Self::Multiply { .. } => ("multiply", false, false),
            Self::Divide { .. } => ("divide", false, false),
            Self::NormalizedHead { .. } => ("normalized-head", true, true),
            Self::Abs { .. } => ("abs", false, false),
            Self::Prelu { .. } => ("prelu", false, false),
            Self::Lprelu { .. } => ("lprelu", false, false),
            Self::NActivation { .. } => ("n-activation", false, false),
            Self::MaxMin { .. } => ("max-min", false, false),
            Self::GroupSort { .. } => ("group-sort", false, false),
            Self::FullSort { .. } => ("full-sort", false, false),
            Self::Crelu { .. } => ("crelu", false, false),
            Self::Householder { .. } => ("householder", false, false),
            Self::Householder2 { .. } => ("householder-2", false, false),
            Self::ProjectionPool { .. } => ("projection-pool", false, false),
            Self::PixelUnshuffle { .. } => ("pixel-unshuffle", false, false),
            Self::PixelShuffle { .. } => ("pixel-shuffle", false, false),
            Self::FirstChannels { .. } => ("first-channels", false, false),
            Self::PadFeatures { .. } => ("pad-features", false, false),
            Self::Center { .. } => ("center", false, false),
            Self::MaxPool { .. } => ("max-pool", false, false),
            Self::NormPool { .. } => ("norm-pool", false, false),
            Self::PairMax { .. } => ("pair-max", false, false),
            Self::ResidualBlock { .. } => ("residual-block", false, false),
            Self::CplConv { .. } => ("cpl-conv", false, false),
            Self::CplDense { .. } => ("cpl-dense", false, false),
            Self::CplFrobenius { .. } => ("cpl-frobenius", false, false),
            Self::Aol { .. } => ("aol", false, false),
            Self::Frobenius { .. } => ("frobenius", false, false),
            Self::Spectral { .. } => ("spectral", false, false),
            Self::Bjorck { .. } => ("bjorck", false, false),
            Self::Cayley { .. } => ("cayley", false, false),
            Self::HouseholderProduct { .. } => ("householder-product", false, false),
            Self::Sandwich { .. } => ("sandwich", false, false),
            Self::Convolution { .. } => ("convolution", false, false),
            Self::AolConv { .. } => ("aol-conv", false, false),
            Self::LinearResidualConv { .. } => ("linear-residual-conv", false, false),
            Self::SpectralConv { .. } => ("spectral-conv", false, false),
            Self::SkewExponential { .. } => ("skew-exponential", false, false),
        }
    }

    /// The activation that a residual layer asks for, if it says so.
    pub(super) fn activation(&self) -> Option<&str> {
        match self {
            Self::SllConv { activation, .. }
            | Self::SllConvWeighted { activation, .. }
            | Self::ResidualConv { activation, .. }
            | Self::AolDense { activation, .. }
            | Self::SllDense { activation, .. }
            | Self::ResidualDense { activation, .. } => activation.as_deref(),
            _ => None,
        }
    }

    pub(super) const fn scale(&self) -> ScaleKind {
        match self {
            Self::SllConv { .. } | Self::AolDense { .. } => ScaleKind::RowSum,
            Self::ResidualConv { .. } | Self::ResidualDense { .. } => ScaleKind::Stored,
            Self::CplConv { .. } | Self::CplDense { .. } => ScaleKind::Norm,
            Self::CplFrobenius { .. } => ScaleKind::Frobenius,
            _ => ScaleKind::Weighted,
        }
    }
}
