//! The configuration of a training: what is taken, what is refused, and by which name.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use lipcert_models::training::config::{Config, ConfigError, Loss, Optimizer, Precision, Schedule, ScheduleKind};
use toml::{Table, Value};

/// Every table and every field that is not text.
const WHOLE: &str = r#"
schema = "lipcert/train-config/1"
seed = 7

[data]
train = "digits"
test = "digits"
validation = 0.1
limit = 100

[network]
preset = "sll-small"
name = "mine"
preprocess = "mean"

[loss]
kind = "cross-entropy"
offset = 2.0
temperature = 0.25

[regularizer]
certificate = 0.1
curvature = 0.2
orthogonality = 0.3

[optimizer]
kind = "nadam"
rate = 0.01
betas = [0.5, 0.9]
epsilon = 1e-6
decay = 0.0
lookahead = 5
follow = 0.5

[schedule]
kind = "multi-step"
warm-up = 0.05
milestones = [0.5, 0.75]
factor = 0.2

[augment]
crop = 4
flip = true
rotate = 10.0
shift = 0.1

[augment.jitter]
brightness = [0.9, 1.1]
contrast = [0.5, 2.0]
saturation = [0.3, 2.0]
hue = 0.02

[train]
epochs = 3
batch = 64
accumulate = 2
clip-norm = 1.0
clip-value = 0.5
precision = "bfloat16"
radius = 0.25
save-every = 2

[finetune]
parameters = "head"

[certify]
eps = ["36/255"]
limit = 10
"#;

/// The least that can be said.
const LEAST: &str = r#"
schema = "lipcert/train-config/1"
[data]
train = "digits"
[loss]
kind = "margin-boosting"
[optimizer]
kind = "sgd"
rate = 0.1
[train]
epochs = 1
batch = 1
"#;

fn whole() -> Table {
    WHOLE.parse().unwrap()
}

/// Sets a field by its path with points; a number ends a path into a list.
fn set(table: &mut Table, path: &str, value: Value) {
    let (parents, field) = path.rsplit_once('.').unwrap_or(("", path));
    let mut here = &mut *table;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        here = here[parent].as_table_mut().unwrap();
    }
    here.insert(field.to_owned(), value);
}

fn read(table: Table) -> Result<Config, String> {
    table.try_into::<Config>().map_err(|error| error.to_string())
}

/// The field that a configuration is refused for.
fn refused(table: Table) -> Option<&'static str> {
    match read(table).unwrap().check() {
        Ok(()) => None,
        Err(ConfigError::Range { field, .. } | ConfigError::Missing { field, .. }) => Some(field),
        Err(error) => panic!("{error}"),
    }
}

fn parsed(value: &str) -> Value {
    format!("x = {value}").parse::<Table>().unwrap()["x"].clone()
}

/// Tables of the kinds that the whole configuration does not show.
fn losses() -> Vec<&'static str> {
    vec![
        "kind = 'multi-margin'\nmargin = 0.7",
        "kind = 'cross-entropy-margin'\nmargin = 0.7",
        "kind = 'margin-boosting'",
        "kind = 'tau-cross-entropy'\ntau = 10.0",
        "kind = 'categorical-hinge'\nmargin = 1.0",
        "kind = 'hkr'\nalpha = 0.9\nmargin = 1.0",
        "kind = 'hkr-multiclass'\nalpha = 0.9\nmargin = 1.0",
        "kind = 'soft-hkr'\nalpha = 0.9\nmargin = 1.0",
        "kind = 'log-sum-exp-hkr'\nalpha = 0.9\nmargin = 1.0",
        "kind = 'emma'\nepsilon = 0.14",
    ]
}

fn optimizers() -> Vec<&'static str> {
    vec![
        "kind = 'sgd'\nrate = 0.1\nmomentum = 0.9\nnesterov = true\ndecay = 1e-4",
        "kind = 'adam'\nrate = 0.1",
        "kind = 'adam-w'\nrate = 0.1\ndecay = 0.1",
    ]
}

fn with(path: &str, table: &str) -> Table {
    let mut whole = whole();
    set(&mut whole, path, Value::Table(table.parse().unwrap()));
    whole
}

/// Checks that a number of a table is refused, by the name of its field, at each of the first values and taken at each of the second.
fn limits(table: &Table, field: &'static str, outside: &[&str], inside: &[&str]) {
    for value in outside {
        let mut table = table.clone();
        set(&mut table, field, parsed(value));
        assert_eq!(refused(table), Some(field), "{field} = {value}");
    }
    for value in inside {
        let mut table = table.clone();
        set(&mut table, field, parsed(value));
        assert_eq!(refused(table), None, "{field} = {value}");
    }
}

const POSITIVE: (&[&str], &[&str]) = (&["0.0", "-1.0", "nan", "inf"], &["1e-9", "100.0"]);
const NATURAL: (&[&str], &[&str]) = (&["-1e-9", "nan", "inf"], &["0.0", "100.0"]);
const FRACTION: (&[&str], &[&str]) = (&["-1e-9", "1.000001", "nan", "inf"], &["0.0", "1.0"]);
const BELOW_ONE: (&[&str], &[&str]) = (&["-1e-9", "1.0", "nan", "inf"], &["0.0", "0.999999"]);
const COUNT: (&[&str], &[&str]) = (&["0"], &["1", "1000"]);

#[test]
fn a_whole_configuration() {
    let config = read(whole()).unwrap();
    config.check().unwrap();
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    let text = toml::to_string(&config).unwrap();
    assert_eq!(read(text.parse().unwrap()).unwrap(), config);
    assert_eq!(config.seed, 7);
    assert_eq!(config.train.precision, Precision::Bfloat16);
    assert_eq!(config.schedule.milestones, [0.5, 0.75]);
}

#[test]
fn what_is_not_said() {
    let config = read(LEAST.parse().unwrap()).unwrap();
    config.check().unwrap();
    assert_eq!(config.schedule, Schedule::default());
    assert_eq!(config.schedule.kind, ScheduleKind::Constant);
    assert!((config.schedule.factor - 0.1).abs() < 1e-15);
    assert_eq!((config.train.accumulate, config.train.save_every), (1, 1));
    assert_eq!(config.data.validation.to_bits(), 0);
    assert!(config.finetune.is_none() && config.network.is_none() && config.augment.jitter.is_none());
    let Optimizer::Sgd {
        momentum,
        nesterov,
        decay,
        ..
    } = config.optimizer
    else {
        panic!("{:?}", config.optimizer)
    };
    assert_eq!((momentum, nesterov, decay), (0.0, false, 0.0));
}

#[test]
fn all_losses_and_optimizers() {
    for table in losses() {
        assert_eq!(refused(with("loss", table)), None, "{table}");
    }
    for table in optimizers() {
        assert_eq!(refused(with("optimizer", table)), None, "{table}");
    }
    let Loss::SoftHkr { decay, temperature, .. } = read(with("loss", losses()[7])).unwrap().loss else {
        panic!("the eighth is soft")
    };
    assert_eq!((decay, temperature), (0.99, 1.0));
}

#[test]
fn unknown_fields_are_refused() {
    let tables = [
        "",
        "data.",
        "network.",
        "loss.",
        "regularizer.",
        "optimizer.",
        "schedule.",
        "augment.",
        "augment.jitter.",
        "train.",
        "finetune.",
        "certify.",
    ];
    let mut known: Vec<(Table, &str)> = tables.iter().map(|table| (whole(), *table)).collect();
    known.extend(losses().iter().map(|table| (with("loss", table), "loss.")));
    known.extend(optimizers().iter().map(|table| (with("optimizer", table), "optimizer.")));
    for (mut table, path) in known {
        read(table.clone()).unwrap();
        set(&mut table, &format!("{path}unheard-of"), Value::Integer(1));
        let error = read(table).unwrap_err();
        assert!(error.contains("unheard-of"), "{path}: {error}");
    }
}

#[test]
fn unknown_kinds_are_refused() {
    for path in [
        "loss.kind",
        "optimizer.kind",
        "schedule.kind",
        "train.precision",
        "finetune.parameters",
    ] {
        let mut table = whole();
        set(&mut table, path, Value::String("unheard-of".to_owned()));
        assert!(read(table).unwrap_err().contains("unheard-of"), "{path}");
    }
}

#[test]
fn another_schema_is_refused() {
    let mut table = whole();
    set(&mut table, "schema", Value::String("lipcert/train/2".to_owned()));
    let found = read(table).unwrap().check();
    assert!(matches!(found, Err(ConfigError::Schema { found }) if found == "lipcert/train/2"));
}

#[test]
fn ranges_of_the_tables() {
    let whole = whole();
    for (fields, (outside, inside)) in [
        (
            &["train.radius", "train.clip-norm", "train.clip-value", "schedule.factor"][..],
            POSITIVE,
        ),
        (
            &[
                "regularizer.certificate",
                "regularizer.curvature",
                "regularizer.orthogonality",
            ],
            NATURAL,
        ),
        (&["schedule.warm-up", "augment.shift"], FRACTION),
        (&["data.validation"], BELOW_ONE),
        (&["data.limit", "certify.limit", "train.epochs", "train.save-every"], COUNT),
    ] {
        for field in fields {
            limits(&whole, field, outside, inside);
        }
    }
    limits(&whole, "train.batch", &["0"], &["2", "1000"]);
    limits(&whole, "train.epochs", &["1000001", "802032351030850071"], &["1000000"]);
    limits(&whole, "train.accumulate", &["0", "65"], &["1", "64"]);
    limits(
        &whole,
        "schedule.milestones",
        &["[]", "[0.5, 1.1]", "[-0.1]", "[nan]"],
        &["[0.0, 1.0]"],
    );
    limits(&whole, "augment.rotate", &["-1.0", "180.1", "nan"], &["0.0", "180.0"]);
    limits(&whole, "augment.jitter.hue", &["-0.1", "0.51", "nan"], &["0.0", "0.5"]);
    for field in [
        "augment.jitter.brightness",
        "augment.jitter.contrast",
        "augment.jitter.saturation",
    ] {
        limits(
            &whole,
            field,
            &["[-0.1, 1.0]", "[1.0, 0.9]", "[nan, 1.0]", "[0.0, inf]"],
            &["[0.0, 0.0]", "[0.5, 2.0]"],
        );
    }
}

#[test]
fn ranges_of_the_optimizers() {
    let sgd = with("optimizer", optimizers()[0]);
    limits(&sgd, "optimizer.momentum", &["1.0", "-0.1", "nan", "0.0"], &["0.5"]);
    for table in [
        whole(),
        with("optimizer", optimizers()[1]),
        with("optimizer", optimizers()[2]),
    ] {
        limits(&table, "optimizer.epsilon", POSITIVE.0, POSITIVE.1);
        limits(
            &table,
            "optimizer.betas",
            &["[1.0, 0.9]", "[0.9, 1.0]", "[-0.1, 0.9]", "[0.9, nan]"],
            &["[0.0, 0.0]", "[0.9, 0.999]"],
        );
    }
    for table in [
        whole(),
        sgd,
        with("optimizer", optimizers()[1]),
        with("optimizer", optimizers()[2]),
    ] {
        limits(&table, "optimizer.rate", POSITIVE.0, POSITIVE.1);
        limits(&table, "optimizer.decay", NATURAL.0, NATURAL.1);
    }
    limits(&whole(), "optimizer.follow", FRACTION.0, FRACTION.1);
    // without Nesterov's rule a momentum of 0 is one
    let plain = with("optimizer", "kind = 'sgd'\nrate = 0.1\nmomentum = 0.0");
    assert_eq!(refused(plain), None);
}

#[test]
fn ranges_of_the_losses() {
    let whole = whole();
    limits(&whole, "loss.offset", &["nan", "inf"], &["0.0", "-1.0"]);
    limits(&whole, "loss.temperature", POSITIVE.0, POSITIVE.1);
    for (index, fields) in [
        (0, &["loss.margin"][..]),
        (1, &["loss.margin", "loss.temperature"]),
        (3, &["loss.tau"]),
        (4, &["loss.margin"]),
        (5, &["loss.margin"]),
        (6, &["loss.margin"]),
        (7, &["loss.margin", "loss.temperature"]),
        (8, &["loss.margin", "loss.temperature", "loss.penalty"]),
        (9, &["loss.epsilon"]),
    ] {
        for field in fields {
            limits(&with("loss", losses()[index]), field, POSITIVE.0, POSITIVE.1);
        }
    }
    for index in 5..9 {
        limits(&with("loss", losses()[index]), "loss.alpha", FRACTION.0, FRACTION.1);
    }
    limits(&with("loss", losses()[1]), "loss.offset", &["nan", "inf"], &["0.0", "-1.0"]);
    limits(&with("loss", losses()[7]), "loss.decay", BELOW_ONE.0, BELOW_ONE.1);
}

#[test]
fn a_network_is_a_preset_or_layers() {
    let layer = "[[network.layers]]\nkind = 'relu'\n";
    let network = |text: &str| {
        let table: Table = text.parse().unwrap();
        let mut whole = whole();
        whole["network"] = table["network"].clone();
        read(whole).unwrap().check()
    };
    assert!(matches!(
        network(&format!("[network]\npreset = 'sll-small'\n{layer}")),
        Err(ConfigError::Both {
            first: "network.preset",
            second: "network.layers"
        })
    ));
    let missing = network("[network]\nname = 'mine'");
    assert!(matches!(
        missing,
        Err(ConfigError::Missing {
            field: "network.layers",
            ..
        })
    ));
    network(layer).unwrap();
}

#[test]
fn losses_and_borders_fit_a_shape() {
    let hkr = read(with("loss", losses()[5])).unwrap().loss;
    assert_eq!(hkr.fits(2), Ok(()));
    assert!(matches!(hkr.fits(3), Err(ConfigError::Classes { classes: 3, .. })));
    let other = read(with("loss", losses()[6])).unwrap().loss;
    assert_eq!(other.fits(2), Ok(()));
    assert!(matches!(other.fits(1), Err(ConfigError::Classes { classes: 1, .. })));
    assert_eq!(other.fits(10_000), Ok(()));
    let refused = other.fits(10_001).unwrap_err().to_string();
    assert_eq!(refused, "`loss.kind` is for two to 10,000 classes, and the data have 10001");
    let augment = read(whole()).unwrap().augment;
    assert_eq!(augment.fits(5), Ok(()));
    assert!(matches!(
        augment.fits(4),
        Err(ConfigError::Range {
            field: "augment.crop",
            ..
        })
    ));
}
