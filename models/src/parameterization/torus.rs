//! Convolutions given frequency by frequency on the torus of a square image: from a kernel to its symbols and back.
//!
//! # Source
//!
//! Trockman and Kolter, *Orthogonalizing Convolutional Layers with the Cayley Transform*, ICLR 2021, section 4: their shift `e^{−2πi s (r + c) / n}` is the
//! offset of the centre of the kernel here.

use std::f64::consts::TAU;

use faer::{Mat, MatRef, c64};
use lipcert_proofs::CheckError;
use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerClaim, Prepared, Witness};
use lipcert_proofs::rules::operator_norm;
use lipcert_proofs::statement::{Kernel, Layer, Padding, Shape};

use super::Realization;

/// How far above an approximate eigenvalue a proof is tried, one after the other, relative to it.
const MARGINS: [f64; 5] = [1e-12, 1e-9, 1e-6, 1e-4, 1e-2];

/// The matrices `(out, in)` of a circular convolution on `side × side` pixels, row by row of frequencies.
pub(super) struct Symbols {
    /// Pixels an axis.
    pub(super) side: usize,
    /// `side²` matrices.
    pub(super) matrices: Vec<Mat<c64>>,
}

impl Symbols {
    /// The symbols `Σ_{a, b} K(a, b) e^{2πi ((a − c) u + (b − c) v) / n}` of a kernel with the centre `c = (k − 1) / 2`.
    ///
    /// # Errors
    ///
    /// [`CheckError::Shape`] if the input is not a square image, or smaller than the kernel.
    pub(super) fn of(kernel: &Kernel, input: Shape) -> Result<Self, CheckError> {
        let (size, channels) = (kernel.size(), kernel.channels());
        let side = match input {
            Shape::Image { height, width, .. } if height == width && height >= size => height,
            Shape::Image { height, width, .. } => return Err(misfit(size.max(height), &[height, width])),
            Shape::Flat(length) => return Err(misfit(size, &[length])),
        };
        let (waves, centre) = (waves(side), size / 2);
        let symbol = |flat: usize| {
            Mat::from_fn(kernel.inner(), channels, |out, channel| {
                let taps = &kernel.filter(out)[channel * size * size..(channel + 1) * size * size];
                let terms = taps.iter().enumerate().map(|(tap, value)| {
                    let (down, right) = (side + tap / size - centre, side + tap % size - centre);
                    waves[(down * (flat / side) + right * (flat % side)) % side] * *value
                });
                terms.sum::<c64>()
            })
        };
        let matrices = (0..side * side).map(symbol).collect();
        Ok(Self { side, matrices })
    }

    /// The symbols with another matrix at each frequency.
    pub(super) fn map(&self, function: impl FnMut(&Mat<c64>) -> Mat<c64>) -> Self {
        Self {
            side: self.side,
            matrices: self.matrices.iter().map(function).collect(),
        }
    }

    /// The kernel of these symbols, of the least odd side that reaches every offset; where two taps meet on the torus, the first is 0.
    ///
    /// The symbols are those of a real kernel: imaginary parts are dropped.
    ///
    /// # Errors
    ///
    /// [`CheckError::NotFinite`] if a symbol is not finite.
    pub(super) fn kernel(&self) -> Result<Kernel, CheckError> {
        let (side, reach) = (self.side, self.side / 2);
        let size = 2 * reach + 1;
        let (out, channels) = (self.matrices[0].nrows(), self.matrices[0].ncols());
        let waves = waves(side);
        let entry = |flat: usize| {
            let (row, col) = (flat / size % size, flat % size);
            if size > side && (row == 0 || col == 0) {
                return 0.0;
            }
            let (pair, down, right) = (flat / (size * size), row + side - reach, col + side - reach);
            let terms = self.matrices.iter().enumerate().map(|(frequency, matrix)| {
                let wave = waves[(down * (frequency / side) + right * (frequency % side)) % side];
                (matrix[(pair / channels, pair % channels)] * wave.conj()).re
            });
            terms.sum::<f64>() / (side * side) as f64
        };
        let data = (0..out * channels * size * size).map(entry).collect();
        Kernel::new("kernel", out, channels, size, data)
    }

    /// The circular convolution with the kernel of these symbols, with the claim that its spectrum gives.
    ///
    /// # Errors
    ///
    /// The errors of [`Symbols::kernel`] and of the layer; [`CheckError::NotSemidefinite`] if no bound could be proved.
    pub(super) fn realize(&self, bias: &[f64], input: Shape) -> Result<Realization, CheckError> {
        let layer = Layer::Convolution {
            kernel: self.kernel()?,
            bias: bias.to_vec(),
            padding: Padding::Circular,
        };
        let claim = claim(&Prepared::new(&layer, input)?, self.approx_squared_norm())?;
        Ok(Realization::of(layer, claim))
    }

    /// Approximation of the largest eigenvalue of `S S*` at all frequencies; NaN where a decomposition fails.
    fn approx_squared_norm(&self) -> f64 {
        let largest = |matrix: &Mat<c64>| matrix.singular_values().map_or(f64::NAN, |values| values[0]);
        self.matrices.iter().map(largest).fold(0.0, f64::max).powi(2)
    }
}

/// The first claim a little above the hint that the check accepts.
fn claim(prepared: &Prepared<'_>, hint: f64) -> Result<LayerClaim, CheckError> {
    let mut last = CheckError::NotSemidefinite {
        shift: hint,
        residual: f64::NAN,
    };
    for margin in MARGINS {
        let inside = GramClaim {
            lambda: hint * (1.0 + margin) + f64::MIN_POSITIVE,
            witness: GramWitness::CircularSpectrum {},
        };
        match prepared.check_gram(&inside) {
            Ok(()) => {
                return Ok(LayerClaim {
                    lipschitz: operator_norm::bound_up(inside.lambda, 0.0),
                    witness: Witness::OperatorNorm { inside },
                });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `e^{2πi t / n}` for `0 ≤ t < n`.
fn waves(side: usize) -> Vec<c64> {
    (0..side).map(|t| c64::cis(TAU * t as f64 / side as f64)).collect()
}

/// The conjugate transpose.
pub(super) fn adjoint(matrix: MatRef<'_, c64>) -> Mat<c64> {
    Mat::from_fn(matrix.ncols(), matrix.nrows(), |row, col| matrix[(col, row)].conj())
}

fn misfit(least: usize, found: &[usize]) -> CheckError {
    CheckError::Shape {
        what: "square image",
        expected: vec![least, least],
        found: found.to_vec(),
    }
}
