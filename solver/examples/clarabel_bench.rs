//! Seconds of processor time, peak memory, status and bound of the conic back end.
//!
//! `clarabel_bench CASE …` with cases `neuron:LxW` and `layer:LxW` (`L` weight matrices of width `W`, 4 inputs, 2 outputs, spectral norms uniform in `[0.4, 1.8]`) and
//! `common:N` (trace of the common condition, `W` random `(2N, N)`). `whole:LxW` is `neuron` without chordal decomposition. Peak memory is that of the process so far.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::fs;
use std::time::Instant;

use faer::Mat;
use lipcert_solver::assemble::chain::ChainProblem;
use lipcert_solver::assemble::gram::{GramProblem, Objective};
use lipcert_solver::chain::{Chain, Sharing, Slope};
use lipcert_solver::clarabel::{self, Options};
use nalgebra::DMatrix;

const DEFAULT: [&str; 6] = [
    "neuron:5x20",
    "neuron:10x20",
    "neuron:20x20",
    "layer:20x20",
    "common:50",
    "common:100",
];

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let cases = if named.is_empty() {
        DEFAULT.map(str::to_owned).to_vec()
    } else {
        named
    };
    println!("| case | size | variables | status | iterations | s | MB | bound | dual | closed form |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for case in cases {
        let (kind, size) = case.split_once(':').expect("kind:size");
        match kind {
            "common" => common(&case, size.parse().expect("a number")),
            "neuron" | "layer" | "whole" => {
                let (depth, width) = size.split_once('x').expect("LxW");
                let sizes = (depth.parse().expect("a number"), width.parse().expect("a number"));
                network(&case, kind, sizes);
            }
            _ => println!("| {case} | no such case |"),
        }
    }
}

fn network(case: &str, kind: &str, (depth, width): (usize, usize)) {
    let mut random = Random(7);
    let mut widths = vec![width; depth + 1];
    widths[0] = 4;
    widths[depth] = 2;
    let mut weights: Vec<Mat<f64>> = widths
        .windows(2)
        .map(|pair| {
            let weight = random.normal(pair[1], pair[0]);
            let norm = weight.singular_values().max();
            let scale = (0.4 + 1.4 * random.uniform()) / norm;
            Mat::from_fn(pair[1], pair[0], |i, j| weight[(i, j)] * scale)
        })
        .collect();
    let output = weights.pop().expect("a layer");
    let slopes = vec![Slope::UNIT; weights.len()];
    let chain = Chain::new(weights, slopes, output).expect("a chain");
    let sharing = if kind == "layer" { Sharing::Layer } else { Sharing::Neuron };
    let options = Options {
        chordal: kind != "whole",
        ..Options::default()
    };
    let (wall, before) = (Instant::now(), seconds());
    let assembled = ChainProblem::new(&chain, None, sharing).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &options).expect("an answer");
    let used = seconds()
        .zip(before)
        .map_or(wall.elapsed().as_secs_f64(), |(now, then)| now - then);
    let problem = assembled.problem();
    let mut ones = vec![1.0; problem.objective().len()];
    let closed = assembled.read(&ones).lipschitz;
    ones[0] = answer.approx_dual_objective;
    println!(
        "| {case} | {} | {} | {:?} | {} | {used:.2} | {} | {:.6e} | {:.6e} | {closed:.6e} |",
        problem.pencils()[0].size(),
        problem.objective().len(),
        answer.status,
        answer.iterations,
        peak_megabytes(),
        assembled.read(&answer.x).lipschitz,
        assembled.read(&ones).lipschitz,
    );
}

fn common(case: &str, n: usize) {
    let weight = Random(5).normal(2 * n, n) / (2.0 * n as f64).sqrt();
    let (wall, before) = (Instant::now(), seconds());
    let assembled = GramProblem::new(&weight, &Objective::Trace).expect("a problem");
    let answer = clarabel::solve(assembled.problem(), &Options::default()).expect("an answer");
    let used = seconds()
        .zip(before)
        .map_or(wall.elapsed().as_secs_f64(), |(now, then)| now - then);
    println!(
        "| {case} | {n} | {n} | {:?} | {} | {used:.2} | {} | {:.6e} | {:.6e} | {:.6e} |",
        answer.status,
        answer.iterations,
        peak_megabytes(),
        assembled.read_objective(answer.approx_objective),
        assembled.read_objective(answer.approx_dual_objective),
        assembled.read_objective(1.0),
    );
}

/// User time of this process, where the system tells.
fn seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The fields after the name, which ends with the last parenthesis; user time is the 14th of all, in hundredths of a second.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(11)?.parse().ok()?;
    Some(ticks / 100.0)
}

/// The most memory that this process has held, or 0 where the system does not tell.
fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes / 1024)
}

/// A generator for reproducible matrices.
struct Random(u64);

impl Random {
    /// In `[0, 1)`.
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal entries, about: sums of twelve uniform numbers.
    fn normal(&mut self, rows: usize, cols: usize) -> DMatrix<f64> {
        DMatrix::from_fn(rows, cols, |_, _| (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0)
    }
}
