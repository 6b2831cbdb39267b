//! What a reader of events asks for: where to begin, in which form, and which events. Parsed once, here.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;

use super::filter::Filter;
use super::positions::Positions;
use super::problem::{Code, FieldError, Problem};
use crate::domain::sequence::Start;
use crate::domain::{StreamId, StreamKind};

const MAX_PAGE: usize = 1000;
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Page,
    Ndjson,
    Sse,
}

/// What the `event:` field of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventNames {
    /// `ade.event`, whatever happened.
    Constant,
    /// The event's own type.
    Typed,
}

impl EventNames {
    /// When nobody asks for others.
    pub fn of(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Execution => Self::Typed,
            StreamKind::Run | StreamKind::Build | StreamKind::Feed => Self::Constant,
        }
    }
}

/// A parsed request for events.
#[derive(Debug)]
pub struct EventsRequest {
    pub start: Start,
    pub form: Form,
    /// None when it is left to the kind of stream.
    pub names: Option<EventNames>,
    pub filter: Option<Filter>,
    pub limit: usize,
    pub wait: Duration,
    pub follow: bool,
}

impl EventsRequest {
    /// Reads query and headers. `form` is given where the path already says it.
    pub fn parse(request: &HttpRequest, form: Option<Form>) -> Result<Self, Problem> {
        let mut query = RawQuery::read(request)?;
        let start = Start {
            after: query.number("after_sequence")?,
            from: query.number("from_sequence")?,
            cursor: cursor(request)?.max(query.number("last_event_id")?),
            tail: query.number("tail")?,
        };
        let parsed = Self {
            start,
            form: query.form(request, form)?,
            names: query.names()?,
            filter: Filter::parse(query.take("types"), query.take("scope"), query.take("level"))?,
            limit: query.limit()?,
            wait: query.wait()?,
            follow: query.flag("follow")?,
        };
        query.finish(
            "after_sequence, from_sequence, last_event_id, tail, stream, format, event_names, types, scope, level, limit, wait, follow",
        )?;
        Ok(parsed)
    }
}

/// Streams on one connection, at most.
const MAX_STREAMS: usize = 100;

/// A parsed request for the events of several streams on one connection.
#[derive(Debug)]
pub struct ManyRequest {
    /// Each once, in the order of their first naming.
    pub streams: Vec<StreamId>,
    positions: Positions,
    tail: Option<u64>,
    /// None when it is left to the kind of stream.
    pub names: Option<EventNames>,
    pub filter: Option<Filter>,
}

impl ManyRequest {
    pub fn parse(request: &HttpRequest) -> Result<Self, Problem> {
        let mut query = RawQuery::read(request)?;
        let parsed = Self {
            streams: streams(query.take_all("stream"))?,
            positions: positions(request, query.take("last_event_id"))?,
            tail: query.number("tail")?,
            names: query.names()?,
            filter: Filter::parse(query.take("types"), query.take("scope"), query.take("level"))?,
        };
        query.finish("stream, last_event_id, tail, event_names, types, scope, level")?;
        Ok(parsed)
    }

    /// Where this reader begins in one of its streams.
    pub fn start(&self, id: StreamId) -> Start {
        Start { cursor: self.positions.of(id), tail: self.tail, ..Start::default() }
    }
}

fn streams(named: Vec<String>) -> Result<Vec<StreamId>, Problem> {
    let mut streams = Vec::new();
    for text in &named {
        let id = StreamId::parse(text).ok_or_else(|| {
            Problem::new(Code::InvalidId, format!("`{text}` is not the id of a run, a build or a workspace"))
                .error(FieldError::new("stream", "invalid_id", text.as_str()))
        })?;
        if !streams.contains(&id) {
            streams.push(id);
        }
    }
    match streams.len() {
        0 => Err(invalid("stream", "given at least once")),
        1..=MAX_STREAMS => Ok(streams),
        count => Err(Problem::new(Code::TooManyStreams, format!("{count} streams are more than {MAX_STREAMS}"))),
    }
}

/// What the client has seen, by header and query: the furthest of each stream.
fn positions(request: &HttpRequest, query: Option<String>) -> Result<Positions, Problem> {
    let header = request.headers().get("Last-Event-ID").map(|value| value.to_str().unwrap_or("?").to_owned());
    let parse = |name, text: Option<String>| {
        let read = Positions::parse(text.as_deref().unwrap_or_default());
        read.ok_or_else(|| invalid(name, "a list of <stream>:<sequence>, separated by commas"))
    };
    Ok(parse("Last-Event-ID", header)?.furthest(parse("last_event_id", query)?))
}

fn cursor(request: &HttpRequest) -> Result<Option<u64>, Problem> {
    let Some(value) = request.headers().get("Last-Event-ID") else { return Ok(None) };
    let text = value.to_str().unwrap_or("?").trim();
    if text.is_empty() {
        return Ok(None);
    }
    number("Last-Event-ID", text).map(Some)
}

fn number(name: &str, text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| invalid(name, "a whole number from 0"))
}

pub(super) fn invalid(name: &str, allowed: &str) -> Problem {
    Problem::new(Code::InvalidQuery, format!("`{name}` must be {allowed}"))
}

struct RawQuery(Vec<(String, String)>);

impl RawQuery {
    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        Ok(Self(pairs.map_err(|_| invalid("query", "percent-encoded pairs"))?.into_inner()))
    }

    /// The last value of a key wins.
    fn take(&mut self, name: &str) -> Option<String> {
        let mut found = None;
        self.0.retain_mut(|(key, value)| {
            let same = key == name;
            if same {
                found = Some(std::mem::take(value));
            }
            !same
        });
        found
    }

    fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| key == name);
        self.0 = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        self.take(name).map(|text| number(name, &text)).transpose()
    }

    fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(_) => Err(invalid(name, "true or false")),
        }
    }

    fn form(&mut self, request: &HttpRequest, fixed: Option<Form>) -> Result<Form, Problem> {
        let format = match self.take("format").as_deref() {
            None => None,
            Some("json") => Some(Form::Page),
            Some("ndjson") => Some(Form::Ndjson),
            Some("sse") => Some(Form::Sse),
            Some(_) => return Err(invalid("format", "json, ndjson or sse")),
        };
        let stream = self.flag("stream")?.then_some(Form::Sse);
        Ok(fixed.or(stream).or(format).unwrap_or_else(|| accepted(request)))
    }

    fn names(&mut self) -> Result<Option<EventNames>, Problem> {
        match self.take("event_names").as_deref() {
            None => Ok(None),
            Some("constant") => Ok(Some(EventNames::Constant)),
            Some("typed") => Ok(Some(EventNames::Typed)),
            Some(_) => Err(invalid("event_names", "constant or typed")),
        }
    }

    fn limit(&mut self) -> Result<usize, Problem> {
        match self.number("limit")? {
            None => Ok(MAX_PAGE),
            Some(limit @ 1..=1000) => Ok(limit as usize),
            Some(_) => Err(invalid("limit", "1 to 1000")),
        }
    }

    fn wait(&mut self) -> Result<Duration, Problem> {
        match self.number("wait")? {
            None => Ok(Duration::ZERO),
            Some(seconds) if seconds <= MAX_WAIT.as_secs() => Ok(Duration::from_secs(seconds)),
            Some(_) => Err(invalid("wait", "0 to 30 seconds")),
        }
    }

    fn finish(self, known: &str) -> Result<(), Problem> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        Err(Problem::new(Code::InvalidQuery, format!("`{name}` is not known here; known are {known}")))
    }
}

/// What `Accept` prefers; a page when it says nothing of events.
fn accepted(request: &HttpRequest) -> Form {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let forms = accept.split(',').filter_map(|part| match part.split(';').next().unwrap_or_default().trim() {
        "text/event-stream" => Some(Form::Sse),
        "application/x-ndjson" => Some(Form::Ndjson),
        "application/json" => Some(Form::Page),
        _ => None,
    });
    forms.take(1).next().unwrap_or(Form::Page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn parse(uri: &str, headers: &[(&'static str, &'static str)]) -> Result<EventsRequest, Problem> {
        let mut request = TestRequest::with_uri(uri);
        for &header in headers {
            request = request.insert_header(header);
        }
        EventsRequest::parse(&request.to_http_request(), None)
    }

    #[test]
    fn the_form_is_chosen_by_query_then_accept() {
        let form = |uri, headers: &[_]| parse(uri, headers).unwrap().form;
        assert_eq!(form("/", &[]), Form::Page);
        assert_eq!(form("/", &[("Accept", "text/event-stream")]), Form::Sse);
        assert_eq!(form("/", &[("Accept", "text/html, application/x-ndjson;q=0.9")]), Form::Ndjson);
        assert_eq!(form("/?stream=true", &[("Accept", "application/json")]), Form::Sse);
        assert_eq!(form("/?format=ndjson", &[]), Form::Ndjson);
    }

    #[test]
    fn header_and_query_cursor_are_one() {
        let start = parse("/?last_event_id=5&after_sequence=3", &[("Last-Event-ID", "9")]).unwrap().start;
        assert_eq!((start.cursor, start.after), (Some(9), Some(3)));
    }

    #[test]
    fn many_streams_are_read_each_with_its_start() {
        let (one, other) = (crate::domain::RunId::generate(), crate::domain::BuildId::generate());
        let uri = format!("/?stream={one}&stream={other}&stream={one}&tail=5&last_event_id={one}:3");
        let request = TestRequest::with_uri(&uri).insert_header(("Last-Event-ID", format!("{one}:9")));
        let many = ManyRequest::parse(&request.to_http_request()).unwrap();
        assert_eq!(many.streams, [StreamId::Run(one), StreamId::Build(other)]);
        assert_eq!(many.start(StreamId::Run(one)), Start { cursor: Some(9), tail: Some(5), ..Start::default() });
        assert_eq!(many.start(StreamId::Build(other)), Start { tail: Some(5), ..Start::default() });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (uri, name) in [
            ("/?after_sequence=-1", "after_sequence"),
            ("/?tail=x", "tail"),
            ("/?wait=31", "wait"),
            ("/?limit=0", "limit"),
            ("/?foo=1", "foo"),
            ("/?level=loud", "level"),
        ] {
            let problem = parse(uri, &[]).unwrap_err();
            assert!(problem.to_string().contains(name), "{uri}: {problem}");
        }
        assert!(parse("/", &[("Last-Event-ID", "abc")]).is_err());
    }
}
