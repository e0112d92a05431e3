//! What a step found, as numbers that several processes can add up.

use crate::metrics::Counts;

/// What a step found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Of the batch.
    pub(super) counts: Counts,
    /// Whether a process was asked to stop.
    pub(super) stop: bool,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of samples"
)]
impl Taken {
    /// For the sum over the processes.
    pub(super) fn numbers(&self) -> [f64; 5] {
        let Counts {
            samples,
            loss,
            correct,
            certified,
        } = self.counts;
        [
            samples as f64,
            loss,
            correct as f64,
            certified as f64,
            f64::from(u8::from(self.stop)),
        ]
    }

    /// From the sums.
    pub(super) fn from_numbers(numbers: &[f64]) -> Self {
        Self {
            counts: Counts {
                samples: numbers[0] as usize,
                loss: numbers[1],
                correct: numbers[2] as usize,
                certified: numbers[3] as usize,
            },
            stop: numbers[4] > 0.0,
        }
    }
}
