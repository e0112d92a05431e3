//! Rule `tolerance`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::tolerance::bound_up;

use crate::common::{input_of, matrix, own_dominance, stored};

#[test]
fn bound_table() {
    for (lambda, bound) in [(1.0, 1.0), (1.5, 2.0), (0.25, 1.0), (0.0, 1.0)] {
        assert!((bound_up(lambda) - bound).abs() <= 0.0, "{lambda}");
    }
    assert!(bound_up(1.1) >= 1.2);
    assert!(bound_up(f64::NAN).is_infinite());
    assert!(bound_up(f64::INFINITY).is_infinite());
}

#[test]
fn a_negative_excess_does_not_lower_the_bound() {
    let layer = stored(matrix(1, 1, vec![1.0]), &[4.0]);
    let prepared = Prepared::new(&layer, input_of(&layer)).expect("a layer");
    let claim = |lipschitz| LayerClaim {
        lipschitz,
        witness: Witness::Tolerance {
            inside: own_dominance(0.26),
        },
    };
    assert!(LayerCertificate::check(&prepared, claim(1.0)).is_ok());
    assert!(matches!(
        LayerCertificate::check(&prepared, claim(0.9)),
        Err(CheckError::BoundTooSmall { .. })
    ));
}

/// `W = 1, T = 1 / (1 + e)`: with the identity for the relu the slope at the far side is `1 − 2(1 + e) = −(1 + 2e)`, so the factor is attained.
#[test]
fn tight_example() {
    let e = 0.1;
    let layer = stored(matrix(1, 1, vec![1.0]), &[1.0 / (1.0 + e)]);
    let prepared = Prepared::new(&layer, input_of(&layer)).expect("a layer");
    let slope = (1.0_f64 - 2.0 * (1.0 + e)).abs();
    for (lambda, lipschitz, accepted) in [
        (1.0 + e + 1e-9, slope + 1e-8, true),
        (1.0 + e + 1e-9, slope - 1e-8, false),
        (1.0 + e - 1e-9, 2.0, false),
        (1.0, 1.0, false),
    ] {
        let claim = LayerClaim {
            lipschitz,
            witness: Witness::Tolerance {
                inside: own_dominance(lambda),
            },
        };
        assert_eq!(
            LayerCertificate::check(&prepared, claim).is_ok(),
            accepted,
            "{lambda} {lipschitz}"
        );
    }
}

/// A float32 `T` misses by its rounding; the report says by how much instead of refusing.
#[test]
fn a_rounded_t_costs_its_rounding() {
    let weight = matrix(2, 2, vec![0.3, 0.7, -0.2, 0.9]);
    let layer = lipcert_proofs::statement::Layer::ResidualDense {
        weight,
        bias: vec![0.0; 2],
        scale: lipcert_proofs::statement::Scale::Weighted { q: vec![0.3, -0.1] },
    };
    let prepared = Prepared::new(&layer, input_of(&layer)).expect("a layer");
    let exact = prepared.factor().expect("a factor").approx().to_vec();
    let own = prepared.excess_up(&exact).expect("an excess");
    assert!(own.abs() < 1e-13, "{own}");
    let rounded: Vec<f64> = exact.iter().map(|f| f64::from((*f as f32).next_up())).collect();
    let excess = prepared.excess_up(&rounded).expect("an excess");
    assert!(excess > 0.0 && excess < 3e-7, "{excess}");
    let halved: Vec<f64> = exact.iter().map(|f| f / 2.0).collect();
    assert!(prepared.excess_up(&halved).expect("an excess") < -0.4);
    assert!(matches!(
        prepared.excess_up(&[-1.0, 1.0]),
        Err(CheckError::NotPositive { .. })
    ));
    assert!(matches!(
        prepared.excess_up(&[f64::NAN, 1.0]),
        Err(CheckError::NotPositive { .. })
    ));
    assert!(matches!(prepared.excess_up(&[1.0]), Err(CheckError::Shape { .. })));
}
