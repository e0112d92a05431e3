//! From the text of an argument to its value.

use lipcert::jobs::solve::Goal;
use lipcert_models::training::job::Device;
use lipcert_proofs::statement::{Output, Shape};

use super::Shard;

/// Reads `3x32x32`, or `784` for a vector.
pub(super) fn input_shape(text: &str) -> Result<Shape, String> {
    let sizes: Result<Vec<usize>, _> = text.split('x').map(|size| size.parse::<u16>().map(usize::from)).collect();
    match sizes.as_deref() {
        Ok(&[channels, height, width]) if channels * height * width > 0 => Ok(Shape::Image { channels, height, width }),
        Ok(&[length]) if length > 0 => Ok(Shape::Flat(length)),
        _ => Err("expected channels x height x width, e.g. `3x32x32`, or the length of a vector, e.g. `784`".to_owned()),
    }
}

/// Reads `all`, `features`, `class:i` or `pair:i,j`.
pub(super) fn output(text: &str) -> Result<Output, String> {
    let parsed = match text.split_once(':') {
        None if text == "all" => Some(Output::All),
        None if text == "features" => Some(Output::Features),
        Some(("class", class)) => class.parse().ok().map(Output::Class),
        Some(("pair", pair)) => pair.split_once(',').and_then(|(first, second)| {
            let (first, second) = (first.parse().ok()?, second.parse().ok()?);
            (first != second).then_some(Output::Pair(first, second))
        }),
        _ => None,
    };
    parsed.ok_or_else(|| "expected `all`, `features`, `class:i` or `pair:i,j` with two different classes".to_owned())
}

/// Reads `trace`, `max` or `weighted:FILE`.
pub(super) fn goal(text: &str) -> Result<Goal, String> {
    match text.split_once(':') {
        None if text == "trace" => Ok(Goal::Trace),
        None if text == "max" => Ok(Goal::Max),
        Some(("weighted", file)) if !file.is_empty() => Ok(Goal::Weighted(file.into())),
        _ => Err("expected `trace`, `max` or `weighted:FILE.npy`".to_owned()),
    }
}

/// Reads `i/n` with `i < n`.
pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(index, count)| {
        let (index, count) = (index.parse().ok()?, count.parse().ok()?);
        (index < count).then_some(Shard { index, count })
    });
    parsed.ok_or_else(|| "expected `i/n` with i from 0 to n - 1, e.g. `0/4`".to_owned())
}

/// Reads `auto`, `cpu`, `cuda` or `cuda:N`.
pub(super) fn device(text: &str) -> Result<Device, String> {
    let parsed = match text.split_once(':') {
        None if text == "auto" => Some(Device::Auto),
        None if text == "cpu" => Some(Device::Cpu),
        None if text == "cuda" => Some(Device::Cuda(0)),
        Some(("cuda", index)) => index.parse().ok().map(Device::Cuda),
        _ => None,
    };
    parsed.ok_or_else(|| "expected `auto`, `cpu`, `cuda` or `cuda:N`".to_owned())
}

/// Reads a number above zero.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number above zero".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Reads a number above zero and not above `most`.
pub(super) fn positive_up_to(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match positive(text) {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("expected a whole number above zero, at most {most}")),
    }
}

/// Reads a number from zero to `most`.
pub(super) fn up_to(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("expected a whole number, at most {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_nonsense() {
        assert_eq!(input_shape("3x32x32").map(Shape::sizes), Ok(vec![3, 32, 32]));
        assert_eq!(input_shape("784"), Ok(Shape::Flat(784)));
        for text in ["", "0", "3x32", "3x32x32x1", "0x1x1", "axbxc", "3x-1x2", "3x70000x1"] {
            assert!(input_shape(text).is_err(), "{text}");
        }
        assert_eq!(shard("1/4"), Ok(Shard { index: 1, count: 4 }));
        for text in ["4/4", "0/0", "1", "-1/4", "a/b"] {
            assert!(shard(text).is_err(), "{text}");
        }
        assert_eq!(goal("trace"), Ok(Goal::Trace));
        assert_eq!(goal("weighted:a:b.npy"), Ok(Goal::Weighted("a:b.npy".into())));
        for text in ["", "sum", "weighted", "weighted:", "max:1"] {
            assert!(goal(text).is_err(), "{text}");
        }
        assert_eq!(device("auto"), Ok(Device::Auto));
        assert_eq!(device("cuda:3"), Ok(Device::Cuda(3)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cpu:0"] {
            assert!(device(text).is_err(), "{text}");
        }
        assert_eq!(positive("7"), Ok(7));
        assert!(positive("0").is_err() && positive("-1").is_err());
        let (above_zero, any) = (positive_up_to(9), up_to(9));
        assert_eq!((above_zero("9"), any("9"), any("0")), (Ok(9), Ok(9), Ok(0)));
        for text in ["10", "18446744073709551615", "18446744073709551616", "-1", ""] {
            assert!(above_zero(text).is_err() && any(text).is_err(), "{text}");
        }
        assert!(above_zero("0").is_err());
        assert_eq!(output("pair:3,5"), Ok(Output::Pair(3, 5)));
        assert_eq!(output("class:9"), Ok(Output::Class(9)));
        for text in [
            "",
            "any",
            "class:",
            "class:-1",
            "pair:1",
            "pair:1,1",
            "pair:1,2,3",
            "all:1",
            "features:",
        ] {
            assert!(output(text).is_err(), "{text}");
        }
    }
}
