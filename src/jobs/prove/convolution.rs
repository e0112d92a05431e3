//! Claims for plain convolutions and exponentials of them.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramClaim, GramWitness, ImageSize, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::{circulant_grid, formula, operator_norm, taylor_remainder};
use lipcert_proofs::statement::{Layer, Padding, Shape};
use lipcert_solver::eigenvalue::{approx_dense, approx_on_grid};

use super::MARGINS;

/// Levels of Gram iteration that are tried, as far as the kernel does not grow too large.
const STEPS: [usize; 3] = [1, 2, 3];

/// Multiplications that a proof at all frequencies may cost before Gram iteration has to do.
const WORK_MOST: f64 = 3e11;

/// Looks for a claim that the check will accept; of the rules that apply, the one with the smallest bound.
pub(super) fn find_claim(prepared: &Prepared<'_>) -> Result<LayerClaim, CheckError> {
    let layer = prepared.layer();
    let inside = find_norm(prepared);
    let error = prepared.kernel().map_or(0.0, |ball| ball.error_up());
    if let Layer::SkewExponential(exponential) = layer {
        let inside = inside?;
        let norm = operator_norm::bound_up(inside.lambda, error);
        return Ok(LayerClaim {
            lipschitz: taylor_remainder::bound_up(norm, exponential.terms),
            witness: Witness::TaylorRemainder { inside },
        });
    }
    let by_norm = inside.map(|inside| LayerClaim {
        lipschitz: operator_norm::bound_up(inside.lambda, error),
        witness: Witness::OperatorNorm { inside },
    });
    match (formula::bound_up(layer), by_norm) {
        (Ok(bound), Ok(claim)) if claim.lipschitz < bound => Ok(claim),
        (Ok(lipschitz), _) => Ok(LayerClaim {
            lipschitz,
            witness: Witness::Formula { inside: None },
        }),
        (Err(_), by_norm) => by_norm,
    }
}

/// Looks for the smallest provable `λ` with `‖K‖² ≤ λ` for the centre of the kernel.
fn find_norm(prepared: &Prepared<'_>) -> Result<GramClaim, CheckError> {
    let mut best = prepared.gram_iteration_up(STEPS[0]).map(|lambda| GramClaim {
        lambda,
        witness: GramWitness::GramIteration { steps: STEPS[0] },
    });
    if let Some(found) = by_spectrum(prepared, best.as_ref().ok()) {
        return Ok(found);
    }
    for steps in &STEPS[1..] {
        match (prepared.gram_iteration_up(*steps), &best) {
            (Ok(lambda), Ok(found)) if lambda < found.lambda => {
                best = Ok(GramClaim {
                    lambda,
                    witness: GramWitness::GramIteration { steps: *steps },
                });
            }
            _ => break,
        }
    }
    best
}

/// The claim at all frequencies, or that of a `1 × 1` kernel, if one is found and below `other`.
fn by_spectrum(prepared: &Prepared<'_>, other: Option<&GramClaim>) -> Option<GramClaim> {
    let (gram, scale) = prepared.approx_condition()?;
    let Shape::Image { height, width, .. } = prepared.input() else {
        return None;
    };
    let (hint, witness) = if gram.span() == 1 {
        (approx_dense(gram, &scale)?, GramWitness::Cholesky {})
    } else {
        let ((rows, cols), witness) = match prepared.layer().padding()? {
            Padding::Circular => ((height, width), GramWitness::CircularSpectrum {}),
            Padding::Zero => {
                let image = ImageSize::Stated;
                let grid = circulant_grid::least_grid(gram.span(), prepared.input(), image);
                ((grid, grid), GramWitness::CirculantGrid { grid, image })
            }
        };
        let work = (rows * cols) as f64 * (2.0 * gram.inner() as f64).powi(3);
        if work > WORK_MOST || rows.max(cols) > circulant_grid::GRID_MOST {
            return None;
        }
        (approx_on_grid(gram, &scale, (rows, cols))?, witness)
    };
    for margin in MARGINS {
        let lambda = hint * (1.0 + margin) + f64::MIN_POSITIVE;
        let claim = GramClaim {
            lambda,
            witness: witness.clone(),
        };
        if other.is_some_and(|found| found.lambda <= lambda) {
            return None;
        }
        if prepared.check_gram(&claim).is_ok() {
            return Some(claim);
        }
    }
    None
}
