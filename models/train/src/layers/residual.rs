//! The residual layers `x − 2 Aᵀ T⁻¹ relu(A x + b)`, dense and convolutional, with `T` from the weights.
//!
//! `T` costs far more than a pass through the layer, so it is computed once a step. Of a dense layer it is computed from the Gram matrix
//! `G = A Aᵀ`, of which only one half is multiplied out, and its gradient is taken in closed form: with `t = 1/T`, `T_i = Σ_j |G_ij| e^{q_j − q_i}` and the
//! gradient `g` of `t`, the gradient of `G` is `S_ij = −g_i t_i² e^{q_j − q_i} sign G_ij`, and that of `A` is `(S + Sᵀ) A`: one product, where
//! the product rule applied to `A Aᵀ` takes two.
//!
//! # Source
//!
//! Araujo et al., *A Unified Algebraic Perspective on Lipschitz Neural Networks*, ICLR 2023, and its code. The gradient is ours.

use lipcert_models::architecture::ScaleKind;
use lipcert_proofs::statement::Shape;
use tch::{Kind, Tensor, no_grad};

use super::Layer;
use crate::derived::Derived;
use crate::parameters::{Parameters, sizes};

/// Rows of a block of the Gram matrix; below it, the whole is multiplied out.
const BLOCK: i64 = 512;

/// `1/x`, and 0 where `x` is 0.
fn inverse(sums: &Tensor) -> Tensor {
    let zero = sums.eq(0.0);
    let one = sums.ones_like();
    sums.where_self(&zero.logical_not(), &one).reciprocal() * zero.logical_not().to_kind(sums.kind())
}

/// `A Aᵀ`, its upper half copied from the lower.
fn gram(weight: &Tensor) -> Tensor {
    let rows = weight.size()[0];
    if rows <= BLOCK {
        return weight.mm(&weight.tr());
    }
    let result = Tensor::empty([rows, rows], (weight.kind(), weight.device()));
    let blocks = (rows + BLOCK - 1) / BLOCK;
    let range = |block: i64| (block * BLOCK, BLOCK.min(rows - block * BLOCK));
    for row in 0..blocks {
        let (start, length) = range(row);
        // the rows of a block, up to the diagonal
        let product = weight.narrow(0, start, length).mm(&weight.narrow(0, 0, start + length).tr());
        result.narrow(0, start, length).narrow(1, 0, start + length).copy_(&product);
        if start > 0 {
            let mirrored = product.narrow(1, 0, start).tr();
            result.narrow(0, 0, start).narrow(1, start, length).copy_(&mirrored);
        }
    }
    result
}

/// What `T` is made of, kept until the gradient is taken.
#[derive(Debug)]
struct Sums {
    gram: Tensor,
    /// `(e^{−q}, e^{q})`, or nothing where `q` cancels.
    powers: Option<(Tensor, Tensor)>,
    /// `t = 1/T`, with a gradient of its own.
    factor: Tensor,
}

impl Sums {
    fn new(weight: &Tensor, q: Option<&Tensor>, learning: bool) -> Self {
        no_grad(|| {
            let gram = gram(&weight.detach());
            let magnitudes = gram.abs();
            let (powers, sums) = match q {
                Some(q) => {
                    let (down, up) = ((-q).exp(), q.exp());
                    let sums = magnitudes.mv(&up) * &down;
                    (Some((down, up)), sums)
                }
                None => (None, magnitudes.sum_dim_intlist([1].as_slice(), false, None::<Kind>)),
            };
            let factor = inverse(&sums).set_requires_grad(learning);
            Self { gram, powers, factor }
        })
    }

    /// Adds the gradients of the weight and of `q`.
    fn pull(self, weight: &Tensor, q: Option<&Tensor>) {
        let gradient = self.factor.grad();
        if !gradient.defined() {
            return;
        }
        no_grad(|| {
            // by T: −g t²
            let by_sum = -(gradient * &self.factor * &self.factor);
            let signs = self.gram.sign();
            let (left, right) = match &self.powers {
                Some((down, up)) => (by_sum.shallow_clone() * down, up.shallow_clone()),
                None => (by_sum.shallow_clone(), by_sum.ones_like()),
            };
            if let (Some(q), Some((_, up))) = (q.filter(|q| q.requires_grad()), &self.powers) {
                // Σ_i S_ik |G_ik| / sign − T_k by_sum_k: what raises q_k raises column k and lowers row k
                let magnitudes = self.gram.abs();
                let column = magnitudes.tr().mv(&left) * up;
                let row = &left * magnitudes.mv(up);
                accumulate(q, &(column - row));
            }
            if weight.requires_grad() {
                let mut symmetric = left.outer(&right);
                symmetric += right.outer(&left);
                symmetric *= signs;
                accumulate(weight, &symmetric.mm(&weight.detach()));
            }
        });
    }
}

/// Adds to the gradient of a parameter.
fn accumulate(parameter: &Tensor, gradient: &Tensor) {
    let mut present = parameter.grad();
    if present.defined() {
        let _ = present.g_add_(gradient);
    } else {
        // a first gradient is put there by a pass through the product with it
        tch::with_grad(|| (parameter * gradient).sum(None::<Kind>).backward());
    }
}

/// A dense residual layer.
#[derive(Debug)]
pub(crate) struct Dense {
    weight: Tensor,
    bias: Tensor,
    q: Option<Tensor>,
    sums: Option<Sums>,
}

impl Dense {
    pub(crate) fn new(parameters: &Parameters, name: &str, scale: ScaleKind) -> Option<Self> {
        let q = match scale {
            ScaleKind::Weighted => Some(parameters.get(name, "q")),
            ScaleKind::RowSum => None,
            ScaleKind::Stored | ScaleKind::Norm | ScaleKind::Frobenius => return None,
        };
        Some(Self {
            weight: parameters.get(name, "weight"),
            bias: parameters.get(name, "bias"),
            q,
            sums: None,
        })
    }
}

impl Layer for Dense {
    fn derive(&mut self) {
        let learning = self.weight.requires_grad() || self.q.as_ref().is_some_and(Tensor::requires_grad);
        self.sums = Some(Sums::new(&self.weight, self.q.as_ref(), learning));
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let factor = &self.sums.as_ref().expect("derived before a pass").factor;
        let inner = input.linear(&self.weight, Some(&self.bias)).relu() * factor;
        input - inner.mm(&self.weight) * 2.0
    }

    fn pull(&mut self) {
        self.sums
            .take()
            .expect("derived before a pass")
            .pull(&self.weight, self.q.as_ref());
    }
}

/// A convolutional residual layer with zero padding.
#[derive(Debug)]
pub(crate) struct Conv {
    kernel: Tensor,
    bias: Tensor,
    q: Option<Tensor>,
    side: i64,
    factor: Option<Derived>,
}

impl Conv {
    pub(crate) fn new(parameters: &Parameters, name: &str, scale: ScaleKind, size: usize, _input: Shape) -> Option<Self> {
        let q = match scale {
            ScaleKind::Weighted => Some(parameters.get(name, "q")),
            ScaleKind::RowSum => None,
            ScaleKind::Stored | ScaleKind::Norm | ScaleKind::Frobenius => return None,
        };
        Some(Self {
            kernel: parameters.get(name, "kernel"),
            bias: parameters.get(name, "bias"),
            q,
            side: sizes(&[size])[0],
            factor: None,
        })
    }
}

impl Layer for Conv {
    fn derive(&mut self) {
        // the kernel correlated with itself at every shift, `(inner, inner, 2k − 1, 2k − 1)`
        let reach = self.side - 1;
        let pairs = self.kernel.conv2d(
            &self.kernel,
            None::<Tensor>,
            [1, 1].as_slice(),
            [reach, reach].as_slice(),
            [1, 1].as_slice(),
            1,
        );
        let magnitudes = pairs.abs().sum_dim_intlist([2, 3].as_slice(), false, None::<Kind>);
        let sums = match &self.q {
            Some(q) => magnitudes.mv(&q.exp()) * (-q).exp(),
            None => magnitudes.sum_dim_intlist([1].as_slice(), false, None::<Kind>),
        };
        self.factor = Some(Derived::new(inverse(&sums)));
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let factor = self.factor.as_ref().expect("derived before a pass").get().view([1, -1, 1, 1]);
        let pad = [self.side / 2, self.side / 2];
        let inner = input.conv2d(
            &self.kernel,
            Some(&self.bias),
            [1, 1].as_slice(),
            pad.as_slice(),
            [1, 1].as_slice(),
            1,
        );
        let scaled = inner.relu() * (factor * 2.0);
        let back = scaled.conv_transpose2d(
            &self.kernel,
            None::<Tensor>,
            [1, 1].as_slice(),
            pad.as_slice(),
            [0, 0].as_slice(),
            1,
            [1, 1].as_slice(),
        );
        input - back
    }

    fn pull(&mut self) {
        self.factor.take().expect("derived before a pass").pull();
    }
}
