//! The per-sample table of `lipcert certify --samples`.

use std::fmt::Write;

/// What was found for one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Zero-based position in the split.
    pub index: usize,
    /// True class, zero-based.
    pub label: usize,
    /// Class of the largest logit, zero-based.
    pub predicted: usize,
    /// Largest logit minus runner-up, rounded down.
    pub margin: f64,
    /// Certified radius of the predicted class, ℓ2, in units of the raw input, rounded down; 0 if nothing is certified.
    pub radius: f64,
}

/// The samples as comma-separated values with a heading; floats read back bit for bit.
#[must_use]
pub fn samples_csv(samples: &[Sample]) -> String {
    let mut text = String::from("index,label,predicted,margin,radius\n");
    for sample in samples {
        let Sample {
            index,
            label,
            predicted,
            margin,
            radius,
        } = sample;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{index},{label},{predicted},{margin:?},{radius:?}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_back() {
        let sample = Sample {
            index: 3,
            label: 1,
            predicted: 2,
            margin: 0.1 + 0.2,
            radius: 5e-324,
        };
        assert_eq!(
            samples_csv(&[sample]),
            "index,label,predicted,margin,radius\n3,1,2,0.30000000000000004,5e-324\n"
        );
    }
}
