//! Ids: a kind prefix and a ULID (`run_01J...`), 26 characters, Crockford, upper case.
//!
//! An id is the only thing a path is ever built from, so `parse` accepts nothing but the canonical form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

/// The text was not `<prefix>_<26 upper-case Crockford characters>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}<26 characters>")]
pub struct InvalidId {
    prefix: &'static str,
}

impl InvalidId {
    /// Of a text that is none of several.
    pub(crate) fn of(prefix: &'static str) -> Self {
        Self { prefix }
    }
}

pub(crate) fn parse_ulid(text: &str, prefix: &'static str) -> Result<Ulid, InvalidId> {
    let invalid = InvalidId { prefix };
    let body = text.strip_prefix(prefix).ok_or(invalid.clone())?;
    let ulid = Ulid::from_string(body).map_err(|_| invalid.clone())?;
    // The decoder also takes lower case and look-alikes; one id must have one spelling, since it names a directory.
    let mut canonical = [0; ulid::ULID_LEN];
    if ulid.array_to_str(&mut canonical) == body { Ok(ulid) } else { Err(invalid) }
}

pub(crate) fn write_id(f: &mut fmt::Formatter<'_>, prefix: &str, ulid: Ulid) -> fmt::Result {
    let mut text = [0; ulid::ULID_LEN];
    f.write_str(prefix)?;
    f.write_str(ulid.array_to_str(&mut text))
}

/// An id type for each prefix.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Ulid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// A new id: the present millisecond and 80 random bits.
            pub fn generate() -> Self {
                Self(Ulid::generate())
            }

            pub fn parse(text: &str) -> Result<Self, $crate::domain::id::InvalidId> {
                $crate::domain::id::parse_ulid(text, Self::PREFIX).map(Self)
            }

            pub fn from_ulid(ulid: Ulid) -> Self {
                Self(ulid)
            }

            pub fn ulid(self) -> Ulid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $crate::domain::id::write_id(f, Self::PREFIX, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::domain::schema::id(Self::PREFIX)
            }
        }

        impl utoipa::ToSchema for $name {}

        impl FromStr for $name {
            type Err = $crate::domain::id::InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(|error| serde::de::Error::custom(format_args!("`{text}` is {error}")))
            }
        }
    )*};
}
#[cfg(test)]
pub(crate) use ids;

ids! {
    WorkspaceId = "ws_";
    ConfigurationId = "cfg_";
    RunId = "run_";
    BuildId = "build_";
    ExecutionId = "exec_";
    DocumentId = "doc_";
    /// Given by a stream to an event; ascending within the stream.
    EventId = "evt_";
    KeyId = "key_";
    PersonId = "psn_";
    /// One call of a language model.
    CallId = "call_";
    /// One set of questions to a person.
    ClarificationId = "clar_";
    /// One life-long identity of a data directory; rows say which node they belong to.
    NodeId = "node_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = RunId::generate();
        assert_eq!(RunId::parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn only_the_canonical_spelling_is_an_id() {
        let good = RunId::generate().to_string();
        let lower = format!("run_{}", good[4..].to_lowercase());
        for bad in ["", "run_", "run_1", "../../etc", &good[..29], &lower, &good.replace("run_", "build_")] {
            assert!(RunId::parse(bad).is_err(), "{bad}");
        }
    }
}
