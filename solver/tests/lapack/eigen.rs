//! Eigenvalues and singular values.

use lapack::{dgesdd, dgesvd, dsyevr};
use nalgebra::DMatrix;

use crate::matrices::{OUTSIDE, SIZES, assert_near, random, read, stored, triangle};

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
