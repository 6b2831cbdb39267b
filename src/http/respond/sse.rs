//! Server-sent events.
//!
//! Invariant. Every frame that stands for an event carries its sequence as `id`, so what a client repeats as
//! `Last-Event-ID` is exactly what it has; control frames and comments carry none. A block without data is not sent
//! where an event can say the same: some clients take it for an event. What is left is a bare `id`, for a reader who
//! has everything and has been shown none of many events.
//!
//! A reader for whom there is nothing yet gets a comment at once: it tells that nothing is left to be read, and whatever
//! is between that keeps a head until something comes behind it lets the head go.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, CacheControl, CacheDirective, HeaderName};
use bytes::Bytes;

use crate::domain::StreamKind;
use crate::event::codec::raw_type;
use crate::http::cursor::EventNames;
use crate::http::filter::Filter;
use crate::stream::window::Halt;
use crate::stream::{Chunk, End, Follow, Item};

/// A filtered reader that is shown none of this many events gets its position, to resume from.
pub(super) const SILENT_EVENTS: u64 = 1000;

/// The response to a reader: 204 when it has all there will ever be, which stops a browser for good.
pub fn respond(follow: Follow, kind: StreamKind, names: EventNames, filter: Option<Filter>) -> HttpResponse {
    if follow.is_finished() {
        return HttpResponse::NoContent().finish();
    }
    response(SseBody {
        sent: follow.position(),
        follow,
        kind,
        names,
        filter,
        is_answered: false,
        is_open: false,
        ended: false,
    })
}

/// An event stream with this body.
pub(super) fn response(body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header(CacheControl(vec![CacheDirective::NoCache, CacheDirective::NoTransform]))
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .body(body)
}

/// A heartbeat, and the beginning of an answer that has nothing to say yet. It is a line and no block: to some clients a
/// blank line behind a comment is an event without data.
pub(super) const COMMENT: Bytes = Bytes::from_static(b":\n");

struct SseBody {
    follow: Follow,
    kind: StreamKind,
    names: EventNames,
    filter: Option<Filter>,
    /// The last position that the client received.
    sent: u64,
    /// Something has been sent.
    is_answered: bool,
    /// The first block has been sent.
    is_open: bool,
    ended: bool,
}

impl MessageBody for SseBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let body = self.get_mut();
        if body.ended {
            return Poll::Ready(None);
        }
        let bytes = ready!(body.poll_open(context));
        body.is_answered = true;
        body.follow.sent();
        Poll::Ready(bytes.map(Ok))
    }
}

impl SseBody {
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let block = match self.follow.poll_next(context) {
                Poll::Ready(Ok(Item::Chunk(chunk))) => self.frames(&chunk),
                Poll::Ready(Ok(Item::Heartbeat)) => match self.is_untold() {
                    true => Some(self.bare_id()),
                    false => return Poll::Ready(Some(COMMENT)),
                },
                Poll::Ready(Ok(Item::End(end))) => {
                    self.ended = true;
                    match control_frame(end) {
                        Some(frame) => Some(Bytes::from_static(frame)),
                        None => return Poll::Ready(None),
                    }
                }
                Poll::Ready(Err(error)) => {
                    tracing::error!(error = %error, "a log could not be read for a subscriber");
                    self.ended = true;
                    control_frame(End::Halted(Halt::Degraded)).map(Bytes::from_static)
                }
                Poll::Pending if self.is_untold() && self.follow.is_caught_up() => Some(self.bare_id()),
                Poll::Pending if !self.is_answered && self.follow.is_caught_up() => return Poll::Ready(Some(COMMENT)),
                Poll::Pending => return Poll::Pending,
            };
            if let Some(block) = block {
                return Poll::Ready(Some(opened(&mut self.is_open, block)));
            }
        }
    }

    fn frames(&mut self, chunk: &Chunk) -> Option<Bytes> {
        let bytes = match (&self.filter, self.names) {
            (None, EventNames::Constant) => chunk.framed(constant_frame),
            (None, EventNames::Typed) => chunk.rendered(typed_frame),
            (Some(filter), names) => chunk.rendered(|out, sequence, line| {
                if filter.passes(self.kind, line) {
                    frame(names)(out, sequence, line);
                }
            }),
        };
        if bytes.is_empty() {
            return None;
        }
        self.sent = chunk.last();
        Some(bytes)
    }

    /// Whether so many events were left out that the client's position is worth a block of its own.
    fn is_untold(&self) -> bool {
        self.follow.position() - self.sent >= SILENT_EVENTS
    }

    /// Moves the client's position without an event.
    fn bare_id(&mut self) -> Bytes {
        self.sent = self.follow.position();
        format!("id: {}\n\n", self.sent).into()
    }
}

fn control_frame(end: End) -> Option<&'static [u8]> {
    match end {
        End::Closed => None,
        End::Halted(Halt::Degraded) => Some(b"event: stream.degraded\ndata: {\"code\":\"log_unavailable\"}\n\n"),
        End::Halted(Halt::Draining) => Some(b"event: stream.draining\ndata: {\"code\":\"draining\"}\n\n"),
    }
}

/// The first block that is not a comment says when to come back after the connection is lost, with jitter: clients of
/// one moment must not all come back in one moment.
pub(super) fn opened(is_open: &mut bool, block: Bytes) -> Bytes {
    if std::mem::replace(is_open, true) {
        return block;
    }
    let jitter = ulid::Ulid::generate().random() as u64 % 2000;
    [format!("retry: {}\n", 1000 + jitter).as_bytes(), &block].concat().into()
}

fn frame(names: EventNames) -> fn(&mut Vec<u8>, u64, &[u8]) {
    match names {
        EventNames::Constant => constant_frame,
        EventNames::Typed => typed_frame,
    }
}

fn constant_frame(out: &mut Vec<u8>, sequence: u64, line: &[u8]) {
    put_event(out, EventNames::Constant, line);
    put_id(out, sequence);
}

fn typed_frame(out: &mut Vec<u8>, sequence: u64, line: &[u8]) {
    put_event(out, EventNames::Typed, line);
    put_id(out, sequence);
}

/// A frame without its id, which must be its last line: many clients resume from an id as soon as they have read it,
/// so a connection that is cut inside a frame would lose them the event whose id they had already seen.
pub(super) fn put_event(out: &mut Vec<u8>, names: EventNames, line: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(if names == EventNames::Typed { raw_type(line) } else { b"ade.event" });
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(line);
}

fn put_id(out: &mut Vec<u8>, sequence: u64) {
    out.extend_from_slice(b"id: ");
    put_number(out, sequence);
    out.extend_from_slice(b"\n\n");
}

/// By hand: the formatting machinery would cost as much as the rest of the frame.
pub(super) fn put_number(out: &mut Vec<u8>, mut sequence: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (sequence % 10) as u8;
        sequence /= 10;
        if sequence == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_line_with_its_id() {
        let mut out = Vec::new();
        constant_frame(&mut out, 120, b"{\"type\":\"x\"}\n");
        typed_frame(&mut out, 7, b"{\"type\":\"run.queued\"}\n");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "event: ade.event\ndata: {\"type\":\"x\"}\nid: 120\n\nevent: run.queued\ndata: {\"type\":\"run.queued\"}\nid: 7\n\n"
        );
    }
}
