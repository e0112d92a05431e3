//! Products, norms and factorisations of matrices.

use std::rc::Rc;

use lipcert_solver::violation;

use super::{Output, cube, fits, larger};
use crate::jobs::explore::array::{Array, Fault, Meter, Shape};

/// Steps of the iteration for a Perron vector.
pub(super) const PERRON_STEPS: usize = 100;

/// `A B`, or `A v`.
pub(super) fn product(
    meter: &Rc<Meter>,
    name: &'static str,
    a: &Array,
    (rows, inner): (usize, usize),
    b: &Array,
) -> Result<Output, Fault> {
    let (length, cols, shape) = match b.shape {
        Shape::Vector(length) => (length, 1, Shape::Vector(rows)),
        Shape::Matrix(length, cols) => (length, cols, Shape::Matrix(rows, cols)),
    };
    fits(name, a, b, inner == length)?;
    meter.charge((rows as u64).saturating_mul(inner as u64).saturating_mul(cols as u64))?;
    let mut result = meter.array(shape, |_| 0.0)?;
    multiply(&a.data, &b.data, &mut result.data, inner, cols);
    Ok(Output::Array(result))
}

/// Adds `A B` to `sums`, the rows of `B` in order.
fn multiply(a: &[f64], b: &[f64], sums: &mut [f64], inner: usize, cols: usize) {
    if inner == 0 || cols == 0 {
        return;
    }
    for (row, sums) in a.chunks_exact(inner).zip(sums.chunks_exact_mut(cols)) {
        for (factor, row) in row.iter().zip(b.chunks_exact(cols)) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += factor * value;
            }
        }
    }
}

/// `A^k` by squaring.
pub(super) fn power(meter: &Rc<Meter>, name: &'static str, a: &Array, exponent: usize, n: usize) -> Result<Output, Fault> {
    let mut result = meter.array(Shape::Matrix(n, n), |k| if k / n == k % n { 1.0 } else { 0.0 })?;
    let mut base = meter.array(Shape::Matrix(n, n), |k| a.data[k])?;
    let mut left = exponent;
    let times = |a: &Array, b: &Array| match product(meter, name, a, (n, n), b)? {
        Output::Array(array) => Ok(array),
        Output::Number(_) => unreachable!("a product of matrices is a matrix"),
    };
    while left > 0 {
        if left & 1 == 1 {
            result = times(&result, &base)?;
        }
        left >>= 1;
        if left > 0 {
            base = times(&base, &base)?;
        }
    }
    Ok(Output::Array(result))
}

pub(super) fn spectral_norm(meter: &Rc<Meter>, a: &Array, rows: usize, cols: usize) -> Result<Output, Fault> {
    let n = rows.min(cols);
    meter.charge(cube(n).saturating_mul(10).saturating_add(a.data.len() as u64 * n as u64))?;
    let largest = a.data.iter().fold(0.0, |most, v| larger(most, v.abs()));
    if largest.is_nan() || largest.is_infinite() {
        return Ok(Output::Number(f64::NAN));
    }
    if largest <= 0.0 {
        return Ok(Output::Number(0.0));
    }
    // Rows of the smaller side.
    let entry = |i: usize, k: usize| if rows <= cols { a.at(i, k) } else { a.at(k, i) } / largest;
    let gram = meter.array(Shape::Matrix(n, n), |k| {
        (0..rows.max(cols)).map(|l| entry(k / n, l) * entry(k % n, l)).sum()
    })?;
    let top = violation::top(gram.data.clone(), n).map_or(f64::NAN, |(value, _)| value);
    Ok(Output::Number(largest * top.max(0.0).sqrt()))
}

/// About the Perron vector of `|A|`, positive whatever `A` is.
pub(super) fn perron(a: &Array, n: usize) -> Vec<f64> {
    let mut q = vec![1.0; n];
    for _ in 0..PERRON_STEPS {
        let next: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a.at(i, j).abs() * q[j]).sum()).collect();
        let largest = next.iter().copied().fold(0.0, larger);
        if largest.is_nan() || largest <= 0.0 || largest.is_infinite() {
            break;
        }
        // Half of the old vector keeps a reducible or periodic matrix from trouble.
        for (q, next) in q.iter_mut().zip(&next) {
            *q = larger(0.5 * (*q + next / largest), 1e-100);
        }
    }
    q
}

/// The lower triangular `L` with `L Lᵀ = A`, from the lower triangle; no numbers where there is none.
pub(super) fn cholesky(a: &Array, n: usize) -> Vec<f64> {
    let mut lower = vec![0.0; n * n];
    for j in 0..n {
        for i in j..n {
            let rest = a.at(i, j) - (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum::<f64>();
            lower[i * n + j] = if i == j { rest.sqrt() } else { rest / lower[j * n + j] };
        }
    }
    lower
}

/// The inverse, by elimination with row exchanges; no finite numbers where there is none.
pub(super) fn inverse(a: &Array, n: usize) -> Vec<f64> {
    let width = 2 * n;
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            (0..width)
                .map(|j| match j.checked_sub(n) {
                    None => a.at(i, j),
                    Some(j) => f64::from(u8::from(i == j)),
                })
                .collect()
        })
        .collect();
    for column in 0..n {
        let best = (column..n).max_by(|x, y| rows[*x][column].abs().total_cmp(&rows[*y][column].abs()));
        rows.swap(column, best.unwrap_or(column));
        let pivot = rows[column][column];
        for value in &mut rows[column] {
            *value /= pivot;
        }
        let chosen = rows[column].clone();
        for (i, row) in rows.iter_mut().enumerate() {
            let factor = row[column];
            if i != column && factor.abs() > 0.0 {
                for (value, chosen) in row.iter_mut().zip(&chosen) {
                    *value -= factor * chosen;
                }
            }
        }
    }
    rows.iter().flat_map(|row| row[n..].iter().copied()).collect()
}
