//! One image between zero margins.

/// Zeros behind the last channel, so that the last tile of positions may read a whole number of vectors.
const TAIL: usize = 64;

/// Where the pixels of an image lie in its buffer.
///
/// Each row is followed by `radius` zeros, which are the right margin of this row and the left margin of the next; each
/// channel is followed by `radius` rows of zeros, which are the lower margin of this channel and the upper one of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) radius: usize,
    /// Distance of two rows.
    pub(super) stride: usize,
    /// Distance of two channels.
    pub(super) step: usize,
    /// Position of the first pixel.
    pub(super) head: usize,
}

impl Plane {
    fn new(height: usize, width: usize, radius: usize) -> Self {
        let stride = width + radius;
        Self {
            height,
            width,
            radius,
            stride,
            step: (height + radius) * stride,
            head: radius * stride + radius,
        }
    }

    /// Number of positions from the first pixel of a channel to its last, margins between the rows included.
    pub(super) const fn positions(self) -> usize {
        self.height * self.stride - self.radius
    }
}

/// An image `(channels, height, width)` of float64 with zero margins on all sides.
///
/// Outside the pixels the buffer is zero at all times; [`padded`](Self::padded) may therefore be used where only the Euclidean
/// norm matters.
#[derive(Clone, Debug)]
pub struct Image {
    plane: Plane,
    channels: usize,
    data: Vec<f64>,
    /// All bits set at a pixel, none at a margin; one plane from its first pixel on.
    mask: Vec<u64>,
}

impl Image {
    /// An image of zeros. `radius` is the width of the margins: `(size − 1) / 2` of the largest kernel that will be applied.
    ///
    /// # Panics
    ///
    /// If a size is zero.
    #[must_use]
    pub fn new(channels: usize, height: usize, width: usize, radius: usize) -> Self {
        assert!(channels * height * width > 0, "an image has pixels");
        Self::on_plane(channels, Plane::new(height, width, radius))
    }

    pub(super) fn on_plane(channels: usize, plane: Plane) -> Self {
        let mut mask = vec![0; plane.positions() + TAIL];
        for row in 0..plane.height {
            mask[row * plane.stride..][..plane.width].fill(u64::MAX);
        }
        Self {
            plane,
            channels,
            data: vec![0.0; plane.head + channels * plane.step + TAIL],
            mask,
        }
    }

    /// Number of channels.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// Number of rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.plane.height
    }

    /// Number of columns.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.plane.width
    }

    /// The whole buffer: every pixel once, and zeros.
    #[must_use]
    pub fn padded(&self) -> &[f64] {
        &self.data
    }

    /// One row of pixels.
    #[must_use]
    pub fn row(&self, channel: usize, row: usize) -> &[f64] {
        let plane = &self.plane;
        &self.data[plane.head + channel * plane.step + row * plane.stride..][..plane.width]
    }

    /// Sets the pixels from a row-major `(channels, height, width)` sample.
    ///
    /// A sample with fewer channels fills the first ones; the others become zero.
    ///
    /// # Panics
    ///
    /// If `sample` is not a whole number of channels or has more than the image.
    pub fn load(&mut self, sample: &[f64]) {
        let plane = self.plane;
        let pixels = plane.height * plane.width;
        assert!(
            sample.len().is_multiple_of(pixels) && sample.len() <= self.channels * pixels,
            "a sample of {} for {} channels of {pixels}",
            sample.len(),
            self.channels
        );
        self.data[plane.head + sample.len() / pixels * plane.step..].fill(0.0);
        for (channel, values) in sample.chunks_exact(pixels).enumerate() {
            for (row, values) in values.chunks_exact(plane.width).enumerate() {
                let start = plane.head + channel * plane.step + row * plane.stride;
                self.data[start..start + plane.width].copy_from_slice(values);
            }
        }
    }

    /// Copies the pixels to a row-major `(channels, height, width)` sample.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn store(&self, sample: &mut [f64]) {
        let plane = &self.plane;
        assert_eq!(
            sample.len(),
            self.channels * plane.height * plane.width,
            "length of the sample"
        );
        for (index, values) in sample.chunks_exact_mut(plane.width).enumerate() {
            values.copy_from_slice(self.row(index / plane.height, index % plane.height));
        }
    }

    pub(super) const fn plane(&self) -> Plane {
        self.plane
    }

    /// The buffer and the mask of one plane.
    pub(super) fn parts_mut(&mut self) -> (&mut [f64], &[u64]) {
        (&mut self.data, &self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_and_stores_the_same_pixels() {
        for (channels, height, width, radius) in [(1, 1, 1, 0), (2, 3, 4, 1), (3, 5, 1, 2), (1, 8, 8, 3)] {
            let sample: Vec<f64> = (1..=channels * height * width).map(|value| value as f64).collect();
            let mut image = Image::new(channels, height, width, radius);
            image.load(&sample);
            let mut back = vec![0.0; sample.len()];
            image.store(&mut back);
            assert_eq!(sample, back);
            let nonzero = image.padded().iter().filter(|value| **value > 0.0).count();
            assert_eq!(nonzero, sample.len(), "every pixel once, and zeros");
        }
    }

    #[test]
    fn a_sample_with_fewer_channels_leaves_zeros_behind() {
        let mut image = Image::new(3, 2, 2, 1);
        image.load(&[7.0; 12]);
        image.load(&[1.0, 2.0, 3.0, 4.0]);
        let mut back = vec![9.0; 12];
        image.store(&mut back);
        assert_eq!(back, [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
