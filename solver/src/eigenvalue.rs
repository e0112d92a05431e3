//! Approximations of largest eigenvalues: the smallest `λ` with `A Aᵀ ⪯ λ diag(T)` for dense layers and convolutions, and spectral norms.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par, Scale, Side, c64};
use lipcert_proofs::rounding::gram::Gram;

/// Up to this size all eigenvalues are computed; above, Lanczos finds the largest.
const DENSE_MOST: usize = 256;

/// Lanczos steps: the largest eigenvalue of a trained layer is found to about six digits.
const STEPS: usize = 60;

/// Vectors and steps of subspace iteration for one eigenvector.
const LEADING_WIDTH: usize = 16;
const LEADING_STEPS: usize = 200;

/// Up to this many inner channels the symbol of a convolution is decomposed at every frequency.
pub const SYMBOL_MOST: usize = 64;

/// Above, steps of power iteration at every frequency.
const SYMBOL_STEPS: usize = 40;

/// Approximates the largest eigenvalue of `T^{-1/2} A Aᵀ T^{-1/2}` for a dense layer, from below.
///
/// `scale` holds `T`, `(inner,)`; 0 switches a row off. Returns 0 if no row is on, and nothing if an eigenvalue routine did not converge or
/// the numbers overflow.
#[must_use]
pub fn approx_dense(gram: &Gram, scale: &[f64]) -> Option<f64> {
    let n = gram.inner();
    let roots: Vec<f64> = scale.iter().map(|t| if *t > 0.0 { t.sqrt().recip() } else { 0.0 }).collect();
    let centre = MatRef::from_column_major_slice(gram.approx_centre(), n, n);
    let largest = if n <= DENSE_MOST {
        let scaled = Mat::from_fn(n, n, |i, j| centre[(i, j)] * roots[i] * roots[j]);
        scaled.self_adjoint_eigenvalues(Side::Lower).ok()?.last().copied()?
    } else {
        lanczos(centre, &roots)?
    };
    largest.is_finite().then_some(largest.max(0.0))
}

/// The largest Ritz value of `D G D` after [`STEPS`] steps with full reorthogonalisation, `D = diag(roots)`.
fn lanczos(gram: MatRef<'_, f64>, roots: &[f64]) -> Option<f64> {
    let n = roots.len();
    let mut basis = Mat::<f64>::zeros(n, STEPS + 1);
    let (mut diagonal, mut off) = (Vec::with_capacity(STEPS), Vec::with_capacity(STEPS));
    // A fixed start without symmetry, so that it is orthogonal to no eigenvector that matters.
    let start: Vec<f64> = (0..n).map(|i| 1.0 + (i as f64 * 0.618_033_988_749_895).fract()).collect();
    let norm = start.iter().map(|v| v * v).sum::<f64>().sqrt();
    for (i, value) in start.iter().enumerate() {
        basis[(i, 0)] = value / norm;
    }
    let mut product = vec![0.0; n];
    let mut weights = vec![0.0; STEPS + 1];
    for step in 0..STEPS.min(n) {
        let scaled: Vec<f64> = (0..n).map(|i| basis[(i, step)] * roots[i]).collect();
        let target = MatMut::from_column_major_slice_mut(&mut product, n, 1);
        matmul(
            target,
            Accum::Replace,
            gram,
            MatRef::from_column_major_slice(&scaled, n, 1),
            1.0,
            Par::Seq,
        );
        product.iter_mut().zip(roots).for_each(|(value, root)| *value *= root);
        // Twice is enough to stay orthogonal.
        for pass in 0..2 {
            let so_far = basis.subcols(0, step + 1);
            let column = MatMut::from_column_major_slice_mut(&mut weights[..=step], step + 1, 1);
            matmul(
                column,
                Accum::Replace,
                so_far.transpose(),
                MatRef::from_column_major_slice(&product, n, 1),
                1.0,
                Par::Seq,
            );
            if pass == 0 {
                diagonal.push(weights[step]);
            }
            let target = MatMut::from_column_major_slice_mut(&mut product, n, 1);
            matmul(
                target,
                Accum::Add,
                so_far,
                MatRef::from_column_major_slice(&weights[..=step], step + 1, 1),
                -1.0,
                Par::Seq,
            );
        }
        let length = product.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length.is_nan() || length <= 1e-13 {
            break;
        }
        off.push(length);
        for (i, value) in product.iter().enumerate() {
            basis[(i, step + 1)] = value / length;
        }
    }
    let k = diagonal.len();
    let tridiagonal = Mat::from_fn(k, k, |i, j| match i.abs_diff(j) {
        0 => diagonal[i],
        1 => off[i.min(j)],
        _ => 0.0,
    });
    tridiagonal.self_adjoint_eigenvalues(Side::Lower).ok()?.last().copied()
}

/// Approximates the largest eigenvalue of `T^{-1/2} S(ω) T^{-1/2}` over the frequencies `(2π / rows) ℤ × (2π / cols) ℤ` of a convolution, from below.
///
/// `scale` holds `T`, `(inner,)`; 0 switches a channel off. Up to [`SYMBOL_MOST`] channels by all eigenvalues, above by power iteration. Nothing if a routine fails
/// or the numbers overflow.
#[must_use]
pub fn approx_on_grid(gram: &Gram, scale: &[f64], (rows, cols): (usize, usize)) -> Option<f64> {
    let (n, span) = (gram.inner(), gram.span());
    let roots: Vec<f64> = scale.iter().map(|t| if *t > 0.0 { t.sqrt().recip() } else { 0.0 }).collect();
    let reach = (span as i64 - 1) / 2;
    let turn = |frequency: usize, shift: usize, size: usize| (frequency as i64 * (shift as i64 - reach)) as f64 / size as f64;
    let mut phases = vec![c64::new(0.0, 0.0); span * span];
    let mut vector = Mat::from_fn(n, 1, |i, _| c64::new(1.0 + (i as f64 * 0.618_033_988_749_895).fract(), 0.5));
    let mut largest: f64 = 0.0;
    for a in 0..=rows / 2 {
        for b in 0..cols {
            for (position, phase) in phases.iter_mut().enumerate() {
                let turns = turn(a, position / span, rows) + turn(b, position % span, cols);
                let (sin, cos) = (std::f64::consts::TAU * turns).sin_cos();
                *phase = c64::new(cos, sin);
            }
            let symbol = Mat::from_fn(n, n, |i, j| {
                let entries = &gram.approx_centre()[(i * n + j) * span * span..(i * n + j + 1) * span * span];
                let mut sum = c64::new(0.0, 0.0);
                for (phase, value) in phases.iter().zip(entries) {
                    sum += *phase * *value;
                }
                sum * (roots[i] * roots[j])
            });
            let top = if n <= SYMBOL_MOST {
                symbol.self_adjoint_eigenvalues(Side::Lower).ok()?.last().copied()?
            } else {
                power_iteration(symbol.as_ref(), &mut vector)
            };
            largest = largest.max(top);
        }
    }
    largest.is_finite().then_some(largest)
}

/// The norm of `S v / ‖v‖` after some steps from `vector`, which keeps the last one: that of the frequency before is a good start.
fn power_iteration(symbol: MatRef<'_, c64>, vector: &mut Mat<c64>) -> f64 {
    let mut norm = 0.0;
    for _ in 0..SYMBOL_STEPS {
        let image = symbol * &*vector;
        norm = image.norm_l2() / vector.norm_l2();
        if norm.is_nan() || norm <= 0.0 {
            return 0.0;
        }
        *vector = &image * Scale(c64::new(1.0 / image.norm_l2(), 0.0));
    }
    norm
}

/// About the spectral norm of a matrix, from below. 0 for the zero matrix; nothing if an eigenvalue routine fails or a square overflows.
#[must_use]
pub fn approx_norm(matrix: MatRef<'_, f64>) -> Option<f64> {
    largest(smaller_gram(matrix).as_ref()).map(f64::sqrt)
}

/// `A Aᵀ` or `Aᵀ A`, whichever is smaller: their eigenvalues other than 0 are the same.
pub(crate) fn smaller_gram(matrix: MatRef<'_, f64>) -> Mat<f64> {
    if matrix.nrows() <= matrix.ncols() {
        matrix * matrix.transpose()
    } else {
        matrix.transpose() * matrix
    }
}

/// About the largest eigenvalue of a symmetric matrix (both triangles filled). Nothing if a routine fails or the numbers overflow.
pub(crate) fn largest(matrix: MatRef<'_, f64>) -> Option<f64> {
    let value = if matrix.nrows() <= DENSE_MOST {
        matrix.self_adjoint_eigenvalues(Side::Lower).ok()?.last().copied()?
    } else {
        leading(matrix, Par::Seq)?.0
    };
    value.is_finite().then_some(value.max(0.0))
}

/// The largest eigenvalue of a symmetric matrix (both triangles filled) and its vector `(n, 1)`, as far as subspace iteration finds it, from below.
///
/// Nothing if a routine fails or the numbers overflow.
pub(crate) fn leading(matrix: MatRef<'_, f64>, par: Par) -> Option<(f64, Mat<f64>)> {
    let n = matrix.nrows();
    let width = LEADING_WIDTH.min(n);
    let mut basis = Mat::from_fn(n, width, |i, k| {
        1.0 + ((i * width + k) as f64 * 0.618_033_988_749_895).fract()
    });
    let mut found: Option<(f64, Mat<f64>)> = None;
    for _ in 0..LEADING_STEPS {
        basis = basis.qr().compute_thin_Q();
        let mut product = Mat::zeros(n, width);
        matmul(product.as_mut(), Accum::Replace, matrix, basis.as_ref(), 1.0, par);
        let eigen = (basis.transpose() * &product).self_adjoint_eigen(Side::Lower).ok()?;
        let value = eigen.S()[width - 1];
        value.is_finite().then_some(())?;
        let settled = found.as_ref().is_some_and(|(before, _)| value - before <= 1e-15 * value);
        found = Some((value, &basis * eigen.U().subcols(width - 1, 1)));
        if settled {
            break;
        }
        basis = product;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use lipcert_proofs::statement::{Kernel, Matrix};

    /// Lanczos and the full decomposition see the same matrix.
    #[test]
    fn lanczos_agrees_with_all_eigenvalues() {
        let (rows, cols) = (300, 200);
        let data: Vec<f64> = (0..rows * cols)
            .map(|k| ((k * k * 7919 + k) % 1009) as f64 / 1009.0 - 0.3)
            .collect();
        let gram = Gram::dense(&Matrix::new("weight", rows, cols, data).expect("a matrix")).expect("a Gram matrix");
        let scale: Vec<f64> = (0..rows).map(|i| 50.0 + i as f64).collect();
        let approx = approx_dense(&gram, &scale).expect("a value");
        let centre = MatRef::from_column_major_slice(gram.approx_centre(), rows, rows);
        let scaled = Mat::from_fn(rows, rows, |i, j| centre[(i, j)] / (scale[i] * scale[j]).sqrt());
        let all = scaled.self_adjoint_eigenvalues(Side::Lower).expect("eigenvalues");
        let truth = all.last().expect("one");
        assert!((approx - truth).abs() <= 1e-9 * truth, "{approx} {truth}");
    }

    #[test]
    fn a_shift_has_the_symbol_one() {
        let kernel = Kernel::new("kernel", 1, 1, 3, vec![0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).expect("a kernel");
        let gram = Gram::lattice(&kernel).expect("a self-correlation");
        let value = approx_on_grid(&gram, &[2.0], (16, 16)).expect("a value");
        assert!((value - 0.5).abs() < 1e-14);
        assert!(approx_on_grid(&gram, &[0.0], (16, 12)).expect("a value").abs() < 1e-14);
    }
}
