//! Times LipSDP-Neuron on random nets: `cargo run --release --example lipsdp_bench -- 5x20 10x100 784-400-400-10`.
//!
//! `LxW` has `L` weight matrices, `W` neurons in each hidden layer, 4 inputs and 2 outputs; the spectral norms are uniform in `[0.4, 1.8]`, the setting of
//! the ECLipsE paper. Other names list the widths; their entries are normal with variance `2 / n`. A name may end in `:1e-4`, the tolerance, and `:20`, the
//! most iterations. One line a net. In the environment `THREADS=2` asks for two threads, `SHARING=layer` for one multiplier a layer,
//! `DENSE_MOST=0` for no Hessian.

use std::fs::read_to_string;
use std::process::Command;

use faer::{Mat, Par};
use lipcert_solver::chain::{Chain, Sharing, Slope, Unwatched};
use lipcert_solver::structured::{Options, approx_dual_bound, eclipse_fast, layerwise, lipsdp};

/// Marsaglia's xorshift64*.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (-2.0 * self.uniform().max(1e-300).ln(), std::f64::consts::TAU * self.uniform());
        radius.sqrt() * angle.cos()
    }
}

fn net(name: &str) -> Option<(Chain, f64, usize)> {
    let mut parts = name.split(':');
    let shape = parts.next()?;
    let tolerance = parts.next().unwrap_or("1e-6").parse().ok()?;
    let iterations = parts.next().unwrap_or("500").parse().ok()?;
    let (widths, spectral): (Vec<usize>, bool) = if let Some((layers, width)) = shape.split_once('x') {
        let (layers, width): (usize, usize) = (layers.parse().ok()?, width.parse().ok()?);
        let hidden = std::iter::repeat_n(width, layers.checked_sub(1)?);
        (std::iter::once(4).chain(hidden).chain([2]).collect(), true)
    } else {
        (shape.split('-').map(str::parse).collect::<Result<_, _>>().ok()?, false)
    };
    let mut random = Random(
        0x9E37_79B9_7F4A_7C15
            ^ widths
                .iter()
                .fold(1, |hash: u64, n| hash.wrapping_mul(7919).wrapping_add(*n as u64)),
    );
    for _ in 0..20 {
        random.uniform();
    }
    let mut weights: Vec<Mat<f64>> = widths
        .windows(2)
        .map(|pair| {
            let norm = 0.4 + 1.4 * random.uniform();
            let matrix = Mat::from_fn(pair[1], pair[0], |_, _| random.normal());
            let factor = if spectral {
                norm / matrix.singular_values().expect("singular values")[0]
            } else {
                (2.0 / pair[0] as f64).sqrt()
            };
            matrix * faer::Scale(factor)
        })
        .collect();
    let output = weights.pop()?;
    let slopes = vec![Slope::UNIT; weights.len()];
    Some((Chain::new(weights, slopes, output).ok()?, tolerance, iterations))
}

/// User and system time in seconds.
fn cpu() -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Peak memory in MiB.
fn peak() -> f64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

#[expect(clippy::print_stdout, reason = "a table is the purpose")]
fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names.len() != 1 {
        // A process a net, so that the peak of memory is its own.
        println!(
            "{:<20} {:>5} {:>4} {:<11} {:>14} {:>14} {:>8} {:>4} {:>8} {:>7} {:>10} {:>10}",
            "net", "N", "it", "status", "bound", "dual", "gap", "rank", "cpu s", "MiB", "fast/b", "layer/b"
        );
        let program = std::env::current_exe().expect("a program");
        for name in names {
            Command::new(&program).arg(&name).status().expect("a run");
        }
        return;
    }
    let name = &names[0];
    let Some((chain, tolerance, iterations)) = net(name) else {
        println!("{name}: no such net");
        return;
    };
    let before = cpu();
    let par = if std::env::var("THREADS").is_ok_and(|n| n == "2") {
        Par::rayon(2)
    } else {
        Par::Seq
    };
    let sharing = if std::env::var("SHARING").is_ok_and(|kind| kind == "layer") {
        Sharing::Layer
    } else {
        Sharing::Neuron
    };
    let defaults = Options::default();
    let dense_most = std::env::var("DENSE_MOST").ok().and_then(|count| count.parse().ok());
    let options = Options {
        sharing,
        tolerance,
        iterations,
        dense_most: dense_most.unwrap_or(defaults.dense_most),
        parallel: par,
        start: None,
    };
    match lipsdp(&chain, &options, &Unwatched) {
        Ok(solution) => {
            let seconds = cpu() - before;
            let memory = peak();
            let bound = solution.candidates[0].lipschitz;
            let shown = solution
                .dual
                .as_ref()
                .map_or(solution.approx_dual, |dual| approx_dual_bound(&chain, dual));
            let rank = solution.dual.as_ref().map_or(0, |dual| dual.blocks[0].ncols());
            let ratio = |other: Result<lipcert_solver::chain::Solution, _>| {
                other.map_or(f64::NAN, |o: lipcert_solver::chain::Solution| {
                    o.candidates[0].lipschitz / bound
                })
            };
            println!(
                "{name:<20} {:>5} {:>4} {:<11} {bound:>14.8e} {shown:>14.8e} {:>8.1e} {rank:>4} {seconds:>8.2} {memory:>7.0} {:>10.4} {:>10.4}",
                chain.neurons(),
                solution.iterations,
                format!("{:?}", solution.status),
                1.0 - shown / bound,
                ratio(eclipse_fast(&chain)),
                ratio(layerwise(&chain)),
            );
        }
        Err(error) => println!("{name}: {error}"),
    }
}
