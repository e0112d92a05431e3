//! The certificate file.

use lipcert_proofs::certificate::{GramClaim, GramWitness, LayerCertificate, Prepared, Witness};
use lipcert_proofs::format::{CertificateFile, FormatError, ModelBytes, SCHEMA, Tool};
use lipcert_proofs::rules::compose::NetworkCertificate;
use lipcert_proofs::statement::{Layer, NetworkMap, Scale, Shape};

use crate::common::{certify, dense, matrix};

fn network() -> NetworkMap {
    let layers = vec![
        dense(
            matrix(2, 2, vec![0.3, 0.7, -0.2, 0.9]),
            Scale::Stored { factor: vec![0.7, 0.9] },
        ),
        dense(matrix(2, 2, vec![0.1, 0.2, 0.3, 0.4]), Scale::Weighted { q: vec![0.1, 0.2] }),
        Layer::NormalizedHead {
            weight: matrix(3, 2, vec![1.0, 2.0, 3.0, -1.0, 0.5, 0.5]),
            bias: vec![0.0; 3],
        },
    ];
    NetworkMap::new(Shape::Flat(2), layers).expect("a network")
}

fn names() -> Vec<String> {
    ["a", "b", "c"].map(str::to_owned).to_vec()
}

fn file(map: &NetworkMap) -> CertificateFile {
    let tool = Tool {
        name: "lipcert".to_owned(),
        version: "0".to_owned(),
    };
    let model = ModelBytes {
        sha256: "00".repeat(32),
        bytes: 1,
        declaration: None,
    };
    CertificateFile::record(&certify(map), &names(), model, tool).expect("a file")
}

/// Everything that a reader of the file does.
fn accept(bytes: &[u8], map: &NetworkMap) -> Result<f64, String> {
    let file = CertificateFile::read(bytes).map_err(|e| e.to_string())?;
    let model = ModelBytes {
        sha256: "00".repeat(32),
        bytes: 1,
        declaration: None,
    };
    let claims = file.claims(&model, map, &names()).map_err(|e| e.to_string())?;
    let mut layers = Vec::new();
    for ((layer, input), claim) in map.layers().iter().zip(map.input_shapes()).zip(claims) {
        let prepared = Prepared::new(layer, input).map_err(|e| e.to_string())?;
        layers.push(LayerCertificate::check(&prepared, claim).map_err(|e| e.to_string())?);
    }
    let certificate = NetworkCertificate::compose(map, layers, Vec::new(), file.output).map_err(|e| e.to_string())?;
    file.confirm(&certificate).map_err(|e| e.to_string())?;
    Ok(certificate.upper())
}

#[test]
fn what_is_written_is_accepted_and_reads_back_bit_for_bit() {
    let map = network();
    let file = file(&map);
    let bytes = file.to_bytes();
    let read = CertificateFile::read(&bytes).expect("a certificate");
    assert_eq!(read, file);
    assert_eq!(read.upper.to_bits(), file.upper.to_bits());
    assert_eq!(read.to_bytes(), bytes);
    assert!(accept(&bytes, &map).is_ok());
}

/// Every digit of every claim and witness, changed one at a time: refused, all of them.
#[test]
fn a_changed_digit_is_refused() {
    let map = network();
    let bytes = file(&map).to_bytes();
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    let mut changed = 0;
    for (position, digit) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        let mut other = bytes.clone();
        other[position] = if digit == '9' { b'8' } else { digit as u8 + 1 };
        changed += 1;
        assert!(
            accept(&other, &map).is_err(),
            "position {position}: {}",
            &text[position.saturating_sub(30)..position + 10]
        );
    }
    assert!(changed > 100);
}

/// An attacker who recomputes the digest still has to prove the claims.
#[test]
fn a_changed_claim_with_a_new_digest_is_refused() {
    let map = network();
    let honest = file(&map);
    type Change = Box<dyn Fn(&mut CertificateFile)>;
    let lower = |file: &mut CertificateFile| {
        if let Witness::Tolerance { inside } = &mut file.layers[0].witness {
            inside.lambda *= 0.99;
        }
    };
    let changes: Vec<(&str, Change)> = vec![
        ("upper lowered", Box::new(|f| f.upper *= 0.999)),
        ("features lowered", Box::new(|f| f.features *= 0.999)),
        ("a layer bound lowered", Box::new(|f| f.layers[0].lipschitz = 1.0)),
        ("lambda lowered", Box::new(lower)),
        (
            "formula for a stored factor",
            Box::new(|f| {
                f.layers[0].witness = Witness::Formula { inside: None };
                f.layers[0].lipschitz = 1.0;
            }),
        ),
        (
            "structural for a layer with weights",
            Box::new(|f| f.layers[0].witness = Witness::Structural {}),
        ),
        (
            "head by a smaller lambda",
            Box::new(|f| {
                f.layers[2].witness = Witness::NormalizedRows {
                    inside: GramClaim {
                        lambda: 1.0,
                        witness: GramWitness::Cholesky {},
                    },
                };
            }),
        ),
        ("a layer dropped", Box::new(|f| drop(f.layers.remove(1)))),
        ("layers swapped", Box::new(|f| f.layers.swap(0, 1))),
        ("another kind", Box::new(|f| f.layers[0].kind = "sll-dense".to_owned())),
        ("another name", Box::new(|f| f.layers[0].name = "z".to_owned())),
        ("another model", Box::new(|f| f.model.sha256 = "11".repeat(32))),
        ("other bytes", Box::new(|f| f.model.bytes = 3)),
        ("another input", Box::new(|f| f.input.shape = vec![3])),
        ("a mean", Box::new(|f| f.input.mean = vec!["0.5".parse().expect("a decimal")])),
        ("another schema", Box::new(|f| f.schema = "lipcert/certificate/2".to_owned())),
        (
            "weights of the wrong sign",
            Box::new(|f| {
                let witness = GramWitness::DiagonalDominance {
                    weights: Some(vec![1.0, -1.0]),
                };
                f.layers[0].witness = Witness::Tolerance {
                    inside: GramClaim { lambda: 1.0, witness },
                };
                f.layers[0].lipschitz = 1.0;
            }),
        ),
    ];
    for (name, change) in changes {
        let mut forged = honest.clone();
        change(&mut forged);
        // The digest of the forged content, as a forger would compute it.
        forged.digest = "0".repeat(64);
        let stated = match CertificateFile::read(&forged.to_bytes()) {
            Err(FormatError::Digest { computed, .. }) => computed,
            Err(FormatError::Schema { .. }) => continue,
            other => panic!("{name}: {other:?}"),
        };
        forged.digest = stated;
        assert!(accept(&forged.to_bytes(), &map).is_err(), "{name}");
    }
}

/// The digest of a text as a forger would set it.
fn with_digest(text: &str) -> String {
    let stated = CertificateFile::read(text.as_bytes()).err();
    match stated {
        Some(FormatError::Digest { stated, computed }) => text.replace(&stated, &computed),
        _ => text.to_owned(),
    }
}

/// One content has one spelling: a number that only reads as the honest one is refused, and so is everything else that is not written so.
#[test]
fn only_the_canonical_form_is_read() {
    let map = network();
    let text = String::from_utf8(file(&map).to_bytes()).expect("UTF-8");
    for (name, other) in [
        (
            "more digits",
            text.replacen("\"lipschitz\": 1.0,", "\"lipschitz\": 0.99999999999999999999999,", 1),
        ),
        ("spacing", text.replacen("\"index\": 0", "\"index\":  0", 1)),
        ("an escape", text.replacen("\"features\"", "\"f\\u0065atures\"", 1)),
        (
            "a struct as an array",
            text.replacen(
                "\"tool\": {\n    \"name\": \"lipcert\",\n    \"version\": \"0\"\n  }",
                "\"tool\": [\"lipcert\", \"0\"]",
                1,
            ),
        ),
    ] {
        assert_ne!(other, text, "{name}: the pattern is not in the file");
        let refused = CertificateFile::read(with_digest(&other).as_bytes());
        assert!(
            matches!(refused, Err(FormatError::NotCanonical { .. } | FormatError::Json { .. })),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn malformed_files_are_refused() {
    let map = network();
    let text = String::from_utf8(file(&map).to_bytes()).expect("UTF-8");
    let json = |text: &str| matches!(CertificateFile::read(text.as_bytes()), Err(FormatError::Json { .. }));
    for (name, broken) in [
        ("empty", String::new()),
        ("truncated", text[..text.len() / 2].to_owned()),
        ("trailing bytes", format!("{text}x")),
        ("a second object", format!("{text}{text}")),
        ("unknown field", text.replacen("\"schema\"", "\"note\": 1, \"schema\"", 1)),
        (
            "unknown field in a witness",
            text.replacen("\"rule\": \"tolerance\"", "\"rule\": \"tolerance\", \"note\": 1", 1),
        ),
        (
            "unknown field in an empty witness",
            text.replacen("\"rule\": \"cholesky\"", "\"rule\": \"cholesky\", \"note\": 1", 1),
        ),
        (
            "repeated field",
            text.replacen("\"features\"", "\"features\": 1.0, \"features\"", 1),
        ),
        (
            "repeated schema",
            text.replacen("\"schema\"", &format!("\"schema\": \"{SCHEMA}\", \"schema\""), 1),
        ),
        (
            "repeated rule",
            text.replacen(
                "\"rule\": \"tolerance\"",
                "\"rule\": \"tolerance\", \"rule\": \"tolerance\"",
                1,
            ),
        ),
        (
            "unknown rule",
            text.replacen("\"rule\": \"tolerance\"", "\"rule\": \"trust-me\"", 1),
        ),
        ("missing field", text.replacen("\"output\": \"all\",", "", 1)),
        (
            "null for a number",
            text.replacen("\"lambda\": 1", "\"lambda\": null, \"x\": 1", 1),
        ),
        ("NaN", text.replacen("\"features\": ", "\"features\": NaN", 1)),
        ("infinity", text.replacen("\"features\": ", "\"features\": 1e999, \"y\": ", 1)),
        ("deep nesting", "[".repeat(100_000)),
        ("unknown semantics", text.replacen("\"real\"", "\"float8\"", 1)),
    ] {
        assert_ne!(broken, text, "{name}: the pattern is not in the file");
        assert!(
            json(&broken),
            "{name}: {:?}",
            CertificateFile::read(broken.as_bytes()).map(|_| ())
        );
    }
    let later = text.replacen(SCHEMA, "lipcert/certificate/99", 1);
    assert!(matches!(
        CertificateFile::read(later.as_bytes()),
        Err(FormatError::Schema { .. })
    ));
    let long = vec![b' '; (64 << 20) + 1];
    assert!(matches!(CertificateFile::read(&long), Err(FormatError::TooLarge { .. })));
}
