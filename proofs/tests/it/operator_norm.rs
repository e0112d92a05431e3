//! Rule `operator-norm`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::statement::{Layer, Matrix, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{by, matrices, matrix};

/// Whether the bound of a dense layer is accepted with that `λ`.
fn judge(weight: &Matrix, lambda: f64, lipschitz: f64) -> Result<(), CheckError> {
    let layer = Layer::Dense {
        weight: weight.clone(),
        bias: vec![0.0; weight.rows()],
    };
    let prepared = Prepared::new(&layer, Shape::Flat(weight.cols()))?;
    let inside = by(GramWitness::Cholesky {}, lambda);
    let claim = LayerClaim {
        lipschitz,
        witness: Witness::OperatorNorm { inside },
    };
    LayerCertificate::check(&prepared, claim).map(|_| ())
}

fn approx_norm(weight: &Matrix) -> f64 {
    DMatrix::from_row_slice(weight.rows(), weight.cols(), weight.data())
        .singular_values()
        .max()
}

#[test]
fn accept_and_reject() {
    // Norm 5, wide, tall and square.
    for (rows, cols, data) in [
        (1, 2, vec![3.0, 4.0]),
        (2, 1, vec![3.0, 4.0]),
        (2, 2, vec![3.0, 0.0, 4.0, 0.0]),
        (3, 2, vec![0.0, 0.0, 3.0, 0.0, 4.0, 0.0]),
    ] {
        let weight = matrix(rows, cols, data);
        let lambda = 25.0 * (1.0 + 1e-12);
        assert_eq!(judge(&weight, lambda, 5.0 * (1.0 + 1e-12)), Ok(()));
        let short = judge(&weight, lambda, 5.0);
        assert!(matches!(short, Err(CheckError::BoundTooSmall { .. })), "{short:?}");
        let below = judge(&weight, 25.0 * (1.0 - 1e-12), 6.0);
        assert!(matches!(below, Err(CheckError::NotSemidefinite { .. })), "{below:?}");
        for lambda in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(judge(&weight, lambda, 6.0), Err(CheckError::NotPositive { .. })));
        }
        assert!(matches!(
            judge(&weight, lambda, f64::NAN),
            Err(CheckError::BoundTooSmall { .. })
        ));
    }
}

#[test]
fn norms_of_extreme_size() {
    for size in [1e-150, 1e-120, 1e-20, 1.0, 1e20, 1e90] {
        let weight = matrix(2, 2, vec![3.0 * size, 0.0, 4.0 * size, 1e-3 * size]);
        let norm = 5.0000001 * size;
        assert_eq!(judge(&weight, norm * norm, norm * (1.0 + 1e-15)), Ok(()), "{size:e}");
        let less = 4.9999999 * size;
        assert!(judge(&weight, less * less, norm).is_err(), "{size:e}");
    }
    // Zeros have every positive bound.
    assert_eq!(judge(&matrix(2, 3, vec![0.0; 6]), 1e-300, 1.1e-150), Ok(()));
}

#[test]
fn only_for_dense_layers() {
    let layer = Layer::Flatten;
    let prepared = Prepared::new(
        &layer,
        Shape::Image {
            channels: 1,
            height: 1,
            width: 2,
        },
    )
    .expect("a layer");
    let claim = LayerClaim {
        lipschitz: 10.0,
        witness: Witness::OperatorNorm {
            inside: by(GramWitness::Cholesky {}, 1.0),
        },
    };
    assert!(matches!(
        LayerCertificate::check(&prepared, claim),
        Err(CheckError::RuleMismatch { .. })
    ));
}

proptest! {
    /// Against singular values; 1e-9 is far above their rounding for matrices of this size.
    #[test]
    fn singular_values_agree(weight in matrices(), factor in 0.9..1.1f64) {
        let norm = approx_norm(&weight);
        prop_assume!(norm > 1e-9);
        let lambda = (norm * factor).powi(2);
        let accepted = judge(&weight, lambda, norm * factor * (1.0 + 1e-14)).is_ok();
        if accepted {
            prop_assert!(factor >= 1.0 - 1e-9);
        } else {
            prop_assert!(factor <= 1.0 + 1e-9);
        }
    }
}
