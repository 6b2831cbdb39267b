//! A request that another node has passed on.
//!
//! Law: it is as if the caller had asked here, for this one request; nothing of it is believed before its signature holds. It is
//! not passed on again.

use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::web::Bytes;

use super::envelope::{Envelope, Sealed, digest};
use super::peers::Peers;
use crate::access::book::{Admitted, Refused};
use crate::http::peer::Client;
use crate::http::problem::{Code, Problem};
use crate::store::Store;

pub const ENVELOPE: &str = "ade-forwarded";
pub const SIGNATURE: &str = "ade-signature";

/// A node sends what it has already.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// In the extensions of a request that has come by another node.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded;

/// The caller of a request that another node has passed on; none of any other request.
pub async fn accept(peers: &Peers, store: &Store, request: &mut ServiceRequest) -> Result<Option<Admitted>, Problem> {
    let Some(sealed) = sealed(request) else { return Ok(None) };
    let envelope = Envelope::open(&sealed, &peers.settings.secret).ok_or(Refused::Unknown)?;
    if envelope.to != peers.nodes.incarnation() {
        return Err(Problem::new(Code::OwnerChanged, "the request was for another process"));
    }
    check_sender(peers, store, &envelope).await?;
    let is_this = envelope.method == request.method().as_str() && envelope.target == target(request);
    if !is_this || !peers.take(envelope.from, envelope.number) {
        return Err(Refused::Unknown.into());
    }
    check_body(&envelope, request).await?;
    let client = Client { address: envelope.client, is_encrypted: envelope.is_encrypted };
    let admitted = envelope.caller.admitted().ok_or(Refused::Unknown)?;
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(Forwarded);
    Ok(Some(admitted))
}

fn sealed(request: &ServiceRequest) -> Option<Sealed> {
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default().to_owned());
    text(ENVELOPE).map(|envelope| Sealed { envelope, signature: text(SIGNATURE).unwrap_or_default() })
}

/// As it stands in the request.
pub fn target(request: &ServiceRequest) -> String {
    request.uri().path_and_query().map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned())
}

/// A process that has just started may not be known yet.
async fn check_sender(peers: &Peers, store: &Store, envelope: &Envelope) -> Result<(), Problem> {
    if !peers.is_at_work(envelope.from) {
        peers.nodes.look(store).await?;
    }
    match peers.is_at_work(envelope.from) {
        true => Ok(()),
        false => Err(Problem::new(Code::OwnerChanged, "the request is of a process that is not at work any more")),
    }
}

/// Reads the body, which is no longer than any that is passed on, and puts it back.
async fn check_body(envelope: &Envelope, request: &mut ServiceRequest) -> Result<(), Problem> {
    let late = |_| Problem::new(Code::RequestTimeout, "the body came too slowly");
    let body = tokio::time::timeout(BODY_WITHIN, request.extract::<Bytes>()).await.map_err(late)?;
    let body = body.map_err(|error| Problem::new(Code::BadRequest, error.to_string()))?;
    if digest(&body) != envelope.body {
        return Err(Refused::Unknown.into());
    }
    request.set_payload(Payload::from(body));
    Ok(())
}
