//! The LipSDP inequality of a feed-forward chain, with one multiplier a neuron or one a layer, and with or without a linear path around it.
//!
//! The map is `x ↦ A x + C σ_h(W_h … σ_1(W_1 x + b_1) … + b_h)`; without the path, `A = 0`. With `[A 0 … 0 C]` in place of `C`, the inequality of [`crate::chain`] says that it
//! is `√ρ`-Lipschitz. One hidden layer with `W_1 = Wᵀ` is the residual block `x ↦ H x + G σ(Wᵀ x + b)`, `A = H`, `C = G`:
//!
//! ```text
//! [ ρ I − HᵀH + 2αβ W Λ Wᵀ     −(HᵀG + (α + β) W Λ) ]
//! [ ·                           2 Λ − GᵀG             ]  ⪰ 0
//! ```
//!
//! # Source
//!
//! Fazlyab et al., *Efficient and accurate estimation of Lipschitz constants for deep neural networks*, NeurIPS 2019 (variants "Neuron" and "Layer"); Araujo et al., *A unified algebraic
//! perspective on Lipschitz neural networks*, ICLR 2023 (residual blocks).

use faer::MatRef;
use nalgebra::DMatrix;

use super::scale::layer_scales;
use super::{approx_norm, positive_or_one};
use crate::chain::{Candidate, Chain, DualVectors, Sharing, Slope, Solution};
use crate::clarabel::{self, Options, SdpCandidate};
use crate::convert::{to_faer, to_nalgebra};
use crate::error::SolveError;
use crate::problem::{Pencil, SdpProblem};

/// How much is added to all multipliers and to `ρ`, in units of the closed-form solution, for candidates further and further inside.
const INWARD: [f64; 7] = [0.0, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5];

/// The problem `min ρ` for a chain, scaled, and what is needed to read an answer.
///
/// The signals of layer `i` are measured in units `s_i` and `ρ` in units of a closed-form bound, `P̂ = D P D / ρ_0` with `D = diag(s_i)`; so the multipliers
/// of the scaled problem are about 1 and its optimum is at most 1.
#[derive(Clone, Debug)]
pub struct ChainProblem {
    problem: SdpProblem,
    sharing: Sharing,
    /// `n_0, …, n_h`, with `n_0` as in the problem.
    widths: Vec<usize>,
    /// `s_0 = 1, …, s_h`.
    units: Vec<f64>,
    /// `ρ_0`.
    square: f64,
    /// `Q` with orthonormal columns and `W_1 = Ŵ_1 Qᵀ`, if the input was reduced to the rows of `W_1`.
    input: Option<DMatrix<f64>>,
}

impl ChainProblem {
    /// Builds the problem; an input wider than the first layer is reduced to the span of its rows.
    ///
    /// # Shapes
    ///
    /// `path` is `(m, n_0)` where the output of the chain is `(m, n_h)`.
    ///
    /// # Errors
    ///
    /// - [`SolveError::Shape`] if the path does not fit.
    /// - [`SolveError::NotFinite`] if the path or a scaled entry is NaN or infinite.
    /// - [`SolveError::NoCandidate`] if the closed-form scales overflow.
    pub fn new(chain: &Chain, path: Option<&DMatrix<f64>>, sharing: Sharing) -> Result<Self, SolveError> {
        let output = to_nalgebra(chain.output());
        let mut widths = chain.widths();
        if let Some(path) = path.filter(|path| path.shape() != (output.nrows(), widths[0])) {
            return Err(SolveError::Shape {
                what: "path",
                expected: vec![output.nrows(), widths[0]],
                found: vec![path.nrows(), path.ncols()],
            });
        }
        let mut weights: Vec<DMatrix<f64>> = chain.weights().iter().map(|weight| to_nalgebra(weight.as_ref())).collect();
        let mut input = None;
        if let Some(first) = weights
            .first_mut()
            .filter(|first| path.is_none() && first.nrows() < first.ncols())
        {
            let factors = first.transpose().qr();
            *first = factors.r().transpose();
            widths[0] = first.ncols();
            input = Some(factors.q());
        }
        let overflow = SolveError::NoCandidate {
            method: "the closed form of one multiplier a layer",
        };
        let scales = layer_scales(&weights, chain.slopes(), widths[0]).ok_or(overflow.clone())?;
        let square = scales.approx_square(&output).ok_or(overflow)?;
        let square = path.map_or(square, |path| (square.sqrt() + approx_norm(path)).powi(2));
        let units: Vec<f64> = std::iter::once(1.0)
            .chain(scales.multipliers.iter().map(|lambda| positive_or_one(lambda.sqrt().recip())))
            .collect();
        for (layer, weight) in weights.iter_mut().enumerate() {
            *weight *= units[layer] / units[layer + 1];
        }
        let scaled = Scaled {
            weights,
            slopes: chain.slopes(),
            output: output * (units[units.len() - 1] / square.sqrt()),
            path: path.map(|path| path / square.sqrt()),
        };
        Ok(Self {
            problem: scaled.problem(sharing)?,
            sharing,
            widths,
            units,
            square,
            input,
        })
    }

    /// The scaled problem: variable 0 is `ρ`, the others are the multipliers.
    #[must_use]
    pub const fn problem(&self) -> &SdpProblem {
        &self.problem
    }

    /// The multipliers and the bound in the units of the chain, from variables of the scaled problem.
    ///
    /// # Panics
    ///
    /// If `x` has another length than the objective.
    #[must_use]
    pub fn read(&self, x: &[f64]) -> Candidate {
        assert_eq!(x.len(), self.problem.objective().len(), "one number a variable");
        let mut variable = 1;
        let mut multipliers = Vec::with_capacity(self.units.len() - 1);
        for (width, unit) in self.widths.iter().zip(&self.units).skip(1) {
            let factor = self.square / (unit * unit);
            let values = match self.sharing {
                Sharing::Neuron => x[variable..variable + width].to_vec(),
                Sharing::Layer => vec![x[variable]; *width],
            };
            variable += match self.sharing {
                Sharing::Neuron => *width,
                Sharing::Layer => 1,
            };
            multipliers.push(values.into_iter().map(|value| value.max(0.0) * factor).collect());
        }
        Candidate {
            lipschitz: (self.square * x[0].max(0.0)).sqrt(),
            multipliers,
        }
    }

    /// The dual matrix of an answer as vectors in the units of the chain, columns of negligible length left out.
    fn dual_vectors(&self, dual: &DMatrix<f64>) -> DualVectors {
        let eigen = dual.clone().symmetric_eigen();
        let negligible = f64::EPSILON * eigen.eigenvalues.amax();
        let kept: Vec<usize> = (0..eigen.eigenvalues.len())
            .filter(|k| eigen.eigenvalues[*k] > negligible)
            .collect();
        let mut blocks = Vec::with_capacity(self.widths.len());
        let mut first = 0;
        for (width, unit) in self.widths.iter().zip(&self.units) {
            let block = DMatrix::from_fn(*width, kept.len(), |i, k| {
                unit * eigen.eigenvalues[kept[k]].sqrt() * eigen.eigenvectors[(first + i, kept[k])]
            });
            let whole = self.input.as_ref().filter(|_| first == 0).map(|basis| basis * &block);
            blocks.push(to_faer(whole.as_ref().unwrap_or(&block)));
            first += width;
        }
        DualVectors { blocks }
    }

    /// What an answer of the conic solver says about the chain.
    ///
    /// # Errors
    ///
    /// [`SolveError::NoCandidate`] if the solver denies that the problem has a solution, or its numbers are not finite.
    pub fn solution(&self, answer: &SdpCandidate) -> Result<Solution, SolveError> {
        let status = answer
            .status
            .of_iterate()
            .filter(|_| answer.x.iter().all(|value| value.is_finite()));
        let Some(status) = status else {
            return Err(SolveError::NoCandidate { method: "clarabel" });
        };
        // The closed-form solution, 1 everywhere in these units, lies strictly inside the homogeneous inequality, so that adding it leads inward.
        let inward = |step: f64| -> Vec<f64> { answer.x.iter().map(|value| value + step).collect() };
        let dual = &answer.dual[0];
        Ok(Solution {
            candidates: INWARD.into_iter().map(|step| self.read(&inward(step))).collect(),
            dual: dual.iter().all(|value| value.is_finite()).then(|| self.dual_vectors(dual)),
            approx_dual: (self.square * answer.approx_dual_objective.max(0.0)).sqrt(),
            status,
            iterations: answer.iterations,
        })
    }
}

/// Solves for the bound of a chain.
///
/// # Errors
///
/// Those of [`ChainProblem::new`], [`clarabel::solve`] and [`ChainProblem::solution`].
pub fn solve(chain: &Chain, sharing: Sharing, options: &Options) -> Result<Solution, SolveError> {
    let assembled = ChainProblem::new(chain, None, sharing)?;
    assembled.solution(&clarabel::solve(assembled.problem(), options)?)
}

/// Solves for the bound of a chain with a linear path around it, `(m, n_0)`, one multiplier a neuron.
///
/// # Errors
///
/// Those of [`ChainProblem::new`], [`clarabel::solve`] and [`ChainProblem::solution`].
pub fn solve_with_path(chain: &Chain, path: MatRef<'_, f64>, options: &Options) -> Result<Solution, SolveError> {
    let assembled = ChainProblem::new(chain, Some(&to_nalgebra(path)), Sharing::Neuron)?;
    assembled.solution(&clarabel::solve(assembled.problem(), options)?)
}

/// A chain in the units of the scaled problem.
struct Scaled<'a> {
    weights: Vec<DMatrix<f64>>,
    slopes: &'a [Slope],
    output: DMatrix<f64>,
    path: Option<DMatrix<f64>>,
}

impl Scaled<'_> {
    fn problem(&self, sharing: Sharing) -> Result<SdpProblem, SolveError> {
        let input = self.weights.first().map_or(self.output.ncols(), DMatrix::ncols);
        let size = input + self.weights.iter().map(DMatrix::nrows).sum::<usize>();
        let mut pencil = Pencil::new(size);
        for i in 0..input {
            pencil.add(0, i, i, 1.0);
        }
        let (mut variable, mut before) = (1, 0);
        for (weight, slope) in self.weights.iter().zip(self.slopes) {
            let here = before + weight.ncols();
            for neuron in 0..weight.nrows() {
                add_neuron(&mut pencil, variable, weight, *slope, (neuron, before, here + neuron));
                variable += usize::from(sharing == Sharing::Neuron);
            }
            variable += usize::from(sharing == Sharing::Layer);
            before = here;
        }
        // −[A 0 … 0 C]ᵀ [A 0 … 0 C]
        pencil.add_constant_symmetric(before, &(-self.output.tr_mul(&self.output)));
        if let Some(path) = &self.path {
            pencil.add_constant_symmetric(0, &(-path.tr_mul(path)));
            let cross = -path.tr_mul(&self.output);
            if before == 0 {
                pencil.add_constant_symmetric(0, &(&cross + cross.transpose()));
            } else {
                pencil.add_constant_block(0, before, &cross);
            }
        }
        let mut objective = vec![0.0; variable];
        objective[0] = 1.0;
        SdpProblem::new(objective, (1..variable).collect(), vec![pencil])
    }
}

/// Adds `λ (a bᵀ + b aᵀ)` with `a = e − α w`, `b = e − β w`, where `w` is a row of the weight.
///
/// `places` are the row, the first index of the block before, and the index of the neuron.
fn add_neuron(pencil: &mut Pencil, variable: usize, weight: &DMatrix<f64>, slope: Slope, places: (usize, usize, usize)) {
    let (row, before, here) = places;
    pencil.add(variable, here, here, 2.0);
    let (sum, twice) = (slope.lo + slope.hi, 2.0 * slope.lo * slope.hi);
    for j in 0..weight.ncols() {
        pencil.add(variable, before + j, here, -sum * weight[(row, j)]);
        for i in 0..=j {
            pencil.add(variable, before + i, before + j, twice * weight[(row, i)] * weight[(row, j)]);
        }
    }
}
