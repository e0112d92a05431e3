//! Rule `formula` for residual layers whose `T` is the square of a norm.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::statement::{Layer, Scale, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{by, dense, kernel, matrices, matrix};

const IMAGE: Shape = Shape::Image {
    channels: 2,
    height: 4,
    width: 3,
};

fn judge(layer: &Layer, input: Shape, lipschitz: f64) -> Result<(), CheckError> {
    let prepared = Prepared::new(layer, input)?;
    let witness = Witness::Formula { inside: None };
    LayerCertificate::check(&prepared, LayerClaim { lipschitz, witness }).map(|_| ())
}

fn conv(scale: Scale) -> Layer {
    let data = (0..54).map(|i| f64::from(i * 37 % 19) / 9.0 - 1.0).collect();
    Layer::ResidualConv {
        kernel: kernel(3, 2, 3, data),
        bias: vec![0.1, -0.2, 0.3],
        scale,
    }
}

#[test]
fn accept_and_reject() {
    let weight = || matrix(2, 3, vec![3.0, 0.0, 1.0, 4.0, -1.0, 0.5]);
    for (layer, input) in [
        (dense(weight(), Scale::Norm), Shape::Flat(3)),
        (dense(weight(), Scale::Frobenius), Shape::Flat(3)),
        (dense(matrix(2, 3, vec![0.0; 6]), Scale::Norm), Shape::Flat(3)),
        (dense(matrix(2, 2, vec![0.0, 0.0, 1.0, 1.0]), Scale::Norm), Shape::Flat(2)),
        (conv(Scale::Norm), IMAGE),
    ] {
        assert_eq!(judge(&layer, input, 1.0), Ok(()));
        let short = judge(&layer, input, 1.0_f64.next_down());
        assert!(matches!(short, Err(CheckError::BoundTooSmall { .. })), "{short:?}");
    }
    // The Frobenius norm of a kernel does not bound its convolution.
    assert!(matches!(
        judge(&conv(Scale::Frobenius), IMAGE, 1.0),
        Err(CheckError::RuleMismatch { .. })
    ));
    for size in [1e-120, 1e120] {
        let layer = dense(matrix(1, 1, vec![size]), Scale::Norm);
        assert!(
            matches!(judge(&layer, Shape::Flat(1), 1.0), Err(CheckError::NotFinite { .. })),
            "{size:e}"
        );
    }
}

/// A stored factor for half of the norm's square is no formula, and its own rule proves more than 1.
#[test]
fn a_power_iteration_that_stopped_early() {
    let weight = || matrix(2, 3, vec![3.0, 0.0, 1.0, 4.0, -1.0, 0.5]);
    let square = DMatrix::from_row_slice(2, 3, weight().data()).singular_values().max().powi(2);
    let short = dense(
        weight(),
        Scale::Stored {
            factor: vec![2.0 / square; 2],
        },
    );
    assert!(matches!(
        judge(&short, Shape::Flat(3), 1.0),
        Err(CheckError::RuleMismatch { .. })
    ));
    let prepared = Prepared::new(&short, Shape::Flat(3)).expect("a layer");
    let claim = |lambda: f64, lipschitz: f64| LayerClaim {
        lipschitz,
        witness: Witness::Tolerance {
            inside: by(GramWitness::Cholesky {}, lambda),
        },
    };
    assert!(LayerCertificate::check(&prepared, claim(2.0 * (1.0 + 1e-9), 3.0 + 1e-8)).is_ok());
    assert!(LayerCertificate::check(&prepared, claim(1.0, 1.0)).is_err());
    assert!(LayerCertificate::check(&prepared, claim(2.0 * (1.0 - 1e-9), 3.0)).is_err());
}

proptest! {
    /// `T` encloses the square of the largest singular value, by nalgebra, tightly; and the Jacobians for random masks do not stretch.
    #[test]
    fn the_scale_is_the_norm(weight in matrices(), mask in prop::collection::vec(any::<bool>(), 7)) {
        let (rows, cols) = (weight.rows(), weight.cols());
        let a = DMatrix::from_row_slice(rows, cols, weight.data());
        let square = a.singular_values().max().powi(2);
        prop_assume!(square > 1e-20);
        for (scale, exact) in [(Scale::Norm, square), (Scale::Frobenius, a.norm_squared())] {
            let layer = dense(weight.clone(), scale);
            let prepared = Prepared::new(&layer, Shape::Flat(cols)).expect("a layer");
            let factor = prepared.factor().expect("a factor");
            let mut jacobian = DMatrix::identity(cols, cols);
            for i in (0..rows).filter(|i| factor.active()[*i]) {
                let t = factor.scale()[i];
                prop_assert!(t.lo() <= exact * (1.0 + 1e-12) && exact * (1.0 - 1e-12) <= t.hi());
                prop_assert!(t.hi() - t.lo() <= 1e-9 * exact);
                if mask[i] {
                    let row = a.row(i).transpose();
                    jacobian -= &row * row.transpose() * (2.0 * factor.approx()[i]);
                }
            }
            prop_assert!(jacobian.singular_values().max() <= 1.0 + 1e-9);
        }
    }
}
