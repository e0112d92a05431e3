//! One sample of a head with 10 classes, 128 hidden neurons and 256 features: the bounds of curvature, once a network; the radius, once a sample.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lipcert_proofs::rules::curvature::Curvature;
use lipcert_proofs::statement::{Activation, Layer, Matrix, NetworkMap, Shape};

/// Numbers in [−1, 1), the same at every call.
fn numbers(length: usize, seed: u64) -> Vec<f64> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

/// Keeps sums of a few hundred products near one.
const SCALE: f64 = 1.0 / 16.0;

fn network(features: usize, hidden: usize, classes: usize) -> NetworkMap {
    let dense = |rows, cols, seed| {
        let data = numbers(rows * cols, seed).into_iter().map(|v| v * SCALE).collect();
        Layer::Dense {
            weight: Matrix::new("weight", rows, cols, data).expect("a matrix"),
            bias: numbers(rows, seed + 1),
        }
    };
    let layers = vec![
        dense(hidden, features, 3),
        Layer::Activation(Activation::Softplus { beta: 1.0 }),
        dense(classes, hidden, 5),
    ];
    NetworkMap::new(Shape::Flat(features), layers).expect("a network")
}

fn curvature(criterion: &mut Criterion) {
    let map = network(256, 128, 10);
    let z = numbers(256, 7);
    criterion.bench_function("curvature/all pairs", |bencher| {
        bencher.iter(|| {
            let rule = Curvature::of(&map).expect("an MLP head");
            for (top, rival) in (0..10).flat_map(|top| (0..10).map(move |rival| (top, rival))) {
                black_box(rule.curvature_up(top, rival).expect("a bound"));
            }
        });
    });
    let rule = Curvature::of(&map).expect("an MLP head");
    // Every pair once; half of them are lost, which costs nothing.
    criterion.bench_function("curvature/fast, all pairs", |bencher| {
        bencher.iter(|| {
            let at = rule.at(&z).expect("a point");
            for (top, rival) in (0..10).flat_map(|top| (0..10).map(move |rival| (top, rival))) {
                black_box(rule.fast_down(&at, top, rival).expect("a radius"));
            }
        });
    });
    let at = rule.at(&z).expect("a point");
    let won = |pair: &(usize, usize)| rule.fast_down(&at, pair.0, pair.1).expect("a radius") > 0.0;
    let pair = (0..10)
        .flat_map(|top| (0..10).map(move |rival| (top, rival)))
        .find(won)
        .expect("a pair that is won");
    criterion.bench_function("curvature/tight, one pair", |bencher| {
        bencher.iter(|| black_box(rule.tight_down(&at, pair.0, pair.1).expect("a radius")));
    });
}

criterion_group!(benches, curvature);
criterion_main!(benches);
