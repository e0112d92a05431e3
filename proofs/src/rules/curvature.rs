//! Rule `curvature`: the distance to the boundary between two classes for a head dense, softplus, dense.
//!
//! # Statement
//!
//! Let `g(z) = w · softplus_β(W₁ z + b₁) + b` be the difference of two logits as a function of the input `z` of the head, `w = w₊ − w₋` with
//! `w₊, w₋ ≥ 0`, and `m ≥ (β/4) λmax(W₁ᵀ diag(w₋) W₁)`. If `g(z) ≥ d > 0`, every point where `g ≤ 0` is at least as far from `z` as
//!
//! - *fast*: `2d / (√(‖∇g(z)‖² + 2md) + ‖∇g(z)‖)`;
//! - *tight*: `r`, `r² = ‖v‖² + 2η g(z + v) − ‖v + η ∇g(z + v)‖² / (1 − ηm)`, for any `v` and any `η ≥ 0` with `ηm < 1`.
//!
//! If `z` is the computed input `ẑ` of the head and the exact one lies within `e`, the distance from the exact one is at least the distance minus `e`; if the
//! input of the head is an `L`-Lipschitz function of the raw input, the radius there is that divided by `L`.
//!
//! # Proof
//!
//! The second derivative of softplus lies in `[0, β/4]`, so the Hessian of `g`, `W₁ᵀ diag(w ∘ s'') W₁`, is at least `−(β/4) W₁ᵀ diag(w₋) W₁ ⪰ −m I`. Fast:
//! along a step of length `ρ`, `g ≥ d − ‖∇g(z)‖ ρ − m ρ²/2`, which is positive below the root; the formula is the root without cancellation, falls with
//! `‖∇g‖` and `m` and grows with `d`. Tight: a point `z + u` with `g ≤ 0` has `‖u‖² ≥ φ(u)` for `φ(u) = ‖u‖² + 2η g(z + u)`. The Hessian of `φ` is
//! at least `2(1 − ηm) I`, so `min φ ≥ φ(v) − ‖∇φ(v)‖² / (4(1 − ηm))` at any `v`, with `∇φ(v) = 2(v + η∇g(z + v))`. So neither `v` nor `η` has to be
//! optimal or trusted; where they are found does not matter. Distances obey the triangle inequality.
//!
//! # Source
//!
//! Singla, Singla and Feizi, *Improved deterministic l2 robustness on CIFAR-10 and CIFAR-100*, ICLR 2022, and Singla and Feizi, *Second-order provable defenses
//! against adversarial attacks*, ICML 2020 (curvature bounds `m`, `M`; the dual). Here without their power iteration, which approaches `m` from below, with
//! the remainder of the inexact minimiser, and for all pairs.
//!
//! # Mutation note
//!
//! The square of the residual left out, or not divided by `1 − ηm`: `rounding::curvature::no_hint_can_lie` went red; `ηm < 1` not asked for:
//! `unusable_hints_prove_nothing` beside it. `w₊` for `w₋`, `m` halved, `2d` or `2η` doubled: `curvature::the_vectors_numbers`, `ties_and_no_curvature` and the
//! attacks `no_boundary_within_the_radius_*`. The rounding of `W₁ z + b₁` or of the sum of `g` left out: `the_vectors_numbers` (the difference is in the last
//! digits). The error `e` or the bound `L` left out: `what_stands_before_the_head`. The last rival left out: `every_rival_counts`.

use std::sync::OnceLock;

use crate::error::CheckError;
use crate::rounding::boundary::Search;
use crate::rounding::curvature::{AtPoint, MlpHead, dual_down, quadratic_down};
use crate::rounding::directed::{add_up, max, norm_up};
use crate::statement::NetworkMap;

/// A head dense, softplus, dense with the curvature of its pairs.
#[derive(Debug)]
pub struct Curvature<'a> {
    head: MlpHead<'a>,
    search: Option<Search<'a>>,
    bounds: Vec<OnceLock<Result<f64, CheckError>>>,
}

impl<'a> Curvature<'a> {
    /// The head of `map`; nothing if it does not end dense, softplus, dense.
    #[must_use]
    pub fn of(map: &'a NetworkMap) -> Option<Self> {
        let head = MlpHead::of(map)?;
        let classes = map.classes();
        Some(Self {
            search: Search::new(&head),
            head,
            bounds: vec![OnceLock::new(); classes * classes],
        })
    }

    /// Whether the rule applies to `map`.
    #[must_use]
    pub fn applies(map: &NetworkMap) -> bool {
        MlpHead::of(map).is_some()
    }

    /// Upper bound `m` of the downward curvature of `f_top − f_rival`: its Hessian is at least `−m I` everywhere. That of the pair in the other order bounds the
    /// Hessian from above. Proved at the first call.
    ///
    /// # Errors
    ///
    /// [`CheckError::NoSuchClass`] if there is no such class; [`CheckError::NotFinite`] if the products overflow.
    pub fn curvature_up(&self, top: usize, rival: usize) -> Result<f64, CheckError> {
        let classes = self.head.last.rows();
        if let Some(class) = [top, rival].into_iter().find(|class| *class >= classes) {
            return Err(CheckError::NoSuchClass { class, classes });
        }
        let slot = &self.bounds[top * classes + rival];
        slot.get_or_init(|| self.head.curvature_up(top, rival)).clone()
    }

    /// The head at the point `z`, for all pairs.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`] if `z` is not an input of the head; [`CheckError::NotFinite`] if an entry is NaN or infinite.
    pub fn at(&self, z: &[f64]) -> Result<AtPoint, CheckError> {
        let expected = self.head.first.cols();
        if z.len() != expected {
            return Err(CheckError::Shape {
                what: "input of the head",
                expected: vec![expected],
                found: vec![z.len()],
            });
        }
        crate::statement::check_finite("input of the head", &[expected], z)?;
        Ok(self.head.at(z))
    }

    /// Lower bound of the distance from the point to any where `f_top ≤ f_rival`, by the fast formula; 0 if nothing is proved.
    ///
    /// # Errors
    ///
    /// Those of [`Self::curvature_up`].
    pub fn fast_down(&self, at: &AtPoint, top: usize, rival: usize) -> Result<f64, CheckError> {
        let curvature = self.curvature_up(top, rival)?;
        Ok(quadratic_down(&self.head.difference(at, top, rival), curvature))
    }

    /// The same by the dual, which is better and takes longer; 0 if nothing is proved, or the head is too wide for the search.
    ///
    /// # Errors
    ///
    /// Those of [`Self::curvature_up`].
    pub fn tight_down(&self, at: &AtPoint, top: usize, rival: usize) -> Result<f64, CheckError> {
        let curvature = self.curvature_up(top, rival)?;
        let start = self.head.difference(at, top, rival);
        let Some(search) = &self.search else {
            return Ok(0.0);
        };
        let positive = start.value_down > 0.0;
        if !positive {
            return Ok(0.0);
        }
        let steepness = add_up(norm_up(&start.gradient), start.gradient_error);
        let hint = search.run(at, (top, rival), start.value_down, steepness, curvature);
        if hint.point.iter().any(|entry| !entry.is_finite()) {
            return Ok(0.0);
        }
        let there = self.head.at(&hint.point);
        let difference = self.head.difference(&there, top, rival);
        Ok(max(dual_down(&at.point, &there, &difference, hint.eta, curvature), 0.0))
    }
}
