//! The rows of maps without free parameters.

use super::{Family, Standing};

const fn row(name: &'static str, map: &'static str, source: &'static str) -> Family {
    Family {
        name,
        map,
        rule: "structural",
        source,
        standing: Standing::Certified,
    }
}

const ELEMENTARY: &str = "elementary";
const SORTING: &str = "Anil et al., ICML 2019";

/// Activations, rearrangements and pooling without free parameters, in the order of the table.
pub const STRUCTURAL: &[Family] = &[
    row("relu", "max(x, 0)", ELEMENTARY),
    row("leaky-relu", "x or s x", ELEMENTARY),
    row("abs", "|x|", ELEMENTARY),
    row("max-min", "the larger and the smaller of a pair, split or adjacent", SORTING),
    row("group-sort", "groups in ascending order", SORTING),
    row("full-sort", "all channels in ascending order", SORTING),
    row(
        "crelu",
        "relu(x), relu(−x)",
        "Shang et al., ICML 2016; MaxMin of deel-torchlip",
    ),
    row("normalize", "(x − mean) / std, bound max 1/std", ELEMENTARY),
    row("pad-channels", "zero channels behind", ELEMENTARY),
    row("pad-features", "zeros behind a vector", ELEMENTARY),
    row(
        "first-channels",
        "the first channels or entries",
        "Prach and Lampert, ECCV 2022",
    ),
    row("flatten", "an image as a vector", ELEMENTARY),
    row("pixel-unshuffle", "blocks of pixels to channels, two orders", ELEMENTARY),
    row("pixel-shuffle", "channels to blocks of pixels, two orders", ELEMENTARY),
    row("center", "x − mean, of a channel or of all", "deel-torchlip"),
    row("average-pool", "window sums / divisor, bound size / divisor", ELEMENTARY),
    row("max-pool", "largest of a window, bound ⌈size / stride⌉", ELEMENTARY),
    row(
        "norm-pool",
        "Euclidean norm of disjoint windows",
        "Boureau et al., ICML 2010; deel-torchlip",
    ),
    row("pair-max", "the larger of a pair", "Singla et al., ICLR 2022"),
];
