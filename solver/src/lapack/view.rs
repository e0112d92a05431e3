//! Sizes, options and raw arrays as the interface hands them over.

use std::ffi::{c_char, c_int};

use faer::{MatMut, MatRef};

/// A size as the interface hands it over.
pub(super) fn extent(size: c_int) -> usize {
    usize::try_from(size).expect("a caller of BLAS passes no negative size")
}

/// Whether an option is `letter`, in either case.
pub(super) fn is_option(option: c_char, letter: u8) -> bool {
    (option as u8).eq_ignore_ascii_case(&letter)
}

/// The `(rows, cols)` matrix stored by columns at `data`, `lead` entries from one column to the next.
///
/// # Safety
///
/// All its entries are readable, and nobody writes to them, for as long as the result lives.
pub(super) unsafe fn view<'a>(data: *const f64, rows: usize, cols: usize, lead: c_int) -> MatRef<'a, f64> {
    assert!(extent(lead) >= rows, "a leading dimension below the number of rows");
    // SAFETY: the caller vouches for the entries; the columns do not overlap, as just checked.
    unsafe { MatRef::from_raw_parts(data, rows, cols, 1, lead as isize) }
}

/// As [`view`], to write to.
///
/// # Safety
///
/// All its entries are initialised and writable, and nobody else reads or writes them, for as long as the result lives.
pub(super) unsafe fn view_mut<'a>(data: *mut f64, rows: usize, cols: usize, lead: c_int) -> MatMut<'a, f64> {
    assert!(extent(lead) >= rows, "a leading dimension below the number of rows");
    // SAFETY: the caller vouches for the entries; the columns do not overlap, as just checked.
    unsafe { MatMut::from_raw_parts_mut(data, rows, cols, 1, lead as isize) }
}

/// The `(rows, cols)` matrix `op(A)`, where `A` is stored and `op` transposes if `trans` is `T` or `C`.
///
/// # Safety
///
/// That of [`view`].
pub(super) unsafe fn operand<'a>(trans: c_char, data: *const f64, rows: usize, cols: usize, lead: c_int) -> MatRef<'a, f64> {
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
pub(super) unsafe fn lower<'a>(uplo: c_char, data: *const f64, size: usize, lead: c_int) -> MatRef<'a, f64> {
    // SAFETY: handed on.
    let stored = unsafe { view(data, size, size, lead) };
    if is_option(uplo, b'U') { stored.transpose() } else { stored }
}

/// As [`lower`], to write to.
///
/// # Safety
///
/// That of [`view_mut`].
pub(super) unsafe fn lower_mut<'a>(uplo: c_char, data: *mut f64, size: usize, lead: c_int) -> MatMut<'a, f64> {
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
pub(super) unsafe fn column<'a>(data: *const f64, len: usize, step: c_int) -> MatRef<'a, f64> {
    assert!(step == 1, "vectors with gaps are not provided");
    // SAFETY: handed on; a single column.
    unsafe { MatRef::from_raw_parts(data, len, 1, 1, 1) }
}

/// As [`column()`], to write to.
///
/// # Safety
///
/// That of [`view_mut`].
pub(super) unsafe fn column_mut<'a>(data: *mut f64, len: usize, step: c_int) -> MatMut<'a, f64> {
    assert!(step == 1, "vectors with gaps are not provided");
    // SAFETY: handed on; a single column.
    unsafe { MatMut::from_raw_parts_mut(data, len, 1, 1, 1) }
}
