//! A run of `lipcert certify`, of one network or several.

use std::fmt;

use serde::Serialize;

use super::certified::Certified;
use super::common::Verdict;
use super::several::CertifiedModels;

/// A run of `certify`: one network, or several. A file of either form is read by [`Run::read`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Run {
    /// One network.
    One(Box<Certified>),
    /// Several networks.
    Many(Box<CertifiedModels>),
}

impl Run {
    /// The networks of the run, a row each.
    #[must_use]
    pub fn models(&self) -> &[Certified] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => &many.models,
        }
    }

    /// The weakest verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::One(one) => one.verdict,
            Self::Many(many) => many.verdict,
        }
    }

    /// The verdict and the numbers that a reader came for, on one line.
    #[must_use]
    pub fn headline(&self) -> String {
        match self {
            Self::One(one) => one.headline(),
            Self::Many(many) => many.headline(),
        }
    }

    /// What the run takes on trust.
    #[must_use]
    pub fn assumptions(&self) -> &[String] {
        match self {
            Self::One(one) => &one.assumptions,
            Self::Many(many) => &many.assumptions,
        }
    }

    /// The command that made the run.
    #[must_use]
    pub fn command(&self) -> &str {
        match self {
            Self::One(one) => &one.command,
            Self::Many(many) => &many.command,
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => one.fmt(f),
            Self::Many(many) => many.fmt(f),
        }
    }
}
