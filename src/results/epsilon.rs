//! A perturbation size as a person types it.

use std::str::FromStr;

use lipcert_proofs::statement::Decimal;

/// A perturbation size `ε ≥ 0`, ℓ2, in units of the raw input.
#[derive(Clone, Debug, PartialEq)]
pub struct Epsilon {
    text: String,
    radius: f64,
    below: f64,
}

/// Why a text is no perturbation size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a perturbation size: write `36/255`, `0.5` or `1`")]
pub struct EpsilonError {
    /// The text.
    pub text: String,
}

impl Epsilon {
    /// The size as it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The smallest float64 that is known not to lie below the size: a sample with this certified radius is certified at `ε`.
    #[must_use]
    pub const fn radius(&self) -> f64 {
        self.radius
    }
}

impl Epsilon {
    /// The largest float64 that is known not to lie above the size: an input at this distance lies within `ε`.
    #[must_use]
    pub const fn below(&self) -> f64 {
        self.below
    }
}

impl FromStr for Epsilon {
    type Err = EpsilonError;

    /// Reads a decimal number or a quotient of two, not negative.
    fn from_str(text: &str) -> Result<Self, EpsilonError> {
        let error = || EpsilonError {
            text: text.chars().take(40).collect(),
        };
        let (above, below) = text.split_once('/').unwrap_or((text, "1"));
        let above: Decimal = above.parse().map_err(|_| error())?;
        let below: Decimal = below.parse().map_err(|_| error())?;
        if text.starts_with('-') || !below.is_positive() {
            return Err(error());
        }
        let size = above.enclosure().div(below.enclosure());
        if !size.hi().is_finite() {
            return Err(error());
        }
        Ok(Self {
            text: text.to_owned(),
            radius: size.hi(),
            below: size.lo().max(0.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up() {
        for (text, nearest) in [("36/255", 36.0 / 255.0), ("0.1", 0.1), ("0.5/255", 0.5 / 255.0)] {
            let radius = text.parse::<Epsilon>().unwrap().radius();
            assert!(
                (nearest..=nearest * (1.0 + 4.0 * f64::EPSILON)).contains(&radius),
                "{text}: {radius}"
            );
            let below = text.parse::<Epsilon>().unwrap().below();
            assert!(
                (nearest * (1.0 - 4.0 * f64::EPSILON)..=nearest).contains(&below),
                "{text}: {below}"
            );
        }
        for (text, exact) in [("1", 1.0), ("255/255", 1.0), ("0.5", 0.5), ("0", 0.0), ("3/2", 1.5)] {
            assert!(text.parse::<Epsilon>().unwrap().radius() <= exact, "{text}");
            assert!(text.parse::<Epsilon>().unwrap().radius() >= exact, "{text}");
            assert!(text.parse::<Epsilon>().unwrap().below() >= exact, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "-1", "-0", "1/0", "1/-2", "nan", "inf", "1e-3", "1/2/3", "36 / 255", "/3"] {
            assert!(text.parse::<Epsilon>().is_err(), "{text}");
        }
    }
}
