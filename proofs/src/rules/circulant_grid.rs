//! Rule `circulant-grid`: `K Kᵀ ⪯ λ diag(T)` for a zero-padded convolution, frequency by frequency.
//!
//! # Statement
//!
//! Let `S(ω) = K̂(ω) K̂(ω)*` be the symbol of a `k × k` kernel and `S(ω) ⪯ μ diag(T)` on the grid `ω ∈ (2π/N) ℤ²`.
//!
//! - *stated image*: if `N ≥ max(height, width) + (k − 1)/2`, then `K Kᵀ ⪯ μ diag(T)` for the zero-padded convolution on that image.
//! - *any image*: if `N > 2(k − 1)`, then `K Kᵀ ⪯ μ / cos(π(k − 1)/(2N))⁴ · diag(T)` for every image.
//!
//! A grid alone, or a circular norm at the size of the image itself, proves nothing: both are refused.
//!
//! # Proof
//!
//! *Stated*: embed the image in an `N × N` torus. With `N ≥ n + (k − 1)/2` an output pixel of the image reads only image pixels and zeros, so
//! the zero-padded operator is a compression of the circulant one, whose Gram matrix is block-diagonalised by the Fourier transform
//! into the `S(ω)` of the grid. `T` is constant a channel and commutes with the compression.
//! *Any*: for a fixed vector `v`, `p(ω) = v* S(ω) v` is a non-negative trigonometric polynomial of degree `d = k − 1` an axis. With `P` its supremum
//! along one axis, `|p − P/2| ≤ P/2`, so `p(θ) ≥ P/2 + (P/2) cos(d(θ − θ₀))` near the maximiser `θ₀` (M. Riesz); a grid point lies within `π/N`,
//! hence `max_grid p ≥ P cos²(πd/(2N))`. Once for each axis.
//!
//! # Source
//!
//! Riesz, *Jahresbericht DMV* 23 (1914), as in Pfister and Bresler, *Bounding multivariate trigonometric polynomials*, IEEE TSP 67 (2019), for
//! non-negative polynomials. Compression: Araujo et al., *On Lipschitz regularization of convolutional layers*, AAAI 2021.
//!
//! # Mutation note
//!
//! The least grid lowered to the image size: `circulant_grid::the_circular_trap` went red. The price between grid points left out:
//! `circulant_grid::a_coarse_grid_is_charged_for_the_gaps`.

use serde::{Deserialize, Serialize};

use crate::error::CheckError;
use crate::rounding::directed::mul_down;
use crate::rounding::gram::Gram;
use crate::rounding::spectral::{between_grid_points_down, prove_on_grid};
use crate::statement::Shape;

/// The largest grid that is checked; larger ones only cost time.
pub const GRID_MOST: usize = 1024;

/// How many times finer than the least grid a witness may ask for; finer proves no more about a stated image.
const FINER_MOST: usize = 4;

/// For which images a spectral bound of a convolution speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSize {
    /// The image size that the network states.
    Stated,
    /// Every image size.
    Any,
}

/// The smallest grid that proves something about an image of shape `input` under a kernel with `span = 2k − 1`.
#[must_use]
pub fn least_grid(span: usize, input: Shape, image: ImageSize) -> usize {
    let degree = (span - 1) / 2;
    let least = match (image, input) {
        (ImageSize::Stated, Shape::Image { height, width, .. }) => height.max(width) + degree / 2,
        (ImageSize::Stated, Shape::Flat(n)) => n + degree,
        (ImageSize::Any, _) => 2 * degree + 1,
    };
    least.max(4).next_power_of_two()
}

/// Checks the rule for every `T ≥ scale_down` on the active channels.
///
/// # Errors
///
/// - [`CheckError::Grid`] if the grid is not a power of two, too coarse, or absurdly fine.
/// - [`CheckError::NotSemidefinite`] at the first frequency that fails.
pub fn check(
    gram: &Gram,
    input: Shape,
    scale_down: &[f64],
    active: &[bool],
    grid: usize,
    image: ImageSize,
    lambda: f64,
) -> Result<(), CheckError> {
    let least = least_grid(gram.span(), input, image);
    let most = GRID_MOST.min(least.saturating_mul(FINER_MOST));
    if !(grid.is_power_of_two() && (least..=most).contains(&grid)) {
        return Err(CheckError::Grid { grid, least, most });
    }
    let on_grid = match image {
        ImageSize::Stated => lambda,
        ImageSize::Any => mul_down(lambda, between_grid_points_down(grid, (gram.span() - 1) / 2)),
    };
    prove_on_grid(gram, scale_down, active, (grid, grid), on_grid)
}
