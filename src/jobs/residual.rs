//! Multipliers of residual blocks: hints from the solver or in closed form, checks by the proofs.

use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{LayerClaim, Witness};
use lipcert_proofs::rules::residual_lmi;
use lipcert_proofs::statement::ResidualBlock;
use lipcert_solver::assemble::chain::solve_with_path;
use lipcert_solver::chain::Candidate;
use lipcert_solver::eigenvalue::approx_norm;
use lipcert_solver::{clarabel, convert};

/// By how much a candidate is inflated, relative to it, until it is proved.
const INFLATIONS: [f64; 8] = [1e-11, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2];

/// The most inputs and neurons for which the general solver is asked.
const SOLVER_MOST: usize = 200;

/// The smallest bound of a block that a candidate and an inflation of it allow.
///
/// The candidates are those of the solver, for blocks of at most 200 inputs and neurons, and those of the closed form.
///
/// # Errors
///
/// The last refusal of the check.
pub(crate) fn find(block: &ResidualBlock) -> Result<LayerClaim, CheckError> {
    let mut candidates = solved(block).unwrap_or_default();
    candidates.extend(closed_form(block));
    let mut attempts: Vec<(f64, f64, &Candidate)> = candidates
        .iter()
        .flat_map(|candidate| INFLATIONS.map(|excess| (candidate.lipschitz * (1.0 + excess), excess, candidate)))
        .filter(|(lipschitz, ..)| lipschitz.is_finite())
        .collect();
    attempts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut refusal = CheckError::NotSemidefinite {
        shift: 0.0,
        residual: f64::NAN,
    };
    for (lipschitz, excess, candidate) in attempts {
        // The inequality is homogeneous in (γ², Λ) but for path and output.
        let larger = |layer: &Vec<f64>| layer.iter().map(|value| value * (1.0 + excess)).collect();
        let multipliers: Vec<Vec<f64>> = candidate.multipliers.iter().map(larger).collect();
        match residual_lmi::check(block, &multipliers, lipschitz) {
            Ok(()) => {
                return Ok(LayerClaim {
                    lipschitz,
                    witness: Witness::ResidualLmi { multipliers },
                });
            }
            Err(cause) => refusal = cause,
        }
    }
    Err(refusal)
}

/// The candidates of the general solver; nothing for a large block and where it fails.
fn solved(block: &ResidualBlock) -> Option<Vec<Candidate>> {
    let neurons: usize = block.hidden().iter().map(|layer| layer.weight.rows()).sum();
    if block.inputs() + neurons > SOLVER_MOST {
        return None;
    }
    let (chain, path) = convert::residual_block(block).ok()?;
    let solution = solve_with_path(&chain, path.as_ref(), &clarabel::Options::default()).ok()?;
    Some(solution.candidates)
}

/// The bound `‖A‖ + m ‖B‖ ‖C‖` of a block with one hidden layer, `m` the largest absolute slope, with the one multiplier that gives it.
///
/// In the norms `a`, `g`, `s` of `A`, `B`, `m C` the inequality becomes a matrix of two rows. For slopes `[−1, 1]` in units of `m` its determinant vanishes at `2λ = g² + a g / s` and
/// `γ = a + g s`; the constraint for slopes between `r` and 1, times `2 / (1 − r)`, is that one plus a square.
fn closed_form(block: &ResidualBlock) -> Option<Candidate> {
    let [layer] = block.hidden() else { return None };
    let (lo, hi) = block.activation().slopes();
    let (most, other) = if hi.abs() >= lo.abs() { (hi, lo) } else { (lo, hi) };
    let norm = |matrix| approx_norm(convert::matrix(matrix).as_ref());
    let path = block.path().map_or(Some(1.0), norm)?;
    let (output, inner) = (norm(block.output())?, norm(&layer.weight)? * most.abs());
    let ratio = (other / most).min(0.999);
    let multiplier = (output * output + path * output / inner) / (1.0 - ratio);
    let usable = multiplier > 0.0 && multiplier.is_finite();
    usable.then(|| Candidate {
        lipschitz: path + output * inner,
        multipliers: vec![vec![multiplier; layer.weight.rows()]],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lipcert_proofs::statement::{Activation, Hidden, Matrix};

    fn block(inner: usize, slope: f64) -> ResidualBlock {
        let n = 4;
        let entries = |rows: usize, cols: usize, step: usize| {
            let entry = |flat: usize| ((flat * step + 3) % 11) as f64 / 11.0 - 0.45;
            Matrix::new("weight", rows, cols, (0..rows * cols).map(entry).collect()).expect("a matrix")
        };
        let hidden = Hidden {
            weight: entries(inner, n, 7),
            bias: vec![0.1; inner],
        };
        let activation = Activation::LeakyRelu { slope };
        ResidualBlock::new(
            Some(entries(3, n, 5)),
            vec![hidden],
            activation,
            entries(3, inner, 4),
            vec![0.0; 3],
        )
        .expect("a block")
    }

    #[test]
    fn the_solver_is_below_the_closed_form() {
        for slope in [0.0, 0.3, -0.7, -1.0] {
            let block = block(5, slope);
            let closed = closed_form(&block).expect("one hidden layer");
            let found = find(&block).expect("a claim");
            assert!(found.lipschitz < closed.lipschitz, "{slope}");
            // The closed form is feasible on its own, to the rounding of its norms and of the check.
            let multipliers: Vec<Vec<f64>> = vec![closed.multipliers[0].iter().map(|value| value * (1.0 + 1e-6)).collect()];
            assert_eq!(
                residual_lmi::check(&block, &multipliers, closed.lipschitz * (1.0 + 1e-6)),
                Ok(()),
                "{slope}"
            );
        }
    }

    #[test]
    fn a_wide_block_gets_the_closed_form() {
        let block = block(SOLVER_MOST, 0.0);
        assert!(solved(&block).is_none());
        let closed = closed_form(&block).expect("one hidden layer").lipschitz;
        let found = find(&block).expect("a claim").lipschitz;
        assert!(found >= closed && found <= closed * (1.0 + 1e-6), "{found} {closed}");
    }
}
