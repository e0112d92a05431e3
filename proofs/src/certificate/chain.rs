//! A run of layers up to one output, by multipliers.

use serde::{Deserialize, Serialize};

use crate::error::CheckError;
use crate::rules;
use crate::statement::{Chain, NetworkMap, Output};

/// A claimed Lipschitz bound of a run of layers up to one output, with its evidence. Untrusted.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainClaim {
    /// Which output.
    pub output: Output,
    /// The bound of the run, from the input of its first dense layer.
    pub lipschitz: f64,
    /// The diagonals `Λ_1, …, Λ_h` for `ρ = lipschitz²`, one vector a hidden layer.
    pub multipliers: Vec<Vec<f64>>,
    /// Vectors that bound the optimum of the relaxation from below; not needed for the bound.
    pub dual: Option<DualVectors>,
}

/// Vectors for [`rules::lipsdp::dual_down`]. Untrusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DualVectors {
    /// Length of each vector.
    pub rank: usize,
    /// `X_0, …, X_h`, each `(n_i, rank)` row-major.
    pub blocks: Vec<Vec<f64>>,
}

/// A checked Lipschitz bound of a run of layers.
#[derive(Clone, Debug)]
pub struct ChainCertificate<'a> {
    map: &'a NetworkMap,
    first: usize,
    dual_down: f64,
    claim: ChainClaim,
}

impl<'a> ChainCertificate<'a> {
    /// Checks `claim` by [`rules::lipsdp`] for the run of layers of `map` that ends in its head.
    ///
    /// # Errors
    ///
    /// The first failure found; see [`CheckError`].
    pub fn check(map: &'a NetworkMap, claim: ChainClaim) -> Result<Self, CheckError> {
        let chain = Chain::of(map, claim.output)?;
        rules::lipsdp::check(&chain, &claim.multipliers, claim.lipschitz)?;
        let dual_down = match &claim.dual {
            Some(vectors) => rules::lipsdp::dual_down(&chain, vectors.rank, &vectors.blocks)?,
            None => 0.0,
        };
        Ok(Self {
            map,
            first: chain.first(),
            dual_down,
            claim,
        })
    }

    /// The network.
    #[must_use]
    pub const fn map(&self) -> &'a NetworkMap {
        self.map
    }

    /// Index of the first layer of the run.
    #[must_use]
    pub const fn first(&self) -> usize {
        self.first
    }

    /// Which output of the network.
    #[must_use]
    pub const fn output(&self) -> Output {
        self.claim.output
    }

    /// Proved upper bound of the Lipschitz constant of the run.
    #[must_use]
    pub const fn lipschitz(&self) -> f64 {
        self.claim.lipschitz
    }

    /// Proved lower bound of what any multipliers could prove for the run; 0 where there is none.
    #[must_use]
    pub const fn dual_down(&self) -> f64 {
        self.dual_down
    }

    /// The evidence.
    #[must_use]
    pub const fn claim(&self) -> &ChainClaim {
        &self.claim
    }
}
