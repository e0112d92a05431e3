//! Trainings that are refused, and those that end at a number that is none.

use lipcert_models::architecture::METADATA_KEY;
use lipcert_models::checkpoint::{PlainTensor, write_safetensors};
use lipcert_models::training::config::Moving;
use lipcert_models::training::job::Model;
use lipcert_models::training::recipe::Recipe;
use lipcert_train::TrainError;
use lipcert_train::train::{MODEL, run};
use serde_json::json;

use crate::common;
use crate::training::{config, task, train};

#[test]
fn a_number_that_is_none_is_named() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
    // the weights leave the range of float32 after the first step
    config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 1e30 })).unwrap();
    config.schedule = serde_json::from_value(json!({ "kind": "constant" })).unwrap();
    config.train.clip_norm = None;
    let refused = run(&task(config, folder.path()), &mut |_| (), &|| false);
    match refused {
        Err(TrainError::NotFinite { step, name, what }) => {
            assert_eq!((step, what), (1, "the output of layer"), "{name}");
            // convolutions whose sums overflow are switched off; the Gram matrix behind them holds a difference of infinities
            assert_eq!(name, "4");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn weights_that_overflow_at_last_are_named() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
    config.optimizer = serde_json::from_value(json!({ "kind": "sgd", "rate": 1e300 })).unwrap();
    config.schedule = serde_json::from_value(json!({ "kind": "constant" })).unwrap();
    config.train = serde_json::from_value(json!({ "epochs": 1, "batch": 160 })).unwrap();
    let refused = run(&task(config, folder.path()), &mut |_| (), &|| false);
    match refused {
        Err(TrainError::NotFinite { step, name, what }) => {
            assert_eq!((step, what), (1, "the tensor"), "{name}");
            assert!(name.ends_with(".kernel"), "{name}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!folder.path().join(MODEL).exists());
}

#[test]
fn a_regularizer_without_layers_is_refused() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    for (field, regularizer) in [
        ("regularizer.orthogonality", json!({ "orthogonality": 0.1 })),
        ("regularizer.curvature", json!({ "curvature": 0.1 })),
    ] {
        let mut config = config();
        config.regularizer = serde_json::from_value(regularizer).unwrap();
        let refused = run(&task(config, folder.path()), &mut |_| (), &|| false);
        assert!(
            matches!(refused, Err(TrainError::Regularizer { field: found, .. }) if found == field),
            "{refused:?}"
        );
    }
    // weights that do not move have no penalty, and that is no fault
    let mut config = config();
    config.loss = serde_json::from_value(json!({ "kind": "cross-entropy" })).unwrap();
    config.regularizer = serde_json::from_value(json!({ "orthogonality": 0.1, "curvature": 0.1 })).unwrap();
    config.network.as_mut().unwrap().layers = serde_json::from_value(json!([
        { "kind": "flatten" },
        { "kind": "dense", "outputs": 12 },
        { "kind": "softplus", "beta": 1.0 },
        { "kind": "dense", "outputs": 10 },
    ]))
    .unwrap();
    config.train.epochs = 1;
    train(&task(config.clone(), folder.path()));
    config.finetune = Some(lipcert_models::training::config::Finetune {
        parameters: Moving::BiasesAndScales,
    });
    train(&task(config, folder.path()));
}

#[test]
fn data_and_network_must_fit() {
    let _alone = common::start();
    let folder = tempfile::tempdir().unwrap();
    let mut few = config();
    few.data.limit = Some(1);
    few.data.validation = 0.9;
    let refused = run(&task(few, folder.path()), &mut |_| (), &|| false);
    assert!(
        matches!(refused, Err(TrainError::NoSamples { samples: 1, held_out: 1 })),
        "{refused:?}"
    );
    let mut three = config();
    three.network.as_mut().unwrap().layers[7].insert("classes".to_owned(), 3.into());
    let refused = run(&task(three, folder.path()), &mut |_| (), &|| false);
    assert!(matches!(refused, Err(TrainError::Recipe(_))), "{refused:?}");
    let mut other = config();
    let recipe = Recipe::new(&other.network.take().unwrap(), [1, 8, 8], 3).unwrap();
    let metadata = [(METADATA_KEY.to_owned(), recipe.architecture.declaration())].into();
    let tensors: Vec<PlainTensor> = recipe
        .tensors
        .iter()
        .map(|info| PlainTensor {
            name: info.name.clone(),
            shape: info.shape.clone(),
            values: vec![0.5; info.count()],
        })
        .collect();
    let start = common::written(&write_safetensors(&metadata, &tensors).unwrap());
    let mut tuned = task(other, folder.path());
    tuned.start = Some(Model {
        path: start.path().to_owned(),
        declaration: None,
        preprocess: None,
    });
    let refused = run(&tuned, &mut |_| (), &|| false);
    assert!(
        matches!(refused, Err(TrainError::Classes { found: 10, logits: 3 })),
        "{refused:?}"
    );
    let mut none = config();
    none.network = None;
    let refused = run(&task(none, folder.path()), &mut |_| (), &|| false);
    assert!(matches!(refused, Err(TrainError::Config(_))), "{refused:?}");
}
