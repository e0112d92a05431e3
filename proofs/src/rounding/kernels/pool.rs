//! Average pooling.
#![expect(clippy::float_arithmetic, reason = "the room that may round")]

use super::image::Image;

/// Writes the sums over disjoint `size × size` windows, divided by `divisor`, row-major `(channels, height / size, width / size)`.
///
/// Each output is a sum of `size²` numbers and one division, which is exact where `divisor` is a power of two.
///
/// # Panics
///
/// If the sides of the image are not multiples of `size`, or `output` has another length.
pub fn average_pool(image: &Image, size: usize, divisor: u32, output: &mut [f64]) {
    let (height, width) = (image.height(), image.width());
    assert!(
        size > 0 && height.is_multiple_of(size) && width.is_multiple_of(size),
        "windows of {size} in {height} by {width}"
    );
    let (rows, cols) = (height / size, width / size);
    assert_eq!(output.len(), image.channels() * rows * cols, "length of the output");
    let divisor = f64::from(divisor);
    for (index, output) in output.chunks_exact_mut(cols).enumerate() {
        let (channel, row) = (index / rows, index % rows);
        output.fill(0.0);
        for inner in 0..size {
            let pixels = image.row(channel, row * size + inner).chunks_exact(size);
            for (output, window) in output.iter_mut().zip(pixels) {
                for pixel in window {
                    *output += pixel;
                }
            }
        }
        for output in output {
            *output /= divisor;
        }
    }
}
