//! The tensors of a declared layer, and the sizes that are read off them.

use std::collections::HashMap;

use lipcert_proofs::statement::{Activation, Bjorck, Groupwise, Operation, PairMap, Resample};

use super::super::convolution::{self, KernelKind};
use super::super::{ArchitectureError, ChannelKind, DivisorPlan, FormulaPlan, Plan, alias, formula};
use super::kind::{Between, Declared};
use super::{MAX_SIDE, angle_fields, too_large};
use crate::checkpoint::TensorInfo;

/// The tensors that no layer has taken yet, for one layer.
pub(in crate::architecture) struct Parameters<'m, 't> {
    layer: &'m str,
    tensors: &'m mut HashMap<&'t str, &'t TensorInfo>,
}

impl Parameters<'_, '_> {
    /// Name of the layer.
    pub(in crate::architecture) const fn layer(&self) -> &str {
        self.layer
    }

    /// The shape of a parameter, if it is there; 0 stands for any size.
    pub(in crate::architecture) fn find(
        &mut self,
        field: &str,
        expected: &[&[usize]],
    ) -> Result<Option<Vec<usize>>, ArchitectureError> {
        let mut names = [Some(format!("{}.{field}", self.layer)), alias(self.layer, field)]
            .into_iter()
            .flatten()
            .chain(formula::torch_names(self.layer, field));
        let Some(info) = names.find_map(|name| self.tensors.remove(name.as_str())) else {
            return Ok(None);
        };
        let fits = |expected: &&&[usize]| {
            let pairs = || expected.iter().zip(&info.shape);
            expected.len() == info.shape.len() && pairs().all(|(want, found)| *found > 0 && (*want == 0 || want == found))
        };
        match expected.iter().find(fits) {
            Some(_) => Ok(Some(info.shape.clone())),
            None => Err(ArchitectureError::Shape {
                tensor: info.name.clone(),
                expected: expected[0].to_vec(),
                found: info.shape.clone(),
            }),
        }
    }

    /// The shape of a parameter that must be there.
    pub(in crate::architecture) fn take(&mut self, field: &str, expected: &[&[usize]]) -> Result<Vec<usize>, ArchitectureError> {
        self.find(field, expected)?.ok_or_else(|| ArchitectureError::Missing {
            tensor: format!("{}.{field}", self.layer),
        })
    }

    fn channelwise(&mut self, kind: ChannelKind) -> Result<Plan, ArchitectureError> {
        let units = match kind {
            ChannelKind::Prelu | ChannelKind::LipschitzPrelu => self.take("weight", &[&[0]])?[0],
            ChannelKind::N => self.take("theta", &[&[0, 2]])?[0],
        };
        Ok(Plan::ChannelActivation { kind, units })
    }

    /// A bare vector, or the shape of the authors' code.
    fn paired(&mut self, map: PairMap) -> Result<Plan, ArchitectureError> {
        let mut pairs = 0;
        for field in angle_fields(map) {
            let shape = self.take(field, &[&[pairs], &[1, pairs, 1, 1]])?;
            pairs = shape.iter().product();
        }
        Ok(Plan::Paired { map, pairs })
    }

    /// The name of the tensor of a parameter.
    pub(in crate::architecture) fn name(&self, field: &str) -> String {
        format!("{}.{field}", self.layer)
    }

    /// Leaves out a tensor on which the map does not depend, whatever its shape.
    pub(in crate::architecture) fn pass_over(&mut self, field: &str) {
        let name = self.name(field);
        self.tensors.remove(name.as_str());
    }

    fn elementwise(&mut self, operation: Operation) -> Result<Plan, ArchitectureError> {
        let entries = self.take("operand", &[&[0]])?[0];
        Ok(Plan::Elementwise { operation, entries })
    }
}

/// Takes the tensors of a layer out of the map and reads its sizes off them.
pub(super) fn plan<'t>(declared: &Declared, tensors: &mut HashMap<&'t str, &'t TensorInfo>) -> Result<Plan, ArchitectureError> {
    let name = declared.name();
    let scale = declared.scale();
    let mut parameters = Parameters { layer: name, tensors };
    Ok(match declared {
        Declared::Add { .. } => parameters.elementwise(Operation::Add)?,
        Declared::Subtract { .. } => parameters.elementwise(Operation::Subtract)?,
        Declared::Multiply { .. } => parameters.elementwise(Operation::Multiply)?,
        Declared::Divide { .. } => parameters.elementwise(Operation::Divide)?,
        Declared::Dense { .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            let (outputs, features) = (weight[0], weight[1]);
            let bias = parameters.find("bias", &[&[outputs], &[1, outputs]])?.is_some();
            Plan::Affine { outputs, features, bias }
        }
        Declared::Relu { .. } => Plan::Activation(Activation::Relu),
        Declared::LeakyRelu { slope, .. } => Plan::Activation(Activation::LeakyRelu { slope: *slope }),
        Declared::Tanh { .. } => Plan::Activation(Activation::Tanh),
        Declared::Sigmoid { .. } => Plan::Activation(Activation::Sigmoid),
        Declared::Softplus { beta, .. } => Plan::Activation(Activation::Softplus { beta: *beta }),
        Declared::Elu { .. } => Plan::Activation(Activation::Elu),
        Declared::PadChannels { channels, .. } => {
            too_large("number of channels", *channels, MAX_SIDE)?;
            Plan::PadChannels { channels: *channels }
        }
        Declared::SllConv { .. }
        | Declared::SllConvWeighted { .. }
        | Declared::ResidualConv { .. }
        | Declared::CplConv { .. } => {
            let kernel = parameters.take("kernel", &[&[0, 0, 0, 0]])?;
            let (inner, channels, size) = (kernel[0], kernel[1], kernel[2]);
            if kernel[3] != size {
                return Err(ArchitectureError::Shape {
                    tensor: format!("{name}.kernel"),
                    expected: vec![inner, channels, size, size],
                    found: kernel,
                });
            }
            parameters.take("bias", &[&[inner], &[1, inner, 1, 1]])?;
            match scale.tensor() {
                Some(tensor) => drop(parameters.take(tensor, &[&[inner]])?),
                None => parameters.pass_over("u"),
            }
            Plan::Conv {
                scale,
                inner,
                channels,
                size,
            }
        }
        Declared::SllDense { .. }
        | Declared::AolDense { .. }
        | Declared::ResidualDense { .. }
        | Declared::CplDense { .. }
        | Declared::CplFrobenius { .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            let (inner, features) = (weight[0], weight[1]);
            parameters.take("bias", &[&[inner], &[1, inner]])?;
            match scale.tensor() {
                Some(tensor) => drop(parameters.take(tensor, &[&[inner]])?),
                None => parameters.pass_over("u"),
            }
            Plan::Dense { scale, inner, features }
        }
        Declared::AveragePool { size, divisor, .. } => Plan::AveragePool {
            size: *size,
            divisor: *divisor,
        },
        Declared::Flatten { .. } => Plan::Flatten,
        Declared::Aol { epsilon, .. } => FormulaPlan::Aol { epsilon: *epsilon }.plan(&mut parameters)?,
        Declared::Frobenius { offset, .. } => normalized(DivisorPlan::Frobenius, *offset, None).plan(&mut parameters)?,
        Declared::Spectral { offset, .. } => normalized(DivisorPlan::Norm, *offset, None).plan(&mut parameters)?,
        Declared::Bjorck {
            offset,
            beta,
            iterations,
            ..
        } => {
            let (beta, iterations) = (*beta, *iterations);
            normalized(DivisorPlan::Norm, *offset, Some(Bjorck { beta, iterations })).plan(&mut parameters)?
        }
        Declared::Cayley { .. } => FormulaPlan::Cayley { alpha: false }.plan(&mut parameters)?,
        Declared::HouseholderProduct { .. } => FormulaPlan::Householder { vectors: 0 }.plan(&mut parameters)?,
        Declared::Sandwich { activation, slope, .. } => {
            let activation = match (activation, slope) {
                (Between::Relu, None) => Activation::Relu,
                (Between::LeakyRelu, Some(slope)) => Activation::LeakyRelu { slope: *slope },
                (Between::Relu, Some(_)) | (Between::LeakyRelu, None) => {
                    return Err(ArchitectureError::Slope { layer: name.clone() });
                }
            };
            formula::sandwich(activation, &mut parameters)?
        }
        Declared::NormalizedHead { .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            parameters.take("bias", &[&[weight[0]]])?;
            Plan::Head {
                classes: weight[0],
                features: weight[1],
            }
        }
        Declared::Abs { .. } => Plan::Activation(Activation::Abs),
        Declared::Prelu { .. } => parameters.channelwise(ChannelKind::Prelu)?,
        Declared::Lprelu { .. } => parameters.channelwise(ChannelKind::LipschitzPrelu)?,
        Declared::NActivation { .. } => parameters.channelwise(ChannelKind::N)?,
        Declared::MaxMin { pairing, .. } => Plan::Groupwise(Groupwise::MaxMin(*pairing)),
        Declared::GroupSort { size, .. } => Plan::Groupwise(Groupwise::GroupSort { size: *size }),
        Declared::FullSort { .. } => Plan::Groupwise(Groupwise::FullSort),
        Declared::Crelu { .. } => Plan::Groupwise(Groupwise::Crelu),
        Declared::Householder { .. } => parameters.paired(PairMap::Householder)?,
        Declared::Householder2 { .. } => parameters.paired(PairMap::Householder2)?,
        Declared::ProjectionPool { .. } => parameters.paired(PairMap::Projection)?,
        Declared::PixelUnshuffle { factor, order, .. } => resample(Resample::PixelUnshuffle {
            factor: *factor,
            order: *order,
        })?,
        Declared::PixelShuffle { factor, order, .. } => resample(Resample::PixelShuffle {
            factor: *factor,
            order: *order,
        })?,
        Declared::FirstChannels { channels, .. } => resample(Resample::First { units: *channels })?,
        Declared::PadFeatures { features, .. } => resample(Resample::PadFeatures { features: *features })?,
        Declared::Center { over, .. } => resample(Resample::Center(*over))?,
        Declared::MaxPool { size, stride, .. } => resample(Resample::MaxPool {
            size: *size,
            stride: *stride,
        })?,
        Declared::NormPool { size, .. } => resample(Resample::NormPool { size: *size })?,
        Declared::PairMax { .. } => resample(Resample::PairMax)?,
        Declared::ResidualBlock { slope, .. } => {
            let weight = parameters.take("weight", &[&[0, 0]])?;
            let (inner, features) = (weight[0], weight[1]);
            parameters.take("bias", &[&[inner], &[1, inner]])?;
            let path = parameters.find("path", &[&[0, features]])?;
            // Without a path the output has the size of the input.
            let rows = path.as_ref().map_or(features, |path| path[0]);
            let outputs = parameters.take("output", &[&[rows, inner]])?[0];
            Plan::Block {
                activation: slope.map_or(Activation::Relu, |slope| Activation::LeakyRelu { slope }),
                features,
                inner,
                outputs,
                path: path.is_some(),
                bias: parameters.find("output_bias", &[&[outputs], &[1, outputs]])?.is_some(),
            }
        }
        Declared::Convolution { padding, .. } => convolution::plan(&mut parameters, KernelKind::Plain, *padding)?,
        Declared::AolConv { padding, epsilon, .. } => {
            let kernel = KernelKind::Aol { epsilon: *epsilon };
            convolution::plan(&mut parameters, kernel, *padding)?
        }
        Declared::LinearResidualConv { padding, .. } => convolution::plan(&mut parameters, KernelKind::LinearResidual, *padding)?,
        Declared::SpectralConv { padding, .. } => convolution::plan(&mut parameters, KernelKind::Spectral, *padding)?,
        Declared::SkewExponential { padding, terms, .. } => {
            let kernel = KernelKind::Skew {
                terms: *terms,
                stored: false,
            };
            convolution::plan(&mut parameters, kernel, *padding)?
        }
    })
}

/// The plan of a map without parameters whose sizes are not beyond the limit.
fn resample(map: Resample) -> Result<Plan, ArchitectureError> {
    match map {
        Resample::PixelUnshuffle { factor: size, .. }
        | Resample::PixelShuffle { factor: size, .. }
        | Resample::First { units: size }
        | Resample::PadFeatures { features: size }
        | Resample::MaxPool { size, .. }
        | Resample::NormPool { size } => too_large("size", size, MAX_SIDE)?,
        Resample::Center(_) | Resample::PairMax => {}
    }
    Ok(Plan::Resample(map))
}

const fn normalized(divisor: DivisorPlan, offset: f64, bjorck: Option<Bjorck>) -> FormulaPlan {
    FormulaPlan::Normalized { divisor, offset, bjorck }
}
