//! Time of one image through the residual layers of two networks, and the peak of the machine beside it.

mod common;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lipcert_proofs::rounding::kernels::conv::ResidualConv;
use lipcert_proofs::rounding::kernels::dense::{ResidualDense, Scratch};
use lipcert_proofs::rounding::kernels::image::Image;
use lipcert_proofs::rounding::kernels::norm::norm_up;
use lipcert_proofs::rounding::kernels::pool::average_pool;
use lipcert_proofs::statement::{Kernel, Matrix};
use pulp::{Arch, Simd, WithSimd};

use common::numbers;

/// Sizes of a network on 32 × 32 images: channels, inner channels, features, inner features.
const NETWORKS: [(&str, usize, usize, usize, usize); 2] = [("narrow", 15, 5, 960, 256), ("small", 45, 5, 2880, 2048)];

/// Twenty independent chains of fused multiply-adds.
struct Peak {
    rounds: usize,
}

impl WithSimd for Peak {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut sums = [simd.splat_f64s(1.0); 20];
        let factor = simd.splat_f64s(black_box(0.5));
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f64s(*sum, factor, factor);
            }
        }
        sums.iter().map(|sum| simd.reduce_sum_f64s(*sum)).sum()
    }
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        S::F64_LANES
    }
}

/// Throughput of this and of the layers below is in floating-point operations, two a multiply-add.
fn peak(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward/peak");
    let (arch, rounds) = (Arch::new(), 100_000);
    let lanes = arch.dispatch(Lanes);
    group.throughput(Throughput::Elements((2 * 20 * lanes * rounds) as u64));
    group.bench_function("fma", |b| b.iter(|| arch.dispatch(Peak { rounds })));
    group.finish();
}

fn convolutions(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward/conv");
    for (name, channels, inner, ..) in NETWORKS {
        let weights = numbers(inner * channels * 9, 1);
        let kernel = Kernel::new("kernel", inner, channels, 3, weights).expect("well-formed kernel");
        let layer = ResidualConv::new(&kernel, &numbers(inner, 2), &vec![0.01; inner]);
        let mut image = Image::new(channels, 32, 32, 1);
        let mut scratch = Image::new(inner, 32, 32, 1);
        image.load(&numbers(channels * 1024, 3));
        group.throughput(Throughput::Elements((4 * channels * inner * 9 * 1024) as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| layer.apply(&mut image, &mut scratch))
        });
        group.throughput(Throughput::Elements(2 * image.padded().len() as u64));
        group.bench_function(BenchmarkId::new("norm", name), |b| b.iter(|| norm_up(image.padded())));
        let mut pooled = vec![0.0; channels * 64];
        group.bench_function(BenchmarkId::new("pool", name), |b| {
            b.iter(|| average_pool(&image, 4, 4, &mut pooled))
        });
    }
    group.finish();
}

fn dense(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward/dense");
    group.sample_size(20);
    for (name, _, _, features, inner) in NETWORKS {
        let weight = Matrix::new("weight", inner, features, numbers(inner * features, 4)).expect("well-formed matrix");
        let (bias, factor) = (numbers(inner, 5), vec![1e-4; inner]);
        let layer = ResidualDense::new(&weight, &bias, &factor);
        let mut scratch = Scratch::default();
        for samples in [64, 128, 256] {
            let mut batch = numbers(samples * features, 6);
            group.throughput(Throughput::Elements((4 * features * inner * samples) as u64));
            group.bench_function(BenchmarkId::new(name, samples), |b| {
                b.iter(|| layer.apply(&mut batch, &mut scratch))
            });
        }
    }
    group.finish();
}

criterion_group!(benches, peak, convolutions, dense);
criterion_main!(benches);
