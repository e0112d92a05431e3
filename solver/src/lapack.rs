//! The BLAS and LAPACK routines that the conic solver calls, on faer, so that no system library is linked.
//!
//! The solver finds them by name when the program is linked. They keep the contract of the reference library – column-major storage, leading dimensions, one
//! triangle of a symmetric matrix – for the arguments that occur: no strides between the entries of a vector, all eigenvalues, thin singular vectors.
//! Other arguments end the process, or come back as a negative `info` where the routine has one. Everything runs on one thread, so that a result does not depend on the
//! number of cores. The single-precision twins are only there to be linked: they end the process.
//!
//! - [`view`]: the raw arrays of the interface as matrices.
//! - [`products`]: the routines of BLAS.
//! - [`systems`]: Cholesky and LU, and what is solved with them.
//! - [`spectra`]: eigenvalues and singular values.
//!
//! # Source
//!
//! Anderson et al., *LAPACK Users' Guide*, third edition, SIAM 1999; the routines carry the names from there.
#![expect(
    unsafe_code,
    reason = "a C interface hands over raw pointers, and its symbols have no mangled names"
)]

mod products;
mod spectra;
mod systems;
mod view;

use products::{dgemm_, dgemv_, dsymv_, dsyr2k_, dsyrk_};
use spectra::{dgesdd_, dgesvd_, dsyevr_};
use systems::{dgesv_, dpotrf_, dpotrs_};

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
