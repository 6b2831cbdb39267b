//! Finds out who is calling, and ends what goes on for a caller who is not let in any more.
//!
//! Invariant: a request under a key, a session or a ticket that ends is answered 401 if nothing was answered yet, and
//! else its response is cut off; whatever carries it then.

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};

use super::auth::Decision;
use super::forward::{Peers, accept};
use super::paths;
use super::problem::Problem;
use super::query::RawQuery;
use crate::access::Access;
use crate::access::book::Refused;
use crate::access::revocation::Revocation;
use crate::access::shown::{Shown, Texts, session};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
/// The parameter of the query that is a ticket.
pub const TICKET: &str = "ticket";

/// Larger bodies may take a while.
const LONG: u64 = 256 << 10;

pub async fn sign_in(
    access: web::Data<Access>,
    peers: web::Data<Option<Peers>>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Some(peers) = &**peers
        && let Some(admitted) = accept(peers, access.store(), &mut request).await?
    {
        // Whether the caller is let in any longer, and who may keep the answer, is seen to where it has asked.
        request.extensions_mut().insert(Decision(Ok(admitted)));
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    if let Some(everybody) = access.everybody() {
        request.extensions_mut().insert(Decision(Ok(everybody)));
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let decision = access.admit(&shown(&request));
    // Somebody who signs in anew may end what let them in so far: that is no end of the sign-in.
    let admitted = decision.as_ref().ok().filter(|_| request.path() != paths::OIDC_CALLBACK);
    let revocation = admitted.map(|admitted| admitted.revocation.clone());
    request.extensions_mut().insert(Decision(decision));
    let Some(revocation) = revocation else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    let mut response = tokio::select! {
        // Who revokes its own key is told so.
        biased;
        response = next.call(request) => response?.map_into_boxed_body(),
        () = revocation.revoked() => return Err(Problem::from(Refused::Unknown).into()),
    };
    keep_private(response.headers_mut());
    Ok(ending_with(revocation, response))
}

/// A response that may take a while ends when this is told: it carries it to whoever sends its body (`push::hand_over`).
fn ending_with(revocation: Revocation, mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let is_long = match response.response().body().size() {
        BodySize::Stream => true,
        BodySize::Sized(length) => length > LONG,
        BodySize::None => false,
    };
    if is_long {
        response.response_mut().extensions_mut().insert(revocation);
    }
    response
}

/// What the request shows of its sender.
pub(super) fn shown(request: &ServiceRequest) -> Shown {
    fn all(headers: &HeaderMap, name: impl header::AsHeaderName) -> Vec<Option<&str>> {
        headers.get_all(name).map(|value| value.to_str().ok()).collect()
    }
    let headers = request.headers();
    let ticket = ticket(request.query_string());
    Shown::of(&Texts {
        authorization: all(headers, header::AUTHORIZATION),
        api_key: all(headers, API_KEY),
        cookies: all(headers, header::COOKIE).into_iter().flatten().collect(),
        ticket: ticket.as_deref(),
        csrf_token: headers.get(CSRF_TOKEN).and_then(|value| value.to_str().ok()),
        changes: !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS),
    })
}

/// The secret of the session whose cookie the request has.
pub fn session_secret(request: &HttpRequest) -> Option<&str> {
    let cookies = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    session(cookies).ok().flatten()
}

fn ticket(query: &str) -> Option<String> {
    // Most requests have none, and need not be read twice.
    if !query.contains(TICKET) {
        return None;
    }
    RawQuery::parse(query).ok()?.take_all(TICKET).pop()
}

/// An answer is for its caller alone: no cache may give it to another, and the caller's own asks again.
fn keep_private(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    let before = headers.get(header::VARY).and_then(|value| value.to_str().ok()).map(|before| format!("{before}, "));
    let varies = format!("{}authorization, cookie, x-api-key", before.unwrap_or_default());
    if let Ok(varies) = HeaderValue::from_str(&varies) {
        headers.insert(header::VARY, varies);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_from_other_callers() {
        let mut headers = HeaderMap::new();
        keep_private(&mut headers);
        assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "private, no-cache");
        assert_eq!(headers.get(header::VARY).unwrap(), "authorization, cookie, x-api-key");
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        keep_private(&mut headers);
        assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "no-store");
        assert_eq!(headers.get(header::VARY).unwrap(), "accept, authorization, cookie, x-api-key");
    }

    #[test]
    fn a_ticket_is_a_parameter_of_that_name() {
        assert_eq!(ticket("after_sequence=3&ticket=adet_%41"), Some("adet_A".into()));
        for none in ["", "tickets=a", "types=ticket", "x=ticket&y"] {
            assert_eq!(ticket(none), None, "{none}");
        }
    }
}
