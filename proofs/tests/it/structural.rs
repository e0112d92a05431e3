//! Rule `structural`.

use lipcert_proofs::CheckError;
use lipcert_proofs::rules::structural::bound_up;
use lipcert_proofs::statement::{Activation, Decimal, Layer, Matrix, NetworkMap, Operation, Shape};

use crate::common::exact;

fn decimals(values: &[&str]) -> Vec<Decimal> {
    values.iter().map(|text| text.parse().expect("a decimal")).collect()
}

fn normalize(std: &[&str]) -> Layer {
    Layer::Normalize {
        mean: vec![Decimal::ZERO; std.len()],
        std: decimals(std),
    }
}

#[test]
fn accept_table() {
    for (layer, least, most) in [
        (Layer::Flatten, 1.0, 1.0),
        (Layer::PadChannels { channels: 9 }, 1.0, 1.0),
        (Layer::AveragePool { size: 4, divisor: 4 }, 1.0, 1.0),
        (Layer::AveragePool { size: 4, divisor: 16 }, 0.25, 0.25),
        (Layer::AveragePool { size: 3, divisor: 7 }, 3.0 / 7.0, 3.0_f64.next_up() / 7.0),
        (normalize(&["1", "1"]), 1.0, 1.0),
        (normalize(&["0.2507"]), 1.0 / 0.2507, 3.99),
    ] {
        let bound = bound_up(&layer).expect("a bound");
        assert!(least <= bound && bound <= most, "{layer:?} {bound}");
    }
}

/// std ≠ 1 multiplies the constant by the largest 1/std, whichever channel it is in.
#[test]
fn reject_table() {
    for std in [["1", "0.5", "1"], ["0.5", "1", "1"], ["1", "1", "0.5"]] {
        assert!(bound_up(&normalize(&std)).expect("a bound") >= 2.0);
    }
    let head = Layer::NormalizedHead {
        weight: Matrix::new("head", 1, 1, vec![1.0]).expect("a matrix"),
        bias: vec![0.0],
    };
    assert!(matches!(bound_up(&head), Err(CheckError::RuleMismatch { .. })));
    let shape = Shape::Image {
        channels: 1,
        height: 5,
        width: 4,
    };
    for layer in [
        normalize(&["0"]),
        normalize(&["-1"]),
        normalize(&["1", "1"]),
        Layer::AveragePool { size: 4, divisor: 4 },
        Layer::AveragePool { size: 0, divisor: 1 },
        Layer::PadChannels { channels: 0 },
    ] {
        assert!(layer.output_shape(shape).is_err(), "{layer:?}");
    }
    assert!(Layer::Flatten.output_shape(Shape::Flat(3)).is_err());
    let late = vec![Layer::Flatten, normalize(&["1"]), head];
    assert!(matches!(
        NetworkMap::new(
            Shape::Image {
                channels: 1,
                height: 1,
                width: 1
            },
            late
        ),
        Err(CheckError::Order { index: 1, .. })
    ));
}

/// Activations and constants: (layer, bound).
#[test]
fn entrywise_maps() {
    let constant = |operation, operand: Vec<f64>| Layer::Elementwise { operation, operand };
    for (layer, expected) in [
        (Layer::Activation(Activation::Relu), 1.0),
        (Layer::Activation(Activation::LeakyRelu { slope: 0.1 }), 1.0),
        (Layer::Activation(Activation::LeakyRelu { slope: -3.0 }), 3.0),
        (Layer::Activation(Activation::LeakyRelu { slope: 2.5 }), 2.5),
        (Layer::Activation(Activation::Tanh), 1.0),
        (Layer::Activation(Activation::Sigmoid), 0.25),
        (Layer::Activation(Activation::Softplus { beta: 9.0 }), 1.0),
        (Layer::Activation(Activation::Elu), 1.0),
        (constant(Operation::Add, vec![7.0, -1e300]), 1.0),
        (constant(Operation::Subtract, vec![7.0, 0.0]), 1.0),
        (constant(Operation::Multiply, vec![0.5, -2.0]), 2.0),
        (constant(Operation::Multiply, vec![0.0, 0.0]), 0.0),
        (constant(Operation::Divide, vec![4.0, -0.25]), 4.0),
    ] {
        let bound = bound_up(&layer).expect("a map without weights");
        assert!((bound - expected).abs() <= 0.0, "{layer:?}: {bound}");
    }
    // A third is no float: rounded up.
    let bound = bound_up(&constant(Operation::Divide, vec![3.0])).expect("a bound");
    assert!(exact(bound) * exact(3.0) >= exact(1.0));
    let refused = |layer: Layer| layer.output_shape(Shape::Flat(2)).map(|_| ());
    assert!(matches!(
        refused(constant(Operation::Divide, vec![1.0, 0.0])),
        Err(CheckError::NotPositive { index: 1, .. })
    ));
    assert!(matches!(
        refused(constant(Operation::Add, vec![1.0])),
        Err(CheckError::Shape { .. })
    ));
    assert!(matches!(
        refused(constant(Operation::Add, vec![1.0, f64::NAN])),
        Err(CheckError::NotFinite { .. })
    ));
    assert!(matches!(
        refused(Layer::Activation(Activation::LeakyRelu { slope: f64::NAN })),
        Err(CheckError::NotFinite { what: "slope", .. })
    ));
    for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            matches!(
                refused(Layer::Activation(Activation::Softplus { beta })),
                Err(CheckError::NotPositive { what: "beta", .. })
            ),
            "{beta}"
        );
    }
}
