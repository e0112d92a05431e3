//! Activations that act on groups of units: channels of an image at one pixel, or entries of a vector.

use serde::{Deserialize, Serialize};

use super::network::Shape;
use super::tensor::check_finite;
use crate::error::CheckError;

/// Which two units form a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// Unit `i` of the first half and unit `i + units/2`.
    Split,
    /// Units `2i` and `2i + 1`.
    Adjacent,
}

/// A permutation of each group that depends on its values, or the two parts of each value.
///
/// # Source
///
/// Anil, Lucas and Grosse, *Sorting out Lipschitz function approximation*, ICML 2019 (sorting); the pairings are those of the published code of Singla et al.
/// (`Split`) and of Prach and Lampert (`Adjacent`). `Crelu` is the `MaxMin` of deel-torchlip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groupwise {
    /// The larger of a pair in the place of its first unit, the smaller one in that of its second.
    MaxMin(Pairing),
    /// Each run of `size` adjacent units in ascending order.
    GroupSort {
        /// Length of a run; the number of units must be a multiple of it.
        size: usize,
    },
    /// All units in ascending order.
    FullSort,
    /// `relu(x)` and behind it `relu(−x)`: twice as many units.
    Crelu,
}

impl Groupwise {
    /// Name of the kind, as certificates and reports write it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::MaxMin(_) => "max-min",
            Self::GroupSort { .. } => "group-sort",
            Self::FullSort => "full-sort",
            Self::Crelu => "crelu",
        }
    }

    /// Checks that the units come in whole groups.
    pub(crate) fn output_shape(self, input: Shape) -> Result<Shape, CheckError> {
        match self {
            Self::MaxMin(_) => whole("max-min", input, 2),
            Self::GroupSort { size } => whole("group-sort", input, size),
            Self::FullSort => Ok(input),
            Self::Crelu => Ok(input.with_units(input.units().saturating_mul(2))),
        }
    }
}

/// A map of pairs of units (split halves) that is given by angles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairMap {
    /// `z` where `u·z ≤ 0` and its mirror image `z − 2 (u·z) u` where `u·z > 0`, `u = (sin θ/2, −cos θ/2)`: `z − 2 u relu(u·z)`.
    Householder,
    /// Four sectors of the plane, anticlockwise from the angle `θ₀/2`, of the widths `θ₁/2`, `θ₂/2`, `π − θ₁/2`, `π − θ₂/2`: the identity, the mirror image at the line
    /// at the angle `(θ₀ + θ₁)/2`, the rotation by `−θ₂`, the mirror image at the line at `θ₀/2`. Three angles a pair, each in `[0, 2π]`.
    Householder2,
    /// The signed distance of a pair, as a point of the plane, to the wedge of the angle `θ` in `[0, π]` around the positive first axis, negative inside: one
    /// number a pair.
    Projection,
}

impl PairMap {
    /// Number of angles a pair.
    #[must_use]
    pub const fn angles(self) -> usize {
        match self {
            Self::Householder | Self::Projection => 1,
            Self::Householder2 => 3,
        }
    }

    /// The largest magnitude of an angle, and whether negative ones are meant.
    #[must_use]
    pub const fn range(self) -> (f64, bool) {
        match self {
            Self::Householder => (ANGLE_LIMIT, true),
            // The floats next below 2π and π.
            Self::Householder2 => (std::f64::consts::TAU, false),
            Self::Projection => (std::f64::consts::PI, false),
        }
    }
}

/// The largest magnitude of an angle for which sine and cosine are enclosed.
pub const ANGLE_LIMIT: f64 = 1024.0;

/// A [`PairMap`] with its angles.
///
/// # Source
///
/// Singla, Singla and Feizi, *Improved deterministic l2 robustness on CIFAR-10 and CIFAR-100*, ICLR 2022 (Householder activations), and the authors' code
/// (order 2, projection pooling).
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// Which map.
    pub map: PairMap,
    /// In radians, `(pairs · angles,)`: the first angles of all pairs, then the second ones, then the third ones.
    pub angles: Vec<f64>,
}

impl Paired {
    /// Name of the kind, as certificates and reports write it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.map {
            PairMap::Householder => "householder",
            PairMap::Householder2 => "householder-2",
            PairMap::Projection => "projection-pool",
        }
    }

    /// Checks the angles against the units of the input.
    pub(crate) fn output_shape(&self, input: Shape) -> Result<Shape, CheckError> {
        let same = whole(self.kind(), input, 2)?;
        let pairs = input.units() / 2;
        let expected = pairs * self.map.angles();
        if self.angles.len() != expected {
            return Err(CheckError::Shape {
                what: "theta",
                expected: vec![expected],
                found: vec![self.angles.len()],
            });
        }
        check_finite("theta", &[expected], &self.angles)?;
        let (limit, signed) = self.map.range();
        let outside = |angle: &f64| angle.abs() > limit || (!signed && *angle < 0.0);
        if let Some(index) = self.angles.iter().position(outside) {
            return Err(CheckError::OutOfRange {
                what: "theta",
                index,
                value: self.angles[index],
                limit,
            });
        }
        match self.map {
            PairMap::Householder | PairMap::Householder2 => Ok(same),
            PairMap::Projection => Ok(input.with_units(pairs)),
        }
    }
}

/// The shape itself, if its units come in whole groups of `size`.
pub(crate) fn whole(what: &'static str, input: Shape, size: usize) -> Result<Shape, CheckError> {
    let units = input.units();
    if size > 0 && units.is_multiple_of(size) {
        Ok(input)
    } else {
        Err(CheckError::Shape {
            what,
            expected: vec![size],
            found: vec![units],
        })
    }
}
