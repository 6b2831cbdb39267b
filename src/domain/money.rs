//! Money: whole micro-dollars, written as a decimal string of dollars.
//!
//! Law: sums are exact. Nothing is ever a float.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of US dollars, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MicroUsd(pub i64);

/// The text is no amount with at most six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of dollars with at most six decimals, as 0.25")]
pub struct InvalidAmount;

impl MicroUsd {
    /// Reads `12`, `0.25`, `0.000001`.
    pub fn parse(text: &str) -> Result<Self, InvalidAmount> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(InvalidAmount);
        }
        let millionths = format!("{decimals:0<6}").parse::<i64>().map_err(|_| InvalidAmount)?;
        let whole = whole.parse::<i64>().ok().and_then(|whole| whole.checked_mul(1_000_000));
        whole.and_then(|whole| whole.checked_add(millionths)).map(Self).ok_or(InvalidAmount)
    }

    /// One of `parts` equal parts, to the nearest millionth, halves away from zero; nothing of no parts.
    pub fn divided_by(self, parts: u64) -> Option<Self> {
        let (amount, parts) = (i128::from(self.0), i128::from(parts));
        let rounded = |amount: i128| (2 * amount + amount.signum() * parts) / (2 * parts);
        (parts > 0).then(|| Self(rounded(amount) as i64))
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, amount) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:06}", amount / 1_000_000, amount % 1_000_000)
    }
}

impl Add for MicroUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for MicroUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl Serialize for MicroUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl utoipa::PartialSchema for MicroUsd {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        super::schema::text("-?[0-9]+[.][0-9]{6}")
    }
}

impl utoipa::ToSchema for MicroUsd {}

impl<'de> Deserialize<'de> for MicroUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_survives_its_text() {
        for micro in [0, 1, 250_000, 1_000_000, 12_345_678_901] {
            assert_eq!(MicroUsd::parse(&MicroUsd(micro).to_string()), Ok(MicroUsd(micro)));
        }
        assert_eq!(
            (MicroUsd(250_000).to_string(), MicroUsd::parse("12")),
            ("0.250000".into(), Ok(MicroUsd(12_000_000)))
        );
    }

    #[test]
    fn a_part_is_rounded_to_the_millionth() {
        for (amount, parts, expected) in [
            (7, 2, 4),
            (-7, 2, -4),
            (10, 3, 3),
            (11, 3, 4),
            (0, 9, 0),
            (i64::MAX, 1, i64::MAX),
            (i64::MIN, 1, i64::MIN),
        ] {
            assert_eq!(MicroUsd(amount).divided_by(parts), Some(MicroUsd(expected)), "{amount} / {parts}");
        }
        assert_eq!((MicroUsd(1).divided_by(0), MicroUsd(1).divided_by(u64::MAX)), (None, Some(MicroUsd(0))));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in ["", ".", "1.", ".5", "1e3", "-1", "0.0000001", "NaN", "9223372036854775807"] {
            assert_eq!(MicroUsd::parse(bad), Err(InvalidAmount), "{bad}");
        }
    }
}
