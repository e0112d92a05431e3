//! Eigenvalues of symmetric matrices and singular values.

use std::ffi::{c_char, c_int};

use faer::Par;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};

use super::view::{column_mut, extent, is_option, lower, view, view_mut};

/// All eigenvalues of a symmetric matrix in `w`, rising; with `jobz` `V` the vectors in the columns of `z`. `info` is 1 if nothing converged.
///
/// `range` must be `A`; the bounds of other ranges, the tolerance and the working memory are not looked at, and a query of the latter
/// (`lwork` or `liwork` −1) answers 1.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap; `work` and `iwork` have room for one number.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dsyevr_(
    jobz: &c_char,
    range: &c_char,
    uplo: &c_char,
    n: &c_int,
    a: *mut f64,
    lda: &c_int,
    _vl: *const f64,
    _vu: *const f64,
    _il: *const c_int,
    _iu: *const c_int,
    _abstol: *const f64,
    m: &mut c_int,
    w: *mut f64,
    z: *mut f64,
    ldz: &c_int,
    isuppz: *mut c_int,
    work: *mut f64,
    lwork: &c_int,
    iwork: *mut c_int,
    liwork: &c_int,
    info: &mut c_int,
) {
    if !is_option(*range, b'A') {
        *info = -2;
        return;
    }
    *info = 0;
    if *lwork == -1 || *liwork == -1 {
        // SAFETY: the caller vouches for room for one number each.
        unsafe { (work.write(1.0), iwork.write(1)) };
        return;
    }
    *m = *n;
    let size = extent(*n);
    let wanted = is_option(*jobz, b'V');
    // SAFETY: the caller vouches for lengths and for the arrays not overlapping; `z` is looked at only where vectors are asked for.
    let (a, w, z) = unsafe {
        let z = wanted.then(|| view_mut(z, size, size, *ldz));
        (lower(*uplo, a, size, *lda), column_mut(w, size, 1), z)
    };
    for k in 0..if wanted { size } else { 0 } {
        // SAFETY: where vectors are asked for, `isuppz` has room for two numbers an eigenvalue: the rows where its vector may be nonzero.
        unsafe { (isuppz.add(2 * k).write(1), isuppz.add(2 * k + 1).write(*n)) };
    }
    let vectors = if wanted {
        ComputeEigenvectors::Yes
    } else {
        ComputeEigenvectors::No
    };
    let scratch = self_adjoint_evd_scratch::<f64>(size, vectors, Par::Seq, Default::default());
    let values = w.col_mut(0).as_diagonal_mut();
    if self_adjoint_evd(
        a,
        values,
        z,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .is_err()
    {
        *info = 1;
    }
}

/// Thin singular value decomposition `A = U diag(s) Vᵀ`, `A` `(m, n)`, `s` falling. `info` is 1 if nothing converged; `jobz` must be `S`.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap; `work` has room for one number.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dgesdd_(
    jobz: &c_char,
    m: &c_int,
    n: &c_int,
    a: *mut f64,
    lda: &c_int,
    s: *mut f64,
    u: *mut f64,
    ldu: &c_int,
    vt: *mut f64,
    ldvt: &c_int,
    work: *mut f64,
    lwork: &c_int,
    _iwork: *mut c_int,
    info: &mut c_int,
) {
    // SAFETY: the same contract.
    unsafe { dgesvd_(jobz, jobz, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, info) };
}

/// As [`dgesdd_`]; both options must be `S`.
///
/// # Safety
///
/// That of [`dgesdd_`].
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dgesvd_(
    jobu: &c_char,
    jobvt: &c_char,
    m: &c_int,
    n: &c_int,
    a: *mut f64,
    lda: &c_int,
    s: *mut f64,
    u: *mut f64,
    ldu: &c_int,
    vt: *mut f64,
    ldvt: &c_int,
    work: *mut f64,
    lwork: &c_int,
    info: &mut c_int,
) {
    if !is_option(*jobu, b'S') || !is_option(*jobvt, b'S') {
        *info = -1;
        return;
    }
    *info = 0;
    if *lwork == -1 {
        // SAFETY: the caller vouches for room for one number.
        unsafe { work.write(1.0) };
        return;
    }
    let (m, n) = (extent(*m), extent(*n));
    let thin = m.min(n);
    // SAFETY: the caller vouches for lengths and for the arrays not overlapping.
    let (a, s, u, v) = unsafe {
        (
            view(a, m, n, *lda),
            column_mut(s, thin, 1),
            view_mut(u, m, thin, *ldu),
            view_mut(vt, thin, n, *ldvt).transpose_mut(),
        )
    };
    let vectors = ComputeSvdVectors::Thin;
    let scratch = svd_scratch::<f64>(m, n, vectors, vectors, Par::Seq, Default::default());
    let values = s.col_mut(0).as_diagonal_mut();
    if svd(
        a,
        values,
        Some(u),
        Some(v),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .is_err()
    {
        *info = 1;
    }
}
