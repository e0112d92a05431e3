//! Rule `formula`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerCertificate, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::formula::bound_up;
use lipcert_proofs::statement::{Layer, NetworkMap, Scale, Shape};
use nalgebra::DMatrix;
use proptest::prelude::*;

use crate::common::{dense, input_of, kernel, matrices, matrix, stored};

fn formula(lipschitz: f64) -> LayerClaim {
    LayerClaim {
        lipschitz,
        witness: Witness::Formula { inside: None },
    }
}

#[test]
fn accept_table() {
    for (name, layer) in [
        (
            "dense",
            dense(matrix(2, 2, vec![1.0, 2.0, 3.0, 4.0]), Scale::Weighted { q: vec![1.0, -1.0] }),
        ),
        (
            "dense, AOL",
            dense(matrix(2, 2, vec![1.0, 2.0, 3.0, 4.0]), Scale::RowSum { q: vec![0.0, 0.0] }),
        ),
        (
            "a zero row",
            dense(matrix(2, 2, vec![0.0, 0.0, 3.0, 4.0]), Scale::Weighted { q: vec![1.0, -1.0] }),
        ),
        (
            "all zero",
            dense(matrix(1, 2, vec![0.0, 0.0]), Scale::Weighted { q: vec![0.0] }),
        ),
    ] {
        let prepared = Prepared::new(&layer, input_of(&layer)).expect("a layer");
        let checked = LayerCertificate::check(&prepared, formula(1.0));
        assert_eq!(checked.map(|c| c.lipschitz()), Ok(1.0), "{name}");
        assert!(matches!(
            LayerCertificate::check(&prepared, formula(1.0_f64.next_down())),
            Err(CheckError::BoundTooSmall { .. })
        ));
        for claimed in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(
                LayerCertificate::check(&prepared, formula(claimed)).is_err(),
                "{name} {claimed}"
            );
        }
    }
}

#[test]
fn a_stored_factor_is_not_a_formula() {
    let layer = stored(matrix(1, 1, vec![2.0]), &[1.0]);
    assert_eq!(
        bound_up(&layer),
        Err(CheckError::RuleMismatch {
            rule: "formula",
            kind: "residual-dense"
        })
    );
    assert!(bound_up(&Layer::Flatten).is_err());
}

#[test]
fn structural_checks_refuse_by_name() {
    let conv = |q: Vec<f64>| Layer::ResidualConv {
        kernel: kernel(1, 1, 3, vec![1.0; 9]),
        bias: vec![0.0],
        scale: Scale::RowSum { q },
    };
    let shape = Shape::Image {
        channels: 1,
        height: 4,
        width: 4,
    };
    for (q, expected) in [
        (
            vec![81.0],
            CheckError::OutOfRange {
                what: "q",
                index: 0,
                value: 81.0,
                limit: 80.0,
            },
        ),
        (
            vec![f64::INFINITY],
            CheckError::NotFinite {
                what: "q",
                index: vec![0],
            },
        ),
        (
            vec![],
            CheckError::Shape {
                what: "q",
                expected: vec![1],
                found: vec![0],
            },
        ),
    ] {
        assert_eq!(conv(q).output_shape(shape), Err(expected));
    }
    let nan = lipcert_proofs::statement::Matrix::new("weight", 1, 2, vec![0.0, f64::NAN]);
    assert_eq!(
        nan,
        Err(CheckError::NotFinite {
            what: "weight",
            index: vec![0, 1]
        })
    );
    let even = lipcert_proofs::statement::Kernel::new("kernel", 1, 1, 2, vec![1.0; 4]);
    assert!(matches!(even, Err(CheckError::Shape { what: "kernel", .. })));
    assert!(matches!(
        NetworkMap::new(Shape::Flat(2), vec![]),
        Err(CheckError::Order { .. })
    ));
}

proptest! {
    /// A second method: the Jacobian `I − 2 Aᵀ T⁻¹ D A` for random 0/1 masks `D` never stretches (library T and eigenvalues, 1e-9).
    #[test]
    fn jacobians_do_not_stretch(weight in matrices(), q in prop::collection::vec(-2.0..2.0f64, 7), mask in prop::collection::vec(any::<bool>(), 7)) {
        let (rows, cols) = (weight.rows(), weight.cols());
        let a = DMatrix::from_row_slice(rows, cols, weight.data());
        let gram = &a * a.transpose();
        let mut jacobian = DMatrix::identity(cols, cols);
        for i in 0..rows {
            let t: f64 = (0..rows).map(|j| gram[(i, j)].abs() * (q[j] - q[i]).exp()).sum();
            if mask[i] && t > 0.0 {
                let row = a.row(i).transpose();
                jacobian -= &row * row.transpose() * (2.0 / t);
            }
        }
        prop_assert!(jacobian.singular_values().max() <= 1.0 + 1e-9);
    }
}
