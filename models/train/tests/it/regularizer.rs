//! The regularisers against values by hand and against a second way.

use lipcert_train::regularizer;
use tch::{Device, Kind, Tensor};

use crate::common;

fn assert_close(found: &Tensor, expected: f64) {
    let found = found.double_value(&[]);
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn certificate_by_hand() {
    let _alone = common::start();
    // leads 1 and 1.5 over distances 2 and 4, times the gain 0.5: radii 1 and 0.75; the second sample is wrong
    let logits = Tensor::from_slice(&[2.0, 1.0, 0.5, 0.0, 0.0, 0.25])
        .view([2, 3])
        .set_requires_grad(true);
    let labels = Tensor::from_slice(&[0i64, 1]);
    let distances = Tensor::from_slice(&[0.0, 2.0, 4.0, 2.0, 0.0, 3.0, 4.0, 3.0, 0.0]).view([3, 3]);
    let value = regularizer::certificate(&logits, &labels, &distances, 0.5);
    assert_close(&value, -0.375);
    value.backward();
    let expected = [-0.25, 0.0, 0.25, 0.0, 0.0, 0.0];
    let gradient: Vec<f64> = Vec::try_from(logits.grad().view(-1)).unwrap();
    for (found, expected) in gradient.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{gradient:?}");
    }
}

#[test]
fn certificate_of_equal_rows_is_a_number() {
    let _alone = common::start();
    let logits = Tensor::zeros([1, 2], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let distances = Tensor::zeros([2, 2], (Kind::Double, Device::Cpu));
    let value = regularizer::certificate(&logits, &Tensor::from_slice(&[1i64]), &distances, 1.0);
    value.backward();
    assert_close(&value, 0.0);
    assert_eq!(logits.grad().isfinite().all().int64_value(&[]), 1);
}

#[test]
fn curvature_is_the_largest_eigenvalue() {
    let alone = common::start();
    let (first, second) = (alone.normal(3, &[7, 5]), alone.normal(4, &[3, 7]));
    let mut expected = 0.0;
    for label in 0..3 {
        for rival in (0..3).filter(|rival| *rival != label) {
            let weight = (second.select(0, label) - second.select(0, rival)).relu();
            let matrix = first.tr().matmul(&weight.diag(0)).matmul(&first);
            expected += matrix.linalg_eigvalsh("L").max().double_value(&[]) * 2.0 / 4.0 / 6.0;
        }
    }
    let found = regularizer::curvature(&first, &second, 2.0, 500).double_value(&[]);
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    // few rounds stay below
    let early = regularizer::curvature(&first, &second, 2.0, 1).double_value(&[]);
    assert!(early < found && early > 0.5 * found, "{early} of {found}");
}

#[test]
fn curvature_of_one_unit_is_its_second_derivative_at_the_bend() {
    let _alone = common::start();
    let first = Tensor::from_slice(&[1.7]).view([1, 1]);
    let second = Tensor::from_slice(&[0.6, -0.3]).view([2, 1]);
    let score = |place: f64| 0.9 * (2.0 * 1.7 * place).exp().ln_1p() / 2.0;
    let step = 1e-3;
    let bend = (score(step) - 2.0 * score(0.0) + score(-step)) / (step * step);
    // the turned pair has none from above
    let found = regularizer::curvature(&first, &second, 2.0, 1).double_value(&[]);
    assert!((2.0 * found - bend).abs() < 1e-5, "{found} of {bend}");
}

#[test]
fn curvature_has_the_gradient_of_its_value() {
    let alone = common::start();
    let (first, second) = (alone.normal(7, &[5, 3]), alone.normal(8, &[3, 5]));
    let (first, second) = (first.set_requires_grad(true), second.set_requires_grad(true));
    regularizer::curvature(&first, &second, 1.0, 2000).backward();
    let step = alone.normal(9, &[5, 3]) * 1e-5;
    let value = |shift: &Tensor| regularizer::curvature(&(first.detach() + shift), &second.detach(), 1.0, 2000).double_value(&[]);
    let difference = (value(&step) - value(&-&step)) / 2.0;
    let predicted = (first.grad() * &step).sum(None::<Kind>).double_value(&[]);
    assert!(
        (difference - predicted).abs() < 1e-4 * predicted.abs(),
        "{difference} is not {predicted}"
    );
    assert!(second.grad().abs().max().double_value(&[]) > 0.0);
}

#[test]
fn curvature_of_equal_rows_is_zero() {
    let alone = common::start();
    let first = alone.normal(2, &[4, 3]).set_requires_grad(true);
    let value = regularizer::curvature(&first, &first.ones_like().tr(), 1.0, 10);
    value.backward();
    assert_close(&value, 0.0);
    assert_eq!(first.grad().isfinite().all().int64_value(&[]), 1);
}

#[test]
fn orthogonality_takes_the_smaller_side() {
    let _alone = common::start();
    // rows (2, 0, 0) and (0, 1, 1): the Gram matrix minus I is diag(3, 1)
    let wide = Tensor::from_slice(&[2.0, 0.0, 0.0, 0.0, 1.0, 1.0]).view([2, 3]);
    assert_close(&regularizer::orthogonality([&wide]), 10.0);
    assert_close(&regularizer::orthogonality([&wide.tr()]), 10.0);
    // a kernel is its rows
    let kernel = Tensor::cat(&[&wide, &wide.zeros_like()], 1).view([2, 1, 2, 3]);
    assert_close(&regularizer::orthogonality([&kernel, &wide]), 20.0);
    assert_close(&regularizer::orthogonality([]), 0.0);
}
