//! A proved Lipschitz bound of a network.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use lipcert_proofs::CertificateFile;
use lipcert_proofs::format::{Tool as FormatTool, hexadecimal};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::statement::Output;

use super::load::{Loaded, load};
use super::prove::prove;
use super::{ModelOptions, Progress};
use crate::results::{FileHash, Lipschitz, Semantics, Tool, Verdict, Verified, VerifySchema};

/// How a bound is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The best one for the architecture.
    #[default]
    Auto,
    /// One rule for each layer; the bounds of the layers are multiplied.
    Layers,
}

/// What to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The model file.
    pub model: PathBuf,
    /// How to read it.
    pub read: ModelOptions,
    /// How the bound is proved.
    pub method: Method,
    /// Which part of the network the bound speaks of.
    pub output: Output,
    /// The command, for the record.
    pub command: String,
}

/// The answer, and the certificate that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The answer; its certificate has no path yet.
    pub verified: Verified,
    /// The bytes of the certificate file; `None` if no bound is proved.
    pub certificate: Option<Vec<u8>>,
}

/// Proves a bound. A layer that cannot be proved stops only itself: the answer lists every layer.
///
/// # Errors
///
/// If the model cannot be read, has numbers that are not finite, or `output` names a class that it does not have.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let loaded = load(&options.model, &options.read, None)?;
    super::load::require_output(&loaded, options.output)?;
    // Both methods are the same rules for the architectures of this version.
    let (Method::Auto | Method::Layers) = options.method;
    let (layers, certificate) = prove(&loaded.network, options.output, progress)?;
    let bytes = certificate
        .as_ref()
        .map(|certificate| certificate_bytes(certificate, &loaded))
        .transpose()?;
    let verdict = if certificate.is_some() {
        Verdict::Certified
    } else {
        Verdict::NotCertified
    };
    let verified = Verified {
        schema: VerifySchema::V1,
        tool: Tool::current(),
        verdict,
        assumptions: Vec::new(),
        semantics: Semantics::Real,
        command: options.command.clone(),
        lipschitz: lipschitz_of(options.output, certificate.as_ref()),
        layers,
        certificate: bytes.as_deref().map(hash),
        method: "layers".to_owned(),
        model: loaded.model,
        seconds: start.elapsed().as_secs_f64(),
    };
    Ok(Outcome {
        verified,
        certificate: bytes,
    })
}

/// The bytes of the certificate file of a checked network.
pub(super) fn certificate_bytes(certificate: &NetworkCertificate<'_>, loaded: &Loaded) -> anyhow::Result<Vec<u8>> {
    let tool = Tool::current();
    let tool = FormatTool {
        name: tool.name,
        version: tool.version,
    };
    let file = CertificateFile::record(certificate, &loaded.network.names, loaded.model_bytes(), tool)
        .context("cannot write the certificate")?;
    Ok(file.to_bytes())
}

/// The hash of the bytes of a file that has no path yet.
pub(super) fn hash(bytes: &[u8]) -> FileHash {
    use sha2::{Digest, Sha256};
    let sha256 = hexadecimal(&Sha256::digest(bytes));
    FileHash { path: None, sha256 }
}

/// The bounds of a checked network, or of one where nothing is proved.
pub(super) fn lipschitz_of(output: Output, certificate: Option<&NetworkCertificate<'_>>) -> Lipschitz {
    let output = match output {
        Output::All => "all".to_owned(),
        Output::Features => "features".to_owned(),
        Output::Class(class) => format!("class:{class}"),
        Output::Pair(a, b) => format!("pair:{a},{b}"),
    };
    Lipschitz {
        output,
        upper: certificate.map(|c| c.upper()),
        features: certificate.map(|c| c.features()),
    }
}
