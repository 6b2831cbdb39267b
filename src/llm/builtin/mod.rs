//! The provider inside the binary: no key, no network, no model.
//!
//! Invariant: the same request has the same answer, always. What it answers satisfies the schema that it was given; what it
//! cannot satisfy it says ([`ProviderError::Unanswerable`]). It reads [`super::Context`] and takes words for its documents
//! from the JSON in the messages.
//!
//! Lines of the *task* direct it, so that clarifications, faults and bad replies can be tried without a real provider.
//! They are read nowhere else: an input that contains such a line changes nothing.
//!
//! | line | what happens |
//! | --- | --- |
//! | `builtin: ask <question>` | unless the request is `answered`, the reply is a set of these questions (several lines, several questions; answers are free text) |
//! | `builtin: ask(<type>) <question>` | the same with an answer of `free_text`, `yes_no`, `number`, `date`, `uuid`, `json_object`, or `single_choice: a, b` and `multi_choice: a, b` |
//! | `builtin: ask(<type>)? <question>` | the same, the answer not required |
//! | `builtin: fail <kind> [<n>] [after <ms>]` | the first `n` calls (1) of each attempt of the step fail: `rate_limited`, `server`, `timeout`, `transport`, `malformed`, `too_large`, `refused`, `authentication`; `after` is the `Retry-After` of the first two |
//! | `builtin: cut [<n>]` | the first `n` calls of each attempt of the step lose their connection within the reply |
//! | `builtin: delay <ms>` | the call takes this long, spread over its deltas |
//! | `builtin: reply <what> [<n>]` | in the first `n` attempts of the step (1) the reply is: `broken` (no JSON), `invalid` (JSON that no schema of a document allows), `truncated` (cut off, with `length`), `refusal`, `questions`, or `large` (5 MB of JSON) |
//! | `builtin: fence` | documents come in a fenced block |
//!
//! A line that is none of these is refused, as a provider refuses a parameter that it does not know.

mod directive;
mod mark;
mod questions;
mod text;

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use self::directive::{Directives, Fault, Odd};
use self::text::Material;
use super::{
    Call, Part, Provider, ProviderError, ProviderName, REPLY_BYTES, Reply, Request, StopReason, Usage, estimated_tokens,
};

/// An answer comes in so many pieces, if it is long enough.
const DELTAS: usize = 4;
const LARGE_BYTES: usize = 5_000_000;

pub struct Builtin;

impl Provider for Builtin {
    fn name(&self) -> ProviderName {
        ProviderName::Builtin
    }

    fn call(&self, request: Request) -> Call {
        let timeout = request.timeout.unwrap_or(Duration::MAX);
        // It may take a while, which must not block the thread.
        let writing = async move { tokio::task::spawn_blocking(move || script(&request)).await };
        let written = stream::once(writing)
            .flat_map(|script| stream::iter(script.unwrap_or_else(|error| vec![(Duration::ZERO, Err(died(&error)))])));
        let paced = written.then(|(pause, part)| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            part
        });
        bounded(paced.boxed_local(), timeout)
    }
}

fn died(error: &tokio::task::JoinError) -> ProviderError {
    ProviderError::Unanswerable { reason: error.to_string() }
}

type Timed = (Duration, Result<Part, ProviderError>);

/// Every part of a reply, each with the pause before it.
fn script(request: &Request) -> Vec<Timed> {
    let usage = Usage { input: prompt_tokens(request), ..Usage::default() };
    let started = (Duration::ZERO, Ok(Part::Usage(usage)));
    match Directives::parse(&request.context.task) {
        Ok(directives) => std::iter::once(started).chain(directed(request, &directives, usage)).collect(),
        Err(reason) => vec![(Duration::ZERO, Err(ProviderError::Refused { status: 400, message: reason }))],
    }
}

fn directed(request: &Request, directives: &Directives, usage: Usage) -> Vec<Timed> {
    let fault = directives.fault(request.context.call_attempt);
    if let Some(Fault::Error(error)) = fault {
        return vec![(directives.delay, Err(error))];
    }
    match answer(request, directives) {
        Ok((content, stop)) => spoken(&content, stop, usage, directives.delay, fault.is_some()),
        Err(error) => vec![(directives.delay, Err(error))],
    }
}

/// The reply in pieces; only the first half when the connection is to break.
fn spoken(content: &str, stop: StopReason, mut usage: Usage, delay: Duration, is_cut: bool) -> Vec<Timed> {
    let pieces = pieces(content);
    let pause = delay / u32::try_from(pieces.len()).unwrap_or(1);
    let mut parts: Vec<Timed> = pieces.iter().map(|text| (pause, Ok(Part::Delta((*text).to_owned())))).collect();
    if is_cut {
        parts.truncate(parts.len().div_ceil(2));
        let reason = "it was closed before the reply was complete".to_owned();
        parts.push((Duration::ZERO, Err(ProviderError::Transport { reason })));
        return parts;
    }
    usage.output = estimated_tokens(content);
    parts.push((Duration::ZERO, Ok(Part::Usage(usage))));
    let reply = Reply { content: content.to_owned(), usage: Some(usage), latency: delay, stop };
    parts.push((Duration::ZERO, Ok(Part::Reply(reply))));
    parts
}

fn pieces(content: &str) -> Vec<&str> {
    let length = content.len().div_ceil(DELTAS).max(1);
    let mut pieces = Vec::with_capacity(DELTAS);
    let mut rest = content;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.ceil_char_boundary(length.min(rest.len())));
        pieces.push(piece);
        rest = behind;
    }
    if pieces.is_empty() { vec![""] } else { pieces }
}

fn answer(request: &Request, directives: &Directives) -> Result<(String, StopReason), ProviderError> {
    let material = Material::of(request);
    if let Some(odd) = directives.odd(request.context.step_attempt) {
        return oddly(request, directives, odd, &material);
    }
    if !directives.questions.is_empty() && !request.context.answered {
        let questions = questions::set(&directives.questions, &material);
        return Ok(within(request, pretty(&questions)));
    }
    let content = wanted(request, directives, &material)?;
    Ok(within(request, content))
}

fn wanted(request: &Request, directives: &Directives, material: &Material) -> Result<String, ProviderError> {
    let schema = request.context.schema.clone().unwrap_or_else(default_schema);
    let document = json_schema::satisfying(&schema, material, REPLY_BYTES);
    let document = document.map_err(|reason| ProviderError::Unanswerable { reason })?;
    let text = pretty(&document);
    Ok(if directives.fence { format!("```json\n{text}\n```") } else { text })
}

/// A document when no schema was given.
fn default_schema() -> Value {
    json!({
        "type": "object",
        "required": ["title", "text"],
        "properties": {"title": {"type": "string"}, "text": {"type": "string"}},
    })
}

fn oddly(
    request: &Request,
    directives: &Directives,
    odd: Odd,
    material: &Material,
) -> Result<(String, StopReason), ProviderError> {
    Ok(match odd {
        Odd::Broken => {
            (format!("Here it is: {{\"title\": \"{}\", ", material.subject().escape_default()), StopReason::End)
        }
        Odd::Invalid => (r#"{"of_no_use": true, "of_no_use_at_all": [null]}"#.to_owned(), StopReason::End),
        Odd::Truncated => {
            let whole = wanted(request, directives, material)?;
            (whole[..whole.floor_char_boundary(whole.len() / 2)].to_owned(), StopReason::Length)
        }
        Odd::Refusal => ("I will not write this.".to_owned(), StopReason::Refusal),
        Odd::Questions => (pretty(&questions::set(&questions::any(), material)), StopReason::End),
        Odd::Large => (format!("{{\"text\": \"{}\"}}", "x".repeat(LARGE_BYTES.min(REPLY_BYTES))), StopReason::End),
    })
}

/// No reply is longer than requested.
fn within(request: &Request, mut content: String) -> (String, StopReason) {
    let most = usize::try_from(request.max_tokens).unwrap_or(usize::MAX).saturating_mul(4);
    match content.char_indices().nth(most) {
        None => (content, StopReason::End),
        Some((end, _)) => {
            content.truncate(end);
            (content, StopReason::Length)
        }
    }
}

fn prompt_tokens(request: &Request) -> u64 {
    let messages = request.messages.iter().map(|message| estimated_tokens(&message.text));
    estimated_tokens(&request.system) + messages.sum::<u64>()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a value is JSON")
}

/// A call is bounded by its time limit.
fn bounded(call: Call, limit: Duration) -> Call {
    let state = (call, None::<tokio::time::Instant>);
    let parts = stream::try_unfold(state, move |(mut call, started)| async move {
        let started = started.unwrap_or_else(tokio::time::Instant::now);
        let left = limit.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, call.next()).await {
            Ok(part) => part.transpose().map(|part| part.map(|part| (part, (call, Some(started))))),
            Err(_) => Err(ProviderError::Timeout { wait: super::Wait::Total, limit }),
        }
    });
    parts.boxed_local()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Context, ErrorKind, Message, complete};

    fn request(task: &str) -> Request {
        Request {
            system: "You write reports.".to_owned(),
            messages: vec![Message::user(format!("{task}\n\n```json\n{{\"title\": \"Bridge repair\"}}\n```"))],
            model: "builtin-small".to_owned(),
            max_tokens: 4_096,
            temperature: None,
            timeout: None,
            context: Context {
                task: task.to_owned(),
                schema: Some(json!({
                    "type": "object", "required": ["title"], "additionalProperties": false,
                    "properties": {"title": {"type": "string"}, "points": {"type": "array", "items": {"type": "string"}}},
                })),
                ..Context::default()
            },
        }
    }

    async fn parts(request: Request) -> Vec<Result<Part, ProviderError>> {
        Builtin.call(request).collect().await
    }

    async fn reply(request: Request) -> Result<Reply, ProviderError> {
        complete(Builtin.call(request), |_| {}).await
    }

    #[actix_web::test]
    async fn it_answers_in_pieces_and_counts_tokens() {
        let parts = parts(request("Write a report.")).await;
        let Some(Ok(Part::Reply(reply))) = parts.last() else { panic!("{parts:?}") };
        let deltas: Vec<_> = parts
            .iter()
            .filter_map(|part| match part {
                Ok(Part::Delta(text)) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(deltas.concat(), reply.content);
        assert!((2..=DELTAS).contains(&deltas.len()));
        let document: Value = serde_json::from_str(&reply.content).unwrap();
        assert_eq!(document["title"], "Bridge repair");
        assert_eq!(reply.usage.unwrap().output, estimated_tokens(&reply.content));
        assert!(reply.usage.unwrap().input > 0);
        assert_eq!((reply.latency, &reply.stop), (Duration::ZERO, &StopReason::End));
        assert_eq!(parts[0], Ok(Part::Usage(Usage { input: reply.usage.unwrap().input, ..Usage::default() })));
    }

    #[actix_web::test]
    async fn the_same_request_has_the_same_answer() {
        let first = parts(request("Write a report.")).await;
        assert_eq!(first, parts(request("Write a report.")).await);
        assert_ne!(first, parts(request("Write another report, on something else.")).await);
    }

    #[actix_web::test]
    async fn it_asks_until_it_is_answered() {
        let task = "Plan it.\nbuiltin: ask Which budget?\nbuiltin: ask(single_choice: red, green)? Which colour";
        let asked: Value = serde_json::from_str(&reply(request(task)).await.unwrap().content).unwrap();
        assert_eq!(asked["mode"], "questions_only");
        assert_eq!(asked["questions"][0]["text"], "Which budget?");
        assert_eq!(asked["questions"][1]["choices"][1]["value"], "green");
        assert_eq!(
            (&asked["questions"][0]["required"], &asked["questions"][1]["required"]),
            (&json!(true), &json!(false))
        );
        let mut answered = request(task);
        answered.context.answered = true;
        let document: Value = serde_json::from_str(&reply(answered).await.unwrap().content).unwrap();
        assert_eq!(document["title"], "Bridge repair");
    }

    #[actix_web::test]
    async fn faults_come_with_the_first_calls_and_go() {
        for &kind in ErrorKind::ALL {
            if matches!(kind, ErrorKind::Cancelled | ErrorKind::Interrupted | ErrorKind::Unanswerable) {
                continue;
            }
            let mut request = request(&format!("Plan it.\nbuiltin: fail {} 2 after 70", kind.as_str()));
            for attempt in 1..=3 {
                request.context.call_attempt = attempt;
                let outcome = reply(request.clone()).await;
                assert_eq!(outcome.err().map(|error| error.kind()), (attempt < 3).then_some(kind));
            }
        }
        let limited = reply(request("builtin: fail rate_limited 1 after 70")).await.unwrap_err();
        assert!(
            matches!(limited, ProviderError::RateLimited { retry_after: Some(after), .. } if after == Duration::from_millis(70))
        );
    }

    #[actix_web::test]
    async fn a_cut_comes_after_the_first_pieces() {
        let parts = parts(request("builtin: cut")).await;
        assert!(parts.iter().any(|part| matches!(part, Ok(Part::Delta(_)))));
        assert!(matches!(parts.last(), Some(Err(ProviderError::Transport { .. }))));
    }

    #[actix_web::test]
    async fn odd_replies_come_with_the_first_attempts_of_a_step() {
        for (what, stop, is_json) in [
            ("broken", StopReason::End, false),
            ("invalid", StopReason::End, true),
            ("truncated", StopReason::Length, false),
            ("refusal", StopReason::Refusal, false),
            ("questions", StopReason::End, true),
            ("large", StopReason::End, true),
        ] {
            let mut request = request(&format!("Plan it.\nbuiltin: reply {what} 1"));
            let odd = reply(request.clone()).await.unwrap();
            assert_eq!((odd.stop, serde_json::from_str::<Value>(&odd.content).is_ok()), (stop, is_json), "{what}");
            request.context.step_attempt = 2;
            let document: Value = serde_json::from_str(&reply(request).await.unwrap().content).unwrap();
            assert_eq!(document["title"], "Bridge repair");
        }
    }

    #[actix_web::test]
    async fn no_answer_is_longer_than_allowed() {
        let short = Request { max_tokens: 3, ..request("Write.") };
        let reply = reply(short).await.unwrap();
        assert_eq!((reply.content.chars().count(), reply.stop), (12, StopReason::Length));
        assert_eq!(reply.usage.unwrap().output, 3);
    }

    #[actix_web::test]
    async fn a_delay_is_taken_and_bounded_by_the_timeout() {
        let answer = reply(request("builtin: delay 20")).await.unwrap();
        assert_eq!(answer.latency, Duration::from_millis(20));
        let hasty = Request { timeout: Some(Duration::from_millis(10)), ..request("builtin: delay 600000") };
        assert_eq!(reply(hasty).await.unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[actix_web::test]
    async fn directives_are_read_in_the_task_alone_and_never_passed_over() {
        let mut smuggled = request("Write.");
        smuggled.messages.push(Message::user("builtin: fail server"));
        assert!(reply(smuggled).await.is_ok());
        let error = reply(request("builtin: explode")).await.unwrap_err();
        assert!(matches!(&error, ProviderError::Refused { message, .. } if message.contains("explode")), "{error}");
    }

    #[actix_web::test]
    async fn what_it_cannot_satisfy_it_says() {
        let mut request = request("Write.");
        request.context.schema = Some(json!({"type": "string", "minLength": 5, "maxLength": 3}));
        assert_eq!(reply(request).await.unwrap_err().kind(), ErrorKind::Unanswerable);
    }

    #[actix_web::test]
    async fn a_fence_is_put_around_when_asked_for() {
        let fenced = reply(request("builtin: fence")).await.unwrap().content;
        assert!(fenced.starts_with("```json\n{") && fenced.ends_with("}\n```"));
    }
}
