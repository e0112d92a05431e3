//! Time, memory and gap of the common condition on random weights, beside closed forms: `cargo run --release --example common_bench [n …]`.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::fs;

use faer::{Mat, Par};
use lipcert_solver::chain::Unwatched;
use lipcert_solver::closed::diagonal;
use lipcert_solver::common::{Options, approx_gram, minimize_trace};

/// A number of `/proc/self/<file>` behind `key`; 0 where there is none.
fn status(key: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

/// User time of this process in seconds, to a hundredth; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = text
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(11)?.parse::<f64>().ok());
    ticks.unwrap_or(0.0) / 100.0
}

/// A matrix of normal numbers of variance `1/m`.
fn random_weight(rows: usize, cols: usize) -> Mat<f64> {
    let mut state = 5_u64;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    Mat::from_fn(rows, cols, |_, _| {
        (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos() / (rows as f64).sqrt()
    })
}

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if asked.is_empty() {
        vec![100, 256, 512, 1024, 2048]
    } else {
        asked
    };
    println!(
        "|    n |    m | CPU s | peak MB | objective | dual | gap | status | steps | rank | aol | spectral | perron | gram-3 |"
    );
    println!(
        "|-----:|-----:|------:|--------:|----------:|-----:|----:|--------|------:|-----:|----:|---------:|-------:|-------:|"
    );
    for n in sizes {
        let m = n * 45 / 32;
        let weight = random_weight(m, n);
        let start = cpu_seconds();
        let gram = approx_gram(weight.as_ref(), Par::Seq);
        let solution = minimize_trace(gram.as_ref(), &Options::default(), &Unwatched).expect("a solution");
        let seconds = cpu_seconds() - start;
        let peak = status("VmHWM:") / 1024.0;
        let closed = diagonal::all(gram.as_ref());
        let sum = |name: &str| {
            let line = closed.iter().find(|line| line.name == name);
            line.map_or(f64::NAN, |line| line.scale.iter().sum::<f64>())
        };
        let (objective, dual) = (solution.approx_objective, solution.approx_dual);
        println!(
            "| {n} | {m} | {seconds:.2} | {:.0} | {objective:.6} | {dual:.6} | {:.1e} | {:?} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            peak,
            (objective - dual) / objective,
            solution.status,
            solution.iterations,
            solution.dual.ncols(),
            sum("aol"),
            sum("spectral"),
            sum("perron"),
            sum("gram-3"),
        );
    }
}
