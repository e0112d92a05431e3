//! Products of matrices and vectors: the routines of BLAS.

use std::ffi::{c_char, c_int};

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as structured_matmul};
use faer::prelude::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par};

use super::view::{column, column_mut, extent, is_option, lower, lower_mut, operand, view_mut};

/// `target ← beta · target` where `inside(i, j)`; with `beta = 0` the old entries are not read.
fn scale(mut target: MatMut<'_, f64>, beta: f64, inside: impl Fn(usize, usize) -> bool) {
    for j in 0..target.ncols() {
        for i in (0..target.nrows()).filter(|i| inside(*i, j)) {
            let entry = &mut target[(i, j)];
            *entry = if beta == 0.0 { 0.0 } else { beta * *entry };
        }
    }
}

/// `C ← α op(A) op(B) + β C`; `C` is `(m, n)`.
///
/// # Safety
///
/// The arrays are as long as the sizes say, and `c` overlaps neither `a` nor `b`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dgemm_(
    trans_a: &c_char,
    trans_b: &c_char,
    m: &c_int,
    n: &c_int,
    k: &c_int,
    alpha: &f64,
    a: *const f64,
    lda: &c_int,
    b: *const f64,
    ldb: &c_int,
    beta: &f64,
    c: *mut f64,
    ldc: &c_int,
) {
    let (m, n, k) = (extent(*m), extent(*n), extent(*k));
    // SAFETY: the caller vouches for lengths and for `c` overlapping neither `a` nor `b`.
    let (a, b, mut c) = unsafe {
        (
            operand(*trans_a, a, m, k, *lda),
            operand(*trans_b, b, k, n, *ldb),
            view_mut(c, m, n, *ldc),
        )
    };
    scale(c.rb_mut(), *beta, |_, _| true);
    matmul(c, Accum::Add, a, b, *alpha, Par::Seq);
}

/// `y ← α op(A) x + β y`; `A` is stored `(m, n)`.
///
/// # Safety
///
/// The arrays are as long as the sizes say, and `y` overlaps neither `a` nor `x`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dgemv_(
    trans: &c_char,
    m: &c_int,
    n: &c_int,
    alpha: &f64,
    a: *const f64,
    lda: &c_int,
    x: *const f64,
    incx: &c_int,
    beta: &f64,
    y: *mut f64,
    incy: &c_int,
) {
    let (m, n) = (extent(*m), extent(*n));
    let (rows, cols) = if is_option(*trans, b'N') { (m, n) } else { (n, m) };
    // SAFETY: the caller vouches for lengths and for `y` overlapping neither `a` nor `x`.
    let (a, x, mut y) = unsafe {
        (
            operand(*trans, a, rows, cols, *lda),
            column(x, cols, *incx),
            column_mut(y, rows, *incy),
        )
    };
    scale(y.rb_mut(), *beta, |_, _| true);
    matmul(y, Accum::Add, a, x, *alpha, Par::Seq);
}

/// `y ← α A x + β y`; `A` symmetric `(n, n)`, the triangle `uplo` is read.
///
/// # Safety
///
/// The arrays are as long as the sizes say, and `y` overlaps neither `a` nor `x`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dsymv_(
    uplo: &c_char,
    n: &c_int,
    alpha: &f64,
    a: *const f64,
    lda: &c_int,
    x: *const f64,
    incx: &c_int,
    beta: &f64,
    y: *mut f64,
    incy: &c_int,
) {
    let n = extent(*n);
    // SAFETY: the caller vouches for lengths and for `y` overlapping neither `a` nor `x`.
    let (a, x, mut y) = unsafe { (lower(*uplo, a, n, *lda), column(x, n, *incx), column_mut(y, n, *incy)) };
    scale(y.rb_mut(), *beta, |_, _| true);
    for (half, structure) in [
        (a, BlockStructure::TriangularLower),
        (a.transpose(), BlockStructure::StrictTriangularUpper),
    ] {
        let rect = BlockStructure::Rectangular;
        structured_matmul(y.rb_mut(), rect, Accum::Add, half, structure, x, rect, *alpha, Par::Seq);
    }
}

/// `C ← α op(A) op(A)ᵀ + β C` in the triangle `uplo` of `C`, `(n, n)`; `op(A)` is `(n, k)`.
///
/// # Safety
///
/// The arrays are as long as the sizes say, and `c` does not overlap `a`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dsyrk_(
    uplo: &c_char,
    trans: &c_char,
    n: &c_int,
    k: &c_int,
    alpha: &f64,
    a: *const f64,
    lda: &c_int,
    beta: &f64,
    c: *mut f64,
    ldc: &c_int,
) {
    let (n, k) = (extent(*n), extent(*k));
    // SAFETY: the caller vouches for lengths and for `c` not overlapping `a`.
    let (a, mut c) = unsafe { (operand(*trans, a, n, k, *lda), lower_mut(*uplo, c, n, *ldc)) };
    scale(c.rb_mut(), *beta, |i, j| i >= j);
    add_lower(c, a, a.transpose(), *alpha);
}

/// `C ← α (op(A) op(B)ᵀ + op(B) op(A)ᵀ) + β C` in the triangle `uplo` of `C`, `(n, n)`; `op(A)` and `op(B)` are `(n, k)`.
///
/// # Safety
///
/// The arrays are as long as the sizes say, and `c` overlaps neither `a` nor `b`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dsyr2k_(
    uplo: &c_char,
    trans: &c_char,
    n: &c_int,
    k: &c_int,
    alpha: &f64,
    a: *const f64,
    lda: &c_int,
    b: *const f64,
    ldb: &c_int,
    beta: &f64,
    c: *mut f64,
    ldc: &c_int,
) {
    let (n, k) = (extent(*n), extent(*k));
    // SAFETY: the caller vouches for lengths and for `c` overlapping neither `a` nor `b`.
    let (a, b, mut c) = unsafe {
        (
            operand(*trans, a, n, k, *lda),
            operand(*trans, b, n, k, *ldb),
            lower_mut(*uplo, c, n, *ldc),
        )
    };
    scale(c.rb_mut(), *beta, |i, j| i >= j);
    add_lower(c.rb_mut(), a, b.transpose(), *alpha);
    add_lower(c, b, a.transpose(), *alpha);
}

/// The lower triangle of `alpha · lhs · rhs` is added to that of `target`.
fn add_lower(target: MatMut<'_, f64>, lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>, alpha: f64) {
    let (triangle, rect) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    structured_matmul(target, triangle, Accum::Add, lhs, rect, rhs, rect, alpha, Par::Seq);
}
