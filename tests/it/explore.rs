//! `lipcert explore`: what it finds, what it proves, what it measures.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use num_rational::BigRational;
use serde_json::Value;

use crate::cli::{Ran, lipcert, lipcert_in};

/// Runs a script of this text in a folder of its own.
pub(crate) fn explore(text: &str, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("idea.lua"), text).unwrap();
    lipcert_in(folder.path(), ["explore", "idea.lua"].iter().chain(arguments))
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn exact(value: f64) -> BigRational {
    BigRational::from_float(value).unwrap()
}

/// `‖Wv‖²` and `vᵀTv` of a recorded counterexample, in fractions.
fn forms(counterexample: &Value) -> (BigRational, BigRational) {
    let v: Vec<BigRational> = list(&counterexample["vector"]).into_iter().map(exact).collect();
    let t: Vec<BigRational> = list(&counterexample["t"]).into_iter().map(exact).collect();
    let zero = || exact(0.0);
    let image = counterexample["weight"].as_array().unwrap().iter().map(|row| {
        let entry = list(row).into_iter().zip(&v).fold(zero(), |sum, (w, v)| sum + exact(w) * v);
        &entry * &entry
    });
    let gram = image.fold(zero(), |sum, square| sum + square);
    let product = |row: &[BigRational]| row.iter().zip(&v).fold(zero(), |sum, (t, v)| sum + t * v);
    let form = match counterexample["form"].as_str().unwrap() {
        "diagonal" => t.iter().zip(&v).fold(zero(), |sum, (t, v)| sum + t * v * v),
        "full" => t.chunks(v.len()).zip(&v).fold(zero(), |sum, (row, v)| sum + product(row) * v),
        _ => t.chunks(v.len()).fold(zero(), |sum, row| sum + product(row) * product(row)),
    };
    (gram, form)
}

/// Runs a wrong script and checks its counterexample a second time.
fn refuted(text: &str) -> Value {
    let ran = explore(text, &["--json"]);
    assert_eq!(ran.status, Some(1), "{text}: {ran:?}");
    let found = ran.json()["counterexample"].clone();
    assert_eq!(found["kind"], "violation", "{text}: {found}");
    let (gram, form) = forms(&found);
    assert!(gram > form, "{text}: {found}");
    if let Some(ratio) = found["ratio"].as_f64() {
        assert!(gram >= exact(ratio) * form && ratio > 1.0 + 1e-6, "{text}: {found}");
    }
    found
}

#[test]
fn the_wrong_family_is_refuted_and_small() {
    let ran = lipcert(["explore", "signed-row-sums"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!(ran.first_line(), "counterexample, proved: signed-row-sums");
    assert!(ran.stdout.contains("wrong on "), "{ran:?}");
    let found = refuted(include_str!("../../src/jobs/explore/families/signed-row-sums.lua"));
    let rows = found["weight"].as_array().unwrap();
    assert!(rows.len() == 1 && list(&rows[0]).len() == 2, "{found}");
}

#[test]
fn sound_families_survive() {
    for family in ["aol", "sll", "perron", "spectral", "frobenius", "gram-2"] {
        let ran = lipcert(["explore", family, "--trials", "3000", "--json"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let json = ran.json();
        assert_eq!(json["schema"], "lipcert/explore/1");
        assert_eq!((&json["family"], &json["trials"]), (&family.into(), &3000.into()));
        assert!(
            json.get("counterexample").is_none() && json.get("verdict").is_none(),
            "{json}"
        );
        let worst = json["approx_worst"].as_f64().unwrap();
        assert!(worst > 0.9 && worst < 1.0 + 1e-9, "{family}: {worst}");
    }
    let text = lipcert(["explore", "aol", "--trials", "300"]).stdout;
    assert!(
        text.starts_with("no counterexample in 300 trials: aol (this proves nothing)"),
        "{text}"
    );
    assert!(!text.contains("certified"), "{text}");
}

#[test]
fn families_that_are_wrong_in_other_ways() {
    for text in [
        "return diag(g)",
        "return 0.999 * row_sums(abs(g))",
        "return -row_sums(abs(g))",
        "return 1",
        // Right for one column, not for two.
        "return diag(g) * (1 + 0.9 * (m - 1))",
        // q on the wrong side, once only.
        "return matmul(abs(g), q)",
        "return sum(q) * 0",
        // Full matrices and factors.
        "return g * 0.99",
        "return factor(cholesky(g + identity(m) * (1e-3 * trace(g) + 1e-30)) * 0.9)",
        "return symmetric(matmul(diag(q), g))",
    ] {
        refuted(text);
    }
    // Wrong only in a direction that is neither an axis nor all ones.
    let found = refuted("return 1.5 * diag(g)");
    assert!(
        list(&found["vector"]).iter().filter(|v| v.abs() > 0.1).count() >= 2,
        "{found}"
    );
}

#[test]
fn whole_matrices_that_hold() {
    for text in [
        "return g",
        "return g + diag(q)",
        "return factor(cholesky(g + identity(m) * (1e-6 * trace(g) + 1e-300)))",
        "return diag(row_sums(abs(g)))",
    ] {
        let ran = explore(text, &["--trials", "2000", "--json"]);
        assert_eq!(ran.status, Some(0), "{text}: {ran:?}");
    }
}

#[test]
fn a_miss_by_rounding_is_no_counterexample() {
    let ran = explore("return (1 - 1e-9) * row_sums(abs(g))", &["--trials", "2000", "--json"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.json()["approx_worst"].as_f64().unwrap() > 1.0 + 0.5e-9);
    refuted("return (1 - 3e-6) * row_sums(abs(g))");
    // Proved after an enlargement of 0.3 %, and wrong all the same.
    let folder = tempfile::tempdir().unwrap();
    npy(folder.path(), "w.npy", 1, 1);
    fs::write(folder.path().join("low.lua"), "return 0.998 * row_sums(abs(g))").unwrap();
    let ran = lipcert_in(folder.path(), ["explore", "low.lua", "--weight", "w.npy", "--json"]);
    assert_eq!(
        (ran.status, &ran.json()["verdict"]),
        (Some(1), &"not-certified".into()),
        "{ran:?}"
    );
    assert_eq!(
        ran.json()["tightness"]["families"].as_array().unwrap().last().unwrap()["wrong"],
        1
    );
}

#[test]
fn what_is_no_number_is_no_t() {
    let ran = explore("return row_sums(abs(g)) / norm(w) * norm(w)", &["--json", "--trials", "5000"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let found = &ran.json()["counterexample"];
    assert_eq!(found["kind"], "undefined");
    assert_eq!(found["weight"], serde_json::json!([[0.0]]));
}

#[test]
fn the_same_for_any_number_of_threads() {
    let run = |threads: &str| {
        let ran = explore(
            "return row_sums(abs(g)) * (1 - 0.4 * smallest(abs(diag(g))) / trace(g))",
            &["--seed", "7", "--threads", threads, "--json"],
        );
        let json = ran.json();
        (
            ran.status,
            json["trials"].clone(),
            json["approx_worst"].clone(),
            json["counterexample"].clone(),
        )
    };
    assert_eq!(run("1"), run("3"));
    let seeds = |seed: &str| explore("return row_sums(abs(g))", &["--seed", seed, "--trials", "500", "--json"]).json();
    assert_ne!(seeds("1")["approx_worst"], seeds("2")["approx_worst"]);
}

#[test]
fn families_stand_in_the_order_of_the_optimum() {
    let json = lipcert(["explore", "aol", "--trials", "10", "--json"]).json();
    let families = json["tightness"]["families"].as_array().unwrap();
    let means: Vec<f64> = families
        .iter()
        .map(|family| family["approx_trace"].as_f64().unwrap())
        .collect();
    assert!(means.is_sorted(), "{means:?}");
    assert!(families[0]["name"].as_str().unwrap().starts_with("(optimum"));
    assert!(means[0] < 1.0 + 1e-5, "{means:?}");
    let get = |name: &str| families.iter().find(|family| family["name"] == name).unwrap();
    for family in families {
        for ratio in list(&family["trace"]) {
            assert!(ratio >= 1.0, "{family}");
        }
    }
    // T = ‖W‖² I is the best for the largest entry, and no q is better than ones for the trace.
    assert!(list(&get("spectral")["max"]).iter().all(|ratio| *ratio < 1.0 + 1e-9));
    for (aol, sll) in list(&get("aol")["trace"]).iter().zip(list(&get("sll")["trace"])) {
        assert!(*aol <= sll);
    }
    for (perron, aol) in list(&get("perron")["max"]).iter().zip(list(&get("aol")["max"])) {
        assert!(*perron <= aol * (1.0 + 1e-6));
    }
    let gains = list(&get("aol")["approx_plain_gain"]);
    assert!(gains.is_sorted_by(|a, b| a >= b) && gains[0] <= 1.0, "{gains:?}");
}

/// A script that is right wherever the search looks, and below the dual bound on a weight of the comparison.
#[test]
fn the_dual_bound_finds_what_the_search_does_not() {
    let text = "local t = row_sums(abs(g))\nif m > 8 then\n  t = t * 0.5\nend\nreturn t\n";
    let found = refuted(text);
    assert!(found.get("trial").is_none(), "{found}");
}

fn npy(folder: &Path, name: &str, rows: usize, cols: usize) {
    let entry = |(i, j): (usize, usize)| f64::from(u32::try_from((7 * i + 3 * j + i * j) % 11).unwrap()) - 5.0;
    ndarray_npy::write_npy(folder.join(name), &Array2::from_shape_fn((rows, cols), entry)).unwrap();
}

#[test]
fn one_weight_is_certified_or_refuted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    npy(path, "w.npy", 9, 6);
    for (family, delta) in [("aol", 1e-11), ("frobenius", 1e-11), ("spectral", 1e-9)] {
        let ran = lipcert_in(path, ["explore", family, "--weight", "w.npy", "--json"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let json = ran.json();
        assert_eq!(json["verdict"], "certified");
        let weight = &json["weight"];
        let found = weight["delta"].as_f64().unwrap();
        assert!((0.0..=delta).contains(&found), "{weight}");
        assert!(weight["residual"].as_f64().unwrap() >= 1.0 + 2.0 * found && weight["plain"].as_f64().unwrap() >= 1.0);
        assert_eq!(list(&weight["t"]).len(), 6);
        assert_eq!(json["tightness"]["weights"][0]["shape"], serde_json::json!([9, 6]));
    }
    // On the other side T has one entry a row.
    let ran = lipcert_in(path, ["explore", "aol", "--weight", "w.npy", "--side", "rows", "--json"]);
    assert_eq!(list(&ran.json()["weight"]["t"]).len(), 9, "{ran:?}");
    fs::write(path.join("half.lua"), "return row_sums(abs(g)) * 0.2\n").unwrap();
    let ran = lipcert_in(path, ["explore", "half.lua", "--weight", "w.npy"]);
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(
        ran.first_line().starts_with("not certified: WᵀW ⪯ (1 + δ) T, δ = "),
        "{ran:?}"
    );
    fs::write(path.join("full.lua"), "return g\n").unwrap();
    let ran = lipcert_in(path, ["explore", "full.lua", "--weight", "w.npy"]);
    assert_eq!(
        (ran.status, ran.first_line()),
        (Some(1), "not certified: WᵀW ⪯ T is not proved")
    );
}

#[test]
fn a_weight_of_an_sll_checkpoint() {
    let weight = "tests/fixtures/sll_digits/digits.pth#module.model.model.7.weight";
    let ran = lipcert(["explore", "sll", "--weight", weight, "--side", "rows", "--json"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert_eq!(ran.json()["weight"]["side"], "rows");
}

#[test]
fn files_are_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let files = ["-o", "w.npy", "-o", "all.json", "--plot", "plot.svg"];
    let run = |more: &[&str]| {
        let arguments = ["explore", "signed-row-sums"].iter().chain(&files).chain(more);
        lipcert_in(path, arguments)
    };
    assert_eq!(run(&[]).status, Some(1));
    let json: Value = serde_json::from_slice(&fs::read(path.join("all.json")).unwrap()).unwrap();
    let weight: Array2<f64> = ndarray_npy::read_npy(path.join("w.npy")).unwrap();
    let rows: Vec<Vec<f64>> = json["counterexample"]["weight"]
        .as_array()
        .unwrap()
        .iter()
        .map(list)
        .collect();
    let stored: Vec<Vec<f64>> = weight.rows().into_iter().map(|row| row.to_vec()).collect();
    assert_eq!(rows, stored);
    let svg = fs::read_to_string(path.join("plot.svg")).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("wrong on "),
        "{svg}"
    );
    // The weight that was written is refuted again.
    let again = lipcert_in(path, ["explore", "signed-row-sums", "--weight", "w.npy"]);
    assert_eq!(again.status, Some(1), "{again:?}");
    let refused = run(&[]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(run(&["--force"]).status, Some(1));
    let other = lipcert_in(path, ["explore", "aol", "-o", "w.txt"]);
    assert_eq!(other.status, Some(2), "{other:?}");
    fs::write(path.join("idea.json"), "return 1").unwrap();
    let input = lipcert_in(path, ["explore", "idea.json", "-o", "idea.json", "--force"]);
    assert!(input.status == Some(2) && input.stderr.contains("input"), "{input:?}");
}

#[test]
fn every_function_is_in_the_manual() {
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explore.md")).unwrap();
    for name in lipcert::jobs::explore::functions() {
        assert!(
            manual.contains(&format!("`{name}(")) || manual.contains(&format!("`{name}{{")),
            "{name}"
        );
    }
    for family in lipcert::jobs::explore::families() {
        assert!(manual.contains(&format!("`{family}`")), "{family}");
    }
    // The scripts of the manual run.
    let scripts: Vec<&str> = manual
        .split("```lua\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(scripts.len() >= 4, "{}", scripts.len());
    for script in scripts {
        let ran = explore(script, &["--trials", "500"]);
        assert!(ran.status == Some(0) || ran.status == Some(1), "{script}: {ran:?}");
    }
}
