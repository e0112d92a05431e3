//! Convex potential layers.

use lipcert_models::parameterization::cpl::{Conv, Dense};
use lipcert_proofs::statement::{Kernel, Matrix, Shape};
use proptest::prelude::*;

use crate::common::{accepted, jacobian_norm, numbers, plain, quotient};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dense_layers_are_1_lipschitz(
        (n, inner, a, bias, x, y) in (1usize..6, 1usize..6).prop_flat_map(|(n, inner)| (
            Just(n), Just(inner), numbers(n * inner), numbers(inner), numbers(n), numbers(n),
        ))
    ) {
        let weight = Matrix::new("weight", inner, n, a).unwrap();
        let (realization, bound) = accepted(&Dense { weight, bias }, Shape::Flat(n));
        prop_assert!(bound <= 1.0);
        let map = plain(&realization.layers, Shape::Flat(n));
        prop_assert!(jacobian_norm(&map, &x) <= bound + 1e-6);
        prop_assume!(x != y);
        prop_assert!(quotient(&map, &x, &y) <= bound + 1e-6);
    }

    #[test]
    fn convolutions_are_1_lipschitz((a, bias, x) in (numbers(3 * 2 * 9), numbers(3), numbers(2 * 3 * 4))) {
        let input = Shape::Image { channels: 2, height: 3, width: 4 };
        let kernel = Kernel::new("kernel", 3, 2, 3, a).unwrap();
        let (realization, bound) = accepted(&Conv { kernel, bias }, input);
        prop_assert!(jacobian_norm(&plain(&realization.layers, input), &x) <= bound + 1e-5);
    }
}
