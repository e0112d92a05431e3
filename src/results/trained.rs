//! What `lipcert train` and `lipcert finetune` answer.

use std::fmt;

use lipcert_models::training::Config;
use lipcert_models::training::job::Epoch;
use serde::Serialize;

use super::certified::Certified;
use super::common::{Semantics, Tool, Verdict};
use super::lines::head_line;
use super::verified::Verified;
use crate::text::{Align, Table, percent_down, printable};

/// The schema of [`Trained`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TrainSchema {
    /// First version, of `lipcert train`.
    #[serde(rename = "lipcert/train/1")]
    Train1,
    /// The same keys and `before`, of `lipcert finetune`.
    #[serde(rename = "lipcert/finetune/1")]
    Finetune1,
}

/// A trained network, and what is proved of its file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trained {
    /// `lipcert/train/1` or `lipcert/finetune/1`.
    pub schema: TrainSchema,
    /// The program that wrote this.
    pub tool: Tool,
    /// That of `certify`; `not-certified` where training was stopped before there was a model.
    pub verdict: Verdict,
    /// What was taken on trust; empty if `certified`.
    pub assumptions: Vec<String>,
    /// Which function is meant.
    pub semantics: Semantics,
    /// The command, as a shell reads it.
    pub command: String,
    /// What was trained and how.
    pub config: ConfigFile,
    /// Path of the model file that `verify` and `certify` speak of; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Where it was computed: `cpu`, `cuda:0`.
    pub device: String,
    /// Number of parameters of the network, those that `finetune` holds still included.
    pub parameters: usize,
    /// Number of those that were trained.
    pub moving: usize,
    /// Whether training was stopped before its end.
    pub stopped: bool,
    /// Which epoch the model is of, from 0: that which held-out samples chose, else the last; absent if there is no model, or if it is of the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<usize>,
    /// A row for each epoch. Computed in float arithmetic while training: nothing here is a claim.
    pub epochs: Vec<Epoch>,
    /// The network that was fine-tuned, as it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Certified>>,
    /// What `lipcert verify` says of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verified>,
    /// What `lipcert certify` says of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certify: Option<Box<Certified>>,
    /// Wall-clock seconds of the whole command.
    pub seconds: f64,
}

/// The file that says what was trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfigFile {
    /// Path as it was given.
    pub path: String,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// What it says, with the data of the command line.
    pub effective: Config,
}

/// The epochs that a text shows.
const SHOWN: usize = 5;

impl Trained {
    /// How training went, on one line.
    fn training_line(&self) -> String {
        let mut words = format!(
            "{} epochs on {}, {} parameters, {:.1} s",
            self.epochs.len(),
            printable(&self.device),
            match self.moving {
                moving if moving == self.parameters => moving.to_string(),
                moving => format!("{moving} of {}", self.parameters),
            },
            self.seconds
        );
        match self.best {
            Some(best) => words += &format!(" · the model is of epoch {}", best.saturating_add(1)),
            None if self.certify.is_some() => words += " · the model is of the last step",
            None => {}
        }
        if self.stopped {
            words += " · stopped before the end";
        }
        words
    }

    /// The last epochs.
    fn epoch_table(&self) -> Table {
        let mut table = Table::new(&[
            ("epoch", Align::Right),
            ("loss", Align::Right),
            ("accuracy", Align::Right),
            ("≈ certified", Align::Right),
            ("held out", Align::Right),
            ("≈ certified", Align::Right),
        ]);
        let percent = |fraction: f64| format!("{:.2} %", 100.0 * fraction);
        for epoch in &self.epochs[self.epochs.len().saturating_sub(SHOWN)..] {
            let held = epoch.held_out.as_ref();
            table.row([
                epoch.epoch.saturating_add(1).to_string(),
                format!("{:.4}", epoch.loss),
                percent(epoch.accuracy),
                percent(epoch.approx_certified),
                held.map_or_else(String::new, |held| percent(held.accuracy)),
                held.map_or_else(String::new, |held| percent(held.approx_certified)),
            ]);
        }
        table
    }
}

/// Proved counts before and after.
fn comparison(before: &Certified, after: &Certified) -> Table {
    let mut table = Table::new(&[("ε", Align::Right), ("before", Align::Right), ("after", Align::Right)]);
    let percent = |count, run: &Certified| format!("{} %", percent_down(count, run.samples));
    table.row([
        "correct".to_owned(),
        percent(before.correct, before),
        percent(after.correct, after),
    ]);
    for (old, new) in before.certified.iter().zip(&after.certified) {
        table.row([new.epsilon.clone(), percent(old.count, before), percent(new.count, after)]);
    }
    table
}

impl fmt::Display for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certify {
            Some(certified) => write!(f, "{certified}")?,
            None => {
                let number = "training was stopped before there was a model";
                writeln!(f, "{}", head_line(self.verdict, &self.assumptions, number))?;
            }
        }
        if let (Some(before), Some(after)) = (&self.before, &self.certify) {
            writeln!(f, "\nfine-tuned:\n{}", comparison(before, after))?;
        } else {
            writeln!(f)?;
        }
        writeln!(f, "trained: {}", self.training_line())?;
        write!(f, "{}", self.epoch_table())
    }
}
