//! Factorisations and systems of equations.

use lapack::{dgesv, dpotrf, dpotrs};
use nalgebra::DMatrix;

use crate::matrices::{SIZES, assert_near, inside, random, read, stored, triangle};

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
