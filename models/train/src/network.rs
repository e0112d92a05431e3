//! An architecture with its tensors on a device.

use std::collections::BTreeMap;

use lipcert_models::architecture::{Architecture, METADATA_KEY};
use lipcert_models::checkpoint::{Checkpoint, write_safetensors};
use lipcert_models::network::{LoadOptions, image};
use lipcert_models::preprocess::Preprocess;
use lipcert_models::training::job;
use lipcert_proofs::statement::{Decimal, Shape};
use tch::{Device, Kind, Tensor};

use crate::TrainError;
use crate::layers::{self, Layer};
use crate::parameters::Parameters;

/// A network that can be evaluated and differentiated.
pub struct Network {
    architecture: Architecture,
    parameters: Parameters,
    layers: Vec<Box<dyn Layer>>,
    /// The shapes of the inputs of the layers.
    shapes: Vec<Shape>,
    /// Mean and inverse standard deviation, `(1, C, 1, 1)`.
    normalization: Option<(Tensor, Tensor)>,
    /// Largest inverse standard deviation.
    gain: f64,
    /// Whether images become vectors before the first layer.
    flatten: bool,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Network")
            .field("architecture", &self.architecture)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Opens a file whose network is known to be sound in shape and number.
    ///
    /// # Errors
    ///
    /// [`TrainError::Model`] as [`lipcert_models::network::Network::load`] says, and [`TrainError::Torch`].
    ///
    /// # Panics
    ///
    /// If memory runs out.
    pub fn open(model: &job::Model, input: [usize; 3], kind: Kind, device: Device) -> Result<Self, TrainError> {
        let mut checkpoint = Checkpoint::open(&model.path)?;
        if let Some(declaration) = &model.declaration {
            checkpoint.declare(declaration.clone())?;
        }
        let mut options = LoadOptions {
            input: Some(image(input)),
            ..LoadOptions::default()
        };
        if let Some(preprocess) = &model.preprocess {
            options.preprocess = preprocess.parse()?;
        }
        // every shape is checked by the walk through the layers
        let loaded = lipcert_models::network::Network::load(&checkpoint, &options)?;
        let mut architecture = Architecture::detect(&checkpoint)?;
        if options.preprocess != Preprocess::File {
            architecture.preprocess = Some(options.preprocess);
        }
        // without the layers that stand for the preprocessing and for the flattening of an image
        let shapes: Vec<Shape> = loaded.map.input_shapes();
        let skipped = shapes.len().saturating_sub(architecture.layers.len());
        // a network on vectors stays one: images are flattened for it
        architecture.input = shapes
            .get(skipped)
            .copied()
            .filter(|shape| matches!(shape, Shape::Flat(_)))
            .or(options.input);
        let parameters = Parameters::read(&checkpoint, &architecture, kind, device)?;
        Ok(Self::new(architecture, parameters, shapes[skipped..].to_vec()))
    }

    /// Builds the layers. `shapes` are the shapes of their inputs, without the preprocessing.
    ///
    /// # Panics
    ///
    /// If the parameters or the shapes are not those of the architecture.
    #[must_use]
    pub fn new(architecture: Architecture, parameters: Parameters, shapes: Vec<Shape>) -> Self {
        let pairs = architecture.layers.iter().zip(&shapes);
        let built = pairs
            .map(|(layer, shape)| layers::build(layer, &parameters, *shape))
            .collect();
        let numbers = |list: &[Decimal]| {
            list.iter()
                .map(|number| number.to_string().parse().expect("a decimal"))
                .collect()
        };
        let normalization = architecture.preprocess.as_ref().and_then(Preprocess::normalization);
        let mut gain = 1.0;
        let normalization = normalization.map(|(mean, std)| {
            let (mean, std): (Vec<f64>, Vec<f64>) = (numbers(&mean), numbers(&std));
            gain = std.iter().fold(f64::INFINITY, |least, value| least.min(*value)).recip();
            let tensor = |list: &[f64]| {
                let tensor = Tensor::from_slice(list)
                    .to_kind(parameters.kind())
                    .to_device(parameters.device());
                tensor.view([1, -1, 1, 1])
            };
            (tensor(&mean), tensor(&std).reciprocal())
        });
        Self {
            flatten: matches!(shapes.first(), Some(Shape::Flat(_))),
            architecture,
            parameters,
            layers: built,
            shapes,
            normalization,
            gain,
        }
    }

    /// The architecture.
    #[must_use]
    pub const fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The tensors.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Computes what depends on the parameters alone; must come before [`Network::logits`] whenever they changed.
    pub fn derive(&mut self) {
        for layer in &mut self.layers {
            layer.derive();
        }
    }

    /// Brings the gradients to the parameters, once behind the passes of a step; [`Network::derive`] must come before the next.
    pub fn pull(&mut self) {
        for layer in &mut self.layers {
            layer.pull();
        }
    }

    /// The logits `(N, classes)` of raw images `(N, C, H, W)`.
    pub fn logits(&self, images: &Tensor) -> Tensor {
        self.pass(images, |_, _| ())
    }

    /// The same; every layer's output is shown.
    pub fn pass(&self, images: &Tensor, mut show: impl FnMut(usize, &Tensor)) -> Tensor {
        let mut value = match &self.normalization {
            Some((mean, scale)) => (images - mean) * scale,
            None => images.shallow_clone(),
        };
        if self.flatten {
            value = value.flatten(1, -1);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            value = layer.forward(&value);
            show(index, &value);
        }
        value
    }

    /// Type of the numbers.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.parameters.kind()
    }

    /// The distances `(classes, classes)` by which the difference of two logits depends on the features; `√2` where the features are the logits; 0 between a class and itself.
    pub fn distances(&self, classes: i64) -> Tensor {
        let rows = self.layers.last().and_then(|layer| layer.rows());
        let options = (self.parameters.kind(), self.parameters.device());
        match rows {
            // differences themselves, not products: close rows keep their digits
            Some(rows) => Tensor::cdist(&rows, &rows, 2.0, 2),
            None => {
                let distances = Tensor::full([classes, classes], std::f64::consts::SQRT_2, options);
                let own = Tensor::eye(classes, (Kind::Bool, self.parameters.device()));
                distances.masked_fill(&own, 0.0)
            }
        }
    }

    /// Lipschitz bound of the preprocessing. That of a layer with a bound by construction is 1 up to rounding and to a norm that is still followed; plain weights
    /// have none.
    #[must_use]
    pub const fn gain(&self) -> f64 {
        self.gain
    }

    /// The bytes of a safetensors file.
    ///
    /// # Errors
    ///
    /// [`TrainError::Model`] if the library refuses, [`TrainError::Torch`] if the tensors cannot be copied.
    pub fn file(&self) -> Result<Vec<u8>, TrainError> {
        let metadata = [(METADATA_KEY.to_owned(), self.architecture.declaration())].into();
        Ok(write_safetensors(&metadata, &self.parameters.plain()?)?)
    }

    /// What the layers keep from step to step beside the parameters, as `LAYER.NAME`: whoever changes such a tensor in place changes the network.
    ///
    /// A training that is to go on bit for bit needs these tensors as well as the parameters.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let layers = self.architecture.layers.iter().zip(&self.layers);
        layers
            .flat_map(|(planned, layer)| {
                let named = layer.state().into_iter();
                named.map(|(field, tensor)| (format!("{}.{field}", planned.name), tensor))
            })
            .collect()
    }

    /// The network whose file can be certified: every norm that training only follows is replaced by a stored number a little above it.
    ///
    /// `sigma` gets a settled value, a weight that is divided by its norm gets a `sigma`, and `cpl-conv`, `cpl-dense` and `cpl-frobenius` become `residual-conv`
    /// and `residual-dense` with a stored factor. Training goes on with the old network.
    ///
    /// # Errors
    ///
    /// [`TrainError::Torch`].
    pub fn seal(&self) -> Result<Self, TrainError> {
        let mut architecture = self.architecture.clone();
        let mut changed = BTreeMap::new();
        for (planned, layer) in architecture.layers.iter_mut().zip(&self.layers) {
            if let Some(sealed) = layer.seal(planned.plan) {
                planned.plan = sealed.plan;
                let named = sealed.changed.into_iter();
                changed.extend(named.map(|(field, tensor)| (format!("{}.{field}", planned.name), tensor)));
            }
        }
        let (kind, device) = (self.parameters.kind(), self.parameters.device());
        let parameters = Parameters::new(&architecture, kind, device, |parameter| {
            let layer = &architecture.layers[parameter.layer].name;
            Ok(changed
                .remove(&parameter.name)
                .unwrap_or_else(|| self.parameters.get(layer, parameter.field)))
        })?;
        Ok(Self::new(architecture, parameters, self.shapes.clone()))
    }
}
