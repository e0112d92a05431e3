//! Activations and pooling with free parameters.

use lipcert_models::parameterization::activation::{Householder, Householder2, LipschitzPrelu, NActivation, ProjectionPool};
use lipcert_models::parameterization::{FAMILIES, Parameterization};
use lipcert_proofs::CheckError;
use lipcert_proofs::statement::Shape;
use proptest::prelude::*;

use crate::common::{accepted, plain, quotient};

const INPUT: Shape = Shape::Image {
    channels: 4,
    height: 1,
    width: 2,
};

/// The largest quotient of a family over pairs of points, near and far.
fn steepest<P: Parameterization>(family: &P, points: &[Vec<f64>], step: &[f64]) -> f64 {
    let (realization, bound) = accepted(family, INPUT);
    assert!(bound <= 1.0);
    let map = plain(&realization.layers, INPUT);
    let mut most: f64 = 0.0;
    for x in points {
        let near: Vec<f64> = x.iter().zip(step).map(|(x, step)| x + step).collect();
        most = most.max(quotient(&map, x, &near));
        for y in points.iter().filter(|y| *y != x) {
            most = most.max(quotient(&map, x, y));
        }
    }
    most
}

fn points() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let entry = prop_oneof![4 => -2.0..2.0f64, 1 => Just(0.0), 1 => Just(-1.0)];
    prop::collection::vec(prop::collection::vec(entry, 8), 2)
}

fn steps() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.001..0.1f64, 8)
}

proptest! {
    #[test]
    fn no_quotient_exceeds_the_bound(
        points in points(), step in steps(), angles in prop::collection::vec(-1.0..7.0f64, 6), slopes in prop::collection::vec(-3.0..3.0f64, 8),
    ) {
        let triple = |pair: usize| [angles[pair], angles[2 + pair], angles[4 + pair]];
        let (theta, pairs) = (angles[..2].to_vec(), slopes.chunks(2).map(|pair| [pair[0], pair[1]]).collect());
        // Room for the rounding of a quotient of differences above 1e-3, and of angles near a switch.
        let most = 1.0 + 1e-11;
        let found = [
            steepest(&Householder { theta: theta.clone() }, &points, &step),
            steepest(&ProjectionPool { theta }, &points, &step),
            steepest(&Householder2 { theta: vec![triple(0), triple(1)] }, &points, &step),
            steepest(&NActivation { theta: pairs }, &points, &step),
            steepest(&LipschitzPrelu { slope: slopes[..4].to_vec() }, &points, &step),
        ];
        prop_assert!(found.iter().all(|quotient| *quotient <= most), "{found:?}");
    }

    /// Next to every switch: points on the rays between two sectors, moved by a little to both sides.
    #[test]
    fn nothing_jumps_at_a_switch(
        angles in prop::collection::vec(0.0..std::f64::consts::TAU, 3), which in 0usize..4, radius in 0.1..10.0f64, little in 1e-9..1e-6f64,
    ) {
        let [first, second, third] = [angles[0], angles[1], angles[2]];
        let ray = 0.5 * match which {
            0 => first,
            1 => first + second,
            2 => first + second + third,
            _ => first + third + std::f64::consts::TAU,
        };
        let map = Householder2 { theta: vec![[first, second, third]] };
        let (realization, _) = accepted(&map, Shape::Flat(2));
        let apply = plain(&realization.layers, Shape::Flat(2));
        let at = |angle: f64| [radius * angle.cos(), radius * angle.sin()];
        let (x, y) = (at(ray - little), at(ray + little));
        prop_assert!(quotient(&apply, &x, &y) <= 1.0 + 1e-5, "{:?}", apply(&x));
    }
}

#[test]
fn malformed_parameters_are_refused() {
    let input = Shape::Flat(4);
    let refused = |result: Result<_, CheckError>| result.map(|_| ()).expect_err("malformed");
    assert!(matches!(
        refused(Householder { theta: vec![0.0; 3] }.realize(input)),
        CheckError::Shape { what: "theta", .. }
    ));
    assert!(matches!(
        refused(
            Householder {
                theta: vec![0.0, 2000.0]
            }
            .realize(input)
        ),
        CheckError::OutOfRange {
            what: "theta",
            index: 1,
            ..
        }
    ));
    assert!(matches!(
        refused(
            ProjectionPool {
                theta: vec![f64::NAN, 0.0]
            }
            .realize(input)
        ),
        CheckError::NotFinite { what: "theta", .. }
    ));
    assert!(matches!(
        refused(
            NActivation {
                theta: vec![[f64::INFINITY, 0.0]; 4]
            }
            .realize(input)
        ),
        CheckError::NotFinite { what: "theta", .. }
    ));
    assert!(matches!(
        refused(LipschitzPrelu { slope: vec![0.5] }.realize(input)),
        CheckError::Shape { what: "slope", .. }
    ));
    assert!(matches!(
        refused(Householder { theta: vec![0.0] }.realize(Shape::Flat(3))),
        CheckError::Shape { what: "householder", .. }
    ));
}

#[test]
fn the_table_has_a_row_for_each() {
    for name in ["householder", "householder-2", "projection-pool", "n-activation", "lprelu"] {
        assert_eq!(FAMILIES.iter().filter(|family| family.name == name).count(), 1, "{name}");
    }
}
