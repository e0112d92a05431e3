//! Row sums of Gram matrices, for the layers whose scale they are.
//!
//! The Gram matrix `G = A Aᵀ` costs far more than a pass through the layer. Only one half of it is multiplied out, and the gradient is taken in closed form: with
//! `T_i = Σ_j |G_ij| e^{q_j − q_i} + ε`, `t = 1/T` and the gradient `g` of `t`, the gradient of `G` is `S_ij = −g_i t_i² e^{q_j − q_i} sign G_ij`, and that of `A`
//! is `(S + Sᵀ) A`: one product, where the product rule applied to `A Aᵀ` takes two.

use tch::{Kind, Tensor, no_grad};

use super::learning;

/// Rows of a block of the Gram matrix; below it, the whole is multiplied out.
const BLOCK: i64 = 512;

/// `1/x`, and 0 where `x` is 0.
pub(super) fn inverse(sums: &Tensor) -> Tensor {
    let zero = sums.eq(0.0);
    let one = sums.ones_like();
    sums.where_self(&zero.logical_not(), &one).reciprocal() * zero.logical_not().to_kind(sums.kind())
}

/// `√x`, with the gradient 0 where `x` is 0.
pub(super) fn root(squares: &Tensor) -> Tensor {
    let zero = squares.eq(0.0).to_kind(squares.kind());
    (squares + &zero).sqrt() - zero
}

/// `Σ_shifts |R_ij|` of the rows `i`, `j` of a kernel `(rows, columns, k, k)`, with `R` their correlations on the infinite lattice.
pub(super) fn correlations(kernel: &Tensor) -> Tensor {
    let reach = kernel.size()[2] - 1;
    // the kernel correlated with itself at every shift, `(rows, rows, 2k − 1, 2k − 1)`
    let pairs = kernel.conv2d(
        kernel,
        None::<Tensor>,
        [1, 1].as_slice(),
        [reach, reach].as_slice(),
        [1, 1].as_slice(),
        1,
    );
    pairs.abs().sum_dim_intlist([2, 3].as_slice(), false, None::<Kind>)
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
pub(super) struct Sums {
    gram: Tensor,
    /// `(e^{−q}, e^{q})`, or nothing where `q` cancels.
    powers: Option<(Tensor, Tensor)>,
    /// `t = 1/T`, with a gradient of its own.
    factor: Tensor,
    /// Whether `A` is the transposed weight.
    columns: bool,
}

impl Sums {
    /// Sums over the rows of a weight.
    pub(super) fn of_rows(weight: &Tensor, q: Option<&Tensor>) -> Self {
        let learns = learning(weight) || q.is_some_and(learning);
        no_grad(|| Self::new(&weight.detach(), q, 0.0, learns, false))
    }

    /// Sums over the columns of a weight, and `ε`.
    pub(super) fn of_columns(weight: &Tensor, epsilon: f64) -> Self {
        let learns = learning(weight);
        no_grad(|| Self::new(&weight.detach().tr(), None, epsilon, learns, true))
    }

    fn new(weight: &Tensor, q: Option<&Tensor>, epsilon: f64, learns: bool, columns: bool) -> Self {
        let gram = gram(weight);
        let magnitudes = gram.abs();
        let (powers, mut sums) = match q {
            Some(q) => {
                let (down, up) = ((-q).exp(), q.exp());
                let sums = magnitudes.mv(&up) * &down;
                (Some((down, up)), sums)
            }
            None => (None, magnitudes.sum_dim_intlist([1].as_slice(), false, None::<Kind>)),
        };
        sums += epsilon;
        Self {
            gram,
            powers,
            factor: inverse(&sums).set_requires_grad(learns),
            columns,
        }
    }

    /// `1/T`.
    pub(super) const fn factor(&self) -> &Tensor {
        &self.factor
    }

    /// Adds the gradients of the weight and of `q`.
    pub(super) fn pull(self, weight: &Tensor, q: Option<&Tensor>) {
        if !self.factor.requires_grad() {
            return;
        }
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
                // what raises q_k raises column k and lowers row k
                let magnitudes = self.gram.abs();
                let column = magnitudes.tr().mv(&left) * up;
                let row = &left * magnitudes.mv(up);
                accumulate(q, &(column - row));
            }
            if weight.requires_grad() {
                let mut symmetric = left.outer(&right);
                symmetric += right.outer(&left);
                symmetric *= signs;
                let weight_now = weight.detach();
                let product = if self.columns {
                    weight_now.mm(&symmetric)
                } else {
                    symmetric.mm(&weight_now)
                };
                accumulate(weight, &product);
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
