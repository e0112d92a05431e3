//! Which of the inputs that an attack found are what it says, by proof.

use anyhow::Context;
use lipcert_models::data::Dataset;
use lipcert_models::training::candidates::Candidates;
use lipcert_proofs::error::CheckError;
use lipcert_proofs::rounding::distance::distance_up;
use lipcert_proofs::rounding::forward::{Evaluator, Samples};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::rules::margin::Margins;
use rayon::prelude::*;

use super::super::Progress;
use super::super::certify::{BATCH, raw_samples};
use crate::results::{Contradiction, Sample};

/// What became of the inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Judged {
    /// By sample: the least distance of an input that is proved to have another class than the label; 0 if that is the sample itself.
    pub(super) nearest: Vec<Option<f64>>,
    /// Number of inputs that are proved to have another class.
    pub(super) proved: usize,
    /// Number of those that are not.
    pub(super) undecided: usize,
    /// Inputs within the certified radius of their samples.
    pub(super) contradictions: Vec<Contradiction>,
}

/// Whether the class of a sample is proved to be its label.
pub(super) fn is_correct(sample: &Sample) -> bool {
    sample.predicted == sample.label && sample.margin > 0.0
}

/// Whether the class of a sample is proved to be another one than its label.
fn is_wrong(sample: &Sample) -> bool {
    sample.predicted != sample.label && sample.margin > 0.0
}

/// Judges every input: its distance rounded up, its logits enclosed. `samples` are those of `dataset`, in its order, with their certified radii.
pub(super) fn judge(
    certificate: &NetworkCertificate<'_>,
    dataset: &Dataset,
    samples: &[Sample],
    candidates: &Candidates,
    progress: &dyn Progress,
) -> anyhow::Result<Judged> {
    let evaluator = Evaluator::new(certificate)?;
    let margins = Margins::new(certificate)?;
    let rows: Vec<(usize, &[f64])> = candidates.rows().collect();
    progress.begin("judging inputs", rows.len());
    let distances: Vec<Option<f64>> = rows
        .par_chunks(BATCH)
        .map(|part| {
            let inputs: Vec<f64> = part.iter().flat_map(|(_, input)| input.iter().copied()).collect();
            let logits = evaluator.evaluate(Samples::Floats(&inputs))?;
            progress.advance(part.len());
            part.iter()
                .zip(&logits)
                .map(|((place, input), logits)| {
                    let beaten = match margins.is_beaten(logits, samples[*place].label) {
                        // An input whose evaluation overflows proves nothing.
                        Err(CheckError::NotFinite { .. }) => false,
                        other => other?,
                    };
                    let distance = || distance_up(raw_samples(dataset, *place..place + 1), input);
                    Ok(beaten.then(distance).transpose()?)
                })
                .collect::<anyhow::Result<Vec<_>>>()
        })
        .collect::<anyhow::Result<Vec<_>>>()
        .context("the inputs that were found")?
        .concat();
    let mut judged = Judged {
        nearest: samples.iter().map(|sample| is_wrong(sample).then_some(0.0)).collect(),
        ..Judged::default()
    };
    for (row, ((place, _), distance)) in rows.iter().zip(&distances).enumerate() {
        let Some(distance) = *distance else {
            judged.undecided += 1;
            continue;
        };
        judged.proved += 1;
        let sample = &samples[*place];
        let nearest = &mut judged.nearest[*place];
        *nearest = Some(nearest.map_or(distance, |least| least.min(distance)));
        if is_correct(sample) && distance <= sample.radius {
            judged.contradictions.push(Contradiction {
                index: sample.index,
                label: sample.label,
                distance,
                radius: sample.radius,
                row,
            });
        }
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::super::super::Unwatched;
    use super::super::super::certify::{count, prove};
    use super::super::super::load::load;
    use super::super::super::verify::Method;
    use super::super::super::{ModelOptions, certify};
    use super::*;

    /// The built-in network on ten samples; what `change` makes of the samples and of inputs halfway to samples of other classes.
    fn judged(change: impl Fn(&mut Vec<Sample>, &mut Candidates)) -> (Judged, Vec<Sample>) {
        try_judge(change).unwrap()
    }

    fn try_judge(change: impl Fn(&mut Vec<Sample>, &mut Candidates)) -> anyhow::Result<(Judged, Vec<Sample>)> {
        let choice = certify::DataChoice {
            name: "digits".to_owned(),
            split: certify::Split::Test,
            limit: Some(10),
            shard: None,
        };
        let dataset = certify::open_data(&choice).unwrap();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sll_digits/digits.safetensors");
        let loaded = load(&path, &ModelOptions::default(), Some(dataset.shape())).unwrap();
        let proof = prove(&loaded, &dataset, Method::Auto, &Unwatched).unwrap();
        let mut samples = count(&proof, &loaded, &dataset, &[], "test", &Unwatched).unwrap().samples;
        let pixels = |place: usize| -> Vec<f64> {
            match raw_samples(&dataset, place..place + 1) {
                Samples::Bytes { values, divisor } => values.iter().map(|value| f64::from(*value) / f64::from(divisor)).collect(),
                Samples::Floats(values) => values.to_vec(),
            }
        };
        // From a sample to the next: the first point that is another class is at most as far as the other sample.
        let mut candidates = Candidates {
            length: dataset.sample_len(),
            inputs: Vec::new(),
            samples: Vec::new(),
            epsilons: Vec::new(),
        };
        for place in 0..9 {
            candidates.inputs.extend(pixels(place + 1));
            candidates.samples.push(place);
            candidates.epsilons.push(None);
        }
        change(&mut samples, &mut candidates);
        let certificate = proof.certificate.as_ref().unwrap();
        let judged = judge(certificate, &dataset, &samples, &candidates, &Unwatched)?;
        Ok((judged, samples))
    }

    #[test]
    fn inputs_of_other_classes_break_their_samples() {
        let (judged, samples) = judged(|_, _| ());
        assert_eq!(judged.proved + judged.undecided, 9);
        assert!(judged.contradictions.is_empty());
        for (place, sample) in samples.iter().enumerate().take(9) {
            let other = &samples[place + 1];
            if is_correct(sample) && is_correct(other) && sample.label != other.label {
                let distance = judged.nearest[place].unwrap();
                assert!(distance > sample.radius && distance < 8.0, "{distance}");
            }
        }
        assert!(judged.proved >= 5, "{judged:?}");
    }

    /// The sample itself is no input of another class, however near.
    #[test]
    fn an_input_of_the_same_class_breaks_nothing() {
        let (judged, samples) = judged(|_, candidates| candidates.samples.iter_mut().for_each(|place| *place += 1));
        let correct = samples[1..].iter().filter(|sample| is_correct(sample)).count();
        assert_eq!(judged.undecided, correct);
        assert!(judged.nearest.iter().all(Option::is_none), "{judged:?}");
    }

    /// No input within a certified radius can be found, so the radius is made too large here.
    #[test]
    fn an_input_within_the_radius_is_a_contradiction() {
        let (judged, samples) = judged(|samples, _| samples[0].radius = 100.0);
        assert!(is_correct(&samples[0]));
        let [found] = judged.contradictions.as_slice() else {
            panic!("{judged:?}");
        };
        assert_eq!((found.index, found.label, found.row), (samples[0].index, samples[0].label, 0));
        assert!(found.distance <= 100.0 && Some(found.distance) == judged.nearest[0]);
    }

    /// A sample whose class is not proved may be right: it is broken by an input of another class, which contradicts nothing.
    #[test]
    fn a_sample_of_unproved_class_can_be_broken() {
        let (judged, _) = judged(|samples, _| {
            for sample in samples {
                sample.margin = 0.0;
                sample.radius = 100.0;
            }
        });
        assert!(judged.proved > 0 && judged.contradictions.is_empty());
        assert_eq!(judged.nearest.iter().flatten().count(), judged.proved);
        assert!(judged.nearest.iter().flatten().all(|distance| *distance > 0.0));
    }

    /// A sample that is proved to be of another class is broken by itself, and contradicts nothing.
    #[test]
    fn a_wrong_sample_is_broken_at_once() {
        let (judged, samples) = judged(|samples, _| {
            for sample in samples.iter_mut() {
                sample.predicted = sample.label + 1;
                sample.radius = 100.0;
            }
        });
        assert!(judged.contradictions.is_empty() && samples.iter().all(|sample| sample.margin > 0.0));
        assert!(judged.nearest.iter().all(|nearest| *nearest == Some(0.0)), "{judged:?}");
    }

    /// What is wrong with the question is not taken for an input that proves nothing.
    #[test]
    fn a_label_that_the_network_does_not_know_is_an_error() {
        let error = try_judge(|samples, _| samples[0].label = 10).unwrap_err();
        assert!(format!("{error:#}").contains("`class`"), "{error:#}");
    }

    /// An input that is so large that its evaluation overflows is no error.
    #[test]
    fn an_overflow_proves_nothing() {
        let (judged, _) = judged(|_, candidates| candidates.inputs.fill(1e300));
        assert_eq!((judged.proved, judged.undecided), (0, 9));
    }
}
