//! Activations and constants, an entry at a time.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use crate::statement::{Activation, Operation};

/// Applies the activation to every entry; NaN stays NaN. A relu rounds nothing, a leaky one once; the smooth ones are not done here.
pub fn activate(activation: Activation, values: &mut [f64]) {
    for value in values {
        // Not `max`, which drops NaN.
        let negative = *value < 0.0;
        *value = match activation {
            Activation::Relu if negative => 0.0,
            Activation::LeakyRelu { slope } if negative => slope * *value,
            _ => *value,
        };
    }
}

/// Combines every entry with its operand; the samples lie one after the other. One rounding an entry.
///
/// # Panics
///
/// If `values` is not a whole number of samples.
pub fn combine(operation: Operation, operand: &[f64], values: &mut [f64]) {
    assert!(values.len().is_multiple_of(operand.len()), "a whole number of samples");
    for sample in values.chunks_exact_mut(operand.len()) {
        for (value, operand) in sample.iter_mut().zip(operand) {
            *value = match operation {
                Operation::Add => *value + operand,
                Operation::Subtract => *value - operand,
                Operation::Multiply => *value * operand,
                Operation::Divide => *value / operand,
            };
        }
    }
}
