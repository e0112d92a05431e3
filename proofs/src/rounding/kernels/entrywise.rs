//! Activations and constants, an entry at a time.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use crate::statement::{Activation, ChannelActivation, Operation};

/// Applies the activation to every entry; NaN stays NaN. A leaky relu rounds once, relu and abs not at all; the smooth ones are not done here.
pub fn activate(activation: Activation, values: &mut [f64]) {
    for value in values {
        // Not `max`, which drops NaN.
        let negative = *value < 0.0;
        *value = match activation {
            Activation::Relu if negative => 0.0,
            Activation::LeakyRelu { slope } if negative => slope * *value,
            Activation::Abs if negative => -*value,
            _ => *value,
        };
    }
}

/// Applies an activation with numbers of its own for each unit, at most one rounding an entry; NaN stays NaN.
///
/// `2 θ` is exact, or an infinity that shows.
///
/// # Panics
///
/// If the sample is not a whole number of entries for each unit.
pub fn activate_units(activation: &ChannelActivation, sample: &mut [f64]) {
    let units = match activation {
        ChannelActivation::Prelu { slope } => slope.len(),
        ChannelActivation::N { lower, .. } => lower.len(),
    };
    assert!(sample.len().is_multiple_of(units), "as many entries for each unit");
    let copies = sample.len() / units;
    for (unit, values) in sample.chunks_exact_mut(copies).enumerate() {
        match activation {
            ChannelActivation::Prelu { slope } => activate(Activation::LeakyRelu { slope: slope[unit] }, values),
            ChannelActivation::N { lower, upper } => {
                let (lower, upper) = (lower[unit], upper[unit]);
                for value in values {
                    *value = if *value < lower {
                        *value - 2.0 * lower
                    } else if *value < upper {
                        -*value
                    } else {
                        *value - 2.0 * upper
                    };
                }
            }
        }
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
