//! Layers that only files of elsewhere have: residual blocks with a path of their own, and constants at every entry.

use lipcert_proofs::statement::{Activation, Operation, Shape};
use tch::Tensor;

use super::Layer;
use super::activation::Scalar;
use crate::parameters::{Parameters, sizes};

/// `A x + B σ(C x + b) + c`.
#[derive(Debug)]
pub(crate) struct Block {
    path: Option<Tensor>,
    weight: Tensor,
    bias: Tensor,
    activation: Scalar,
    output: Tensor,
    output_bias: Option<Tensor>,
}

impl Block {
    pub(crate) fn new(parameters: &Parameters, name: &str, activation: Activation) -> Self {
        Self {
            path: parameters.find(name, "path"),
            weight: parameters.get(name, "weight"),
            bias: parameters.get(name, "bias"),
            activation: Scalar(activation),
            output: parameters.get(name, "output"),
            output_bias: parameters.find(name, "output_bias"),
        }
    }
}

impl Layer for Block {
    fn forward(&self, input: &Tensor) -> Tensor {
        let inner = self.activation.forward(&input.linear(&self.weight, Some(&self.bias)));
        let straight = match &self.path {
            Some(path) => input.linear(path, None::<&Tensor>),
            None => input.shallow_clone(),
        };
        straight + inner.linear(&self.output, self.output_bias.as_ref())
    }
}

/// Arithmetic with a constant at every entry.
#[derive(Debug)]
pub(crate) struct Constant {
    operation: Operation,
    /// In the shape of a sample.
    operand: Tensor,
}

impl Constant {
    pub(crate) fn new(parameters: &Parameters, name: &str, operation: Operation, input: Shape) -> Self {
        let shape = sizes(&input.sizes());
        Self {
            operation,
            operand: parameters.get(name, "operand").view(shape.as_slice()),
        }
    }
}

impl Layer for Constant {
    fn forward(&self, input: &Tensor) -> Tensor {
        match self.operation {
            Operation::Add => input + &self.operand,
            Operation::Subtract => input - &self.operand,
            Operation::Multiply => input * &self.operand,
            Operation::Divide => input / &self.operand,
        }
    }
}
