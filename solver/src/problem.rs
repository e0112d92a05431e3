//! A semidefinite problem with linear matrix inequalities: `min cᵀx` subject to `F_0^j + Σ_i x_i F_i^j ⪰ 0` and some `x_i ≥ 0`.
//!
//! It knows nothing of networks and of solvers. A builder scales a problem so that its optimum and its unknowns are about 1: a solver's tolerances are absolute, and an
//! optimum below them comes back wrong with the remark "solved".

use nalgebra::DMatrix;

use crate::error::SolveError;

/// An entry `(row, col)` of a symmetric matrix, and so the entry `(col, row)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Zero-based.
    pub row: usize,
    /// Zero-based.
    pub col: usize,
    /// Value of both entries.
    pub value: f64,
}

/// One symmetric matrix `F_0 + Σ_i x_i F_i`, by its entries. Entries at the same place add up.
#[derive(Clone, Debug, PartialEq)]
pub struct Pencil {
    size: usize,
    constant: Vec<Entry>,
    terms: Vec<(usize, Entry)>,
}

impl Pencil {
    /// The zero matrix of this size.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        Self {
            size,
            constant: Vec::new(),
            terms: Vec::new(),
        }
    }

    /// Number of rows.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The entries of `F_0`.
    #[must_use]
    pub fn constant(&self) -> &[Entry] {
        &self.constant
    }

    /// The entries of the `F_i`, each with its `i`.
    #[must_use]
    pub fn terms(&self) -> &[(usize, Entry)] {
        &self.terms
    }

    /// Adds a constant to the entry `(row, col)`; zeros are not stored.
    pub fn add_constant(&mut self, row: usize, col: usize, value: f64) {
        if value != 0.0 {
            self.constant.push(Entry { row, col, value });
        }
    }

    /// Adds `value · x_variable` to the entry `(row, col)`; zeros are not stored.
    pub fn add(&mut self, variable: usize, row: usize, col: usize, value: f64) {
        if value != 0.0 {
            self.terms.push((variable, Entry { row, col, value }));
        }
    }

    /// Adds a constant symmetric matrix on the diagonal, its first entry at `(at, at)`; its upper triangle is read.
    pub fn add_constant_symmetric(&mut self, at: usize, matrix: &DMatrix<f64>) {
        for col in 0..matrix.ncols() {
            for row in 0..=col {
                self.add_constant(at + row, at + col, matrix[(row, col)]);
            }
        }
    }

    /// Adds a constant matrix off the diagonal, its first entry at `(row, col)`, and its transpose at the mirrored place.
    pub fn add_constant_block(&mut self, row: usize, col: usize, matrix: &DMatrix<f64>) {
        for j in 0..matrix.ncols() {
            for i in 0..matrix.nrows() {
                self.add_constant(row + i, col + j, matrix[(i, j)]);
            }
        }
    }

    /// Adds `x_variable` times a symmetric matrix, as [`add_constant_symmetric`](Self::add_constant_symmetric).
    pub fn add_symmetric(&mut self, variable: usize, at: usize, matrix: &DMatrix<f64>) {
        for col in 0..matrix.ncols() {
            for row in 0..=col {
                self.add(variable, at + row, at + col, matrix[(row, col)]);
            }
        }
    }

    /// The matrix at `x`, `(size, size)`.
    ///
    /// # Panics
    ///
    /// If `x` is shorter than a variable that occurs, or an entry lies outside.
    #[must_use]
    pub fn evaluate(&self, x: &[f64]) -> DMatrix<f64> {
        let mut matrix = DMatrix::zeros(self.size, self.size);
        let weighted = self.terms.iter().map(|(variable, entry)| (x[*variable], entry));
        for (weight, entry) in self.constant.iter().map(|entry| (1.0, entry)).chain(weighted) {
            matrix[(entry.row, entry.col)] += weight * entry.value;
            if entry.row != entry.col {
                matrix[(entry.col, entry.row)] += weight * entry.value;
            }
        }
        matrix
    }
}

/// `min cᵀx` subject to one or more pencils `⪰ 0`, and `x_i ≥ 0` for chosen `i`.
#[derive(Clone, Debug, PartialEq)]
pub struct SdpProblem {
    objective: Vec<f64>,
    nonnegative: Vec<usize>,
    pencils: Vec<Pencil>,
}

impl SdpProblem {
    /// Checks that all indices and numbers are sound.
    ///
    /// # Shapes
    ///
    /// | argument | shape |
    /// |---|---|
    /// | `objective` | one coefficient a variable; at least one |
    /// | `nonnegative` | the variables that may not be negative |
    /// | `pencils` | any sizes above 0, any number, none included |
    ///
    /// # Errors
    ///
    /// - [`SolveError::Shape`] if there is no variable, a pencil has size 0, or an index lies outside; an index is shown as the shape it asks for.
    /// - [`SolveError::NotFinite`] if a number is NaN or infinite.
    pub fn new(objective: Vec<f64>, nonnegative: Vec<usize>, pencils: Vec<Pencil>) -> Result<Self, SolveError> {
        let variables = objective.len();
        if variables == 0 {
            return Err(outside("objective", 1, 0));
        }
        if let Some(index) = objective.iter().position(|value| !value.is_finite()) {
            return Err(SolveError::NotFinite {
                what: "objective",
                index: vec![index],
            });
        }
        if let Some(index) = nonnegative.iter().find(|index| **index >= variables) {
            return Err(outside("nonnegative", variables, index + 1));
        }
        for pencil in &pencils {
            if pencil.size == 0 {
                return Err(outside("pencil", 1, 0));
            }
            if let Some((variable, _)) = pencil.terms.iter().find(|(variable, _)| *variable >= variables) {
                return Err(outside("variable of a pencil", variables, variable + 1));
            }
            for entry in pencil.constant.iter().chain(pencil.terms.iter().map(|(_, entry)| entry)) {
                let last = entry.row.max(entry.col);
                if last >= pencil.size {
                    return Err(outside("entry of a pencil", pencil.size, last + 1));
                }
                if !entry.value.is_finite() {
                    return Err(SolveError::NotFinite {
                        what: "entry of a pencil",
                        index: vec![entry.row, entry.col],
                    });
                }
            }
        }
        Ok(Self {
            objective,
            nonnegative,
            pencils,
        })
    }

    /// The coefficients `c`.
    #[must_use]
    pub fn objective(&self) -> &[f64] {
        &self.objective
    }

    /// The variables that may not be negative.
    #[must_use]
    pub fn nonnegative(&self) -> &[usize] {
        &self.nonnegative
    }

    /// The matrices that must be positive semidefinite.
    #[must_use]
    pub fn pencils(&self) -> &[Pencil] {
        &self.pencils
    }
}

/// A size or index that does not fit.
fn outside(what: &'static str, expected: usize, found: usize) -> SolveError {
    SolveError::Shape {
        what,
        expected: vec![expected],
        found: vec![found],
    }
}
