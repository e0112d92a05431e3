//! Sandwich layers.

use lipcert_models::parameterization::sandwich::Dense;
use lipcert_proofs::statement::{Activation, Matrix, Sandwich, Shape};
use proptest::prelude::*;

use crate::common::{accepted, jacobian_norm, numbers, plain, quotient};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layers_are_1_lipschitz(
        (q, p, weight, psi, bias, x, y) in (1usize..5, 1usize..5).prop_flat_map(|(q, p)| (
            Just(q), Just(p), numbers(q * (q + p)), prop::collection::vec(-2.0..2.0f64, q), numbers(q), numbers(p), numbers(p),
        )),
        alpha in prop::option::of(0.2..3.0f64),
        slope in 0.0..1.0f64,
    ) {
        prop_assume!(weight.iter().any(|value| value.abs() > 1e-6));
        let layer = Sandwich {
            weight: Matrix::new("weight", q, q + p, weight).unwrap(),
            alpha,
            psi,
            bias,
            activation: Activation::LeakyRelu { slope },
        };
        let (realization, bound) = accepted(&Dense { layer }, Shape::Flat(p));
        prop_assert!(bound <= 1.0);
        let map = plain(&realization.layers, Shape::Flat(p));
        prop_assert!(jacobian_norm(&map, &x) <= bound + 1e-5);
        prop_assume!(x != y);
        prop_assert!(quotient(&map, &x, &y) <= bound + 1e-6);
    }
}
