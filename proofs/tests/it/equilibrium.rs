//! Rule `equilibrium`, against exact elimination, Jacobians and iterated equations.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::equilibrium::{EquilibriumClaim, check};
use lipcert_proofs::statement::{Equilibrium, Matrix};
use nalgebra::{DMatrix, DVector};
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{exact, flat, matrix, vector, zero};
use crate::lipsdp::exactly_definite;
use crate::residual_lmi::{nalgebra_of, rows_of};

fn claim(multipliers: &[f64], lipschitz: f64) -> EquilibriumClaim {
    EquilibriumClaim {
        lipschitz,
        multipliers: multipliers.to_vec(),
    }
}

fn worked() -> (Equilibrium, Vec<f64>, f64) {
    let v = vector("deq_lben");
    let system = Equilibrium::new(rows_of(&v["W"]), rows_of(&v["U"]), rows_of(&v["G"])).expect("a system");
    (system, flat(&v["Lambda"]), flat(&v["gamma"])[0])
}

/// The largest `‖G (I − D W)⁻¹ D U‖` over all masks `D` of zeros and ones; nothing if some `I − D W` is singular.
fn largest_jacobian(system: &Equilibrium) -> Option<f64> {
    let [w, u, g] = [system.recurrent(), system.input(), system.output()].map(nalgebra_of);
    let n = w.nrows();
    let mut largest = 0.0_f64;
    for mask in 0..1u32 << n {
        let keep = DVector::from_fn(n, |i, _| f64::from(mask >> i & 1));
        let keep = DMatrix::from_diagonal(&keep);
        let inverse = (DMatrix::identity(n, n) - &keep * &w).try_inverse()?;
        largest = largest.max((&g * inverse * keep * &u).singular_values().max());
    }
    Some(largest)
}

/// `2Λ − ΛW − WᵀΛ − (GᵀG + ΛUUᵀΛ) / γ` in rationals.
fn exact_inequality(system: &Equilibrium, claim: &EquilibriumClaim) -> Vec<Vec<BigRational>> {
    let (w, u, g) = (system.recurrent(), system.input(), system.output());
    let n = w.rows();
    let lambda: Vec<BigRational> = claim.multipliers.iter().map(|value| exact(*value)).collect();
    let mut p = vec![vec![zero(); n]; n];
    for i in 0..n {
        for j in 0..n {
            let mut products = zero();
            for k in 0..g.rows() {
                products += exact(g.row(k)[i]) * exact(g.row(k)[j]);
            }
            for k in 0..u.cols() {
                products += &lambda[i] * exact(u.row(i)[k]) * exact(u.row(j)[k]) * &lambda[j];
            }
            p[i][j] = -(&lambda[i] * exact(w.row(i)[j])) - &lambda[j] * exact(w.row(j)[i]) - products / exact(claim.lipschitz);
            if i == j {
                p[i][j] += exact(2.0) * &lambda[i];
            }
        }
    }
    p
}

#[test]
fn the_worked_example() {
    let (system, lambda, bound) = worked();
    let good = claim(&lambda, bound * (1.0 + 1e-6));
    assert_eq!(check(&system, &good), Ok(()));
    assert!(exactly_definite(exact_inequality(&system, &good)));
    // Below the largest Jacobian no multipliers do.
    let largest = largest_jacobian(&system).expect("well posed");
    assert!(largest > 3.7579 && largest < bound, "{largest}");
    for factor in [0.7, 1.0, 1.0 + 1e-3, 1.4] {
        let scaled: Vec<f64> = lambda.iter().map(|value| value * factor).collect();
        let refused = check(&system, &claim(&scaled, 3.7579));
        assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{factor}");
    }
    assert!(check(&system, &claim(&lambda, bound * (1.0 - 1e-6))).is_err());
}

/// `2 − 2w > 0` is strict: `z = max(w z + x, 0)` has no solution for `w = 1`, `x > 0`, and the bound alone, `g = 0`, would allow it.
#[test]
fn the_equation_must_be_well_posed() {
    let system = |w: f64| {
        let one = |value: f64| matrix(1, 1, vec![value]);
        Equilibrium::new(one(w), one(1e-30), one(0.0)).expect("a system")
    };
    for w in [1.0, 1.0 + 1e-9, 2.0] {
        let refused = check(&system(w), &claim(&[1.0], 1.0));
        assert!(matches!(refused, Err(CheckError::NotSemidefinite { .. })), "{w}");
    }
    assert_eq!(check(&system(1.0 - 1e-9), &claim(&[1.0], 1.0)), Ok(()));
    assert_eq!(check(&system(-50.0), &claim(&[1.0], 1.0)), Ok(()));
}

#[test]
fn reject_table() {
    let (system, lambda, bound) = worked();
    for value in [0.0, -1.0, f64::NAN] {
        let mut wrong = lambda.clone();
        wrong[3] = value;
        let refused = check(&system, &claim(&wrong, bound * 2.0));
        let named = matches!(
            refused,
            Err(CheckError::NotPositive {
                what: "multiplier",
                index: 3,
                ..
            })
        );
        assert!(named, "{value}");
        let refused = check(&system, &claim(&lambda, value));
        assert!(matches!(refused, Err(CheckError::NotPositive { what: "lipschitz", .. })));
    }
    for index in 0..lambda.len() {
        let mut wrong = lambda.clone();
        wrong[index] *= 0.5;
        assert!(check(&system, &claim(&wrong, bound * (1.0 + 1e-6))).is_err(), "{index}");
    }
    assert!(matches!(
        check(&system, &claim(&lambda[1..], bound)),
        Err(CheckError::Shape { .. })
    ));
    let w = |rows, cols| matrix(rows, cols, vec![0.1; rows * cols]);
    for (recurrent, input, output) in [
        (w(2, 3), w(2, 1), w(1, 2)),
        (w(2, 2), w(3, 1), w(1, 2)),
        (w(2, 2), w(2, 1), w(1, 3)),
    ] {
        assert!(matches!(
            Equilibrium::new(recurrent, input, output),
            Err(CheckError::Shape { .. })
        ));
    }
}

/// The solution for one input, by averaged steps.
fn solve(system: &Equilibrium, bias: &[f64], x: &[f64]) -> DVector<f64> {
    let (w, u) = (nalgebra_of(system.recurrent()), nalgebra_of(system.input()));
    let shift = u * DVector::from_column_slice(x) + DVector::from_column_slice(bias);
    let mut z = DVector::zeros(w.nrows());
    for _ in 0..4000 {
        let next = (&w * &z + &shift).map(|value| value.max(0.0));
        z += (next - &z) * 0.05;
    }
    z
}

fn problems() -> impl Strategy<Value = (Equilibrium, Vec<f64>, Vec<f64>, [Vec<f64>; 2])> {
    (1usize..4, 1usize..4, 1usize..3).prop_flat_map(|(n, d, m)| {
        let weight = |rows: usize, cols: usize, most: f64| {
            prop::collection::vec(-most..most, rows * cols).prop_map(move |data| matrix(rows, cols, data))
        };
        let numbers = |n: usize| prop::collection::vec(-2.0..2.0f64, n);
        let parts = (weight(n, n, 0.8), weight(n, d, 1.5), weight(m, n, 1.5));
        let system = parts.prop_map(|(w, u, g): (Matrix, Matrix, Matrix)| Equilibrium::new(w, u, g).expect("a system"));
        let lambda = prop::collection::vec(0.3..3.0f64, n);
        (system, lambda, numbers(n), [numbers(d), numbers(d)])
    })
}

proptest! {
    /// The smallest bound that is accepted is exactly true, no Jacobian passes it, and neither does a pair of solutions.
    #[test]
    fn the_least_accepted_bound_is_true((system, lambda, bias, [x, y]) in problems()) {
        let (mut refused, mut accepted) = (1e-6, 1e4);
        if check(&system, &claim(&lambda, accepted)).is_ok() {
            while accepted / refused > 1.0 + 8.0 * f64::EPSILON {
                let middle = f64::midpoint(accepted, refused);
                if check(&system, &claim(&lambda, middle)).is_ok() {
                    accepted = middle;
                } else {
                    refused = middle;
                }
            }
            let least = claim(&lambda, accepted);
            prop_assert!(exactly_definite(exact_inequality(&system, &least)));
            let largest = largest_jacobian(&system);
            prop_assert!(largest.is_some_and(|largest| largest <= accepted * (1.0 + 1e-12)), "{largest:?} {accepted}");
            let output = nalgebra_of(system.output());
            let moved = (output * (solve(&system, &bias, &x) - solve(&system, &bias, &y))).norm();
            let distance = (DVector::from_column_slice(&x) - DVector::from_column_slice(&y)).norm();
            // The rest of the iteration.
            prop_assert!(moved <= accepted * distance + 1e-6);
        } else {
            prop_assert!(!exactly_definite(exact_inequality(&system, &claim(&lambda, 1e4 * (1.0 - 1e-9)))));
        }
    }
}
