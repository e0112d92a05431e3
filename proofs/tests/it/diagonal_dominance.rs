//! Rule `diagonal-dominance`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::GramWitness;
use lipcert_proofs::rounding::gram::Gram;
use lipcert_proofs::rounding::interval::Interval;
use lipcert_proofs::statement::{Layer, Scale};
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{
    abs, approx_lambda, by, dense, exact, flat, gram_holds, kernel, matrices, matrix, own_dominance, stored, vector, zero,
};

#[test]
fn accept_table() {
    for (name, weight, t, weights, lambda) in [
        ("identity", vec![1.0, 0.0, 0.0, 1.0], vec![1.0, 1.0], None, 1.0 + 1e-12),
        ("row sums", vec![2.0, 1.0, 1.0, 1.0], vec![8.0, 5.0], None, 1.0 + 1e-12),
        (
            "weights",
            vec![2.0, 0.0, 1.0, 0.0],
            vec![6.0, 3.0],
            Some(vec![2.0, 2.0]),
            1.0 + 1e-12,
        ),
        (
            "a zero row is off",
            vec![0.0, 0.0, 1.0, 0.0],
            vec![f64::INFINITY, 1.0],
            None,
            1.0 + 1e-12,
        ),
    ] {
        let layer = stored(matrix(2, 2, weight), &t);
        let claim = by(GramWitness::DiagonalDominance { weights }, lambda);
        assert_eq!(gram_holds(&layer, &claim), Ok(()), "{name}");
    }
}

#[test]
fn reject_table() {
    let layer = stored(matrix(1, 1, vec![2.0]), &[1.0]);
    // The sign of a weight: without that check W = 2, t = 1, w = −1 would "prove" 4 ≤ 1.
    for weight in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
        let claim = by(
            GramWitness::DiagonalDominance {
                weights: Some(vec![weight]),
            },
            1.0,
        );
        assert!(
            matches!(
                gram_holds(&layer, &claim),
                Err(CheckError::NotPositive { what: "weights", .. })
            ),
            "{weight}"
        );
    }
    let two = stored(matrix(2, 1, vec![1.0, -1.0]), &[1.0, 1.0]);
    let signs = by(
        GramWitness::DiagonalDominance {
            weights: Some(vec![1.0, -1.0]),
        },
        1.0,
    );
    assert!(matches!(gram_holds(&two, &signs), Err(CheckError::NotPositive { .. })));
    for lambda in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = gram_holds(&layer, &own_dominance(lambda));
        assert!(
            matches!(refused, Err(CheckError::NotPositive { what: "lambda", .. })),
            "{lambda}"
        );
    }
    assert!(matches!(
        gram_holds(&layer, &own_dominance(3.9)),
        Err(CheckError::NotDominant { row: 0, .. })
    ));
    let claim = by(
        GramWitness::DiagonalDominance {
            weights: Some(vec![1.0, 1.0]),
        },
        5.0,
    );
    assert!(matches!(
        gram_holds(&layer, &claim),
        Err(CheckError::Shape { what: "weights", .. })
    ));
    // The strict test cannot accept T = 1 − 2⁻⁵³ for W = I; the tolerance lemma is the way.
    let below = stored(matrix(1, 1, vec![1.0]), &[1.0_f64.next_down()]);
    assert!(matches!(
        gram_holds(&below, &own_dominance(1.0)),
        Err(CheckError::NotDominant { .. })
    ));
}

#[test]
fn a_factor_that_is_not_positive_is_refused_and_zero_switches_off() {
    let weight = || matrix(2, 1, vec![5.0, 1.0]);
    let off = dense(weight(), Scale::Stored { factor: vec![0.0, 1.0] });
    assert_eq!(gram_holds(&off, &own_dominance(1.0 + 1e-12)), Ok(()));
    for factor in [-1.0, f64::NAN, f64::INFINITY, -f64::MIN_POSITIVE] {
        let layer = dense(
            weight(),
            Scale::Stored {
                factor: vec![factor, 1.0],
            },
        );
        assert!(gram_holds(&layer, &own_dominance(1e9)).is_err(), "{factor}");
    }
}

#[test]
fn the_vectors_t_is_reproduced() {
    let v = vector("sll_dense");
    let weight = matrix(4, 3, flat(&v["A"]));
    for (q, t) in [(flat(&v["q_raw"]), flat(&v["T"])), (vec![0.0; 4], flat(&v["T_aol_q_zero"]))] {
        let gram = Gram::dense(&weight).expect("a Gram matrix");
        let weights: Vec<Interval> = q.iter().map(|q| Interval::point(*q).exp()).collect();
        for (sum, t) in gram.row_sums(&weights, &[true; 4]).iter().zip(&t) {
            // The vector was computed in float64: 20 roundings.
            assert!((sum.mid() - t).abs() <= 20.0 * f64::EPSILON * t);
            assert!(sum.hi() - sum.lo() <= 1e-12 * t);
        }
    }
}

#[test]
fn the_sum_of_squares_of_the_vector_is_the_slack() {
    let v = vector("gershgorin_sos");
    let (a, q, t) = (flat(&v["A"]), flat(&v["q"]), flat(&v["T"]));
    let layer = stored(matrix(3, 2, a.clone()), &t);
    let weights = Some(q);
    assert_eq!(
        gram_holds(&layer, &by(GramWitness::DiagonalDominance { weights }, 1.0 + 1e-12)),
        Ok(())
    );
    for i in 0..3 {
        for j in 0..3 {
            let terms = v["terms"].as_array().expect("terms");
            let squares: f64 = terms
                .iter()
                .map(|term| {
                    let v = flat(&term["v"]);
                    flat(&term["weight"])[0] * v[i] * v[j]
                })
                .sum();
            let gram: f64 = (0..2).map(|k| a[i * 2 + k] * a[j * 2 + k]).sum();
            let slack = if i == j { t[i] - gram } else { -gram };
            assert!((squares - slack).abs() < 1e-14 * 10.0, "{i} {j}");
        }
    }
}

/// The border trap: row sums of the unrolled zero-padded operator reach 12.03 where `T` is 9.03, yet `T` is right.
#[test]
fn the_border_trap() {
    let v = vector("sll_conv_border");
    let t = flat(&v["T"])[0];
    let layer = Layer::ResidualConv {
        kernel: kernel(1, 2, 3, flat(&v["kernel_cout1_cin2_3x3"])),
        bias: vec![0.0],
        scale: Scale::Stored { factor: vec![1.0 / t] },
    };
    assert!(flat(&v["max_border_row_sum"])[0] > 1.3 * t);
    assert_eq!(gram_holds(&layer, &own_dominance(1.0 + 1e-12)), Ok(()));
    assert!(gram_holds(&layer, &own_dominance(1.0 - 1e-12)).is_err());
}

/// The published bug of October 2023: with `ε` in the inverse only, the Jacobian reached 16.46. The stored factor is `T2 / 2` here.
#[test]
fn the_epsilon_bug_is_not_certified_as_1_lipschitz() {
    let v = vector("sll_dense_epsilon_bug");
    let factor: Vec<f64> = flat(&v["T2"]).iter().map(|t| t / 2.0).collect();
    let weight = matrix(4, 3, flat(&v["A"]));
    let lambda = approx_lambda(&weight, &factor.iter().map(|f| 1.0 / f).collect::<Vec<_>>());
    let layer = dense(weight, Scale::Stored { factor });
    assert!(gram_holds(&layer, &own_dominance(1.0 + 1e-6)).is_err());
    assert!(gram_holds(&layer, &by(GramWitness::Cholesky {}, 0.999 * lambda)).is_err());
    // What can be proved is 1 + 2δ, above the Jacobian that was found.
    let bound = lipcert_proofs::rules::tolerance::bound_up(lambda * (1.0 + 1e-9));
    assert_eq!(
        gram_holds(&layer, &by(GramWitness::Cholesky {}, lambda * (1.0 + 1e-9))),
        Ok(())
    );
    assert!(bound >= flat(&v["max_mask_jacobian_norm"])[0]);
}

proptest! {
    /// Every enclosure contains the exact rational row sum.
    #[test]
    fn row_sums_enclose_exact_rationals(weight in matrices(), seed in prop::collection::vec(0.1..10.0f64, 7)) {
        let rows = weight.rows();
        let gram = Gram::dense(&weight).expect("a Gram matrix");
        let weights: Vec<Interval> = seed[..rows].iter().map(|w| Interval::point(*w)).collect();
        let sums = gram.row_sums(&weights, &vec![true; rows]);
        for (i, sum) in sums.iter().enumerate() {
            let mut total = zero();
            for (j, factor) in seed[..rows].iter().enumerate() {
                let product = weight.row(i).iter().zip(weight.row(j)).fold(zero(), |s, (a, b)| s + exact(*a) * exact(*b));
                total += abs(&product) * exact(*factor);
            }
            total /= exact(seed[i]);
            prop_assert!(exact(sum.lo()) <= total && total <= exact(sum.hi()));
        }
    }

    /// Soundness against an independent eigenvalue library: what is accepted has no eigenvalue above `λ` (up to its own error).
    #[test]
    fn accepted_means_bounded((weight, seed) in (matrices(), prop::collection::vec(0.1..3.0f64, 14)), lambda in 0.3..2.0f64) {
        let rows = weight.rows();
        let weights: Vec<f64> = seed[7..7 + rows].to_vec();
        let layer = stored(weight.clone(), &seed[..rows]);
        let claim = by(GramWitness::DiagonalDominance { weights: Some(weights) }, lambda);
        if gram_holds(&layer, &claim).is_ok() {
            // nalgebra's QR is backward stable: an error of a few n·ε‖S‖.
            prop_assert!(approx_lambda(&weight, &seed[..rows]) <= lambda * (1.0 + 1e-12));
        }
    }

    /// Completeness: the closed form with a little room is accepted (rows of very different length need more than the rounding of a row);
    /// powers of two and permutations change nothing.
    #[test]
    fn the_closed_form_is_accepted(weight in matrices(), shift in -20i32..20) {
        let rows = weight.rows();
        let scaled: Vec<f64> = weight.data().iter().map(|v| v * 2f64.powi(shift)).collect();
        let reversed: Vec<f64> = (0..rows).rev().flat_map(|i| weight.row(i).to_vec()).collect();
        for data in [weight.data().to_vec(), scaled, reversed] {
            let layer = dense(matrix(rows, weight.cols(), data), Scale::RowSum { q: vec![0.0; rows] });
            prop_assert_eq!(gram_holds(&layer, &own_dominance(1.0 + 1e-6)), Ok(()));
        }
    }
}

/// An inner product that cancels is off by `γ ‖a_i‖ ‖a_j‖`, far more than the row sum itself suggests.
#[test]
fn cancellation_between_rows_of_different_length() {
    let e = 2f64.powi(-30);
    let short = [1.0 + e, 1.0, 1.0, 1.0 + e];
    let long = [1.0 - e, -1.0, -1.0, 1.0 - e].map(|v| v * 2f64.powi(40));
    let weight = matrix(2, 4, [short, long].concat());
    let gram = Gram::dense(&weight).expect("a Gram matrix");
    let sums = gram.row_sums(&[Interval::ONE; 2], &[true; 2]);
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(zero(), |s, (a, b)| s + exact(*a) * exact(*b));
    let total = product(&short, &short) + abs(&product(&short, &long));
    assert!(exact(sums[0].lo()) <= total && total <= exact(sums[0].hi()));
}

/// The exact lattice self-correlation of a small kernel against rationals.
#[test]
fn the_lattice_encloses_exact_rationals() {
    let v = vector("sll_conv");
    let data = flat(&v["K"]);
    let k = kernel(2, 2, 3, data.clone());
    let gram = Gram::lattice(&k).expect("a self-correlation");
    let centre = gram.approx_centre();
    let theirs = flat(&v["ktk"]);
    assert_eq!(centre.len(), theirs.len());
    // The vector correlates with the first index shifted, so its pair (i, j) is our (j, i).
    for (position, ours) in centre.iter().enumerate() {
        let (pair, shift) = (position / 25, position % 25);
        let (i, j) = (pair / 2, pair % 2);
        assert!((ours - theirs[(j * 2 + i) * 25 + shift]).abs() < 1e-13);
    }
    let sums = gram.row_sums(&[Interval::ONE; 2], &[true; 2]);
    let entry = |i: usize, c: usize, y: i64, x: i64| -> BigRational {
        if (0..3).contains(&y) && (0..3).contains(&x) {
            exact(data[((i * 2 + c) * 3 + y as usize) * 3 + x as usize])
        } else {
            zero()
        }
    };
    for (i, sum) in sums.iter().enumerate() {
        let mut total = zero();
        for j in 0..2 {
            for dy in -2..=2 {
                for dx in -2..=2 {
                    let mut product = zero();
                    for c in 0..2 {
                        for y in 0..3 {
                            for x in 0..3 {
                                product += entry(i, c, y, x) * entry(j, c, y + dy, x + dx);
                            }
                        }
                    }
                    total += abs(&product);
                }
            }
        }
        assert!(exact(sum.lo()) <= total && total <= exact(sum.hi()));
    }
    let expected = flat(&v["T_official"]);
    for (sum, t) in sums.iter().zip(&expected) {
        assert!((sum.mid() - t).abs() <= 1e-12 * t);
    }
    let q = flat(&v["q_raw"]);
    let weights: Vec<Interval> = q.iter().map(|q| Interval::point(*q).exp()).collect();
    for (sum, t) in gram.row_sums(&weights, &[true; 2]).iter().zip(flat(&v["T_paper"])) {
        assert!((sum.mid() - t).abs() <= 1e-12 * t);
    }
}
