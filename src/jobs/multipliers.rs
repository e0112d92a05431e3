//! Multipliers of the LipSDP inequality: hints from the solver, checks by the proofs.

use anyhow::bail;
use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{ChainCertificate, ChainClaim};
use lipcert_proofs::statement::{Chain, NetworkMap, Output};
use lipcert_solver::assemble::chain as general_chain;
use lipcert_solver::chain::{self as solver, Sharing};
use lipcert_solver::closed::recursion;
use lipcert_solver::{clarabel, convert, structured};

use super::verify::{Method, Solver};
use crate::results::SolverRemark;

/// By how much a candidate is inflated, relative to it, until it is proved.
const INFLATIONS: [f64; 10] = [1e-13, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2];

/// A proved bound of a run of layers, and how it was found.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// The best that was proved; nothing if no candidate could be.
    pub(crate) certificate: Option<ChainCertificate<'a>>,
    /// What the solver says of itself.
    pub(crate) remark: SolverRemark,
    /// Multipliers far inside, for related problems.
    pub(crate) inner: Option<solver::Candidate>,
}

/// How the multipliers are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'s> {
    /// One of the methods that look for multipliers.
    pub(crate) method: Method,
    /// Which solver.
    pub(crate) solver: Solver,
    /// Relative gap at which an iterative solver stops.
    pub(crate) tolerance: f64,
    /// Whether the solver may use all cores.
    pub(crate) parallel: bool,
    /// Multipliers of a similar problem.
    pub(crate) start: Option<&'s solver::Candidate>,
    /// Whether the evidence that nothing does better is kept in the certificate.
    pub(crate) keep_dual: bool,
}

/// Looks for multipliers and proves the first candidate that allows it.
///
/// # Errors
///
/// If the network has no run of dense layers and activations up to that output, or the solver refuses its numbers.
pub(crate) fn find<'a>(
    map: &'a NetworkMap,
    output: Output,
    search: &Search<'_>,
    watch: &dyn solver::Watch,
) -> anyhow::Result<Found<'a>> {
    let chain = Chain::of(map, output)?;
    if search.method == Method::Recursion
        && let Some((lo, hi)) = chain.slopes().iter().find(|(lo, _)| *lo != 0.0)
    {
        bail!(
            "--method recursion is for activations with slopes from 0 on, such as relu; the network has slopes from {lo} to {hi}"
        );
    }
    let problem = convert::chain(&chain)?;
    let (name, mut solution) = solve(&problem, search, watch)?;
    let certificate = prove(map, output, &solution, search.keep_dual);
    let status = status_word(solution.status);
    let remark = SolverRemark {
        name: name.to_owned(),
        status: if certificate.is_some() {
            status.to_owned()
        } else {
            format!("{status}, but none of its multipliers could be proved")
        },
        iterations: solution.iterations,
    };
    Ok(Found {
        certificate,
        remark,
        inner: solution.candidates.pop(),
    })
}

/// Runs the solver of a method.
fn solve(
    problem: &solver::Chain,
    search: &Search<'_>,
    watch: &dyn solver::Watch,
) -> anyhow::Result<(&'static str, solver::Solution)> {
    let sharing = match search.method {
        Method::EclipseFast => return Ok(("closed form", structured::eclipse_fast(problem)?)),
        Method::Recursion => return Ok(("closed form", recursion::solve(problem)?)),
        Method::LipsdpLayer => Sharing::Layer,
        Method::LipsdpNeuron => Sharing::Neuron,
        Method::Auto | Method::Layers | Method::Product => bail!("the method looks for no multipliers"),
    };
    Ok(match search.solver {
        Solver::Clarabel => {
            let options = clarabel::Options::default();
            ("clarabel", general_chain::solve(problem, sharing, &options)?)
        }
        Solver::Structured => {
            let options = structured::Options {
                sharing,
                tolerance: search.tolerance,
                parallel: convert::threads(search.parallel),
                start: search.start,
                ..structured::Options::default()
            };
            ("structured", structured::lipsdp(problem, &options, watch)?)
        }
    })
}

/// Proves the smallest bound that a candidate and an inflation of it allow.
fn prove<'a>(map: &'a NetworkMap, output: Output, solution: &solver::Solution, keep_dual: bool) -> Option<ChainCertificate<'a>> {
    let mut attempts: Vec<(f64, &solver::Candidate, f64)> = solution
        .candidates
        .iter()
        .flat_map(|candidate| INFLATIONS.map(|excess| (candidate.lipschitz * (1.0 + excess / 2.0), candidate, excess)))
        .collect();
    attempts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let dual = solution.dual.as_ref().filter(|_| keep_dual).map(convert::dual);
    attempts.into_iter().find_map(|(lipschitz, candidate, excess)| {
        // The inequality is homogeneous in (ρ, Λ) but for the head, so all of it is inflated.
        let multipliers = candidate.multipliers.iter();
        let claim = ChainClaim {
            output,
            lipschitz: lipschitz * (1.0 + 1e-15),
            multipliers: multipliers
                .map(|layer| layer.iter().map(|value| value * (1.0 + excess)).collect())
                .collect(),
            dual: dual.clone(),
        };
        ChainCertificate::check(map, claim).ok()
    })
}

/// How a solver ended, in words.
pub(crate) const fn status_word(status: solver::Status) -> &'static str {
    match status {
        solver::Status::Converged => "converged",
        solver::Status::Stopped => "stopped",
        solver::Status::Stalled => "stalled",
        solver::Status::Iterations => "out of iterations",
        solver::Status::Closed => "closed form",
    }
}

/// Whether the network has a run of dense layers and activations that a method could use, and more than the head.
pub(crate) fn has_chain(map: &NetworkMap) -> Result<bool, CheckError> {
    Chain::of(map, Output::All).map(|chain| !chain.weights().is_empty())
}
