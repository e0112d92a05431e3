//! Bounds by one pass through the layers, for slopes `[0, β]`.
//!
//! For matrices `N_0, …, N_h` let `M_1 = N_0 N_0ᵀ` and, with any diagonal `T_i ⪰ M_i`,
//!
//! ```text
//! M_{i+1} = N_i T_i (2 T_i − M_i)⁻¹ T_i N_iᵀ,      ρ = λ_max(M_{h+1}).
//! ```
//!
//! `T_i ⪰ M_i` makes `2 T_i − M_i ⪰ T_i ≻ 0`, so every step is defined (any `T_i ≻ M_i / 2` would do). Eliminating the blocks of the LipSDP matrix one after the
//! other, from the input on, shows that `N = (W_1, …, W_h, C)` and `Λ_i = ρ T_i⁻¹` satisfy the inequality at `ρ`: the Schur complements are
//! `ρ (2 T_i⁻¹ − T_i⁻¹ M_i T_i⁻¹)`. Elimination from the output on gives the same recursion for the transposed matrices in reverse order,
//! `N = (Cᵀ, W_hᵀ, …, W_1ᵀ)`, with `Λ_i = T_i`: another family of feasible points.
//!
//! So every closed form `T ⪰ M` of one layer (see [`super::diagonal`]) gives bounds of the whole chain. `T_i = ‖M_i‖ I` from the input on is ECLipsE-Fast;
//! row sums, weighted row sums and multiples of a power of the diagonal adapt to the neurons. [`solve`] tries each throughout, and then, layer after layer, takes
//! the choice that ends lowest when the best single one is used for the rest. That is never worse than any of them.
//!
//! # Source
//!
//! Derived here. ECLipsE-Fast: Xu and Sivaranjani, *ECLipsE: efficient compositional Lipschitz constant estimation for deep neural networks*, NeurIPS 2024.
//! That general feasible points of LipSDP lead to closed forms that contain and improve on it: Syed and Hu, *Improved scalable Lipschitz bounds for deep neural
//! networks*, 2025 (of which the abstract was read, not the formulas).

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor;
use faer::linalg::triangular_solve;
use faer::prelude::default;
use faer::{Mat, MatRef, Par};

use super::diagonal;
use crate::chain::{Candidate, Chain, Solution, Status};
use crate::eigenvalue::{self, smaller_gram};
use crate::error::SolveError;

/// By how much `ρ` of each candidate is raised above its approximation.
const SLACKS: [f64; 4] = [1e-12, 1e-10, 1e-8, 1e-5];

/// Multiples of `T` that are tried; above one half all are feasible.
const FACTORS: [f64; 3] = [0.8, 1.0, 1.25];

/// A diagonal entry is at least this part of the largest: neurons that are always off.
const SMALLEST: f64 = 1e-12;

/// From which end the blocks are eliminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the input on.
    Forward,
    /// From the output on.
    Backward,
}

/// Which diagonal `T ⪰ M` a layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// `‖M‖ I`.
    Spectral,
    /// A multiple of the root of the diagonal of `M`.
    RootDiagonal,
    /// A multiple of the diagonal of `M`.
    Diagonal,
    /// Row sums of `|M|`.
    RowSums,
    /// Row sums weighted by the columns of the next matrix: the best of the weighted ones for the trace of `N T Nᵀ`.
    NextRowSums,
    /// The weighted ones of the Perron vector: a multiple of the identity.
    Perron,
}

impl Choice {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Spectral,
        Self::RootDiagonal,
        Self::Diagonal,
        Self::RowSums,
        Self::NextRowSums,
        Self::Perron,
    ];

    /// Short name, as a table prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spectral => "spectral",
            Self::RootDiagonal => "root-diagonal",
            Self::Diagonal => "diagonal",
            Self::RowSums => "row-sums",
            Self::NextRowSums => "next-row-sums",
            Self::Perron => "perron",
        }
    }

    /// About `T`, positive.
    fn scale(self, current: MatRef<'_, f64>, next: MatRef<'_, f64>) -> Option<Vec<f64>> {
        let mut scale = match self {
            Self::Spectral => diagonal::spectral(current)?,
            Self::RootDiagonal => diagonal::scaled_spectral(current, 0.5)?,
            Self::Diagonal => diagonal::scaled_spectral(current, 1.0)?,
            Self::RowSums => diagonal::row_sums(current),
            Self::NextRowSums => {
                let lengths: Vec<f64> = next.col_iter().map(|column| column.norm_l2()).collect();
                let longest = lengths.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
                let q: Vec<f64> = lengths.iter().map(|length| (length / longest).max(1e-6)).collect();
                diagonal::weighted_row_sums(current, &q)
            }
            Self::Perron => diagonal::perron(current),
        };
        let largest = scale.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        scale.iter_mut().for_each(|t| *t = t.max(SMALLEST * largest));
        Some(scale)
    }
}

/// The bound of one choice for all layers, from one end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// From which end.
    pub direction: Direction,
    /// The choice.
    pub choice: Choice,
    /// About `√ρ`.
    pub approx_lipschitz: f64,
}

/// The bounds of all single choices; leaves out one whose numbers overflow.
///
/// # Errors
///
/// [`SolveError::Slope`] if a smallest slope is not 0.
pub fn bounds(chain: &Chain) -> Result<Vec<Bound>, SolveError> {
    let mut found = Vec::new();
    for direction in [Direction::Forward, Direction::Backward] {
        let pass = Pass::new(chain, direction)?;
        for choice in Choice::ALL {
            if let Some(end) = pass.finish(&pass.first(), 0, choice) {
                found.push(Bound {
                    direction,
                    choice,
                    approx_lipschitz: end.rho.sqrt(),
                });
            }
        }
    }
    Ok(found)
}

/// The best of all single choices and of their combinations, with multipliers.
///
/// # Errors
///
/// - [`SolveError::Slope`] if a smallest slope is not 0.
/// - [`SolveError::NoCandidate`] if no choice went through.
pub fn solve(chain: &Chain) -> Result<Solution, SolveError> {
    let mut best: Option<(Direction, End)> = None;
    for direction in [Direction::Forward, Direction::Backward] {
        let pass = Pass::new(chain, direction)?;
        if let Some(end) = pass.combine()
            && best.as_ref().is_none_or(|(_, best)| end.rho < best.rho)
        {
            best = Some((direction, end));
        }
    }
    let (direction, end) = best.ok_or(SolveError::NoCandidate {
        method: "the recursion through the layers",
    })?;
    let candidate = |slack: f64| {
        let rho = end.rho * (1.0 + slack);
        let multipliers = match direction {
            Direction::Forward => end.scales.iter().map(|t| t.iter().map(|t| rho / t).collect()).collect(),
            Direction::Backward => end.scales.iter().rev().cloned().collect(),
        };
        Candidate {
            lipschitz: rho.sqrt(),
            multipliers,
        }
    };
    Ok(Solution {
        candidates: SLACKS.iter().map(|slack| candidate(*slack)).collect(),
        dual: None,
        approx_dual: 0.0,
        status: Status::Closed,
        iterations: 0,
    })
}

/// The matrices `N_0, …, N_h` of one direction, slopes multiplied in.
struct Pass {
    matrices: Vec<Mat<f64>>,
}

/// What a pass ends with.
#[derive(Clone, Debug)]
struct End {
    rho: f64,
    scales: Vec<Vec<f64>>,
}

impl Pass {
    fn new(chain: &Chain, direction: Direction) -> Result<Self, SolveError> {
        let mut matrices = Vec::with_capacity(chain.hidden() + 1);
        for (layer, (weight, slope)) in chain.weights().iter().zip(chain.slopes()).enumerate() {
            if slope.lo.abs() > 0.0 {
                return Err(SolveError::Slope {
                    layer,
                    lo: slope.lo,
                    hi: slope.hi,
                });
            }
            matrices.push(weight * faer::Scale(slope.hi));
        }
        matrices.push(chain.output().to_owned());
        if direction == Direction::Backward {
            matrices.reverse();
            matrices.iter_mut().for_each(|matrix| *matrix = matrix.transpose().to_owned());
        }
        Ok(Self { matrices })
    }

    /// `M_1`.
    fn first(&self) -> Mat<f64> {
        &self.matrices[0] * self.matrices[0].transpose()
    }

    const fn hidden(&self) -> usize {
        self.matrices.len() - 1
    }

    /// `N T L⁻ᵀ` with `L Lᵀ = 2 T − M` behind the hidden layer `layer`; its product with its transpose is the next `M`.
    fn root(&self, current: &Mat<f64>, layer: usize, scale: &[f64]) -> Option<Mat<f64>> {
        let (n, next) = (scale.len(), &self.matrices[layer + 1]);
        let mut factor = Mat::from_fn(n, n, |i, j| if i == j { 2.0 * scale[i] } else { 0.0 } - current[(i, j)]);
        let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, default()));
        factor::cholesky_in_place(factor.as_mut(), default(), Par::Seq, MemStack::new(&mut memory), default()).ok()?;
        let mut root = Mat::from_fn(n, next.nrows(), |i, k| scale[i] * next[(k, i)]);
        triangular_solve::solve_lower_triangular_in_place(factor.as_ref(), root.as_mut(), Par::Seq);
        Some(root.transpose().to_owned())
    }

    /// All layers from `layer` on by one choice.
    fn finish(&self, current: &Mat<f64>, layer: usize, choice: Choice) -> Option<End> {
        let mut scales = Vec::new();
        let mut current = current.clone();
        for layer in layer..self.hidden() {
            let scale = choice.scale(current.as_ref(), self.matrices[layer + 1].as_ref())?;
            let root = self.root(&current, layer, &scale)?;
            scales.push(scale);
            current = if layer + 1 < self.hidden() {
                &root * root.transpose()
            } else {
                smaller_gram(root.as_ref())
            };
        }
        if self.hidden() == 0 {
            current = smaller_gram(self.matrices[0].as_ref());
        }
        let rho = eigenvalue::largest(current.as_ref())?;
        Some(End { rho, scales })
    }

    /// Layer after layer the choice that ends lowest with the best single one for the rest.
    fn combine(&self) -> Option<End> {
        let first = self.first();
        let ends = Choice::ALL.map(|choice| self.finish(&first, 0, choice).map(|end| (choice, end)));
        let (rest, mut best) = ends.into_iter().flatten().min_by(|a, b| a.1.rho.total_cmp(&b.1.rho))?;
        let mut current = first;
        let mut scales: Vec<Vec<f64>> = Vec::new();
        for layer in 0..self.hidden() {
            // What has been best so far is among the choices.
            let mut chosen = best.scales[layer].clone();
            for choice in Choice::ALL {
                let Some(base) = choice.scale(current.as_ref(), self.matrices[layer + 1].as_ref()) else {
                    continue;
                };
                for factor in FACTORS {
                    let scale: Vec<f64> = base.iter().map(|t| factor * t).collect();
                    let Some(end) = self.tail(&current, layer, &scale, rest) else {
                        continue;
                    };
                    if end.rho < best.rho {
                        best = End {
                            rho: end.rho,
                            scales: scales.iter().chain([&scale]).chain(&end.scales).cloned().collect(),
                        };
                        chosen = scale;
                    }
                }
            }
            let root = self.root(&current, layer, &chosen)?;
            current = if layer + 1 < self.hidden() {
                &root * root.transpose()
            } else {
                break;
            };
            scales.push(chosen);
        }
        Some(best)
    }

    /// The end if the hidden layer `layer` takes `scale` and those behind it one choice.
    fn tail(&self, current: &Mat<f64>, layer: usize, scale: &[f64], rest: Choice) -> Option<End> {
        let root = self.root(current, layer, scale)?;
        if layer + 1 < self.hidden() {
            return self.finish(&(&root * root.transpose()), layer + 1, rest);
        }
        let rho = eigenvalue::largest(smaller_gram(root.as_ref()).as_ref())?;
        Some(End { rho, scales: Vec::new() })
    }
}
