//! Dense networks on the command line: bounds, certificates, counts, bad input.

mod published;
mod refused;

use std::fs;
use std::path::Path;

use ndarray::{Array1, Array2};
use ndarray_npy::{NpzWriter, write_npy};
use serde_json::Value;

use crate::cli::{lipcert, start};
use crate::reference::shared;

/// Writes `W0, b0, W1, b1, …`.
fn write_net(path: &Path, weights: &[Array2<f64>]) {
    let mut npz = NpzWriter::new(fs::File::create(path).unwrap());
    for (index, weight) in weights.iter().enumerate() {
        npz.add_array(format!("W{index}"), weight).unwrap();
        npz.add_array(format!("b{index}"), &Array1::from_elem(weight.nrows(), 0.1))
            .unwrap();
    }
    npz.finish().unwrap();
}

/// A weight with entries in [−1, 1), the same for the same arguments.
fn weight(rows: usize, cols: usize, seed: u64) -> Array2<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Array2::from_shape_simple_fn((rows, cols), || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

/// Four inputs, two hidden layers, three classes.
fn small() -> Vec<Array2<f64>> {
    vec![weight(7, 4, 1), weight(6, 7, 2), weight(3, 6, 3)]
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `verify --json` with further arguments; status 0.
fn verify(model: &Path, more: &[&str]) -> Value {
    let ran = lipcert(["verify", text(model), "--preprocess", "none", "--json"].iter().chain(more));
    assert_eq!(ran.status, Some(0), "{} {}", ran.stdout, ran.stderr);
    ran.json()
}

fn upper(verified: &Value) -> f64 {
    verified["lipschitz"]["upper"].as_f64().unwrap()
}

#[test]
fn methods_in_their_order_and_their_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("net.npz");
    write_net(&model, &small());
    let mut last = f64::INFINITY;
    for method in ["product", "eclipse-fast", "recursion", "lipsdp-layer", "lipsdp-neuron"] {
        let certificate = folder.path().join(format!("{method}.json"));
        let verified = verify(&model, &["--method", method, "-o", text(&certificate)]);
        assert_eq!(verified["method"], method);
        let bound = upper(&verified);
        // Each is a special case of a later one, but for the two families of closed forms and the solver's gap.
        if method != "lipsdp-layer" {
            assert!(bound <= last * (1.0 + 1e-6), "{method}: {bound} {last}");
            last = bound;
        }
        let checked = lipcert(["check", text(&certificate), text(&model), "--json"]);
        assert_eq!(checked.status, Some(0), "{}", checked.stderr);
        assert_eq!(upper(&checked.json()).to_bits(), bound.to_bits());
        // The same evidence for a network that differs in one entry.
        let mut other = small();
        other[1][(0, 0)] += 1e-3;
        let twin = folder.path().join("twin.npz");
        write_net(&twin, &other);
        assert_eq!(lipcert(["check", text(&certificate), text(&twin)]).status, Some(2));
    }
    let general = verify(&model, &["--solver", "clarabel"]);
    assert!((upper(&general) / last - 1.0).abs() <= 1e-5, "{} {last}", upper(&general));
    let auto = verify(&model, &[]);
    assert_eq!(auto["method"], "lipsdp-neuron");
}

#[test]
fn outputs() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("net.npz");
    write_net(&model, &small());
    let bound = |output: &str| upper(&verify(&model, &["--output", output]));
    let (all, features) = (bound("all"), bound("features"));
    for output in ["class:0", "class:2"] {
        assert!(bound(output) <= all * (1.0 + 1e-6));
    }
    let pair = bound("pair:0,2");
    assert!(pair <= 2.0_f64.sqrt() * all * (1.0 + 1e-6));
    assert!((bound("pair:2,0") / pair - 1.0).abs() < 1e-5);
    assert!(features > 0.0);
    assert_eq!(lipcert(["verify", text(&model), "--output", "class:3"]).status, Some(2));
}

/// A pair bound by LipSDP makes radii larger, and every certified sample stays where it is.
#[test]
fn radii_by_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (folder.path().join("net.npz"), folder.path().join("data.npz"));
    write_net(&model, &small());
    let mut npz = NpzWriter::new(fs::File::create(&data).unwrap());
    let x = weight(20, 4, 9).into_shape_with_order((20, 1, 2, 2)).unwrap();
    npz.add_array("x", &x).unwrap();
    npz.add_array("y", &Array1::<i64>::zeros(20)).unwrap();
    npz.finish().unwrap();
    let radii = |method: &str| -> Vec<f64> {
        let samples = folder.path().join(format!("{method}.csv"));
        let data = format!("npz:{}", data.display());
        let ran = lipcert([
            "certify",
            text(&model),
            "--data",
            &data,
            "--preprocess",
            "none",
            "--method",
            method,
            "--samples",
            text(&samples),
        ]);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let table = fs::read_to_string(samples).unwrap();
        table
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
            .collect()
    };
    let (product, pairs) = (radii("product"), radii("lipsdp-neuron"));
    assert_eq!(product.len(), 20);
    for (small, large) in product.iter().zip(&pairs) {
        assert!(large >= small, "{small} {large}");
    }
    assert!(pairs.iter().sum::<f64>() > 1.2 * product.iter().sum::<f64>());
}

/// Right answers where the network is hardly one.
#[test]
fn degenerate_networks() {
    let folder = tempfile::tempdir().unwrap();
    let column = |values: &[f64]| Array2::from_shape_vec((values.len(), 1), values.to_vec()).unwrap();
    let row = |values: &[f64]| Array2::from_shape_vec((1, values.len()), values.to_vec()).unwrap();
    let mut dead = small();
    dead[0].row_mut(2).fill(0.0);
    dead[2].column_mut(4).fill(0.0);
    let scaled = |first: f64, second: f64| vec![weight(3, 2, 4) * first, weight(2, 3, 5) * second];
    let reference = {
        let path = folder.path().join("reference.npz");
        write_net(&path, &scaled(1.0, 1.0));
        upper(&verify(&path, &[]))
    };
    // (name, weights, least, most)
    for (name, weights, least, most) in [
        ("one layer", vec![column(&[3.0, 4.0])], 5.0, 5.0 * (1.0 + 1e-9)),
        ("width one", vec![row(&[3.0, 4.0]), column(&[2.0])], 10.0, 10.0 * (1.0 + 1e-5)),
        ("zeros", vec![Array2::zeros((3, 2)), weight(2, 3, 1)], 0.0, 1e-100),
        ("dead", dead, 1e-3, 1e3),
        (
            "far apart",
            scaled(1e60, 1e-60),
            reference * (1.0 - 1e-5),
            reference * (1.0 + 1e-5),
        ),
        (
            "far apart too",
            scaled(1e-75, 1e75),
            reference * (1.0 - 1e-5),
            reference * (1.0 + 1e-5),
        ),
        (
            "tiny",
            scaled(1e-30, 1e-30),
            reference * 1e-60 * (1.0 - 1e-5),
            reference * 1e-60 * (1.0 + 1e-5),
        ),
    ] {
        let path = folder.path().join(format!("{name}.npz"));
        write_net(&path, &weights);
        let bound = upper(&verify(&path, &[]));
        assert!(
            least <= bound && bound <= most,
            "{name}: {bound:e} not in [{least:e}, {most:e}]"
        );
    }
    // Beyond the range of the rule: the product of norms or a clear refusal, never a wrong number.
    for (first, second) in [(1e150, 1e-150), (1e-150, 1e150), (1e150, 1.0)] {
        let path = folder.path().join("extreme.npz");
        write_net(&path, &scaled(first, second));
        let ran = lipcert(["verify", text(&path), "--preprocess", "none", "--json"]);
        if ran.status == Some(0) {
            assert!(upper(&ran.json()) >= reference * first * second * (1.0 - 1e-5));
        } else {
            assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        }
    }
}

/// The absolute value has slopes in [−1, 1]: the multipliers of a leaky relu with slope −1, and more than those of relu.
#[test]
fn absolute_values_between_dense_layers() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("net.npz");
    write_net(&model, &small());
    let declare = |kind: &str| {
        let arch = folder.path().join("arch.toml");
        let layer = |name: usize| format!("{{ kind = \"dense\", name = \"{name}\" }}, {{ kind = {kind}, name = \"a{name}\" }}");
        let layers = format!("[{}, {}, {{ kind = \"dense\", name = \"2\" }}]", layer(0), layer(1));
        let text = format!("schema = \"lipcert/architecture/1\"\nname = \"net\"\nlayers = {layers}\n");
        fs::write(&arch, text).unwrap();
        let verified = verify(&model, &["--arch", arch.to_str().unwrap()]);
        assert_eq!(verified["method"], "lipsdp-neuron");
        let lower = verified["lipschitz"]["lower"].as_f64().unwrap();
        assert!(lower <= upper(&verified) * (1.0 + 1e-9));
        upper(&verified)
    };
    let absolute = declare("\"abs\"");
    let leaky = declare("\"leaky-relu\", slope = -1.0");
    assert!((absolute / leaky - 1.0).abs() < 1e-5, "{absolute} {leaky}");
    assert!(declare("\"relu\"") < absolute);
}

#[test]
fn the_best_diagonal_of_a_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.npy");
    let matrix = weight(40, 24, 6);
    write_npy(&path, &matrix).unwrap();
    let solve = |more: &[&str]| {
        let ran = lipcert(["solve", text(&path), "--json"].iter().chain(more));
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        ran.json()
    };
    let trace = solve(&[]);
    let objective = |solved: &Value, key: &str| solved["objective"][key].as_f64().unwrap();
    let (upper, dual) = (objective(&trace, "upper"), objective(&trace, "dual_bound"));
    assert!(dual <= upper && upper / dual - 1.0 < 1e-5, "{dual} {upper}");
    let t: Vec<f64> = trace["t"].as_array().unwrap().iter().map(|t| t.as_f64().unwrap()).collect();
    assert_eq!(t.len(), 24);
    assert!(t.iter().sum::<f64>() <= upper);
    let forms = trace["closed_forms"].as_array().unwrap();
    for name in ["aol", "spectral", "perron", "frobenius"] {
        let form = forms.iter().find(|form| form["name"] == name).unwrap();
        assert!(form["objective"].as_f64().unwrap() >= dual, "{form}");
    }
    // The best largest entry is the square of the norm, here of either side.
    let largest = solve(&["--objective", "max"]);
    let rows = solve(&["--objective", "max", "--side", "rows"]);
    assert!((objective(&largest, "upper") / objective(&rows, "upper") - 1.0).abs() < 1e-9);
    assert_eq!(rows["t"].as_array().unwrap().len(), 40);
    // Twice the weights, twice the objective.
    let weights = folder.path().join("c.npy");
    write_npy(&weights, &Array1::from_elem(24, 2.0)).unwrap();
    let weighted = solve(&["--objective", &format!("weighted:{}", weights.display())]);
    assert!((objective(&weighted, "upper") / (2.0 * upper) - 1.0).abs() < 1e-5);
}

/// A state dict does not say what lies between its layers: nothing is certified without being told.
#[test]
fn an_activation_that_nobody_stated() {
    let Some(model) = shared("nets/glipsdp/Comparison/exports_archive/fnn2.pt") else {
        return;
    };
    let assumed = lipcert(["verify", text(&model), "--preprocess", "none", "--json"]);
    assert_eq!(assumed.status, Some(0), "{}", assumed.stderr);
    let assumed = assumed.json();
    assert_eq!(assumed["verdict"], "conditional");
    assert!(assumed["assumptions"][0].as_str().unwrap().contains("relu"));
    assert_eq!(
        lipcert(["verify", text(&model), "--preprocess", "none", "--strict"]).status,
        Some(1)
    );
}

/// The first interrupt ends the search; what was found so far is proved and printed.
#[test]
#[cfg(unix)]
fn an_interrupt_ends_the_search_with_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (model, certificate) = (folder.path().join("deep.npz"), folder.path().join("deep.json"));
    let mut weights = vec![weight(40, 4, 1)];
    // About 1.2 a layer: far from solved when the interrupt comes.
    weights.extend((0..60).map(|layer| weight(40, 40, 2 + layer) * 0.16));
    weights.push(weight(2, 40, 99));
    write_net(&model, &weights);
    let running = start([
        "verify",
        text(&model),
        "--preprocess",
        "none",
        "--json",
        "-o",
        text(&certificate),
    ]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let signalled = std::process::Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status();
    assert!(signalled.unwrap().success());
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&verified["verdict"], &verified["solver"]["status"]),
        (&"certified".into(), &"stopped".into())
    );
    let product = upper(&verify(&model, &["--method", "product"]));
    assert!(upper(&verified) < 1e-3 * product);
    assert_eq!(lipcert(["check", text(&certificate), text(&model)]).status, Some(0));
}
