//! What lets a caller in: keys, people whom a provider has signed in, and what both are given. Pure: whoever asks says what
//! time it is.
//!
//! Invariant: no secret is in any of these, only its digest. What has been let in acts with the role and the workspaces
//! of its key or its person, as they are then; a ticket only reads.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::id::InvalidId;
use super::principal::{Identity, Principal, Role, Scope, Who};
use super::time::Timestamp;
use super::{KeyId, PersonId, StreamId, schema};

/// The SHA-256 of a secret. A secret has 256 random bits, so that nothing slower is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretDigest(pub [u8; 32]);

/// A key of the interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: KeyId,
    pub name: String,
    pub role: Role,
    pub workspaces: Scope,
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Not of every use: as it was noted last.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    pub fn principal(&self) -> Principal {
        let Self { id, name, role, workspaces, .. } = self.clone();
        Principal { who: Who::Key(id), name, role, workspaces }
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Somebody whom a provider of OpenID Connect has signed in, with what its groups allowed when it did so last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: PersonId,
    pub identity: Arc<Identity>,
    pub name: String,
    pub role: Role,
    pub workspaces: Scope,
    pub created_at: Timestamp,
    pub signed_in_at: Timestamp,
    /// Since when no group of theirs allows anything; until they sign in with one that does.
    pub denied_at: Option<Timestamp>,
}

impl Person {
    pub fn principal(&self) -> Principal {
        let Self { id, identity, name, role, workspaces, .. } = self.clone();
        Principal { who: Who::Person(id, identity), name, role, workspaces }
    }

    pub fn is_live(&self) -> bool {
        self.denied_at.is_none()
    }

    /// Whether it may do the same.
    pub fn may_as(&self, other: &Self) -> bool {
        (self.role, &self.workspaces) == (other.role, &other.workspaces)
    }
}

/// Whose a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    Key(KeyId),
    Person(PersonId),
}

impl Holder {
    /// None of nobody in particular.
    pub fn of(who: &Who) -> Option<Self> {
        match who {
            Who::Local => None,
            Who::Key(id) => Some(Self::Key(*id)),
            Who::Person(id, _) => Some(Self::Person(*id)),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Person(id) => id.fmt(f),
        }
    }
}

impl FromStr for Holder {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let key = KeyId::parse(text).map(Self::Key);
        let either = key.or_else(|_| PersonId::parse(text).map(Self::Person));
        either.map_err(|_| InvalidId::of("key_<26 characters> or psn_"))
    }
}

impl Serialize for Holder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Holder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format_args!("`{text}` is {error}")))
    }
}

impl PartialSchema for Holder {
    fn schema() -> RefOr<Schema> {
        schema::id("(key_|psn_)")
    }
}

impl ToSchema for Holder {
    fn name() -> std::borrow::Cow<'static, str> {
        "HolderId".into()
    }
}

/// What somebody was given in place of a key, or for having been signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub digest: SecretDigest,
    pub kind: GrantKind,
    pub holder: Holder,
    /// The session that asked for it, and with which it ends.
    pub session: Option<SecretDigest>,
    pub created_at: Timestamp,
    /// Not of every use: as it was noted last.
    pub used_at: Option<Timestamp>,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    /// Of a browser: all that its holder may do, until it is idle for too long.
    Session,
    /// To read one stream.
    Ticket(StreamId),
}

/// How long a ticket may stay unused.
pub const TICKET_FIRST_USE: Duration = Duration::from_secs(60);
/// How long a ticket is good for reconnects.
pub const TICKET_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

impl Grant {
    /// `idle` is how long a session may stay unused.
    pub fn is_live(&self, idle: Duration, now: Timestamp) -> bool {
        let unused = (now - self.used_at.unwrap_or(self.created_at)).to_std().unwrap_or_default();
        let is_fresh = match self.kind {
            GrantKind::Session => unused < idle,
            GrantKind::Ticket(_) => self.used_at.is_some() || unused < TICKET_FIRST_USE,
        };
        is_fresh && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone, Utc};

    use super::*;
    use crate::domain::RunId;

    fn at(seconds: i64) -> Timestamp {
        Utc.timestamp_opt(1_767_225_600 + seconds, 0).unwrap()
    }

    fn grant(kind: GrantKind, used_at: Option<Timestamp>) -> Grant {
        let digest = SecretDigest([0; 32]);
        let (holder, created_at, expires_at) = (Holder::Key(KeyId::generate()), at(0), at(1000));
        Grant { digest, kind, holder, session: None, created_at, used_at, expires_at }
    }

    #[test]
    fn a_key_ends_when_it_expires_or_is_revoked() {
        let key = ApiKey {
            id: KeyId::generate(),
            name: "k".into(),
            role: Role::Viewer,
            workspaces: Scope::All,
            created_by: "local".into(),
            created_at: at(0),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        assert!(key.is_live(at(0) + TimeDelta::days(40_000)));
        let expiring = ApiKey { expires_at: Some(at(10)), ..key.clone() };
        assert!(expiring.is_live(at(9)) && !expiring.is_live(at(10)));
        assert!(!ApiKey { revoked_at: Some(at(5)), ..key }.is_live(at(4)), "whatever the clock says");
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_at_its_end_in_any_case() {
        let idle = Duration::from_secs(100);
        let live = |used, now| grant(GrantKind::Session, used).is_live(idle, at(now));
        assert!(live(None, 99) && !live(None, 100));
        assert!(live(Some(at(90)), 189) && !live(Some(at(90)), 190));
        assert!(live(Some(at(999)), 999) && !live(Some(at(999)), 1000));
        assert!(live(Some(at(50)), 40), "a clock that goes back ends nothing");
    }

    #[test]
    fn a_ticket_is_used_within_a_minute_or_never() {
        let ticket = GrantKind::Ticket(RunId::generate().into());
        let live = |used, now| grant(ticket, used).is_live(Duration::from_secs(1), at(now));
        assert!(live(None, 59) && !live(None, 60));
        assert!(live(Some(at(3)), 999) && !live(Some(at(3)), 1000));
    }
}
