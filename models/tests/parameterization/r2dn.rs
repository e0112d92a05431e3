//! Contracting recurrent networks.

use lipcert_models::parameterization::r2dn::Network;
use lipcert_proofs::CheckError;
use lipcert_proofs::rules::contraction::{ContractionClaim, check};
use lipcert_proofs::statement::Matrix;
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;

use crate::common::{distance, from_nalgebra, numbers, rows_of, to_nalgebra, vector};

fn worked() -> Network {
    let v = vector("r2dn_contracting");
    Network {
        root: rows_of(&v["X"]),
        entry: rows_of(&v["B1_implicit"]),
        exit: rows_of(&v["C1"]),
        skew: rows_of(&v["Y"]),
        epsilon: EPSILON,
    }
}

/// That of the worked example.
const EPSILON: f64 = 1e-9;

#[test]
fn the_worked_example() {
    let v = vector("r2dn_contracting");
    let (system, claim) = worked().realize().unwrap();
    for (found, key) in [
        (system.transition(), "A"),
        (system.entry(), "B1"),
        (system.exit(), "C1"),
        (&claim.metric, "P"),
    ] {
        let distance = distance(found, &rows_of(&v[key]));
        assert!(distance < 1e-9, "{key} {distance:e}");
    }
    assert_eq!(check(&system, &claim), Ok(()));
    // A damaged metric.
    let mut damaged = to_nalgebra(&claim.metric);
    damaged[(1, 1)] *= 0.5;
    let damaged = ContractionClaim {
        metric: from_nalgebra(&damaged),
        ..claim
    };
    assert!(matches!(check(&system, &damaged), Err(CheckError::NotSemidefinite { .. })));
}

#[test]
fn malformed_parameters() {
    let w = |rows, cols| Matrix::new("free", rows, cols, vec![0.5; rows * cols]).unwrap();
    let good = worked();
    for wrong in [
        Network {
            root: w(6, 5),
            ..good.clone()
        },
        Network {
            exit: w(2, 4),
            ..good.clone()
        },
        Network {
            skew: w(3, 2),
            ..good.clone()
        },
    ] {
        assert!(matches!(wrong.realize(), Err(CheckError::Shape { .. })));
    }
    for epsilon in [-1e-3, f64::NAN] {
        let wrong = Network { epsilon, ..good.clone() };
        assert!(matches!(
            wrong.realize(),
            Err(CheckError::NotPositive { what: "epsilon", .. })
        ));
    }
}

fn networks() -> impl Strategy<Value = (Network, Vec<f64>, Vec<f64>)> {
    (1usize..4, 1usize..3).prop_flat_map(|(n, q)| {
        let matrix = |rows: usize, cols: usize| {
            prop::collection::vec(-2.0..2.0f64, rows * cols)
                .prop_map(move |entries| Matrix::new("free", rows, cols, entries).unwrap())
        };
        let parts = (matrix(2 * n, 2 * n), matrix(n, q), matrix(q, n), matrix(n, n), 0.01..1.0f64);
        let network = parts.prop_map(|(root, entry, exit, skew, epsilon)| Network {
            root,
            entry,
            exit,
            skew,
            epsilon,
        });
        (network, numbers(n), numbers(n))
    })
}

proptest! {
    /// Two runs with `φ = |·|` come closer in the metric.
    #[test]
    fn networks_contract((network, x, y) in networks()) {
        let (system, claim) = network.realize().unwrap();
        prop_assert_eq!(check(&system, &claim), Ok(()));
        let [a, b, c] = [system.transition(), system.entry(), system.exit()].map(to_nalgebra);
        let metric = to_nalgebra(&claim.metric);
        let step = |x: &DVector<f64>| &a * x + &b * (&c * x).map(f64::abs);
        let norm = |d: DVector<f64>| (d.transpose() * DMatrix::clone(&metric) * &d)[0].sqrt();
        let (mut x, mut y) = (DVector::from_vec(x), DVector::from_vec(y));
        for _ in 0..5 {
            let before = norm(&x - &y);
            (x, y) = (step(&x), step(&y));
            prop_assert!(norm(&x - &y) <= before * (1.0 + 1e-9) + 1e-12);
        }
    }
}
