//! Plain evaluation against reference values of the published formulas and of PyTorch.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod reference;

use lipcert_models::data::{DataOptions, Dataset, Pixels};
use lipcert_models::forward::{self, Float, ForwardError, Prepared, float32_factor};
use lipcert_proofs::statement::{Kernel, Layer, Matrix, NetworkMap, Scale, Shape};
use ndarray::{Array2, ArrayView2, Axis};
use reference::{Vectors, digits_network, expected_digits, head, image};
use serde_json::Value;

/// A reference value was summed in another order: a few units in the last place per term, of at most 100 terms.
const NEAR: f64 = 100.0 * 4.0 * f64::EPSILON;

fn assert_near(found: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0f64, |scale, value| scale.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(difference <= relative * scale, "{index}: {found} and {expected}");
    }
}

/// The one layer's value at `x`.
fn value<T: Float + Into<f64>>(layer: Layer, shape: Shape, x: &[f64]) -> Vec<f64> {
    let flatten = matches!(shape, Shape::Image { .. }).then_some(Layer::Flatten);
    let layers = [layer].into_iter().chain(flatten).chain([head(1, shape.len())]).collect();
    let map = NetworkMap::new(shape, layers).unwrap();
    let x = Array2::from_shape_fn((1, x.len()), |(_, index)| T::of(x[index]));
    let y = Prepared::new(&map).apply(0, x.view()).unwrap();
    y.iter().map(|value| (*value).into()).collect()
}

fn dense(vectors: &Vectors, scale: Scale) -> Layer {
    Layer::ResidualDense {
        weight: vectors.matrix("A"),
        bias: vectors.numbers("b"),
        scale,
    }
}

fn conv(vectors: &Vectors, scale: Scale) -> Layer {
    Layer::ResidualConv {
        kernel: Kernel::new("K", 2, 2, 3, vectors.numbers("K")).unwrap(),
        bias: vectors.numbers("bias"),
        scale,
    }
}

#[test]
fn dense_layer_as_the_reference() {
    let vectors = Vectors::read("sll_dense");
    let q = vectors.numbers("q_raw");
    let layer = || dense(&vectors, Scale::Weighted { q: q.clone() });
    assert_near(&forward::factor::<f64>(&layer()), &vectors.numbers("t_inv"), NEAR);
    for (x, y) in [("x", "h_x"), ("y", "h_y")] {
        let found = value::<f64>(layer(), Shape::Flat(3), &vectors.numbers(x));
        assert_near(&found, &vectors.numbers(y), NEAR);
        let found = value::<f32>(layer(), Shape::Flat(3), &vectors.numbers(x));
        assert_near(&found, &vectors.numbers(y), 100.0 * 4.0 * f64::from(f32::EPSILON));
    }
    // the same factors from a file
    let factor = vectors.numbers("t_inv");
    let stored = value::<f64>(
        dense(&vectors, Scale::Stored { factor }),
        Shape::Flat(3),
        &vectors.numbers("x"),
    );
    assert_near(&stored, &vectors.numbers("h_x"), NEAR);
    // without `q`
    let aol: Vec<f64> = forward::factor(&dense(&vectors, Scale::RowSum { q: vec![0.0; 4] }));
    let aol: Vec<f64> = aol.iter().map(|factor| 1.0 / factor).collect();
    assert_near(&aol, &vectors.numbers("T_aol_q_zero"), NEAR);
}

#[test]
fn dense_factor_as_in_the_sum_of_squares() {
    let vectors = Vectors::read("gershgorin_sos");
    let layer = Layer::ResidualDense {
        weight: vectors.matrix("A"),
        bias: vec![0.0; 3],
        scale: Scale::Weighted {
            q: vectors.numbers("q").iter().map(|q| q.ln()).collect(),
        },
    };
    let t: Vec<f64> = forward::factor(&layer).iter().map(|factor: &f64| 1.0 / factor).collect();
    assert_near(&t, &vectors.numbers("T"), NEAR);
}

#[test]
fn convolution_as_the_reference() {
    let vectors = Vectors::read("sll_conv");
    let q = vectors.numbers("q_raw");
    let official = || conv(&vectors, Scale::RowSum { q: q.clone() });
    let intended = || conv(&vectors, Scale::Weighted { q: q.clone() });
    for (layer, t, h) in [
        (&official as &dyn Fn() -> Layer, "T_official", "h_official"),
        (&intended, "T_paper", "h_paperT"),
    ] {
        let found: Vec<f64> = forward::factor(&layer()).iter().map(|factor: &f64| 1.0 / factor).collect();
        assert_near(&found, &vectors.numbers(t), NEAR);
        let found = value::<f64>(layer(), image(2, 5, 5), &vectors.numbers("X"));
        assert_near(&found, &vectors.numbers(h), NEAR);
        let found = value::<f32>(layer(), image(2, 5, 5), &vectors.numbers("X"));
        assert_near(&found, &vectors.numbers(h), 100.0 * 4.0 * f64::from(f32::EPSILON));
    }
}

#[test]
fn convolution_uses_the_lattice_and_not_the_border() {
    let vectors = Vectors::read("sll_conv_border");
    let layer = Layer::ResidualConv {
        kernel: Kernel::new("K", 1, 2, 3, vectors.numbers("kernel_cout1_cin2_3x3")).unwrap(),
        bias: vec![0.0],
        scale: Scale::RowSum { q: vec![0.3] },
    };
    let t = 1.0 / forward::factor::<f64>(&layer)[0];
    assert_near(&[t], &vectors.numbers("T"), NEAR);
}

#[test]
fn zero_rows_are_off_and_old_factors_are_what_the_file_says() {
    let layer = Layer::ResidualDense {
        weight: Matrix::new("A", 2, 2, vec![0.0, 0.0, 3.0, 4.0]).unwrap(),
        bias: vec![1.0, 0.0],
        scale: Scale::Weighted { q: vec![0.0, 0.0] },
    };
    assert_near(&forward::factor::<f64>(&layer), &[0.0, 0.04], NEAR);
    assert_eq!(float32_factor(&layer).len(), 2);
    assert!(float32_factor(&Layer::Flatten).is_empty());

    // x − Aᵀ diag(T2) relu(A x + b): the factor is half of T2
    let vectors = Vectors::read("sll_dense_epsilon_bug");
    let factor: Vec<f64> = vectors.numbers("T2").iter().map(|value| value / 2.0).collect();
    let layer = Layer::ResidualDense {
        weight: vectors.matrix("A"),
        bias: vec![1.0; 4],
        scale: Scale::Stored { factor: factor.clone() },
    };
    let (a, x) = (vectors.matrix("A"), [0.3, -0.2, 0.1]);
    let mut expected = x.to_vec();
    for (row, factor) in factor.iter().enumerate() {
        let inner: f64 = a.row(row).iter().zip(x).map(|(a, x)| a * x).sum::<f64>() + 1.0;
        for (expected, a) in expected.iter_mut().zip(a.row(row)) {
            *expected -= 2.0 * a * factor * inner.max(0.0);
        }
    }
    assert_near(&value::<f64>(layer, Shape::Flat(3), &x), &expected, NEAR);
}

#[test]
fn head_as_the_reference() {
    let vectors = Vectors::read("lln_radius");
    let layer = Layer::NormalizedHead {
        weight: vectors.matrix("W"),
        bias: vectors.numbers("b"),
    };
    let map = NetworkMap::new(Shape::Flat(5), vec![layer]).unwrap();
    let phi = Array2::from_shape_vec((1, 5), vectors.numbers("phi")).unwrap();
    let found = Prepared::new(&map).evaluate(phi.view()).unwrap();
    assert_near(found.as_slice().unwrap(), &vectors.numbers("logits"), NEAR);

    let vectors = Vectors::read("margin_eval_hazard");
    let layer = Layer::NormalizedHead {
        weight: vectors.matrix("W"),
        bias: vectors.numbers("b"),
    };
    let map = NetworkMap::new(Shape::Flat(2), vec![layer]).unwrap();
    let phi = Array2::from_shape_vec((3, 2), vectors.numbers("phi")).unwrap();
    let found = Prepared::<f64>::new(&map).evaluate(phi.view()).unwrap();
    let rows = vectors.value("rows").as_array().unwrap().iter();
    let expected: Vec<f64> = rows.flat_map(|row| reference::numbers(&row["logits"])).collect();
    assert_near(found.as_slice().unwrap(), &expected, NEAR);
    // two identical rows give two identical logits
    assert!(found.outer_iter().all(|row| row[1].to_bits() == row[3].to_bits()));
}

#[test]
fn convolution_and_adjoint_agree_on_every_size() {
    // with a large bias the relu is the identity, so that h(x) − h(0) = (I − 2 Kᵀ diag(factor) K) x, a symmetric matrix
    for (channels, height, width, size) in [(1, 1, 1, 3), (2, 1, 4, 3), (3, 2, 5, 5), (1, 6, 3, 1)] {
        let d = channels * height * width;
        let data = (0..2 * channels * size * size).map(|i| ((i * 7 % 11) as f64 - 5.0) / 8.0);
        let kernel = Kernel::new("K", 2, channels, size, data.collect()).unwrap();
        let layer = || Layer::ResidualConv {
            kernel: kernel.clone(),
            bias: vec![1e3; 2],
            scale: Scale::Stored {
                factor: vec![0.125, 0.25],
            },
        };
        let shape = image(channels, height, width);
        let at = |x: &[f64]| value::<f64>(layer(), shape, x);
        let origin = at(&vec![0.0; d]);
        let columns: Vec<f64> = (0..d)
            .flat_map(|i| {
                let unit: Vec<f64> = (0..d).map(|j| f64::from(u8::from(i == j))).collect();
                let column: Vec<f64> = at(&unit).iter().zip(&origin).map(|(h, o)| h - o).collect();
                column
            })
            .collect();
        let jacobian = Array2::from_shape_vec((d, d), columns).unwrap();
        for ((i, j), entry) in jacobian.indexed_iter() {
            let transposed = jacobian[(j, i)];
            // a bias of 1000 costs three digits
            assert!(
                (entry - transposed).abs() < 1e-10,
                "{shape:?} {size}: {entry} and {transposed}"
            );
            let expected = f64::from(u8::from(i == j)) - 2.0 * gram(&kernel, shape, i, j);
            assert!((entry - expected).abs() < 1e-10, "{shape:?} {size}: {entry} and {expected}");
        }
    }
}

/// `(Kᵀ diag(1/8, 1/4) K)_{ij}` from the definition of `conv2d`.
fn gram(kernel: &Kernel, shape: Shape, i: usize, j: usize) -> f64 {
    let Shape::Image { height, width, .. } = shape else {
        unreachable!("an image")
    };
    let (size, half) = (kernel.size() as isize, kernel.size() as isize / 2);
    let entry = |inner: usize, y: usize, x: usize, place: usize| {
        let (channel, row, column) = (place / (height * width), place / width % height, place % width);
        let (a, b) = (row as isize - y as isize + half, column as isize - x as isize + half);
        if (0..size).contains(&a) && (0..size).contains(&b) {
            kernel.filter(inner)[channel * (size * size) as usize + (a * size + b) as usize]
        } else {
            0.0
        }
    };
    let mut sum = 0.0;
    for (inner, factor) in [0.125, 0.25].into_iter().enumerate() {
        for y in 0..height {
            for x in 0..width {
                sum += factor * entry(inner, y, x, i) * entry(inner, y, x, j);
            }
        }
    }
    sum
}

#[test]
fn normalize_pad_and_pool() {
    let layers = vec![
        Layer::Normalize {
            mean: vec!["0.5".parse().unwrap(), "0.25".parse().unwrap()],
            std: vec!["0.5".parse().unwrap(), "0.125".parse().unwrap()],
        },
        Layer::PadChannels { channels: 3 },
        Layer::AveragePool { size: 2, divisor: 8 },
        Layer::Flatten,
        head(2, 6),
    ];
    let map = NetworkMap::new(image(2, 2, 4), layers).unwrap();
    let prepared = Prepared::<f64>::new(&map);
    let x = Array2::from_shape_fn((2, 16), |(sample, index)| (sample + index) as f64);
    // a view in the other memory order must give the same
    let reversed = x.t().as_standard_layout().into_owned();
    let out = prepared.features(reversed.t()).unwrap();
    // windows {0,1,4,5} + sample: (10 + 4 s − 4·0.5) / 0.5 / 8, and so on
    let expected = |s: f64| {
        [
            (10.0 + 4.0 * s - 2.0) / 4.0,
            (18.0 + 4.0 * s - 2.0) / 4.0,
            42.0 + 4.0 * s - 1.0,
            50.0 + 4.0 * s - 1.0,
            0.0,
            0.0,
        ]
    };
    assert_near(out.row(0).as_slice().unwrap(), &expected(0.0), NEAR);
    assert_near(out.row(1).as_slice().unwrap(), &expected(1.0), NEAR);
    assert_eq!(prepared.evaluate(ArrayView2::from(&[[0.0; 16]; 0])).unwrap().dim(), (0, 2));
}

#[test]
fn refuses_samples_of_another_shape() {
    let map = NetworkMap::new(image(1, 2, 2), vec![Layer::Flatten, head(1, 4)]).unwrap();
    let pixels = |n| Pixels::Floats(vec![1.0; n]);
    let other = Dataset::from_samples("other", [1, 1, 4], 1, pixels(4), vec![0]).unwrap();
    let prepared = Prepared::<f64>::new(&map);
    let error = prepared.logits(&other, 0..1).unwrap_err();
    assert_eq!(
        error,
        ForwardError::Input {
            expected: vec![1, 2, 2],
            found: vec![1, 1, 4]
        }
    );
    let fits = Dataset::from_samples("fits", [1, 2, 2], 1, pixels(8), vec![0, 0]).unwrap();
    assert_eq!(prepared.logits(&fits, 0..2).unwrap().dim(), (2, 1));
    assert!(matches!(
        prepared.logits(&fits, 1..3),
        Err(ForwardError::Range { end: 3, .. })
    ));
    assert!(matches!(
        prepared.apply(2, ArrayView2::from(&[[0.0; 4]])),
        Err(ForwardError::Layer { .. })
    ));
    // a network on vectors takes images of as many values
    let flat = NetworkMap::new(Shape::Flat(4), vec![head(1, 4)]).unwrap();
    assert!(forward::logits::<f32>(&flat, &other, 0..1).is_ok());
}

#[test]
fn digits_network_as_pytorch() {
    let (map, names) = digits_network();
    let expected = expected_digits();
    let data = Dataset::open("digits", &DataOptions::default()).unwrap();
    assert_eq!(data.len(), 360);

    let exact = forward::logits::<f64>(&map, &data, 0..360).unwrap();
    // 10 layers of sums of at most 216 terms below 10: measured 5e-15
    assert_near(exact.as_slice().unwrap(), &expected.float64("logits64"), 1e-12);
    let single = forward::logits::<f32>(&map, &data, 0..360).unwrap();
    let single: Vec<f64> = single.iter().map(|value| f64::from(*value)).collect();
    assert_near(&single, &expected.float32("logits_test"), 1e-5);

    let right = exact.outer_iter().zip(data.labels()).filter(|(logits, label)| {
        let top = (1..10).fold(0, |top, class| if logits[class] > logits[top] { class } else { top });
        top == usize::from(**label)
    });
    assert_eq!(right.count(), 339, "accuracy 0.94167");

    for (name, layer) in names.iter().zip(map.layers()) {
        let factor: Vec<f64> = forward::factor(layer);
        if factor.is_empty() {
            continue;
        }
        let reference = expected.float64(&format!("t_module.model.model.{name}"));
        for ((factor, single), reference) in factor.iter().zip(float32_factor(layer)).zip(&reference) {
            // relative: sums of at most 24·25 terms of 216 products
            assert!((factor / reference - 1.0).abs() < 1e-12, "{name}: {factor} and {reference}");
            assert!(
                (f64::from(single) / reference - 1.0).abs() < 1e-5,
                "{name}: {single} and {reference}"
            );
        }
    }
}

#[test]
fn parts_of_a_batch_do_not_change_a_sample() {
    let (map, _) = digits_network();
    let data = Dataset::open("digits", &DataOptions::default()).unwrap();
    let prepared = Prepared::<f64>::new(&map);
    let all = prepared.logits(&data, 0..150).unwrap();
    let inputs = forward::inputs::<f64>(&data, 60..70).unwrap();
    let part = prepared.evaluate(inputs.view()).unwrap();
    let same = all.slice_axis(Axis(0), (60..70).into());
    // the order of summation may depend on the number of rows
    assert_near(part.as_slice().unwrap(), &same.iter().copied().collect::<Vec<_>>(), 1e-13);
}

#[test]
fn the_fixture_says_what_it_is() {
    let meta: Value = serde_json::from_str(&reference::fixture_text("sll_digits/meta.json")).unwrap();
    assert_eq!(meta["parameters"], 34442);
    assert_eq!(meta["mean"][0], 0.3053);
}
