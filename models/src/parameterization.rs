//! Families of Lipschitz-bounded layers: free parameters in, layers with their claims out. One file a family.
//!
//! A family never decides that a layer is certified. It says which layers its parameters stand for and which claim the
//! [checker](lipcert_proofs::certificate) should accept; where the layers hold weights that were computed here in float64, the claim speaks of those
//! weights, and the family's row says so.

pub mod activation;
mod algebra;
pub mod aol;
pub mod aol_conv;
pub mod bcop;
pub mod cayley_conv;
pub mod conv_norm;
pub mod cpl;
pub mod crc;
pub mod deep_residual;
pub mod frobenius;
pub mod lben;
pub mod ldlt;
pub mod linear_residual;
pub mod lot;
pub mod orthogonal;
pub mod r2dn;
pub mod residual_block;
pub mod rko;
pub mod sandwich;
pub mod sll;
pub mod soc;
pub mod spectral;
pub mod structural;
mod torus;

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{ChainClaim, LayerClaim, Witness};
use lipcert_proofs::rounding::dense_formula::EnclosedWeight;
use lipcert_proofs::rules::dense_formula;
use lipcert_proofs::statement::{DenseFormula, Layer, Shape};

/// What a proof about a member of the family says of the checkpoint that holds its free parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The map that the formula defines over the real numbers is proved.
    Certified,
    /// Proved but for the named assumption.
    Conditional(&'static str),
}

/// Why a proof about computed weights is none about the parameters that they were computed from.
const COMPUTED: &str = "the weights are those that float64 computes from the free parameters";

/// A row of the table of what can be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Short name, lower case, as in reports: `sll-dense`.
    pub name: &'static str,
    /// The map of a layer, in one line.
    pub map: &'static str,
    /// The rule that proves its bound, as certificates write it: `formula`, `operator-norm`, …
    pub rule: &'static str,
    /// Paper or code that the formula comes from.
    pub source: &'static str,
    /// How far the proof reaches.
    pub standing: Standing,
}

/// The layers that free parameters stand for, with the claim for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Realization {
    /// In the order in which they are applied.
    pub layers: Vec<Layer>,
    /// One a layer, untrusted.
    pub claims: Vec<LayerClaim>,
    /// A claim for all layers together, where the family has one; the layers then end in a dense layer.
    pub chain: Option<ChainClaim>,
}

impl Realization {
    /// One layer.
    #[must_use]
    pub fn of(layer: Layer, claim: LayerClaim) -> Self {
        Self {
            layers: vec![layer],
            claims: vec![claim],
            chain: None,
        }
    }

    /// One dense layer with a formula, with the bound that the formula has by theorem or by the norm of its parameters.
    ///
    /// # Errors
    ///
    /// [`CheckError`] if the parameters are malformed, do not fit the shape, or could not be enclosed.
    pub fn of_formula(formula: DenseFormula, bias: &[f64], input: Shape) -> Result<Self, CheckError> {
        let layer = Layer::DenseFormula {
            formula: formula.clone(),
            bias: bias.to_vec(),
        };
        layer.output_shape(input)?;
        let bound = dense_formula::bound_up(&formula, EnclosedWeight::new(&formula)?.reach());
        let claim = LayerClaim {
            lipschitz: dense_formula::with_room_up(bound),
            witness: Witness::Formula { inside: None },
        };
        Ok(Self::of(layer, claim))
    }
}

/// The assumption of a layer that divides by a norm which a program only approaches.
pub const CONVERGENCE: &str = "the power iteration has converged, where the file stores no divisor";

/// A family of layers given by free parameters.
///
/// In exact arithmetic the claims hold for all finite parameters; the witness in them is the reason, for the checker to test with rounding.
pub trait Parameterization {
    /// The family's row in the table.
    const FAMILY: Family;

    /// The layers for these parameters on inputs of a shape.
    ///
    /// # Errors
    ///
    /// [`CheckError`] if the parameters are malformed or do not fit the shape.
    fn realize(&self, input: Shape) -> Result<Realization, CheckError>;
}

/// All families, in the order of the table; [`structural::STRUCTURAL`] has the maps without free parameters.
pub const FAMILIES: &[Family] = &[
    sll::Dense::FAMILY,
    sll::Conv::FAMILY,
    aol::Dense::FAMILY,
    frobenius::Dense::FAMILY,
    spectral::Dense::FAMILY,
    orthogonal::Cayley::FAMILY,
    orthogonal::Bjorck::FAMILY,
    orthogonal::Householder::FAMILY,
    cpl::Dense::FAMILY,
    cpl::Conv::FAMILY,
    sandwich::Dense::FAMILY,
    activation::Householder::FAMILY,
    activation::Householder2::FAMILY,
    activation::ProjectionPool::FAMILY,
    activation::NActivation::FAMILY,
    activation::LipschitzPrelu::FAMILY,
    residual_block::Block::FAMILY,
    deep_residual::Block::FAMILY,
    ldlt::Network::FAMILY,
    lben::Network::FAMILY,
    r2dn::Network::FAMILY,
    aol_conv::Conv::FAMILY,
    conv_norm::Conv::FAMILY,
    linear_residual::Conv::FAMILY,
    soc::Conv::FAMILY,
    bcop::Conv::FAMILY,
    rko::Conv::FAMILY,
    crc::Head::FAMILY,
    cayley_conv::Conv::FAMILY,
    lot::Conv::FAMILY,
];
