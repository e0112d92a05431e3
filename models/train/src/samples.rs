//! A data set on a device.

use std::ops::Range;

use lipcert_models::data::{Dataset, Pixels};
use tch::{Device, Kind, Tensor};

use crate::TrainError;
use crate::parameters::sizes;

/// Images as they are stored, and labels.
#[derive(Debug)]
pub struct Samples {
    /// `(N, C, H, W)`, bytes or floats.
    pixels: Tensor,
    /// By what bytes are divided.
    divisor: Option<u32>,
    /// `(N,)`, int64.
    labels: Tensor,
    shape: [usize; 3],
    count: usize,
}

impl Samples {
    /// Copies a part of a data set.
    ///
    /// # Errors
    ///
    /// [`TrainError::Torch`] if it does not fit.
    pub fn new(dataset: &Dataset, range: Range<usize>, device: Device) -> Result<Self, TrainError> {
        let size = dataset.sample_len();
        let values = range.start * size..range.end * size;
        let (flat, divisor) = match dataset.pixels() {
            Pixels::Bytes { values: bytes, divisor } => (Tensor::f_from_slice(&bytes[values])?, Some(*divisor)),
            Pixels::Floats(floats) => (Tensor::f_from_slice(&floats[values])?.f_to_kind(Kind::Float)?, None),
        };
        let labels: Vec<i64> = dataset.labels()[range.clone()]
            .iter()
            .map(|label| i64::from(*label))
            .collect();
        let shape = dataset.shape();
        let mut dimensions = vec![-1];
        dimensions.extend(sizes(&shape));
        Ok(Self {
            pixels: flat.f_view(dimensions.as_slice())?.f_to_device(device)?,
            divisor,
            labels: Tensor::f_from_slice(&labels)?.f_to_device(device)?,
            shape,
            count: range.len(),
        })
    }

    /// Number of samples.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Shape of a sample.
    #[must_use]
    pub const fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The raw images `(n, C, H, W)` of the samples at these places, float32, and their labels.
    pub fn batch(&self, places: &Tensor) -> (Tensor, Tensor) {
        let images = self.pixels.index_select(0, places).to_kind(Kind::Float);
        let images = match self.divisor {
            Some(divisor) => images / f64::from(divisor),
            None => images,
        };
        (images, self.labels.index_select(0, places))
    }
}
