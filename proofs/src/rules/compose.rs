//! Rule `compose`: the bound of a network from those of its layers.
//!
//! # Statement
//!
//! The composition of maps with Lipschitz bounds `L_1, …, L_k` is `∏ L_i`-Lipschitz. The head enters by [`super::last_layer`]; a network without one has the
//! identity as its head, so that a difference of two logits gets `√2 ∏ L_i`. Where a run of layers
//! has a bound of its own, by [`super::lipsdp`], that bound may take the place of the product over the run; of several bounds of the same map the
//! smallest counts.
//!
//! # Proof
//!
//! By induction from the definition; the product is rounded up.
//!
//! # Source
//!
//! Elementary.
//!
//! # Mutation note
//!
//! The last hidden layer left out of the product: `compose::every_layer_counts` went red. The identity check of the layers removed:
//! `compose::certificates_of_another_network_are_refused`. The last layer left out of the product where there is no head:
//! `joint::the_last_layer_counts`.

use crate::certificate::{ChainCertificate, LayerCertificate};
use crate::error::CheckError;
use crate::rounding::directed::{min, mul_down, mul_up};
use crate::rounding::head::HeadRows;
use crate::rules::{last_layer, structural};
use crate::statement::{NetworkMap, Output};

/// A checked bound of a whole network.
#[derive(Clone, Debug)]
pub struct NetworkCertificate<'a> {
    map: &'a NetworkMap,
    layers: Vec<LayerCertificate<'a>>,
    chains: Vec<ChainCertificate<'a>>,
    head: HeadRows,
    /// The proved `λ` with `Ŵ Ŵᵀ ⪯ λ I` for the head; 1 for the identity.
    joint_squared: f64,
    output: Output,
    features: f64,
    upper: f64,
}

impl<'a> NetworkCertificate<'a> {
    /// Composes the certificates of the layers of `map`, in order, and those of runs of its layers, of which there may be none.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if there is not one certificate a layer.
    /// - [`CheckError::ForeignCertificate`] if one belongs to another layer, another input shape, or another network.
    /// - [`CheckError::NoSuchClass`] if `output` names a class that does not exist.
    /// - [`CheckError::NotFinite`] if the product overflows: nothing is bounded.
    pub fn compose(
        map: &'a NetworkMap,
        layers: Vec<LayerCertificate<'a>>,
        chains: Vec<ChainCertificate<'a>>,
        output: Output,
    ) -> Result<Self, CheckError> {
        let expected = map.layers().len();
        if layers.len() != expected {
            return Err(CheckError::Shape {
                what: "layers",
                expected: vec![expected],
                found: vec![layers.len()],
            });
        }
        for (index, (certificate, (layer, input))) in layers.iter().zip(map.layers().iter().zip(map.input_shapes())).enumerate() {
            if !std::ptr::eq(certificate.layer(), layer) || certificate.input() != input {
                return Err(CheckError::ForeignCertificate { index });
            }
        }
        for chain in &chains {
            if !std::ptr::eq(chain.map(), map) {
                return Err(CheckError::ForeignCertificate { index: chain.first() });
            }
        }
        let body = map.body().len();
        let (head, joint_squared) = match (map.head(), layers.last()) {
            (Some((weight, _)), Some(last)) => {
                let Some(inside) = last.witness().inside() else {
                    return Err(CheckError::ForeignCertificate { index: body });
                };
                let rows = last.head().cloned().unwrap_or_else(|| HeadRows::plain(weight));
                (rows, inside.lambda)
            }
            _ => (HeadRows::identity(map.classes()), 1.0),
        };
        let mut composed = Self {
            map,
            layers,
            chains,
            head,
            joint_squared,
            output,
            features: f64::INFINITY,
            upper: f64::INFINITY,
        };
        let product = composed.product_up(body);
        composed.features = composed.with_chains(product, |other| other == Output::Features);
        composed.upper = composed.bound_up(output)?;
        // A product that overflowed, or NaN, bounds nothing.
        let bounded = composed.upper.is_finite() && composed.features.is_finite();
        if bounded {
            Ok(composed)
        } else {
            Err(CheckError::NotFinite {
                what: "bound of the network",
                index: Vec::new(),
            })
        }
    }

    /// Proved upper bound of the Lipschitz constant of any output: the best of what the certificates give.
    ///
    /// # Errors
    ///
    /// [`CheckError::NoSuchClass`] if `output` names a class that does not exist.
    pub fn bound_up(&self, output: Output) -> Result<f64, CheckError> {
        let product = last_layer::bound_up(self.features, &self.head, self.joint_squared, output)?;
        // A difference of two logits has the same bound in both directions.
        let same = |other| match (other, output) {
            (Output::Pair(a, b), Output::Pair(c, d)) => (a, b) == (c, d) || (a, b) == (d, c),
            (other, output) => other == output,
        };
        Ok(self.with_chains(product, same))
    }

    /// A proved lower bound of what any multipliers could prove for [`Self::output`] by the rules that were used here; nothing without such evidence.
    ///
    /// The layers before the run enter with what their rules prove, not with what was claimed for them.
    #[must_use]
    pub fn dual_down(&self) -> Option<f64> {
        let chain = self.chains.iter().find(|chain| chain.output() == self.output)?;
        let mut bound = chain.dual_down();
        for layer in &self.map.layers()[..chain.first()] {
            bound = mul_down(bound, structural::bound_up(layer).ok()?);
        }
        (bound > 0.0 && bound.is_finite()).then_some(bound)
    }

    /// The product of the bounds of the first `count` layers, rounded up.
    pub(crate) fn product_up(&self, count: usize) -> f64 {
        self.layers[..count]
            .iter()
            .fold(1.0, |product, layer| mul_up(product, layer.lipschitz()))
    }

    /// The smallest of `bound` and the bounds by chains for the outputs that are `wanted`.
    fn with_chains(&self, bound: f64, wanted: impl Fn(Output) -> bool) -> f64 {
        let chains = self.chains.iter().filter(|chain| wanted(chain.output()));
        chains.fold(bound, |least, chain| {
            min(least, mul_up(self.product_up(chain.first()), chain.lipschitz()))
        })
    }

    /// The network.
    #[must_use]
    pub const fn map(&self) -> &'a NetworkMap {
        self.map
    }

    /// One certificate a layer.
    #[must_use]
    pub fn layers(&self) -> &[LayerCertificate<'a>] {
        &self.layers
    }

    /// The certificates of runs of layers.
    #[must_use]
    pub fn chains(&self) -> &[ChainCertificate<'a>] {
        &self.chains
    }

    /// What [`Self::upper`] speaks of.
    #[must_use]
    pub const fn output(&self) -> Output {
        self.output
    }

    /// Proved upper bound of the Lipschitz constant of the features (the input of the head, or the logits themselves), in units of the raw input.
    #[must_use]
    pub const fn features(&self) -> f64 {
        self.features
    }

    /// Proved upper bound of the Lipschitz constant of [`Self::output`].
    #[must_use]
    pub const fn upper(&self) -> f64 {
        self.upper
    }

    /// The enclosed rows of the head.
    #[must_use]
    pub const fn head(&self) -> &HeadRows {
        &self.head
    }
}
