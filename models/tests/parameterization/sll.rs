//! SLL layers.

use lipcert_models::parameterization::sll::{Conv, Dense};
use lipcert_proofs::statement::{Kernel, Matrix, Shape};
use proptest::prelude::*;

use crate::common::{accepted, jacobian_norm, numbers, plain, quotient};

proptest! {
    #[test]
    fn dense_layers_are_1_lipschitz(
        (n, inner, a, bias, q, x, y) in (1usize..6, 1usize..6).prop_flat_map(|(n, inner)| (
            Just(n), Just(inner), numbers(n * inner), numbers(inner), prop::collection::vec(-3.0..3.0f64, inner), numbers(n), numbers(n),
        ))
    ) {
        let weight = Matrix::new("weight", inner, n, a).unwrap();
        let (realization, bound) = accepted(&Dense { weight, bias, q }, Shape::Flat(n));
        prop_assert!(bound <= 1.0);
        let map = plain(&realization.layers, Shape::Flat(n));
        prop_assert!(jacobian_norm(&map, &x) <= bound + 1e-6);
        prop_assume!(x != y);
        prop_assert!(quotient(&map, &x, &y) <= bound + 1e-9);
    }

    #[test]
    fn convolutions_are_1_lipschitz(
        (a, bias, q, x, weighted) in (numbers(2 * 2 * 9), numbers(2), prop::collection::vec(-3.0..3.0f64, 2), numbers(2 * 3 * 4), any::<bool>())
    ) {
        let input = Shape::Image { channels: 2, height: 3, width: 4 };
        let kernel = Kernel::new("kernel", 2, 2, 3, a).unwrap();
        let (realization, bound) = accepted(&Conv { kernel, bias, q, weighted }, input);
        prop_assert!(jacobian_norm(&plain(&realization.layers, input), &x) <= bound + 1e-6);
    }
}
