//! Attacks that once got through.

use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::statement::{Layer, NetworkMap, Scale, Shape};

use crate::common::{certify, kernel, matrix};

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
