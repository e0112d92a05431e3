//! The tensors of a network on a device, by name.

use std::collections::BTreeMap;

use lipcert_models::architecture::Architecture;
use lipcert_models::checkpoint::{Checkpoint, PlainTensor};
use lipcert_models::training::parameters::{self, Parameter};
use tch::{Device, Kind, Tensor};

use crate::TrainError;
use crate::layers::learnt;

/// Tensors that the layers share: whoever changes one in place changes it for all.
#[derive(Debug)]
pub struct Parameters {
    /// Names and shapes, layer by layer.
    list: Vec<Parameter>,
    tensors: BTreeMap<String, Tensor>,
    kind: Kind,
    device: Device,
}

/// The sizes as libtorch counts them.
pub(crate) fn sizes(shape: &[usize]) -> Vec<i64> {
    shape
        .iter()
        .map(|size| i64::try_from(*size).expect("sizes are below 2^63"))
        .collect()
}

impl Parameters {
    /// Makes every tensor of an architecture.
    ///
    /// # Errors
    ///
    /// What `numbers` returns for a parameter.
    pub fn new(
        architecture: &Architecture,
        kind: Kind,
        device: Device,
        mut numbers: impl FnMut(&Parameter) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let list = parameters::of(architecture);
        let mut tensors = BTreeMap::new();
        for parameter in &list {
            let tensor = numbers(parameter)?
                .f_to_device(device)?
                .f_to_kind(kind)?
                .f_reshape(sizes(&parameter.shape))?;
            let learnt = learnt(architecture.layers[parameter.layer].plan, parameter.field);
            tensors.insert(parameter.name.clone(), tensor.detach().copy().set_requires_grad(learnt));
        }
        Ok(Self {
            list,
            tensors,
            kind,
            device,
        })
    }

    /// Reads every tensor from a file.
    ///
    /// # Errors
    ///
    /// [`TrainError::Model`] if a number is not finite or the file cannot be read.
    pub fn read(checkpoint: &Checkpoint, architecture: &Architecture, kind: Kind, device: Device) -> Result<Self, TrainError> {
        Self::new(architecture, kind, device, |parameter| {
            let layer = &architecture.layers[parameter.layer].name;
            let values = parameters::read(checkpoint, layer, parameter.field)?;
            Ok(Tensor::f_from_slice(&values)?)
        })
    }

    /// A tensor that the architecture has.
    ///
    /// # Panics
    ///
    /// If it has none of this name.
    pub fn get(&self, layer: &str, field: &str) -> Tensor {
        self.find(layer, field).expect("a tensor of the architecture")
    }

    /// A tensor that the architecture may have.
    #[must_use]
    pub fn find(&self, layer: &str, field: &str) -> Option<Tensor> {
        self.tensors.get(&format!("{layer}.{field}")).map(Tensor::shallow_clone)
    }

    /// Names and shapes, layer by layer.
    #[must_use]
    pub fn list(&self) -> &[Parameter] {
        &self.list
    }

    /// The tensors in the order of [`Parameters::list`].
    pub fn iter(&self) -> impl Iterator<Item = (&Parameter, &Tensor)> {
        self.list.iter().map(|parameter| (parameter, &self.tensors[&parameter.name]))
    }

    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list
            .iter()
            .map(|parameter| parameter.shape.iter().product::<usize>())
            .sum()
    }

    /// How many of them have a gradient.
    #[must_use]
    pub fn moving(&self) -> usize {
        self.iter()
            .filter(|(_, tensor)| tensor.requires_grad())
            .map(|(_, tensor)| tensor.numel())
            .sum()
    }

    /// Type of the numbers.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where they lie.
    #[must_use]
    pub const fn device(&self) -> Device {
        self.device
    }

    /// All tensors as float32 for a file.
    ///
    /// # Errors
    ///
    /// [`TrainError::Torch`].
    pub fn plain(&self) -> Result<Vec<PlainTensor>, TrainError> {
        self.iter()
            .map(|(parameter, tensor)| {
                Ok(PlainTensor {
                    name: parameter.name.clone(),
                    shape: parameter.shape.clone(),
                    values: values(tensor)?,
                })
            })
            .collect()
    }
}

/// The numbers of a tensor as float32, row by row.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>, TrainError> {
    let flat = tensor
        .detach()
        .f_to_kind(Kind::Float)?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_view(-1)?;
    Ok(Vec::try_from(flat)?)
}
