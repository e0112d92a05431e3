//! Factorisations and the systems that they solve.

use std::ffi::{c_char, c_int};

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::lu::partial_pivoting::{factor as lu_factor, solve as lu_solve};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Mat, Par};

use super::view::{extent, lower, lower_mut, view_mut};

/// Cholesky: `A = L Lᵀ` (`uplo` is `L`) or `A = Uᵀ U`, in place. `info` is the one-based index of the first pivot that is not positive.
///
/// # Safety
///
/// The array is as long as the sizes say.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dpotrf_(uplo: &c_char, n: &c_int, a: *mut f64, lda: &c_int, info: &mut c_int) {
    let n = extent(*n);
    // SAFETY: the caller vouches for the length.
    let mut a = unsafe { lower_mut(*uplo, a, n, *lda) };
    // The factorisation uses the other triangle as working memory, which the contract leaves to the caller.
    let mut factor = Mat::from_fn(n, n, |i, j| if i >= j { a[(i, j)] } else { 0.0 });
    let scratch = cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default());
    *info = match cholesky_in_place(
        factor.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    ) {
        Ok(_) => 0,
        Err(LltError::NonPositivePivot { index }) => one_based(index),
    };
    for j in 0..n {
        for i in j..n {
            a[(i, j)] = factor[(i, j)];
        }
    }
}

/// Solves `A X = B` in place of `B`, `(n, nrhs)`, from the Cholesky factor of `dpotrf_`.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dpotrs_(
    uplo: &c_char,
    n: &c_int,
    nrhs: &c_int,
    a: *const f64,
    lda: &c_int,
    b: *mut f64,
    ldb: &c_int,
    info: &mut c_int,
) {
    let (n, nrhs) = (extent(*n), extent(*nrhs));
    // SAFETY: the caller vouches for lengths and for the arrays not overlapping.
    let (factor, mut b) = unsafe { (lower(*uplo, a, n, *lda), view_mut(b, n, nrhs, *ldb)) };
    solve_lower_triangular_in_place(factor, b.rb_mut(), Par::Seq);
    solve_upper_triangular_in_place(factor.transpose(), b, Par::Seq);
    *info = 0;
}

/// Solves `A X = B` in place of `B`, `(n, nrhs)`, by LU with row exchanges; `a` becomes the factors. `info` is the one-based index of the first pivot
/// that is exactly zero; then `B` is left alone.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dgesv_(
    n: &c_int,
    nrhs: &c_int,
    a: *mut f64,
    lda: &c_int,
    ipiv: *mut c_int,
    b: *mut f64,
    ldb: &c_int,
    info: &mut c_int,
) {
    let (n, nrhs) = (extent(*n), extent(*nrhs));
    // SAFETY: the caller vouches for lengths and for the arrays not overlapping.
    let (mut a, b) = unsafe { (view_mut(a, n, n, *lda), view_mut(b, n, nrhs, *ldb)) };
    let (mut order, mut inverse) = (vec![0_usize; n], vec![0_usize; n]);
    let scratch = lu_factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Default::default());
    let (_, permutation) = lu_factor::lu_in_place(
        a.rb_mut(),
        &mut order,
        &mut inverse,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    // LAPACK reports exchanges, one after the other, and faer where each row ended.
    let mut rows: Vec<usize> = (0..n).collect();
    for (k, row) in permutation.arrays().0.iter().enumerate() {
        let place = rows.iter().position(|r| r == row).expect("a permutation holds every row");
        rows.swap(k, place);
        // SAFETY: `ipiv` has room for `n` numbers.
        unsafe { ipiv.add(k).write(one_based(place)) };
    }
    if let Some(zero) = (0..n).find(|k| a[(*k, *k)] == 0.0) {
        *info = one_based(zero);
        return;
    }
    *info = 0;
    let scratch = lu_solve::solve_in_place_scratch::<usize, f64>(n, nrhs, Par::Seq);
    lu_solve::solve_in_place(
        a.rb(),
        a.rb(),
        permutation,
        b,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
    );
}

/// An index of ours as LAPACK counts, and has room for: it came from a `c_int`.
fn one_based(index: usize) -> c_int {
    c_int::try_from(index + 1).expect("an index below a size that was a `c_int`")
}
