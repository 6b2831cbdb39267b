//! A page of events as one JSON object, held back for a while when there is nothing yet (long-poll).

use std::io;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CacheControl, CacheDirective};
use tokio::time::timeout;

use crate::domain::StreamKind;
use crate::http::filter::Filter;
use crate::stream::{Chunk, Follow, Item};

/// A page is cut here even when it has fewer than `limit` events; lines may be a mebibyte each.
const MAX_BYTES: usize = 8 << 20;

struct Page {
    items: Vec<u8>,
    count: usize,
    /// The last sequence looked at, shown or not.
    scanned: u64,
}

/// Reads up to `limit` events, or to the end of what there is; waits for the first at most `wait`.
pub async fn respond(
    mut follow: Follow,
    kind: StreamKind,
    filter: Option<Filter>,
    limit: usize,
    wait: Duration,
) -> io::Result<HttpResponse> {
    let mut page = Page { items: Vec::new(), count: 0, scanned: follow.position() };
    page.read(&mut follow, kind, filter.as_ref(), limit).await?;
    if page.count == 0 && !wait.is_zero() {
        // A time-out leaves what was scanned so far: an empty page that still moves the client on.
        let _ = timeout(wait, page.read_first(&mut follow, kind, filter.as_ref(), limit)).await;
    }
    let tail = follow.hub().tail();
    Ok(page.respond(tail.sequence, tail.closed))
}

impl Page {
    fn is_full(&self, limit: usize) -> bool {
        self.count >= limit || self.items.len() >= MAX_BYTES
    }

    /// Reads what is there.
    async fn read(
        &mut self,
        follow: &mut Follow,
        kind: StreamKind,
        filter: Option<&Filter>,
        limit: usize,
    ) -> io::Result<()> {
        while !self.is_full(limit) && follow.position() < follow.hub().tail().sequence {
            if !self.step(follow, kind, filter, limit).await? {
                break;
            }
        }
        Ok(())
    }

    /// Waits until there is something to show, or there never will be.
    async fn read_first(
        &mut self,
        follow: &mut Follow,
        kind: StreamKind,
        filter: Option<&Filter>,
        limit: usize,
    ) -> io::Result<()> {
        while self.count == 0 && self.step(follow, kind, filter, limit).await? {}
        Ok(())
    }

    /// False when there is no more.
    async fn step(
        &mut self,
        follow: &mut Follow,
        kind: StreamKind,
        filter: Option<&Filter>,
        limit: usize,
    ) -> io::Result<bool> {
        match follow.next().await? {
            Item::Chunk(chunk) => self.take(&chunk, kind, filter, limit),
            Item::Heartbeat => {}
            Item::End(_) => return Ok(false),
        }
        Ok(true)
    }

    fn take(&mut self, chunk: &Chunk, kind: StreamKind, filter: Option<&Filter>, limit: usize) {
        chunk.for_each(|sequence, line| {
            if self.is_full(limit) {
                return;
            }
            self.scanned = sequence;
            if filter.is_none_or(|filter| filter.passes(kind, line)) {
                if self.count > 0 {
                    self.items.push(b',');
                }
                self.items.extend_from_slice(line.trim_ascii_end());
                self.count += 1;
            }
        });
    }

    fn respond(self, last: u64, closed: bool) -> HttpResponse {
        let scanned = self.scanned;
        let mut body = Vec::with_capacity(self.items.len() + 96);
        body.extend_from_slice(b"{\"items\":[");
        body.extend_from_slice(&self.items);
        let rest = format!("],\"next_after_sequence\":{scanned},\"last_sequence\":{last},\"closed\":{closed}}}");
        body.extend_from_slice(rest.as_bytes());
        HttpResponse::Ok()
            .content_type("application/json")
            .insert_header(CacheControl(vec![CacheDirective::NoStore]))
            .body(body)
    }
}
