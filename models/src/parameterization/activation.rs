//! Activations and pooling with free parameters.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::rules::structural;
use lipcert_proofs::statement::{ChannelActivation, Layer, PairMap, Paired, Shape};

use super::{Family, Parameterization, Realization, Standing};

const SINGLA: &str = "Singla et al., ICLR 2022";

/// The Householder activation: a pair is mirrored where it lies behind a line through the origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Householder {
    /// The angle of each pair, `(pairs,)`, at most 1024 in absolute value.
    pub theta: Vec<f64>,
}

/// The Householder activation of order 2: four sectors of the plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Householder2 {
    /// The three angles of each pair; what lies outside `[0, 2π]` is clamped.
    pub theta: Vec<[f64; 3]>,
}

/// Projection pooling: the signed distance of a pair to a wedge.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectionPool {
    /// The angle of each wedge, `(pairs,)`; what lies outside `[0, π]` is clamped.
    pub theta: Vec<f64>,
}

/// The N-activation, slopes 1, −1, 1.
#[derive(Clone, Debug, PartialEq)]
pub struct NActivation {
    /// Two numbers for each unit, in either order.
    pub theta: Vec<[f64; 2]>,
}

/// A leaky relu for each unit, its slope clamped to `[−1, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LipschitzPrelu {
    /// `(units,)`.
    pub slope: Vec<f64>,
}

/// The map with angles clamped to its range, as the published code does.
///
/// NaN stays, for the statement to refuse.
#[must_use]
pub fn clamped(map: PairMap, mut angles: Vec<f64>) -> Paired {
    let (limit, signed) = map.range();
    let least = if signed { -limit } else { 0.0 };
    angles.iter_mut().for_each(|angle| *angle = angle.clamp(least, limit));
    Paired { map, angles }
}

/// The activation with slopes clamped to `[−1, 1]`; NaN stays.
#[must_use]
pub fn clamped_slopes(slope: &[f64]) -> ChannelActivation {
    let slope = slope.iter().map(|slope| slope.clamp(-1.0, 1.0)).collect();
    ChannelActivation::Prelu { slope }
}

/// The N-activation of pairs `(θ, θ')`, row-major `(units, 2)`, each pair sorted.
#[must_use]
pub fn sorted(theta: &[f64]) -> ChannelActivation {
    let pairs = theta.chunks_exact(2);
    let (lower, upper) = pairs
        .map(|pair| {
            if pair[0] <= pair[1] {
                (pair[0], pair[1])
            } else {
                (pair[1], pair[0])
            }
        })
        .unzip();
    ChannelActivation::N { lower, upper }
}

fn structural(layer: Layer, input: Shape) -> Result<Realization, CheckError> {
    layer.output_shape(input)?;
    let claim = LayerClaim {
        lipschitz: structural::bound_up(&layer)?,
        witness: Witness::Structural {},
    };
    Ok(Realization::of(layer, claim))
}

const fn family(name: &'static str, map: &'static str, source: &'static str) -> Family {
    Family {
        name,
        map,
        rule: "structural",
        source,
        standing: Standing::Certified,
    }
}

impl Parameterization for Householder {
    const FAMILY: Family = family("householder", "z − 2 u relu(u·z), u = (sin θ/2, −cos θ/2)", SINGLA);

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let map = PairMap::Householder;
        let angles = self.theta.clone();
        structural(Layer::Paired(Paired { map, angles }), input)
    }
}

impl Parameterization for Householder2 {
    const FAMILY: Family = family(
        "householder-2",
        "identity, mirror image, rotation, mirror image by sector",
        SINGLA,
    );

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let angles = (0..3).flat_map(|which| self.theta.iter().map(move |theta| theta[which]));
        structural(Layer::Paired(clamped(PairMap::Householder2, angles.collect())), input)
    }
}

impl Parameterization for ProjectionPool {
    const FAMILY: Family = family("projection-pool", "signed distance of a pair to a wedge of angle θ", SINGLA);

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        structural(Layer::Paired(clamped(PairMap::Projection, self.theta.clone())), input)
    }
}

impl Parameterization for NActivation {
    const FAMILY: Family = family("n-activation", "x − 2θ₁, −x, x − 2θ₂", "Prach and Lampert, 2023");

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        structural(Layer::ChannelActivation(sorted(self.theta.as_flattened())), input)
    }
}

impl Parameterization for LipschitzPrelu {
    const FAMILY: Family = family("lprelu", "x or s x, s clamped to [−1, 1]", "deel-torchlip");

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        structural(Layer::ChannelActivation(clamped_slopes(&self.slope)), input)
    }
}
