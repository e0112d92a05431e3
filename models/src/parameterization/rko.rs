//! Reshaped kernel orthogonalization (RKO): the kernel as a matrix `(out, in k k)` is made orthogonal and divided by `k`.
//!
//! # Source
//!
//! Serrurier et al., *Achieving Robustness in Classification Using Optimal Transport with Hinge Regularization*, CVPR 2021, appendix on convolutions, and the
//! code of deel-lip, whose coefficient for stride 1 is `1 / k`.

use lipcert_proofs::CheckError;
use lipcert_proofs::statement::{Kernel, Layer, Padding, Shape};
use ndarray::Array2;

use super::bcop::orthogonalized;
use super::conv_norm::by_norm;
use super::{Family, Parameterization, Realization, Standing};

/// A convolution with the kernel `polar(P) / k`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `P`, `(out, in, k, k)`.
    pub raw: Kernel,
    /// `(out,)`.
    pub bias: Vec<f64>,
    /// What lies outside the image.
    pub padding: Padding,
}

impl Parameterization for Conv {
    const FAMILY: Family = Family {
        name: "rko",
        map: "K ∗ x + b, K = polar(P) / k",
        rule: "operator-norm",
        source: "Serrurier et al., CVPR 2021; deel-lip",
        standing: Standing::Conditional("the kernel is the one computed here in float64 from the free parameters"),
    };

    fn realize(&self, input: Shape) -> Result<Realization, CheckError> {
        let (out, channels, size) = (self.raw.inner(), self.raw.channels(), self.raw.size());
        let columns = channels * size * size;
        let matrix = Array2::from_shape_fn((out, columns), |(row, col)| self.raw.filter(row)[col]);
        let data = orthogonalized(&matrix) / size as f64;
        let layer = Layer::Convolution {
            kernel: Kernel::new("kernel", out, channels, size, data.into_iter().collect())?,
            bias: self.bias.clone(),
            padding: self.padding,
        };
        by_norm(layer, input)
    }
}
