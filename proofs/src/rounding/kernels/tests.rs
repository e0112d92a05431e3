//! The kernels against triple loops in float64, against exact rationals, and on NaN.
#![expect(clippy::float_arithmetic, clippy::disallowed_methods, reason = "second methods in floats")]

use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use pulp::Arch;

use super::conv::ResidualConv;
use super::dense::{ResidualDense, Scratch, affine};
use super::image::Image;
use super::norm::{norm_up, norm_up_on};
use super::pool::average_pool;
use crate::rounding::directed::{self, gamma_up};
use crate::statement::{Kernel, Matrix};

/// Numbers in `[−1, 1)` from a linear congruential generator.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

/// Every choice of instructions that this machine can run, the poorest first.
fn arches() -> Vec<Arch> {
    let mut arches = vec![Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    arches.extend(pulp::x86::V3::try_new().map(Arch::V3));
    arches.push(Arch::new());
    arches
}

/// A matrix entry by entry, so that one reference serves dense and convolutional layers.
struct Rows {
    /// Per row: column and value of every entry that is there.
    entries: Vec<Vec<(usize, f64)>>,
}

impl Rows {
    fn dense(weight: &Matrix) -> Self {
        Self {
            entries: (0..weight.rows())
                .map(|row| weight.row(row).iter().copied().enumerate().collect())
                .collect(),
        }
    }

    /// The zero-padded convolution, one row an inner channel and pixel.
    fn convolution(kernel: &Kernel, height: usize, width: usize) -> Self {
        let (size, radius) = (kernel.size(), kernel.size() / 2);
        let mut entries = Vec::new();
        for inner in 0..kernel.inner() {
            for y in 0..height {
                for x in 0..width {
                    let mut row = Vec::new();
                    for (index, value) in kernel.filter(inner).iter().enumerate() {
                        let (channel, dy, dx) = (index / (size * size), index / size % size, index % size);
                        let (Some(y), Some(x)) = ((y + dy).checked_sub(radius), (x + dx).checked_sub(radius)) else {
                            continue;
                        };
                        if y < height && x < width {
                            row.push(((channel * height + y) * width + x, *value));
                        }
                    }
                    entries.push(row);
                }
            }
        }
        Self { entries }
    }

    /// `s` and `y` of the residual layer, and bounds of how far another order of summation may be from these, in both.
    ///
    /// Both sides of a comparison err, hence twice `γ`; the error of `s` is carried through the second product.
    fn residual(&self, bias: &[f64], factor: &[f64], x: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) {
        let each = self.entries.len() / bias.len();
        let (mut inner, mut inner_slack) = (Vec::new(), Vec::new());
        for (row, entries) in self.entries.iter().enumerate() {
            let (b, t) = (bias[row / each], factor[row / each]);
            let (mut sum, mut size) = (b, b.abs());
            for (column, value) in entries {
                sum += value * x[*column];
                size += (value * x[*column]).abs();
            }
            inner.push(if sum > 0.0 { t * sum } else { 0.0 });
            inner_slack.push(2.0 * gamma_up(entries.len() + 3) * t * size + f64::MIN_POSITIVE);
        }
        let (mut product, mut size, mut terms) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![4; x.len()]);
        let mut carried = vec![0.0; x.len()];
        for (row, entries) in self.entries.iter().enumerate() {
            for (column, value) in entries {
                product[*column] += value * inner[row];
                size[*column] += (value * inner[row]).abs();
                carried[*column] += value.abs() * inner_slack[row];
                terms[*column] += 1;
            }
        }
        let output: Vec<f64> = x.iter().zip(&product).map(|(x, product)| x - 2.0 * product).collect();
        let slack = (0..x.len())
            .map(|i| 2.1 * carried[i] + 2.0 * gamma_up(terms[i]) * (2.0 * size[i] + x[i].abs()) + f64::MIN_POSITIVE)
            .collect();
        (inner, inner_slack, output, slack)
    }
}

/// Whether every entry lies within its slack; NaN never does.
fn close(found: &[f64], expected: &[f64], slack: &[f64]) -> bool {
    found.len() == expected.len() && (0..found.len()).all(|i| (found[i] - expected[i]).abs() <= slack[i])
}

fn pixels(image: &Image) -> Vec<f64> {
    let mut sample = vec![0.0; image.channels() * image.height() * image.width()];
    image.store(&mut sample);
    sample
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolutions_agree_with_loops(
        (channels, inner, radius) in (1usize..50, 1usize..30, 0usize..3),
        (height, width, wider) in (1usize..12, 1usize..40, 0usize..2),
        seed in any::<u64>(),
    ) {
        let size = 2 * radius + 1;
        let weights = numbers(inner * channels * size * size, seed);
        let kernel = Kernel::new("kernel", inner, channels, size, weights).expect("well-formed kernel");
        let (bias, factor) = (numbers(inner, seed ^ 1), numbers(inner, seed ^ 2));
        let factor: Vec<f64> = factor.iter().map(|value| value.abs()).collect();
        let x = numbers(channels * height * width, seed ^ 3);
        let layer = ResidualConv::new(&kernel, &bias, &factor);
        let rows = Rows::convolution(&kernel, height, width);
        let (s, s_slack, y, y_slack) = rows.residual(&bias, &factor, &x);
        for arch in arches() {
            // Margins may be wider than this kernel needs.
            let mut image = Image::new(channels, height, width, radius + wider);
            let mut scratch = Image::new(1, 1, 1, 0);
            image.load(&x);
            layer.apply_on(arch, &mut image, &mut scratch);
            prop_assert!(close(&pixels(&scratch), &s, &s_slack));
            prop_assert!(close(&pixels(&image), &y, &y_slack));
            // Margins are still zero: a copy made from the pixels alone has the same buffer.
            for image in [image, scratch] {
                let mut copy = Image::new(image.channels(), height, width, radius + wider);
                copy.load(&pixels(&image));
                prop_assert_eq!(copy.padded(), image.padded());
            }
        }
    }

    #[test]
    fn dense_layers_agree_with_loops(
        (rows, cols, samples) in (1usize..80, 1usize..90, 1usize..20),
        seed in any::<u64>(),
    ) {
        let weight = Matrix::new("weight", rows, cols, numbers(rows * cols, seed)).expect("well-formed matrix");
        let bias = numbers(rows, seed ^ 1);
        let factor: Vec<f64> = numbers(rows, seed ^ 2).iter().map(|value| value.abs()).collect();
        let x = numbers(cols * samples, seed ^ 3);
        let mut logits = vec![0.0; rows * samples];
        affine(&weight, &bias, &x, &mut logits);
        let reference = Rows::dense(&weight);
        let results: Vec<_> = arches().into_iter().map(|arch| {
            let (mut batch, mut scratch) = (x.clone(), Scratch::default());
            ResidualDense::new(&weight, &bias, &factor).apply_on(arch, &mut batch, &mut scratch);
            (batch, scratch)
        }).collect();
        for i in 0..samples {
            let x = &x[i * cols..(i + 1) * cols];
            let (s, s_slack, y, y_slack) = reference.residual(&bias, &factor, x);
            for (batch, scratch) in &results {
                prop_assert!(close(&scratch.inner()[i * rows..(i + 1) * rows], &s, &s_slack));
                prop_assert!(close(&batch[i * cols..(i + 1) * cols], &y, &y_slack));
            }
            for row in 0..rows {
                let (sum, size) = weight.row(row).iter().zip(x).fold((bias[row], bias[row].abs()), |(sum, size), (w, x)| {
                    (sum + w * x, size + (w * x).abs())
                });
                prop_assert!((logits[i * rows + row] - sum).abs() <= 2.0 * gamma_up(cols + 2) * size);
            }
        }
    }

    #[test]
    fn pools_agree_with_loops(
        (channels, rows, cols, size) in (1usize..5, 1usize..6, 1usize..6, 1usize..5),
        divisor in 1u32..20,
        seed in any::<u64>(),
    ) {
        let (height, width) = (rows * size, cols * size);
        let x = numbers(channels * height * width, seed);
        let mut image = Image::new(channels, height, width, 1);
        image.load(&x);
        let mut output = vec![0.0; channels * rows * cols];
        average_pool(&image, size, divisor, &mut output);
        for (index, found) in output.iter().enumerate() {
            let (channel, row, col) = (index / (rows * cols), index / cols % rows, index % cols);
            let (mut sum, mut absolute) = (0.0, 0.0);
            for y in 0..size {
                for x_offset in 0..size {
                    let value = x[(channel * height + row * size + y) * width + col * size + x_offset];
                    sum += value;
                    absolute += value.abs();
                }
            }
            let divisor = f64::from(divisor);
            prop_assert!((found - sum / divisor).abs() <= 2.0 * gamma_up(size * size + 1) * absolute / divisor);
        }
    }

    #[test]
    fn norms_are_upper_and_close(count in 0usize..400, scale in -500i32..500, seed in any::<u64>()) {
        let scale = 2f64.powi(scale);
        let values: Vec<f64> = numbers(count, seed).iter().map(|value| value * scale).collect();
        let squares = values.iter().fold(BigRational::from(BigInt::from(0)), |sum, v| sum + exact(*v) * exact(*v));
        let slack = 1.0 + 2.0 * gamma_up(count + 8);
        for arch in arches() {
            let found = norm_up_on(arch, &values);
            prop_assert!(exact(found) * exact(found) >= squares);
            prop_assert!(found <= directed::norm_up(&values) * slack);
        }
    }
}

fn exact(value: f64) -> BigRational {
    BigRational::from_float(value).expect("finite")
}

/// `relu`, in rationals.
fn relu(value: BigRational) -> BigRational {
    value.max(BigRational::from(BigInt::from(0)))
}

/// The layer in exact rationals, and the bounds that the module promises: `γ_{n+1}` with the bias, `γ_n` without, one rounding
/// for the factor and one for the difference.
#[test]
fn sums_stay_within_the_promised_bounds_of_the_exact_ones() {
    let (channels, inner, size, height, width) = (3, 4, 3, 4, 5);
    let zero = || BigRational::from(BigInt::from(0));
    let unit = exact(f64::EPSILON / 2.0);
    for seed in 0..4 {
        let weights = numbers(inner * channels * size * size, seed);
        let kernel = Kernel::new("kernel", inner, channels, size, weights).expect("well-formed kernel");
        let (bias, factor) = (numbers(inner, seed + 10), vec![0.3; inner]);
        let x = numbers(channels * height * width, seed + 20);
        let mut image = Image::new(channels, height, width, 1);
        let mut scratch = image.clone();
        image.load(&x);
        ResidualConv::new(&kernel, &bias, &factor).apply(&mut image, &mut scratch);
        let (s, y) = (pixels(&scratch), pixels(&image));
        let rows = Rows::convolution(&kernel, height, width);
        let gamma = exact(gamma_up(channels * size * size + 1));
        for (row, entries) in rows.entries.iter().enumerate() {
            let b = exact(bias[row / (height * width)]);
            let t = exact(factor[row / (height * width)]);
            let terms: Vec<BigRational> = entries.iter().map(|(c, w)| exact(*w) * exact(x[*c])).collect();
            let sum = terms.iter().fold(b.clone(), |sum, term| sum + term);
            let absolute = terms
                .iter()
                .fold(relu(b.clone()).max(-b), |sum, term| sum + term.clone().max(-term));
            // |s − t relu(r)| ≤ t γ (|b| + Σ|w||x|) (1 + u) + u t relu(r)
            let expected = &t * relu(sum);
            let bound = &t * &gamma * absolute * (exact(1.0) + &unit) + &unit * &expected;
            let error = exact(s[row]) - expected;
            assert!(error.clone().max(-error) <= bound, "inner entry {row}");
        }
        let gamma = exact(gamma_up(inner * size * size));
        let (mut sums, mut absolutes) = (vec![zero(); x.len()], vec![zero(); x.len()]);
        for (row, entries) in rows.entries.iter().enumerate() {
            for (column, weight) in entries {
                let term = exact(*weight) * exact(s[row]);
                absolutes[*column] += term.clone().max(-term.clone());
                sums[*column] += term;
            }
        }
        for column in 0..x.len() {
            let two = exact(2.0);
            let expected = exact(x[column]) - &two * &sums[column];
            let bound = two * &gamma * &absolutes[column] + &unit * exact(y[column].abs()) / (exact(1.0) - &unit);
            let error = exact(y[column]) - expected;
            assert!(error.clone().max(-error) <= bound, "output entry {column}");
        }
    }
}

#[test]
fn nan_and_infinity_are_not_lost() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (channels, inner, height, width) = (3, 7, 6, 7);
        let kernel = Kernel::new("kernel", inner, channels, 3, numbers(inner * channels * 9, 1)).expect("well-formed kernel");
        let layer = ResidualConv::new(&kernel, &numbers(inner, 2), &vec![0.0; inner]);
        for position in 0..channels * height * width {
            let mut x = numbers(channels * height * width, 3);
            x[position] = bad;
            for arch in arches() {
                let mut image = Image::new(channels, height, width, 1);
                let mut scratch = image.clone();
                image.load(&x);
                layer.apply_on(arch, &mut image, &mut scratch);
                assert!(!pixels(&image)[position].is_finite(), "{bad} at {position}");
                assert!(!norm_up_on(arch, image.padded()).is_finite());
                if bad.is_nan() {
                    assert!(pixels(&scratch).iter().any(|value| value.is_nan()), "relu keeps NaN");
                }
            }
        }

        let weight = Matrix::new("weight", 5, 9, numbers(45, 4)).expect("well-formed matrix");
        let (bias, factor) = (numbers(5, 5), vec![0.0; 5]);
        let mut batch = numbers(18, 6);
        batch[11] = bad;
        let mut logits = vec![0.0; 10];
        affine(&weight, &bias, &batch, &mut logits);
        assert!(logits[..5].iter().all(|value| value.is_finite()), "samples do not mix");
        assert!(logits[5..].iter().all(|value| !value.is_finite()));
        ResidualDense::new(&weight, &bias, &factor).apply(&mut batch, &mut Scratch::default());
        assert!(batch[..9].iter().all(|value| value.is_finite()), "samples do not mix");
        assert!(!batch[11].is_finite());

        let mut values = vec![1.0; 70];
        values[69] = bad;
        assert!(!norm_up(&values).is_finite());
    }
    assert!(norm_up(&[f64::NAN]).is_nan());
    assert!(norm_up(&[]) <= f64::MIN_POSITIVE);
}

/// An infinity that meets a factor of zero is NaN afterwards, not zero.
#[test]
fn a_channel_that_is_off_hides_nothing() {
    let weight = Matrix::new("weight", 1, 1, vec![1.0]).expect("well-formed matrix");
    let mut batch = [f64::INFINITY];
    let mut scratch = Scratch::default();
    ResidualDense::new(&weight, &[0.0], &[0.0]).apply(&mut batch, &mut scratch);
    assert!(scratch.inner()[0].is_nan() && batch[0].is_nan());
}
