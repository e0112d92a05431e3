//! Changes of place. Images are `(N, C, H, W)`, and every image has its own number in a tensor `(N)`.

use tch::{Kind, Tensor};

/// `GridSampler` of libtorch: bilinear, zeros outside.
const BILINEAR: i64 = 0;
const ZEROS: i64 = 0;

/// Cuts images of the original size out of images with `border` reflected pixels around, the pixels at the edge not repeated; `right` and `down` are where the
/// cut begins, of int64 in `[0, 2 · border]`. The border is narrower than the image.
pub fn crop(images: &Tensor, border: i64, right: &Tensor, down: &Tensor) -> Tensor {
    let size = images.size();
    let columns = places(size[3], border, right).view([-1, 1, 1, size[3]]).expand(&size, false);
    let rows = places(size[2], border, down).view([-1, 1, size[2], 1]).expand(&size, false);
    images.gather(3, &columns, false).gather(2, &rows, false)
}

/// Where the pixels of a side come from, `(N, side)`.
fn places(side: i64, border: i64, start: &Tensor) -> Tensor {
    let shifted: Tensor = Tensor::arange(side, (Kind::Int64, start.device())) + (start - border).unsqueeze(1);
    let inside = shifted.abs();
    (side - 1) - ((side - 1) - inside).abs()
}

/// Mirrors the images, left to right, for which the boolean is true.
pub fn mirror(images: &Tensor, mirrored: &Tensor) -> Tensor {
    images.flip([3]).where_self(&mirrored.view([-1, 1, 1, 1]), images)
}

/// Turns the images about their centre, counter-clockwise by angles in radians, then moves them to the right and down by fractions of the sides. Pixels are
/// interpolated bilinearly, and what comes from outside is black.
pub fn turn(images: &Tensor, angle: &Tensor, right: &Tensor, down: &Tensor) -> Tensor {
    let size = images.size();
    let aspect = ratio(size[3], size[2]);
    // from a place in the result, in units of half a side, to one in the original
    let (cosine, sine) = (angle.cos(), angle.sin());
    let (across, along) = (-&sine / aspect, &sine * aspect);
    let (right, down) = (right * -2.0, down * -2.0);
    let horizontal = &cosine * &right + &across * &down;
    let vertical = &along * right + &cosine * down;
    let matrix = Tensor::stack(&[&cosine, &across, &horizontal, &along, &cosine, &vertical], 1).view([-1, 2, 3]);
    let grid = Tensor::affine_grid_generator(&matrix, &size, false);
    images.grid_sampler(&grid, BILINEAR, ZEROS, false)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of pixels")]
fn ratio(width: i64, height: i64) -> f64 {
    width as f64 / height as f64
}
