//! Chat completions, as OpenAI and many servers beside it speak them.
//!
//! Wire: `POST <base>/chat/completions` with `stream: true` and `stream_options.include_usage`. Chunks have pieces of
//! text and, at last, a `finish_reason`; then comes a chunk with the tokens and no choices, then `[DONE]`. Servers leave
//! out one or the other: no tokens are no tokens, and a connection that ends behind a `finish_reason` has ended well.
//! `prompt_tokens` contains what was read from the cache; here the kinds are disjoint.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::sentence;
use super::http::{Heard, Line, Outgoing, Wire, message_of, secret_header};
use super::{Call, Provider, ProviderError, ProviderName, Request, StopReason, Usage};

pub(super) struct OpenAi {
    pub line: Line,
    /// Servers of one's own often want none.
    pub key: Option<SecretString>,
    /// With `/v1`.
    pub base_url: String,
    /// OpenAI refuses `max_tokens` for newer models, others do not know `max_completion_tokens`.
    pub is_openai: bool,
}

impl Provider for OpenAi {
    fn name(&self) -> ProviderName {
        ProviderName::OpenAi
    }

    fn call(&self, request: Request) -> Call {
        let outgoing = Outgoing {
            url: format!("{}/chat/completions", self.base_url),
            headers: self.key.iter().map(|key| ("authorization", secret_header(key, "Bearer "))).collect(),
            body: body(&request, self.is_openai).to_string().into_bytes(),
        };
        self.line.call(outgoing, Fold::default(), request.timeout, self.key.clone())
    }
}

fn body(request: &Request, is_openai: bool) -> Value {
    let system = (!request.system.is_empty()).then(|| json!({"role": "system", "content": request.system}));
    let messages =
        request.messages.iter().map(|message| json!({"role": message.role.as_str(), "content": message.text}));
    let mut body = json!({
        "model": request.model,
        "messages": system.into_iter().chain(messages).collect::<Vec<_>>(),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let bound = if is_openai { "max_completion_tokens" } else { "max_tokens" };
    body[bound] = json!(request.max_tokens);
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    body
}

#[derive(Default)]
struct Fold {
    usage: Option<Usage>,
    stop: Option<StopReason>,
    /// A refusal is told in the text, and then finishes with `stop` as anything does.
    has_refused: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize, Default)]
struct Details {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

impl Wire for Fold {
    fn hear(&mut self, data: &str) -> Result<Vec<Heard>, ProviderError> {
        if data.trim() == "[DONE]" {
            return Ok(vec![Heard::End]);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| ProviderError::Malformed {
            reason: format!("an event is no chunk of a completion: {error}"),
        })?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(fault(error));
        }
        let mut heard = Vec::new();
        // Only one choice was asked for.
        if let Some(choice) = chunk.choices.into_iter().next() {
            heard.extend(self.choose(choice));
        }
        if let Some(tokens) = chunk.usage {
            self.usage = Some(usage(&tokens));
            heard.push(Heard::Usage);
        }
        Ok(heard)
    }

    fn is_whole(&self) -> bool {
        self.stop.is_some()
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn stop(&self) -> Option<StopReason> {
        self.stop.clone().map(|stop| if self.has_refused { StopReason::Refusal } else { stop })
    }
}

impl Fold {
    fn choose(&mut self, choice: Choice) -> Option<Heard> {
        let (content, refusal) = choice.delta.map_or((None, None), |delta| (delta.content, delta.refusal));
        self.has_refused |= refusal.as_ref().is_some_and(|text| !text.is_empty());
        if let Some(word) = choice.finish_reason {
            self.stop = Some(stop_reason(word));
        }
        [content, refusal].into_iter().flatten().find(|text| !text.is_empty()).map(Heard::Text)
    }
}

fn usage(tokens: &Tokens) -> Usage {
    let details = tokens.prompt_tokens_details.as_ref();
    let cache_read = details.and_then(|details| details.cached_tokens).unwrap_or_default();
    let cache_write = details.and_then(|details| details.cache_write_tokens).unwrap_or_default();
    Usage {
        input: tokens.prompt_tokens.saturating_sub(cache_read).saturating_sub(cache_write),
        output: tokens.completion_tokens,
        cache_read,
        cache_write,
    }
}

fn stop_reason(word: String) -> StopReason {
    match word.as_str() {
        "stop" => StopReason::End,
        "length" => StopReason::Length,
        "content_filter" => StopReason::Refusal,
        _ => StopReason::Other(word),
    }
}

/// An error that comes within the stream: its code may be a status, its type tells the rest.
fn fault(error: Value) -> ProviderError {
    let told = error["code"].as_u64().or_else(|| error["status"].as_u64()).and_then(|code| u16::try_from(code).ok());
    let status = told.filter(|code| (400..600).contains(code)).unwrap_or_else(|| {
        match error["type"].as_str().or(error["code"].as_str()).unwrap_or_default() {
            "insufficient_quota" => 402,
            word if word.contains("rate_limit") => 429,
            word if word.contains("invalid_request") => 400,
            word if word.contains("authentication") => 401,
            _ => 500,
        }
    });
    ProviderError::of_status(status, None, sentence(&message_of(&json!({ "error": error }))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Context, ErrorKind, Message};

    fn request() -> Request {
        Request {
            system: "be brief".to_owned(),
            messages: vec![Message::user("hello")],
            model: "gpt-5-mini".to_owned(),
            max_tokens: 512,
            temperature: Some(0.5),
            timeout: None,
            context: Context::default(),
        }
    }

    #[test]
    fn the_body_says_what_was_asked_and_no_more() {
        let expected = json!({
            "model": "gpt-5-mini", "max_completion_tokens": 512, "stream": true, "temperature": 0.5,
            "stream_options": {"include_usage": true},
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        });
        assert_eq!(body(&request(), true), expected);
        let elsewhere = body(&request(), false);
        assert_eq!((elsewhere.get("max_completion_tokens"), &elsewhere["max_tokens"]), (None, &json!(512)));
    }

    #[test]
    fn cached_tokens_are_counted_once() {
        let mut fold = Fold::default();
        let data = r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10}}}"#;
        assert_eq!(fold.hear(data).unwrap().len(), 1);
        assert_eq!(fold.usage, Some(Usage { input: 30, output: 20, cache_read: 60, cache_write: 10 }));
        fold.hear(r#"{"choices":[],"usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":9}}}"#).unwrap();
        assert_eq!(fold.usage.unwrap().input, 0);
    }

    #[test]
    fn a_refusal_stays_one_whatever_follows() {
        let mut fold = Fold::default();
        for content in ["", r#","content":"""#, r#","content":null"#] {
            let data = format!(r#"{{"choices":[{{"delta":{{"refusal":"I would rather not"{content}}}}}]}}"#);
            assert_eq!(fold.hear(&data).unwrap().len(), 1, "its words are the content: {data}");
        }
        assert_eq!((fold.stop(), fold.is_whole()), (None, false));
        fold.hear(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).unwrap();
        assert_eq!((fold.stop(), fold.is_whole()), (Some(StopReason::Refusal), true));
    }

    #[test]
    fn chunks_of_other_servers_are_read_too() {
        for (data, texts) in [
            (r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#, 0),
            (r#"{"choices":[{"delta":{"content":"a","reasoning_content":null}}]}"#, 1),
            (r#"{"choices":[{"delta":{"reasoning_content":"hm"}}],"error":null}"#, 0),
            (r#"{"choices":[{"finish_reason":"stop"}]}"#, 0),
            (r#"{"object":"chat.completion.chunk"}"#, 0),
        ] {
            assert_eq!(Fold::default().hear(data).unwrap().len(), texts, "{data}");
        }
    }

    #[test]
    fn every_stop_and_every_fault_has_its_meaning() {
        for (word, expected) in [
            ("stop", StopReason::End),
            ("length", StopReason::Length),
            ("content_filter", StopReason::Refusal),
            ("tool_calls", StopReason::Other("tool_calls".to_owned())),
        ] {
            assert_eq!(stop_reason(word.to_owned()), expected);
        }
        for (error, expected) in [
            (json!({"message": "x", "type": "server_error", "code": null}), ErrorKind::Server),
            (json!({"message": "x", "type": "rate_limit_exceeded"}), ErrorKind::RateLimited),
            (json!({"message": "x", "code": 429}), ErrorKind::RateLimited),
            (json!({"message": "x", "code": 502}), ErrorKind::Server),
            (json!({"message": "x", "type": "invalid_request_error"}), ErrorKind::Refused),
            (json!("out of memory"), ErrorKind::Server),
        ] {
            assert_eq!(fault(error.clone()).kind(), expected, "{error}");
        }
    }
}
