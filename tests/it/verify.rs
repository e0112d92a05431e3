//! `lipcert verify` and `lipcert check` on real networks.

use std::fs;
use std::path::Path;

use lipcert_proofs::statement::Output;

use crate::cli::lipcert;
use crate::reference::{Reference, cifar, digits, shared};

/// `1/T` of every layer agrees with PyTorch's float64 values, and the bounds are those of the row-normalised head.
fn bounds_and_factors(reference: &Reference, least: f64, most: f64) {
    let outcome = reference.verify(Output::All);
    let lipschitz = &outcome.verified.lipschitz;
    let features = lipschitz.features.unwrap();
    assert!((1.0..=1.0 + 1e-9).contains(&features), "{features}");
    let upper = lipschitz.upper.unwrap();
    assert!(least < upper && upper < most, "{upper}");
    for layer in outcome.verified.layers.iter().filter(|layer| layer.kind.starts_with("sll")) {
        assert!(layer.slack.unwrap() > 0.0 && layer.slack.unwrap() < 1.0, "{layer:?}");
        let delta = layer.float32_delta.unwrap();
        assert!(delta.abs() < 3e-6, "{layer:?}");
    }
    reference.checked(&outcome.certificate.unwrap(), |network, certificate| {
        let mut compared = 0;
        for (name, layer) in network.names.iter().zip(certificate.layers()) {
            let Some(factor) = layer.factor() else { continue };
            let expected = reference.vector(&format!("t_{name}"));
            assert_eq!(expected.len(), factor.approx().len());
            for (ours, theirs) in factor.approx().iter().zip(expected) {
                assert!((ours - theirs).abs() <= 1e-12 * theirs, "{name}: {ours} {theirs}");
                compared += 1;
            }
            assert!(factor.relative_error_up() < 1e-10, "{name}: {}", factor.relative_error_up());
        }
        assert!(compared > 0);
    });
}

#[test]
fn the_digits_network() {
    // ‖Ŵ‖₂ = 1.252415
    bounds_and_factors(&digits(), 1.2524, 1.2525);
}

#[test]
fn the_cifar_network() {
    if let Some(reference) = cifar() {
        // ‖Ŵ‖₂ = 1.431246: a row-normalised head is not jointly 1-Lipschitz
        bounds_and_factors(&reference, 1.4312, 1.4313);
    }
}

#[test]
fn parts_of_the_output() {
    let digits = digits();
    let upper = |output| digits.verify(output).verified.lipschitz.upper.unwrap();
    assert!((upper(Output::Features) - 1.0).abs() < 1e-12);
    assert!((upper(Output::Class(3)) - 1.0).abs() < 1e-12);
    let pair = upper(Output::Pair(3, 5));
    assert!(pair > 1.0 && pair < 2.0, "{pair}");
    let text = |output: &str| {
        let file = "tests/fixtures/sll_digits/digits.pth";
        lipcert(["verify", file, "--input", "1x8x8", "--output", output, "--json"])
    };
    assert_eq!(text("pair:3,5").json()["lipschitz"]["output"], "pair:3,5");
    for wrong in ["class:10", "pair:3,10", "pair:3,3", "logits", "class:-1", "pair:1"] {
        let ran = text(wrong);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{wrong}");
    }
}

/// A certificate in a folder, the model beside it.
fn with_certificate(use_it: impl FnOnce(&Path, &str, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("digits.pth");
    fs::copy(digits().model, &model).unwrap();
    let certificate = folder.path().join("c.json");
    let (model, certificate) = (model.to_str().unwrap(), certificate.to_str().unwrap());
    let ran = lipcert([
        "verify",
        model,
        "--input",
        "1x8x8",
        "--preprocess",
        "mean=0.3053",
        "-o",
        certificate,
    ]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.first_line().starts_with("certified: Lipschitz bound 1.2524"), "{ran:?}");
    use_it(folder.path(), certificate, model);
}

#[test]
fn a_certificate_is_accepted_for_its_model_alone() {
    with_certificate(|folder, certificate, model| {
        let ran = lipcert(["check", certificate, model, "--json"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_eq!(ran.json()["verdict"], "certified");
        assert_eq!(ran.json()["schema"], "lipcert/check/1");

        // One bit of one weight, and a byte behind the end.
        let bytes = fs::read(model).unwrap();
        for (name, change) in [("flip", bytes.len() / 3), ("longer", bytes.len())] {
            let mut other = bytes.clone();
            if change < other.len() {
                other[change] ^= 1;
            } else {
                other.push(0);
            }
            let path = folder.join(name);
            fs::write(&path, other).unwrap();
            let ran = lipcert(["check", certificate, path.to_str().unwrap()]);
            assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{name}: {ran:?}");
        }
        let same_network = "tests/fixtures/sll_digits/digits.safetensors";
        let ran = lipcert(["check", certificate, same_network]);
        assert_eq!(ran.status, Some(2));
        assert!(
            ran.stderr.contains("the certificate is of a model with sha256"),
            "{}",
            ran.stderr
        );
        // -o refuses what exists, and nothing is lost.
        let before = fs::read(certificate).unwrap();
        let ran = lipcert(["verify", model, "--input", "1x8x8", "-o", certificate]);
        assert_eq!(ran.status, Some(2));
        assert_eq!(fs::read(certificate).unwrap(), before);
        assert_eq!(
            lipcert(["verify", model, "--input", "1x8x8", "-o", certificate, "--force"]).status,
            Some(0)
        );
    });
}

/// Every digit of every number, changed one at a time, with the honest digest: a fault, never certified.
#[test]
fn a_changed_digit_is_refused() {
    with_certificate(|folder, certificate, model| {
        let text = fs::read_to_string(certificate).unwrap();
        let forged = folder.join("forged.json");
        let digits: Vec<usize> = text
            .char_indices()
            .filter(|(_, c)| c.is_ascii_digit())
            .map(|(at, _)| at)
            .collect();
        assert!(digits.len() > 300);
        // Starting the program costs more than the check: every 40th digit here, all of them in the rules' own tests.
        for at in digits.into_iter().step_by(40) {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'9' { b'0' } else { other[at] + 1 };
            fs::write(&forged, other).unwrap();
            let ran = lipcert(["check", forged.to_str().unwrap(), model]);
            assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{at}: {ran:?}");
        }
    });
}

/// A forger who recomputes the digest has claims that are not proved: not certified.
#[test]
fn a_smaller_claim_with_an_honest_digest_is_not_certified() {
    use lipcert_proofs::CertificateFile;
    use lipcert_proofs::certificate::Witness;
    use lipcert_proofs::format::FormatError;
    with_certificate(|folder, certificate, model| {
        let mut file = CertificateFile::read(&fs::read(certificate).unwrap()).unwrap();
        let head = file.layers.last_mut().unwrap();
        let Witness::NormalizedRows { inside } = &mut head.witness else {
            panic!("{head:?}")
        };
        inside.lambda *= 0.999;
        file.digest = "0".repeat(64);
        let blank = file.to_bytes();
        let Err(FormatError::Digest { computed, .. }) = CertificateFile::read(&blank) else {
            panic!("{file:?}")
        };
        let forged = folder.join("forged.json");
        file.digest = computed;
        fs::write(&forged, file.to_bytes()).unwrap();
        let ran = lipcert(["check", forged.to_str().unwrap(), model]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.first_line().starts_with("not certified"), "{ran:?}");
    });
}

/// The three layouts of one checkpoint are one network.
#[test]
fn three_layouts_of_one_checkpoint() {
    let files = ["sll/model.ckpt-1202.pth", "sll/model.legacy.pth", "sll/bare_state_dict.pth"];
    let uppers: Vec<String> = files
        .iter()
        .filter_map(|file| shared(file))
        .map(|path| {
            let ran = lipcert(["verify", path.to_str().unwrap(), "--input", "3x32x32", "--json"]);
            assert_eq!(ran.status, Some(0), "{ran:?}");
            let json = ran.json();
            let lambdas: Vec<String> = json["layers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|layer| layer["gram_lambda"].to_string())
                .collect();
            format!("{} {lambdas:?}", json["lipschitz"]["upper"])
        })
        .collect();
    assert!(uppers.windows(2).all(|pair| pair[0] == pair[1]), "{uppers:?}");
}

/// What the deployed convolution computes is said: q cancels.
#[test]
fn inspect_says_what_is_odd() {
    let ran = lipcert(["inspect", "tests/fixtures/sll_digits/digits.pth", "--json"]);
    assert_eq!(ran.status, Some(0));
    let json = ran.json();
    assert_eq!(
        (&json["schema"], &json["model"]["architecture"]),
        (&"lipcert/inspect/1".into(), &"sll".into())
    );
    let findings = json["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding["message"].as_str().unwrap().contains("q cancels")),
        "{findings:?}"
    );
    let odd = lipcert(["inspect", "tests/hostile/odd.pth", "--json"]);
    assert_eq!(odd.status, Some(0), "{odd:?}");
    assert!(odd.json()["model"]["architecture"].is_null());
    let nan = lipcert(["inspect", "tests/hostile/ev_nan.pth", "--json"]);
    assert_eq!(nan.status, Some(2), "{nan:?}");
    assert_eq!(nan.json()["findings"][0]["tensor"], "w");
}

/// A forger may not choose another function than the file declares: without the file's std the bound would be four times smaller.
#[test]
fn a_certificate_cannot_drop_the_preprocessing_of_the_file() {
    use lipcert_proofs::CertificateFile;
    use lipcert_proofs::format::FormatError;
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("c.json");
    let model = "tests/fixtures/sll_digits/digits.safetensors";
    let ran = lipcert(["verify", model, "-o", certificate.to_str().unwrap()]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let honest = CertificateFile::read(&fs::read(&certificate).unwrap()).unwrap();
    let drop_layer = |file: &mut CertificateFile| {
        (file.input.mean, file.input.std) = (Vec::new(), Vec::new());
        file.layers.remove(0);
        for (index, layer) in file.layers.iter_mut().enumerate() {
            layer.index = index;
        }
    };
    let other_mean = |file: &mut CertificateFile| file.input.mean = vec!["0.9".parse().unwrap()];
    let other_shape = |file: &mut CertificateFile| file.input.shape = vec![1, 4, 16];
    type Change<'a> = (&'a str, &'a dyn Fn(&mut CertificateFile));
    let changes: [Change<'_>; 3] = [("dropped", &drop_layer), ("mean", &other_mean), ("shape", &other_shape)];
    for (name, change) in changes {
        let mut forged = honest.clone();
        change(&mut forged);
        forged.digest = "0".repeat(64);
        let Err(FormatError::Digest { computed, .. }) = CertificateFile::read(&forged.to_bytes()) else {
            panic!("{name}")
        };
        forged.digest = computed;
        let path = folder.path().join(name);
        fs::write(&path, forged.to_bytes()).unwrap();
        let ran = lipcert(["check", path.to_str().unwrap(), model]);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{name}: {ran:?}");
        assert!(ran.stderr.contains("the file declares"), "{name}: {}", ran.stderr);
    }
}

/// The intended convolution, with `q` active in `T`, is another architecture; for a torch file it is declared in TOML.
#[test]
fn a_declared_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let names = |i: usize| format!("module.model.model.{i}");
    let mut text = "schema = \"lipcert/architecture/1\"\nname = \"sll-weighted\"\ninput = [1, 8, 8]\n".to_owned();
    let mut layer = |kind: &str, i: usize, more: &str| {
        text.push_str(&format!("[[layers]]\nkind = \"{kind}\"\nname = \"{}\"\n{more}", names(i)));
    };
    layer("pad-channels", 0, "channels = 24\n");
    (1..=4).for_each(|i| layer("sll-conv-weighted", i, ""));
    layer("average-pool", 5, "size = 4\ndivisor = 4\n");
    layer("flatten", 6, "");
    (7..=8).for_each(|i| layer("sll-dense", i, ""));
    layer("normalized-head", 9, "");
    let arch = folder.path().join("weighted.toml");
    fs::write(&arch, text).unwrap();
    let certificate = folder.path().join("c.json");
    let model = "tests/fixtures/sll_digits/digits.pth";
    let (arch, certificate) = (arch.to_str().unwrap(), certificate.to_str().unwrap());
    let ran = lipcert(["verify", model, "--arch", arch, "-o", certificate, "--json"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert_eq!(ran.json()["model"]["architecture"], "sll-weighted");
    assert_eq!(ran.json()["layers"][1]["kind"], "sll-conv-weighted");
    assert_eq!(lipcert(["check", certificate, model, "--arch", arch]).status, Some(0));
    // Without the declaration the file is the official network, another function.
    let other = lipcert(["check", certificate, model]);
    assert_eq!((other.status, other.stdout.as_str()), (Some(2), ""), "{other:?}");
    // A file that declares itself cannot be told to be something else.
    let twice = lipcert(["verify", "tests/fixtures/sll_digits/digits.safetensors", "--arch", arch]);
    assert_eq!(twice.status, Some(2));
    assert!(twice.stderr.contains("declares its architecture itself"), "{}", twice.stderr);
    assert_eq!(lipcert(["verify", model, "--arch", "missing.toml"]).status, Some(2));
}
