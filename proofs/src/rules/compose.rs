//! Rule `compose`: the bound of a network from those of its layers.
//!
//! # Statement
//!
//! The composition of maps with Lipschitz bounds `L_1, …, L_k` is `∏ L_i`-Lipschitz. The head enters by [`super::last_layer`].
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
//! `compose::certificates_of_another_network_are_refused`.

use crate::certificate::LayerCertificate;
use crate::error::CheckError;
use crate::rounding::directed::mul_up;
use crate::rounding::head::HeadRows;
use crate::rules::last_layer;
use crate::statement::{NetworkMap, Output};

/// A checked bound of a whole network.
#[derive(Clone, Debug)]
pub struct NetworkCertificate<'a> {
    map: &'a NetworkMap,
    layers: Vec<LayerCertificate<'a>>,
    output: Output,
    features: f64,
    upper: f64,
}

impl<'a> NetworkCertificate<'a> {
    /// Composes the certificates of the layers of `map`, in order.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if there is not one certificate a layer.
    /// - [`CheckError::ForeignCertificate`] if one belongs to another layer or another input shape.
    /// - [`CheckError::NoSuchClass`] if `output` names a class that does not exist.
    pub fn compose(map: &'a NetworkMap, layers: Vec<LayerCertificate<'a>>, output: Output) -> Result<Self, CheckError> {
        let expected = map.layers().len();
        if layers.len() != expected {
            return Err(CheckError::Shape {
                what: "layers",
                expected: vec![expected],
                found: vec![layers.len()],
            });
        }
        let mut features = 1.0;
        for (index, (certificate, (layer, input))) in layers.iter().zip(map.layers().iter().zip(map.input_shapes())).enumerate() {
            if !std::ptr::eq(certificate.layer(), layer) || certificate.input() != input {
                return Err(CheckError::ForeignCertificate { index });
            }
            if certificate.head().is_none() {
                features = mul_up(features, certificate.lipschitz());
            }
        }
        let index = expected - 1;
        let (Some(head), Some(inside)) = (layers[index].head(), layers[index].witness().inside()) else {
            return Err(CheckError::ForeignCertificate { index });
        };
        let upper = last_layer::bound_up(features, head, inside.lambda, output)?;
        Ok(Self {
            map,
            layers,
            output,
            features,
            upper,
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

    /// What [`Self::upper`] speaks of.
    #[must_use]
    pub const fn output(&self) -> Output {
        self.output
    }

    /// Proved upper bound of the Lipschitz constant of the features: the input of the head, in units of the raw input.
    #[must_use]
    pub const fn features(&self) -> f64 {
        self.features
    }

    /// Proved upper bound of the Lipschitz constant of the asked output.
    #[must_use]
    pub const fn upper(&self) -> f64 {
        self.upper
    }

    /// The enclosed rows of the head.
    ///
    /// # Panics
    ///
    /// Never: [`NetworkCertificate::compose`] has seen the head.
    #[must_use]
    pub fn head(&self) -> &HeadRows {
        self.layers
            .last()
            .and_then(LayerCertificate::head)
            .expect("a composed network ends in a head")
    }
}
