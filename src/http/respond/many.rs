//! Several streams as server-sent events on one connection.
//!
//! Invariant. Each stream's events come in its order, without gap or repeat; between streams there is no order. The id
//! of every event names the last position in every stream, so that the last id alone is where the reader stands. A
//! connection holds at most one chunk of one stream and waits for one file at a time, however many it carries.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use memchr::memchr;

use super::sse::{self, COMMENT, SILENT_EVENTS, opened, put_event, put_number};
use crate::domain::{StreamId, StreamKind};
use crate::http::cursor::EventNames;
use crate::http::filter::Filter;
use crate::stream::window::Halt;
use crate::stream::{Chunk, End, Follow, Item};

/// Frames made at once; an id may have some kilobytes.
const PIECE: usize = 32 << 10;

/// The response to a reader: 204 when it has all there will ever be of every stream.
pub fn respond(
    streams: Vec<(StreamId, StreamKind, Follow)>,
    names: EventNames,
    filter: Option<Filter>,
) -> HttpResponse {
    if streams.iter().all(|(_, _, follow)| follow.is_finished()) {
        return HttpResponse::NoContent().finish();
    }
    sse::response(ManyBody::new(streams.into_iter().map(Lane::new).collect(), names, filter))
}

/// One of the streams.
struct Lane {
    id: StreamId,
    kind: StreamKind,
    /// The last event that was looked at for the reader, shown or not.
    position: u64,
    /// None once there is no more.
    follow: Option<Follow>,
}

impl Lane {
    fn new((id, kind, follow): (StreamId, StreamKind, Follow)) -> Self {
        Self { id, kind, position: follow.position(), follow: Some(follow) }
    }
}

/// What of a chunk is not sent yet.
struct Rest {
    lane: usize,
    lines: Bytes,
}

struct ManyBody {
    lanes: Vec<Lane>,
    /// Whose turn it is.
    next: usize,
    rest: Option<Rest>,
    names: EventNames,
    filter: Option<Filter>,
    /// Events since the client last received its position.
    untold: u64,
    /// Something has been sent.
    is_answered: bool,
    /// The first block has been sent.
    is_open: bool,
    ended: bool,
}

impl MessageBody for ManyBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let body = self.get_mut();
        let bytes = ready!(body.poll_open(context));
        body.is_answered = true;
        // What is sent of one stream breaks the silence of all.
        body.lanes.iter_mut().filter_map(|lane| lane.follow.as_mut()).for_each(Follow::sent);
        Poll::Ready(bytes.map(Ok))
    }
}

impl ManyBody {
    fn new(lanes: Vec<Lane>, names: EventNames, filter: Option<Filter>) -> Self {
        Self { lanes, next: 0, rest: None, names, filter, untold: 0, is_answered: false, is_open: false, ended: false }
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.rest.is_none() && (self.ended || self.lanes.iter().all(|lane| lane.follow.is_none())) {
                return Poll::Ready(None);
            }
            let block = match self.rest.is_some() {
                true => self.frames(),
                false => match self.poll_lanes(context) {
                    Poll::Ready((lane, Item::Chunk(chunk))) => self.begin(lane, &chunk),
                    Poll::Ready((_, Item::Heartbeat)) if self.untold >= SILENT_EVENTS => Some(self.bare_id()),
                    Poll::Ready((_, Item::Heartbeat)) => return Poll::Ready(Some(COMMENT)),
                    Poll::Ready((lane, Item::End(end))) => self.end(lane, end),
                    Poll::Pending if self.untold >= SILENT_EVENTS && self.is_caught_up() => Some(self.bare_id()),
                    Poll::Pending if !self.is_answered && self.is_caught_up() => return Poll::Ready(Some(COMMENT)),
                    Poll::Pending => return Poll::Pending,
                },
            };
            if let Some(block) = block {
                return Poll::Ready(Some(opened(&mut self.is_open, block)));
            }
        }
    }

    /// Whether no stream has an event that is still to be looked at.
    fn is_caught_up(&self) -> bool {
        self.lanes.iter().filter_map(|lane| lane.follow.as_ref()).all(Follow::is_caught_up)
    }

    /// The next of whichever stream has something, in turn.
    fn poll_lanes(&mut self, context: &mut Context<'_>) -> Poll<(usize, Item)> {
        let count = self.lanes.len();
        for at in (self.next..self.next + count).map(|at| at % count) {
            let Some(follow) = &mut self.lanes[at].follow else { continue };
            match follow.poll_next(context) {
                Poll::Ready(item) => {
                    self.next = at + 1;
                    let item = item.unwrap_or_else(|error| {
                        tracing::error!(stream = %self.lanes[at].id, error = %error, "a log could not be read for a subscriber");
                        Item::End(End::Halted(Halt::Degraded))
                    });
                    return Poll::Ready((at, item));
                }
                // The others are looked at when its bytes are here.
                Poll::Pending if follow.is_reading() => {
                    self.next = at;
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    fn begin(&mut self, lane: usize, chunk: &Chunk) -> Option<Bytes> {
        debug_assert_eq!(chunk.first(), self.lanes[lane].position + 1);
        self.rest = Some(Rest { lane, lines: chunk.lines() });
        None
    }

    /// Some of the rest's events; none when the filter lets none of them pass.
    fn frames(&mut self) -> Option<Bytes> {
        let Rest { lane: at, mut lines } = self.rest.take()?;
        let (before, behind) = self.around(at);
        let mut out = Vec::new();
        while let Some(newline) = memchr(b'\n', &lines).filter(|_| out.len() < PIECE) {
            let line = lines.split_to(newline + 1);
            let lane = &mut self.lanes[at];
            lane.position += 1;
            self.untold += 1;
            if self.filter.as_ref().is_none_or(|filter| filter.passes(lane.kind, &line)) {
                put_event(&mut out, self.names, &line);
                out.extend_from_slice(before.as_bytes());
                put_number(&mut out, lane.position);
                out.extend_from_slice(behind.as_bytes());
                out.extend_from_slice(b"\n\n");
                self.untold = 0;
            }
        }
        if !lines.is_empty() {
            self.rest = Some(Rest { lane: at, lines });
        }
        (!out.is_empty()).then(|| out.into())
    }

    /// What of an id stands before and behind one stream's sequence.
    fn around(&self, at: usize) -> (String, String) {
        let mut before = String::from("id: ");
        for lane in &self.lanes[..at] {
            before += &format!("{}:{},", lane.id, lane.position);
        }
        before += &format!("{}:", self.lanes[at].id);
        let behind = self.lanes[at + 1..].iter().map(|lane| format!(",{}:{}", lane.id, lane.position)).collect();
        (before, behind)
    }

    /// Moves the client's position without an event.
    fn bare_id(&mut self) -> Bytes {
        self.untold = 0;
        let (before, behind) = self.around(0);
        format!("{before}{}{behind}\n\n", self.lanes[0].position).into()
    }

    /// One stream has ended. A feed that halts continues for clients that reconnect, so the whole connection ends.
    fn end(&mut self, at: usize, end: End) -> Option<Bytes> {
        let lane = &mut self.lanes[at];
        lane.follow = None;
        let (name, code) = match end {
            End::Closed => return None,
            End::Halted(Halt::Degraded) => ("stream.degraded", "log_unavailable"),
            End::Halted(Halt::Draining) => ("stream.draining", "draining"),
        };
        self.ended |= end == End::Halted(Halt::Draining) && lane.kind == StreamKind::FEED;
        Some(format!("event: {name}\ndata: {{\"code\":\"{code}\",\"stream\":\"{}\"}}\n\n", lane.id).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RunId, WorkspaceId};
    use crate::http::filter::Asked;

    fn body(positions: &[u64], filter: Option<Filter>) -> ManyBody {
        let lane =
            |&position| Lane { id: StreamId::from(RunId::generate()), kind: StreamKind::RUN, position, follow: None };
        ManyBody::new(positions.iter().map(lane).collect(), EventNames::Constant, filter)
    }

    fn line(number: u64) -> String {
        format!("{{\"type\":\"console.line\",\"sequence\":{number}}}\n")
    }

    #[test]
    fn the_id_of_an_event_names_every_position() {
        let mut body = body(&[3, 10, 0], None);
        let ids: Vec<_> = body.lanes.iter().map(|lane| lane.id).collect();
        body.rest = Some(Rest { lane: 1, lines: (line(11) + &line(12)).into() });
        let frames = body.frames().unwrap();
        let id = |n| format!("event: ade.event\ndata: {}id: {}:3,{}:{n},{}:0\n\n", line(n), ids[0], ids[1], ids[2]);
        assert_eq!(std::str::from_utf8(&frames).unwrap(), id(11) + &id(12));
        assert!(body.rest.is_none() && body.lanes[1].position == 12);
    }

    #[test]
    fn a_large_chunk_goes_out_in_pieces_and_none_of_it_twice() {
        let mut body = body(&[0; 100], None);
        body.rest = Some(Rest { lane: 99, lines: (1..=50).map(line).collect::<String>().into() });
        let (mut pieces, mut text) = (0, String::new());
        while body.rest.is_some() {
            let piece = body.frames().unwrap();
            assert!(piece.len() < PIECE + 8192, "{}", piece.len());
            text += std::str::from_utf8(&piece).unwrap();
            pieces += 1;
        }
        let data: Vec<_> = text.lines().filter_map(|text| text.strip_prefix("data: ")).collect();
        assert_eq!(data, (1..=50).map(|n| line(n).trim_end().to_owned()).collect::<Vec<_>>());
        assert!(pieces > 3, "{pieces}");
    }

    #[test]
    fn what_is_filtered_out_moves_the_position() {
        let filter = Filter::parse(Asked { types: Some("run.*".into()), ..Asked::default() }).unwrap();
        let mut body = body(&[0, 5], filter);
        body.rest = Some(Rest { lane: 0, lines: line(1).into() });
        assert_eq!(body.frames(), None);
        let (first, second) = (body.lanes[0].id, body.lanes[1].id);
        assert_eq!((body.untold, body.bare_id()), (1, format!("id: {first}:1,{second}:5\n\n").into()));
        assert_eq!(body.untold, 0);
    }

    #[test]
    fn a_control_frame_names_its_stream_and_only_a_halted_feed_ends_the_connection() {
        let mut body = body(&[1, 2], None);
        let id = body.lanes[0].id;
        let told = body.end(0, End::Halted(Halt::Draining)).unwrap();
        assert_eq!(told, format!("event: stream.draining\ndata: {{\"code\":\"draining\",\"stream\":\"{id}\"}}\n\n"));
        assert!(!body.ended);
        assert_eq!(body.end(0, End::Closed), None);
        let feed = StreamId::from(WorkspaceId::generate());
        body.lanes[1] = Lane { id: feed, kind: StreamKind::FEED, position: 0, follow: None };
        body.end(1, End::Halted(Halt::Draining)).unwrap();
        assert!(body.ended);
    }
}
