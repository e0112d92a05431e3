//! The changes of images, each against what it must do.

use std::f64::consts::FRAC_PI_2;

use lipcert_models::training::config::{self, ConfigError};
use lipcert_train::augment::{Augment, colour, geometry};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::common::{self, Alone};

fn images(alone: &Alone, count: i64, channels: i64, height: i64, width: i64) -> Tensor {
    alone.seed(1);
    Tensor::rand([count, channels, height, width], (Kind::Double, Device::Cpu))
}

fn augment(table: Value) -> Augment {
    let config: config::Augment = serde_json::from_value(table).unwrap();
    Augment::new(&config, [3, 6, 8]).unwrap()
}

/// Everything at once.
fn everything() -> Value {
    json!({
        "crop": 2, "flip": true, "rotate": 20.0, "shift": 0.1,
        "jitter": {"brightness": [0.5, 1.5], "contrast": [0.5, 2.0], "saturation": [0.3, 2.0], "hue": 0.2},
    })
}

fn each(numbers: &[f64]) -> Tensor {
    Tensor::from_slice(numbers)
}

#[test]
fn nothing_is_the_identity_and_draws_nothing() {
    let alone = common::start();
    let images = images(&alone, 4, 3, 6, 8);
    alone.seed(5);
    let next = Tensor::rand([1], (Kind::Double, Device::Cpu));
    alone.seed(5);
    for table in [json!({}), json!({"jitter": {}})] {
        assert_eq!(augment(table).apply(&images, 0..4, 4), images);
    }
    assert_eq!(Tensor::rand([1], (Kind::Double, Device::Cpu)), next);
}

#[test]
fn parts_see_what_the_whole_sees() {
    let alone = common::start();
    let images = images(&alone, 7, 3, 6, 8);
    let augment = augment(everything());
    let part = |start: usize, end: usize| {
        alone.seed(11);
        let (from, length) = (i64::try_from(start).unwrap(), i64::try_from(end - start).unwrap());
        augment.apply(&images.narrow(0, from, length), start..end, 7)
    };
    let whole = part(0, 7);
    assert_eq!(Tensor::cat(&[part(0, 3), part(3, 4), part(4, 7)], 0), whole);
    assert!(common::difference(&whole, &images) > 0.1);
    // the images are changed in ways of their own
    let same = images.narrow(0, 0, 1).expand([7, 3, 6, 8], false).copy();
    alone.seed(11);
    let changed = augment.apply(&same, 0..7, 7);
    for index in 1..7 {
        assert_ne!(changed.select(0, 0), changed.select(0, index));
    }
}

#[test]
fn mirror_twice() {
    let alone = common::start();
    let images = images(&alone, 3, 2, 4, 5);
    let mirrored = Tensor::from_slice(&[true, false, true]);
    let once = geometry::mirror(&images, &mirrored);
    assert_eq!(geometry::mirror(&once, &mirrored), images);
    assert_eq!(once.select(0, 0), images.select(0, 0).flip([2]));
    assert_eq!(once.select(0, 1), images.select(0, 1));
}

#[test]
fn half_of_the_images_are_mirrored() {
    let alone = common::start();
    let images = images(&alone, 1, 1, 2, 2).expand([1000, 1, 2, 2], false).copy();
    let config: config::Augment = serde_json::from_value(json!({"flip": true})).unwrap();
    let changed = Augment::new(&config, [1, 2, 2]).unwrap().apply(&images, 0..1000, 1000);
    let count = changed
        .ne_tensor(&images)
        .any_dim(1, false)
        .select(1, 0)
        .select(1, 0)
        .sum(Kind::Int64);
    assert!((400..600).contains(&count.int64_value(&[])));
}

#[test]
fn crops_are_cut_from_reflected_images() {
    let alone = common::start();
    let images = images(&alone, 25, 2, 5, 6);
    let (right, down) = (
        Tensor::arange(25, (Kind::Int64, Device::Cpu)).remainder(5),
        Tensor::arange(25, (Kind::Int64, Device::Cpu)).divide_scalar_mode(5, "floor"),
    );
    let padded = images.reflection_pad2d([2, 2, 2, 2]);
    let cut = geometry::crop(&images, 2, &right, &down);
    for index in 0..25 {
        let (right, down) = (right.int64_value(&[index]), down.int64_value(&[index]));
        let expected = padded.select(0, index).narrow(1, down, 5).narrow(2, right, 6);
        assert_eq!(cut.select(0, index), expected, "{right} {down}");
    }
}

#[test]
fn every_crop_is_drawn() {
    let alone = common::start();
    let images = Tensor::cat(&[images(&alone, 1, 1, 6, 8); 1], 0)
        .expand([400, 1, 6, 8], false)
        .copy();
    let config: config::Augment = serde_json::from_value(json!({"crop": 1})).unwrap();
    let changed = Augment::new(&config, [1, 6, 8]).unwrap().apply(&images, 0..400, 400);
    let (distinct, _, counts) = changed.unique_dim(0, true, false, true);
    assert_eq!(distinct.size()[0], 9);
    assert!(counts.min().int64_value(&[]) > 20);
}

#[test]
fn a_quarter_of_a_turn() {
    let alone = common::start();
    let images = images(&alone, 2, 3, 5, 5);
    let zero = each(&[0.0, 0.0]);
    let turned = geometry::turn(&images, &each(&[FRAC_PI_2, -FRAC_PI_2]), &zero, &zero);
    assert!(common::difference(&turned.select(0, 0), &images.select(0, 0).rot90(1, [1, 2])) < 1e-12);
    assert!(common::difference(&turned.select(0, 1), &images.select(0, 1).rot90(-1, [1, 2])) < 1e-12);
}

#[test]
fn a_turn_keeps_the_shape_of_what_is_in_a_wide_image() {
    let alone = common::start();
    let square = images(&alone, 1, 1, 4, 4);
    let wide = square.constant_pad_nd([2, 2, 0, 0]);
    let zero = each(&[0.0]);
    let turned = geometry::turn(&wide, &each(&[FRAC_PI_2]), &zero, &zero);
    assert!(common::difference(&turned.narrow(3, 2, 4), &square.rot90(1, [2, 3])) < 1e-12);
    assert!(turned.narrow(3, 0, 2).abs().max().double_value(&[]) < 1e-12);
}

#[test]
fn shifts_move_right_and_down_and_leave_black() {
    let alone = common::start();
    let images = images(&alone, 1, 2, 4, 8);
    let moved = geometry::turn(&images, &each(&[0.0]), &each(&[0.25]), &each(&[0.5]));
    let expected = images.narrow(2, 0, 2).narrow(3, 0, 6).constant_pad_nd([2, 0, 2, 0]);
    assert!(common::difference(&moved, &expected) < 1e-12);
    // first the turn, then the shift
    let both = geometry::turn(&images, &each(&[2.0 * FRAC_PI_2]), &each(&[0.25]), &each(&[0.5]));
    let turned = images.rot90(2, [2, 3]);
    let expected = turned.narrow(2, 0, 2).narrow(3, 0, 6).constant_pad_nd([2, 0, 2, 0]);
    assert!(common::difference(&both, &expected) < 1e-12);
}

#[test]
fn jitter_keeps_the_range() {
    let alone = common::start();
    let images = images(&alone, 50, 3, 6, 8);
    let table = json!({"jitter": {"brightness": [0.0, 3.0], "contrast": [0.0, 4.0], "saturation": [0.0, 5.0], "hue": 0.5}});
    let changed = augment(table).apply(&images, 0..50, 50);
    assert!(changed.min().double_value(&[]) >= 0.0 && changed.max().double_value(&[]) <= 1.0);
    assert!(common::difference(&changed, &images) > 0.3);
}

#[test]
fn factors_by_hand() {
    let _alone = common::start();
    let pixels = Tensor::from_slice(&[0.2, 0.6, 0.4, 0.8, 0.5, 0.1]).view([1, 3, 1, 2]);
    let near = |found: &Tensor, expected: &[f64]| common::difference(&found.view(-1), &each(expected)) < 1e-12;
    let half = each(&[0.5]);
    assert!(near(
        &colour::brightness(&pixels, &each(&[1.5])),
        &[0.3, 0.9, 0.6, 1.0, 0.75, 0.15]
    ));
    let greys = [
        0.2989 * 0.2 + 0.587 * 0.4 + 0.114 * 0.5,
        0.2989 * 0.6 + 0.587 * 0.8 + 0.114 * 0.1,
    ];
    let values = [0.2, 0.6, 0.4, 0.8, 0.5, 0.1];
    let grey = [0, 1, 0, 1, 0, 1].map(|pixel: usize| greys[pixel]);
    let expected: Vec<f64> = values.iter().zip(grey).map(|(value, grey)| (value + grey) / 2.0).collect();
    assert!(near(&colour::saturation(&pixels, &half), &expected));
    let mean = f64::midpoint(greys[0], greys[1]);
    let expected: Vec<f64> = values.iter().map(|value| (value + mean) / 2.0).collect();
    assert!(near(&colour::contrast(&pixels, &half), &expected));
}

#[test]
fn hues_by_hand() {
    let _alone = common::start();
    let colour = |values: &[f64]| Tensor::from_slice(values).view([1, 3, 1, 1]);
    let turned = |values: &[f64], turns: f64| colour::hue(&colour(values), &each(&[turns]));
    for (before, turns, after) in [
        ([1.0, 0.0, 0.0], 1.0 / 3.0, [0.0, 1.0, 0.0]),
        ([1.0, 0.0, 0.0], -1.0 / 3.0, [0.0, 0.0, 1.0]),
        ([0.8, 0.4, 0.2], 1.0 / 6.0, [0.6, 0.8, 0.2]),
        ([0.4, 0.4, 0.4], 0.3, [0.4, 0.4, 0.4]),
        ([0.1, 0.7, 0.7], 0.5, [0.7, 0.1, 0.1]),
        ([0.2, 0.3, 0.9], 0.0, [0.2, 0.3, 0.9]),
    ] {
        assert!(
            common::difference(&turned(&before, turns), &colour(&after)) < 1e-12,
            "{before:?}"
        );
    }
}

#[test]
fn half_a_circle_twice() {
    let alone = common::start();
    let images = images(&alone, 2, 3, 6, 8);
    let (there, back) = (each(&[0.5, -0.5]), each(&[0.5, 0.5]));
    let twice = colour::hue(&colour::hue(&images, &there), &back);
    assert!(common::difference(&twice, &images) < 1e-12);
    assert!(common::difference(&colour::hue(&images, &there), &images) > 0.5);
}

#[test]
fn one_channel_has_no_colour() {
    let alone = common::start();
    let images = images(&alone, 2, 1, 6, 8);
    let factor = each(&[0.3, 2.0]);
    assert_eq!(colour::saturation(&images, &factor), images);
    assert_eq!(colour::hue(&images, &factor), images);
    let flat = colour::contrast(&images, &each(&[0.0, 0.0]));
    let mean = images.mean_dim([1i64, 2, 3].as_slice(), true, None::<Kind>);
    assert!(common::difference(&flat, &mean.expand([2, 1, 6, 8], false)) < 1e-12);
}

#[test]
fn a_border_as_wide_as_the_image_is_refused() {
    let config: config::Augment = serde_json::from_value(json!({"crop": 6})).unwrap();
    let found = Augment::new(&config, [3, 6, 8]);
    assert!(matches!(
        found,
        Err(ConfigError::Range {
            field: "augment.crop",
            ..
        })
    ));
    assert!(Augment::new(&config, [3, 7, 8]).is_ok());
}
