//! Rule `compose`.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::statement::{Decimal, Layer, NetworkMap, Output, Scale, Shape};

use crate::common::{certify, certify_layers, dense, kernel, matrix};

fn layers(factor: f64) -> Vec<Layer> {
    let std = vec!["0.5".parse::<Decimal>().expect("a decimal")];
    vec![
        Layer::Normalize {
            mean: vec![Decimal::ZERO],
            std,
        },
        Layer::PadChannels { channels: 2 },
        Layer::ResidualConv {
            kernel: kernel(1, 2, 3, (0..18).map(|k| f64::from(k) / 20.0 - 0.4).collect()),
            bias: vec![0.1],
            scale: Scale::RowSum { q: vec![0.0] },
        },
        Layer::AveragePool { size: 2, divisor: 2 },
        Layer::Flatten,
        dense(
            matrix(1, 8, vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            Scale::Stored { factor: vec![factor] },
        ),
        Layer::NormalizedHead {
            weight: matrix(2, 8, (0..16).map(|k| f64::from(k % 5) - 2.0).collect()),
            bias: vec![0.0, 0.5],
        },
    ]
}

fn network(factor: f64) -> NetworkMap {
    NetworkMap::new(
        Shape::Image {
            channels: 1,
            height: 4,
            width: 4,
        },
        layers(factor),
    )
    .expect("a network")
}

#[test]
fn every_layer_counts() {
    // 1 / 0.5 from the normalisation, 1 + 2 · 0.5 from the stored factor 1.5 on a unit row.
    let map = network(1.5);
    let certificate = certify(&map);
    assert!(
        certificate.features() >= 4.0 && certificate.features() < 4.0 + 1e-6,
        "{}",
        certificate.features()
    );
    let map = network(0.5);
    assert!((certify(&map).features() - 2.0).abs() < 1e-12);
}

#[test]
fn certificates_of_another_network_are_refused() {
    let (map, twin) = (network(1.0), network(1.0));
    let foreign = NetworkCertificate::compose(&map, certify_layers(&twin), Vec::new(), Output::All);
    assert!(matches!(foreign, Err(CheckError::ForeignCertificate { index: 0 })));
    let mut short = certify_layers(&map);
    short.remove(2);
    assert!(matches!(
        NetworkCertificate::compose(&map, short, Vec::new(), Output::All),
        Err(CheckError::Shape { .. })
    ));
    let mut swapped = certify_layers(&map);
    swapped.swap(1, 4);
    assert!(matches!(
        NetworkCertificate::compose(&map, swapped, Vec::new(), Output::All),
        Err(CheckError::ForeignCertificate { index: 1 })
    ));
}

#[test]
fn only_a_chain_that_fits_is_a_network() {
    let input = Shape::Image {
        channels: 1,
        height: 4,
        width: 4,
    };
    for drop in [1, 4] {
        let mut layers = layers(1.0);
        layers.remove(drop);
        assert!(NetworkMap::new(input, layers).is_err(), "{drop}");
    }
    // Without the affine head the last residual layer gives the logits; without the flattening too they are no vector.
    let mut headless = layers(1.0);
    headless.truncate(6);
    assert_eq!(NetworkMap::new(input, headless.clone()).expect("a network").classes(), 8);
    headless.truncate(4);
    assert!(matches!(
        NetworkMap::new(input, headless),
        Err(CheckError::Order { index: 3, .. })
    ));
    let mut two_heads = layers(1.0);
    two_heads.push(two_heads[6].clone());
    assert!(matches!(
        NetworkMap::new(input, two_heads),
        Err(CheckError::Order { index: 6, .. })
    ));
    assert!(
        NetworkMap::new(
            Shape::Image {
                channels: 1,
                height: 3,
                width: 3
            },
            layers(1.0)
        )
        .is_err()
    );
}
