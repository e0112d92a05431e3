//! Decimal digits of a float64, rounded in a stated direction.
//!
//! A float64 is a dyadic rational, so its decimal expansion is finite. The functions here ask for the whole expansion and cut it:
//! what they print is on the stated side of the number, always.

/// The longest expansion of a float64 after the decimal point (the smallest subnormal is `2^−1074`).
const PLACES: usize = 1074;

/// The largest number of significant decimal digits that a float64 has, less the one before the point.
const MANTISSA: usize = 766;

/// Which side of the number its digits may lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Not below the number: for bounds.
    Up,
    /// Not above the number: for radii and margins.
    Down,
}

/// `value` with `places` digits after the point, on the stated side of `value`.
///
/// NaN and the infinities are printed as `NaN`, `inf` and `-inf`.
#[must_use]
pub fn fixed(value: f64, places: usize, direction: Direction) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let exact = format!("{:.PLACES$}", value.abs());
    let (whole, fraction) = exact.split_once('.').unwrap_or((&exact, ""));
    let (kept, rest) = fraction.split_at(places.min(fraction.len()));
    let mut digits = format!("{whole}{kept}");
    if away_from_zero(value, direction) && rest.bytes().any(|digit| digit != b'0') {
        digits = incremented(&digits);
    }
    let point = digits.len() - kept.len();
    let sign = if value < 0.0 { "-" } else { "" };
    if kept.is_empty() {
        format!("{sign}{digits}")
    } else {
        format!("{sign}{}.{}", &digits[..point], &digits[point..])
    }
}

/// `value` with at most `count` significant digits, on the stated side of `value`, without trailing zeros.
///
/// Numbers from `1e-4` up to `1e15` are written without an exponent. NaN and the infinities are printed as in [`fixed`].
///
/// ```
/// use lipcert::text::{Direction, significant};
///
/// assert_eq!(significant(1.0 + 1e-12, 6, Direction::Up), "1.00001");
/// assert_eq!(significant(1.0 + 1e-12, 6, Direction::Down), "1");
/// assert_eq!(significant(2.5e-9, 6, Direction::Up), "2.50001e-9");
/// ```
#[must_use]
pub fn significant(value: f64, count: usize, direction: Direction) -> String {
    if !value.is_finite() || value == 0.0 {
        return if value == 0.0 { "0".to_owned() } else { value.to_string() };
    }
    let exact = format!("{:.MANTISSA$e}", value.abs());
    let (mantissa, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let mut exponent: i32 = exponent.parse().unwrap_or(0);
    let (kept, rest) = all.split_at(count.clamp(1, all.len()));
    let mut digits = kept.to_owned();
    if away_from_zero(value, direction) && rest.bytes().any(|digit| digit != b'0') {
        digits = incremented(kept);
        if digits.len() > kept.len() {
            exponent += 1;
        }
    }
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", layout(digits, exponent))
}

/// `count` of `total` in percent with two digits after the point, rounded down; exact, no float is involved.
///
/// `-` if `total` is zero.
#[must_use]
pub fn percent_down(count: usize, total: usize) -> String {
    if total == 0 {
        return "-".to_owned();
    }
    let hundredths = count as u128 * 10_000 / total as u128;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `count` of `total` in percent with two digits after the point, rounded up; exact, no float is involved.
///
/// `-` if `total` is zero.
#[must_use]
pub fn percent_up(count: usize, total: usize) -> String {
    if total == 0 {
        return "-".to_owned();
    }
    let hundredths = (count as u128 * 10_000).div_ceil(total as u128);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Whether the magnitude has to grow for the digits to lie on the stated side.
fn away_from_zero(value: f64, direction: Direction) -> bool {
    (value > 0.0) == (direction == Direction::Up)
}

/// A decimal integer plus one.
fn incremented(digits: &str) -> String {
    let kept = digits.trim_end_matches('9');
    let zeros = "0".repeat(digits.len() - kept.len());
    match kept.as_bytes().split_last() {
        None => format!("1{zeros}"),
        Some((last, head)) => {
            let head: String = head.iter().copied().map(char::from).collect();
            format!("{head}{}{zeros}", char::from(last + 1))
        }
    }
}

/// Significant digits `d₀d₁…`, which stand for `d₀.d₁… · 10^exponent`, as a person writes them.
fn layout(digits: &str, exponent: i32) -> String {
    let (first, others) = digits.split_at(1);
    match usize::try_from(exponent) {
        Ok(places) if places < 15 => {
            if others.len() <= places {
                format!("{digits}{}", "0".repeat(places - others.len()))
            } else {
                format!("{first}{}.{}", &others[..places], &others[places..])
            }
        }
        Err(_) if exponent >= -4 => {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
            format!("0.{zeros}{digits}")
        }
        _ if others.is_empty() => format!("{first}e{exponent}"),
        _ => format!("{first}.{others}e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_digits() {
        use Direction::{Down, Up};
        for (value, places, up, down) in [
            (0.1, 3, "0.101", "0.100"),
            (0.5, 1, "0.5", "0.5"),
            (-0.1, 2, "-0.10", "-0.11"),
            (0.999_9, 2, "1.00", "0.99"),
            (9.999, 0, "10", "9"),
            (0.0, 2, "0.00", "0.00"),
            (5e-324, 3, "0.001", "0.000"),
        ] {
            assert_eq!(fixed(value, places, Up), up, "{value} up");
            assert_eq!(fixed(value, places, Down), down, "{value} down");
        }
        for (value, count, up, down) in [
            (1.0, 6, "1", "1"),
            (0.1, 3, "0.101", "0.1"),
            (99.96, 3, "100", "99.9"),
            (123_456.0, 3, "124000", "123000"),
            (0.000_123_46, 3, "0.000124", "0.000123"),
            (1.234e-7, 2, "1.3e-7", "1.2e-7"),
            (1e300, 3, "1.01e300", "1e300"),
            (-36.482_229_597, 5, "-36.482", "-36.483"),
            (9.99e-10, 1, "1e-9", "9e-10"),
        ] {
            assert_eq!(significant(value, count, Up), up, "{value} up");
            assert_eq!(significant(value, count, Down), down, "{value} down");
        }
        assert_eq!(significant(f64::INFINITY, 3, Up), "inf");
        assert_eq!(significant(f64::NAN, 3, Down), "NaN");
        assert_eq!(fixed(f64::NEG_INFINITY, 3, Down), "-inf");
    }

    #[test]
    fn percent_lies_on_the_stated_side() {
        assert_eq!(percent_down(2, 3), "66.66");
        assert_eq!(percent_down(3, 3), "100.00");
        assert_eq!(percent_down(9999, 10_000_000), "0.09");
        assert_eq!(percent_down(0, 0), "-");
        assert_eq!(percent_up(1, 3), "33.34");
        assert_eq!(percent_up(3, 3), "100.00");
        assert_eq!(percent_up(1, 4), "25.00");
        assert_eq!(percent_up(1, 10_000_000), "0.01");
        assert_eq!(percent_up(0, 3), "0.00");
        assert_eq!(percent_up(0, 0), "-");
    }

    /// Compares a decimal text with a float exactly, through both expansions.
    fn compare(text: &str, value: f64) -> std::cmp::Ordering {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().unwrap();
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let magnitude = whole.trim_start_matches('-');
        let point = i32::try_from(magnitude.len()).unwrap() + exponent;
        let digits = format!("{magnitude}{fraction}");
        let position = |place: i32| -> u8 {
            usize::try_from(point - 1 - place)
                .ok()
                .and_then(|i| digits.as_bytes().get(i).copied())
                .unwrap_or(b'0')
        };
        let mine: Vec<u8> = (-1100..400).rev().map(position).collect();
        let exact = format!("{:.1100}", value.abs());
        let (whole, fraction) = exact.split_once('.').unwrap();
        let other: Vec<u8> = format!("{whole:0>400}{fraction}").into_bytes();
        let order = mine.cmp(&other);
        if value < 0.0 { order.reverse() } else { order }
    }

    proptest! {
        #[test]
        fn digits_lie_on_the_stated_side(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, count in 1usize..18) {
            for text in [significant(value, count, Direction::Up), fixed(value, count, Direction::Up)] {
                prop_assert!(compare(&text, value).is_ge(), "{text} is below {value:e}");
            }
            for text in [significant(value, count, Direction::Down), fixed(value, count, Direction::Down)] {
                prop_assert!(compare(&text, value).is_le(), "{text} is above {value:e}");
            }
        }

        #[test]
        fn digits_are_close(value in 1e-3..1e3f64, count in 2usize..16) {
            let unit = 10f64.powi(1 - i32::try_from(count).unwrap()) * value * (1.0 + 1e-12);
            let up: f64 = significant(value, count, Direction::Up).parse().unwrap();
            let down: f64 = significant(value, count, Direction::Down).parse().unwrap();
            // One unit in the last place is at most 10^(1−count) of the number; reading back adds a rounding of 2^−53.
            prop_assert!(up - down <= 10.0 * unit + 4.0 * f64::EPSILON * value);
        }
    }
}
