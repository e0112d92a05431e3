//! Rule `normalized-rows`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::statement::{NetworkMap, Output};

use crate::common::{by, certify, certify_layers, flat, head_network, vector};

fn bound(map: &NetworkMap, output: Output) -> Result<f64, CheckError> {
    NetworkCertificate::compose(map, certify_layers(map), Vec::new(), output).map(|certificate| certificate.upper())
}

#[test]
fn the_joint_map_is_not_1_lipschitz() {
    let v = vector("lln_radius");
    let map = head_network(4, 5, flat(&v["W"]), flat(&v["b"]));
    let joint = flat(&v["joint_norm_Wn"])[0];
    let upper = certify(&map).upper();
    assert!(
        upper >= joint * (1.0 - 1e-14) && upper <= joint * (1.0 + 1e-8),
        "{upper} {joint}"
    );
    let prepared = Prepared::new(&map.layers()[0], map.input()).expect("a layer");
    for lambda in [1.0, joint * joint * (1.0 - 1e-8)] {
        let claim = LayerClaim {
            lipschitz: 2.0,
            witness: Witness::NormalizedRows {
                inside: by(GramWitness::Cholesky {}, lambda),
            },
        };
        assert!(
            matches!(
                LayerCertificate::check(&prepared, claim),
                Err(CheckError::NotSemidefinite { .. })
            ),
            "{lambda}"
        );
    }
    let claim = LayerClaim {
        lipschitz: 1.0,
        witness: Witness::NormalizedRows {
            inside: by(GramWitness::Cholesky {}, 4.0),
        },
    };
    assert!(matches!(
        LayerCertificate::check(&prepared, claim),
        Err(CheckError::BoundTooSmall { .. })
    ));
}

#[test]
fn classes_and_pairs() {
    let map = head_network(3, 2, vec![3.0, 4.0, -3.0, -4.0, 0.0, 0.0], vec![0.0; 3]);
    for (output, least, most) in [
        (Output::Features, 1.0, 1.0),
        (Output::Class(0), 1.0, 1.0),
        (Output::Class(2), 0.0, 0.0),
        (Output::Pair(0, 1), 2.0, 2.0 + 1e-14),
        (Output::Pair(0, 2), 1.0, 1.0 + 1e-14),
        (Output::All, std::f64::consts::SQRT_2, std::f64::consts::SQRT_2 + 1e-8),
    ] {
        let upper = bound(&map, output).expect("a bound");
        assert!(least <= upper && upper <= most, "{output:?} {upper}");
    }
    for output in [Output::Class(3), Output::Pair(0, 3), Output::Pair(3, 0)] {
        assert_eq!(bound(&map, output), Err(CheckError::NoSuchClass { class: 3, classes: 3 }));
    }
}

/// Rows shorter than 1e-12 are divided by 1e-12 as the deployed code does, so they do not become unit vectors.
#[test]
fn tiny_rows_keep_their_floor() {
    let map = head_network(2, 1, vec![1e-13, 1.0], vec![0.0; 2]);
    let upper = bound(&map, Output::Pair(0, 1)).expect("a bound");
    assert!((upper - 0.9).abs() < 1e-12, "{upper}");
}
