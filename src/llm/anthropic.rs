//! The Messages API of Anthropic.
//!
//! Wire format: `POST /v1/messages` with `stream: true`. `message_start` has the tokens that went in, `content_block_delta` the
//! text, `message_delta` the reason of the stop and the tokens so far (cumulative: they replace, and are not added),
//! `message_stop` the end. An `error` event may come at any time. Events and deltas of unknown types are passed over, as
//! the documentation asks for; so are thinking and its signatures. A server that does not stream answers with one document
//! of type `message`.

use hyper::header::{HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::counts::Counts;
use super::fault;
use super::http::{Client, Signal, WireFormat, outgoing, secret_header};
use super::members::Members;
use super::{Call, Provider, ProviderError, ProviderName, Request, StopReason, Usage};

const VERSION: &str = "2023-06-01";

pub(super) struct Anthropic {
    pub client: Client,
    pub key: SecretString,
    /// Without `/v1`.
    pub base_url: String,
}

impl Provider for Anthropic {
    fn name(&self) -> ProviderName {
        ProviderName::Anthropic
    }

    fn call(&self, request: Request) -> Call {
        let mut outgoing = outgoing(format!("{}/v1/messages", self.base_url), &body(&request));
        outgoing.headers.push((HeaderName::from_static("x-api-key"), secret_header(&self.key, "")));
        outgoing.headers.push((HeaderName::from_static("anthropic-version"), HeaderValue::from_static(VERSION)));
        self.client.call(outgoing, Fold::default(), request.timeout, Some(self.key.clone()))
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
pub(super) struct Fold {
    counts: Counts,
    stop: Option<StopReason>,
    has_started: bool,
}

impl WireFormat for Fold {
    fn apply(&mut self, name: &str, data: &str) -> Result<Vec<Signal>, ProviderError> {
        let Some(event) = fault::read(name, data)? else { return Ok(Vec::new()) };
        let kind = event.word("type");
        let mut signals = Vec::new();
        match kind.as_deref().unwrap_or(name) {
            "message_start" => self.count(event.members("message").as_ref(), &mut signals),
            "content_block_start" => signals.extend(event.members("content_block").and_then(|block| text(&block))),
            "content_block_delta" => signals.extend(event.members("delta").and_then(|delta| text(&delta))),
            "message_delta" => {
                self.end(event.members("delta").as_ref());
                self.count(Some(&event), &mut signals);
            }
            "message_stop" => signals.push(Signal::End),
            "message" => {
                let blocks = event.list("content").into_iter().filter_map(|block| Members::parse(block).ok());
                signals.extend(blocks.filter_map(|block| text(&block)));
                self.has_started = event.raw("content").is_some();
                self.end(Some(&event));
                self.count(Some(&event), &mut signals);
            }
            _ => {}
        }
        Ok(signals)
    }

    fn is_whole(&self) -> bool {
        false
    }

    fn has_started(&self) -> bool {
        self.has_started
    }

    fn usage(&self) -> Option<Usage> {
        self.counts.usage()
    }

    fn stop(&self) -> StopReason {
        self.stop.clone().unwrap_or(StopReason::End)
    }
}

impl Fold {
    fn count(&mut self, of: Option<&Members<'_>>, signals: &mut Vec<Signal>) {
        let Some(reported) = of.and_then(|of| of.members("usage")) else { return };
        self.counts.take(Counts {
            input: reported.count("input_tokens"),
            output: reported.count("output_tokens"),
            cache_read: reported.count("cache_read_input_tokens"),
            cache_write: reported.count("cache_creation_input_tokens"),
        });
        signals.extend(self.usage().map(|_| Signal::Usage));
    }

    fn end(&mut self, of: Option<&Members<'_>>) {
        let word = of.and_then(|of| of.word("stop_reason"));
        self.stop = word.map(stop_reason).or(self.stop.take());
    }
}

/// Of a block, or of more of one; what has no text is of another type.
fn text(block: &Members<'_>) -> Option<Signal> {
    let is_text = block.word("type").is_none_or(|kind| ["text", "text_delta"].contains(&kind.as_str()));
    block.text("text").filter(|_| is_text).map(Signal::Text)
}

fn stop_reason(word: String) -> StopReason {
    match word.as_str() {
        "end_turn" | "stop_sequence" => StopReason::End,
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "refusal" => StopReason::Refusal,
        _ => StopReason::Other(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Context, Message};

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
            fold.apply("", data).unwrap();
        }
        assert_eq!(fold.usage(), Some(Usage { input: 26, output: 15, cache_read: 9, cache_write: 7 }));
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
            assert!(Fold::default().apply("", data).unwrap().is_empty(), "{data}");
        }
    }

    #[test]
    fn every_stop_has_its_meaning() {
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
    }
}
