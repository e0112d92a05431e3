//! A certificate file, checked again from its evidence alone.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use lipcert_models::network::LoadOptions;
use lipcert_models::preprocess::Preprocess;
use lipcert_proofs::CertificateFile;
use lipcert_proofs::certificate::{ChainCertificate, Prepared};
use lipcert_proofs::format::{FormatError, SIZE_MOST};
use lipcert_proofs::statement::Shape;
use rayon::prelude::*;

use super::Progress;
use super::load::load_as;
use super::prove::check_layers;
use super::verify::{hash, lipschitz_of, output_word};
use crate::results::{CheckSchema, Checked, FileHash, Semantics, Tool};

/// What to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The certificate file, which is untrusted.
    pub certificate: PathBuf,
    /// The model file that it speaks of.
    pub model: PathBuf,
    /// A TOML file that declares the architecture, if one was needed for the certificate.
    pub architecture: Option<PathBuf>,
    /// The command, for the record.
    pub command: String,
}

/// Checks a certificate: no solver, no search.
///
/// A certificate whose evidence does not prove its claims gives the verdict *not certified*; so does one that prints another bound than
/// its own claims give.
///
/// # Errors
///
/// If a file cannot be read or is malformed, or if the certificate speaks of another model file.
pub fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Checked> {
    let start = Instant::now();
    let path = options.certificate.display().to_string();
    let bytes = read_limited(&options.certificate)?;
    let file = CertificateFile::read(&bytes).with_context(|| format!("certificate `{path}`"))?;
    let input = match file.input.shape.as_slice() {
        &[channels, height, width] => Shape::Image { channels, height, width },
        &[length] => Shape::Flat(length),
        other => bail!("certificate `{path}`: the input shape {other:?} is neither (channels, height, width) nor (length)"),
    };
    let preprocess = if file.input.mean.is_empty() && file.input.std.is_empty() {
        Preprocess::None
    } else {
        Preprocess::explicit(file.input.mean.clone(), file.input.std.clone())
            .with_context(|| format!("certificate `{path}`: preprocessing"))?
    };
    // The bytes first: everything else about another model would only be confusing.
    let found = lipcert_models::checkpoint::Checkpoint::open(&options.model)?;
    if found.sha256() != file.model.sha256 {
        let cause = FormatError::Model {
            certified: file.model.sha256.clone(),
            found: found.sha256().to_owned(),
        };
        return Err(cause).with_context(|| format!("certificate `{path}`, model `{}`", options.model.display()));
    }
    let loaded = load_as(
        &options.model,
        options.architecture.as_deref(),
        &LoadOptions {
            input: Some(input),
            preprocess,
        },
    )?;
    let claims = file
        .claims(&loaded.model_bytes(), &loaded.network.map, &loaded.network.names)
        .with_context(|| format!("certificate `{path}`"))?;
    let claim = |index: usize, _: &Prepared<'_>| Ok(claims[index].clone());
    let chain_claims = file
        .chain_claims(&loaded.network.map)
        .with_context(|| format!("certificate `{path}`"))?;
    let layers = check_layers(&loaded.network, progress, claim, |_| Ok(None));
    progress.begin("checking multipliers", chain_claims.len());
    let chains: Result<Vec<_>, String> = chain_claims
        .into_par_iter()
        .map(|claim| {
            let output = output_word(claim.output);
            let checked = ChainCertificate::check(&loaded.network.map, claim);
            progress.advance(1);
            checked.map_err(|cause| format!("multipliers for {output}: {cause}"))
        })
        .collect();
    let (chains, mut reason) = match chains {
        Ok(chains) => (chains, None),
        Err(cause) => (Vec::new(), Some(cause)),
    };
    let composed = layers.compose(&loaded.network, chains, file.output);
    let (layers, certificate) = composed.with_context(|| format!("certificate `{path}`"))?;
    let refusal = certificate.as_ref().and_then(|certificate| file.confirm(certificate).err());
    reason = reason.or(refusal.map(|refusal| refusal.to_string()));
    let accepted = certificate.filter(|_| reason.is_none());
    Ok(Checked {
        schema: CheckSchema::V1,
        tool: Tool::current(),
        verdict: loaded.verdict(accepted.is_some()),
        assumptions: loaded.assumptions,
        semantics: Semantics::Real,
        command: options.command.clone(),
        lipschitz: lipschitz_of(file.output, accepted.as_ref()),
        reason,
        layers,
        certificate: FileHash {
            path: Some(path),
            ..hash(&bytes)
        },
        model: loaded.model,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Reads a file unless it is longer than any certificate.
fn read_limited(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let context = || format!("cannot read certificate `{}`", path.display());
    if !std::fs::metadata(path).with_context(context)?.is_file() {
        bail!("certificate `{}` is not a regular file", path.display());
    }
    let file = std::fs::File::open(path).with_context(context)?;
    let mut bytes = Vec::new();
    file.take(SIZE_MOST as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(context)?;
    Ok(bytes)
}
