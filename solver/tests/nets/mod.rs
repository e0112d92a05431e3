//! Networks for the tests: random ones and published ones.

use std::fs::File;
use std::path::{Path, PathBuf};

use faer::Mat;
use lipcert_solver::chain::{Chain, Slope};
use ndarray::{Array2, Ix2, OwnedRepr};
use ndarray_npy::NpzReader;

/// A repeatable matrix with entries in `[low, low + 2)`.
pub(crate) fn matrix(rows: usize, cols: usize, low: f64, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    Mat::from_fn(rows, cols, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 + low
    })
}

/// A random chain of these widths, the last one that of the output.
pub(crate) fn random_chain(widths: &[usize], slope: Slope, low: f64, seed: u64) -> Chain {
    let mut matrices: Vec<Mat<f64>> = widths
        .windows(2)
        .enumerate()
        .map(|(layer, pair)| matrix(pair[1], pair[0], low, seed * 100 + layer as u64))
        .collect();
    let output = matrices.pop().expect("two widths");
    let slopes = vec![slope; matrices.len()];
    Chain::new(matrices, slopes, output).expect("a chain")
}

/// A chain of ReLU layers from rows.
pub(crate) fn chain_of(matrices: Vec<Mat<f64>>) -> Chain {
    let mut matrices = matrices;
    let output = matrices.pop().expect("an output");
    let slopes = vec![Slope::UNIT; matrices.len()];
    Chain::new(matrices, slopes, output).expect("a chain")
}

/// A published network; nothing, with a remark, where it is not at hand.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn published(name: &str) -> Option<Chain> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/nets_npz")
        .join(name);
    let Ok(file) = File::open(&path) else {
        eprintln!("skipped: `{}` is not there", path.display());
        return None;
    };
    let mut archive = NpzReader::new(file).expect("an archive");
    let mut matrices = Vec::new();
    while let Ok(weight) = archive.by_name::<OwnedRepr<f64>, Ix2>(&format!("W{}", matrices.len())) {
        let weight: Array2<f64> = weight;
        matrices.push(Mat::from_fn(weight.nrows(), weight.ncols(), |i, j| weight[[i, j]]));
    }
    Some(chain_of(matrices))
}
