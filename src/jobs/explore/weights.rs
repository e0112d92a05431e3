//! Weights to try a family on: random, structured, and spiteful. The same for the same seed.

use lipcert_solver::random::Random;

use super::script::Arguments;

/// Kinds of weights that are drawn in turn.
const KINDS: u64 = 13;

/// A generator of its own for each number: blocks of trials do not depend on each other.
pub(super) fn generator(seed: u64, stream: u64) -> Random {
    let mut mixed = seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    Random::new(mixed ^ (mixed >> 32))
}

/// A whole number below `most`.
pub(super) fn below(random: &mut Random, most: usize) -> usize {
    ((random.uniform() * most as f64) as usize).min(most.saturating_sub(1))
}

/// Arguments for trial `index`; both sizes are at most `most`.
pub(super) fn draw(random: &mut Random, index: u64, most: usize) -> Arguments {
    let rows = 1 + below(random, most);
    let cols = 1 + below(random, most);
    let weight = weight(random, index % KINDS, rows, cols);
    let mut q: Vec<f64> = (0..cols).map(|_| 1.0).collect();
    match below(random, 3) {
        0 => {}
        1 => q.iter_mut().for_each(|q| *q = random.normal().exp()),
        _ => q.iter_mut().for_each(|q| *q = 10_f64.powf(6.0 * random.uniform() - 3.0)),
    }
    let z = (0..cols).map(|_| random.normal()).collect();
    Arguments {
        rows,
        cols,
        weight,
        q,
        z,
    }
}

fn weight(random: &mut Random, kind: u64, rows: usize, cols: usize) -> Vec<f64> {
    let count = rows * cols;
    match kind {
        1 => (0..count).map(|_| sign(random)).collect(),
        2 => (0..count).map(|_| below(random, 5) as f64 - 2.0).collect(),
        3 => orthogonal(random, rows, cols, 0.0),
        4 => {
            let (left, right) = (normals(random, rows), normals(random, cols));
            (0..count).map(|k| left[k / cols] * right[k % cols]).collect()
        }
        5 => {
            // Columns repeated, with signs and a little noise.
            let column = normals(random, rows);
            let signs: Vec<f64> = (0..cols).map(|_| sign(random)).collect();
            let noise = 10_f64.powf(-6.0 * random.uniform());
            (0..count)
                .map(|k| column[k / cols] * signs[k % cols] + noise * random.normal())
                .collect()
        }
        6 => {
            let dropped: Vec<bool> = (0..cols).map(|_| random.uniform() < 0.3).collect();
            (0..count)
                .map(|k| {
                    let zero = dropped[k % cols] || random.uniform() < 0.5;
                    if zero { 0.0 } else { random.normal() }
                })
                .collect()
        }
        7 => {
            let sizes: Vec<f64> = (0..cols).map(|_| 10_f64.powf(6.0 * random.uniform() - 3.0)).collect();
            (0..count).map(|k| random.normal() * sizes[k % cols]).collect()
        }
        8 => {
            let size = 2_f64.powi(below(random, 161) as i32 - 80);
            (0..count).map(|_| size * random.normal()).collect()
        }
        9 => coherent(random, rows, cols),
        10 => (0..count).map(|_| random.uniform()).collect(),
        11 => orthogonal(random, rows, cols, 0.3),
        12 => {
            let first = normals(random, rows + cols);
            (0..count).map(|k| first[k / cols + k % cols]).collect()
        }
        _ => normals(random, count),
    }
}

/// Standard normal entries.
pub(super) fn normals(random: &mut Random, count: usize) -> Vec<f64> {
    (0..count).map(|_| random.normal()).collect()
}

fn sign(random: &mut Random) -> f64 {
    if random.uniform() < 0.5 { -1.0 } else { 1.0 }
}

/// Columns made orthogonal to those before as far as the rows allow, then disturbed.
pub(super) fn orthogonal(random: &mut Random, rows: usize, cols: usize, noise: f64) -> Vec<f64> {
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(cols);
    for j in 0..cols {
        let mut column = normals(random, rows);
        let first = j - j % rows;
        for other in &columns[first..] {
            let along: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
            column.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let length = column.iter().map(|v| v * v).sum::<f64>().sqrt();
        column.iter_mut().for_each(|v| *v /= length.max(1e-9));
        columns.push(column);
    }
    (0..rows * cols)
        .map(|k| columns[k % cols][k / cols] + noise * random.normal())
        .collect()
}

/// Two groups of columns, each around a direction of its own.
pub(super) fn coherent(random: &mut Random, rows: usize, cols: usize) -> Vec<f64> {
    let directions = [normals(random, rows), normals(random, rows)];
    (0..rows * cols)
        .map(|k| {
            let group = usize::from(2 * (k % cols) >= cols);
            directions[group][k / cols] + 0.3 * random.normal()
        })
        .collect()
}

/// One step of a climb: the arguments a little changed.
pub(super) fn disturbed(random: &mut Random, from: &Arguments, step: f64) -> Arguments {
    let mut next = from.clone();
    let size = from.weight.iter().fold(0.0_f64, |most, v| most.max(v.abs())).max(1e-30);
    let place = below(random, next.weight.len());
    match below(random, 6) {
        0 => next.weight[place] = -next.weight[place],
        1 => next.weight[place] = 0.0,
        2 | 3 => next.weight[place] += step * size * random.normal(),
        4 => next.weight.iter_mut().for_each(|v| *v += 0.3 * step * size * random.normal()),
        _ => {
            let place = below(random, next.cols);
            next.q[place] *= (step * random.normal()).exp();
            next.z[place] += step * random.normal();
        }
    }
    next
}
