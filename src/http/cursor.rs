//! What a reader of events asks for: where to begin, in which form, and which events. Parsed once, here.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;

use super::filter::Filter;
use super::problem::{Code, Problem};
use crate::domain::sequence::Start;

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

/// A parsed request for events.
#[derive(Debug)]
pub struct EventsRequest {
    pub start: Start,
    pub form: Form,
    pub names: EventNames,
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
        query.finish()?;
        Ok(parsed)
    }
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

    fn names(&mut self) -> Result<EventNames, Problem> {
        match self.take("event_names").as_deref() {
            None | Some("constant") => Ok(EventNames::Constant),
            Some("typed") => Ok(EventNames::Typed),
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

    fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        let known = "after_sequence, from_sequence, last_event_id, tail, stream, format, event_names, types, scope, level, limit, wait, follow";
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
