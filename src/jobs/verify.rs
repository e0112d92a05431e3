//! A proved Lipschitz bound of a network.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use lipcert_proofs::CertificateFile;
use lipcert_proofs::format::{Tool as FormatTool, hexadecimal};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::statement::{Layer, NetworkMap, Output};

use super::load::{Loaded, load};
use super::multipliers::{self, Search};
use super::prove::prove_layers;
use super::{ModelOptions, Onlooker, Progress, lower};
use crate::results::{FileHash, Lipschitz, Semantics, Tool, Verified, VerifySchema};

/// How a bound is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The best one for the architecture.
    #[default]
    Auto,
    /// One rule for each layer; the bounds of the layers are multiplied.
    Layers,
    /// The same, by its name for dense networks: the product of the norms of the weights.
    Product,
    /// LipSDP with one closed-form multiplier a layer, after Xu and Sivaranjani's ECLipsE-Fast.
    EclipseFast,
    /// LipSDP with multipliers by the best of a family of closed-form recursions.
    Recursion,
    /// LipSDP with one multiplier a layer.
    LipsdpLayer,
    /// LipSDP with one multiplier a neuron.
    LipsdpNeuron,
}

impl Method {
    /// The name in results and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Layers => "layers",
            Self::Product => "product",
            Self::EclipseFast => "eclipse-fast",
            Self::Recursion => "recursion",
            Self::LipsdpLayer => "lipsdp-layer",
            Self::LipsdpNeuron => "lipsdp-neuron",
        }
    }

    /// Whether the method looks for multipliers of a run of dense layers.
    pub(super) const fn needs_chain(self) -> bool {
        matches!(
            self,
            Self::EclipseFast | Self::Recursion | Self::LipsdpLayer | Self::LipsdpNeuron
        )
    }
}

/// Who looks for the multipliers of LipSDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solver {
    /// The barrier method for chains of layers.
    #[default]
    Structured,
    /// The general interior-point solver clarabel, with chordal decomposition.
    Clarabel,
}

/// The relative gap at which an iterative solver stops.
const TOLERANCE: f64 = 1e-6;

/// What to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The model file.
    pub model: PathBuf,
    /// How to read it.
    pub read: ModelOptions,
    /// How the bound is proved.
    pub method: Method,
    /// Who looks for multipliers, where the method needs some.
    pub solver: Solver,
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
    let method = resolve(options.method, &loaded.network.map)?;
    let layers = prove_layers(&loaded.network, progress);
    let (mut chains, mut solver) = (Vec::new(), None);
    if method.needs_chain() {
        let search = Search {
            method,
            solver: options.solver,
            tolerance: TOLERANCE,
            parallel: true,
            start: None,
            keep_dual: true,
        };
        progress.begin("looking for multipliers", 0);
        let factor = layers.approx_before(&loaded.network.map, options.output);
        let watch = Onlooker { progress, factor };
        match multipliers::find(&loaded.network.map, options.output, &search, &watch) {
            Ok(found) => {
                solver = Some(found.remark);
                chains.extend(found.certificate);
            }
            // Nobody asked for this method.
            Err(_) if options.method == Method::Auto => {}
            Err(cause) => return Err(cause).with_context(|| format!("`{}`", loaded.model.path)),
        }
    }
    let missing = method.needs_chain() && chains.is_empty();
    let (layers, certificate) = layers.compose(&loaded.network, chains, options.output)?;
    // A bound by another method than the one that was asked for is not an answer.
    let certificate = certificate.filter(|_| !missing || options.method == Method::Auto);
    let fell_back = missing && options.method == Method::Auto;
    let method = if fell_back { Method::Product } else { method };
    let bytes = certificate
        .as_ref()
        .map(|certificate| certificate_bytes(certificate, &loaded))
        .transpose()?;
    let verified = Verified {
        schema: VerifySchema::V1,
        tool: Tool::current(),
        verdict: loaded.verdict(certificate.is_some()),
        assumptions: loaded.assumptions,
        semantics: Semantics::Real,
        command: options.command.clone(),
        lipschitz: Lipschitz {
            lower: lower::approx(&loaded.network.map, options.output),
            ..lipschitz_of(options.output, certificate.as_ref())
        },
        layers,
        certificate: bytes.as_deref().map(hash),
        method: method.name().to_owned(),
        solver,
        model: loaded.model,
        seconds: start.elapsed().as_secs_f64(),
    };
    Ok(Outcome {
        verified,
        certificate: bytes,
    })
}

/// The method that `auto` means for a network; the others as they are, if they suit it.
///
/// # Errors
///
/// If the method needs a run of dense layers and activations, and the network has none.
pub(super) fn resolve(method: Method, map: &NetworkMap) -> anyhow::Result<Method> {
    let chain = multipliers::has_chain(map);
    match method {
        Method::Auto => Ok(match (chain, map.layers().last()) {
            (Ok(true), _) => Method::LipsdpNeuron,
            (_, Some(Layer::Dense { .. })) => Method::Product,
            _ => Method::Layers,
        }),
        asked if asked.needs_chain() => {
            let context = || {
                format!(
                    "--method {} needs dense layers with an activation between each two",
                    asked.name()
                )
            };
            chain.with_context(context)?;
            Ok(asked)
        }
        asked => Ok(asked),
    }
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
    Lipschitz {
        output: output_word(output),
        upper: certificate.map(|c| c.upper()),
        features: certificate.map(|c| c.features()),
        lower: None,
        dual_bound: certificate.and_then(NetworkCertificate::dual_down),
    }
}

/// An output as the command line writes it.
pub(super) fn output_word(output: Output) -> String {
    match output {
        Output::All => "all".to_owned(),
        Output::Features => "features".to_owned(),
        Output::Class(class) => format!("class:{class}"),
        Output::Pair(a, b) => format!("pair:{a},{b}"),
    }
}
