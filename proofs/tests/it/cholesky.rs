//! Rule `cholesky`.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramWitness, ImageSize};
use lipcert_proofs::statement::Scale;
use proptest::prelude::*;

use crate::common::{approx_lambda, by, dense, gram_holds, matrices, matrix, stored};

#[test]
fn accept_and_reject_table() {
    let two = || matrix(2, 2, vec![1.0, 0.0, 0.0, 1.0]);
    for (name, t, lambda, accepted) in [
        ("identity with room", [1.0, 1.0], 1.0 + 1e-9, true),
        ("identity without room: no float test can", [1.0, 1.0], 1.0, false),
        ("twice too small", [0.5, 1.0], 1.0, false),
        ("far inside", [4.0, 4.0], 0.3, true),
        ("scales of very different size", [1e-150, 1e150], 1e151, true),
    ] {
        assert_eq!(
            gram_holds(&stored(two(), &t), &by(GramWitness::Cholesky {}, lambda)).is_ok(),
            accepted,
            "{name}"
        );
    }
    let tiny = stored(two(), &[1e-250, 1.0]);
    assert!(matches!(
        gram_holds(&tiny, &by(GramWitness::Cholesky {}, 1e260)),
        Err(CheckError::NotFinite { what: "1 / factor", .. })
    ));
    let grid = GramWitness::CirculantGrid {
        grid: 8,
        image: ImageSize::Any,
    };
    assert!(matches!(
        gram_holds(&stored(two(), &[2.0, 2.0]), &by(grid, 1.0)),
        Err(CheckError::RuleMismatch { .. })
    ));
}

/// A network that is wrong in the ninth digit is told from one that is right.
#[test]
fn just_below_the_eigenvalue() {
    let n = 40;
    let data: Vec<f64> = (0..n * n)
        .map(|k| ((k * k * 7919 + k) % 1009) as f64 / 1009.0 - 0.5)
        .collect();
    let weight = matrix(n, n, data);
    let t = vec![1.0; n];
    let lambda = approx_lambda(&weight, &t);
    let layer = stored(weight, &t);
    assert_eq!(
        gram_holds(&layer, &by(GramWitness::Cholesky {}, lambda * (1.0 + 1e-9))),
        Ok(())
    );
    let below = gram_holds(&layer, &by(GramWitness::Cholesky {}, lambda * (1.0 - 1e-9)));
    assert!(matches!(below, Err(CheckError::NotSemidefinite { .. })));
}

#[test]
fn rows_that_are_off_leave_the_condition() {
    let layer = dense(matrix(2, 1, vec![100.0, 1.0]), Scale::Stored { factor: vec![0.0, 0.5] });
    assert_eq!(gram_holds(&layer, &by(GramWitness::Cholesky {}, 0.6)), Ok(()));
    let zero_row = dense(matrix(2, 1, vec![0.0, 1.0]), Scale::Weighted { q: vec![3.0, -3.0] });
    assert_eq!(gram_holds(&zero_row, &by(GramWitness::Cholesky {}, 1.0 + 1e-9)), Ok(()));
}

proptest! {
    #[test]
    fn accepted_means_bounded((weight, t) in (matrices(), prop::collection::vec(0.1..3.0f64, 7)), nudge in -1e-6..1e-6f64) {
        let t = &t[..weight.rows()];
        let truth = approx_lambda(&weight, t);
        let lambda = truth * (1.0 + nudge) + 1e-300;
        let layer = stored(weight, t);
        let accepted = gram_holds(&layer, &by(GramWitness::Cholesky {}, lambda)).is_ok();
        if accepted {
            prop_assert!(truth <= lambda * (1.0 + 1e-12));
        }
        // Completeness: 1e-7 above the eigenvalue is always enough room at this size.
        if nudge > 1e-7 && truth > 1e-3 {
            prop_assert!(accepted);
        }
    }
}
