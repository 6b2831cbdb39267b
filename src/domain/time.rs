//! One spelling of time: RFC 3339, UTC, microseconds, `Z`.

use chrono::{DateTime, Datelike, SubsecRound, Utc};

pub type Timestamp = DateTime<Utc>;

/// The time as every event and resource writes it, `2026-01-02T03:04:05.678901Z`.
pub fn format(time: Timestamp) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// Cut to the microsecond, the precision that logs and rows keep.
pub fn micros(time: Timestamp) -> Timestamp {
    time.trunc_subsecs(6)
}

/// As [`micros`]; none of the years that, written as text, would not stand in their order.
pub fn orderable(time: Timestamp) -> Option<Timestamp> {
    (1..=9999).contains(&time.year()).then(|| micros(time))
}

/// Whole milliseconds from one moment to another, never negative.
pub fn duration_ms(from: Timestamp, to: Timestamp) -> u64 {
    (to - from).num_milliseconds().max(0) as u64
}

/// For `serde(with)` on a [`Timestamp`] field.
pub mod serde_micros {
    use super::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(*time))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// As [`serde_micros`], for `Option<Timestamp>`; `None` is written as null.
pub mod serde_micros_option {
    use super::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serde_micros::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<Timestamp>::deserialize(deserializer)
    }
}
