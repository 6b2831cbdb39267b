//! What a reader of events asks for: where to begin, in which form, and which events. Parsed once, here.

use std::time::Duration;

use actix_web::HttpRequest;

use super::accept::preferred;
use super::filter::{Asked, Filter};
use super::positions::Positions;
use super::problem::{Code, FieldError, Problem};
use super::query::{RawQuery, number};
use super::sign_in::TICKET;
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

/// What a client may accept, the first when it does not say.
const FORMS: [(&str, Form); 3] =
    [("application/json", Form::Page), ("text/event-stream", Form::Sse), ("application/x-ndjson", Form::Ndjson)];

/// What the `event:` field of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventNames {
    /// `ade.event`, whatever happened.
    Constant,
    /// The event's own type.
    Typed,
}

impl EventNames {
    /// The default for a kind of stream.
    pub fn of(kind: StreamKind) -> Self {
        if kind.facts().typed_frames { Self::Typed } else { Self::Constant }
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
        // Sign-in has looked at it.
        query.take_all(TICKET);
        let start = Start {
            after: furthest(&query.take_where(|name| name == "after_sequence"))?,
            from: furthest(&query.take_where(|name| name == "from_sequence"))?,
            cursor: furthest(&cursors(request, &mut query))?,
            tail: query.number("tail")?,
        };
        let parsed = Self {
            start,
            form: chosen_form(request, &mut query, form)?,
            names: event_names(&mut query)?,
            filter: filter(&mut query)?,
            limit: limit(&mut query)?,
            wait: wait(&mut query)?,
            follow: query.flag("follow")?,
        };
        query.finish(
            "after_sequence, from_sequence, last_event_id, tail, stream, format, event_names, types, scope, level, contains, limit, wait, follow",
        )?;
        Ok(parsed)
    }
}

/// The furthest event of a stream that a reader says to have; 0 of a request that is refused.
pub fn claimed(request: &HttpRequest, id: StreamId) -> u64 {
    let of_one = || EventsRequest::parse(request, None).map(|asked| asked.start);
    let start = ManyRequest::parse(request).map(|asked| asked.start(id)).or_else(|_| of_one());
    start.map_or(0, |start| start.claimed())
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
            positions: positions(&cursors(request, &mut query))?,
            tail: query.number("tail")?,
            names: event_names(&mut query)?,
            filter: filter(&mut query)?,
        };
        query.finish("stream, last_event_id, tail, event_names, types, scope, level, contains")?;
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
            Problem::new(
                Code::InvalidId,
                format!("`{text}` is not the id of a run, a build, an execution or a workspace"),
            )
            .error(FieldError::new("stream", "invalid_id", text.as_str()))
        })?;
        if !streams.contains(&id) {
            streams.push(id);
        }
    }
    match streams.len() {
        0 => Err(Problem::invalid_query("stream", "given at least once")),
        1..=MAX_STREAMS => Ok(streams),
        count => Err(Problem::new(Code::TooManyStreams, format!("{count} streams; the limit is {MAX_STREAMS}"))),
    }
}

/// What the client says that it has, by header and query, as often as it says so: one that comes back may repeat what
/// it said before. Some have no way but the query, and names of their own for it. What is empty says nothing.
fn cursors(request: &HttpRequest, query: &mut RawQuery) -> Vec<(String, String)> {
    const HEADER: &str = "Last-Event-ID";
    let headers = request.headers().get_all(HEADER).map(|value| value.to_str().unwrap_or("?"));
    let headers = headers.map(|text| (HEADER.to_owned(), text.to_owned())).collect::<Vec<_>>();
    let said =
        headers.into_iter().chain(query.take_where(is_cursor)).map(|(name, text)| (name, bare(&text).to_owned()));
    said.filter(|(_, text)| !text.is_empty()).collect()
}

/// `last_event_id`, `lastEventId`, `Last-Event-ID`.
fn is_cursor(name: &str) -> bool {
    let letters = name.bytes().filter(|byte| !matches!(byte, b'-' | b'_')).map(|byte| byte.to_ascii_lowercase());
    letters.eq(*b"lasteventid")
}

/// The text without what clients and proxies put around it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim()
}

fn furthest(said: &[(String, String)]) -> Result<Option<u64>, Problem> {
    // A proxy may have made one header of several.
    let mut all = said.iter().flat_map(|(name, text)| text.split(',').map(move |text| number(name, text.trim())));
    all.try_fold(None, |furthest, position| Ok(furthest.max(Some(position?))))
}

/// The furthest of each stream.
fn positions(said: &[(String, String)]) -> Result<Positions, Problem> {
    said.iter().try_fold(Positions::default(), |positions, (name, text)| {
        let read = Positions::parse(text);
        let read =
            read.ok_or_else(|| Problem::invalid_query(name, "a list of <stream>:<sequence>, separated by commas"));
        Ok(positions.furthest(read?))
    })
}

fn filter(query: &mut RawQuery) -> Result<Option<Filter>, Problem> {
    Filter::parse(Asked {
        types: query.take("types")?,
        scope: query.take("scope")?,
        level: query.take("level")?,
        contains: query.take("contains")?,
    })
}

fn chosen_form(request: &HttpRequest, query: &mut RawQuery, fixed: Option<Form>) -> Result<Form, Problem> {
    let format = match query.take("format")?.as_deref() {
        None => None,
        Some("json") => Some(Form::Page),
        Some("ndjson") => Some(Form::Ndjson),
        Some("sse") => Some(Form::Sse),
        Some(_) => return Err(Problem::invalid_query("format", "json, ndjson or sse")),
    };
    let stream = query.flag("stream")?.then_some(Form::Sse);
    Ok(fixed.or(stream).or(format).or_else(|| preferred(request, &FORMS)).unwrap_or(Form::Page))
}

fn event_names(query: &mut RawQuery) -> Result<Option<EventNames>, Problem> {
    match query.take("event_names")?.as_deref() {
        None => Ok(None),
        Some("constant") => Ok(Some(EventNames::Constant)),
        Some("typed") => Ok(Some(EventNames::Typed)),
        Some(_) => Err(Problem::invalid_query("event_names", "constant or typed")),
    }
}

fn limit(query: &mut RawQuery) -> Result<usize, Problem> {
    match query.number("limit")? {
        None => Ok(MAX_PAGE),
        Some(limit @ 1..=1000) => Ok(limit as usize),
        Some(_) => Err(Problem::invalid_query("limit", "1 to 1000")),
    }
}

fn wait(query: &mut RawQuery) -> Result<Duration, Problem> {
    match query.number("wait")? {
        None => Ok(Duration::ZERO),
        Some(seconds) if seconds <= MAX_WAIT.as_secs() => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(Problem::invalid_query("wait", "0 to 30 seconds")),
    }
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
    fn a_cursor_may_be_said_in_every_way_that_clients_have_and_more_than_once() {
        let cursor = |uri: &str, headers: &[_]| parse(uri, headers).map(|parsed| parsed.start.cursor);
        for name in ["last_event_id", "lastEventId", "Last-Event-ID", "last-event-id", "LAST_EVENT_ID"] {
            for (value, expected) in
                [("7", Some(7)), ("", None), ("%207+", Some(7)), ("%227%22", Some(7)), ("%22%22", None)]
            {
                assert_eq!(cursor(&format!("/?{name}={value}"), &[]).unwrap(), expected, "{name}={value}");
            }
            assert_eq!(cursor(&format!("/?{name}=3&{name}=12&{name}="), &[]).unwrap(), Some(12));
            assert!(cursor(&format!("/?{name}=x"), &[]).is_err());
        }
        let both = "/?lastEventId=3&last_event_id=12";
        assert_eq!(cursor(both, &[("Last-Event-ID", "")]).unwrap(), Some(12));
        assert_eq!(cursor(both, &[("Last-Event-ID", " \"40\" ")]).unwrap(), Some(40));
        // What a proxy makes of a repeated header.
        assert_eq!(cursor("/", &[("Last-Event-ID", "5, 9")]).unwrap(), Some(9));
        assert!(cursor("/?lastEventIds=1", &[]).is_err());
        let repeated = parse("/?after_sequence=0&after_sequence=8&from_sequence=4&from_sequence=2", &[]);
        assert_eq!((repeated.as_ref().unwrap().start.after, repeated.unwrap().start.from), (Some(8), Some(4)));
    }

    #[test]
    fn cursors_of_many_streams_may_be_said_in_every_way_too() {
        let (one, other) = (crate::domain::RunId::generate(), crate::domain::BuildId::generate());
        let uri = format!(
            "/?stream={one}&stream={other}&lastEventId={one}:3,{other}:7&Last-Event-ID=%22{one}:5%22&last_event_id="
        );
        let request = TestRequest::with_uri(&uri).insert_header(("Last-Event-ID", format!(" {other}:2 , {one}:4 ")));
        let many = ManyRequest::parse(&request.to_http_request()).unwrap();
        assert_eq!(
            (many.start(StreamId::from(one)).cursor, many.start(StreamId::from(other)).cursor),
            (Some(5), Some(7))
        );
    }

    #[test]
    fn many_streams_are_read_each_with_its_start() {
        let (one, other) = (crate::domain::RunId::generate(), crate::domain::BuildId::generate());
        let uri = format!("/?stream={one}&stream={other}&stream={one}&tail=5&last_event_id={one}:3");
        let request = TestRequest::with_uri(&uri).insert_header(("Last-Event-ID", format!("{one}:9")));
        let many = ManyRequest::parse(&request.to_http_request()).unwrap();
        assert_eq!(many.streams, [StreamId::from(one), StreamId::from(other)]);
        assert_eq!(many.start(StreamId::from(one)), Start { cursor: Some(9), tail: Some(5), ..Start::default() });
        assert_eq!(many.start(StreamId::from(other)), Start { tail: Some(5), ..Start::default() });
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
            ("/?contains=", "contains"),
            ("/?tail=1&tail=2", "tail"),
            ("/?format=sse&format=sse", "format"),
        ] {
            let problem = parse(uri, &[]).unwrap_err();
            assert!(problem.to_string().contains(name), "{uri}: {problem}");
        }
        assert!(parse("/", &[("Last-Event-ID", "abc")]).is_err());
    }
}
