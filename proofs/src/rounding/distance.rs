//! How far an input lies from a sample, at most.
//!
//! Mutation note: the distance of the nearest end of the enclosure in the place of the farthest one, `norm_up` replaced by a plain sum, and the divisor
//! left out: `distance::distances_are_upper` went red each time.

use super::directed::norm_up;
use super::forward::Samples;
use super::interval::Interval;
use crate::error::CheckError;

/// Upper bound of `‖input − sample‖₂` for one sample.
///
/// # Errors
///
/// - [`CheckError::Shape`] if the two have different lengths.
/// - [`CheckError::NotFinite`] if an entry or the distance is NaN or infinite.
pub fn distance_up(sample: Samples<'_>, input: &[f64]) -> Result<f64, CheckError> {
    if sample.len() != input.len() {
        return Err(CheckError::Shape {
            what: "input",
            expected: vec![sample.len()],
            found: vec![input.len()],
        });
    }
    let exact = |index: usize| match sample {
        Samples::Bytes { values, divisor } => Interval::point(f64::from(values[index])).div(Interval::point(f64::from(divisor))),
        Samples::Floats(values) => Interval::point(values[index]),
    };
    let mut differences = Vec::with_capacity(input.len());
    for (index, value) in input.iter().enumerate() {
        let difference = exact(index).distance_up(*value);
        if !difference.is_finite() {
            return Err(CheckError::NotFinite {
                what: "input",
                index: vec![index],
            });
        }
        differences.push(difference);
    }
    let distance = norm_up(&differences);
    if distance.is_finite() {
        Ok(distance)
    } else {
        Err(CheckError::NotFinite {
            what: "distance",
            index: Vec::new(),
        })
    }
}
