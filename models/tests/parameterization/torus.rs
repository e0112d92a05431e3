//! What the tests of convolutions on a torus share.

use lipcert_models::parameterization::Parameterization;
use lipcert_proofs::certificate::{LayerCertificate, Prepared};
use lipcert_proofs::statement::{Kernel, Layer, Shape};
use proptest::prelude::*;

use crate::common::accepted;
use crate::convolutions::{kernel, linear_part};

/// Kernels `(out, in, k, k)` with the side of an image that is at least `k`, even and odd.
pub(crate) fn kernels() -> impl Strategy<Value = (Kernel, usize)> {
    (1usize..4, 1usize..4, 0usize..2, 0usize..3).prop_flat_map(|(out, channels, half, more)| {
        let size = 2 * half + 1;
        let data = prop::collection::vec(-2.0..2.0f64, out * channels * size * size);
        data.prop_map(move |data| (kernel(out, channels, size, data), size + more))
    })
}

/// Realizes a family and checks its claim, which must not hold for a larger kernel nor prove less; returns the bound and the singular values.
pub(crate) fn checked<P: Parameterization>(family: &P, input: Shape) -> (f64, Vec<f64>) {
    let (realization, bound) = accepted(family, input);
    let singular = linear_part(&realization.layers, input).singular_values();
    assert!(singular.max() <= bound * (1.0 + 1e-12), "{} {bound}", singular.max());
    let claim = &realization.claims[0];
    let Layer::Convolution { kernel, bias, padding } = &realization.layers[0] else {
        panic!("no convolution");
    };
    let data = kernel.data().iter().map(|value| value * 1.01).collect();
    let larger = Layer::Convolution {
        kernel: Kernel::new("kernel", kernel.inner(), kernel.channels(), kernel.size(), data).unwrap(),
        bias: bias.clone(),
        padding: *padding,
    };
    assert!(LayerCertificate::check(&Prepared::new(&larger, input).unwrap(), claim.clone()).is_err());
    let mut less = claim.clone();
    less.lipschitz *= 1.0 - 1e-12;
    assert!(LayerCertificate::check(&Prepared::new(&realization.layers[0], input).unwrap(), less).is_err());
    (bound, singular.iter().copied().collect())
}
