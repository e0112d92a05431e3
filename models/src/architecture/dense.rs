//! Stacks of dense layers whose files say nothing but the weights.
//!
//! | layout | tensors | files |
//! |---|---|---|
//! | `W0`, `b0`, `W1`, … | weight `(outputs, inputs)`, bias `(outputs,)` or none | npz, MATLAB cells, nested lists |
//! | `PREFIX{i}SUFFIX.weight`, `….bias` | the same | state dicts of `nn.Linear` layers, such as `fc1.weight` or `layers.0.weight` |
//!
//! The layers stand in the order of their numbers, whatever the order in the file, and each takes what the one before gives. In front of
//! them there may be `input_mean.operand` (subtracted) and `input_scale.operand` (a divisor).
//!
//! **The activation is not in such a file.** The layout `W0`, `b0`, … is that of ReLU networks by convention; a state dict has no such convention, and a
//! caller has to say that it was assumed. The name [`NAME`] of the architecture and a note of [`crate::inspect`] tell; another one is declared.

use std::collections::BTreeMap;

use lipcert_proofs::statement::{Activation, Operation};

use super::{Architecture, ArchitectureError, Plan, PlannedLayer};
use crate::checkpoint::TensorInfo;

/// Name of the architecture.
pub const NAME: &str = "dense-relu";

/// The layers in front, by their tensor.
const FRONT: [(&str, Operation); 2] = [("input_mean", Operation::Subtract), ("input_scale", Operation::Divide)];

/// The other name under which a parameter may stand: `W3` for the weight of the layer `3`, `b3` for its bias.
pub(crate) fn alias(layer: &str, field: &str) -> Option<String> {
    let letter = match field {
        "weight" => 'W',
        "bias" => 'b',
        _ => return None,
    };
    number(layer).map(|number| format!("{letter}{number}"))
}

/// A number in its shortest form.
fn number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Weight and bias of a layer.
#[derive(Default)]
struct Pair<'t> {
    name: String,
    weight: Option<&'t TensorInfo>,
    bias: Option<&'t TensorInfo>,
}

/// What a tensor is: the weight or the bias of a layer.
struct Part {
    /// The name of the layer, and of what its names have in common with those of the others.
    layer: String,
    stem: (String, String),
    number: usize,
    weight: bool,
}

impl Part {
    fn of(name: &str) -> Option<Self> {
        for (letter, weight) in [('W', true), ('b', false)] {
            if let Some(number) = name.strip_prefix(letter).and_then(number) {
                return Some(Self {
                    layer: number.to_string(),
                    stem: ("W".to_owned(), String::new()),
                    number,
                    weight,
                });
            }
        }
        let (layer, field) = name.rsplit_once('.')?;
        let weight = match field {
            "weight" => true,
            "bias" => false,
            _ => return None,
        };
        // the last number in the name counts the layers
        let end = layer.rfind(|c: char| c.is_ascii_digit())? + 1;
        let start = layer[..end]
            .rfind(|c: char| !c.is_ascii_digit())
            .map_or(0, |last| last + last_width(layer, last));
        Some(Self {
            layer: layer.to_owned(),
            stem: (layer[..start].to_owned(), layer[end..].to_owned()),
            number: number(&layer[start..end])?,
            weight,
        })
    }
}

/// Bytes of the character at `place`.
fn last_width(text: &str, place: usize) -> usize {
    text[place..].chars().next().map_or(1, char::len_utf8)
}

/// Finds the layers; nothing if the tensors look like those of another code.
pub(super) fn detect(tensors: &[TensorInfo]) -> Option<Result<Architecture, ArchitectureError>> {
    let field = |info: &TensorInfo| info.name.rsplit('.').next().map(str::to_owned);
    let foreign = |info: &TensorInfo| matches!(field(info).as_deref(), Some("kernel" | "q" | "factor"));
    if tensors.iter().any(foreign) || !tensors.iter().any(|info| Part::of(&info.name).is_some()) {
        return None;
    }
    Some(read(tensors))
}

fn read(tensors: &[TensorInfo]) -> Result<Architecture, ArchitectureError> {
    let mut pairs: BTreeMap<usize, Pair<'_>> = BTreeMap::new();
    let mut front: [Option<&TensorInfo>; FRONT.len()] = [None; FRONT.len()];
    let mut stem = None;
    for info in tensors {
        if let Some(place) = FRONT.iter().position(|(name, _)| info.name == format!("{name}.operand")) {
            front[place] = Some(info);
            continue;
        }
        let refuse = || ArchitectureError::NotLinear {
            tensor: info.name.clone(),
            shape: info.shape.clone(),
        };
        let part = Part::of(&info.name).ok_or_else(refuse)?;
        let rank = if part.weight {
            info.shape.len() == 2
        } else {
            is_vector(&info.shape)
        };
        if !rank || info.shape.contains(&0) || *stem.get_or_insert_with(|| part.stem.clone()) != part.stem {
            return Err(refuse());
        }
        let pair = pairs.entry(part.number).or_default();
        pair.name = part.layer;
        let slot = if part.weight { &mut pair.weight } else { &mut pair.bias };
        *slot = Some(info);
    }
    // Numbers of a state dict may have gaps, where the activations stand; those of this layout may not.
    if stem.as_ref().is_some_and(|(letter, _)| letter == "W")
        && let Some(gap) = (0..pairs.len()).find(|number| !pairs.contains_key(number))
    {
        return Err(ArchitectureError::Missing {
            tensor: format!("W{gap}"),
        });
    }
    let mut layers = Vec::new();
    let mut width = None;
    for ((name, operation), info) in FRONT.iter().zip(front) {
        let Some(info) = info else { continue };
        let entries: usize = info.shape.iter().product();
        require_width(info, &[*width.get_or_insert(entries)])?;
        layers.push(PlannedLayer {
            name: (*name).to_owned(),
            plan: Plan::Elementwise {
                operation: *operation,
                entries,
            },
        });
    }
    let count = pairs.len();
    for (index, pair) in pairs.into_values().enumerate() {
        let Pair { name, weight, bias } = pair;
        let weight = weight.ok_or_else(|| ArchitectureError::Missing {
            tensor: match bias {
                Some(bias) if bias.name.starts_with('b') && !bias.name.contains('.') => format!("W{name}"),
                _ => format!("{name}.weight"),
            },
        })?;
        let (outputs, features) = (weight.shape[0], weight.shape[1]);
        require_width(weight, &[outputs, width.unwrap_or(features)])?;
        if let Some(bias) = bias
            && bias.shape.iter().product::<usize>() != outputs
        {
            return Err(shape(bias, &[outputs]));
        }
        width = Some(outputs);
        let plan = Plan::Affine {
            outputs,
            features,
            bias: bias.is_some(),
        };
        let relu = format!("{name}.relu");
        layers.push(PlannedLayer { name, plan });
        if index + 1 < count {
            layers.push(PlannedLayer {
                name: relu,
                plan: Plan::Activation(Activation::Relu),
            });
        }
    }
    Ok(Architecture {
        name: NAME.to_owned(),
        input: None,
        preprocess: None,
        layers,
    })
}

/// `(n,)` or `(1, n)`.
fn is_vector(shape: &[usize]) -> bool {
    matches!(shape, [_] | [1, _])
}

fn require_width(info: &TensorInfo, expected: &[usize]) -> Result<(), ArchitectureError> {
    if info.shape == expected {
        Ok(())
    } else {
        Err(shape(info, expected))
    }
}

fn shape(info: &TensorInfo, expected: &[usize]) -> ArchitectureError {
    ArchitectureError::Shape {
        tensor: info.name.clone(),
        expected: expected.to_vec(),
        found: info.shape.clone(),
    }
}
