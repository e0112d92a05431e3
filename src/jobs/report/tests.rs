//! Reports of runs that were made up here.

use super::*;
use crate::results::{
    CertifiedAt, CertifiedModels, CertifySchema, Data, Epsilon, FileHash, LayerResult, Lipschitz, Model, Verdict, curve,
};

/// A certified run of `samples` samples whose names all carry `mark`.
fn certified(mark: &str, samples: usize) -> Certified {
    let radii: Vec<f64> = (0..samples * 4 / 5)
        .map(|i| 1.3 * (i as f64 / samples as f64).powi(2))
        .collect();
    let correct = radii.len();
    let row = |text: &str| {
        let epsilon: Epsilon = text.parse().unwrap();
        CertifiedAt::new(
            &epsilon,
            radii.iter().filter(|&&radius| radius >= epsilon.radius()).count(),
            samples,
        )
    };
    let layer = |index: usize, kind: &str, bound: f64| LayerResult {
        index,
        name: format!("layer.{index}{mark}"),
        kind: kind.to_owned(),
        rule: Some("diagonal-dominance".to_owned()),
        bound: Some(bound),
        slack: Some(-1.5e-12),
        seconds: 0.25,
        gram_lambda: (kind == "sll-dense").then_some(1.0 + 1e-12),
        ..LayerResult::default()
    };
    Certified {
        schema: CertifySchema::Certify1,
        tool: Tool::current(),
        verdict: Verdict::Certified,
        assumptions: Vec::new(),
        semantics: Semantics::Real,
        command: format!("lipcert certify model{mark}.pth --data digits"),
        model: Model {
            path: format!("model{mark}.pth"),
            sha256: "0".repeat(64),
            format: "torch-zip".to_owned(),
            architecture: format!("sll{mark}"),
            parameters: 34_442,
            input: vec![1, 8, 8],
            preprocess: "none".to_owned(),
            declaration: None,
        },
        data: Data {
            name: format!("digits{mark}"),
            split: "test".to_owned(),
            sha256: "1".repeat(64),
            samples,
            total: samples,
        },
        lipschitz: Lipschitz {
            output: "all".to_owned(),
            upper: Some(1.25),
            features: Some(1.0 + 2e-12),
            lower: None,
            dual_bound: None,
        },
        rule: "last-layer".to_owned(),
        method: "layers".to_owned(),
        pairs: Vec::new(),
        samples,
        correct,
        accuracy: correct as f64 / samples as f64,
        certified: ["36/255", "72/255", "108/255", "1"].map(row).to_vec(),
        undecided: 0,
        unproved_class: 0,
        max_logit_error: Some(2.5e-10),
        curve: curve(&radii),
        layers: vec![layer(0, "sll-conv", 1.0), layer(1, "sll-dense", 1.0 + 2e-12)],
        certificate: Some(FileHash {
            path: Some(format!("certificate{mark}.json")),
            sha256: "2".repeat(64),
        }),
        seconds: 1.5,
        samples_per_second: 240.0,
    }
}

fn file(run: &impl Serialize) -> (String, Vec<u8>) {
    ("run.json".to_owned(), to_json(run).unwrap())
}

fn document(run: &impl Serialize, kind: DocumentKind) -> String {
    let report = super::run(&[file(run)]).unwrap();
    String::from_utf8(report.document(kind).unwrap()).unwrap()
}

/// Every string of a run file is untrusted.
#[test]
fn no_string_of_a_run_becomes_markup() {
    let mark = "<script>alert(1)</script>\" onload='x' & | `*_\u{1b}[2J";
    let mut hostile = certified(mark, 100);
    hostile.verdict = Verdict::Conditional;
    hostile.assumptions = vec![mark.to_owned()];
    hostile.layers[0].error = Some(mark.to_owned());
    let page = document(&hostile, DocumentKind::Html);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
    for forbidden in ["<script", "onload='", "\u{1b}", "http:", "https:", "url(", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // Every `<` that is left opens or closes an element of ours.
    let ours = [
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "div", "strong", "ul", "li",
    ];
    let more = [
        "figure",
        "figcaption",
        "svg",
        "path",
        "text",
        "section",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
    ];
    let rest = ["dt", "dd", "pre", "code", "footer"];
    for tag in page.split('<').skip(1) {
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '!')
            .collect();
        assert!(ours.iter().chain(&more).chain(&rest).any(|known| *known == name), "<{name}");
    }
    let text = document(&hostile, DocumentKind::Markdown);
    assert!(text.starts_with("# conditional (assuming &lt;script&gt;"), "{text}");
    // Markup stands only in indented blocks, where it is none.
    let outside: Vec<&str> = text.lines().filter(|line| !line.starts_with("    ")).collect();
    assert!(
        outside
            .iter()
            .all(|line| !line.contains("<script") && !line.contains('\u{1b}')),
        "{text}"
    );
    let terminal = run(&[file(&hostile)]).unwrap().to_string();
    assert!(!terminal.contains('\u{1b}'));
}

#[test]
fn a_page_names_what_it_speaks_of() {
    let run = certified("", 360);
    for kind in [DocumentKind::Html, DocumentKind::Markdown] {
        let text = document(&run, kind);
        for named in [
            "0".repeat(64),
            "1".repeat(64),
            "2".repeat(64),
            "semantics".to_owned(),
            "lipcert check".to_owned(),
        ] {
            assert!(text.to_lowercase().contains(&named), "{named} in {kind:?}");
        }
    }
    let page = document(&run, DocumentKind::Html);
    assert!(page.contains("<h1 class=\"certified\">certified: accuracy 80.00 %"), "{page}");
    assert!(page.contains("class=\"curve s0\""));
}

#[test]
fn what_is_written_reads_back_bit_for_bit() {
    let one = certified("", 360);
    assert_eq!(Run::read(&file(&one).1).unwrap(), Run::One(Box::new(one.clone())));
    let many = CertifiedModels::new("lipcert certify a b".to_owned(), vec![one.clone(), certified("", 360)], 3.0).unwrap();
    assert_eq!(Run::read(&file(&many).1).unwrap(), Run::Many(Box::new(many.clone())));
    let page = document(&many, DocumentKind::Html);
    assert!(page.contains("All networks") && page.contains("class=\"curve s1\""));
    let report: serde_json::Value = serde_json::from_str(&document(&many, DocumentKind::Json)).unwrap();
    assert_eq!(report["schema"], "lipcert/report/1");
    assert_eq!(report["runs"][0]["run"]["models"][1]["model"]["sha256"], "0".repeat(64));
}

/// A change to a run, by name.
type Change = (&'static str, fn(&mut Certified));

#[test]
fn a_run_that_contradicts_itself_is_refused() {
    let changes: [Change; 9] = [
        ("more certified than correct", |run| run.certified[0].count = run.correct + 1),
        ("another accuracy", |run| run.accuracy += 1e-9),
        ("certified with an assumption", |run| run.assumptions = vec!["x".to_owned()]),
        ("conditional without an assumption", |run| run.verdict = Verdict::Conditional),
        ("certified without a bound", |run| run.lipschitz.upper = None),
        ("smaller ε than typed", |run| run.certified[3].radius = 0.5),
        ("other number of samples", |run| run.data.samples += 1),
        ("rising curve", |run| run.curve[5].count = run.correct),
        ("more undecided than correct", |run| run.undecided = run.correct + 1),
    ];
    for (name, change) in changes {
        let mut run = certified("", 360);
        change(&mut run);
        assert!(super::run(&[file(&run)]).is_err(), "{name}");
    }
}

#[test]
fn foreign_files_are_refused() {
    let good = String::from_utf8(file(&certified("", 10)).1).unwrap();
    for bad in [
        good.replace("certify/1", "certify/2"),
        good.replacen("\"tool\"", "\"extra\": 1, \"tool\"", 1),
        good.replacen("\"undecided\"", "\"undecided\": 0, \"undecided\"", 1),
        good.replace("\"seconds\": 1.5", "\"seconds\": null"),
        good.replace("\"seconds\": 1.5", "\"seconds\": 1e999"),
        format!("{good}x"),
        "{}".to_owned(),
        "[]".to_owned(),
        String::new(),
    ] {
        assert!(Run::read(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(run(&[]).is_err());
}

#[test]
fn the_weakest_verdict_stands_first() {
    let mut weak = certified("", 10);
    weak.verdict = Verdict::Conditional;
    weak.assumptions = vec!["x".to_owned()];
    let report = run(&[file(&certified("", 10)), file(&weak)]).unwrap();
    let page = String::from_utf8(report.document(DocumentKind::Html).unwrap()).unwrap();
    let first = page.lines().find(|line| line.starts_with("<h1"));
    assert!(
        first.is_some_and(|line| line.starts_with("<h1 class=\"conditional\">conditional (assuming x)")),
        "{first:?}"
    );
}

#[test]
fn the_ending_names_the_kind() {
    assert_eq!(DocumentKind::of(Path::new("a/b.html")).unwrap(), DocumentKind::Html);
    assert_eq!(DocumentKind::of(Path::new("b.md")).unwrap(), DocumentKind::Markdown);
    assert_eq!(DocumentKind::of(Path::new("b.json")).unwrap(), DocumentKind::Json);
    for other in ["b", "b.pdf", ".html", "b.HTML.gz"] {
        assert!(DocumentKind::of(Path::new(other)).is_err(), "{other}");
    }
}
