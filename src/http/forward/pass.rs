//! Passing a request on, and its answer back.
//!
//! Law: the answer is the one of the owner, as it comes and no sooner: nothing is gathered here but the body of the request, which is
//! bounded as it is everywhere. Whoever stops reading ends the request there; an answer that is cut off there is cut off here.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpMessage as _, HttpResponse};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::accept::{ENVELOPE, SIGNATURE, target};
use super::envelope::{Caller, Envelope, digest};
use super::peers::Peers;
use crate::access::book::Admitted;
use crate::cluster::Peer;
use crate::http::middleware::RequestId;
use crate::http::peer::Client;
use crate::http::problem::{Code, Problem};
use crate::outbound::{Answer, Outgoing, send_within};

/// Who has answered.
pub const NODE: HeaderName = HeaderName::from_static("ade-node");

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Longer than a page waits for events, and than what is said waits for the journal's servers to have a leader.
const HEAD_WITHIN: Duration = Duration::from_secs(60);
/// Of a node that has not said for a while that it is there.
const HEAD_OF_SILENT_WITHIN: Duration = Duration::from_secs(5);
/// An answer that has begun goes on within this: one of events has heartbeats, and all others are there.
const SILENCE: Duration = Duration::from_secs(120);

/// Of this hop alone, or said by the envelope, or of the connection to the other node.
const NOT_PASSED_ON: [&str; 26] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-api-key",
    "x-csrf-token",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
    ENVELOPE,
    SIGNATURE,
];
/// Nor any of these back.
const NOT_PASSED_BACK: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// The answer of another node. An error is of the way there, and then nothing is known of what was done.
pub async fn pass_on(
    peers: &Peers,
    to: &Peer,
    caller: &Admitted,
    request: &ServiceRequest,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let unreachable = |why: &str| {
        tracing::warn!(node = %to.id, why, "a request could not be passed on");
        unreachable(to.id)
    };
    let outgoing = outgoing(peers, to, caller, request, body).map_err(|why| unreachable(&why))?;
    let within = if to.is_alive { HEAD_WITHIN } else { HEAD_OF_SILENT_WITHIN };
    let answer = tokio::select! {
        answer = timeout(within, send_within(&peers.tls, &outgoing, CONNECT_WITHIN)) => answer,
        // One that stands still keeps its connections.
        () = peers.nodes.gone(to) => return Err(unreachable("it has stopped answering")),
    };
    let answer = answer.map_err(|_| unreachable("no answer in time"))?.map_err(|why| unreachable(&why))?;
    // It would tell the client that its own key is wrong.
    if answer.status.as_u16() == StatusCode::UNAUTHORIZED.as_u16() {
        return Err(unreachable("it does not take this node for one of its cluster"));
    }
    answered(to, request.method(), answer).map_err(|why| unreachable(&why))
}

pub fn unreachable(node: impl std::fmt::Display) -> Problem {
    Problem::new(Code::NodeUnreachable, "the node that has this does not answer").with("node", node.to_string())
}

fn outgoing(
    peers: &Peers,
    to: &Peer,
    caller: &Admitted,
    request: &ServiceRequest,
    body: Bytes,
) -> Result<Outgoing, String> {
    let client = request.extensions().get::<Client>().copied();
    let envelope = Envelope {
        from: peers.nodes.incarnation(),
        to: to.incarnation,
        number: peers.number(),
        method: request.method().to_string(),
        target: target(request),
        body: digest(&body),
        caller: Caller::of(caller),
        client: client.and_then(|client| client.address),
        is_encrypted: client.is_some_and(|client| client.is_encrypted),
    };
    let sealed = envelope.sealed(&peers.settings.secret);
    let request_id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()).unwrap_or_default();
    let own = [
        (ENVELOPE, sealed.envelope.as_bytes()),
        (SIGNATURE, sealed.signature.as_bytes()),
        ("x-request-id", request_id.as_bytes()),
    ];
    let passed = passed_on(request.headers()).map(|(name, value)| (name.as_str(), value.as_bytes()));
    let url = format!("{}{}", to.address, envelope.target);
    Outgoing::new(request.method().as_str(), url, passed.chain(own), body)
}

fn passed_on(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named = named_by_connection(headers);
    headers.iter().filter(move |(name, _)| {
        !NOT_PASSED_ON.contains(&name.as_str()) && !named.iter().any(|other| other == name.as_str())
    })
}

/// Those that a client has made headers of its hop.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::CONNECTION).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// The head of an answer, and its body as it comes.
fn answered(by: &Peer, method: &Method, answer: Answer) -> Result<HttpResponse, String> {
    let status = StatusCode::from_u16(answer.status.as_u16()).map_err(|error| error.to_string())?;
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers.iter().filter(|(name, _)| !NOT_PASSED_BACK.contains(&name.as_str())) {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response.insert_header((NODE, by.id.to_string()));
    let length = answer.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(response.body(()));
    }
    let size = length.map_or(BodySize::Stream, BodySize::Sized);
    // Of `HEAD` it says what there would be.
    let answer = (*method != Method::HEAD).then_some(answer);
    Ok(response.body(Body { size, answer, silence: Box::pin(sleep(SILENCE)), is_waiting: false }))
}

/// The body of another node's answer. Dropped, it ends the request there.
struct Body {
    size: BodySize,
    answer: Option<Answer>,
    /// How long nothing has come, while this waits for it.
    silence: Pin<Box<Sleep>>,
    is_waiting: bool,
}

/// The answer ends here, and is not complete.
#[derive(Debug, thiserror::Error)]
#[error("the answer of another node broke off: {0}")]
struct BrokenOff(String);

impl MessageBody for Body {
    type Error = BrokenOff;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let body = self.get_mut();
        let Some(answer) = &mut body.answer else { return Poll::Ready(None) };
        if let Poll::Ready(chunk) = answer.poll_chunk(context) {
            body.is_waiting = false;
            return Poll::Ready(chunk.map(|chunk| chunk.map_err(BrokenOff)));
        }
        // A client that does not read is none of the other node's silence.
        if !std::mem::replace(&mut body.is_waiting, true) {
            body.silence.as_mut().reset(Instant::now() + SILENCE);
        }
        match body.silence.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(BrokenOff(format!("silent for {SILENCE:?}"))))),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_this_hop_or_a_secret_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("cookie", "ade_session=x"),
            ("x-api-key", "x"),
            ("x-csrf-token", "x"),
            ("host", "b"),
            ("origin", "http://b"),
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("transfer-encoding", "chunked"),
            ("ade-forwarded", "made up"),
            ("ade-signature", "made up"),
            ("x-forwarded-for", "192.0.2.1"),
            ("accept", "text/event-stream"),
            ("last-event-id", "7"),
            ("range", "bytes=0-1"),
            ("if-none-match", "\"a\""),
            ("traceparent", "00-1-2-01"),
        ] {
            headers.append(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        let mut names: Vec<_> = passed_on(&headers).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "if-none-match", "last-event-id", "range", "traceparent"]);
    }
}
