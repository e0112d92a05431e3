//! The BLAS and LAPACK routines that the conic solver calls, on faer, so that no system library is linked.
//!
//! The solver finds them by name when the program is linked. They keep the contract of the reference library – column-major storage, leading dimensions, one
//! triangle of a symmetric matrix – for the arguments that occur: no strides between the entries of a vector, all eigenvalues, thin singular vectors.
//! Other arguments end the process, or come back as a negative `info` where the routine has one. Everything runs on one thread, so that a result does not depend on the
//! number of cores. The single-precision twins are only there to be linked: they end the process.
//!
//! # Source
//!
//! Anderson et al., *LAPACK Users' Guide*, third edition, SIAM 1999; the routines carry the names from there.
#![expect(
    unsafe_code,
    reason = "a C interface hands over raw pointers, and its symbols have no mangled names"
)]

use std::ffi::{c_char, c_int};

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::lu::partial_pivoting::{factor as lu_factor, solve as lu_solve};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as structured_matmul};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// The addresses of the routines defined here. Whoever asks for them makes the linker keep them.
pub(crate) fn symbols() -> [*const (); 22] {
    [
        dgemm_ as *const (),
        dgemv_ as *const (),
        dsymv_ as *const (),
        dsyrk_ as *const (),
        dsyr2k_ as *const (),
        dpotrf_ as *const (),
        dpotrs_ as *const (),
        dsyevr_ as *const (),
        dgesdd_ as *const (),
        dgesvd_ as *const (),
        dgesv_ as *const (),
        sgemm_ as *const (),
        sgemv_ as *const (),
        ssymv_ as *const (),
        ssyrk_ as *const (),
        ssyr2k_ as *const (),
        spotrf_ as *const (),
        spotrs_ as *const (),
        ssyevr_ as *const (),
        sgesdd_ as *const (),
        sgesvd_ as *const (),
        sgesv_ as *const (),
    ]
}

/// A size as the interface hands it over.
fn extent(size: c_int) -> usize {
    usize::try_from(size).expect("a caller of BLAS passes no negative size")
}

/// Whether an option is `letter`, in either case.
fn is_option(option: c_char, letter: u8) -> bool {
    (option as u8).eq_ignore_ascii_case(&letter)
}

/// The `(rows, cols)` matrix stored by columns at `data`, `lead` entries from one column to the next.
///
/// # Safety
///
/// All its entries are readable, and nobody writes to them, for as long as the result lives.
unsafe fn view<'a>(data: *const f64, rows: usize, cols: usize, lead: c_int) -> MatRef<'a, f64> {
    assert!(extent(lead) >= rows, "a leading dimension below the number of rows");
    // SAFETY: the caller vouches for the entries; the columns do not overlap, as just checked.
    unsafe { MatRef::from_raw_parts(data, rows, cols, 1, lead as isize) }
}

/// As [`view`], to write to.
///
/// # Safety
///
/// All its entries are initialised and writable, and nobody else reads or writes them, for as long as the result lives.
unsafe fn view_mut<'a>(data: *mut f64, rows: usize, cols: usize, lead: c_int) -> MatMut<'a, f64> {
    assert!(extent(lead) >= rows, "a leading dimension below the number of rows");
    // SAFETY: the caller vouches for the entries; the columns do not overlap, as just checked.
    unsafe { MatMut::from_raw_parts_mut(data, rows, cols, 1, lead as isize) }
}

/// The `(rows, cols)` matrix `op(A)`, where `A` is stored and `op` transposes if `trans` is `T` or `C`.
///
/// # Safety
///
/// That of [`view`].
unsafe fn operand<'a>(trans: c_char, data: *const f64, rows: usize, cols: usize, lead: c_int) -> MatRef<'a, f64> {
    if is_option(trans, b'N') {
        // SAFETY: handed on.
        unsafe { view(data, rows, cols, lead) }
    } else {
        // SAFETY: handed on; the stored matrix is the transpose.
        unsafe { view(data, cols, rows, lead) }.transpose()
    }
}

/// A square matrix whose **lower** triangle is the stored one; the transpose of a matrix stored as `U`.
///
/// # Safety
///
/// That of [`view`].
unsafe fn lower<'a>(uplo: c_char, data: *const f64, size: usize, lead: c_int) -> MatRef<'a, f64> {
    // SAFETY: handed on.
    let stored = unsafe { view(data, size, size, lead) };
    if is_option(uplo, b'U') { stored.transpose() } else { stored }
}

/// As [`lower`], to write to.
///
/// # Safety
///
/// That of [`view_mut`].
unsafe fn lower_mut<'a>(uplo: c_char, data: *mut f64, size: usize, lead: c_int) -> MatMut<'a, f64> {
    // SAFETY: handed on.
    let stored = unsafe { view_mut(data, size, size, lead) };
    if is_option(uplo, b'U') {
        stored.transpose_mut()
    } else {
        stored
    }
}

/// The vector of `len` entries at `data` as one column; `step` is the distance between entries.
///
/// # Safety
///
/// That of [`view`].
unsafe fn column<'a>(data: *const f64, len: usize, step: c_int) -> MatRef<'a, f64> {
    assert!(step == 1, "vectors with gaps are not provided");
    // SAFETY: handed on; a single column.
    unsafe { MatRef::from_raw_parts(data, len, 1, 1, 1) }
}

/// As [`column()`], to write to.
///
/// # Safety
///
/// That of [`view_mut`].
unsafe fn column_mut<'a>(data: *mut f64, len: usize, step: c_int) -> MatMut<'a, f64> {
    assert!(step == 1, "vectors with gaps are not provided");
    // SAFETY: handed on; a single column.
    unsafe { MatMut::from_raw_parts_mut(data, len, 1, 1, 1) }
}

/// `target ← beta · target` where `inside(i, j)`; with `beta = 0` the old entries are not read.
fn scale(mut target: MatMut<'_, f64>, beta: f64, inside: impl Fn(usize, usize) -> bool) {
    for j in 0..target.ncols() {
        for i in (0..target.nrows()).filter(|i| inside(*i, j)) {
            let entry = &mut target[(i, j)];
            *entry = if beta == 0.0 { 0.0 } else { beta * *entry };
        }
    }
}

/// Working memory of a factorisation.
macro_rules! stack {
    ($scratch:expr) => {
        MemStack::new(&mut MemBuffer::new($scratch))
    };
}

/// `C ← α op(A) op(B) + β C`; `C` is `(m, n)`.
///
/// # Safety
///
/// The arrays are as long as the sizes say, and `c` overlaps neither `a` nor `b`.
#[unsafe(no_mangle)]
unsafe extern "C" fn dgemm_(
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
unsafe extern "C" fn dgemv_(
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
unsafe extern "C" fn dsymv_(
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
unsafe extern "C" fn dsyrk_(
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
unsafe extern "C" fn dsyr2k_(
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

/// Cholesky: `A = L Lᵀ` (`uplo` is `L`) or `A = Uᵀ U`, in place. `info` is the one-based index of the first pivot that is not positive.
///
/// # Safety
///
/// The array is as long as the sizes say.
#[unsafe(no_mangle)]
unsafe extern "C" fn dpotrf_(uplo: &c_char, n: &c_int, a: *mut f64, lda: &c_int, info: &mut c_int) {
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
        stack!(scratch),
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

/// An index of ours as LAPACK counts, and has room for: it came from a `c_int`.
fn one_based(index: usize) -> c_int {
    c_int::try_from(index + 1).expect("an index below a size that was a `c_int`")
}

/// Solves `A X = B` in place of `B`, `(n, nrhs)`, from the Cholesky factor of `dpotrf_`.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn dpotrs_(
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

/// All eigenvalues of a symmetric matrix in `w`, rising; with `jobz` `V` the vectors in the columns of `z`. `info` is 1 if nothing converged.
///
/// `range` must be `A`; the bounds of other ranges, the tolerance and the working memory are not looked at, and a query of the latter
/// (`lwork` or `liwork` −1) answers 1.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap; `work` and `iwork` have room for one number.
#[unsafe(no_mangle)]
unsafe extern "C" fn dsyevr_(
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
    if self_adjoint_evd(a, values, z, Par::Seq, stack!(scratch), Default::default()).is_err() {
        *info = 1;
    }
}

/// Thin singular value decomposition `A = U diag(s) Vᵀ`, `A` `(m, n)`, `s` falling. `info` is 1 if nothing converged; `jobz` must be `S`.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap; `work` has room for one number.
#[unsafe(no_mangle)]
unsafe extern "C" fn dgesdd_(
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
unsafe extern "C" fn dgesvd_(
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
    if svd(a, values, Some(u), Some(v), Par::Seq, stack!(scratch), Default::default()).is_err() {
        *info = 1;
    }
}

/// Solves `A X = B` in place of `B`, `(n, nrhs)`, by LU with row exchanges; `a` becomes the factors. `info` is the one-based index of the first pivot
/// that is exactly zero; then `B` is left alone.
///
/// # Safety
///
/// The arrays are as long as the sizes say and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn dgesv_(
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
        stack!(scratch),
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
    lu_solve::solve_in_place(a.rb(), a.rb(), permutation, b, Par::Seq, stack!(scratch));
}

/// Single precision: the solver is only ever used with `f64`.
macro_rules! not_provided {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() {
                panic!("`{}` is not provided: single precision", stringify!($name));
            }
        )*
    };
}
not_provided! { sgemm_ sgemv_ ssymv_ ssyrk_ ssyr2k_ spotrf_ spotrs_ ssyevr_ sgesdd_ sgesvd_ sgesv_ }
