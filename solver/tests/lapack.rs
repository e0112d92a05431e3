//! Each BLAS and LAPACK routine of the crate against nalgebra, through the declarations that the conic solver uses.
//!
//! Arrays have leading dimensions larger than they need, and what lies outside a matrix, or in the triangle that a routine may not touch, is a large number
//! that must still be there: so a routine that reads or writes there is caught. Sizes are small, entries below 1 in magnitude, so that `1e-13` is a few hundred ulps; factorisations of well-conditioned
//! matrices get `1e-12`.
#![expect(unsafe_code, reason = "the routines are foreign functions")]

use blas::{dgemm, dgemv, dsymv, dsyr2k, dsyrk};
use lapack::{dgesdd, dgesv, dgesvd, dpotrf, dpotrs, dsyevr};
use nalgebra::DMatrix;

// The routines are in this crate; nothing else here names it.
use lipcert_solver as _;

const SIZES: [usize; 10] = [1, 2, 3, 4, 5, 6, 8, 16, 17, 40];

/// Entries in `[−1, 1)` that depend on the seed.
fn random(rows: usize, cols: usize, seed: u64) -> DMatrix<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    DMatrix::from_fn(rows, cols, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// What an array holds where no routine may write. Finite: arithmetic on NaN would leave NaN and hide a write.
const OUTSIDE: f64 = 1e6;

/// Columns of `rows + 3` entries, [`OUTSIDE`] where the matrix is not.
fn stored(matrix: &DMatrix<f64>) -> (Vec<f64>, i32) {
    let lead = matrix.nrows() + 3;
    let mut data = vec![OUTSIDE; lead * matrix.ncols()];
    for (column, entries) in data.chunks_exact_mut(lead).zip(matrix.column_iter()) {
        column[..matrix.nrows()].copy_from_slice(entries.as_slice());
    }
    (data, lead as i32)
}

/// The matrix in such an array; whatever lies outside must be as it was.
fn read(data: &[f64], lead: i32, rows: usize, cols: usize) -> DMatrix<f64> {
    let lead = lead as usize;
    for (k, value) in data.iter().enumerate() {
        assert!(k % lead < rows || value.to_bits() == OUTSIDE.to_bits(), "written outside");
    }
    DMatrix::from_fn(rows, cols, |i, j| data[j * lead + i])
}

/// Whether an entry lies in a triangle.
fn inside(uplo: u8, i: usize, j: usize) -> bool {
    i == j || (i < j) == (uplo == b'U')
}

/// The triangle, and [`OUTSIDE`] elsewhere.
fn triangle(uplo: u8, matrix: &DMatrix<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| {
        if inside(uplo, i, j) { matrix[(i, j)] } else { OUTSIDE }
    })
}

fn assert_near(found: &DMatrix<f64>, expected: &DMatrix<f64>, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape());
    for (a, b) in found.iter().zip(expected.iter()) {
        assert!((a - b).abs() <= tolerance, "{a} {b}");
    }
}

/// A matrix and its transpose if `trans` says that the transpose is stored.
fn turned(trans: u8, matrix: &DMatrix<f64>) -> DMatrix<f64> {
    if trans == b'N' { matrix.clone() } else { matrix.transpose() }
}

#[test]
fn general_products() {
    for (case, (m, n, k)) in [(1, 1, 1), (3, 4, 5), (7, 2, 0), (20, 33, 9), (40, 40, 40)]
        .into_iter()
        .enumerate()
    {
        for (trans_a, trans_b) in [(b'N', b'N'), (b'T', b'N'), (b'N', b'T'), (b'T', b'T'), (b'c', b't')] {
            for (alpha, beta) in [(1.0, 0.0), (-0.5, 1.0), (2.0, -3.0), (0.0, 0.5)] {
                let (a, b, c) = (random(m, k, 1 + case as u64), random(k, n, 2), random(m, n, 3));
                let expected = &a * &b * alpha + if beta == 0.0 { DMatrix::zeros(m, n) } else { &c * beta };
                let (stored_a, lda) = stored(&turned(trans_a, &a));
                let (stored_b, ldb) = stored(&turned(trans_b, &b));
                // With β = 0 the old entries are not read.
                let (mut out, ldc) = stored(&if beta == 0.0 { c.map(|_| f64::NAN) } else { c });
                // SAFETY: the arrays have the sizes given.
                unsafe {
                    dgemm(
                        trans_a, trans_b, m as i32, n as i32, k as i32, alpha, &stored_a, lda, &stored_b, ldb, beta, &mut out,
                        ldc,
                    );
                }
                assert_near(&read(&out, ldc, m, n), &expected, 1e-13);
            }
        }
    }
}

#[test]
fn general_times_vector() {
    for (m, n) in [(1, 1), (4, 7), (33, 12)] {
        for trans in [b'N', b'T'] {
            for (alpha, beta) in [(1.0, 0.0), (-0.5, 1.0), (2.0, -3.0)] {
                let a = random(m, n, 5);
                let op = turned(trans, &a);
                let (x, y) = (random(op.ncols(), 1, 6), random(op.nrows(), 1, 7));
                let (data, lead) = stored(&a);
                let mut out = if beta == 0.0 {
                    vec![f64::NAN; y.len()]
                } else {
                    y.as_slice().to_vec()
                };
                // SAFETY: the arrays have the sizes given.
                unsafe {
                    dgemv(
                        trans,
                        m as i32,
                        n as i32,
                        alpha,
                        &data,
                        lead,
                        x.as_slice(),
                        1,
                        beta,
                        &mut out,
                        1,
                    )
                };
                let expected = &op * &x * alpha + if beta == 0.0 { y * 0.0 } else { y * beta };
                assert_near(&DMatrix::from_vec(op.nrows(), 1, out), &expected, 1e-13);
            }
        }
    }
}

#[test]
fn symmetric_times_vector() {
    for n in SIZES {
        for uplo in [b'U', b'L', b'u', b'l'] {
            for (alpha, beta) in [(1.0, 0.0), (2.0, -3.0)] {
                let half = random(n, n, 8);
                let a = &half + half.transpose();
                let (x, y) = (random(n, 1, 9), random(n, 1, 10));
                let (data, lead) = stored(&triangle(uplo.to_ascii_uppercase(), &a));
                let mut out = if beta == 0.0 {
                    vec![f64::NAN; n]
                } else {
                    y.as_slice().to_vec()
                };
                // SAFETY: the arrays have the sizes given.
                unsafe { dsymv(uplo, n as i32, alpha, &data, lead, x.as_slice(), 1, beta, &mut out, 1) };
                let expected = &a * &x * alpha + if beta == 0.0 { y * 0.0 } else { y * beta };
                assert_near(&DMatrix::from_vec(n, 1, out), &expected, 1e-13);
            }
        }
    }
}

#[test]
fn symmetric_rank_updates() {
    for n in SIZES {
        for (uplo, trans) in [(b'U', b'N'), (b'L', b'N'), (b'U', b'T'), (b'L', b'T')] {
            for (alpha, beta) in [(1.0, 0.0), (-0.5, 1.0), (2.0, -3.0)] {
                for k in [1, 6] {
                    let (a, b) = (random(n, k, 11), random(n, k, 12));
                    let half = random(n, n, 13);
                    let c = &half + half.transpose();
                    let old = if beta == 0.0 { c.map(|_| f64::NAN) } else { c.clone() };
                    let base = if beta == 0.0 { &c * 0.0 } else { &c * beta };
                    let (stored_a, lda) = stored(&turned(trans, &a));
                    let (stored_b, ldb) = stored(&turned(trans, &b));
                    let (mut out, ldc) = stored(&triangle(uplo, &old));
                    // SAFETY: the arrays have the sizes given.
                    unsafe { dsyrk(uplo, trans, n as i32, k as i32, alpha, &stored_a, lda, beta, &mut out, ldc) };
                    let expected = &a * a.transpose() * alpha + &base;
                    assert_near(&read(&out, ldc, n, n), &triangle(uplo, &expected), 1e-13);

                    let (mut out, ldc) = stored(&triangle(uplo, &old));
                    // SAFETY: the arrays have the sizes given.
                    unsafe {
                        dsyr2k(
                            uplo, trans, n as i32, k as i32, alpha, &stored_a, lda, &stored_b, ldb, beta, &mut out, ldc,
                        );
                    }
                    let expected = (&a * b.transpose() + &b * a.transpose()) * alpha + base;
                    assert_near(&read(&out, ldc, n, n), &triangle(uplo, &expected), 1e-13);
                }
            }
        }
    }
}

#[test]
fn cholesky_and_its_solve() {
    for n in SIZES {
        for uplo in [b'U', b'L'] {
            let root = random(n, n, 14);
            let a = &root * root.transpose() + DMatrix::identity(n, n);
            let (mut data, lead) = stored(&triangle(uplo, &a));
            let mut info = -7;
            // SAFETY: the array has the size given.
            unsafe { dpotrf(uplo, n as i32, &mut data, lead, &mut info) };
            assert_eq!(info, 0);
            let factor = read(&data, lead, n, n);
            let clean = DMatrix::from_fn(n, n, |i, j| if inside(uplo, i, j) { factor[(i, j)] } else { 0.0 });
            let product = if uplo == b'U' {
                clean.tr_mul(&clean)
            } else {
                &clean * clean.transpose()
            };
            assert_near(&product, &a, 1e-12);
            assert_near(&factor, &triangle(uplo, &clean), 0.0);

            let x = random(n, 3, 15);
            let (mut right, ldb) = stored(&(&a * &x));
            // SAFETY: the arrays have the sizes given.
            unsafe { dpotrs(uplo, n as i32, 3, &data, lead, &mut right, ldb, &mut info) };
            assert_eq!(info, 0);
            assert_near(&read(&right, ldb, n, 3), &x, 1e-11);
        }
    }
}

/// The pivot that is not positive is named, counted from 1.
#[test]
fn cholesky_refuses_indefinite_matrices() {
    for (uplo, bad) in [(b'U', 0), (b'L', 3), (b'U', 5)] {
        let diagonal: Vec<f64> = (0..6).map(|k| if k == bad { -1.0 } else { 2.0 }).collect();
        let (mut data, lead) = stored(&DMatrix::from_diagonal(&diagonal.into()));
        let mut info = 0;
        // SAFETY: the array has the size given.
        unsafe { dpotrf(uplo, 6, &mut data, lead, &mut info) };
        assert_eq!(info, bad + 1);
    }
}

#[test]
fn eigenvalues_and_vectors() {
    for n in SIZES {
        for (uplo, job) in [(b'U', b'N'), (b'U', b'V'), (b'L', b'V')] {
            let half = random(n, n, 16);
            let a = &half + half.transpose();
            let (mut data, lead) = stored(&triangle(uplo, &a));
            let (mut values, mut found, mut info) = (vec![f64::NAN; n], 0, -7);
            let (mut vectors, ldz) = stored(&DMatrix::from_element(n, n, f64::NAN));
            let (mut support, mut work, mut integers) = (vec![0; 2 * n], vec![0.0; 1], vec![0; 1]);
            let mut call = |work: &mut Vec<f64>, lwork: i32, integers: &mut Vec<i32>, liwork: i32| {
                let size = n as i32;
                // SAFETY: the arrays have the sizes given.
                unsafe {
                    dsyevr(
                        job,
                        b'A',
                        uplo,
                        size,
                        &mut data,
                        lead,
                        0.0,
                        0.0,
                        0,
                        0,
                        -1.0,
                        &mut found,
                        &mut values,
                        &mut vectors,
                        ldz,
                        &mut support,
                        work,
                        lwork,
                        integers,
                        liwork,
                        &mut info,
                    );
                }
                assert_eq!(info, 0);
            };
            // The query first, as every caller does.
            call(&mut work, -1, &mut integers, -1);
            let (lwork, liwork) = (work[0] as i32, integers[0]);
            work.resize(lwork as usize, 0.0);
            integers.resize(liwork as usize, 0);
            call(&mut work, lwork, &mut integers, liwork);
            assert_eq!(found, n as i32);
            let mut expected: Vec<f64> = a.symmetric_eigenvalues().iter().copied().collect();
            expected.sort_by(f64::total_cmp);
            assert_near(
                &DMatrix::from_vec(n, 1, values.clone()),
                &DMatrix::from_vec(n, 1, expected),
                1e-12,
            );
            if job == b'V' {
                let z = read(&vectors, ldz, n, n);
                assert_near(&(&z * DMatrix::from_diagonal(&values.into()) * z.transpose()), &a, 1e-12);
                assert_near(&z.tr_mul(&z), &DMatrix::identity(n, n), 1e-12);
            } else {
                assert!(
                    vectors
                        .iter()
                        .all(|value| value.is_nan() || value.to_bits() == OUTSIDE.to_bits())
                );
            }
        }
    }
}

/// Only all eigenvalues are provided; a range is refused as LAPACK refuses a wrong second argument.
#[test]
fn a_range_of_eigenvalues_is_refused() {
    let (mut data, mut values, mut vectors, mut info, mut found) = (vec![1.0], vec![0.0], vec![0.0], 0, 0);
    // SAFETY: the arrays have the sizes given.
    unsafe {
        dsyevr(
            b'N',
            b'I',
            b'U',
            1,
            &mut data,
            1,
            0.0,
            0.0,
            1,
            1,
            -1.0,
            &mut found,
            &mut values,
            &mut vectors,
            1,
            &mut [0; 2],
            &mut [0.0],
            1,
            &mut [0],
            1,
            &mut info,
        );
    }
    assert_eq!(info, -2);
}

#[test]
fn singular_values_and_vectors() {
    for (m, n) in [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (6, 6),
        (7, 7),
        (8, 8),
        (9, 9),
        (16, 16),
        (9, 5),
        (5, 9),
        (40, 20),
    ] {
        for divide in [true, false] {
            let a = random(m, n, 17);
            let thin = m.min(n);
            let (mut data, lda) = stored(&a);
            let mut values = vec![f64::NAN; thin];
            let (mut left, ldu) = stored(&DMatrix::from_element(m, thin, f64::NAN));
            let (mut right, ldvt) = stored(&DMatrix::from_element(thin, n, f64::NAN));
            let (mut work, mut integers, mut info) = (vec![0.0], vec![0; 8 * thin], -7);
            let mut lwork = -1;
            for _ in 0..2 {
                let (rows, cols) = (m as i32, n as i32);
                // SAFETY: the arrays have the sizes given.
                unsafe {
                    if divide {
                        dgesdd(
                            b'S',
                            rows,
                            cols,
                            &mut data,
                            lda,
                            &mut values,
                            &mut left,
                            ldu,
                            &mut right,
                            ldvt,
                            &mut work,
                            lwork,
                            &mut integers,
                            &mut info,
                        );
                    } else {
                        dgesvd(
                            b'S',
                            b'S',
                            rows,
                            cols,
                            &mut data,
                            lda,
                            &mut values,
                            &mut left,
                            ldu,
                            &mut right,
                            ldvt,
                            &mut work,
                            lwork,
                            &mut info,
                        );
                    }
                }
                assert_eq!(info, 0);
                lwork = work[0] as i32;
                work.resize(lwork as usize, 0.0);
            }
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
            let expected: Vec<f64> = a.singular_values().iter().copied().collect();
            assert_near(
                &DMatrix::from_vec(thin, 1, values.clone()),
                &DMatrix::from_vec(thin, 1, expected),
                1e-12,
            );
            let (u, vt) = (read(&left, ldu, m, thin), read(&right, ldvt, thin, n));
            assert_near(&(&u * DMatrix::from_diagonal(&values.into()) * &vt), &a, 1e-12);
            assert_near(&u.tr_mul(&u), &DMatrix::identity(thin, thin), 1e-12);
            assert_near(&(&vt * vt.transpose()), &DMatrix::identity(thin, thin), 1e-12);
        }
    }
}

#[test]
fn general_systems() {
    for n in SIZES {
        let a = random(n, n, 18) + DMatrix::identity(n, n) * 0.5;
        let x = random(n, 2, 19);
        let (mut data, lda) = stored(&a);
        let (mut right, ldb) = stored(&(&a * &x));
        let (mut exchanges, mut info) = (vec![0; n], -7);
        // SAFETY: the arrays have the sizes given.
        unsafe { dgesv(n as i32, 2, &mut data, lda, &mut exchanges, &mut right, ldb, &mut info) };
        assert_eq!(info, 0);
        // Random matrices of this size have condition numbers of some hundreds.
        assert_near(&read(&right, ldb, n, 2), &x, 1e-10);
        // The factors, after the exchanges one by one.
        let factors = read(&data, lda, n, n);
        let lower = DMatrix::from_fn(n, n, |i, j| if i > j { factors[(i, j)] } else { f64::from(u8::from(i == j)) });
        let mut permuted = a;
        for (k, row) in exchanges.iter().enumerate() {
            permuted.swap_rows(k, *row as usize - 1);
        }
        assert_near(&(lower * factors.upper_triangle()), &permuted, 1e-12);
    }
}

#[test]
fn a_singular_system_is_refused() {
    let (mut data, lda) = stored(&DMatrix::from_row_slice(3, 3, &[1.0, 2.0, 0.0, 2.0, 4.0, 0.0, 0.0, 0.0, 1.0]));
    let (mut right, ldb) = stored(&random(3, 1, 20));
    let before = read(&right, ldb, 3, 1);
    let mut info = 0;
    // SAFETY: the arrays have the sizes given.
    unsafe { dgesv(3, 1, &mut data, lda, &mut [0; 3], &mut right, ldb, &mut info) };
    assert!(info > 0);
    assert_near(&read(&right, ldb, 3, 1), &before, 0.0);
}
