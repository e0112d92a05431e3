//! What `lipcert doctor` answers.

use std::fmt;

use lipcert_models::training::job::Doctor;
use serde::Serialize;

use super::common::Tool;
use crate::text::printable;

/// The schema of [`Diagnosed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum DoctorSchema {
    /// First version.
    #[default]
    #[serde(rename = "lipcert/doctor/1")]
    V1,
}

/// What this build and this machine can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosed {
    /// `lipcert/doctor/1`.
    pub schema: DoctorSchema,
    /// This program.
    pub tool: Tool,
    /// Threads that proofs and evaluations use.
    pub threads: usize,
    /// The widest instructions that evaluations use.
    pub simd: String,
    /// The program that trains.
    pub trainer: Trainer,
}

/// The program that trains, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Trainer {
    /// It works.
    Ready {
        /// Where it lies.
        path: String,
        /// What it says.
        #[serde(flatten)]
        says: Doctor,
    },
    /// It is there and does not work.
    Broken {
        /// Where it lies.
        path: String,
        /// What happened.
        error: String,
        /// The command that builds it.
        install: String,
    },
    /// It is not there.
    Missing {
        /// The command that builds it.
        install: String,
    },
}

impl fmt::Display for Diagnosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = match &self.trainer {
            Trainer::Ready { says, .. } if says.cuda_devices > 0 => "verifies, certifies and trains, on CUDA too",
            Trainer::Ready { .. } => "verifies, certifies and trains, on the CPU",
            Trainer::Broken { .. } | Trainer::Missing { .. } => "verifies and certifies; does not train",
        };
        writeln!(f, "{} {}: {ready}", self.tool.name, self.tool.version)?;
        writeln!(f, "  threads   {}", self.threads)?;
        writeln!(f, "  SIMD      {}", self.simd)?;
        match &self.trainer {
            Trainer::Ready { path, says } => {
                writeln!(f, "  training  {}", printable(path))?;
                writeln!(f, "  libtorch  {}, {} threads", printable(&says.libtorch), says.threads)?;
                let cudnn = if says.cudnn { "with cuDNN" } else { "without cuDNN" };
                match (&says.cuda_error, says.cuda_devices) {
                    (_, devices @ 1..) => writeln!(f, "  CUDA      {devices} devices, {cudnn}"),
                    (Some(error), _) => writeln!(f, "  CUDA      none: {}", printable(error)),
                    (None, _) => writeln!(f, "  CUDA      no devices"),
                }
            }
            Trainer::Broken { path, error, install } => {
                writeln!(f, "  training  {} does not work: {}", printable(path), printable(error))?;
                writeln!(f, "            to build it again: {install}")
            }
            Trainer::Missing { install } => {
                writeln!(f, "  training  not built; to fetch libtorch and build it: {install}")
            }
        }
    }
}
