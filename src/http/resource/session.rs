//! Who a caller is, and what it was given.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::api_key::workspaces;
use crate::access::Access;
use crate::access::book::{Admitted, Via};
use crate::domain::access::{Grant, TICKET_FIRST_USE};
use crate::domain::member::Membership;
use crate::domain::principal::Role;
use crate::domain::{KeyId, StreamId, WorkspaceId, time};
use crate::http::paths;

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionResource<'a> {
    #[schema(pattern = "^ade[.]session$")]
    object: &'static str,
    /// Whether the service asks for keys at all.
    sign_in: bool,
    /// `key`, `session`, or `none` where sign-in is off.
    via: &'static str,
    key_id: Option<KeyId>,
    /// Of a person, as the provider knows them.
    issuer: Option<&'a str>,
    subject: Option<&'a str>,
    name: &'a str,
    role: Role,
    /// Null for all.
    workspaces: Option<&'a [WorkspaceId]>,
    /// What the caller may do in single workspaces besides.
    memberships: &'a [Membership],
    /// For `X-CSRF-Token`, of a session.
    csrf_token: Option<String>,
    /// Of a session: unused for so long, it ends.
    idle_timeout_seconds: Option<u64>,
}

impl<'a> SessionResource<'a> {
    pub fn of(admitted: &'a Admitted, csrf_token: Option<String>, access: &Access) -> Self {
        let (via, idle) = match admitted.via {
            _ if !access.is_on() => ("none", None),
            Via::Session(_) => ("session", Some(access.limits().idle.as_secs())),
            Via::Key | Via::Ticket(_) => ("key", None),
        };
        Self {
            object: "ade.session",
            sign_in: access.is_on(),
            via,
            key_id: admitted.principal.key_id(),
            issuer: admitted.principal.person().map(|person| person.issuer.as_str()),
            subject: admitted.principal.person().map(|person| person.subject.as_str()),
            name: &admitted.principal.name,
            role: admitted.principal.role,
            workspaces: workspaces(&admitted.principal.workspaces),
            memberships: &admitted.memberships,
            csrf_token,
            idle_timeout_seconds: idle,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = StreamTicket)]
pub struct TicketResource<'a> {
    #[schema(pattern = "^ade[.]stream_ticket$")]
    object: &'static str,
    ticket: &'a str,
    stream: String,
    /// To be used for the first time within.
    first_use_seconds: u64,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Where the events are, the ticket included.
    events_stream: String,
}

impl<'a> TicketResource<'a> {
    pub fn of(secret: &'a SecretString, stream: StreamId, grant: &Grant) -> Self {
        let ticket = secret.expose_secret();
        Self {
            object: "ade.stream_ticket",
            ticket,
            stream: stream.to_string(),
            first_use_seconds: TICKET_FIRST_USE.as_secs(),
            expires_at: time::format(grant.expires_at),
            events_stream: format!("{}/events/stream?ticket={ticket}", paths::work(stream)),
        }
    }
}
