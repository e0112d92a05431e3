//! Distances between a sample and an input, against exact rationals.

use lipcert_proofs::CheckError;
use lipcert_proofs::rounding::distance::distance_up;
use lipcert_proofs::rounding::forward::Samples;
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;

fn exact(value: f64) -> BigRational {
    BigRational::from_float(value).expect("finite")
}

fn integer(value: u32) -> BigRational {
    BigRational::from(BigInt::from(value))
}

proptest! {
    /// The exact square of the distance is at most that of the bound, which is tight up to `8 n ε`.
    #[test]
    fn distances_are_upper(pairs in prop::collection::vec((any::<u8>(), -2.0..2.0f64), 1..40), divisor in 1u32..300, near in any::<bool>()) {
        let bytes: Vec<u8> = pairs.iter().map(|(byte, _)| *byte).collect();
        // near: the float next to the sample, where all that is left is rounding
        let input: Vec<f64> = pairs
            .iter()
            .map(|(byte, value)| if near { f64::from(*byte) / f64::from(divisor) } else { *value })
            .collect();
        let squares = bytes.iter().zip(&input).fold(integer(0), |sum, (byte, value)| {
            let difference = integer(u32::from(*byte)) / integer(divisor) - exact(*value);
            sum + &difference * &difference
        });
        let bound = distance_up(Samples::Bytes { values: &bytes, divisor }, &input).expect("a distance");
        prop_assert!(exact(bound) * exact(bound) >= squares);
        if !near {
            let least = 1.0 - 8.0 * pairs.len() as f64 * f64::EPSILON;
            let slack = 8.0 * f64::EPSILON * f64::from(bytes.iter().fold(2, |most, byte| most.max(*byte)));
            prop_assert!(exact((bound - slack).max(0.0) * least) * exact((bound - slack).max(0.0) * least) <= squares);
        }
        let floats: Vec<f64> = bytes.iter().map(|byte| f64::from(*byte)).collect();
        let squares = floats.iter().zip(&input).fold(integer(0), |sum, (float, value)| {
            let difference = exact(*float) - exact(*value);
            sum + &difference * &difference
        });
        let bound = distance_up(Samples::Floats(&floats), &input).expect("a distance");
        prop_assert!(exact(bound) * exact(bound) >= squares);
    }
}

#[test]
fn what_is_no_distance_is_refused() {
    let sample = Samples::Floats(&[0.0, 1.0]);
    assert!(matches!(distance_up(sample, &[0.0]), Err(CheckError::Shape { .. })));
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let refused = distance_up(sample, &[0.0, odd]);
        assert!(
            matches!(&refused, Err(CheckError::NotFinite { what: "input", index }) if *index == [1]),
            "{refused:?}"
        );
    }
    assert!(matches!(
        distance_up(sample, &[1e200, 1e200]),
        Err(CheckError::NotFinite { what: "distance", .. })
    ));
}
