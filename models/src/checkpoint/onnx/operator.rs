//! The operators that are read, their attributes, and the arithmetic of shapes.

use std::ops::RangeInclusive;

use super::super::dtype::Dtype;
use super::super::error::shown;
use super::constant::Constant;
use super::error::NodeError;
use super::graph::operand_error;
use super::model::{AttributeValue, Node};
use super::stored;

/// How many inputs an operator has and which attributes.
pub(super) struct Known {
    pub(super) inputs: RangeInclusive<usize>,
    pub(super) attributes: &'static [&'static str],
}

/// The operators that are read.
pub(super) fn known(operator: &str) -> Option<Known> {
    let (inputs, attributes): (_, &[&str]) = match operator {
        "Constant" => (0..=0, &["value", "value_float", "value_int", "value_ints"]),
        "Identity" | "Relu" | "Tanh" | "Sigmoid" | "Softplus" => (1..=1, &[]),
        "Dropout" => (1..=3, &["ratio", "seed"]),
        "LeakyRelu" | "Elu" => (1..=1, &["alpha"]),
        "Flatten" => (1..=1, &["axis"]),
        "Shape" => (1..=1, &["start", "end"]),
        "Gather" => (2..=2, &["axis"]),
        "Concat" => (1..=16, &["axis"]),
        "Unsqueeze" => (1..=2, &["axes"]),
        "Reshape" => (2..=2, &["allowzero"]),
        "Add" | "Sub" | "Mul" | "Div" | "MatMul" => (2..=2, &[]),
        "Gemm" => (2..=3, &["alpha", "beta", "transA", "transB"]),
        _ => return None,
    };
    Some(Known { inputs, attributes })
}

/// A tensor and its name.
type Named<'n> = (&'n str, &'n Constant);

/// The attributes of a node, each of a kind that its operator knows.
pub(super) struct Attributes<'a> {
    node: &'a Node<'a>,
}

/// A value that is not read.
fn refused(attribute: &str, value: impl ToString) -> NodeError {
    NodeError::Attribute {
        attribute: shown(attribute.as_bytes()),
        value: value.to_string(),
    }
}

impl<'a> Attributes<'a> {
    /// Refuses attributes that the operator does not have, that stand twice, or that are of another kind.
    pub(super) fn new(node: &'a Node<'a>, known: &[&str]) -> Result<Self, NodeError> {
        for (index, attribute) in node.attributes.iter().enumerate() {
            let name = attribute.name;
            if !known.contains(&name) {
                return Err(refused(name, "unknown for this operator"));
            }
            if node.attributes[..index].iter().any(|other| other.name == name) {
                return Err(refused(name, "given twice"));
            }
            let fits = match name {
                "alpha" | "beta" | "ratio" | "value_float" => matches!(attribute.value, AttributeValue::Float(_)),
                "axes" | "value_ints" => matches!(attribute.value, AttributeValue::Integers(_)),
                "value" => matches!(attribute.value, AttributeValue::Tensor(_)),
                _ => matches!(attribute.value, AttributeValue::Integer(_)),
            };
            if !fits {
                return Err(refused(name, "of another kind"));
            }
        }
        Ok(Self { node })
    }

    fn value(&self, name: &str) -> Option<&'a AttributeValue<'a>> {
        let attribute = self.node.attributes.iter().find(|attribute| attribute.name == name);
        attribute.map(|attribute| &attribute.value)
    }

    fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(AttributeValue::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        match self.value(name) {
            Some(AttributeValue::Float(value)) => *value,
            _ => default,
        }
    }

    /// Refuses a factor other than 1.
    pub(super) fn require_one(&self, name: &str) -> Result<(), NodeError> {
        let value = self.float(name, 1.0);
        if value.to_bits() == 1f32.to_bits() {
            Ok(())
        } else {
            Err(refused(name, value))
        }
    }

    /// An attribute that is 0 or 1.
    pub(super) fn flag(&self, name: &str) -> Result<bool, NodeError> {
        match self.integer(name).unwrap_or(0) {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(refused(name, other)),
        }
    }

    /// An axis from 0 to `rank − 1`; a negative one counts from the end.
    pub(super) fn axis(&self, name: &str, default: i64, rank: usize) -> Result<usize, NodeError> {
        let value = self.integer(name).unwrap_or(default);
        // `Flatten` may cut behind the last axis, so that its negative axes count from there less one
        let behind = if self.node.operator == "Flatten" { 1 } else { 0 };
        wrapped(value, rank, behind).ok_or_else(|| refused(name, value))
    }

    /// The tensor of a `Constant`.
    pub(super) fn constant(&self) -> Result<Constant, NodeError> {
        let [attribute] = self.node.attributes.as_slice() else {
            return Err(refused("value", "missing, or one of several"));
        };
        match &attribute.value {
            AttributeValue::Tensor(tensor) => stored::constant(tensor, None).map_err(|cause| NodeError::Unreadable {
                reason: cause.to_string(),
            }),
            AttributeValue::Float(value) => Constant::floats(Dtype::Float32, vec![], vec![f64::from(*value)], false),
            AttributeValue::Integer(value) => Constant::of_integers(vec![], vec![*value]),
            AttributeValue::Integers(values) => Constant::of_integers(vec![values.len()], values.clone()),
            AttributeValue::Other => Err(refused(attribute.name, "of another kind")),
        }
    }

    /// The sizes from `start` to `end`.
    pub(super) fn shape(&self, sizes: &[usize]) -> Result<Constant, NodeError> {
        let rank = i64::try_from(sizes.len()).unwrap_or(i64::MAX);
        let clamp = |value: i64| {
            let value = if value < 0 { value.saturating_add(rank) } else { value };
            usize::try_from(value.clamp(0, rank)).unwrap_or(0)
        };
        let (start, end) = (
            clamp(self.integer("start").unwrap_or(0)),
            clamp(self.integer("end").unwrap_or(rank)),
        );
        let part = sizes.get(start..end).unwrap_or(&[]);
        let values: Vec<i64> = part.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
        Constant::of_integers(vec![values.len()], values)
    }

    /// Entries of a list.
    pub(super) fn gather(&self, list: Named<'_>, index: Named<'_>) -> Result<Constant, NodeError> {
        self.require_first_axis()?;
        let (values, indices) = (one_axis(list)?, integers(index)?);
        let pick = |index: &i64| {
            let place = wrapped(*index, values.len(), 0);
            place
                .map(|place| values[place])
                .ok_or_else(|| operand_error("indices", "inside the list"))
        };
        Constant::of_integers(index.1.shape().to_vec(), indices.iter().map(pick).collect::<Result<_, _>>()?)
    }

    /// Lists one behind the other.
    pub(super) fn concat(&self, lists: &[Named<'_>]) -> Result<Constant, NodeError> {
        self.require_first_axis()?;
        let mut all = Vec::new();
        for list in lists {
            all.extend_from_slice(one_axis(*list)?);
        }
        Constant::of_integers(vec![all.len()], all)
    }

    fn require_first_axis(&self) -> Result<(), NodeError> {
        self.axis("axis", 0, 1).map(|_| ())
    }

    /// A constant with sizes of 1 put in.
    pub(super) fn unsqueeze(&self, list: &Constant, axes: Option<Named<'_>>) -> Result<Constant, NodeError> {
        list.reshaped(self.unsqueezed(list.shape(), axes)?)
    }

    /// Sizes with sizes of 1 put in; the axes are an attribute or an input.
    pub(super) fn unsqueezed(&self, sizes: &[usize], axes: Option<Named<'_>>) -> Result<Vec<usize>, NodeError> {
        let axes = match (self.value("axes"), axes) {
            (Some(AttributeValue::Integers(axes)), None) => axes.as_slice(),
            (None, Some(axes)) => integers(axes)?,
            _ => return Err(refused("axes", "missing, or given twice")),
        };
        let rank = sizes.len() + axes.len();
        let mut new = vec![false; rank];
        for axis in axes {
            let place = wrapped(*axis, rank, 0).filter(|place| !new[*place]);
            new[place.ok_or_else(|| refused("axes", axis))?] = true;
        }
        let mut old = sizes.iter();
        Ok(new
            .iter()
            .map(|new| if *new { 1 } else { *old.next().unwrap_or(&1) })
            .collect())
    }

    /// The sizes that `target` asks for: 0 keeps the size at its place, one −1 takes what is left.
    pub(super) fn reshape(&self, sizes: &[usize], target: Named<'_>) -> Result<Vec<usize>, NodeError> {
        let asked = integers(target)?;
        let refuse = || NodeError::Reshape {
            found: sizes.to_vec(),
            asked: asked.to_vec(),
        };
        let zero_is_a_size = self.flag("allowzero")?;
        let (mut new, mut open) = (Vec::with_capacity(asked.len()), None);
        for (axis, size) in asked.iter().enumerate() {
            new.push(match size {
                -1 if open.is_none() => {
                    open = Some(axis);
                    1
                }
                0 if !zero_is_a_size => *sizes.get(axis).ok_or_else(refuse)?,
                size => usize::try_from(*size).map_err(|_| refuse())?,
            });
        }
        let count = |sizes: &[usize]| sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let (found, fixed) = (count(sizes).ok_or_else(refuse)?, count(&new).ok_or_else(refuse)?);
        if let Some(axis) = open {
            if fixed == 0 || !found.is_multiple_of(fixed) {
                return Err(refuse());
            }
            new[axis] = found / fixed;
        } else if found != fixed {
            return Err(refuse());
        }
        Ok(new)
    }
}

/// A place from 0 to `count − 1`; negative ones count from the end.
fn wrapped(value: i64, count: usize, behind: i64) -> Option<usize> {
    let count = i64::try_from(count).ok()?;
    let place = if value < 0 {
        value.checked_add(count - behind)?
    } else {
        value
    };
    (0..count).contains(&place).then(|| usize::try_from(place).ok()).flatten()
}

/// The elements of a short tensor of integers.
fn integers<'n>((name, constant): Named<'n>) -> Result<&'n [i64], NodeError> {
    let values = constant.integers.as_deref();
    values.ok_or_else(|| operand_error(name, "a constant of at most 64 integers"))
}

/// The elements of a list of integers.
fn one_axis<'n>(list: Named<'n>) -> Result<&'n [i64], NodeError> {
    if list.1.shape().len() != 1 {
        return Err(operand_error(list.0, "a list"));
    }
    integers(list)
}
