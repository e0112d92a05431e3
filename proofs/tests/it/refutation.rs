//! Rule `refutation`.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::common_condition::Condition;
use lipcert_proofs::rules::refutation::{Candidate, Refutation};
use lipcert_proofs::statement::Matrix;
use num_rational::BigRational;
use proptest::prelude::*;

use crate::common::{exact, matrices, matrix, zero};

fn diagonal(t: &[f64]) -> Candidate {
    Candidate::Diagonal(t.to_vec())
}

/// `vᵀ A Aᵀ v − vᵀ T v` in fractions.
fn excess(weight: &Matrix, t: &[f64], v: &[f64]) -> BigRational {
    let form = (0..weight.cols()).fold(zero(), |sum, k| {
        let entry = (0..weight.rows()).fold(zero(), |entry, i| entry + exact(weight.row(i)[k]) * exact(v[i]));
        sum + &entry * &entry
    });
    t.iter()
        .zip(v)
        .fold(form, |sum, (t, v)| sum - exact(*t) * exact(*v) * exact(*v))
}

#[test]
fn accept_and_reject() {
    // A Aᵀ = [[2, 1], [1, 1]]; its form at (1, 1) is 5.
    let weight = matrix(2, 2, vec![1.0, 1.0, 0.0, 1.0]);
    let both = vec![1.0, 1.0];
    for (t, margin, accepted) in [
        ([2.0, 1.0], 0.0, true),
        ([3.0, 2.0], 0.0, false), // equal is no violation
        ([3.0, 2.0_f64.next_down()], 0.0, true),
        ([3.0, 2.0_f64.next_down()], 1e-6, false),
        ([4.0, 0.5], 0.1, true),
        ([4.0, 0.5], 0.12, false),
        ([3.0, 3.0], 0.0, false),
        ([-1.0, -1.0], 3.4, true),
        ([-1.0, -1.0], 3.6, false),
    ] {
        let checked = Refutation::check(&weight, &diagonal(&t), both.clone(), margin);
        assert_eq!(checked.is_ok(), accepted, "{t:?} {margin}");
    }
    let shown = Refutation::check(&weight, &diagonal(&[2.0, 1.0]), both.clone(), 0.0).expect("5 > 3");
    let ratio = shown.ratio_down().expect("a quotient");
    assert!(exact(ratio) <= exact(5.0) / exact(3.0) && exact(ratio.next_up()) > exact(5.0) / exact(3.0));
    assert_eq!(shown.vector(), both);
    let negative = Refutation::check(&weight, &diagonal(&[-1.0, 0.0]), both, 0.0).expect("5 > −1");
    assert_eq!(negative.ratio_down(), None);
}

#[test]
fn what_does_not_fit_is_named() {
    let weight = matrix(2, 2, vec![1.0, 1.0, 0.0, 1.0]);
    let check = |t: Candidate, v: Vec<f64>, margin| Refutation::check(&weight, &t, v, margin).map(drop);
    let shape = |outcome| matches!(outcome, Err(CheckError::Shape { .. }));
    assert!(shape(check(diagonal(&[1.0]), vec![1.0, 1.0], 0.0)));
    assert!(shape(check(diagonal(&[1.0, 1.0]), vec![1.0], 0.0)));
    let wide = || matrix(1, 3, vec![1.0; 3]);
    assert!(shape(check(Candidate::Full(wide()), vec![1.0, 1.0], 0.0)));
    assert!(shape(check(Candidate::Full(matrix(1, 2, vec![1.0; 2])), vec![1.0, 1.0], 0.0)));
    assert!(shape(check(Candidate::Factor(wide()), vec![1.0, 1.0], 0.0)));
    for bad in [f64::NAN, f64::INFINITY] {
        let unusable = |outcome| matches!(outcome, Err(CheckError::NotFinite { .. }));
        assert!(unusable(check(diagonal(&[1.0, bad]), vec![1.0, 1.0], 0.0)));
        assert!(unusable(check(diagonal(&[1.0, 1.0]), vec![bad, 1.0], 0.0)));
        let margin = check(diagonal(&[1.0, 1.0]), vec![1.0, 1.0], bad);
        assert!(matches!(margin, Err(CheckError::NotPositive { .. })));
    }
    let margin = check(diagonal(&[1.0, 1.0]), vec![1.0, 1.0], -0.1);
    assert!(matches!(margin, Err(CheckError::NotPositive { .. })));
    assert_eq!(check(diagonal(&[1.0, 1.0]), vec![0.0, 0.0], 0.0), Err(CheckError::NotRefuted));
}

#[test]
fn cancellation_is_no_violation() {
    // At (1, 1) the form of T is 0 and that of A Aᵀ is 4e-12; against entries of size 1 that is rounding.
    let t = Candidate::Full(matrix(2, 2, vec![1.0, -1.0, -1.0, 1.0]));
    let weight = matrix(2, 1, vec![1e-6, -1e-6]);
    assert!(Refutation::check(&weight, &t, vec![1.0, 1.0], 0.0).is_err());
    let weight = matrix(2, 1, vec![1e-6, 1e-6]);
    assert!(Refutation::check(&weight, &t, vec![1.0, 1.0], 0.0).is_ok());
    assert!(Refutation::check(&weight, &t, vec![1.0, 1.0], 1e-6).is_err());
    let factor = Candidate::Factor(matrix(1, 2, vec![1.0, -1.0]));
    assert!(Refutation::check(&weight, &factor, vec![1.0, 1.0], 0.0).is_ok());
    assert!(Refutation::check(&weight, &factor, vec![1.0, 1.0], 1e-6).is_err());
}

#[test]
fn a_factor_stands_on_its_side() {
    // Rᵀ R = [[1, 1], [1, 2]], R Rᵀ = [[2, 1], [1, 1]].
    let factor = Candidate::Factor(matrix(2, 2, vec![1.0, 1.0, 0.0, 1.0]));
    let weight = matrix(2, 1, vec![1.2, 0.0]);
    assert!(Refutation::check(&weight, &factor, vec![1.0, 0.0], 0.0).is_ok());
    let weight = matrix(2, 1, vec![0.0, 1.2]);
    assert_eq!(
        Refutation::check(&weight, &factor, vec![0.0, 1.0], 0.0).map(drop),
        Err(CheckError::NotRefuted)
    );
    // The same T written out.
    let full = Candidate::Full(matrix(2, 2, vec![1.0, 1.0, 1.0, 2.0]));
    let weight = matrix(2, 1, vec![1.2, 0.0]);
    assert!(Refutation::check(&weight, &full, vec![1.0, 0.0], 0.0).is_ok());
}

proptest! {
    /// Accepted exactly where fractions say so.
    #[test]
    fn fractions_agree(
        weight in matrices(),
        t in prop::collection::vec(-1.0..8.0f64, 7),
        v in prop::collection::vec(prop_oneof![4 => -2.0..2.0f64, 1 => Just(0.0), 1 => -1e-9..1e-9f64], 7),
    ) {
        let n = weight.rows();
        let truth = excess(&weight, &t[..n], &v[..n]) > zero();
        let checked = Refutation::check(&weight, &diagonal(&t[..n]), v[..n].to_vec(), 0.0);
        prop_assert_eq!(checked.is_ok(), truth);
        let entries: Vec<f64> = (0..n * n).map(|k| if k / n == k % n { t[k / n] } else { 0.0 }).collect();
        let full = Refutation::check(&weight, &Candidate::Full(matrix(n, n, entries)), v[..n].to_vec(), 0.0);
        prop_assert_eq!(full.is_ok(), truth);
    }

    /// What the other rule proves is never refuted.
    #[test]
    fn no_condition_is_proved_and_refuted(
        weight in matrices(),
        factors in prop::collection::vec(0.1..1.2f64, 7),
        v in prop::collection::vec(-2.0..2.0f64, 7),
    ) {
        let n = weight.rows();
        let t: Vec<f64> = (0..n)
            .map(|i| factors[i] * n as f64 * weight.row(i).iter().map(|v| v * v).sum::<f64>() + 1e-9)
            .collect();
        let proved = Condition::new(&weight).expect("a Gram matrix").check(&t).is_ok();
        let refuted = Refutation::check(&weight, &diagonal(&t), v[..n].to_vec(), 0.0).is_ok();
        prop_assert!(!(proved && refuted));
    }
}
