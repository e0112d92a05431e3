//! Lists of matrices and state dicts.

use crate::common::{refused, safetensors};
use crate::graph::network;

#[test]
fn lists_that_are_no_network_are_refused() {
    for (text, reason) in [
        ("[[1,2],[3]]", "row 1 has 1 numbers"),
        ("[[1]],[[1],[2]]", "matrix 1 has 2 rows"),
        ("[[1,2", "expected `,` or `]`"),
        ("[[1e400]]", "not a finite decimal"),
        ("[[0x10]]", "expected `,` or `]`"),
        ("[[1]]]", "expected `,` or the end"),
    ] {
        let error = refused(text.as_bytes()).to_string();
        assert!(error.contains("nested lists: ") && error.contains(reason), "{text}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(refused(deep.as_bytes()).to_string().contains("byte 2"));
}

#[test]
fn state_dicts_that_are_no_stack_are_refused() {
    let save = |tensors: &[(&str, &[usize])]| {
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, shape)| (*name, *shape, vec![0.5f32; shape.iter().product()]))
            .collect();
        safetensors(&[], &tensors)
    };
    let good = network(&save(&[
        ("net.10.weight", &[2, 4]),
        ("net.2.weight", &[4, 3]),
        ("net.2.bias", &[4]),
        ("net.4.weight", &[4, 4]),
    ]))
    .expect("in the order of the numbers");
    assert_eq!(good.names, ["net.2", "net.2.relu", "net.4", "net.4.relu", "net.10"]);
    for (reason, tensors) in [
        (
            "`1.weight` has shape [2, 5], expected [2, 4]",
            &[("0.weight", &[4, 3][..]), ("1.weight", &[2, 5])][..],
        ),
        (
            "`0.bias` has shape [3], expected [4]",
            &[("0.weight", &[4, 3]), ("0.bias", &[3])],
        ),
        ("`1.weight` is missing", &[("0.weight", &[4, 3]), ("1.bias", &[3])]),
        ("`W1` is missing", &[("W0", &[4, 3]), ("b1", &[3])]),
        (
            "`b.1.weight` of shape [2, 4] is neither",
            &[("a.0.weight", &[4, 3]), ("b.1.weight", &[2, 4])],
        ),
        ("`0.weight` of shape [4, 3, 1, 1]", &[("0.weight", &[4, 3, 1, 1])]),
        (
            "`1.running_mean` of shape [4]",
            &[("0.weight", &[4, 3]), ("1.running_mean", &[4])],
        ),
        (
            "`1.weight` of shape [4]",
            &[("0.weight", &[4, 3]), ("1.weight", &[4]), ("1.bias", &[4])],
        ),
        ("`0.weight` of shape [0, 3]", &[("0.weight", &[0, 3])]),
        (
            "unknown architecture",
            &[("first.weight", &[4, 3]), ("second.weight", &[2, 4])],
        ),
    ] {
        let error = network(&save(tensors)).expect_err(reason).to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}
