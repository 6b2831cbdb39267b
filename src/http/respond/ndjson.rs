//! The stored lines as they are: followed live, or up to where the stream stands now.
//!
//! Invariant: a followed response is complete when the terminal event is in it. A stream that goes no further here ends
//! the response as one that was cut off, since a line cannot say so.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CacheControl, CacheDirective};
use bytes::Bytes;

use crate::domain::StreamKind;
use crate::http::filter::Filter;
use crate::stream::window::Halt;
use crate::stream::{Chunk, End, Follow, Item};

pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// `stay` keeps the response open for what comes.
pub fn respond(follow: Follow, kind: StreamKind, filter: Option<Filter>, stay: bool) -> HttpResponse {
    let render = filter.map(|filter| -> Render {
        Box::new(move |out, line| {
            if filter.passes(kind, line) {
                out.extend_from_slice(line);
            }
        })
    });
    lines(follow, render, stay)
}

/// Up to where the stream stands now, in lines of another form.
pub fn respond_as(follow: Follow, render: impl Fn(&mut Vec<u8>, &[u8]) + 'static) -> HttpResponse {
    lines(follow, Some(Box::new(render)), false)
}

fn lines(follow: Follow, render: Option<Render>, stay: bool) -> HttpResponse {
    let until = (!stay).then(|| follow.hub().tail().sequence);
    HttpResponse::Ok()
        .content_type(CONTENT_TYPE)
        .insert_header(CacheControl(vec![CacheDirective::NoCache, CacheDirective::NoTransform]))
        .insert_header(("X-Accel-Buffering", "no"))
        .body(NdjsonBody { follow, render, until })
}

/// Appends what is shown of a stored line, which may be nothing.
type Render = Box<dyn Fn(&mut Vec<u8>, &[u8])>;

struct NdjsonBody {
    follow: Follow,
    /// `None` shows the lines as they are.
    render: Option<Render>,
    /// Ends after this event; `None` stays for what comes.
    until: Option<u64>,
}

impl MessageBody for NdjsonBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let body = self.get_mut();
        loop {
            if body.until.is_some_and(|until| body.follow.position() >= until) {
                return Poll::Ready(None);
            }
            match ready!(body.follow.poll_next(context)) {
                Ok(Item::Chunk(chunk)) => {
                    let lines = body.lines(&chunk);
                    if !lines.is_empty() {
                        body.follow.sent();
                        return Poll::Ready(Some(Ok(lines)));
                    }
                }
                // A blank line is no event; it keeps the connection alive.
                Ok(Item::Heartbeat) if body.until.is_none() => return Poll::Ready(Some(Ok(Bytes::from_static(b"\n")))),
                Ok(Item::Heartbeat) => {}
                Ok(Item::End(End::Closed)) => return Poll::Ready(None),
                Ok(Item::End(End::Halted(halt))) => return Poll::Ready(Some(Err(io::Error::other(halted(halt))))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

fn halted(halt: Halt) -> &'static str {
    match halt {
        Halt::Degraded => "the log has failed",
        Halt::Draining => "the stream goes on elsewhere or later",
    }
}

impl NdjsonBody {
    fn lines(&self, chunk: &Chunk) -> Bytes {
        match &self.render {
            None => chunk.lines(),
            Some(render) => chunk.rendered(|out, _, line| render(out, line)),
        }
    }
}
