//! What one node tells another of a request that it passes on: whose it is, and which one; signed. Pure.
//!
//! Law: everything that the other acts on is under the signature: the method, the target, the body, the caller and what it
//! may do, where the client is, from which process the request comes and for which it is. There is no time in it, so the clocks
//! of the nodes may differ by any amount. A copy of it is refused: each process numbers what it sends, and takes each number of
//! another once ([`super::replay`]); a process that starts is another one, for which nothing was ever signed.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::access::book::{Admitted, Via};
use crate::domain::member::Membership;
use crate::domain::node::Incarnation;
use crate::domain::principal::{Identity, Principal, Role, Scope, Who};
use crate::domain::{KeyId, PersonId, StreamId, WorkspaceId};

/// What is signed begins with this, so that no signature means anything else.
const PURPOSE: &[u8] = b"ade forwarded request 1\n";

/// A request that is passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub from: Incarnation,
    pub to: Incarnation,
    /// Of those of this sender.
    pub number: u64,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// SHA-256, in hexadecimal.
    pub body: String,
    pub caller: Caller,
    pub client: Option<IpAddr>,
    /// Whether the client speaks TLS.
    pub is_encrypted: bool,
}

/// Who was let in, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    who: Named,
    name: String,
    role: Role,
    /// None for all.
    workspaces: Option<Vec<WorkspaceId>>,
    memberships: Vec<Membership>,
    /// Let in by a ticket, and to this stream alone.
    ticket: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Local,
    Key(KeyId),
    Person { id: PersonId, identity: Identity },
}

impl Caller {
    pub fn of(admitted: &Admitted) -> Self {
        let Admitted { principal: Principal { who, name, role, workspaces }, memberships, via, .. } = admitted;
        Self {
            who: match who {
                Who::Local => Named::Local,
                Who::Key(id) => Named::Key(*id),
                Who::Person(id, identity) => Named::Person { id: *id, identity: Identity::clone(identity) },
            },
            name: name.clone(),
            role: *role,
            workspaces: match workspaces {
                Scope::All => None,
                Scope::Only(list) => Some(list.clone()),
            },
            memberships: memberships.to_vec(),
            ticket: match via {
                Via::Ticket(stream) => Some(stream.to_string()),
                // What a session alone may do is done where it was asked for.
                Via::Key | Via::Session(_) => None,
            },
        }
    }

    /// As it was let in there. Whoever has passed the request on ends it when the caller is let in no more. None of a ticket
    /// for nothing.
    pub fn admitted(self) -> Option<Admitted> {
        let via = match self.ticket {
            None => Via::Key,
            Some(text) => Via::Ticket(StreamId::parse(&text)?),
        };
        let who = match self.who {
            Named::Local => Who::Local,
            Named::Key(id) => Who::Key(id),
            Named::Person { id, identity } => Who::Person(id, Arc::new(identity)),
        };
        let workspaces = self.workspaces.map_or(Scope::All, Scope::Only);
        let principal = Principal { who, name: self.name, role: self.role, workspaces };
        Some(Admitted { principal, memberships: self.memberships.into(), via, revocation: Default::default() })
    }
}

/// An envelope as it travels: two headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub envelope: String,
    pub signature: String,
}

impl Envelope {
    pub fn sealed(&self, secret: &SecretString) -> Sealed {
        let text = serde_json::to_vec(self).unwrap_or_else(|_| unreachable!("only shapes that JSON has"));
        let envelope = BASE64_URL_SAFE_NO_PAD.encode(text);
        let signature = BASE64_URL_SAFE_NO_PAD.encode(mac(secret, &envelope).finalize().into_bytes());
        Sealed { envelope, signature }
    }

    /// None unless somebody who knows the secret has written it. Nothing of it is read before that is known, and finding out
    /// takes a time that says nothing about the secret.
    pub fn open(sealed: &Sealed, secret: &SecretString) -> Option<Self> {
        let signature = BASE64_URL_SAFE_NO_PAD.decode(&sealed.signature).ok()?;
        mac(secret, &sealed.envelope).verify_slice(&signature).ok()?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(&sealed.envelope).ok()?).ok()
    }
}

pub fn digest(body: &[u8]) -> String {
    format!("{:x}", Sha256::digest(body))
}

fn mac(secret: &SecretString, envelope: &str) -> Hmac<Sha256> {
    let key = secret.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(PURPOSE);
    mac.update(envelope.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;
    use crate::domain::RunId;
    use crate::domain::id::NodeId;
    use crate::domain::member::MemberRole;

    fn envelope(caller: Caller) -> Envelope {
        let incarnation = |seconds: i64| {
            let since = Utc.timestamp_opt(1_767_225_600 + seconds, 5_000).unwrap();
            Incarnation { node: NodeId::generate(), since }
        };
        Envelope {
            from: incarnation(1),
            to: incarnation(2),
            number: 7,
            method: "POST".into(),
            target: "/api/v1/runs/run_x/cancel?a=b".into(),
            body: digest(b"{}"),
            caller,
            client: Some("192.0.2.1".parse().unwrap()),
            is_encrypted: true,
        }
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn a_caller_arrives_as_it_was_let_in() {
        let workspaces = Scope::Only(vec![WorkspaceId::generate()]);
        let membership = Membership { workspace_id: WorkspaceId::generate(), role: MemberRole::Operator };
        let identity = Identity { issuer: "https://login.example".into(), subject: "s\u{e4}".into() };
        let stream = StreamId::from(RunId::generate());
        for (who, via) in [
            (Who::Local, Via::Key),
            (Who::Key(KeyId::generate()), Via::Ticket(stream)),
            (Who::Person(PersonId::generate(), Arc::new(identity)), Via::Key),
        ] {
            let (name, workspaces) = ("caf\u{e9}".into(), workspaces.clone());
            let principal = Principal { who, name, role: Role::Viewer, workspaces };
            let sent = Admitted { principal, memberships: [membership].into(), via, ..Admitted::local() };
            let sealed = envelope(Caller::of(&sent)).sealed(&secret("s"));
            let came = Envelope::open(&sealed, &secret("s")).unwrap().caller.admitted().unwrap();
            assert_eq!((came.principal, came.via), (sent.principal, sent.via));
            assert_eq!(came.memberships, sent.memberships);
        }
    }

    #[test]
    fn what_was_not_signed_with_the_secret_is_not_read() {
        let whole = envelope(Caller::of(&Admitted::local()));
        let sealed = whole.sealed(&secret("s"));
        assert_eq!(Envelope::open(&sealed, &secret("s")), Some(whole.clone()));
        assert_eq!(Envelope::open(&sealed, &secret("t")), None);
        let other = Envelope { target: "/api/v1/runs".into(), ..whole }.sealed(&secret("s"));
        for (envelope, signature) in [
            (&other.envelope, &sealed.signature),
            (&sealed.envelope, &other.signature),
            (&sealed.envelope, &String::new()),
            (&sealed.envelope, &sealed.signature[1..].to_owned()),
            (&String::new(), &sealed.signature),
        ] {
            let forged = Sealed { envelope: envelope.clone(), signature: signature.clone() };
            assert_eq!(Envelope::open(&forged, &secret("s")), None, "{forged:?}");
        }
    }
}
