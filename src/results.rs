//! What the commands answer: one serialisable value a command, with a text face ([`std::fmt::Display`]) and a JSON face.
//!
//! # Reading
//!
//! A file is read back only under the schema that this version knows, and no unknown key is skipped: a key that an older reader
//! does not know may be a condition of the claim. A later version may add keys to the same schema number as long as it still reads
//! files without them; an older version then refuses the newer file by the name of that key.
//!
//! # Numbers
//!
//! Bounds are upper bounds and radii lower bounds, each proved for the exact float64 that stands in the JSON. The text face rounds
//! further in the same direction. Radii, margins and ε are in the ℓ2 norm, radii and ε in units of the raw input (a pixel in [0, 1]).
//! Accuracies are fractions in [0, 1]. Times are wall-clock seconds.

mod attacked;
mod certified;
mod checked;
mod common;
mod curve;
mod diagnosed;
mod epsilon;
mod explored;
mod inspected;
mod lines;
mod read;
mod run;
mod samples;
mod several;
mod solved;
mod trained;
mod verified;

pub use attacked::{AttackSchema, Attacked, AttackedAt, AttackedSample, Contradiction, attacked_csv};
pub use certified::{Certified, CertifiedAt, CertifySchema, PairBound};
pub use checked::{CheckSchema, Checked};
pub use common::{Data, FileHash, LayerResult, Lipschitz, Model, Semantics, SolverRemark, Tool, Verdict};
pub use curve::{CurvePoint, curve};
pub use diagnosed::{Diagnosed, DoctorSchema, Trainer};
pub use epsilon::{Epsilon, EpsilonError};
pub use explored::{
    Counterexample, CounterexampleKind, ExploreSchema, Explored, Form, MeasuredFamily, MeasuredWeight, Tightness, WeightCheck,
};
pub use inspected::{Finding, InspectSchema, Inspected, InspectedModel, Severity, Tensor};
pub use lines::{bound, head_line, radius};
pub use read::ReadError;
pub use run::Run;
pub use samples::{Sample, samples_csv};
pub use several::{CertifiedModels, Mean, MeanAt};
pub use solved::{ClosedForm, SolveSchema, Solved, SolvedObjective, Weight};
pub use trained::{ConfigFile, TrainSchema, Trained};
pub use verified::{Verified, VerifySchema};

/// A result as the bytes of a file: one JSON object and a line feed.
///
/// # Errors
///
/// None for the results of this module; other types may fail to be written as JSON.
pub fn to_json(result: &impl serde::Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(result)?;
    bytes.push(b'\n');
    Ok(bytes)
}
