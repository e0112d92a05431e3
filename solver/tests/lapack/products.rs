//! Products.

use blas::{dgemm, dgemv, dsymv, dsyr2k, dsyrk};
use nalgebra::DMatrix;

use crate::matrices::{SIZES, assert_near, random, read, stored, triangle, turned};

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
