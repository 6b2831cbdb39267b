//! The events of runs, builds and workspaces, in every form; and of many at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use crate::blocking::blocking;
use crate::domain::principal::Principal;
use crate::domain::sequence::Start;
use crate::domain::time;
use crate::domain::work::{Work, each_kind};
use crate::domain::{ExecutionId, StreamId, StreamKey, StreamKind, WorkspaceId};
use crate::event::codec;
use crate::event::payload::console::CONSOLE_LINE;
use crate::http::accept::preferred;
use crate::http::auth::{StreamReader, Viewer};
use crate::http::contract::{self, Operation, Reads, Routes, Segment};
use crate::http::cursor::{EventNames, EventsRequest, Form, ManyRequest};
use crate::http::problem::Problem;
use crate::http::query::RawQuery;
use crate::http::respond::disposition::attachment;
use crate::http::respond::file::Stored;
use crate::http::respond::{file, many, ndjson, page, sse};
use crate::registry::RegistryHandle;
use crate::stream::{Follow, Item};

type Registry = web::Data<RegistryHandle>;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/events/stream", |at| {
            at.read(many, |op| {
                op.named("stream_events", "The events of several streams on one connection.").reads_many()
            })
        })
        .at("/executions/{id}/stream", |at| {
            at.read(stream::<ExecutionId>, |op| {
                op.named("stream_execution_events_shortly", "As `/api/v1/executions/{id}/events/stream`.")
                    .reads(Reads::Frames, StreamKind::EXECUTION)
            })
        });
    mount_events::<WorkspaceId>(routes, StreamKind::FEED);
    each_kind!(W => mount_events::<<W as Work>::Id>(routes, W::KIND));
}

/// The id of a stream, as paths have it.
trait Streamed: Copy + DeserializeOwned + Into<StreamId> + Segment + 'static {}

impl<Id: Copy + DeserializeOwned + Into<StreamId> + Segment + 'static> Streamed for Id {}

fn mount_events<Id: Streamed>(routes: &mut Routes, kind: StreamKind) {
    let path = |rest: &str| of_kind(kind, rest);
    let named = move |op: Operation, what: &str, summary: &str| op.named(format!("{what}_{kind}_events"), summary);
    routes
        .at(path("events"), |at| {
            at.read(any_form::<Id>, move |op| {
                named(op, "read", "Events, as a page, as lines or live.").reads(Reads::AnyForm, kind)
            })
        })
        .at(path("events/stream"), |at| {
            at.read(stream::<Id>, move |op| named(op, "stream", "Events, live.").reads(Reads::Frames, kind))
        })
        .at(path("events/download"), |at| {
            at.read(download::<Id>, move |op| named(op, "download", "Events, as lines.").reads(Reads::Lines, kind))
        });
    if kind.facts().has_console {
        mount_console::<Id>(routes, kind);
    }
}

/// A path below that of what has the stream.
fn of_kind(kind: StreamKind, rest: &str) -> String {
    format!("/{}/{{id}}/{rest}", kind.facts().collection)
}

fn mount_console<Id: Streamed>(routes: &mut Routes, kind: StreamKind) {
    let path = |rest: &str| of_kind(kind, rest);
    routes
        .at(path("logfile"), |at| {
            at.read(download::<Id>, move |op| {
                op.named(format!("download_{kind}_log"), "Events, as lines.").reads(Reads::Lines, kind)
            })
        })
        .at(path("logs"), |at| {
            at.read(logs::<Id>, move |op| {
                op.named(format!("list_{kind}_console_lines"), "Console lines.")
                    .query("after_id", contract::number(0, None), "Begins behind this one.")
                    .query("limit", contract::number(1, MAX_ENTRIES), "At most so many.")
                    .answers::<ConsolePage>(200, "Console lines.")
                    .items(200, ndjson::CONTENT_TYPE, contract::reference::<ConsoleEntry>(), "Console lines.")
                    .refuses_to_read()
            })
        });
}

async fn any_form<Id: Streamed>(
    StreamReader(principal): StreamReader,
    registry: Registry,
    id: web::Path<Id>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Ok(varying(respond(&registry, &request, key(&principal, &registry, *id).await?, None).await?))
}

/// Another `Accept` may get another form.
fn varying(mut answer: HttpResponse) -> HttpResponse {
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    answer
}

async fn stream<Id: Streamed>(
    StreamReader(principal): StreamReader,
    registry: Registry,
    id: web::Path<Id>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    respond(&registry, &request, key(&principal, &registry, *id).await?, Some(Form::Sse)).await
}

async fn download<Id: Streamed>(
    StreamReader(principal): StreamReader,
    registry: Registry,
    id: web::Path<Id>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    respond(&registry, &request, key(&principal, &registry, *id).await?, Some(Form::Ndjson)).await
}

/// The stream of the path.
async fn key(principal: &Principal, registry: &RegistryHandle, id: impl Into<StreamId>) -> Result<StreamKey, Problem> {
    let id = id.into();
    find(principal, registry, id).await?.ok_or_else(|| {
        let kind = if id.kind() == StreamKind::FEED { "workspace" } else { id.kind().as_str() };
        Problem::not_found(format_args!("the {kind}"))
    })
}

/// The stream of that id, if the caller may see it.
pub(super) async fn find(
    principal: &Principal,
    registry: &RegistryHandle,
    id: StreamId,
) -> Result<Option<StreamKey>, Problem> {
    let (store, scope) = (registry.store(), &principal.workspaces);
    each_kind!(W => if let Ok(id) = id.try_into() {
        return Ok(store.find::<W>(scope, id).await?.map(|work| work.stream_key()));
    });
    let Ok(id) = id.try_into() else { return Ok(None) };
    Ok(store.find_workspace(scope, id).await?.map(|found| StreamKey::feed(found.id)))
}

/// The events of several streams on one connection.
async fn many(Viewer(principal): Viewer, registry: Registry, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let asked = ManyRequest::parse(&request)?;
    let mut streams = Vec::with_capacity(asked.streams.len());
    for &id in &asked.streams {
        let named = |problem: Problem| problem.with("stream", id.to_string());
        let key = find(&principal, &registry, id).await?;
        let key = key.ok_or_else(|| named(Problem::not_found(format_args!("the stream {id}"))))?;
        let follow = registry.follow(key, asked.start(id)).await.map_err(|error| named(error.into()))?;
        streams.push((id, key.kind(), follow));
    }
    Ok(many::respond(streams, asked.names.unwrap_or(EventNames::Constant), asked.filter))
}

async fn respond(
    registry: &RegistryHandle,
    request: &HttpRequest,
    key: StreamKey,
    form: Option<Form>,
) -> Result<HttpResponse, Problem> {
    let mut asked = EventsRequest::parse(request, form)?;
    if request.method() == Method::HEAD {
        asked.wait = Duration::ZERO;
    }
    let follow = registry.follow(key, asked.start).await?;
    match asked.form {
        Form::Sse => {
            let names = asked.names.unwrap_or(EventNames::of(key.kind()));
            Ok(sse::respond(follow, key.kind(), names, asked.filter))
        }
        Form::Page => {
            let answer = page::respond(follow, key.kind(), asked.filter, asked.limit, asked.wait).await;
            answer.map_err(Problem::internal)
        }
        Form::Ndjson if is_whole_log(&asked, &follow) => whole_log(request, key, &follow).await,
        Form::Ndjson => {
            let lines = ndjson::respond(follow, key.kind(), asked.filter, asked.follow);
            Ok(if form == Some(Form::Ndjson) { as_download(lines, key) } else { lines })
        }
    }
}

fn as_download(mut answer: HttpResponse, key: StreamKey) -> HttpResponse {
    answer.headers_mut().insert(header::CONTENT_DISPOSITION, attachment(&file_name(key)));
    answer
}

fn file_name(key: StreamKey) -> String {
    format!("{key}.events.ndjson")
}

/// A finished log, asked for as it is, has a length and ranges.
fn is_whole_log(asked: &EventsRequest, follow: &Follow) -> bool {
    asked.filter.is_none() && asked.start == Start::default() && follow.hub().tail().closed
}

/// Compressed or not, its bytes are the same. Its last event is of this log and no other, and nothing comes behind it.
async fn whole_log(request: &HttpRequest, key: StreamKey, follow: &Follow) -> Result<HttpResponse, Problem> {
    let (reader, length) = (follow.hub().reader().clone(), follow.hub().tail().bytes);
    let looking = reader.clone();
    let tail = match reader.known_tail() {
        Some(tail) => tail.clone(),
        None => blocking(move || looking.tail()).await.map_err(Problem::internal)?,
    };
    let last = tail.last_line.as_deref().and_then(|line| codec::decode(line).ok());
    let last = last.ok_or_else(|| Problem::internal(format_args!("the log of {key} has no last event")))?;
    let etag = format!("\"{}-{length:x}\"", last.event_id);
    let stored = Stored { content: Arc::new(reader), length, etag };
    Ok(file::send(request, stored, ndjson::CONTENT_TYPE, &file_name(key)))
}

/// The live stream of work that was just created, from its beginning.
pub async fn respond_created(
    registry: &RegistryHandle,
    request: &HttpRequest,
    key: StreamKey,
) -> Result<HttpResponse, Problem> {
    let follow = registry.follow(key, Start::default()).await?;
    let forms = [("text/event-stream", Form::Sse), (ndjson::CONTENT_TYPE, Form::Ndjson)];
    if preferred(request, &forms) == Some(Form::Ndjson) {
        return Ok(ndjson::respond(follow, key.kind(), None, true));
    }
    Ok(sse::respond(follow, key.kind(), EventNames::of(key.kind()), None))
}

/// Entries on one page of `logs`.
const MAX_ENTRIES: u64 = 1000;

/// Console lines as plain entries: a page of them, or as lines all that there are.
async fn logs<Id: Streamed>(
    Viewer(principal): Viewer,
    registry: Registry,
    id: web::Path<Id>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let key = key(&principal, &registry, *id).await?;
    let mut query = RawQuery::read(&request)?;
    let (after, limit) = (query.number("after_id")?.unwrap_or(0), query.number("limit")?);
    query.finish("after_id, limit")?;
    if limit.is_some_and(|limit| !(1..=MAX_ENTRIES).contains(&limit)) {
        return Err(Problem::invalid_query("limit", format!("1 to {MAX_ENTRIES}")));
    }
    let follow = registry.follow(key, Start::after(after)).await?;
    let forms = [("application/json", Form::Page), (ndjson::CONTENT_TYPE, Form::Ndjson)];
    let as_lines = preferred(&request, &forms) == Some(Form::Ndjson);
    let Some(limit) = limit.or((!as_lines).then_some(MAX_ENTRIES)) else {
        let render = |out: &mut Vec<u8>, line: &[u8]| entry(line).iter().for_each(|entry| put_line(out, entry));
        return Ok(varying(ndjson::respond_as(follow, render)));
    };
    let (entries, last) = entries(follow, limit as usize).await.map_err(Problem::internal)?;
    Ok(varying(match as_lines {
        true => {
            let mut lines = Vec::new();
            entries.iter().for_each(|entry| put_line(&mut lines, entry));
            HttpResponse::Ok().content_type(ndjson::CONTENT_TYPE).body(lines)
        }
        false => HttpResponse::Ok().json(ConsolePage { entries, next_after_id: last }),
    }))
}

/// A page is cut here even when it has fewer than `limit` entries; lines may be a mebibyte each.
const MAX_LOGS_BYTES: usize = 8 << 20;

#[derive(Serialize, ToSchema)]
struct ConsolePage {
    entries: Vec<ConsoleEntry>,
    next_after_id: u64,
}

#[derive(Serialize, ToSchema)]
struct ConsoleEntry {
    id: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(flatten)]
    line: ConsoleLine,
}

/// An engine may send console lines of its own: whatever can be read of them is shown.
#[derive(Default, Serialize, ToSchema)]
struct ConsoleLine {
    scope: Value,
    stream: Value,
    level: Value,
    message: Value,
}

impl ConsoleLine {
    fn of(payload: &str) -> Self {
        let Ok(Value::Object(mut payload)) = serde_json::from_str(payload) else { return Self::default() };
        let mut take = |key: &str| payload.remove(key).unwrap_or_default();
        Self { scope: take("scope"), stream: take("stream"), level: take("level"), message: take("message") }
    }
}

/// At most so many entries, and the last sequence that was looked at.
async fn entries(mut follow: Follow, limit: usize) -> io::Result<(Vec<ConsoleEntry>, u64)> {
    let (mut entries, mut bytes, mut last) = (Vec::new(), 0, follow.position());
    let is_full = |count: usize, bytes: usize| count >= limit || bytes >= MAX_LOGS_BYTES;
    while !is_full(entries.len(), bytes) && follow.position() < follow.hub().tail().sequence {
        let chunk = match follow.next().await? {
            Item::Chunk(chunk) => chunk,
            Item::Heartbeat => continue,
            Item::End(_) => break,
        };
        chunk.for_each(|sequence, line| {
            if !is_full(entries.len(), bytes) {
                last = sequence;
                if let Some(entry) = entry(line) {
                    bytes += line.len();
                    entries.push(entry);
                }
            }
        });
    }
    Ok((entries, last))
}

fn put_line(out: &mut Vec<u8>, entry: &ConsoleEntry) {
    serde_json::to_writer(&mut *out, entry).expect("text and JSON values serialise");
    out.push(b'\n');
}

fn entry(line: &[u8]) -> Option<ConsoleEntry> {
    if codec::raw_type(line) != CONSOLE_LINE.as_bytes() {
        return None;
    }
    let event = codec::decode(line).ok()?;
    let line = ConsoleLine::of(event.payload.get());
    Some(ConsoleEntry { id: event.sequence, created_at: time::format(event.created_at), line })
}
