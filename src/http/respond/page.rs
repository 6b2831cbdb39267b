//! A page of events as one JSON object, held back for a while when there is nothing yet (long-poll).
//!
//! Law: a text is looked for beside the threads that serve requests, in so many bytes for each page and by so many
//! readers at a time, and each byte is looked at once. Whoever asks goes on where the page ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CacheControl, CacheDirective};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::blocking::blocking;
use crate::domain::StreamKind;
use crate::http::filter::Filter;
use crate::stream::{Chunk, Follow, Item};

/// A page is cut here even when it has fewer than `limit` events; lines may be a mebibyte each.
const MAX_BYTES: usize = 8 << 20;
/// A page for which a text is looked for ends behind so many bytes of lines, found or not.
const MAX_SEARCHED: usize = 8 << 20;
/// Chunks in which a text is looked for at one time, whoever has asked; others wait for their turn.
static SEARCHES: Semaphore = Semaphore::const_new(2);

#[derive(Default)]
struct Page {
    items: Vec<u8>,
    count: usize,
    /// The last sequence looked at, shown or not.
    scanned: u64,
    /// Bytes in which a text was looked for.
    searched: usize,
}

/// Reads up to `limit` events, or to the end of what there is; waits for the first at most `wait`.
pub async fn respond(
    mut follow: Follow,
    kind: StreamKind,
    filter: Option<Filter>,
    limit: usize,
    wait: Duration,
) -> io::Result<HttpResponse> {
    let wanted = Wanted { kind, filter: filter.map(Arc::new), limit };
    let mut page = Page { scanned: follow.position(), ..Page::default() };
    page.read(&mut follow, &wanted).await?;
    if page.count == 0 && !wait.is_zero() {
        // A time-out leaves what was scanned so far: an empty page that still moves the client on.
        let _ = timeout(wait, page.read_first(&mut follow, &wanted)).await;
    }
    let tail = follow.hub().tail();
    Ok(page.respond(tail.sequence, tail.closed))
}

/// What a page is made of.
#[derive(Clone)]
struct Wanted {
    kind: StreamKind,
    filter: Option<Arc<Filter>>,
    limit: usize,
}

impl Wanted {
    fn passes(&self, line: &[u8]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.passes(self.kind, line))
    }

    fn searches(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.searches())
    }
}

impl Page {
    fn is_full(&self, limit: usize) -> bool {
        self.count >= limit || self.items.len() >= MAX_BYTES || self.searched >= MAX_SEARCHED
    }

    /// Reads what is there.
    async fn read(&mut self, follow: &mut Follow, wanted: &Wanted) -> io::Result<()> {
        while !self.is_full(wanted.limit) && follow.position() < follow.hub().tail().sequence {
            if !self.step(follow, wanted).await? {
                break;
            }
        }
        Ok(())
    }

    /// Waits until there is something to show, or there never will be.
    async fn read_first(&mut self, follow: &mut Follow, wanted: &Wanted) -> io::Result<()> {
        while self.count == 0 && !self.is_full(wanted.limit) && self.step(follow, wanted).await? {}
        Ok(())
    }

    /// False when there is no more.
    async fn step(&mut self, follow: &mut Follow, wanted: &Wanted) -> io::Result<bool> {
        match follow.next().await? {
            Item::Chunk(chunk) if wanted.searches() => self.search(chunk, wanted).await?,
            Item::Chunk(chunk) => self.take(&chunk, wanted),
            Item::Heartbeat => {}
            Item::End(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Whoever gives up in between has not looked at the chunk.
    async fn search(&mut self, chunk: Chunk, wanted: &Wanted) -> io::Result<()> {
        let _turn = SEARCHES.acquire().await.map_err(io::Error::other)?;
        let wanted = Wanted { limit: wanted.limit - self.count, ..wanted.clone() };
        let mut found = Self::default();
        let found = blocking(move || {
            found.take(&chunk, &wanted);
            found.searched = chunk.bytes();
            Ok(found)
        });
        self.add(found.await?);
        Ok(())
    }

    fn take(&mut self, chunk: &Chunk, wanted: &Wanted) {
        chunk.for_each(|sequence, line| {
            if self.is_full(wanted.limit) {
                return;
            }
            self.scanned = sequence;
            if wanted.passes(line) {
                self.put(line.trim_ascii_end());
                self.count += 1;
            }
        });
    }

    /// Adds what was found behind it.
    fn add(&mut self, found: Self) {
        if found.count > 0 {
            self.put(&found.items);
        }
        self.count += found.count;
        self.searched += found.searched;
        self.scanned = found.scanned;
    }

    fn put(&mut self, items: &[u8]) {
        if !self.items.is_empty() {
            self.items.push(b',');
        }
        self.items.extend_from_slice(items);
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
