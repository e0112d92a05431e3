//! `lipcert attack`

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use lipcert::jobs::attack::{Options, Outcome};
use lipcert::jobs::certify::DataChoice;
use lipcert::results::{Attacked, attacked_csv};
use lipcert::{jobs, results};

use crate::cli::train::AttackArgs;
use crate::files::{Target, refuse_input, reserve_all};
use crate::output::Output;
use crate::status::Status;

/// Attacks a model on samples.
pub(super) fn run(args: &AttackArgs, threads: Option<u16>, strict: bool, output: &Output) -> anyhow::Result<Status> {
    let data = super::data_place(&args.data);
    let arch = args.read.arch.file();
    let paths: Vec<&Path> = [&args.file, &args.samples, &args.inputs]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .collect();
    for path in &paths {
        let inputs = [Some(&args.model), data.as_ref(), arch.as_ref()];
        refuse_input(path, inputs.into_iter().flatten().map(PathBuf::as_path))?;
    }
    let targets = Targets::reserve(args, &paths)?;
    let options = Options {
        model: args.model.clone(),
        read: super::model_options(&args.read),
        data: DataChoice {
            name: args.data.clone(),
            split: super::split(args.split),
            limit: args.limit,
            shard: None,
        },
        epsilons: args.eps.clone(),
        steps: args.steps,
        restarts: args.restarts,
        queries: args.queries,
        seed: args.seed,
        device: args.device,
        threads,
        keep: args.inputs.is_some(),
        command: super::typed(),
    };
    output.stop_on_interrupt()?;
    let outcome = jobs::attack::run(&options, output)?;
    super::warn_of_raw_input(&args.read, [&outcome.attacked.model], output);
    targets.publish(outcome, strict, output)
}

/// The files that were asked for.
#[derive(Default)]
struct Targets {
    result: Option<Target>,
    samples: Option<Target>,
    /// With its path as it was typed.
    inputs: Option<(Target, String)>,
}

impl Targets {
    /// Sets the files aside, those of `paths` at once.
    fn reserve(args: &AttackArgs, paths: &[&Path]) -> anyhow::Result<Self> {
        let mut targets = reserve_all(paths, args.force)?.into_iter();
        let mut target = |asked: &Option<PathBuf>| asked.as_ref().and_then(|_| targets.next());
        let (result, samples, inputs) = (target(&args.file), target(&args.samples), target(&args.inputs));
        Ok(Self {
            result,
            samples,
            inputs: inputs.zip(args.inputs.as_ref().map(|path| path.display().to_string())),
        })
    }

    /// Writes the files and says the result; an input that contradicts a certificate is a fault, whatever else was found.
    fn publish(self, outcome: Outcome, strict: bool, output: &Output) -> anyhow::Result<Status> {
        let Outcome {
            mut attacked,
            samples,
            inputs,
        } = outcome;
        match self.inputs {
            Some((target, path)) if attacked.device.is_some() => {
                target.write(&inputs)?;
                attacked.inputs = Some(path);
            }
            None if !attacked.contradictions.is_empty() => {
                attacked.inputs = Some(keep(&inputs)?.display().to_string());
            }
            _ => {}
        }
        if let Some(target) = self.samples {
            target.write(attacked_csv(&samples).as_bytes())?;
        }
        if let Some(target) = self.result {
            target.write(&results::to_json(&attacked)?)?;
        }
        output.result(&attacked)?;
        match fault(&attacked) {
            None => Ok(Status::of(attacked.verdict, strict)),
            Some(fault) => {
                output.error(&fault);
                Ok(Status::Fault)
            }
        }
    }
}

/// What to say of the first input that contradicts a certificate.
fn fault(attacked: &Attacked) -> Option<anyhow::Error> {
    let found = attacked.contradictions.first()?;
    Some(anyhow!(
        "an input contradicts a certificate: sample {} of class {} is certified at {} and has another class at distance {} (row {} of `{}`); this is a \
         fault of lipcert, or an assumption is false: please report it",
        found.index,
        found.label,
        found.radius,
        found.distance,
        found.row,
        attacked.inputs.as_deref().unwrap_or_default()
    ))
}

/// Keeps the inputs that show a fault, although nobody named a file for them.
fn keep(inputs: &[u8]) -> anyhow::Result<PathBuf> {
    let context = "cannot keep the inputs that were found";
    let mut builder = tempfile::Builder::new();
    let mut file = builder
        .prefix("lipcert-inputs-")
        .suffix(".safetensors")
        .tempfile()
        .context(context)?;
    std::io::Write::write_all(&mut file, inputs).context(context)?;
    let (_, path) = file.keep().context(context)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use lipcert::jobs::certify::Split;
    use lipcert::jobs::verify::Method;
    use lipcert::jobs::{ModelOptions, Unwatched, certify};
    use lipcert::results::{AttackSchema, Contradiction, Run, Semantics, Tool, Verdict};

    use super::*;
    use crate::cli::GlobalArgs;

    /// No attack finds an input within a certified radius, so that one is made up here.
    fn outcome(contradictions: Vec<Contradiction>) -> Outcome {
        let certified = certify::run(
            &certify::Options {
                models: vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sll_digits/digits.safetensors")],
                read: ModelOptions::default(),
                data: DataChoice {
                    name: "digits".to_owned(),
                    split: Split::Test,
                    limit: Some(1),
                    shard: None,
                },
                epsilons: Vec::new(),
                semantics: Semantics::Real,
                method: Method::Auto,
                one_model: true,
                command: "test".to_owned(),
            },
            &Unwatched,
        );
        let Run::One(certified) = certified.unwrap().run else {
            panic!("one model");
        };
        let attacked = Attacked {
            schema: AttackSchema::V1,
            tool: Tool::current(),
            verdict: if contradictions.is_empty() {
                certified.verdict
            } else {
                Verdict::NotCertified
            },
            assumptions: Vec::new(),
            semantics: Semantics::Real,
            command: "test".to_owned(),
            model: certified.model,
            data: certified.data,
            samples: 1,
            correct: 1,
            accuracy: 1.0,
            attacked: Vec::new(),
            candidates: 1,
            proved: 1,
            undecided: 0,
            contradictions,
            inputs: None,
            device: Some("cpu".to_owned()),
            stopped: false,
            seconds: 1.0,
        };
        Outcome {
            attacked,
            samples: Vec::new(),
            inputs: b"inputs".to_vec(),
        }
    }

    fn contradiction() -> Contradiction {
        Contradiction {
            index: 7,
            label: 3,
            distance: 0.25,
            radius: 0.5,
            row: 11,
        }
    }

    fn output() -> Output {
        Output::new(&GlobalArgs {
            json: true,
            quiet: true,
            verbose: false,
            threads: None,
            strict: false,
        })
    }

    #[test]
    fn an_input_within_a_certified_radius_is_a_fault() {
        let targets = Targets::default();
        assert_eq!(
            targets.publish(outcome(Vec::new()), false, &output()).unwrap(),
            Status::Proved
        );
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let reserve = |name: &str| Target::reserve(&path(name), false).unwrap();
        let targets = Targets {
            result: Some(reserve("result.json")),
            samples: None,
            inputs: Some((reserve("inputs.safetensors"), "inputs.safetensors".to_owned())),
        };
        assert_eq!(
            targets.publish(outcome(vec![contradiction()]), false, &output()).unwrap(),
            Status::Fault
        );
        // what shows the fault is kept, and the result names it
        assert_eq!(std::fs::read(path("inputs.safetensors")).unwrap(), b"inputs");
        let result: serde_json::Value = serde_json::from_slice(&std::fs::read(path("result.json")).unwrap()).unwrap();
        assert_eq!(
            (&result["verdict"], &result["inputs"], &result["contradictions"][0]["index"]),
            (&"not-certified".into(), &"inputs.safetensors".into(), &7.into())
        );
    }

    /// Also where nobody asked for a file.
    #[test]
    fn the_inputs_that_show_a_fault_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let result = folder.path().join("result.json");
        let targets = Targets {
            result: Some(Target::reserve(&result, false).unwrap()),
            ..Targets::default()
        };
        let outcome = outcome(vec![contradiction()]);
        assert_eq!(targets.publish(outcome.clone(), false, &output()).unwrap(), Status::Fault);
        let result: serde_json::Value = serde_json::from_slice(&std::fs::read(&result).unwrap()).unwrap();
        let kept = Path::new(result["inputs"].as_str().unwrap());
        assert_eq!(std::fs::read(kept).unwrap(), b"inputs");
        std::fs::remove_file(kept).unwrap();
        let words = fault(&outcome.attacked).unwrap().to_string();
        for part in [
            "sample 7 of class 3",
            "certified at 0.5",
            "distance 0.25",
            "row 11",
            "fault of lipcert",
        ] {
            assert!(words.contains(part), "{words}");
        }
    }
}
