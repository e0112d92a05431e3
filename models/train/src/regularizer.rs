//! What is added to the loss. Every function returns a tensor without dimensions that can be differentiated; the caller weighs it.

use tch::{Kind, Tensor};

/// Distances below this count as this.
const LEAST_DISTANCE: f64 = 1e-12;

/// Minus the mean over the samples of `max(0, r)`, with the radius `r = min_{j ≠ y} (f_y − f_j) / (gain · d_{yj})`.
///
/// `logits` `(N, C)`, `labels` `(N)` of int64; `distances` `(C, C)` and `gain` as for [`Criterion::value`](crate::loss::Criterion::value). It is the certificate
/// regularisation of Singla, Singla and Feizi, "Improved deterministic l2 robustness on CIFAR-10 and CIFAR-100" (2022), with the distances of the head.
pub fn certificate(logits: &Tensor, labels: &Tensor, distances: &Tensor, gain: f64) -> Tensor {
    let lead = logits.gather(1, &labels.unsqueeze(1), false) - logits;
    let reach = (distances.index_select(0, labels) * gain).clamp_min(LEAST_DISTANCE);
    let own = labels.one_hot(logits.size()[1]).to_kind(Kind::Bool);
    let radius = (lead / reach).masked_fill(&own, f64::INFINITY).amin([1], false);
    -radius.relu().mean(None::<Kind>)
}

/// The mean, over the ordered pairs `y ≠ t` of classes, of the bound on the curvature of `f_y − f_t` for `f(z) = W₂ s(W₁ z + b₁) + b₂`:
/// `(β / 4) · λmax(W₁ᵀ diag(max(0, w)) W₁)` with `w` the difference of the rows `y` and `t` of `W₂` and `s` a softplus of sharpness `β`, whose second
/// derivative is at most `β / 4`.
///
/// That is the upper bound; the lower one of a pair is the upper one of the turned pair. `first` is `W₁` `(H, D)`, `second` is `W₂` `(C, H)` with `C ≥ 2`. The
/// eigenvectors come from `iterations` rounds of the power method and are constants for the gradient: the value is no bound, but training needs none. Source:
/// Singla and Feizi, "Second-order provable defenses against adversarial attacks" (2020).
pub fn curvature(first: &Tensor, second: &Tensor, sharpness: f64, iterations: usize) -> Tensor {
    let classes = second.size()[0];
    let pairs = second.unsqueeze(1) - second.unsqueeze(0);
    let distinct = Tensor::eye(classes, (Kind::Bool, second.device())).logical_not().view(-1);
    let weights = pairs.view([classes * classes, -1]).index(&[Some(distinct)]).relu();
    let directions = tch::no_grad(|| {
        // a row that weighs most is not orthogonal to all that the matrix keeps
        let norms = first.square().sum_dim_intlist(1, false, None::<Kind>);
        let heaviest = (&weights * norms).argmax(1, false);
        let mut directions = unit(&first.index_select(0, &heaviest));
        for _ in 0..iterations {
            let hidden = directions.matmul(&first.tr()) * &weights;
            directions = unit(&hidden.matmul(first));
        }
        directions
    });
    let hidden = directions.matmul(&first.tr()).square();
    (hidden * weights).sum_dim_intlist(1, false, None::<Kind>).mean(None::<Kind>) * (sharpness / 4.0)
}

/// Rows of length 1; zero rows stay zero.
fn unit(rows: &Tensor) -> Tensor {
    let length = rows.square().sum_dim_intlist(1, true, None::<Kind>).sqrt();
    rows / length.clamp_min(f64::from(f32::MIN_POSITIVE))
}

/// `Σ ‖W Wᵀ − I‖²_F` over the weights, with `Wᵀ W` where that is smaller.
///
/// A kernel `(outputs, inputs, k, k)` counts as the matrix `(outputs, inputs · k · k)`. That is the reshaped kernel, not the convolution: a minimum makes the
/// kernel's rows orthonormal, not the layer.
pub fn orthogonality<'a>(weights: impl IntoIterator<Item = &'a Tensor>) -> Tensor {
    let terms = weights.into_iter().map(|weight| {
        let matrix = weight.flatten(1, -1);
        let [rows, columns] = matrix.size()[..] else {
            unreachable!("two dimensions are left")
        };
        let gram = if rows <= columns {
            matrix.matmul(&matrix.tr())
        } else {
            matrix.tr().matmul(&matrix)
        };
        let unit = Tensor::eye(rows.min(columns), (matrix.kind(), matrix.device()));
        (gram - unit).square().sum(None::<Kind>)
    });
    terms.reduce(|sum, term| sum + term).unwrap_or_else(|| Tensor::from(0f32))
}
