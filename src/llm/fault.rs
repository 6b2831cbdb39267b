//! Error messages of servers, in all their forms. Pure.
//!
//! Invariant: the server's message is passed on. Whether a call is retried follows from its code, or from the word for its
//! kind; an error without either is taken for temporary.

use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use super::ProviderError;
use super::error::sentence;
use super::members::Members;

/// An answer whose status is no success.
pub fn of_answer(status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) if is_out_of_money(&body) => ProviderError::Refused { status, message: message_of(&body) },
        Ok(body) => ProviderError::of_status(status, retry_after, message_of(&body)),
        Err(_) => ProviderError::of_status(status, retry_after, sentence(&String::from_utf8_lossy(body))),
    }
}

/// The members of an event, or of a document in place of events; none of one that says nothing. That something went
/// wrong is an error.
pub fn read<'a>(name: &str, data: &'a str) -> Result<Option<Members<'a>>, ProviderError> {
    let data = data.trim();
    match Members::parse(data) {
        _ if data.is_empty() => Ok(None),
        Ok(members) if is_one(name, &members) => Err(of_event(data)),
        Ok(members) => Ok(Some(members)),
        Err(_) if name == "error" || is_listed(data) => Err(of_event(data)),
        // Such as `event: ping`, which means something to clients that know the name.
        Err(_) if !is_unnamed(name) && !data.starts_with('{') => Ok(None),
        Err(error) => Err(ProviderError::Malformed { reason: format!("an event is not a JSON object: {error}") }),
    }
}

fn is_unnamed(name: &str) -> bool {
    ["", "message"].contains(&name)
}

fn is_one(name: &str, members: &Members<'_>) -> bool {
    let is_said = |value: &str| !["false", "\"\"", "{}", "[]"].contains(&value);
    let says_error = |name| members.word(name).as_deref() == Some("error");
    let is_alone = || ["choices", "content", "delta", "type"].iter().all(|name| members.raw(name).is_none());
    let has_message = || ["detail", "message", "title"].iter().any(|name| members.raw(name).is_some_and(is_said));
    name == "error"
        || members.raw("error").is_some_and(is_said)
        || says_error("object")
        || says_error("type")
        || is_unnamed(name) && is_alone() && has_message()
}

/// `[{"error": ...}]`
fn is_listed(data: &str) -> bool {
    let first = serde_json::from_str::<Vec<&RawValue>>(data).ok().and_then(|list| list.first().copied());
    first.and_then(|first| Members::parse(first.get()).ok()).is_some_and(|members| is_one("", &members))
}

fn of_event(data: &str) -> ProviderError {
    let Ok(body) = serde_json::from_str::<Value>(data) else {
        return ProviderError::of_status(UNKNOWN, None, sentence(data));
    };
    let status = if is_out_of_money(&body) { 402 } else { status_of(&body) };
    ProviderError::of_status(status, None, message_of(&body))
}

/// What a body says went wrong, wherever servers are known to write it.
fn message_of(body: &Value) -> String {
    let spots = [
        &body["error"]["message"],
        &body["error"],
        &body["message"],
        &body["detail"],
        &body["error"]["message"]["detail"][0]["msg"],
        &body["detail"][0]["msg"],
        &body["errors"][0]["message"],
        &body[0]["error"]["message"],
        &body["title"],
    ];
    match spots.into_iter().find_map(Value::as_str) {
        Some(text) => sentence(text),
        None => sentence(&body.to_string()),
    }
}

/// OpenAI says 429 also to those who have no money left, which waiting does not change.
fn is_out_of_money(body: &Value) -> bool {
    [&body["error"]["code"], &body["error"]["type"]].iter().any(|word| **word == "insufficient_quota")
}

/// Of an error that says neither a code nor a kind.
const UNKNOWN: u16 = 500;
const CODES: [&str; 4] = ["code", "status", "status_code", "http_code"];
const KINDS: [&str; 4] = ["type", "code", "status", "error_type"];

fn status_of(body: &Value) -> u16 {
    let objects = [&body["error"], &body[0]["error"], body];
    let members =
        |names: [&'static str; 4]| objects.into_iter().flat_map(move |object| names.map(|name| &object[name]));
    let code = members(CODES).find_map(code);
    code.or_else(|| members(KINDS).filter_map(Value::as_str).find_map(meaning)).unwrap_or(UNKNOWN)
}

fn code(value: &Value) -> Option<u16> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    ((400.0..600.0).contains(&number) && number.fract() == 0.0).then_some(number as u16)
}

/// Words of kinds, without what stands between them; the first that is contained counts.
const WORDS: [(&str, u16); 22] = [
    ("ratelimit", 429),
    ("toomanyrequests", 429),
    ("resourceexhausted", 429),
    ("throttl", 429),
    ("overloaded", 529),
    ("unavailable", 503),
    ("timeout", 504),
    ("billing", 402),
    ("authentication", 401),
    ("unauthenticated", 401),
    ("unauthorized", 401),
    ("apikey", 401),
    ("permission", 403),
    ("forbidden", 403),
    ("notfound", 404),
    ("toolarge", 413),
    ("contextlength", 400),
    ("invalidrequest", 400),
    ("invalidargument", 400),
    ("badrequest", 400),
    ("unprocessable", 422),
    ("validation", 422),
];

fn meaning(kind: &str) -> Option<u16> {
    let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    WORDS.iter().find(|(word, _)| kind.contains(word)).map(|(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::ErrorKind;

    #[test]
    fn a_message_is_found_wherever_servers_put_it() {
        for (body, expected) in [
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
            (r#"{"error":{"message":"no such model","code":"model_not_found"}}"#, "no such model"),
            (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
            (r#"{"object":"error","message":"too long"}"#, "too long"),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            (r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, "field required"),
            (r#"[{"error":{"message":"slow\ndown"}}]"#, "slow down"),
            (r#"{"errors":[{"message":"no route"}]}"#, "no route"),
            (r#"{"unheard":1}"#, r#"{"unheard":1}"#),
        ] {
            assert_eq!(message_of(&serde_json::from_str(body).unwrap()), expected);
        }
    }

    #[test]
    fn every_kind_of_either_provider_has_its_meaning() {
        for (kind, expected) in [
            ("server_error", ErrorKind::Server),
            ("rate_limit_exceeded", ErrorKind::RateLimited),
            ("rate_limit_error", ErrorKind::RateLimited),
            ("overloaded_error", ErrorKind::Server),
            ("api_error", ErrorKind::Server),
            ("timeout_error", ErrorKind::Server),
            ("authentication_error", ErrorKind::Authentication),
            ("permission_error", ErrorKind::Authentication),
            ("PermissionDeniedError", ErrorKind::Authentication),
            ("billing_error", ErrorKind::Refused),
            ("not_found_error", ErrorKind::Refused),
            ("request_too_large", ErrorKind::Refused),
            ("invalid_request_error", ErrorKind::Refused),
            ("BadRequestError", ErrorKind::Refused),
            ("of tomorrow", ErrorKind::Server),
        ] {
            let data = serde_json::json!({"error": {"type": kind, "message": "x"}}).to_string();
            assert_eq!(of_event(&data).kind(), expected, "{kind}");
        }
    }
}
