//! The certificate file: what it says, how it is read, and when it is refused.
//!
//! The grammar and the table of rules are in `proofs/FORMAT.md`. A file is evidence and nothing more: it is read strictly, its digest is
//! compared, its description of the network is compared with the network, and every claim in it is checked again from the
//! network's own weights.

mod error;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::certificate::{ChainCertificate, ChainClaim, DualVectors, LayerClaim, Witness};
use crate::rules::compose::NetworkCertificate;
use crate::statement::{Chain, Decimal, Layer, NetworkMap, Output};

pub use error::FormatError;

/// The schema that this version writes and the only one that it reads.
pub const SCHEMA: &str = "lipcert/certificate/1";

/// The largest certificate file that is read, in bytes.
pub const SIZE_MOST: usize = 64 << 20;

/// Who wrote the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `lipcert`.
    pub name: String,
    /// Version of the program.
    pub version: String,
}

/// The bytes that the certificate speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelBytes {
    /// Lower-case hexadecimal sha256 of the whole file.
    pub sha256: String,
    /// Length of the file.
    pub bytes: u64,
    /// sha256 of the declaration of the architecture, where the file does not hold it: it is a part of the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<String>,
}

/// The part of the certified function that is not in the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Shape of one sample, `(channels, height, width)` or `(n,)`.
    pub shape: Vec<usize>,
    /// Subtracted, one a channel; empty if the network does not normalise.
    pub mean: Vec<Decimal>,
    /// Divided by, one a channel; empty if the network does not normalise.
    pub std: Vec<Decimal>,
}

/// Whose values the certificate speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Semantics {
    /// The map over the real numbers that the file's formulas define, weights as stored.
    Real,
}

/// The claim about one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRecord {
    /// Zero-based.
    pub index: usize,
    /// As the reader of the model names it.
    pub name: String,
    /// See [`Layer::kind`].
    pub kind: String,
    /// The claimed Lipschitz bound.
    pub lipschitz: f64,
    /// The evidence.
    pub witness: Witness,
}

/// The claim about a run of layers up to one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainRecord {
    /// Which output.
    pub output: Output,
    /// Zero-based first layer of the run; the last one is the head.
    pub first: usize,
    /// The rule that proves it.
    pub rule: ChainRule,
    /// The claimed Lipschitz bound of the run.
    pub lipschitz: f64,
    /// The diagonals of the multiplier, one vector a hidden layer.
    pub multipliers: Vec<Vec<f64>>,
    /// Evidence that no multipliers do much better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dual: Option<DualVectors>,
}

/// The rules for runs of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainRule {
    /// [`crate::rules::lipsdp`].
    Lipsdp,
}

/// A certificate as a file holds it. Untrusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFile {
    /// [`SCHEMA`].
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// Which model.
    pub model: ModelBytes,
    /// Whose values.
    pub semantics: Semantics,
    /// The rest of the function.
    pub input: Input,
    /// One record a layer, in order.
    pub layers: Vec<LayerRecord>,
    /// Records of runs of layers, at most one an output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<ChainRecord>,
    /// What [`Self::upper`] speaks of.
    pub output: Output,
    /// Bound of the features, the product of the layers before the head.
    pub features: f64,
    /// Bound of the output.
    pub upper: f64,
    /// sha256 of the bytes of the whole file, with these 64 digits replaced by zeros.
    pub digest: String,
}

impl CertificateFile {
    /// Writes down a checked network.
    ///
    /// `names` has one entry a layer.
    ///
    /// # Errors
    ///
    /// [`FormatError::Layer`] if `names` has another length.
    pub fn record(
        certificate: &NetworkCertificate<'_>,
        names: &[String],
        model: ModelBytes,
        tool: Tool,
    ) -> Result<Self, FormatError> {
        let layers = certificate.layers();
        if names.len() != layers.len() {
            return Err(FormatError::Layer {
                index: names.len(),
                what: "name",
                stated: names.len().to_string(),
                found: layers.len().to_string(),
            });
        }
        let records = layers
            .iter()
            .zip(names)
            .enumerate()
            .map(|(index, (layer, name))| LayerRecord {
                index,
                name: name.clone(),
                kind: layer.layer().kind().to_owned(),
                lipschitz: layer.lipschitz(),
                witness: layer.witness().clone(),
            });
        let mut file = Self {
            schema: SCHEMA.to_owned(),
            tool,
            model,
            semantics: Semantics::Real,
            input: input_of(certificate.map()),
            layers: records.collect(),
            chains: certificate.chains().iter().map(record_of).collect(),
            output: certificate.output(),
            features: certificate.features(),
            upper: certificate.upper(),
            digest: "0".repeat(DIGITS),
        };
        file.digest = hexadecimal(&Sha256::digest(file.to_bytes()));
        Ok(file)
    }

    /// Reads a file strictly: schema, fields, digest. What it claims is not checked here.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`], [`FormatError::Json`], [`FormatError::Schema`], [`FormatError::Digest`] or [`FormatError::NotCanonical`].
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() > SIZE_MOST {
            return Err(FormatError::TooLarge {
                bytes: bytes.len(),
                most: SIZE_MOST,
            });
        }
        let json = |error: serde_json::Error| FormatError::Json {
            line: error.line(),
            column: error.column(),
            cause: error.to_string(),
        };
        // The schema first, so that a file of a later version is told apart from a broken one.
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(json)?;
        if head.schema != SCHEMA {
            return Err(FormatError::Schema {
                found: head.schema.chars().take(80).collect(),
            });
        }
        let file: Self = serde_json::from_slice(bytes).map_err(json)?;
        let computed = digest_of(bytes, &file.digest);
        if file.digest != computed {
            return Err(FormatError::Digest {
                stated: file.digest.chars().take(80).collect(),
                computed,
            });
        }
        let canonical = file.to_bytes();
        if canonical == bytes {
            return Ok(file);
        }
        let same = canonical.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        Err(FormatError::NotCanonical { position: same })
    }

    /// The bytes of the file: indented JSON with a final line feed. Floats read back bit for bit.
    ///
    /// # Panics
    ///
    /// Never: the type has no map with keys other than strings, and its floats are finite.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain data");
        bytes.push(b'\n');
        bytes
    }

    /// Compares the file with the network that was read from the model, and gives the claims to check, one a layer.
    ///
    /// # Errors
    ///
    /// [`FormatError::Model`] for other bytes, [`FormatError::Layer`] for another network.
    pub fn claims(&self, model: &ModelBytes, map: &NetworkMap, names: &[String]) -> Result<Vec<LayerClaim>, FormatError> {
        if self.model.sha256 != model.sha256 {
            return Err(FormatError::Model {
                certified: self.model.sha256.chars().take(80).collect(),
                found: model.sha256.clone(),
            });
        }
        let differs = |index, what, stated: &dyn ToString, found: &dyn ToString| {
            let (stated, found) = (stated.to_string(), found.to_string());
            if stated == found {
                Ok(())
            } else {
                Err(FormatError::Layer {
                    index,
                    what,
                    stated,
                    found,
                })
            }
        };
        differs(0, "bytes", &self.model.bytes, &model.bytes)?;
        let declaration = |model: &ModelBytes| model.declaration.clone().unwrap_or_else(|| "none".to_owned());
        differs(0, "declaration", &declaration(&self.model), &declaration(model))?;
        let found = input_of(map);
        differs(0, "input", &format!("{:?}", self.input), &format!("{found:?}"))?;
        differs(0, "count", &self.layers.len(), &map.layers().len())?;
        for (index, ((record, layer), name)) in self.layers.iter().zip(map.layers()).zip(names).enumerate() {
            differs(index, "index", &record.index, &index)?;
            differs(index, "kind", &record.kind, &layer.kind())?;
            differs(index, "name", &record.name, name)?;
        }
        let claims = self.layers.iter();
        Ok(claims
            .map(|record| LayerClaim {
                lipschitz: record.lipschitz,
                witness: record.witness.clone(),
            })
            .collect())
    }

    /// The claims about runs of layers, to be checked too.
    ///
    /// # Errors
    ///
    /// [`FormatError::Layer`] if a run does not begin where the network's own run to that output does, or two records speak of one output.
    pub fn chain_claims(&self, map: &NetworkMap) -> Result<Vec<ChainClaim>, FormatError> {
        let mut claims: Vec<ChainClaim> = Vec::with_capacity(self.chains.len());
        for record in &self.chains {
            let refuse = |found: String| FormatError::Layer {
                index: record.first.min(map.layers().len()),
                what: "chain",
                stated: format!("{:?} from layer {}", record.output, record.first),
                found,
            };
            let chain = Chain::of(map, record.output).map_err(|cause| refuse(cause.to_string()))?;
            if chain.first() != record.first {
                return Err(refuse(format!("a run from layer {}", chain.first())));
            }
            if claims.iter().any(|claim| claim.output == record.output) {
                return Err(refuse("an earlier record of the same output".to_owned()));
            }
            claims.push(ChainClaim {
                output: record.output,
                lipschitz: record.lipschitz,
                multipliers: record.multipliers.clone(),
                dual: record.dual.clone(),
            });
        }
        Ok(claims)
    }

    /// Compares the bounds that the file prints with those of its checked claims, bit for bit.
    ///
    /// # Errors
    ///
    /// [`FormatError::Bound`] with the first that differs.
    pub fn confirm(&self, certificate: &NetworkCertificate<'_>) -> Result<(), FormatError> {
        for (what, stated, derived) in [
            ("features", self.features, certificate.features()),
            ("upper", self.upper, certificate.upper()),
        ] {
            if stated.to_bits() != derived.to_bits() {
                return Err(FormatError::Bound { what, stated, derived });
            }
        }
        Ok(())
    }
}

/// What the file says about a checked run of layers.
fn record_of(certificate: &ChainCertificate<'_>) -> ChainRecord {
    let claim = certificate.claim();
    ChainRecord {
        output: claim.output,
        first: certificate.first(),
        rule: ChainRule::Lipsdp,
        lipschitz: claim.lipschitz,
        multipliers: claim.multipliers.clone(),
        dual: claim.dual.clone(),
    }
}

/// Hexadecimal digits of a sha256.
const DIGITS: usize = 64;

/// The digest of a file: its last `stated` digest, if it is one, counts as zeros.
fn digest_of(bytes: &[u8], stated: &str) -> String {
    let mut blank = bytes.to_vec();
    let found = blank.windows(DIGITS).rposition(|window| window == stated.as_bytes());
    if let Some(start) = found {
        blank[start..start + DIGITS].fill(b'0');
    }
    hexadecimal(&Sha256::digest(&blank))
}

/// Bytes as lower-case hexadecimal digits, as certificates and results write every sha256.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The part of the function that is not in the model file.
fn input_of(map: &NetworkMap) -> Input {
    let (mean, std) = match map.layers().first() {
        Some(Layer::Normalize { mean, std }) => (mean.clone(), std.clone()),
        _ => (Vec::new(), Vec::new()),
    };
    Input {
        shape: map.input().sizes(),
        mean,
        std,
    }
}
