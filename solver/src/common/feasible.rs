//! A feasible `t` near one that is nearly feasible.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor;
use faer::{Mat, MatMut, Par};

use super::scaled::Scaled;

/// How many candidates a solution carries.
const CANDIDATES: i32 = 6;

/// A point whose factorisation went through, and the part by which it was enlarged for that.
#[derive(Clone, Debug)]
pub(super) struct Feasible {
    pub(super) scale: Vec<f64>,
    pub(super) objective: f64,
    pub(super) slack: f64,
}

impl Feasible {
    /// The point, and others further inside: by multiples of the slack, and of the rounding of a check.
    pub(super) fn candidates(&self) -> Vec<Vec<f64>> {
        let rounding = self.scale.len() as f64 * f64::EPSILON;
        let enlarged = |k: i32| {
            let more = if k == 0 {
                0.0
            } else {
                self.slack * f64::from(k) + rounding * 16.0_f64.powi(k)
            };
            self.scale.iter().map(|t| t * (1.0 + more)).collect()
        };
        (0..CANDIDATES).map(enlarged).collect()
    }
}

/// Enlarges `t` by the smallest factor (up to a quarter of its excess) for which `diag(t) − G` has a Cholesky factorisation.
///
/// Nothing if even a factor `2²⁰` does not do, or a number is not finite.
pub(super) fn from_dual(problem: &Scaled, scale: &[f64], par: Par) -> Option<Feasible> {
    let n = problem.len();
    let mut matrix = Mat::zeros(n, n);
    let mut passes = |slack: f64| {
        fill(&mut matrix, problem, |i| scale[i] * (1.0 + slack));
        factorize(matrix.as_mut(), par)
    };
    let least = n as f64 * f64::EPSILON;
    let (mut fails, mut slack) = (0.0, least);
    while !passes(slack) {
        fails = slack;
        slack *= 8.0;
        if slack > 1_048_576.0 {
            return None;
        }
    }
    // In the logarithm: the ratio is eight at first.
    while fails > 0.0 && slack > 1.25 * fails {
        let middle = (slack * fails).sqrt();
        if passes(middle) {
            slack = middle;
        } else {
            fails = middle;
        }
    }
    let scale: Vec<f64> = scale.iter().map(|t| t * (1.0 + slack)).collect();
    let objective = problem.objective(&scale);
    objective.is_finite().then_some(Feasible { scale, objective, slack })
}

/// Writes the lower triangle of `diag(t) − G`.
pub(super) fn fill(matrix: &mut Mat<f64>, problem: &Scaled, scale: impl Fn(usize) -> f64) {
    let gram = problem.gram();
    for j in 0..problem.len() {
        let (source, target) = (gram.col(j), matrix.as_mut().col_mut(j));
        let source = source.try_as_col_major().expect("columns of an owned matrix").as_slice();
        let target = target
            .try_as_col_major_mut()
            .expect("columns of an owned matrix")
            .as_slice_mut();
        for (target, source) in target[j..].iter_mut().zip(&source[j..]) {
            *target = -source;
        }
        target[j] += scale(j);
    }
}

/// Cholesky factorisation of the lower triangle in place; says whether it went through. NaN does not.
pub(super) fn factorize(matrix: MatMut<'_, f64>, par: Par) -> bool {
    let n = matrix.nrows();
    let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(n, par, faer::prelude::default()));
    let stack = MemStack::new(&mut memory);
    factor::cholesky_in_place(matrix, faer::prelude::default(), par, stack, faer::prelude::default()).is_ok()
}
