//! Finds evidence for the claims of `lipcert-proofs`; trusted by nobody.
//!
//! Every number from here is a hint. A caller hands it to a check, which re-derives the inequality from the claim's own data.
//!
//! ```
//! use faer::mat;
//! use lipcert_solver::chain::{Chain, Slope, Unwatched};
//! use lipcert_solver::structured::{Options, lipsdp};
//!
//! // x ↦ C relu(W x) with a rotation W: the product of the norms, √2, is the best that can be proved.
//! let weight = mat![[0.6, 0.8], [-0.8, 0.6]];
//! let chain = Chain::new(vec![weight], vec![Slope::UNIT], mat![[1.0, 1.0]])?;
//! let solution = lipsdp(&chain, &Options::default(), &Unwatched)?;
//! let found = solution.candidates[0].lipschitz;
//! assert!(solution.approx_dual <= found && (found - 2_f64.sqrt()).abs() < 1e-5);
//! # Ok::<(), lipcert_solver::SolveError>(())
//! ```
//!
//! - [`chain`]: a network as LipSDP sees it, and what every solver answers.
//! - [`structured`], [`closed`]: bounds of a chain, by an interior-point method of its own and in closed form.
//! - [`common`]: the best diagonal `T ⪰ WᵀW` of one weight.
//! - [`problem`], [`assemble`], [`clarabel`]: any claim with unknown multipliers as a semidefinite problem, for a general solver.
//! - [`violation`]: vectors that show `WᵀW ⪯ T` to be false.
//! - [`lower`]: points at which a network has a large Jacobian.
//! - [`eigenvalue`]: largest eigenvalues. [`convert`]: to and from the types of `lipcert-proofs`.

pub mod assemble;
pub mod chain;
pub mod clarabel;
pub mod closed;
pub mod common;
pub mod convert;
pub mod eigenvalue;
pub mod error;
mod lapack;
pub mod lower;
pub mod problem;
pub mod random;
pub mod structured;
mod svec;
pub mod violation;

pub use error::SolveError;
