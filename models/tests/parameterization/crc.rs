//! The head that is certified by its curvature.

use lipcert_models::parameterization::Parameterization;
use lipcert_models::parameterization::crc::Head;
use lipcert_proofs::CheckError;
use lipcert_proofs::rules::curvature::Curvature;
use lipcert_proofs::statement::{Matrix, NetworkMap, Shape};
use proptest::prelude::*;

use crate::common::{accepted, numbers, plain, quotient};

fn head(n: usize, hidden: usize, classes: usize, values: &[f64], beta: f64) -> Head {
    let mut rest = values.iter().copied();
    let mut take = |count: usize| rest.by_ref().take(count).collect::<Vec<_>>();
    let (first, last) = (take(hidden * n), take(classes * hidden));
    Head {
        first: Matrix::new("first", hidden, n, first).unwrap(),
        first_bias: take(hidden),
        beta,
        last: Matrix::new("last", classes, hidden, last).unwrap(),
        last_bias: take(classes),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The bounds of the layers hold, and so does the radius: within it the plain pass finds no other class along any of many directions.
    #[test]
    fn the_radius_of_a_random_head(
        (n, values, beta, z, directions) in (1usize..5).prop_flat_map(|n| (
            Just(n), numbers(4 * n + 3 * 4 + 7), 0.3..5.0f64, numbers(n), prop::collection::vec(prop::collection::vec(-1.0..1.0f64, n), 12),
        ))
    ) {
        let head = head(n, 4, 3, &values, beta);
        let (realization, bound) = accepted(&head, Shape::Flat(n));
        let map = plain(&realization.layers, Shape::Flat(n));
        for direction in directions.iter().filter(|direction| direction.iter().any(|v| v.abs() > 1e-3)) {
            let other: Vec<f64> = z.iter().zip(direction).map(|(z, v)| z + v).collect();
            prop_assert!(quotient(&map, &z, &other) <= bound * (1.0 + 1e-9) + 1e-9);
        }

        let network = NetworkMap::new(Shape::Flat(n), realization.layers.clone()).unwrap();
        let rule = Curvature::of(&network).unwrap();
        let at = rule.at(&z).unwrap();
        let logits = map(&z);
        let top = (0..3).fold(0, |top, class| if logits[class] > logits[top] { class } else { top });
        for rival in (0..3).filter(|rival| *rival != top) {
            let radius = rule.fast_down(&at, top, rival).unwrap().max(rule.tight_down(&at, top, rival).unwrap()).min(1e3);
            for direction in &directions {
                let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
                let step = |v: &f64| if length > 0.0 { v / length * radius * (1.0 - 1e-9) } else { 0.0 };
                let moved: Vec<f64> = z.iter().zip(direction).map(|(z, v)| z + step(v)).collect();
                let there = map(&moved);
                prop_assert!(there[top] - there[rival] >= -1e-9 * (1.0 + there[top].abs()), "{radius} {top} {rival}");
            }
        }
    }
}

#[test]
fn malformed_heads_are_refused() {
    let good = head(2, 4, 3, &[0.5; 31], 1.0);
    assert!(good.realize(Shape::Flat(2)).is_ok());
    assert!(matches!(good.realize(Shape::Flat(3)), Err(CheckError::Shape { .. })));
    let flat = Head {
        beta: 0.0,
        ..good.clone()
    };
    assert!(matches!(
        flat.realize(Shape::Flat(2)),
        Err(CheckError::NotPositive { what: "beta", .. })
    ));
    let short = Head {
        first_bias: vec![0.0; 3],
        ..good
    };
    assert!(matches!(
        short.realize(Shape::Flat(2)),
        Err(CheckError::Shape { what: "bias", .. })
    ));
}
