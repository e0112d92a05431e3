//! The interior-point solver clarabel; the only file that names it.
//!
//! A pencil becomes a cone of positive semidefinite matrices. Its sparsity is used: a block-tridiagonal inequality is split into the cliques of its graph
//! ("chordal decomposition"), so that the time grows with the depth of a network and not with its cube.
//!
//! # Source
//!
//! Goulart and Chen, *Clarabel: an interior-point solver for conic programs with quadratic objectives*, 2024 (`A x + s = b, s ∈ K` there; here `s` holds
//! the pencils and the non-negative variables).

use std::hint::black_box;

use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT};
use nalgebra::DMatrix;

use crate::error::SolveError;
use crate::problem::SdpProblem;
use crate::{chain, lapack, svec};

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Gap and residuals, absolute and relative, below which a problem counts as solved; builders scale problems so that 1 is large.
    pub tolerance: f64,
    /// The most iterations.
    pub iterations: u32,
    /// The most seconds; infinite for no limit.
    pub seconds: f64,
    /// Whether to split a sparse pencil into cliques.
    pub chordal: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tolerance: 1e-9,
            iterations: 200,
            seconds: f64::INFINITY,
            chordal: true,
        }
    }
}

/// How the solver says it ended. A remark, never a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpStatus {
    /// All residuals and the gap are below the tolerance.
    Solved,
    /// They are below a larger tolerance only.
    AlmostSolved,
    /// No point satisfies the inequalities.
    Infeasible,
    /// As [`Infeasible`](Self::Infeasible), to a larger tolerance only.
    AlmostInfeasible,
    /// The objective falls without end.
    Unbounded,
    /// As [`Unbounded`](Self::Unbounded), to a larger tolerance only.
    AlmostUnbounded,
    /// The limit of iterations.
    Iterations,
    /// The limit of time.
    Time,
    /// A numerical error.
    Numerical,
    /// No further progress.
    Stalled,
    /// Somebody asked to stop.
    Stopped,
    /// It did not run.
    NotRun,
}

impl From<SolverStatus> for SdpStatus {
    fn from(status: SolverStatus) -> Self {
        match status {
            SolverStatus::Unsolved => Self::NotRun,
            SolverStatus::Solved => Self::Solved,
            SolverStatus::PrimalInfeasible => Self::Infeasible,
            SolverStatus::DualInfeasible => Self::Unbounded,
            SolverStatus::AlmostSolved => Self::AlmostSolved,
            SolverStatus::AlmostPrimalInfeasible => Self::AlmostInfeasible,
            SolverStatus::AlmostDualInfeasible => Self::AlmostUnbounded,
            SolverStatus::MaxIterations => Self::Iterations,
            SolverStatus::MaxTime => Self::Time,
            SolverStatus::NumericalError => Self::Numerical,
            SolverStatus::InsufficientProgress => Self::Stalled,
            SolverStatus::CallbackTerminated => Self::Stopped,
        }
    }
}

impl SdpStatus {
    /// The same remark about a network, where a last iterate stands beside it; nothing if the solver denies that a solution exists.
    ///
    /// "Almost solved" counts as stalled: the tolerance that was asked for was not reached.
    #[must_use]
    pub const fn of_iterate(self) -> Option<chain::Status> {
        match self {
            Self::Solved => Some(chain::Status::Converged),
            Self::AlmostSolved | Self::Stalled | Self::Numerical => Some(chain::Status::Stalled),
            Self::Iterations => Some(chain::Status::Iterations),
            Self::Time | Self::Stopped => Some(chain::Status::Stopped),
            Self::Infeasible | Self::AlmostInfeasible | Self::Unbounded | Self::AlmostUnbounded | Self::NotRun => None,
        }
    }
}

/// The solver's last iterate. Trusted by nobody.
#[derive(Clone, Debug, PartialEq)]
pub struct SdpCandidate {
    /// The variables.
    pub x: Vec<f64>,
    /// `cᵀx`.
    pub approx_objective: f64,
    /// About `−Σ_j ⟨F_0^j, Z_j⟩`: no feasible point has a lower objective, if `Z` is feasible.
    pub approx_dual_objective: f64,
    /// A symmetric `Z_j` for each pencil: `Σ_j ⟨F_i^j, Z_j⟩ ≈ c_i`, `≤` for non-negative variables.
    pub dual: Vec<DMatrix<f64>>,
    /// The remark.
    pub status: SdpStatus,
    /// Relative residual of the inequalities, as the solver scales it.
    pub approx_primal_residual: f64,
    /// Relative residual of the dual equations, as the solver scales it.
    pub approx_dual_residual: f64,
    /// Interior-point iterations.
    pub iterations: usize,
}

/// Looks for the optimum; one thread.
///
/// An infeasible or unbounded problem is no error: [`SdpCandidate::status`] says so, and the vectors are then directions that show it.
///
/// # Errors
///
/// - [`SolveError::NotFinite`] if the tolerance is not a positive number or the limit of time is not positive.
/// - [`SolveError::NoCandidate`] if the solver does not take the problem.
pub fn solve(problem: &SdpProblem, options: &Options) -> Result<SdpCandidate, SolveError> {
    // The linker drops a routine that only foreign code names.
    black_box(lapack::symbols());
    let sane = options.tolerance > 0.0 && options.tolerance.is_finite() && options.seconds > 0.0;
    if !sane {
        return Err(SolveError::NotFinite {
            what: "options",
            index: Vec::new(),
        });
    }
    let variables = problem.objective().len();
    let form = ConicForm::new(problem);
    let matrix = CscMatrix::new_from_triplets(form.offsets.len(), variables, form.rows, form.cols, form.values);
    let quadratic = CscMatrix::zeros((variables, variables));
    let settings = DefaultSettings {
        verbose: false,
        max_threads: 1,
        max_iter: options.iterations,
        time_limit: options.seconds,
        tol_gap_abs: options.tolerance,
        tol_gap_rel: options.tolerance,
        tol_feas: options.tolerance,
        chordal_decomposition_enable: options.chordal,
        ..DefaultSettings::default()
    };
    let mut solver = DefaultSolver::new(&quadratic, problem.objective(), &matrix, &form.offsets, &form.cones, settings)
        .map_err(|_| SolveError::NoCandidate { method: "clarabel" })?;
    solver.solve();
    let solution = solver.solution;
    let mut multipliers = solution.z.as_slice();
    let mut dual = Vec::with_capacity(problem.pencils().len());
    for pencil in problem.pencils() {
        let (block, rest) = multipliers.split_at(svec::length(pencil.size()));
        dual.push(svec::unpack(block, pencil.size()));
        multipliers = rest;
    }
    Ok(SdpCandidate {
        x: solution.x,
        approx_objective: solution.obj_val,
        approx_dual_objective: solution.obj_val_dual,
        dual,
        status: solution.status.into(),
        approx_primal_residual: solution.r_prim,
        approx_dual_residual: solution.r_dual,
        iterations: solution.iterations as usize,
    })
}

/// `A x + s = b, s ∈ K`, with `A` by its entries, pencils first, then the non-negative variables.
struct ConicForm {
    rows: Vec<usize>,
    cols: Vec<usize>,
    values: Vec<f64>,
    offsets: Vec<f64>,
    cones: Vec<SupportedConeT<f64>>,
}

impl ConicForm {
    fn new(problem: &SdpProblem) -> Self {
        let mut form = Self {
            rows: Vec::new(),
            cols: Vec::new(),
            values: Vec::new(),
            offsets: Vec::new(),
            cones: Vec::new(),
        };
        for pencil in problem.pencils() {
            let first = form.offsets.len();
            form.offsets.resize(first + svec::length(pencil.size()), 0.0);
            for entry in pencil.constant() {
                form.offsets[first + svec::index(entry.row, entry.col)] += svec::factor(entry.row, entry.col) * entry.value;
            }
            for (variable, entry) in pencil.terms() {
                let row = first + svec::index(entry.row, entry.col);
                form.push(row, *variable, -svec::factor(entry.row, entry.col) * entry.value);
            }
            form.cones.push(SupportedConeT::PSDTriangleConeT(pencil.size()));
        }
        for variable in problem.nonnegative() {
            form.push(form.offsets.len(), *variable, -1.0);
            form.offsets.push(0.0);
        }
        if !problem.nonnegative().is_empty() {
            form.cones.push(SupportedConeT::NonnegativeConeT(problem.nonnegative().len()));
        }
        form
    }

    fn push(&mut self, row: usize, col: usize, value: f64) {
        self.rows.push(row);
        self.cols.push(col);
        self.values.push(value);
    }
}
