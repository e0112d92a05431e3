//! Vectors at which `G ⪯ T` fails, as floats see it: evidence for a refutation.

use faer::{MatRef, Side};

/// Up to this size the rotations of Jacobi are used; above, faer.
const JACOBI_MOST: usize = 24;

/// At most so many sweeps of rotations.
const SWEEPS: usize = 30;

/// Eigenvalues of a scaled `T` below this are taken for zero: what lies there may be rounding.
const SINGULAR: f64 = 1e-8;

/// Where a condition `G ⪯ T` fails most, or comes nearest to failing.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// About the largest `vᵀ G v / vᵀ T v`; infinite where `T` is not positive.
    pub ratio: f64,
    /// `v`, `(n,)`.
    pub vector: Vec<f64>,
}

/// The worst vector for a diagonal `T`. Nothing if `n = 0` or a number is not finite.
///
/// # Shapes
///
/// `gram` is `G`, `(n, n)`, symmetric with both triangles filled; `t` is `(n,)`, of any sign.
#[must_use]
pub fn diagonal(gram: &[f64], t: &[f64]) -> Option<Violation> {
    let n = t.len();
    if n == 0 || gram.iter().chain(t).any(|value| !value.is_finite()) {
        return None;
    }
    if let Some(shown) = bad_entry(gram, n, |i| t[i]) {
        return Some(shown);
    }
    let roots: Vec<f64> = t.iter().map(|t| if *t > 0.0 { t.sqrt().recip() } else { 0.0 }).collect();
    let scaled: Vec<f64> = (0..n * n).map(|k| gram[k] * roots[k / n] * roots[k % n]).collect();
    let (ratio, mut vector) = top(scaled, n)?;
    for (v, root) in vector.iter_mut().zip(&roots) {
        *v *= root;
    }
    Some(normalized(ratio, vector))
}

/// The worst vector for a symmetric `T`, `(n, n)`, both triangles filled; otherwise as [`diagonal`].
///
/// Directions in which `T` is nearly singular count only if `G` is well above zero there.
#[must_use]
pub fn full(gram: &[f64], t: &[f64], n: usize) -> Option<Violation> {
    if n == 0 || gram.iter().chain(t).any(|value| !value.is_finite()) {
        return None;
    }
    if let Some(shown) = bad_entry(gram, n, |i| t[i * n + i]) {
        return Some(shown);
    }
    let roots: Vec<f64> = (0..n)
        .map(|i| t[i * n + i])
        .map(|t| if t > 0.0 { t.sqrt().recip() } else { 0.0 })
        .collect();
    let scale = |matrix: &[f64]| -> Vec<f64> { (0..n * n).map(|k| matrix[k] * roots[k / n] * roots[k % n]).collect() };
    let (g, t) = (scale(gram), scale(t));
    let (values, vectors) = eigen(t, n)?;
    let largest = values.iter().copied().fold(0.0, f64::max);
    let column = |j: usize| (0..n).map(move |i| i * n + j);
    let form = |v: &[f64]| -> f64 { (0..n * n).map(|k| g[k] * v[k / n] * v[k % n]).sum() };
    let mut worst: Option<Violation> = None;
    let mut consider = |ratio: f64, vector: Vec<f64>| {
        if worst.as_ref().is_none_or(|worst| ratio > worst.ratio) {
            worst = Some(Violation { ratio, vector });
        }
    };
    let mut basis = Vec::new();
    for (j, value) in values.iter().enumerate() {
        let vector: Vec<f64> = column(j).map(|k| vectors[k]).collect();
        if *value > SINGULAR * largest {
            let root = value.sqrt().recip();
            basis.push(vector.iter().map(|v| v * root).collect::<Vec<_>>());
        } else if form(&vector) - value > SINGULAR * largest.max(1.0) {
            consider(f64::INFINITY, vector);
        }
    }
    let r = basis.len();
    if r > 0 {
        let images: Vec<Vec<f64>> = basis
            .iter()
            .map(|v| (0..n).map(|i| dot(&g[i * n..(i + 1) * n], v)).collect())
            .collect();
        let inside: Vec<f64> = (0..r * r).map(|k| dot(&images[k / r], &basis[k % r])).collect();
        let (ratio, weights) = top(inside, r)?;
        let vector = (0..n)
            .map(|i| basis.iter().zip(&weights).map(|(v, w)| v[i] * w).sum())
            .collect();
        consider(ratio, vector);
    }
    worst.map(|worst| {
        let vector = worst.vector.iter().zip(&roots).map(|(v, root)| v * root).collect();
        normalized(worst.ratio, vector)
    })
}

/// About the largest eigenvalue of a symmetric matrix, `(n, n)`, both triangles filled, with its vector.
#[must_use]
pub fn top(matrix: Vec<f64>, n: usize) -> Option<(f64, Vec<f64>)> {
    let (values, vectors) = eigen(matrix, n)?;
    let best = (0..n).max_by(|a, b| values[*a].total_cmp(&values[*b]))?;
    Some((values[best], (0..n).map(|i| vectors[i * n + best]).collect()))
}

/// Eigenvalues in any order and eigenvectors as columns of a row-major matrix.
fn eigen(matrix: Vec<f64>, n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    if n <= JACOBI_MOST {
        return Some(jacobi(matrix, n));
    }
    let view = MatRef::from_row_major_slice(&matrix, n, n);
    let found = view.self_adjoint_eigen(Side::Lower).ok()?;
    let values = (0..n).map(|i| found.S()[i]).collect();
    let vectors = (0..n * n).map(|k| found.U()[(k / n, k % n)]).collect();
    Some((values, vectors))
}

/// Cyclic rotations.
///
/// # Source
///
/// Jacobi, J. reine angew. Math. 30 (1846); the stable formula for the rotation: Rutishauser, Numer. Math. 9 (1966).
fn jacobi(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors: Vec<f64> = (0..n * n).map(|k| if k / n == k % n { 1.0 } else { 0.0 }).collect();
    let size: f64 = a.iter().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n * n).filter(|k| k / n != k % n).map(|k| a[k] * a[k]).sum();
        let done = off <= 1e-30 * size;
        if done {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let entry = a[p * n + q];
                if entry.abs() <= f64::MIN_POSITIVE {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * entry);
                let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cosine = tangent.hypot(1.0).recip();
                let sine = tangent * cosine;
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    a[k * n + p] = cosine * x - sine * y;
                    a[k * n + q] = sine * x + cosine * y;
                }
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    a[p * n + k] = cosine * x - sine * y;
                    a[q * n + k] = sine * x + cosine * y;
                }
                for k in 0..n {
                    let (x, y) = (vectors[k * n + p], vectors[k * n + q]);
                    vectors[k * n + p] = cosine * x - sine * y;
                    vectors[k * n + q] = sine * x + cosine * y;
                }
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// An entry of the diagonal of `T` that alone shows the condition to be false: not positive where `G` is, or negative.
fn bad_entry(gram: &[f64], n: usize, t: impl Fn(usize) -> f64) -> Option<Violation> {
    let largest = (0..n).map(|i| t(i).abs()).fold(0.0, f64::max);
    let bad = (0..n).find(|i| t(*i) <= 0.0 && (gram[i * n + i] > 0.0 || t(*i) < -SINGULAR * largest))?;
    Some(Violation {
        ratio: f64::INFINITY,
        vector: (0..n).map(|i| if i == bad { 1.0 } else { 0.0 }).collect(),
    })
}

/// The same direction, the largest entry 1.
fn normalized(ratio: f64, mut vector: Vec<f64>) -> Violation {
    let largest = vector
        .iter()
        .copied()
        .fold(0.0_f64, |most, v| if v.abs() > most.abs() { v } else { most });
    if largest.abs() > 0.0 {
        for v in &mut vector {
            *v /= largest;
        }
    }
    Violation { ratio, vector }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
