//! One entry, and what is asked for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::time::Timestamp;

/// Who has asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditActor)]
pub struct Actor {
    pub name: String,
    /// Of the API key; null of a person, and where nobody signs in.
    pub key_id: Option<String>,
    /// Of a person, as the provider knows them. Entries of older services do not have it.
    #[serde(default)]
    pub issuer: Option<String>,
    #[serde(default)]
    pub subject: Option<String>,
    pub role: String,
}

/// A request that was to change something, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct Record {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub request_id: String,
    pub actor: Actor,
    /// Where the client is; null of a connection that had gone.
    pub address: Option<String>,
    pub method: String,
    /// Without its query, which may carry secrets.
    pub path: String,
    /// Of the answer: below 400 something has been changed.
    pub status: u16,
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    pub sequence: u64,
    #[serde(flatten)]
    pub record: Record,
}

/// Entries behind a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub struct Page {
    pub items: Vec<Entry>,
    /// The position of the next page.
    pub next_after_sequence: u64,
    pub last_sequence: u64,
}
