//! Reading requests: ids in paths, JSON bodies, headers.

use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::body;
use super::problem::{Code, FieldError, Problem};
use super::query::RawQuery;
use super::respond::tagged::known;
use crate::domain::id::InvalidId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::precondition::{Conditions, Expected};
use crate::domain::text::clipped;
use crate::domain::time::{Timestamp, orderable};

/// An id of the path.
pub fn id<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: InvalidId| invalid_id(text, &error))
}

/// The id that a field of the body or a parameter of the query has: the problem names it.
pub fn id_at<T: FromStr<Err = InvalidId>>(path: &str, text: &str) -> Result<T, Problem> {
    let named =
        |error: InvalidId| invalid_id(text, &error).error(FieldError::new(path, "invalid_id", error.to_string()));
    text.parse().map_err(named)
}

fn invalid_id(text: &str, error: &InvalidId) -> Problem {
    Problem::new(Code::InvalidId, format!("`{}` is {error}", clipped(text, SHOWN)))
}

/// Bytes of what is no id.
const SHOWN: usize = 200;

/// A JSON body. Any other type is refused, not guessed: a form could come from a foreign page.
#[derive(Debug)]
pub struct Json(Bytes);

impl Json {
    /// One that is left out has its defaults.
    pub fn or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.0.trim_ascii().is_empty() {
            return Ok(T::default());
        }
        self.required()
    }

    pub fn required<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        body::object(&self.0)
    }
}

impl FromRequest for Json {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let content_type = request.content_type().to_ascii_lowercase();
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?;
            let is_json = content_type == "application/json" || content_type.ends_with("+json");
            if is_json || body.is_empty() {
                return Ok(Self(body));
            }
            Err(Problem::new(Code::UnsupportedMediaType, "the body must be application/json").into())
        })
    }
}

/// For an optional member: distinguishes one that is absent from one that is null.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A name, as [`label`] wants it, without the spaces around it. Other characters that look like nothing are part of it.
pub fn name(path: &str, text: &str, most: usize) -> Result<String, Problem> {
    let name = text.trim_matches(' ');
    label(path, name, most)?;
    Ok(name.to_owned())
}

/// A text of 1 to `most` characters, all of them visible or spaces.
pub fn label(path: &str, text: &str, most: usize) -> Result<(), Problem> {
    let is_label = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let allowed = || format!("a text of 1 to {most} characters without control characters");
    if is_label { Ok(()) } else { Err(Problem::invalid(path, allowed())) }
}

/// A moment, to the microsecond.
pub fn time(path: &str, text: &str) -> Result<Timestamp, Problem> {
    let time = DateTime::parse_from_rfc3339(text).ok().and_then(|time| orderable(time.with_timezone(&Utc)));
    time.ok_or_else(|| Problem::invalid(path, "a time of RFC 3339, such as 2026-01-31T12:00:00Z"))
}

/// Optional free text, such as a reason: at most `most` characters, and no control characters but line ends and tabs.
pub fn remark(path: &str, text: Option<&str>, most: usize) -> Result<(), Problem> {
    let is_text = |c: char| !c.is_control() || "\t\n\r".contains(c);
    let fits = text.is_none_or(|text| text.chars().count() <= most && text.chars().all(is_text));
    let allowed = || format!("a text of at most {most} characters without control characters");
    if fits { Ok(()) } else { Err(Problem::invalid(path, allowed())) }
}

/// The query of a create: `?stream=true` does the same as the body's `stream`.
pub fn stream_flag(request: &HttpRequest) -> Result<bool, Problem> {
    only_flag(request, "stream")
}

/// The one flag that may be in the query.
pub fn only_flag(request: &HttpRequest, name: &str) -> Result<bool, Problem> {
    let mut query = RawQuery::read(request)?;
    let flag = query.flag(name)?;
    query.finish(name)?;
    Ok(flag)
}

/// The one parameter that may be in the query.
pub fn only_parameter(request: &HttpRequest, name: &str) -> Result<Option<String>, Problem> {
    let mut query = RawQuery::read(request)?;
    let value = query.take(name)?;
    query.finish(name)?;
    Ok(value)
}

/// For a create that does not support keys: a client that sends one relies on it, so it is refused, not ignored.
pub fn no_idempotency_key(request: &HttpRequest) -> Result<(), Problem> {
    if !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return Ok(());
    }
    let message = "this request cannot be repeated under a key; leave the header out";
    Err(Problem::new(Code::InvalidRequest, format!("`{IDEMPOTENCY_KEY}`: {message}")).error(FieldError::new(
        IDEMPOTENCY_KEY,
        "unsupported",
        message,
    )))
}

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The `Idempotency-Key` header. One that cannot be kept is refused, since its sender counts on it.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Problem> {
    const HEADER: &str = IDEMPOTENCY_KEY;
    let invalid = |message: String| {
        Problem::new(Code::InvalidRequest, format!("`{HEADER}` must be {message}"))
            .error(FieldError::new(HEADER, "invalid", message))
    };
    let mut given = request.headers().get_all(HEADER);
    let key = given.next().map(|value| IdempotencyKey::parse(value.as_bytes())).transpose();
    match given.next() {
        Some(_) => Err(invalid("given once".to_owned())),
        None => key.map_err(|error| invalid(error.to_string())),
    }
}

/// `If-Match`: what an `ETag` says of what a change must know, with or without quotes. What no `ETag` can say matches nothing.
pub fn expected<T: FromStr>(request: &HttpRequest) -> Result<Expected<T>, Problem> {
    let detail = "`If-Match` must name the version to change";
    given_tags(request, header::IF_MATCH).ok_or_else(|| Problem::new(Code::PreconditionRequired, detail))
}

/// `If-Match` and `If-None-Match` of a change, which need not be there.
pub fn conditions<T: FromStr>(request: &HttpRequest) -> Conditions<T> {
    let [matching, none_matching] = [header::IF_MATCH, header::IF_NONE_MATCH].map(|name| given_tags(request, name));
    Conditions { matching, none_matching }
}

fn given_tags<T: FromStr>(request: &HttpRequest, name: HeaderName) -> Option<Expected<T>> {
    let mut headers = request.headers().get_all(name).peekable();
    headers.peek()?;
    let texts: Vec<&str> = headers.map(|value| value.to_str().unwrap_or_default()).collect();
    Some(tags(&texts.join(",")))
}

/// As in the header, with commas between them.
pub fn tags<T: FromStr>(text: &str) -> Expected<T> {
    let tags: Vec<&str> = text.split(',').map(str::trim).collect();
    match tags.contains(&"*") {
        true => Expected::Any,
        false => Expected::OneOf(tags.iter().filter_map(|tag| known(tag.trim_matches('"')).parse().ok()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn what_is_to_be_changed_is_named_by_its_number() {
        let read = |texts: &[&str]| {
            let request =
                texts.iter().fold(TestRequest::get(), |request, text| request.append_header((header::IF_MATCH, *text)));
            expected::<u64>(&request.to_http_request())
        };
        for (texts, numbers) in [
            (&["\"3\""][..], &[3][..]),
            (&["3"], &[3]),
            (&["\"3\", \"4\"", "5"], &[3, 4, 5]),
            (&["\"3.1f2e3d4c5b6a7988\""], &[3]),
            (&["W/\"3\""], &[]),
            (&["\"three\""], &[]),
        ] {
            assert_eq!(read(texts).unwrap(), Expected::OneOf(numbers.to_vec()), "{texts:?}");
        }
        assert_eq!(read(&["*"]).unwrap(), Expected::Any);
        assert_eq!(read(&[]).unwrap_err().code, Code::PreconditionRequired);
    }
}
