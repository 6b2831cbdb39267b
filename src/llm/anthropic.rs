//! The Messages API of Anthropic.
//!
//! Wire: `POST /v1/messages` with `stream: true`. `message_start` has the tokens that went in, `content_block_delta` the
//! text, `message_delta` the reason of the stop and the tokens so far (cumulative: they replace, and are not added),
//! `message_stop` the end. An `error` event may come at any time. Events and deltas of unknown types are passed over, as
//! the documentation asks for; so are thinking and its signatures.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::sentence;
use super::http::{Heard, Line, Outgoing, Wire, secret_header};
use super::{Call, Provider, ProviderError, ProviderName, Request, StopReason, Usage};

const VERSION: &str = "2023-06-01";

pub(super) struct Anthropic {
    pub line: Line,
    pub key: SecretString,
    /// Without `/v1`.
    pub base_url: String,
}

impl Provider for Anthropic {
    fn name(&self) -> ProviderName {
        ProviderName::Anthropic
    }

    fn call(&self, request: Request) -> Call {
        let outgoing = Outgoing {
            url: format!("{}/v1/messages", self.base_url),
            headers: vec![
                ("x-api-key", secret_header(&self.key, "")),
                ("anthropic-version", awc::http::header::HeaderValue::from_static(VERSION)),
            ],
            body: body(&request).to_string().into_bytes(),
        };
        self.line.call(outgoing, Fold::default(), request.timeout, Some(self.key.clone()))
    }
}

fn body(request: &Request) -> Value {
    let messages =
        request.messages.iter().map(|message| json!({"role": message.role.as_str(), "content": message.text}));
    let mut body = json!({
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": messages.collect::<Vec<_>>(),
        "stream": true,
    });
    if !request.system.is_empty() {
        body["system"] = json!(request.system);
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    body
}

#[derive(Default)]
struct Fold {
    usage: Option<Usage>,
    stop: Option<StopReason>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        content_block: Block,
    },
    ContentBlockDelta {
        delta: Block,
    },
    MessageDelta {
        delta: Ending,
        usage: Option<Tokens>,
    },
    MessageStop,
    Error {
        error: Fault,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    usage: Option<Tokens>,
}

/// A block, or more of one; what has no text is of another type.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    TextDelta {
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Ending {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

impl Wire for Fold {
    fn hear(&mut self, data: &str) -> Result<Vec<Heard>, ProviderError> {
        let event = serde_json::from_str(data).map_err(|error| ProviderError::Malformed {
            reason: format!("an event is not of the Messages API: {error}"),
        })?;
        Ok(match event {
            Event::MessageStart { message } => self.count(message.usage),
            Event::ContentBlockStart { content_block: text } | Event::ContentBlockDelta { delta: text } => match text {
                Block::Text { text } | Block::TextDelta { text } if !text.is_empty() => vec![Heard::Text(text)],
                _ => vec![],
            },
            Event::MessageDelta { delta, usage } => {
                self.stop = delta.stop_reason.map(stop_reason).or(self.stop.take());
                self.count(usage)
            }
            Event::MessageStop => vec![Heard::End],
            Event::Error { error } => return Err(fault(&error)),
            Event::Other => vec![],
        })
    }

    fn is_whole(&self) -> bool {
        false
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn stop(&self) -> Option<StopReason> {
        self.stop.clone()
    }
}

impl Fold {
    /// What is said replaces what was said before; what is left out stays.
    fn count(&mut self, tokens: Option<Tokens>) -> Vec<Heard> {
        let Some(tokens) = tokens else { return vec![] };
        let known = self.usage.unwrap_or_default();
        self.usage = Some(Usage {
            input: tokens.input_tokens.unwrap_or(known.input),
            output: tokens.output_tokens.unwrap_or(known.output),
            cache_read: tokens.cache_read_input_tokens.unwrap_or(known.cache_read),
            cache_write: tokens.cache_creation_input_tokens.unwrap_or(known.cache_write),
        });
        vec![Heard::Usage]
    }
}

fn stop_reason(word: String) -> StopReason {
    match word.as_str() {
        "end_turn" | "stop_sequence" => StopReason::End,
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "refusal" => StopReason::Refusal,
        _ => StopReason::Other(word),
    }
}

/// An error that comes within the stream has a type in place of a status.
fn fault(fault: &Fault) -> ProviderError {
    let status = match fault.kind.as_str() {
        "authentication_error" => 401,
        "permission_error" => 403,
        "billing_error" => 402,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "invalid_request_error" => 400,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    };
    ProviderError::of_status(status, None, sentence(&fault.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Context, ErrorKind, Message};

    fn request() -> Request {
        Request {
            system: "be brief".to_owned(),
            messages: vec![Message::user("hello"), Message::assistant("yes?"), Message::user("go on")],
            model: "claude-haiku-4-5".to_owned(),
            max_tokens: 512,
            temperature: None,
            timeout: None,
            context: Context::default(),
        }
    }

    #[test]
    fn the_body_says_what_was_asked_and_no_more() {
        let expected = json!({
            "model": "claude-haiku-4-5", "max_tokens": 512, "stream": true, "system": "be brief",
            "messages": [
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "yes?"},
                {"role": "user", "content": "go on"},
            ],
        });
        assert_eq!(body(&request()), expected);
        let warm = Request { temperature: Some(0.2), system: String::new(), ..request() };
        assert_eq!(body(&warm)["temperature"], json!(0.2));
        assert_eq!(body(&warm).get("system"), None);
    }

    #[test]
    fn tokens_are_cumulative_and_what_is_left_out_stays() {
        let mut fold = Fold::default();
        for data in [
            r#"{"type":"message_start","message":{"usage":{"input_tokens":25,"cache_creation_input_tokens":7,"cache_read_input_tokens":9,"output_tokens":1}}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":10}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":26,"cache_read_input_tokens":null,"output_tokens":15}}"#,
        ] {
            fold.hear(data).unwrap();
        }
        assert_eq!(fold.usage, Some(Usage { input: 26, output: 15, cache_read: 9, cache_write: 7 }));
        assert_eq!(fold.stop, Some(StopReason::End));
    }

    #[test]
    fn what_is_unknown_is_passed_over() {
        for data in [
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"of_tomorrow","x":1}"#,
        ] {
            assert!(Fold::default().hear(data).unwrap().is_empty(), "{data}");
        }
    }

    #[test]
    fn every_stop_and_every_fault_has_its_meaning() {
        for (word, expected) in [
            ("end_turn", StopReason::End),
            ("stop_sequence", StopReason::End),
            ("max_tokens", StopReason::Length),
            ("model_context_window_exceeded", StopReason::Length),
            ("refusal", StopReason::Refusal),
            ("pause_turn", StopReason::Other("pause_turn".to_owned())),
        ] {
            assert_eq!(stop_reason(word.to_owned()), expected);
        }
        for (kind, expected) in [
            ("overloaded_error", ErrorKind::Server),
            ("api_error", ErrorKind::Server),
            ("timeout_error", ErrorKind::Server),
            ("rate_limit_error", ErrorKind::RateLimited),
            ("authentication_error", ErrorKind::Authentication),
            ("permission_error", ErrorKind::Authentication),
            ("billing_error", ErrorKind::Refused),
            ("invalid_request_error", ErrorKind::Refused),
        ] {
            assert_eq!(fault(&Fault { kind: kind.to_owned(), message: String::new() }).kind(), expected, "{kind}");
        }
    }
}
