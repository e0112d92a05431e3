//! Rule `refutation`: `A Aᵀ ⪯ T` is false, shown by a vector.
//!
//! # Statement
//!
//! `A` has the shape `(inner, n)`; the literature writes `W = Aᵀ` and `WᵀW ⪯ T`. [`Refutation::check`] accepts `v` only if
//!
//! ```text
//! vᵀ A Aᵀ v − vᵀ T v  >  margin · |v|ᵀ |T| |v|
//! ```
//!
//! holds for the exact float64 entries of `A`, `T`, `v` and `margin ≥ 0`. Where `T` is given by its factor, `T = Rᵀ R` with `|T| = |R|ᵀ |R|`.
//!
//! # Proof
//!
//! The right side is not negative, so `vᵀ (T − A Aᵀ) v < 0`, and the matrix is not positive semidefinite. All numbers are integers times powers of two;
//! nothing is rounded. The margin tells a false formula from a formula whose `T` was rounded: an entry of `T` that is off by a relative `margin` cannot
//! make a true condition look false.
//!
//! # Source
//!
//! Elementary.
//!
//! # Mutation note
//!
//! The margin left out: `refutation::accept_and_reject` went red. `|T|` replaced by `T` under the margin: `refutation::cancellation_is_no_violation`.
//! `Rᵀ R` replaced by `R Rᵀ`: `refutation::a_factor_stands_on_its_side`. `>` replaced by `≥`: `refutation::accept_and_reject`.

use std::cmp::Ordering;

use crate::error::CheckError;
use crate::exact::Dyadic;
use crate::statement::Matrix;

/// What stands for `T`.
#[derive(Clone, Debug, PartialEq)]
pub enum Candidate {
    /// `T = diag(t)`, `(inner,)`. Entries of any sign.
    Diagonal(Vec<f64>),
    /// `T` itself, `(inner, inner)`. Its quadratic form is what counts.
    Full(Matrix),
    /// `R`, `(k, inner)`, with `T = Rᵀ R`.
    Factor(Matrix),
}

/// A proof that `A Aᵀ ⪯ T` is false: `v` shows it. Made by [`Refutation::check`] only.
#[derive(Clone, Debug)]
pub struct Refutation {
    vector: Vec<f64>,
    ratio: Option<f64>,
}

impl Refutation {
    /// Checks in exact arithmetic that `vector`, `(inner,)`, violates the condition by more than `margin`.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`], [`CheckError::NotFinite`] for a candidate or a vector that does not fit.
    /// - [`CheckError::NotPositive`] for a margin that is negative or no finite number.
    /// - [`CheckError::NotRefuted`] if the inequality does not hold.
    pub fn check(weight: &Matrix, candidate: &Candidate, vector: Vec<f64>, margin: f64) -> Result<Self, CheckError> {
        let inner = weight.rows();
        check_length("vector", inner, vector.len())?;
        let v = all_exact("vector", &vector)?;
        let usable = margin >= 0.0 && margin.is_finite();
        let Some(limit) = Dyadic::new(margin).filter(|_| usable) else {
            return Err(CheckError::NotPositive {
                what: "margin",
                index: 0,
                value: margin,
            });
        };
        let gram = square(&turned_product(weight, &v));
        let (form, size) = forms(candidate, &v)?;
        let proved = gram.sub(&form).compare(&limit.mul(&size)) == Ordering::Greater;
        if proved {
            let ratio = gram.quotient_down(&form);
            Ok(Self { vector, ratio })
        } else {
            Err(CheckError::NotRefuted)
        }
    }

    /// The vector `v`, `(inner,)`.
    #[must_use]
    pub fn vector(&self) -> &[f64] {
        &self.vector
    }

    /// Lower bound of `vᵀ A Aᵀ v / vᵀ T v`, the float next to it; nothing if the denominator is not positive or the quotient is out of range.
    #[must_use]
    pub const fn ratio_down(&self) -> Option<f64> {
        self.ratio
    }
}

/// `vᵀ T v` and `|v|ᵀ |T| |v|`.
fn forms(candidate: &Candidate, v: &[Dyadic]) -> Result<(Dyadic, Dyadic), CheckError> {
    let inner = v.len();
    let absolute: Vec<Dyadic> = v.iter().map(Dyadic::abs).collect();
    Ok(match candidate {
        Candidate::Diagonal(t) => {
            check_length("t", inner, t.len())?;
            let t = all_exact("t", t)?;
            let weighted = |t: Vec<Dyadic>, v: &[Dyadic]| {
                let products: Vec<Dyadic> = t.iter().zip(v).map(|(t, v)| t.mul(v)).collect();
                Dyadic::dot(products.iter().zip(v))
            };
            let sizes = t.iter().map(Dyadic::abs).collect();
            (weighted(t, v), weighted(sizes, &absolute))
        }
        Candidate::Full(t) => {
            check_length("t", inner, t.cols())?;
            check_length("t", inner, t.rows())?;
            let (plain, sizes) = products(t, v, &absolute);
            (Dyadic::dot(plain.iter().zip(v)), Dyadic::dot(sizes.iter().zip(&absolute)))
        }
        Candidate::Factor(r) => {
            check_length("factor", inner, r.cols())?;
            let (plain, sizes) = products(r, v, &absolute);
            (square(&plain), square(&sizes))
        }
    })
}

/// `M v` and `|M| |v|`.
fn products(matrix: &Matrix, v: &[Dyadic], absolute: &[Dyadic]) -> (Vec<Dyadic>, Vec<Dyadic>) {
    (0..matrix.rows())
        .map(|i| {
            let row: Vec<Dyadic> = matrix.row(i).iter().map(entry).collect();
            let sizes: Vec<Dyadic> = row.iter().map(Dyadic::abs).collect();
            (Dyadic::dot(row.iter().zip(v)), Dyadic::dot(sizes.iter().zip(absolute)))
        })
        .unzip()
}

/// `Aᵀ v`.
fn turned_product(weight: &Matrix, v: &[Dyadic]) -> Vec<Dyadic> {
    let mut sums = vec![Dyadic::zero(); weight.cols()];
    for (i, v) in v.iter().enumerate() {
        for (sum, value) in sums.iter_mut().zip(weight.row(i)) {
            *sum = sum.add(&entry(value).mul(v));
        }
    }
    sums
}

/// An entry of a matrix.
fn entry(value: &f64) -> Dyadic {
    Dyadic::new(*value).expect("the entries of a matrix are finite")
}

/// `‖x‖²`.
fn square(x: &[Dyadic]) -> Dyadic {
    Dyadic::dot(x.iter().zip(x))
}

fn all_exact(what: &'static str, values: &[f64]) -> Result<Vec<Dyadic>, CheckError> {
    let exact = |(index, value): (usize, &f64)| {
        Dyadic::new(*value).ok_or(CheckError::NotFinite {
            what,
            index: vec![index],
        })
    };
    values.iter().enumerate().map(exact).collect()
}

fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), CheckError> {
    if expected == found {
        Ok(())
    } else {
        Err(CheckError::Shape {
            what,
            expected: vec![expected],
            found: vec![found],
        })
    }
}
