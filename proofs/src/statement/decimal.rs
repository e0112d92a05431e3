//! Decimal numbers as a person typed them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::CheckError;
use crate::rounding::interval::Interval;

/// An exact decimal number `mantissa · 10^(−places)`.
///
/// A mean of `0.4914` is that number and not the nearest float: the difference moves logits by 5e-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i64,
    places: u8,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, places: 0 };
    /// One.
    pub const ONE: Self = Self { mantissa: 1, places: 0 };

    /// The number as an enclosure.
    #[must_use]
    pub fn enclosure(self) -> Interval {
        let power = 10i64.pow(u32::from(self.places));
        Interval::integer(self.mantissa).div(Interval::integer(power))
    }

    /// Whether the number is greater than zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.mantissa > 0
    }
}

impl FromStr for Decimal {
    type Err = CheckError;

    /// Reads `[-]digits[.digits]` with at most 15 digits; no exponent.
    fn from_str(text: &str) -> Result<Self, CheckError> {
        let error = || CheckError::NotDecimal {
            text: text.chars().take(40).collect(),
        };
        let (negative, body) = match text.strip_prefix('-') {
            Some(body) => (true, body),
            None => (false, text),
        };
        let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
        let digits: String = whole.chars().chain(fraction.chars()).collect();
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain || digits.len() > 15 || (body.contains('.') && fraction.is_empty()) {
            return Err(error());
        }
        let mut mantissa: i64 = digits.parse().map_err(|_| error())?;
        let mut places = u8::try_from(fraction.len()).map_err(|_| error())?;
        while places > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            places -= 1;
        }
        Ok(Self {
            mantissa: if negative { -mantissa } else { mantissa },
            places,
        })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let places = usize::from(self.places);
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        if fraction.is_empty() {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{fraction}")
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value: Self = text.parse().map_err(serde::de::Error::custom)?;
        if value.to_string() == text {
            Ok(value)
        } else {
            Err(serde::de::Error::custom(format!(
                "decimal `{text}` is not in its shortest form"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_same_number() {
        for (text, shortest) in [
            ("0.4914", "0.4914"),
            ("1", "1"),
            ("-0.50", "-0.5"),
            ("0", "0"),
            ("12.0", "12"),
            ("0.05", "0.05"),
        ] {
            let value: Decimal = text.parse().expect("a decimal");
            assert_eq!(value.to_string(), shortest);
        }
        let third: Decimal = "0.3".parse().expect("a decimal");
        assert!(third.enclosure().lo() < third.enclosure().hi());
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "-",
            ".5",
            "5.",
            "1e3",
            "nan",
            "0x1",
            "1.2.3",
            "+1",
            "1234567890123456",
            " 1",
        ] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
