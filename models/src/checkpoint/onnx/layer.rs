//! The nodes that the sample passes through.

use lipcert_proofs::statement::{Activation, Operation};

use super::super::dtype::Dtype;
use super::constant::{Constant, Desk, broadcast, exact_products, expand};
use super::draft::Draft;
use super::error::NodeError;
use super::graph::{Operand, Walk, operand_error, operation};
use super::operator::Attributes;

/// The slope of `LeakyRelu` where the node gives none.
const SLOPE: f32 = 0.01;

impl<'a> Walk<'_, 'a, '_> {
    /// A node that the sample passes through.
    pub(super) fn layer(
        &mut self,
        operator: &str,
        name: &str,
        attributes: &Attributes<'_>,
        operands: &[Operand<'a>],
    ) -> Result<(), NodeError> {
        match (operator, operands) {
            ("Identity", _) => Ok(()),
            ("Dropout", [Operand::Live, rest @ ..]) => match rest {
                [] | [_] => Ok(()),
                [_, Operand::Constant(_, training)] if training.integers.as_deref() == Some(&[0]) => Ok(()),
                _ => Err(operand_error("training_mode", "false")),
            },
            ("Relu", _) => {
                self.push(name, Draft::Activation(Activation::Relu));
                Ok(())
            }
            ("LeakyRelu", _) => {
                let slope = f64::from(attributes.float("alpha", SLOPE));
                self.push(name, Draft::Activation(Activation::LeakyRelu { slope }));
                Ok(())
            }
            ("Tanh" | "Sigmoid" | "Softplus" | "Elu", _) => {
                attributes.require_one("alpha")?;
                self.push(
                    name,
                    Draft::Activation(match operator {
                        "Tanh" => Activation::Tanh,
                        "Sigmoid" => Activation::Sigmoid,
                        "Softplus" => Activation::Softplus { beta: 1.0 },
                        _ => Activation::Elu,
                    }),
                );
                Ok(())
            }
            ("Flatten", _) => {
                let axis = attributes.axis("axis", 1, self.live.sizes.len() + 1)?;
                let (front, back) = self.live.sizes.split_at(axis);
                self.live.sizes = vec![front.iter().product(), back.iter().product()];
                Ok(())
            }
            ("Reshape", [Operand::Live, Operand::Constant(target, constant)]) => {
                self.live.sizes = attributes.reshape(&self.live.sizes, (target, constant))?;
                Ok(())
            }
            ("Unsqueeze", [Operand::Live, rest @ ..]) => {
                let axes = match rest {
                    [Operand::Constant(axes, constant)] => Some((*axes, constant)),
                    _ => None,
                };
                self.live.sizes = attributes.unsqueezed(&self.live.sizes, axes)?;
                Ok(())
            }
            ("MatMul", [Operand::Live, Operand::Constant(weight, constant)]) => self.rows(name, (weight, constant.clone()), true),
            ("MatMul", [Operand::Constant(weight, constant), Operand::Live]) => self.columns(name, (weight, constant.clone())),
            ("Gemm", [first, second, rest @ ..]) => self.gemm(name, attributes, first, second, rest),
            (operator, [Operand::Live, Operand::Constant(operand, constant)]) => match operation(operator) {
                Some(operation) => self.elementwise(name, operation, (operand, constant)),
                None => Err(operand_error(operand, "left out")),
            },
            (_, [Operand::Constant(operand, constant), Operand::Live]) => match operation(operator) {
                Some(operation @ (Operation::Add | Operation::Multiply)) => {
                    self.elementwise(name, operation, (operand, constant))
                }
                _ => Err(operand_error(operand, "the second operand, the first depends on the input")),
            },
            _ => Err(NodeError::Operator),
        }
    }

    fn push(&mut self, name: &str, draft: Draft) {
        self.layers.push((name.to_owned(), draft));
    }

    /// `x · B` with `x` a row: sizes `(1, …, 1, n)`, or `(n,)` for `MatMul`; the weight is `Bᵀ`.
    fn rows(&mut self, name: &str, (operand, right): (&str, Constant), vector: bool) -> Result<(), NodeError> {
        let mismatch = NodeError::Shapes {
            left: self.live.sizes.clone(),
            right: right.shape().to_vec(),
        };
        let (Some((n, lead)), &[k, m]) = (self.live.sizes.split_last(), right.shape()) else {
            return Err(mismatch);
        };
        if *n != k || lead.iter().any(|size| *size != 1) || (lead.is_empty() && !vector) {
            return Err(mismatch);
        }
        *self.live.sizes.last_mut().expect("it has a last size") = m;
        self.dense(name, operand, right.transposed())
    }

    /// `A · x` with `x` a column: sizes `(n,)` or `(1, …, 1, n, 1)`; the weight is `A`.
    fn columns(&mut self, name: &str, (operand, left): (&str, Constant)) -> Result<(), NodeError> {
        let mismatch = NodeError::Shapes {
            left: left.shape().to_vec(),
            right: self.live.sizes.clone(),
        };
        let &[m, k] = left.shape() else {
            return Err(mismatch);
        };
        let place = match self.live.sizes.as_slice() {
            [_] => 0,
            [lead @ .., _, 1] if lead.iter().all(|size| *size == 1) => lead.len(),
            _ => return Err(mismatch),
        };
        if self.live.sizes[place] != k {
            return Err(mismatch);
        }
        self.live.sizes[place] = m;
        self.dense(name, operand, left)
    }

    /// Adds a dense layer, named after its weight if that is called `NAME.weight`.
    fn dense(&mut self, node: &str, operand: &str, weight: Constant) -> Result<(), NodeError> {
        self.desk.take(weight.shape().iter().product())?;
        if std::mem::take(&mut self.live.image) {
            self.push("flatten", Draft::Flatten);
        }
        let name = operand
            .strip_suffix(".weight")
            .filter(|name| !name.is_empty())
            .unwrap_or(node);
        self.push(name, Draft::Dense { weight, bias: None });
        Ok(())
    }

    /// `alpha A' B' + beta C`, either factor transposed or not.
    fn gemm(
        &mut self,
        name: &str,
        attributes: &Attributes<'_>,
        first: &Operand<'a>,
        second: &Operand<'a>,
        rest: &[Operand<'a>],
    ) -> Result<(), NodeError> {
        attributes.require_one("alpha")?;
        if !rest.is_empty() {
            attributes.require_one("beta")?;
        }
        let (left, right) = (attributes.flag("transA")?, attributes.flag("transB")?);
        if self.live.sizes.len() != 2 {
            return Err(NodeError::Shapes {
                left: self.live.sizes.clone(),
                right: vec![1, 0],
            });
        }
        let turn = |constant: &Constant, turned: bool| {
            let constant = constant.clone();
            if turned { constant.transposed() } else { constant }
        };
        match (first, second) {
            (Operand::Live, Operand::Constant(operand, constant)) => {
                if left {
                    self.live.sizes.swap(0, 1);
                }
                self.rows(name, (operand, turn(constant, right)), false)?;
            }
            (Operand::Constant(operand, constant), Operand::Live) => {
                if right {
                    self.live.sizes.swap(0, 1);
                }
                self.columns(name, (operand, turn(constant, left)))?;
            }
            _ => return Err(operand_error("C", "a constant")),
        }
        match rest {
            [Operand::Constant(operand, constant)] => self.elementwise(name, Operation::Add, (operand, constant)),
            [] => Ok(()),
            _ => Err(operand_error("C", "a constant")),
        }
    }

    /// `x ∘ operand`: a bias, a scaling that is multiplied in, nothing, or a layer of its own.
    fn elementwise(&mut self, name: &str, operation: Operation, (operand, constant): (&str, &Constant)) -> Result<(), NodeError> {
        let mismatch = || NodeError::Shapes {
            left: self.live.sizes.clone(),
            right: constant.shape().to_vec(),
        };
        let target = broadcast(&self.live.sizes, constant.shape()).ok_or_else(mismatch)?;
        let count = self.live.sizes.iter().product::<usize>();
        if target.iter().try_fold(1usize, |all, size| all.checked_mul(*size)) != Some(count) {
            return Err(mismatch());
        }
        self.desk.take(count)?;
        let values = self.desk.read(operand, constant)?;
        let nothing = values.iter().all(|value| match operation {
            Operation::Add | Operation::Subtract => *value == 0.0,
            Operation::Multiply | Operation::Divide => value.to_bits() == 1f64.to_bits(),
        });
        let whole = constant.shape().iter().product::<usize>() == count;
        let spread = if whole {
            // the order does not change, so the numbers can stay in the file
            constant.reshaped(vec![count])?
        } else {
            let values = expand(&values, constant.shape(), &target);
            Constant::floats(constant.dtype, vec![count], values, constant.computed)?
        };
        self.live.sizes = target;
        match (operation, self.layers.last_mut()) {
            (Operation::Add, Some((_, Draft::Dense { bias: bias @ None, .. }))) => *bias = Some(spread),
            // What rounding made of a constant is an assumption, so the constant has to stay where it is named.
            _ if nothing && !spread.computed => {}
            (Operation::Multiply, Some((_, Draft::Dense { weight, bias }))) => {
                let scaled = scaled(self.desk, weight, bias.as_ref(), &spread)?;
                match scaled {
                    Some((scaled_weight, scaled_bias)) => (*weight, *bias) = (scaled_weight, scaled_bias),
                    None => self.push(name, Draft::Elementwise(operation, spread)),
                }
            }
            _ => self.push(name, Draft::Elementwise(operation, spread)),
        }
        Ok(())
    }
}

/// The weight and bias of a dense layer whose outputs are multiplied, if every product is exact.
fn scaled(
    desk: &mut Desk<'_>,
    weight: &Constant,
    bias: Option<&Constant>,
    factors: &Constant,
) -> Result<Option<(Constant, Option<Constant>)>, NodeError> {
    let &[rows, cols] = weight.shape() else {
        return Ok(None);
    };
    let rounded = factors.computed;
    let factors = desk.read("factor", factors)?;
    let values = desk.read("weight", weight)?;
    let row_factors = (0..rows * cols).map(|flat| factors[flat / cols]);
    let Some(products) = exact_products(&values, row_factors) else {
        return Ok(None);
    };
    desk.take(rows * cols)?;
    let computed = weight.computed || rounded;
    let scaled = Constant::floats(Dtype::Float64, vec![rows, cols], products, computed)?;
    let Some(bias) = bias else {
        return Ok(Some((scaled, None)));
    };
    let values = desk.read("bias", bias)?;
    let Some(products) = exact_products(&values, factors.into_iter()) else {
        return Ok(None);
    };
    desk.take(rows)?;
    let bias = Constant::floats(Dtype::Float64, vec![rows], products, bias.computed || rounded)?;
    Ok(Some((scaled, Some(bias))))
}
