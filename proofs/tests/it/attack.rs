//! Attacks: one that once got through, and others that were tried in earnest and must go on failing.

use lipcert_proofs::certificate::{
    ChainCertificate, ChainClaim, DualVectors, GramClaim, GramWitness, ImageSize, LayerCertificate, LayerClaim, Prepared, Witness,
};
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::lipsdp;
use lipcert_proofs::rules::margin::{Judgement, Margins};
use lipcert_proofs::statement::{Activation, Chain, Layer, NetworkMap, Operation, Output, Scale, Shape};

use crate::circulant_grid::{norm_squared, unrolled_on};
use crate::common::{certify, certify_layers, head_network, kernel, matrix};
use crate::lipsdp::dense_network;

/// A convolution with a wider kernel behind one with a narrower kernel asks for wider margins: the image must survive that.
#[test]
fn a_wider_kernel_behind_a_narrower_one_keeps_the_image() {
    for sizes in [[1, 3], [3, 5], [1, 5], [3, 1], [3, 3]] {
        // negative kernels on positive pixels: both layers are the identity there
        let conv = |size: usize| Layer::ResidualConv {
            kernel: kernel(1, 1, size, vec![-1.0; size * size]),
            bias: vec![0.0],
            scale: Scale::RowSum { q: vec![0.0] },
        };
        let layers = vec![
            conv(sizes[0]),
            conv(sizes[1]),
            Layer::Flatten,
            Layer::NormalizedHead {
                weight: matrix(2, 4, vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
                bias: vec![0.0, 5.0],
            },
        ];
        let input = Shape::Image {
            channels: 1,
            height: 2,
            width: 2,
        };
        let map = NetworkMap::new(input, layers).expect("a network");
        let certificate = certify(&map);
        let evaluator = Evaluator::new(&certificate).expect("an evaluator");
        // two equal samples in one batch: the first one was lost, the second was not
        let samples = [100.0, 0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 0.0];
        for logits in evaluator.evaluate(Samples::Floats(&samples)).expect("logits") {
            for (class, exact) in [100.0, 5.0].into_iter().enumerate() {
                let off = (logits.values()[class] - exact).abs();
                assert!(off <= logits.error_up(class), "{sizes:?}: class {class} is off by {off}");
            }
        }
    }
}

/// A `λ` below the truth by a hair, under every witness, on images smaller than the kernel and on narrow ones.
#[test]
fn no_witness_proves_less_than_the_truth() {
    let mut accepted_above = 0;
    for (height, width) in [(1, 1), (1, 4), (5, 3)] {
        for size in [1usize, 3, 5] {
            for seed in 0..4usize {
                let entry = |k: usize| ((seed * 7919 + k * k * 31 + k * 1009 + size) % 2003) as f64 / 1001.5 - 1.0;
                let layer = Layer::ResidualConv {
                    kernel: kernel(2, 2, size, (0..4 * size * size).map(entry).collect()),
                    bias: vec![0.0; 2],
                    scale: Scale::Stored { factor: vec![0.3, 0.05] },
                };
                let truth = norm_squared(&unrolled_on(&layer, height, width, false));
                let input = Shape::Image {
                    channels: 2,
                    height,
                    width,
                };
                let prepared = Prepared::new(&layer, input).expect("a layer");
                let grids = [4, 8, 16, 32]
                    .into_iter()
                    .flat_map(|grid| [ImageSize::Stated, ImageSize::Any].map(|image| GramWitness::CirculantGrid { grid, image }));
                let others = [GramWitness::DiagonalDominance { weights: None }, GramWitness::Cholesky {}];
                for witness in grids.chain(others) {
                    let holds = |lambda: f64| {
                        prepared
                            .check_gram(&GramClaim {
                                lambda,
                                witness: witness.clone(),
                            })
                            .is_ok()
                    };
                    // The reference eigenvalue is itself right to a few units of 1e-16.
                    for share in [1.0 - 1e-12, 1.0 - 1e-6, 0.5, 1e-300] {
                        assert!(!holds(truth * share), "{height}x{width} {size} {witness:?} {share}");
                    }
                    accepted_above += usize::from(holds(truth * 50.0));
                }
            }
        }
    }
    assert!(accepted_above > 50, "nothing is accepted at all: the test shows nothing");
}

fn judge(map: &NetworkMap, sample: &[f64]) -> Judgement {
    let certificate = certify(map);
    let evaluator = Evaluator::new(&certificate).expect("an evaluator");
    let logits = evaluator.evaluate(Samples::Floats(sample)).expect("logits");
    Margins::new(&certificate)
        .expect("margins")
        .judge(&logits[0])
        .expect("a judgement")
}

/// Tied rows under giant biases: the larger one is the class, everywhere.
#[test]
fn tied_rows_with_giant_biases() {
    let map = head_network(2, 2, vec![1.0, 0.0, 1.0, 0.0], vec![1e300, 1e300 + 1e284]);
    let judgement = judge(&map, &[1.0, 0.0]);
    assert_eq!(judgement.predicted, 1);
    assert!(judgement.decided());
}

/// Rows below the floor of 1e-12 are not unit vectors: `(1e-13, 0)` is `(0.1, 0)` after the division.
#[test]
fn rows_below_the_floor() {
    let judgement = judge(&head_network(2, 2, vec![1e-13, 0.0, 0.0, 1.0], vec![0.0; 2]), &[1.0, 0.0]);
    assert!(judgement.margin <= 0.1 && judgement.radius.value() <= 0.1 / 1.01f64.sqrt());
    let subnormal = judge(&head_network(2, 2, vec![5e-324, 0.0, 0.0, 5e-324], vec![0.0; 2]), &[1.0, 0.0]);
    assert!(subnormal.radius.value() <= 0.5f64.sqrt());
}

/// A rank so large that its product with a width leaves `usize` is refused like any other wrong shape.
#[test]
fn dual_vectors_of_an_impossible_rank() {
    let map = dense_network(&[matrix(2, 2, vec![1.0; 4]), matrix(2, 2, vec![1.0; 4])], Activation::Relu);
    let chain = Chain::of(&map, Output::All).expect("a chain");
    for rank in [1 << 63, usize::MAX, usize::MAX / 2 + 1] {
        let refused = lipsdp::dual_down(&chain, rank, &[Vec::new(), Vec::new()]);
        assert!(refused.is_err(), "{rank}: {refused:?}");
    }
}

/// A few long rows make a small file: no work or memory may grow with the square of the input.
#[test]
fn a_wide_input_needs_no_square_of_it() {
    let wide = 1 << 22;
    let map = dense_network(&[matrix(1, wide, vec![0.0; wide]), matrix(1, 1, vec![1.0])], Activation::Relu);
    let chain = Chain::of(&map, Output::All).expect("a chain");
    // true or refused, either is an answer
    let _ = lipsdp::check(&chain, &[vec![1.0]], 1.0);
}

/// A file may claim a bound of a layer that is far too large; the bound of the network grows with it, what it says of the optimum must not.
#[test]
fn an_inflated_layer_does_not_raise_the_dual_bound() {
    let mut layers = vec![Layer::Elementwise {
        operation: Operation::Add,
        operand: vec![1.0; 2],
    }];
    let identity = matrix(2, 2, vec![1.0, 0.0, 0.0, 1.0]);
    layers.extend(
        dense_network(&[identity.clone(), identity], Activation::Relu)
            .layers()
            .iter()
            .cloned(),
    );
    let map = NetworkMap::new(Shape::Flat(2), layers).expect("a network");
    let certificate = |lipschitz: f64| {
        let claim = ChainClaim {
            output: Output::All,
            lipschitz: 1.001,
            multipliers: vec![vec![1.0, 1.0]],
            dual: Some(DualVectors {
                rank: 1,
                blocks: vec![vec![1.0, 1.0]; 2],
            }),
        };
        let mut layers = certify_layers(&map);
        let prepared = Prepared::new(&map.layers()[0], Shape::Flat(2)).expect("prepared");
        let witness = Witness::Structural {};
        layers[0] = LayerCertificate::check(&prepared, LayerClaim { lipschitz, witness }).expect("a layer");
        let chain = ChainCertificate::check(&map, claim).expect("a chain");
        NetworkCertificate::compose(&map, layers, vec![chain], Output::All).expect("a network")
    };
    let honest = certificate(1.0);
    let forged = certificate(1e6);
    assert!(honest.upper() < 1.01);
    // these rules prove 1.01, so nothing larger is below all that they could prove
    let dual = forged.dual_down();
    assert!(dual.is_none_or(|dual| dual <= honest.upper()), "{dual:?}");
}

/// Vectors whose products overflow prove nothing, whatever the slopes are, and break nothing.
#[test]
fn dual_vectors_that_overflow() {
    for slope in [0.0, 0.3, -0.5, 3.0] {
        let map = dense_network(
            &[matrix(2, 2, vec![1.0, -2.0, 0.5, 1.0]), matrix(2, 2, vec![1.0; 4])],
            Activation::LeakyRelu { slope },
        );
        let chain = Chain::of(&map, Output::All).expect("a chain");
        for size in [1e160, 1e300, f64::MAX, 1e-300] {
            let dual = lipsdp::dual_down(&chain, 1, &[vec![size; 2], vec![-size; 2]]).expect("vectors");
            // Far above the norm of both weights together, for every slope here.
            assert!((0.0..30.0).contains(&dual), "{slope} {size:e} {dual}");
        }
    }
}
