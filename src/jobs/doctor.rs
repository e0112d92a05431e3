//! What this build and this machine can do.

use lipcert_models::training::job::Job;

use super::trainer::{self, Answer, INSTALL};
use super::{Progress, Unhurried};
use crate::results::{Diagnosed, DoctorSchema, Tool, Trainer};

/// Looks around. A machine that cannot train is no error.
#[must_use]
pub fn run(progress: &dyn Progress) -> Diagnosed {
    Diagnosed {
        schema: DoctorSchema::V1,
        tool: Tool::current(),
        threads: rayon::current_num_threads(),
        simd: simd().to_owned(),
        trainer: trainer(progress),
    }
}

fn trainer(progress: &dyn Progress) -> Trainer {
    let install = INSTALL.to_owned();
    let Ok(program) = trainer::find() else {
        return Trainer::Missing { install };
    };
    let path = program.display().to_string();
    let error = match trainer::ask(&program, &Job::Doctor, &Unhurried(progress), &mut |_| Ok(())) {
        Ok(Answer::Doctor(says)) => return Trainer::Ready { path, says },
        Ok(Answer::Written { .. }) => "it answers another question".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    Trainer::Broken { path, error, install }
}

/// The widest instructions that the evaluation finds here.
fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "AVX2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        if std::arch::is_aarch64_feature_detected!("neon") {
            return "NEON";
        }
    }
    "none"
}
