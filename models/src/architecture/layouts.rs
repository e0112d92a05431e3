//! Layers of public code bases, recognised by the names and ranks of their tensors.
//!
//! The names say which formula a layer has, not in which order the layers stand, which activation lies between them or how an image is padded. So
//! nothing is loaded on this ground: what is recognised becomes the draft of a declaration, for a person who knows the code to complete.
//!
//! | tensors | kinds | code |
//! |---|---|---|
//! | `kernel`, `bias`, `q` | `sll-conv`, `sll-conv-weighted` | Lipschitz-SLL-Networks (`q` cancels), 1LipschitzLayersCompared (it acts) |
//! | `weight`, `bias`, `q` | `sll-dense` | both |
//! | `kernel` or `weight`, `bias`, `u` | `cpl-conv`, `cpl-dense` | 1LipschitzLayersCompared |
//! | `weight` of rank 4, `bias`, `_u1` … `_v4` | `skew-exponential` | improved_l2_robustness, 1LipschitzLayersCompared |
//! | `param_matrices`, `mask`, `bias` | `bcop` | 1LipschitzLayersCompared |
//! | `weight`, `psi`, `alpha`, `bias` | `sandwich` | LBDN |
//! | `weight` of rank 2, `alpha`, `bias` | `cayley` | LBDN, 1LipschitzLayersCompared |
//! | `weight` of rank 2, maybe `bias` | `dense`; or `aol`, `frobenius`, … | deel-torchlip after `vanilla_export`; AOL |
//! | `weight` of rank 4, maybe `bias` | `convolution`; or `aol-conv`, … | the same |
//!
//! # Source
//!
//! The repositories named: araujoalexandre/Lipschitz-SLL-Networks, berndprach/1LipschitzLayersCompared, berndprach/AOL, singlasahil14/improved_l2_robustness,
//! deel-ai/deel-torchlip, acfr/LBDN.

use std::fmt::Write as _;

use crate::checkpoint::TensorInfo;

/// Tensors that look like those of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognized {
    /// What the names of the tensors begin with, without the last full stop.
    pub prefix: String,
    /// Kinds of a declaration that fit, the likeliest first.
    pub kinds: &'static [&'static str],
}

/// Names and ranks that tell a kind. The first that fits counts.
struct Signature {
    /// The tensor that holds the parameters, and its rank.
    main: (&'static str, usize),
    /// Further tensors that must be there.
    with: &'static [&'static str],
    /// Tensors that may be there.
    maybe: &'static [&'static str],
    kinds: &'static [&'static str],
}

const SIGNATURES: &[Signature] = &[
    Signature {
        main: ("kernel", 4),
        with: &["bias", "q"],
        maybe: &[],
        kinds: &["sll-conv", "sll-conv-weighted"],
    },
    Signature {
        main: ("weight", 2),
        with: &["bias", "q"],
        maybe: &[],
        kinds: &["sll-dense"],
    },
    Signature {
        main: ("kernel", 4),
        with: &["bias", "u"],
        maybe: &[],
        kinds: &["cpl-conv"],
    },
    Signature {
        main: ("weight", 2),
        with: &["bias", "u"],
        maybe: &[],
        kinds: &["cpl-dense"],
    },
    Signature {
        main: ("weight", 4),
        with: &["_u1", "_v1", "_u2", "_v2", "_u3", "_v3", "_u4", "_v4"],
        maybe: &["bias"],
        kinds: &["skew-exponential"],
    },
    Signature {
        main: ("param_matrices", 3),
        with: &["mask"],
        maybe: &["bias"],
        kinds: &["bcop"],
    },
    Signature {
        main: ("weight", 2),
        with: &["psi", "alpha"],
        maybe: &["bias"],
        kinds: &["sandwich"],
    },
    Signature {
        main: ("weight", 2),
        with: &["alpha"],
        maybe: &["bias"],
        kinds: &["cayley"],
    },
    Signature {
        main: ("weight", 2),
        with: &[],
        maybe: &["bias"],
        kinds: &["dense", "aol", "frobenius", "cayley"],
    },
    Signature {
        main: ("weight", 4),
        with: &[],
        maybe: &["bias"],
        kinds: &["convolution", "aol-conv"],
    },
];

/// The layers that the tensors look like, in the order of the file; nothing if a tensor belongs to none that is known.
#[must_use]
pub fn recognize(tensors: &[TensorInfo]) -> Option<Vec<Recognized>> {
    let mut groups: Vec<(&str, Vec<(&str, usize)>)> = Vec::new();
    for info in tensors {
        let (prefix, field) = info.name.rsplit_once('.')?;
        let member = (field, info.shape.len());
        match groups.iter_mut().find(|(found, _)| *found == prefix) {
            Some((_, members)) => members.push(member),
            None => groups.push((prefix, vec![member])),
        }
    }
    let layers = groups.into_iter().map(|(prefix, members)| {
        let fits = |signature: &&Signature| {
            let required = signature
                .with
                .iter()
                .all(|field| members.iter().any(|(found, _)| found == field));
            let known =
                |field: &str| field == signature.main.0 || signature.with.contains(&field) || signature.maybe.contains(&field);
            members.contains(&signature.main) && required && members.iter().all(|(field, _)| known(field))
        };
        SIGNATURES.iter().find(fits).map(|signature| Recognized {
            prefix: prefix.to_owned(),
            kinds: signature.kinds,
        })
    });
    let layers: Option<Vec<_>> = layers.collect();
    layers.filter(|layers| !layers.is_empty())
}

/// The draft of a declaration: the recognised layers, the likeliest kind of each, other kinds and what is missing as comments.
///
/// # Panics
///
/// Never: names are texts.
#[must_use]
pub fn draft(layers: &[Recognized]) -> String {
    let mut text = "schema = \"lipcert/architecture/1\"\nname = \"my-network\"\n# input = [3, 32, 32]\nlayers = [\n".to_owned();
    text.push_str("  # between them: the activations, poolings and rearrangements of the code, which hold no tensors\n");
    for layer in layers {
        let name = serde_json::to_string(&layer.prefix).expect("a text");
        write!(text, "  {{ kind = \"{}\", name = {name} }},", layer.kinds[0]).expect("a string grows");
        if let [_, others @ ..] = layer.kinds
            && !others.is_empty()
        {
            write!(text, "  # or {}", others.join(", ")).expect("a string grows");
        }
        text.push('\n');
    }
    text.push_str("]\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;

    fn tensors(list: &[(&str, &[usize])]) -> Vec<TensorInfo> {
        let info = |(name, shape): &(&str, &[usize])| TensorInfo {
            name: (*name).to_owned(),
            dtype: Dtype::Float32,
            shape: shape.to_vec(),
        };
        list.iter().map(info).collect()
    }

    #[test]
    fn layers_of_the_public_codes() {
        let found = recognize(&tensors(&[
            ("model.0.weight", &[64, 3, 1, 1]),
            ("model.0.bias", &[64]),
            ("model.1.kernel", &[64, 64, 3, 3]),
            ("model.1.bias", &[64]),
            ("model.1.u", &[1, 64, 32, 32]),
            ("model.2.param_matrices", &[5, 64, 64]),
            ("model.2.mask", &[4]),
            ("model.9.weight", &[10, 74]),
            ("model.9.psi", &[10]),
            ("model.9.alpha", &[1]),
            ("model.9.bias", &[10]),
        ]));
        let kinds: Vec<_> = found.unwrap().iter().map(|layer| layer.kinds[0]).collect();
        assert_eq!(kinds, ["convolution", "cpl-conv", "bcop", "sandwich"]);
    }

    #[test]
    fn one_unknown_tensor_is_no_guess() {
        assert_eq!(recognize(&tensors(&[("0.weight", &[2, 2]), ("1.running_mean", &[2])])), None);
        assert_eq!(recognize(&tensors(&[("weight", &[2, 2])])), None);
        assert_eq!(recognize(&[]), None);
    }

    #[test]
    fn a_draft_reads_as_toml() {
        let layers = recognize(&tensors(&[("a \"b\".weight", &[2, 2]), ("c.weight", &[2, 2, 3, 3])])).unwrap();
        let text = draft(&layers);
        assert!(
            text.contains("{ kind = \"dense\", name = \"a \\\"b\\\"\" },  # or aol"),
            "{text}"
        );
    }
}
