//! What opening the network would refuse, found before there are numbers.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{
    Activation, ConvFormula, DenseFormula, Divisor, ENTRIES_MOST, Kernel, Layer, Matrix, Shape, TERMS_MOST,
};
use serde_json::{Map, Value};

use super::LayerFault;
use crate::architecture::{FormulaPlan, KernelKind, Plan, fault};

/// Most numbers of a tensor: 8 GiB of float32.
const NUMBERS_MOST: usize = 1 << 31;

/// Number of entries, unless it overflows.
pub(super) fn entries(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))
}

/// Refuses texts where numbers belong, and the like.
pub(super) fn fields(kind: &str, entry: &Map<String, Value>) -> Result<(), LayerFault> {
    let faulty = entry
        .iter()
        .find_map(|(name, value)| Some((fault(kind, name, value)?, value)));
    match faulty {
        Some(((field, expected), value)) => Err(LayerFault::Field {
            field,
            found: shown(value),
            expected,
        }),
        None => Ok(()),
    }
}

/// A value as an error shows it.
pub(super) fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

/// Refuses a tensor that no memory holds.
pub(super) fn tensor(field: &'static str, shape: &[usize]) -> Result<(), LayerFault> {
    match entries(shape) {
        Some(count) if count <= NUMBERS_MOST => Ok(()),
        _ => Err(LayerFault::Tensor {
            field,
            found: shape.to_vec(),
            most: NUMBERS_MOST,
        }),
    }
}

/// Refuses an output with more numbers than a sample may have between two layers.
pub(super) fn output(shape: Shape) -> Result<(), LayerFault> {
    let found = shape.sizes();
    match entries(&found) {
        Some(count) if count <= ENTRIES_MOST => Ok(()),
        _ => Err(LayerFault::Output {
            found,
            most: ENTRIES_MOST,
        }),
    }
}

/// Refuses the constants that a layer of the network refuses.
///
/// A layer without tensors is that layer; of the others the smallest one with the same constants stands for it.
pub(super) fn constants(plan: Plan, input: Shape) -> Result<(), LayerFault> {
    let (layer, input) = match plan {
        Plan::PadChannels { channels } => (Layer::PadChannels { channels }, input),
        Plan::AveragePool { size, divisor } => (Layer::AveragePool { size, divisor }, input),
        Plan::Flatten => (Layer::Flatten, input),
        Plan::Activation(activation) => (Layer::Activation(activation), input),
        Plan::Groupwise(map) => (Layer::Groupwise(map), input),
        Plan::Resample(map) => (Layer::Resample(map), input),
        Plan::Formula {
            formula,
            outputs,
            features,
            ..
        } => match formula_constants(formula, outputs, features)? {
            Some(formula) => (
                Layer::DenseFormula {
                    formula,
                    bias: ZERO.to_vec(),
                },
                Shape::Flat(1),
            ),
            None => return Ok(()),
        },
        Plan::Sandwich { activation, .. } => return slopes(activation),
        Plan::Convolution { kernel, padding, .. } => match kernel {
            KernelKind::Aol { epsilon } => {
                let formula = ConvFormula::Aol {
                    raw: Kernel::new("weight", 1, 1, 1, ZERO.to_vec())?,
                    epsilon,
                };
                let bias = ZERO.to_vec();
                let pixel = Shape::Image {
                    channels: 1,
                    height: 1,
                    width: 1,
                };
                (Layer::ConvFormula { formula, bias, padding }, pixel)
            }
            KernelKind::Skew { terms, .. } => return count_terms(terms),
            KernelKind::Plain | KernelKind::LinearResidual | KernelKind::Spectral => return Ok(()),
        },
        Plan::Conv { .. }
        | Plan::Dense { .. }
        | Plan::Affine { .. }
        | Plan::Elementwise { .. }
        | Plan::Head { .. }
        | Plan::ChannelActivation { .. }
        | Plan::Paired { .. }
        | Plan::Block { .. } => return Ok(()),
    };
    layer.output_shape(input)?;
    Ok(())
}

/// One number.
const ZERO: [f64; 1] = [0.0];

/// The smallest formula with the same constants, if it has any.
fn formula_constants(formula: FormulaPlan, outputs: usize, features: usize) -> Result<Option<DenseFormula>, CheckError> {
    let raw = Matrix::new("weight", 1, 1, ZERO.to_vec())?;
    Ok(match formula {
        FormulaPlan::Aol { epsilon } => Some(DenseFormula::Aol { raw, epsilon }),
        FormulaPlan::Normalized { offset, bjorck, .. } => {
            // the work depends on the sizes
            bjorck.map_or(Ok(()), |steps| steps.check(outputs, features))?;
            Some(DenseFormula::Normalized {
                raw,
                divisor: Divisor::Frobenius,
                offset,
                bjorck,
            })
        }
        FormulaPlan::Cayley { .. } | FormulaPlan::Householder { .. } => None,
    })
}

/// The slopes that a sandwich layer may have.
fn slopes(activation: Activation) -> Result<(), LayerFault> {
    match activation {
        Activation::LeakyRelu { slope } if !(0.0..=1.0).contains(&slope) => Err(LayerFault::Field {
            field: "slope",
            found: slope.to_string(),
            expected: "a number from 0 to 1",
        }),
        _ => Ok(()),
    }
}

fn count_terms(terms: usize) -> Result<(), LayerFault> {
    if (1..=TERMS_MOST).contains(&terms) {
        return Ok(());
    }
    Err(LayerFault::Field {
        field: "terms",
        found: terms.to_string(),
        expected: "an integer from 1 to 64",
    })
}

const _: () = assert!(TERMS_MOST == 64, "as the error says");
