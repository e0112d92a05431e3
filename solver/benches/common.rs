//! The common condition on random weights.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use faer::{Mat, Par};
use lipcert_solver::chain::Unwatched;
use lipcert_solver::common::{Options, approx_gram, minimize_trace};

/// A repeatable matrix with entries in `[−1, 1)`.
fn weight(rows: usize, cols: usize) -> Mat<f64> {
    let mut state = 5_u64;
    Mat::from_fn(rows, cols, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

fn common(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("solve/common");
    group.sample_size(10);
    for n in [64, 256] {
        let gram = approx_gram(weight(n * 45 / 32, n).as_ref(), Par::Seq);
        group.bench_with_input(BenchmarkId::from_parameter(n), &gram, |bencher, gram| {
            bencher.iter(|| minimize_trace(gram.as_ref(), &Options::default(), &Unwatched));
        });
    }
    group.finish();
}

criterion_group!(benches, common);
criterion_main!(benches);
