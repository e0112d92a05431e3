//! Equilibrium networks.

use lipcert_models::parameterization::lben::Network;
use lipcert_proofs::CheckError;
use lipcert_proofs::rules::equilibrium::{EquilibriumClaim, check};
use lipcert_proofs::statement::Matrix;
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;

use crate::common::{numbers, to_nalgebra};

fn networks() -> impl Strategy<Value = Network> {
    (1usize..5, 1usize..4, 1usize..4).prop_flat_map(|(n, d, m)| {
        let matrix = |rows: usize, cols: usize| {
            numbers(rows * cols).prop_map(move |entries| Matrix::new("free", rows, cols, entries).unwrap())
        };
        let parts = (matrix(n, n), matrix(n, n), matrix(n, d), matrix(m, n));
        (prop::collection::vec(-1.0..1.0f64, n), parts, 0.01..1.0f64, 0.2..5.0f64).prop_map(
            |(logarithms, (root, skew, input, output), epsilon, gamma)| Network {
                logarithms,
                root,
                skew,
                input,
                output,
                epsilon,
                gamma,
            },
        )
    })
}

proptest! {
    /// Every Jacobian `G (I − D W)⁻¹ D U` at a mask `D` obeys the accepted bound.
    #[test]
    fn networks_are_gamma_lipschitz(network in networks()) {
        let (system, claim) = network.realize().unwrap();
        prop_assert_eq!(check(&system, &claim), Ok(()));
        let [w, u, g] = [system.recurrent(), system.input(), system.output()].map(to_nalgebra);
        let n = w.nrows();
        for mask in 0..1u32 << n {
            let keep = DMatrix::from_diagonal(&DVector::from_fn(n, |i, _| f64::from(mask >> i & 1)));
            let solved = (DMatrix::identity(n, n) - &keep * &w).lu().solve(&(&keep * &u)).unwrap();
            let norm = (&g * solved).singular_values().max();
            // The solution of a system of condition up to about 1e4.
            prop_assert!(norm <= claim.lipschitz * (1.0 + 1e-10), "{} {}", norm, claim.lipschitz);
        }
    }

    /// Without `ε` and `V` the condition is an equality: a bound a little below is refused.
    #[test]
    fn a_tight_network(network in networks()) {
        prop_assume!(network.output.data().iter().any(|value| value.abs() > 0.1));
        let n = network.logarithms.len();
        let tight = Network {
            root: Matrix::new("root", 1, n, vec![0.0; n]).unwrap(),
            epsilon: 1e-12,
            ..network
        };
        let (system, claim) = tight.realize().unwrap();
        let lower = EquilibriumClaim {
            lipschitz: claim.lipschitz * 0.99,
            multipliers: claim.multipliers,
        };
        let refused = check(&system, &lower);
        prop_assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{refused:?}");
    }
}

#[test]
fn malformed_parameters() {
    let w = |rows, cols| Matrix::new("free", rows, cols, vec![0.5; rows * cols]).unwrap();
    let good = Network {
        logarithms: vec![0.0; 2],
        root: w(1, 2),
        skew: w(2, 2),
        input: w(2, 3),
        output: w(1, 2),
        epsilon: 0.1,
        gamma: 1.0,
    };
    assert!(good.realize().is_ok());
    for wrong in [
        Network {
            root: w(1, 3),
            ..good.clone()
        },
        Network {
            skew: w(2, 3),
            ..good.clone()
        },
        Network {
            input: w(3, 3),
            ..good.clone()
        },
        Network {
            output: w(1, 1),
            ..good.clone()
        },
    ] {
        assert!(matches!(wrong.realize(), Err(CheckError::Shape { .. })));
    }
    for value in [0.0, -1.0, f64::NAN] {
        for wrong in [
            Network {
                epsilon: value,
                ..good.clone()
            },
            Network {
                gamma: value,
                ..good.clone()
            },
        ] {
            assert!(matches!(wrong.realize(), Err(CheckError::NotPositive { .. })));
        }
    }
}
