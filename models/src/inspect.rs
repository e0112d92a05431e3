//! What is in a checkpoint, and what is odd about it.
//!
//! A finding proves nothing and refuses nothing: it says what a person should know before the file is certified. Every tensor is
//! read once, one at a time.

mod finding;

use std::collections::HashMap;

use lipcert_proofs::statement::{Decimal, Q_LIMIT, Shape};
use serde::Serialize;

use crate::architecture::{Architecture, DENSE_RELU, METADATA_KEY, Plan, ScaleKind, layouts};
use crate::checkpoint::{Checkpoint, Dtype, Format, Structure, TensorInfo, position};
use crate::network::{LoadOptions, effective_preprocess};

pub use finding::{Finding, Oddity, Severity};

/// Rows of the head below this length are reported.
const TINY_NORM: f64 = 1e-6;
/// Normalised rows of the head closer than this are reported as tied.
const TIED_DISTANCE: f64 = 1e-6;

/// What is in a file, as `inspect` reports it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The file as a whole.
    pub model: Summary,
    /// The tensors in the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// What is odd, errors first.
    pub findings: Vec<Finding>,
    /// The draft of a declaration, where the architecture is unknown and every layer looks like one of a public code.
    pub draft: Option<String>,
}

impl Inspection {
    /// Whether a tensor holds NaN or an infinity; such a file cannot be loaded.
    #[must_use]
    pub fn has_non_finite(&self) -> bool {
        let not_finite = |finding: &Finding| matches!(finding.oddity, Oddity::NotFinite { .. });
        self.findings.iter().any(not_finite)
    }
}

/// A file in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// SHA-256 of all bytes.
    pub sha256: String,
    /// The format.
    pub format: Format,
    /// Bytes of the file.
    pub bytes: u64,
    /// Name of the architecture, where it is known.
    pub architecture: Option<String>,
    /// Number of parameters of the architecture; of all tensors where it is unknown.
    pub parameters: usize,
    /// Channels, height and width of one input, or the length of a vector, where known.
    pub input: Option<Vec<usize>>,
    /// Number of residual convolutions.
    pub convolutions: usize,
    /// Number of residual dense layers.
    pub dense: usize,
}

/// Reads everything in the file and lists what is odd.
///
/// Errors are findings here: an unknown architecture, a tensor that cannot be read, NaN.
#[must_use]
pub fn inspect(checkpoint: &Checkpoint, options: &LoadOptions) -> Inspection {
    let architecture = Architecture::of(checkpoint);
    let known = architecture.as_ref().ok();
    let preprocess = known.map_or_else(|| options.preprocess.clone(), |known| effective_preprocess(known, options));
    let inferred = |known: &Architecture| known.input_shape(preprocess.channels()).ok();
    let summary = Summary {
        sha256: checkpoint.sha256().to_owned(),
        format: checkpoint.format(),
        bytes: checkpoint.bytes(),
        architecture: known.map(|known| known.name.clone()),
        parameters: known.map_or_else(
            || checkpoint.tensors().iter().map(TensorInfo::count).sum(),
            Architecture::parameters,
        ),
        input: options.input.or_else(|| known.and_then(inferred)).map(Shape::sizes),
        convolutions: known.map_or(0, Architecture::convolutions),
        dense: known.map_or(0, Architecture::dense),
    };
    Inspection {
        model: summary,
        tensors: checkpoint.tensors().to_vec(),
        findings: findings(checkpoint, options),
        draft: match (checkpoint.structure(), known) {
            (Structure::Unsaid, None) => layouts::recognize(checkpoint.tensors()).map(|layers| layouts::draft(&layers)),
            _ => None,
        },
    }
}

/// What is odd about a file, errors first.
#[must_use]
pub fn findings(checkpoint: &Checkpoint, options: &LoadOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut roles = HashMap::new();
    match Architecture::of(checkpoint) {
        Ok(architecture) => {
            let said = checkpoint.metadata().contains_key(METADATA_KEY);
            let activated = architecture
                .layers
                .iter()
                .any(|layer| matches!(layer.plan, Plan::Activation(_)));
            if architecture.name == DENSE_RELU && activated && !said {
                findings.push(Finding::of_file(Oddity::AssumedActivation { activation: "relu" }));
            }
            roles = self::roles(&architecture);
            let inert = architecture.layers.iter().filter(|layer| has_inert_q(layer.plan)).count();
            if inert > 0 {
                findings.push(Finding::of_file(Oddity::InertQ { layers: inert }));
            }
            if let Some((_, std)) = effective_preprocess(&architecture, options).normalization() {
                findings.extend(scaling(&std).map(Finding::of_file));
            }
        }
        Err(cause) => {
            let reason = cause.to_string();
            findings.push(Finding::of_file(Oddity::UnknownArchitecture { reason }));
        }
    }
    for tensor in checkpoint.computed() {
        findings.push(Finding::of_tensor(tensor, Oddity::Computed));
    }
    for key in checkpoint.extras().iter().filter(|key| key.contains("optim")) {
        findings.push(Finding::of_file(Oddity::OptimizerState { key: key.clone() }));
    }
    for info in checkpoint.tensors() {
        let role = roles.get(&info.name).copied().unwrap_or(Role::of_name(&info.name));
        let oddities = match checkpoint.read(&info.name) {
            Ok(values) => of_tensor(info, role, &values),
            Err(_) if !info.dtype.is_float() => vec![Oddity::NotFloat { dtype: info.dtype }],
            Err(cause) => vec![Oddity::Unreadable {
                reason: cause.to_string(),
            }],
        };
        findings.extend(oddities.into_iter().map(|oddity| Finding::of_tensor(&info.name, oddity)));
    }
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Exponents of the diagonal.
    Exponent,
    /// Weight of the head.
    Head,
    /// Biases may be zero.
    Bias,
    /// Any other weight.
    Weight,
}

impl Role {
    /// A guess, for an unknown architecture.
    fn of_name(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("q") => Self::Exponent,
            Some("bias" | "factor" | "operand") => Self::Bias,
            _ => Self::Weight,
        }
    }
}

/// The roles of the tensors of a known architecture that differ from the guess.
fn roles(architecture: &Architecture) -> HashMap<String, Role> {
    let heads = architecture
        .layers
        .iter()
        .filter(|layer| matches!(layer.plan, Plan::Head { .. }));
    heads.map(|layer| (format!("{}.weight", layer.name), Role::Head)).collect()
}

/// Whether the layer has exponents that cancel.
const fn has_inert_q(plan: Plan) -> bool {
    matches!(
        plan,
        Plan::Conv {
            scale: ScaleKind::RowSum,
            ..
        } | Plan::Dense {
            scale: ScaleKind::RowSum,
            ..
        }
    )
}

/// The smallest standard deviation, if one is not 1.
fn scaling(std: &[Decimal]) -> Option<Oddity> {
    let smallest = std.iter().min_by(|a, b| a.enclosure().lo().total_cmp(&b.enclosure().lo()))?;
    (std.iter().any(|value| *value != Decimal::ONE)).then(|| Oddity::Scaling {
        std: *smallest,
        approx_factor: 1.0 / smallest.enclosure().lo(),
    })
}

/// What is odd about the numbers of one tensor.
fn of_tensor(info: &TensorInfo, role: Role, values: &[f64]) -> Vec<Oddity> {
    let mut oddities = Vec::new();
    let at = |flat: usize| position(&info.shape, flat);
    if let Some(first) = values.iter().position(|value| !value.is_finite()) {
        let nan = values.iter().filter(|value| value.is_nan()).count();
        let infinite = values.iter().filter(|value| value.is_infinite()).count();
        let first = at(first);
        oddities.push(Oddity::NotFinite { nan, infinite, first });
        return oddities;
    }
    if info.dtype == Dtype::Float64
        && values
            .iter()
            .any(|value| f64::from(*value as f32).to_bits() != value.to_bits())
    {
        oddities.push(Oddity::NotFloat32);
    }
    let subnormal = |value: &f64| *value != 0.0 && value.abs() < f64::from(f32::MIN_POSITIVE);
    if let Some(first) = values.iter().position(subnormal) {
        let count = values.iter().filter(|value| subnormal(value)).count();
        let first = at(first);
        oddities.push(Oddity::Subnormal { count, first });
    }
    match role {
        Role::Exponent => {
            let large = |value: &f64| value.abs() > Q_LIMIT;
            if let Some(first) = values.iter().position(large) {
                oddities.push(Oddity::LargeQ {
                    count: values.iter().filter(|value| large(value)).count(),
                    first,
                    value: values[first],
                    limit: Q_LIMIT,
                });
            }
        }
        Role::Bias => {}
        Role::Weight | Role::Head => of_rows(info, role, values, &mut oddities),
    }
    oddities
}

/// What is odd about the rows of a weight.
fn of_rows(info: &TensorInfo, role: Role, values: &[f64], oddities: &mut Vec<Oddity>) {
    if values.is_empty() || info.shape.len() < 2 {
        return;
    }
    let length = values.len() / info.shape[0];
    let rows: Vec<&[f64]> = values.chunks_exact(length).collect();
    let zero = |row: &&[f64]| row.iter().all(|value| *value == 0.0);
    let count = rows.iter().filter(|row| zero(row)).count();
    if count == rows.len() {
        oddities.push(Oddity::AllZero);
        return;
    }
    if let Some(first) = rows.iter().position(zero) {
        oddities.push(Oddity::ZeroRows { count, first });
    }
    if role != Role::Head {
        return;
    }
    let norms: Vec<f64> = rows
        .iter()
        .map(|row| row.iter().map(|value| value * value).sum::<f64>().sqrt())
        .collect();
    for (row, &norm) in norms.iter().enumerate() {
        if norm > 0.0 && norm < TINY_NORM {
            oddities.push(Oddity::TinyRow { row, approx_norm: norm });
        }
    }
    for second in 1..rows.len() {
        let tied = |first: &usize| {
            norms[*first] > 0.0 && norms[second] > 0.0 && near(rows[*first], rows[second], norms[*first], norms[second])
        };
        if let Some(first) = (0..second).find(tied) {
            let identical = rows[first] == rows[second];
            oddities.push(Oddity::TiedRows {
                first,
                second,
                identical,
            });
        }
    }
}

/// Whether two rows nearly agree once they are divided by their norms; ends at the first sign that they do not.
fn near(a: &[f64], b: &[f64], norm_a: f64, norm_b: f64) -> bool {
    let mut square = 0.0;
    for (a, b) in a.iter().zip(b) {
        let difference = a / norm_a - b / norm_b;
        square += difference * difference;
        if square > TIED_DISTANCE * TIED_DISTANCE {
            return false;
        }
    }
    true
}
