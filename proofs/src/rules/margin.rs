//! Rule `margin`: a certified radius from enclosed logits, pairwise over all classes.
//!
//! # Statement
//!
//! Let `f_j` be the exact logits, `y` a class, `f_y − f_j` `L_yj`-Lipschitz in the raw input and `|(f̂_y − f̂_j) − (f_y − f_j)| ≤ η_j`. Then `y` stays the strict
//! top class on the open ball of radius `min_{j ≠ y} (f̂_y − f̂_j − η_j) / L_yj`. `L_yj` is the bound of the features times `‖ŵ_y − ŵ_j‖`, or that of
//! [`super::lipsdp`] for the pair. A class whose row is the same as that of `y` has
//! `f_y − f_j = b_y − b_j` everywhere: it imposes nothing if that is positive, and the radius is 0 if it is not. The number that is printed
//! is one float below, so that the closed ball is covered.
//!
//! For a network that ends dense, softplus, dense, [`super::curvature`] gives a radius for each pair too; of the two the larger counts. Pairs are looked at by the
//! slower dual, the nearest first, until that cannot change the smallest.
//!
//! The other way round: where `f̂_j − f̂_y − η_j > 0` for some `j`, `y` is not the top class ([`Margins::is_beaten`]). Such an input within the radius of a
//! sample of class `y` cannot be.
//!
//! # Proof
//!
//! A step of length `r` lowers `f_y − f_j` by at most `L_yj r`; with `L`-Lipschitz features `φ`, `f_y − f_j = (ŵ_y − ŵ_j)·φ + const` and Cauchy–Schwarz gives
//! `L_yj = L ‖ŵ_y − ŵ_j‖`.
//! The rule `margin / √2` is what comes out where the logits are the features, and only there: it is not sound for a row-normalised head, two rows of which can
//! be `2` apart. Fewer than all rivals is not sound either.
//!
//! # Source
//!
//! Singla, Singla and Feizi, ICLR 2022; with all pairs as in the published SLL evaluation. Ties: its division 0/0 certifies them.
//!
//! # Mutation note
//!
//! `η` left out: `margin::an_error_larger_than_the_margin_gives_radius_zero` went red. The last class skipped: `margin::every_rival_counts`. Tied
//! rows skipped without a look at the bias, and the check of the margin removed: `margin::a_tie_has_radius_zero` (either alone is made up for
//! by the other). In `is_beaten`, the upper bound in the place of the lower one: `margin::a_class_is_beaten_only_beyond_the_error`; the first rival
//! only: `margin::any_rival_beats`.

use crate::error::CheckError;
use crate::rounding::curvature::AtPoint;
use crate::rounding::directed::{add_up, div_down, div_up, max, min, mul_up, sub_down, sub_up};
use crate::rounding::forward::EnclosedLogits;
use crate::rounding::interval::Interval;
use crate::rules::compose::NetworkCertificate;
use crate::rules::curvature::Curvature;
use crate::statement::Output;

/// A certified l2 radius in units of the raw input; 0 where nothing is certified.
///
/// On the closed ball of this radius the class is the strict top class of the exact network.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Radius(f64);

impl Radius {
    /// The number, rounded down.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }

    /// Whether the closed ball of radius `epsilon` is covered, for every number that `epsilon` may stand for.
    #[must_use]
    pub fn covers(self, epsilon: Interval) -> bool {
        epsilon.hi() <= self.0 && epsilon.lo() >= 0.0 && self.0 > 0.0
    }
}

/// What is known of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The top class of the computed logits; the smallest index among equals.
    pub predicted: usize,
    /// Lower bound of `min_j (f_y − f_j)` for the predicted class.
    pub margin: f64,
    /// Certified radius of the predicted class.
    pub radius: Radius,
    /// Upper bound of what the Lipschitz bounds could certify with exact logits, and at least the radius: between the two a sample is undecided.
    pub radius_limit: f64,
}

impl Judgement {
    /// Whether the predicted class is proved to be the strict top class of the exact network at the sample itself.
    #[must_use]
    pub fn decided(&self) -> bool {
        self.margin > 0.0
    }
}

/// Distances between the rows of a head and the bounds of the differences of logits, a pair at a time; they are the same for all samples.
#[derive(Debug)]
pub struct Margins<'a> {
    certificate: &'a NetworkCertificate<'a>,
    /// Empty where the logits are the features: no two rows are tied.
    bias: &'a [f64],
    distances: Vec<Interval>,
    /// Lipschitz bounds of `f_a − f_b`.
    bounds: Vec<f64>,
    classes: usize,
    curved: Option<Curved<'a>>,
}

/// The head dense, softplus, dense, and the Lipschitz bound of what enters it.
#[derive(Debug)]
struct Curved<'a> {
    rule: Curvature<'a>,
    bound: f64,
}

impl Curved<'_> {
    /// A radius in the raw input from a distance to the computed input of the head, whose error is `error`; nothing is 0.
    fn radius_down(&self, distance: f64, error: f64) -> f64 {
        let radius = div_down(sub_down(distance, error), self.bound);
        let known = radius > 0.0;
        if known { radius } else { 0.0 }
    }
}

/// The radius that one rival leaves.
struct Rival {
    class: usize,
    radius: f64,
    /// Whether the dual could still raise it.
    open: bool,
}

/// The most classes of which all pairs are kept.
const CLASSES_MOST: usize = 8192;

impl<'a> Margins<'a> {
    /// Encloses all pairwise distances of the head's rows.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if there are fewer than two classes: there is nothing to tell apart.
    /// - [`CheckError::TooLarge`] if there are more than 8192: a table of all pairs would need too much memory.
    pub fn new(certificate: &'a NetworkCertificate<'a>) -> Result<Self, CheckError> {
        let rows = certificate.head();
        let classes = rows.classes();
        let bias = certificate.map().head().map_or(&[][..], |(_, bias)| bias);
        if classes < 2 {
            return Err(CheckError::Shape {
                what: "classes",
                expected: vec![2],
                found: vec![classes],
            });
        }
        if classes > CLASSES_MOST {
            return Err(CheckError::TooLarge {
                what: "pairs of classes",
                entries: (classes as u128) * (classes as u128),
                most: (CLASSES_MOST as u128) * (CLASSES_MOST as u128),
            });
        }
        let mut distances = vec![Interval::ZERO; classes * classes];
        let mut bounds = vec![0.0; classes * classes];
        for a in 0..classes {
            for b in 0..a {
                let distance = rows.distance(a, b);
                let bound = certificate.bound_up(Output::Pair(a, b))?;
                for slot in [a * classes + b, b * classes + a] {
                    (distances[slot], bounds[slot]) = (distance, bound);
                }
            }
        }
        Ok(Self {
            certificate,
            bias,
            distances,
            bounds,
            classes,
            curved: Curvature::of(certificate.map()).map(|rule| Curved {
                rule,
                bound: certificate.product_up(certificate.layers().len() - 3),
            }),
        })
    }

    /// Judges one sample.
    ///
    /// # Errors
    ///
    /// - [`CheckError::Shape`] if the logits are not one a class.
    /// - [`CheckError::NotFinite`] if a logit or its bound is NaN or infinite: the evaluation overflowed, nothing is known.
    pub fn judge(&self, logits: &EnclosedLogits) -> Result<Judgement, CheckError> {
        self.require_finite(logits)?;
        let values = logits.values();
        let predicted = (0..self.classes).fold(0, |top, class| if values[class] > values[top] { class } else { top });
        let head = match (&self.curved, logits.before_mlp_head()) {
            (Some(curved), Some(before)) if before.error.is_finite() => {
                Some((curved, curved.rule.at(&before.values)?, before.error))
            }
            _ => None,
        };
        let (mut margin, mut radius, mut limit) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
        let mut rivals = Vec::with_capacity(self.classes);
        for rival in (0..self.classes).filter(|rival| *rival != predicted) {
            let (low, high) = self.difference(logits, predicted, rival);
            margin = min(margin, low);
            let bound = self.bounds[predicted * self.classes + rival];
            // Logits that differ by a constant: it alone decides.
            if self.certificate.head().tied(predicted, rival) || bound <= 0.0 {
                let positive = low > 0.0;
                if !positive {
                    (radius, limit) = (0.0, 0.0);
                }
                continue;
            }
            let mut rival = Rival {
                class: rival,
                radius: div_down(low, bound),
                open: false,
            };
            if let Some((curved, at, error)) = &head {
                let distance = curved.rule.fast_down(at, predicted, rival.class).unwrap_or(0.0);
                rival.radius = max(rival.radius, curved.radius_down(distance, *error));
                rival.open = true;
            }
            rivals.push(rival);
            limit = min(limit, div_up(max(high, 0.0), bound));
        }
        if let Some((curved, at, error)) = &head {
            tighten(curved, at, *error, predicted, &mut rivals);
        }
        radius = rivals.iter().fold(radius, |least, rival| min(least, rival.radius));
        let open = max(radius, 0.0);
        let closed = if open > 0.0 && margin > 0.0 { open.next_down() } else { 0.0 };
        Ok(Judgement {
            predicted,
            margin,
            radius: Radius(closed),
            radius_limit: max(limit, closed),
        })
    }

    /// Whether some other class is proved to lie above `class`: then `class` is not the top class of the exact network at this input.
    ///
    /// # Errors
    ///
    /// As [`Margins::judge`], and [`CheckError::Shape`] if there is no such class.
    pub fn is_beaten(&self, logits: &EnclosedLogits, class: usize) -> Result<bool, CheckError> {
        self.require_finite(logits)?;
        if class >= self.classes {
            return Err(CheckError::Shape {
                what: "class",
                expected: vec![self.classes],
                found: vec![class],
            });
        }
        let mut others = (0..self.classes).filter(|other| *other != class);
        Ok(others.any(|other| self.difference(logits, other, class).0 > 0.0))
    }

    /// Refuses logits of another network, and those of an evaluation that overflowed.
    fn require_finite(&self, logits: &EnclosedLogits) -> Result<(), CheckError> {
        let values = logits.values();
        if values.len() != self.classes {
            return Err(CheckError::Shape {
                what: "logits",
                expected: vec![self.classes],
                found: vec![values.len()],
            });
        }
        let odd = |class: &usize| !values[*class].is_finite() || !logits.error_up(*class).is_finite();
        match (0..self.classes).find(odd) {
            None => Ok(()),
            Some(class) => Err(CheckError::NotFinite {
                what: "logits",
                index: vec![class],
            }),
        }
    }

    /// Lower and upper bound of `f_y − f_j`; for tied rows from the biases alone.
    fn difference(&self, logits: &EnclosedLogits, y: usize, j: usize) -> (f64, f64) {
        if self.certificate.head().tied(y, j) {
            let exact = Interval::point(self.bias[y]).sub(Interval::point(self.bias[j]));
            return (exact.lo(), exact.hi());
        }
        let (a, b) = (logits.values()[y], logits.values()[j]);
        let distance = self.distances[y * self.classes + j].hi();
        let carried = mul_up(distance, logits.feature_error_up());
        let error = add_up(carried, add_up(logits.local_error_up(y), logits.local_error_up(j)));
        (sub_down(sub_down(a, b), error), add_up(sub_up(a, b), error))
    }
}

/// Raises the smallest radius by the dual until the dual has looked at it.
fn tighten(curved: &Curved<'_>, at: &AtPoint, error: f64, predicted: usize, rivals: &mut [Rival]) {
    loop {
        let nearest = rivals
            .iter_mut()
            .reduce(|nearest, rival| if rival.radius < nearest.radius { rival } else { nearest });
        let Some(rival) = nearest.filter(|rival| rival.open) else {
            return;
        };
        let distance = curved.rule.tight_down(at, predicted, rival.class).unwrap_or(0.0);
        rival.radius = max(rival.radius, curved.radius_down(distance, error));
        rival.open = false;
    }
}
