//! Bytes that do not change: with their length, a strong `ETag`, and single byte ranges.

use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::content::Content;
use super::disposition::attachment;
use super::sendfile::SentFile;
use crate::blocking::blocking;
use crate::http::connection::ConnectionHandle;
use crate::http::problem::{Code, Problem};

/// Read and sent at once.
const CHUNK: u64 = 256 << 10;

/// What is to be sent.
pub struct Stored {
    pub content: Arc<dyn Content>,
    pub length: u64,
    /// The same as long as the content is.
    pub etag: String,
}

/// Responds with a file, or the requested part of it. Its tag is given where it may be another file of the same content next
/// time.
pub async fn respond(
    request: &HttpRequest,
    file: File,
    tag: Option<String>,
    content_type: &str,
    download_as: &str,
) -> Result<HttpResponse, Problem> {
    let mut stored = blocking(move || open(file)).await.map_err(Problem::internal)?;
    stored.etag = tag.unwrap_or(stored.etag);
    Ok(send(request, stored, content_type, download_as))
}

/// Answers with all of it, or the part that was asked for.
pub fn send(request: &HttpRequest, stored: Stored, content_type: &str, download_as: &str) -> HttpResponse {
    let Stored { content, length, etag } = stored;
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((header::ETAG, etag.clone()))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CONTENT_DISPOSITION, attachment(download_as)));
    // Ranges are of bytes that are sent.
    if request.method() == Method::HEAD {
        return response.body(StoredBody::new(content, 0..length));
    }
    let connection = request.conn_data::<ConnectionHandle>();
    match range(request.headers(), length, &etag) {
        Asked::Whole => with_body(response, connection, content, 0..length),
        Asked::Part(start, end) => {
            let content_range = format!("bytes {start}-{end}/{length}");
            response.status(StatusCode::PARTIAL_CONTENT).insert_header((header::CONTENT_RANGE, content_range));
            with_body(response, connection, content, start..end + 1)
        }
        Asked::Beyond => beyond(length),
    }
}

/// Little is sent with the head, much by the kernel where that is possible.
fn with_body(
    mut response: HttpResponseBuilder,
    connection: Option<&ConnectionHandle>,
    content: Arc<dyn Content>,
    part: Range<u64>,
) -> HttpResponse {
    let length = part.end - part.start;
    let Some(connection) = connection.filter(|_| length > CHUNK) else {
        return response.body(StoredBody::new(content, part));
    };
    connection.widen();
    match SentFile::new(connection, &content, part.clone()) {
        Some(sent) => response.no_chunking(length).body(sent),
        None => response.body(StoredBody::new(content, part)),
    }
}

/// The problem, and in a header how far the file goes.
fn beyond(length: u64) -> HttpResponse {
    let problem = Problem::new(Code::RangeNotSatisfiable, format!("the file has {length} bytes"));
    let mut answer = HttpResponse::from_error(problem);
    if let Ok(value) = format!("bytes */{length}").parse() {
        answer.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    answer
}

fn open(file: File) -> io::Result<Stored> {
    let metadata = file.metadata()?;
    let changed = metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec());
    let etag = format!("\"{:x}-{:x}-{changed:x}\"", metadata.ino(), metadata.len());
    Ok(Stored { content: Arc::new(file), length: metadata.len(), etag })
}

enum Asked {
    Whole,
    /// First and last byte.
    Part(u64, u64),
    Beyond,
}

/// One range is served; several, or none that is understood, get the whole file.
fn range(headers: &HeaderMap, length: u64, etag: &str) -> Asked {
    let Some(value) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else { return Asked::Whole };
    // A part is only of use to a client that has the other parts of the very same bytes. A date does not identify them.
    if headers.get_all(header::IF_RANGE).any(|value| value.as_bytes() != etag.as_bytes()) {
        return Asked::Whole;
    }
    match value.parse() {
        Ok(header::Range::Bytes(ranges)) if ranges.len() == 1 => match ranges[0].to_satisfiable_range(length) {
            Some((start, end)) => Asked::Part(start, end),
            None => Asked::Beyond,
        },
        _ => Asked::Whole,
    }
}

/// For fuzzing: first and last byte of the part that is sent, if it is a part.
#[cfg(any(test, fuzzing))]
pub fn part(headers: &HeaderMap, length: u64, etag: &str) -> Option<(u64, u64)> {
    match range(headers, length, etag) {
        Asked::Part(start, end) => Some((start, end)),
        Asked::Whole | Asked::Beyond => None,
    }
}

/// Reads the next part while the last one is sent.
struct StoredBody {
    content: Arc<dyn Content>,
    at: u64,
    end: u64,
    length: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl StoredBody {
    fn new(content: Arc<dyn Content>, part: Range<u64>) -> Self {
        Self { content, at: part.start, end: part.end, length: part.end - part.start, reading: None }
    }

    fn read_next(&mut self) {
        if self.at >= self.end {
            return;
        }
        let (content, at, size) = (self.content.clone(), self.at, CHUNK.min(self.end - self.at));
        self.at += size;
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; size as usize];
            content.read_exact_at(&mut buffer, at)?;
            Ok(buffer.into())
        }));
    }
}

impl MessageBody for StoredBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let body = self.get_mut();
        if body.reading.is_none() {
            body.read_next();
        }
        let Some(reading) = &mut body.reading else { return Poll::Ready(None) };
        let outcome = ready!(Pin::new(reading).poll(context)).map_err(io::Error::other).flatten();
        body.reading = None;
        if outcome.is_ok() {
            body.read_next();
        }
        Poll::Ready(Some(outcome))
    }
}
