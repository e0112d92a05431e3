//! Bounds of all differences of two logits.

use anyhow::bail;
use lipcert_proofs::certificate::ChainCertificate;
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::statement::{Chain, Layer, NetworkMap, Output};
use rayon::prelude::*;

use super::super::multipliers::{self, Search};
use super::super::verify::{Method, Solver, resolve};
use super::super::{Onlooker, Progress};
use crate::results::PairBound;

/// Up to this many classes the bounds of all pairs are listed.
const CLASSES_LISTED: usize = 32;

/// The bounds of all pairs of logits of a dense network.
pub(super) fn pair_bounds(certificate: &NetworkCertificate<'_>) -> anyhow::Result<Vec<PairBound>> {
    let classes = certificate.map().classes();
    let dense = matches!(certificate.map().layers().last(), Some(Layer::Dense { .. }));
    if !dense || classes > CLASSES_LISTED {
        return Ok(Vec::new());
    }
    let pairs = (0..classes).flat_map(|a| (a + 1..classes).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| {
            let upper = certificate.bound_up(Output::Pair(a, b))?;
            Ok(PairBound { pair: [a, b], upper })
        })
        .collect()
}

/// Up to this many pairs of classes `auto` looks for the multipliers of each.
const PAIRS_AUTO: usize = 66;

/// Up to this many hidden neurons `auto` looks for the multipliers of all pairs.
const NEURONS_AUTO: usize = 1500;

/// The relative gap at which the multipliers of a pair are good enough: far below what a radius in four digits shows.
const PAIR_TOLERANCE: f64 = 1e-5;

/// The method that `auto` means where every pair of logits needs a bound of its own.
pub(super) fn resolve_for_pairs(method: Method, map: &NetworkMap) -> anyhow::Result<Method> {
    let resolved = resolve(method, map)?;
    if method != Method::Auto || !resolved.needs_chain() {
        return Ok(resolved);
    }
    let chain = Chain::of(map, Output::All)?;
    let neurons: usize = chain.widths()[1..].iter().sum();
    let pairs = map.classes() * (map.classes() - 1) / 2;
    let affordable = pairs <= PAIRS_AUTO && neurons <= NEURONS_AUTO;
    Ok(if affordable { resolved } else { Method::Product })
}

/// Bounds of all differences of two logits, pairs in parallel.
///
/// # Errors
///
/// If the solver fails, or a pair could not be proved: it would have a bound by another method than the one that is named.
pub(super) fn prove_pairs<'a>(
    map: &'a NetworkMap,
    method: Method,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<ChainCertificate<'a>>> {
    let classes = map.classes();
    let pairs: Vec<Output> = (0..classes).flat_map(|a| (0..a).map(move |b| Output::Pair(b, a))).collect();
    let watch = Onlooker { progress, factor: None };
    let search = |start| Search {
        method,
        solver: Solver::Structured,
        tolerance: PAIR_TOLERANCE,
        parallel: false,
        start,
        keep_dual: false,
    };
    // All pairs are the same network but for the head, so each may start where the joint map ended.
    progress.begin("looking for multipliers", 0);
    let joint = multipliers::find(map, Output::All, &search(None), &watch)?;
    progress.begin("looking for multipliers of pairs", pairs.len());
    let found: Vec<Option<ChainCertificate<'a>>> = pairs
        .par_iter()
        .map(|pair| {
            let found = multipliers::find(map, *pair, &search(joint.inner.as_ref()), &watch)?;
            progress.advance(1);
            anyhow::Ok(found.certificate)
        })
        .collect::<Result<_, _>>()?;
    let missing = found.iter().filter(|certificate| certificate.is_none()).count();
    if missing > 0 {
        bail!("no multipliers could be proved for {missing} of {} pairs", pairs.len());
    }
    Ok(found.into_iter().flatten().collect())
}
