//! Time of the proofs of a convolution 120 → 120, 3 × 3, on 32 × 32 images by each rule, and of a dense layer of 2048 neurons.

mod common;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lipcert_proofs::certificate::{GramClaim, GramWitness, ImageSize, Prepared};
use lipcert_proofs::statement::{Kernel, Layer, Matrix, Padding, Shape};

use common::numbers;

const IMAGE: Shape = Shape::Image {
    channels: 120,
    height: 32,
    width: 32,
};

fn convolution(padding: Padding) -> Layer {
    Layer::Convolution {
        kernel: Kernel::new("kernel", 120, 120, 3, numbers(120 * 120 * 9, 1)).expect("well-formed kernel"),
        bias: vec![0.0; 120],
        padding,
    }
}

fn convolutions(c: &mut Criterion) {
    let mut group = c.benchmark_group("families/conv");
    group.sample_size(10);
    let zero = convolution(Padding::Zero);
    group.bench_function("self-correlation", |b| b.iter(|| black_box(Prepared::new(&zero, IMAGE))));
    let prepared = Prepared::new(&zero, IMAGE).expect("a layer");
    for steps in [1, 2, 3] {
        group.bench_function(format!("gram-iteration/{steps}"), |b| {
            b.iter(|| black_box(prepared.gram_iteration_up(steps)))
        });
    }
    let circular = convolution(Padding::Circular);
    let torus = Prepared::new(&circular, IMAGE).expect("a layer");
    let lambda = prepared.gram_iteration_up(2).expect("a bound");
    let claim = |witness| GramClaim { lambda, witness };
    let stated = claim(GramWitness::CirculantGrid {
        grid: 64,
        image: ImageSize::Stated,
    });
    let any = GramClaim {
        lambda: 1.1 * lambda,
        witness: GramWitness::CirculantGrid {
            grid: 32,
            image: ImageSize::Any,
        },
    };
    let spectrum = claim(GramWitness::CircularSpectrum {});
    for (name, prepared, claim) in [
        ("circulant-grid/stated", &prepared, stated),
        ("circulant-grid/any", &prepared, any),
        ("circular-spectrum", &torus, spectrum),
    ] {
        assert_eq!(prepared.check_gram(&claim), Ok(()), "{name}");
        group.bench_function(name, |b| b.iter(|| prepared.check_gram(black_box(&claim))));
    }
    group.finish();
}

fn dense(c: &mut Criterion) {
    let mut group = c.benchmark_group("families/dense");
    group.sample_size(10);
    let layer = Layer::Dense {
        weight: Matrix::new("weight", 2048, 2048, numbers(2048 * 2048, 2)).expect("well-formed matrix"),
        bias: vec![0.0; 2048],
    };
    group.bench_function("gram", |b| b.iter(|| black_box(Prepared::new(&layer, Shape::Flat(2048)))));
    let prepared = Prepared::new(&layer, Shape::Flat(2048)).expect("a layer");
    group.bench_function("gram-iteration/6", |b| b.iter(|| black_box(prepared.gram_iteration_up(6))));
    let cholesky = GramClaim {
        lambda: prepared.gram_iteration_up(6).expect("a bound"),
        witness: GramWitness::Cholesky {},
    };
    assert_eq!(prepared.check_gram(&cholesky), Ok(()));
    group.bench_function("cholesky", |b| b.iter(|| prepared.check_gram(black_box(&cholesky))));
    group.finish();
}

criterion_group!(benches, convolutions, dense);
criterion_main!(benches);
