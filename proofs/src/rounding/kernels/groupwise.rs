//! Activations on groups of units. A unit is a run of `copies` entries: the pixels of a channel, or one entry of a vector. Nothing rounds.
#![expect(clippy::float_arithmetic, reason = "the room that may round: a change of sign")]

use crate::rounding::directed::{max, min};
use crate::statement::{Groupwise, Pairing};

/// Writes the image of `input`, `units` runs one after the other. A NaN stays, in a pair in both places.
///
/// # Panics
///
/// If `input` is not a whole number of entries for each unit, the units are no whole groups, or `output` has another length.
pub fn apply(map: Groupwise, units: usize, input: &[f64], output: &mut [f64]) {
    let copies = input.len() / units;
    assert_eq!(input.len(), units * copies, "as many entries for each unit");
    match map {
        Groupwise::MaxMin(pairing) => {
            for pair in 0..units / 2 {
                let (first, second) = match pairing {
                    Pairing::Split => (pair * copies, (pair + units / 2) * copies),
                    Pairing::Adjacent => (2 * pair * copies, (2 * pair + 1) * copies),
                };
                for copy in 0..copies {
                    let (a, b) = (input[first + copy], input[second + copy]);
                    (output[first + copy], output[second + copy]) = (max(a, b), min(a, b));
                }
            }
        }
        Groupwise::GroupSort { size } => sort(size, copies, input, output),
        Groupwise::FullSort => sort(units, copies, input, output),
        Groupwise::Crelu => {
            let (positive, negative) = output.split_at_mut(input.len());
            for ((positive, negative), value) in positive.iter_mut().zip(negative).zip(input) {
                (*positive, *negative) = (max(*value, 0.0), max(-*value, 0.0));
            }
        }
    }
}

/// Sorts each run of `size` units, entry by entry.
fn sort(size: usize, copies: usize, input: &[f64], output: &mut [f64]) {
    let mut group = vec![0.0; size];
    for (input, output) in input.chunks_exact(size * copies).zip(output.chunks_exact_mut(size * copies)) {
        for copy in 0..copies {
            for (value, unit) in group.iter_mut().zip(input.chunks_exact(copies)) {
                *value = unit[copy];
            }
            group.sort_unstable_by(f64::total_cmp);
            for (value, unit) in group.iter().zip(output.chunks_exact_mut(copies)) {
                unit[copy] = *value;
            }
        }
    }
}
