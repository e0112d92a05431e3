//! Rule `circulant-grid`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, ImageSize, Prepared};
use lipcert_proofs::rules::circulant_grid::least_grid;
use lipcert_proofs::statement::{Layer, Scale, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{by, flat, kernel, own_dominance, vector};

fn layer(inner: usize, channels: usize, size: usize, data: Vec<f64>, factor: Vec<f64>) -> Layer {
    let bias = vec![0.0; inner];
    Layer::ResidualConv {
        kernel: kernel(inner, channels, size, data),
        bias,
        scale: Scale::Stored { factor },
    }
}

fn image(channels: usize, side: usize) -> Shape {
    Shape::Image {
        channels,
        height: side,
        width: side,
    }
}

fn on_grid(layer: &Layer, input: Shape, grid: usize, size: ImageSize, lambda: f64) -> Result<(), CheckError> {
    Prepared::new(layer, input)?.check_gram(&by(GramWitness::CirculantGrid { grid, image: size }, lambda))
}

/// The unrolled operator `T^{-1/2} K` on a square image, rows `(channel, y, x)`; on a torus if `wrap`.
fn unrolled(layer: &Layer, side: usize, wrap: bool) -> DMatrix<f64> {
    unrolled_on(layer, side, side, wrap)
}

/// The same on an image of any shape.
pub(crate) fn unrolled_on(layer: &Layer, height: usize, width: usize, wrap: bool) -> DMatrix<f64> {
    let Layer::ResidualConv {
        kernel: k,
        scale: Scale::Stored { factor },
        ..
    } = layer
    else {
        unreachable!("a convolution")
    };
    let (area, radius) = (height * width, k.size() / 2);
    let (tall, wide) = (height as i64, width as i64);
    let mut operator = DMatrix::zeros(k.inner() * area, k.channels() * area);
    for i in 0..k.inner() {
        for c in 0..k.channels() {
            for y in 0..height {
                for x in 0..width {
                    for dy in 0..k.size() {
                        for dx in 0..k.size() {
                            let (v, w) = ((y + dy) as i64 - radius as i64, (x + dx) as i64 - radius as i64);
                            if wrap || ((0..tall).contains(&v) && (0..wide).contains(&w)) {
                                let (v, w) = (v.rem_euclid(tall) as usize, w.rem_euclid(wide) as usize);
                                let entry = k.data()[((i * k.channels() + c) * k.size() + dy) * k.size() + dx];
                                operator[(i * area + y * width + x, c * area + v * width + w)] += entry * factor[i].sqrt();
                            }
                        }
                    }
                }
            }
        }
    }
    operator
}

pub(crate) fn norm_squared(operator: &DMatrix<f64>) -> f64 {
    (operator * operator.transpose()).symmetric_eigenvalues().max()
}

#[test]
fn grid_table() {
    let k = layer(1, 1, 3, vec![0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], vec![1.0]);
    for (grid, size, accepted) in [
        (16, ImageSize::Stated, true),
        (8, ImageSize::Stated, false),  // the image itself: 8 < 8 + 1
        (12, ImageSize::Stated, false), // no power of two
        (2048, ImageSize::Stated, false),
        (0, ImageSize::Stated, false),
        (8, ImageSize::Any, true),
        (4, ImageSize::Any, false),
    ] {
        let outcome = on_grid(&k, image(1, 8), grid, size, 1.4);
        if accepted {
            assert_eq!(outcome, Ok(()), "{grid} {size:?}");
        } else {
            assert!(matches!(outcome, Err(CheckError::Grid { .. })), "{grid} {size:?}");
        }
    }
    let wide = Shape::Image {
        channels: 1,
        height: 3,
        width: 20,
    };
    assert_eq!(least_grid(5, wide, ImageSize::Stated), 32);
    assert!(matches!(
        on_grid(&k, wide, 16, ImageSize::Stated, 2.0),
        Err(CheckError::Grid { least: 32, .. })
    ));
}

/// The circular norm at the size of the image is below the zero-padded one here; a checker that used it would be wrong.
#[test]
fn the_circular_trap() {
    // Found by a search over small kernels: zero-padded above circular on 4 × 4.
    let mut found = false;
    for seed in 0..400u64 {
        let data: Vec<f64> = (0..9)
            .map(|k| ((seed * 2_654_435_761 + k * 40_503 + seed * k * k) % 2001) as f64 / 1000.0 - 1.0)
            .collect();
        let k = layer(1, 1, 3, data, vec![1.0]);
        let (padded, circular) = (norm_squared(&unrolled(&k, 4, false)), norm_squared(&unrolled(&k, 4, true)));
        if padded > circular * 1.005 {
            found = true;
            let between = (padded + circular) / 2.0;
            assert!(matches!(
                on_grid(&k, image(1, 4), 4, ImageSize::Stated, between),
                Err(CheckError::Grid { .. })
            ));
            assert!(matches!(
                on_grid(&k, image(1, 4), 8, ImageSize::Stated, between),
                Err(CheckError::NotSemidefinite { .. })
            ));
        }
    }
    assert!(found, "no kernel of the search shows the trap");
}

/// A grid of 8 frequencies misses the peak of a kernel; for images of any size the gaps are charged.
#[test]
fn a_coarse_grid_is_charged_for_the_gaps() {
    // |1 + e^{iω}|² shifted by half a grid step has its peak between the points.
    let data = vec![0.0, 0.0, 0.0, 1.0, 0.6, -0.4, 0.0, 0.0, 0.0];
    let k = layer(1, 1, 3, data, vec![1.0]);
    let fine = peak(&k, 512);
    let coarse = peak(&k, 8);
    assert!(coarse < fine * 0.999, "{coarse} {fine}");
    let between = coarse * (1.0 + 1e-6);
    assert!(between < fine);
    assert!(matches!(
        on_grid(&k, image(1, 4), 8, ImageSize::Any, between),
        Err(CheckError::NotSemidefinite { .. })
    ));
    assert_eq!(on_grid(&k, image(1, 4), 8, ImageSize::Stated, between), Ok(()));
    assert_eq!(on_grid(&k, image(1, 4), 32, ImageSize::Any, fine * 1.05), Ok(()));
}

/// The largest `|K̂(ω)|²` of a 1-channel kernel on a grid, by library sines.
fn peak(layer: &Layer, grid: usize) -> f64 {
    let Layer::ResidualConv { kernel: k, .. } = layer else {
        unreachable!("a convolution")
    };
    let mut largest: f64 = 0.0;
    for a in 0..grid {
        for b in 0..grid {
            let (mut re, mut im) = (0.0, 0.0);
            for dy in 0..3 {
                for dx in 0..3 {
                    let angle = std::f64::consts::TAU * (a * dy + b * dx) as f64 / grid as f64;
                    re += k.data()[dy * 3 + dx] * angle.cos();
                    im += k.data()[dy * 3 + dx] * angle.sin();
                }
            }
            largest = largest.max(re * re + im * im);
        }
    }
    largest
}

#[test]
fn the_vectors_norms() {
    let v = vector("sll_conv");
    let k = layer(2, 2, 3, flat(&v["K"]), vec![1.0, 1.0]);
    let (zero_pad, circular) = (flat(&v["spec_norm_J_zero_pad"])[0], flat(&v["spec_norm_J_circular"])[0]);
    assert!((norm_squared(&unrolled(&k, 5, false)).sqrt() - zero_pad).abs() < 1e-10);
    assert!((norm_squared(&unrolled(&k, 5, true)).sqrt() - circular).abs() < 1e-10);
    let input = image(2, 5);
    // The grid of 8 bounds the zero-padded norm of a 5 × 5 image, from above.
    assert!(on_grid(&k, input, 8, ImageSize::Stated, zero_pad * zero_pad * 0.999).is_err());
    assert_eq!(on_grid(&k, input, 8, ImageSize::Stated, circular * circular * 1.05), Ok(()));
    // By the layer's own T the spectral bound is at least as good as dominance.
    let own = layer(
        2,
        2,
        3,
        flat(&v["K"]),
        flat(&v["T_official"]).iter().map(|t| 1.0 / t).collect(),
    );
    assert_eq!(on_grid(&own, input, 8, ImageSize::Stated, 0.6), Ok(()));
    assert!(
        Prepared::new(&own, input)
            .expect("a layer")
            .check_gram(&own_dominance(0.99))
            .is_err()
    );
}

proptest! {
    /// Soundness against the unrolled operator and an independent eigenvalue library.
    #[test]
    fn accepted_means_bounded(
        data in prop::collection::vec(-1.0..1.0f64, 2 * 3 * 9),
        factor in prop::collection::vec(0.05..0.5f64, 2),
        share in 0.7..1.1f64,
    ) {
        let k = layer(2, 3, 3, data, factor);
        let truth = norm_squared(&unrolled(&k, 4, false));
        let lambda = share * truth;
        for (grid, size) in [(8, ImageSize::Stated), (16, ImageSize::Any)] {
            if on_grid(&k, image(3, 4), grid, size, lambda).is_ok() {
                prop_assert!(truth <= lambda * (1.0 + 1e-12));
            }
        }
    }
}
