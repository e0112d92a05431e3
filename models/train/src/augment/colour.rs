//! Changes of colour, as torchvision makes them. Images are `(N, C, H, W)` in `[0, 1]` and stay there; every image has its own number in a tensor `(N)`.

use tch::{Kind, Tensor};

/// Weights of red, green and blue in the grey of a colour.
const GREY: [f64; 3] = [0.2989, 0.587, 0.114];

/// A number an image, to be multiplied with images.
fn each(numbers: &Tensor) -> Tensor {
    numbers.view([-1, 1, 1, 1])
}

/// The grey images `(N, 1, H, W)`; of another number of channels than three it is their mean.
fn grey(images: &Tensor) -> Tensor {
    if images.size()[1] != 3 {
        return images.mean_dim(1, true, None::<Kind>);
    }
    let [red, green, blue] = channels(images);
    red * GREY[0] + green * GREY[1] + blue * GREY[2]
}

/// Red, green, blue, each `(N, 1, H, W)`.
fn channels(images: &Tensor) -> [Tensor; 3] {
    [0, 1, 2].map(|channel| images.narrow(1, channel, 1))
}

/// `factor · images + (1 − factor) · others`, clipped.
fn blend(images: &Tensor, others: &Tensor, factor: &Tensor) -> Tensor {
    (others + (images - others) * each(factor)).clamp(0.0, 1.0)
}

/// Multiplies by a factor.
pub fn brightness(images: &Tensor, factor: &Tensor) -> Tensor {
    (images * each(factor)).clamp(0.0, 1.0)
}

/// Multiplies the distance to the mean grey of the image by a factor.
pub fn contrast(images: &Tensor, factor: &Tensor) -> Tensor {
    blend(
        images,
        &grey(images).mean_dim([1i64, 2, 3].as_slice(), true, None::<Kind>),
        factor,
    )
}

/// Multiplies the distance to the grey of the pixel by a factor; for three channels.
pub fn saturation(images: &Tensor, factor: &Tensor) -> Tensor {
    if images.size()[1] != 3 {
        return images.shallow_clone();
    }
    blend(images, &grey(images), factor)
}

/// Turns the hue; 1 is the whole circle. For three channels.
pub fn hue(images: &Tensor, turns: &Tensor) -> Tensor {
    if images.size()[1] != 3 {
        return images.shallow_clone();
    }
    let [red, green, blue] = &channels(images);
    let largest = images.amax([1], true);
    let chroma = &largest - images.amin([1], true);
    // sixths of the circle from red; a grey pixel has none, and takes any
    let divisor = chroma.masked_fill(&chroma.eq(0.0), 1.0);
    let from_green = (blue - red) / &divisor + 2.0;
    let from_blue = (red - green) / &divisor + 4.0;
    let sixths = ((green - blue) / &divisor).where_self(
        &largest.eq_tensor(red),
        &from_green.where_self(&largest.eq_tensor(green), &from_blue),
    );
    let sixths = sixths + each(turns) * 6.0;
    let turned = [5.0, 3.0, 1.0].map(|start| {
        let place = (&sixths + start).remainder(6.0);
        let lacking = (-&place + 4.0).minimum(&place).clamp(0.0, 1.0);
        &largest - &chroma * lacking
    });
    Tensor::cat(&turned, 1)
}
