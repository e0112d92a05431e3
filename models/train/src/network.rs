//! An architecture with its tensors on a device.

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
    /// [`TrainError::Model`] as [`lipcert_models::network::Network::load`] says, and [`TrainError::Untrainable`].
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
        architecture.input = Some(options.input.expect("it was given"));
        if options.preprocess != Preprocess::File {
            architecture.preprocess = Some(options.preprocess);
        }
        // without the layers that stand for the preprocessing and for the flattening of an image
        let shapes: Vec<Shape> = loaded.map.input_shapes();
        let skipped = shapes.len().saturating_sub(architecture.layers.len());
        let parameters = Parameters::read(&checkpoint, &architecture, kind, device)?;
        Self::new(architecture, parameters, &shapes[skipped..])
    }

    /// Builds the layers. `shapes` are the shapes of their inputs, without the preprocessing.
    ///
    /// # Errors
    ///
    /// [`TrainError::Untrainable`] for the first layer that has no gradient here.
    pub fn new(architecture: Architecture, parameters: Parameters, shapes: &[Shape]) -> Result<Self, TrainError> {
        let mut built = Vec::new();
        for (index, (layer, shape)) in architecture.layers.iter().zip(shapes).enumerate() {
            let refuse = || TrainError::Untrainable {
                index,
                name: layer.name.clone(),
            };
            built.push(layers::build(layer, &parameters, *shape).ok_or_else(refuse)?);
        }
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
        Ok(Self {
            flatten: architecture.vector().is_some(),
            architecture,
            parameters,
            layers: built,
            normalization,
            gain,
        })
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
    #[must_use]
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

    /// The logits in float arithmetic of another kind where that saves time; see [`crate::device`].
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.parameters.kind()
    }

    /// The distances `(classes, classes)` by which the difference of two logits depends on the features; `√2` where the features are the logits.
    #[must_use]
    pub fn distances(&self, classes: i64) -> Tensor {
        let rows = self.layers.last().and_then(|layer| layer.rows());
        let options = (self.parameters.kind(), self.parameters.device());
        match rows {
            Some(rows) => (rows.unsqueeze(1) - rows.unsqueeze(0)).norm_scalaropt_dim(2, [2].as_slice(), false),
            None => Tensor::full([classes, classes], std::f64::consts::SQRT_2, options),
        }
    }

    /// Lipschitz bound of the preprocessing; that of every layer that this crate trains is 1 up to rounding.
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
}
