//! Chat completions, as OpenAI and many servers beside it speak them.
//!
//! Wire format: `POST <base>/chat/completions` with `stream: true` and `stream_options.include_usage`. Chunks have pieces of
//! text and, at last, a `finish_reason`; then comes a chunk with the tokens and no choices, then `[DONE]`. Servers leave
//! out one or the other: no tokens are no tokens, a `[DONE]` needs no reason, and a connection that ends behind a
//! `finish_reason` has ended well. Some answer with one document, with `message` in place of `delta`.

use std::sync::Arc;

use hyper::header::AUTHORIZATION;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::counts::Counts;
use super::fault;
use super::http::{Client, Signal, WireFormat, outgoing, secret_header};
use super::members::Members;
use super::parameters::{Known, Sent, Trial};
use super::text::Text;
use super::{Call, Provider, ProviderError, ProviderName, Request, StopReason, Usage};

pub(super) struct OpenAi {
    pub client: Client,
    /// Self-hosted servers often need none.
    pub key: Option<SecretString>,
    /// With `/v1`.
    pub base_url: String,
    pub known: Arc<Known>,
}

impl Provider for OpenAi {
    fn name(&self) -> ProviderName {
        ProviderName::OpenAi
    }

    fn call(&self, request: Request) -> Call {
        let trial = Trial::new(&self.known);
        let mut outgoing = outgoing(format!("{}/chat/completions", self.base_url), &body(&request, trial.sent));
        outgoing.headers.extend(self.key.iter().map(|key| (AUTHORIZATION, secret_header(key, "Bearer "))));
        let timeout = request.timeout;
        let chat = Chat { request, known: self.known.clone(), trial, fold: Fold::default() };
        self.client.call(outgoing, chat, timeout, self.key.clone())
    }
}

fn body(request: &Request, sent: Sent) -> Value {
    let system = (!request.system.is_empty()).then(|| json!({"role": "system", "content": request.system}));
    let messages =
        request.messages.iter().map(|message| json!({"role": message.role.as_str(), "content": message.text}));
    let mut body = json!({
        "model": request.model,
        "messages": system.into_iter().chain(messages).collect::<Vec<_>>(),
        "stream": true,
    });
    if sent.stream_options {
        body["stream_options"] = json!({"include_usage": true});
    }
    body[sent.token_limit.as_str()] = json!(request.max_tokens);
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    body
}

/// A call: its reply so far, and what its server has refused.
struct Chat {
    request: Request,
    known: Arc<Known>,
    trial: Trial,
    fold: Fold,
}

impl WireFormat for Chat {
    fn apply(&mut self, name: &str, data: &str) -> Result<Vec<Signal>, ProviderError> {
        let signals = self.fold.apply(name, data)?;
        if !signals.is_empty() {
            self.known.learn(self.trial.sent);
        }
        Ok(signals)
    }

    fn is_whole(&self) -> bool {
        self.fold.stop.is_some()
    }

    fn has_started(&self) -> bool {
        self.fold.has_started
    }

    fn usage(&self) -> Option<Usage> {
        self.fold.usage()
    }

    fn stop(&self) -> StopReason {
        self.fold.stop()
    }

    fn alternative(&mut self, refusal: &str) -> Option<String> {
        self.trial.goes_on(refusal).then(|| body(&self.request, self.trial.sent).to_string())
    }
}

#[derive(Default)]
pub(super) struct Fold {
    counts: Counts,
    stop: Option<StopReason>,
    has_started: bool,
    has_text: bool,
    /// A refusal comes as text, and then finishes with `stop` as everything does.
    has_refused: bool,
}

impl Fold {
    pub(super) fn apply(&mut self, name: &str, data: &str) -> Result<Vec<Signal>, ProviderError> {
        if data.trim() == "[DONE]" {
            return Ok(vec![Signal::End]);
        }
        let Some(chunk) = fault::read(name, data)? else { return Ok(Vec::new()) };
        let mut signals = Vec::new();
        let choices = chunk.list("choices").into_iter().filter_map(|choice| Members::parse(choice).ok());
        // Only one was asked for.
        let choice = choices.into_iter().find(|choice| choice.count("index").unwrap_or_default() == 0);
        if let Some(choice) = &choice {
            self.has_started = true;
            signals.extend(self.choose(choice, data)?.map(Signal::Text));
        }
        let inner = [Some(&chunk), choice.as_ref(), chunk.members("x_groq").as_ref()].map(|of| of?.members("usage"));
        for usage in inner.into_iter().flatten() {
            self.counts.take(counts(&usage));
            signals.extend(self.usage().map(|_| Signal::Usage));
        }
        Ok(signals)
    }

    fn choose(&mut self, choice: &Members<'_>, data: &str) -> Result<Option<Text>, ProviderError> {
        let word = choice.word("finish_reason");
        if word.as_deref() == Some("error") {
            let error = choice.raw("error").map(|error| format!(r#"{{"error":{error}}}"#));
            fault::read("error", error.as_deref().unwrap_or(data))?;
        }
        self.stop = word.map(stop_reason).or(self.stop.take());
        let refusal = self.speaker(choice).and_then(|speaker| speaker.text("refusal"));
        self.has_refused |= refusal.is_some();
        let text = self.content(choice)?.or(refusal);
        self.has_text |= text.is_some();
        Ok(text)
    }

    /// Where a choice has its text: in `delta`, or in `message` if it comes at once.
    fn speaker<'a>(&self, choice: &Members<'a>) -> Option<Members<'a>> {
        choice.members("delta").or_else(|| choice.members("message").filter(|_| !self.has_text))
    }

    fn content(&self, choice: &Members<'_>) -> Result<Option<Text>, ProviderError> {
        let Some(speaker) = self.speaker(choice) else { return Ok(choice.text("text")) };
        let content = speaker.raw("content").map_or(Some(Text::default()), said);
        let content = content.ok_or_else(|| ProviderError::Malformed {
            reason: "the content of a piece is neither a text nor a list of texts".to_owned(),
        })?;
        Ok(Some(content).filter(|content| !content.is_empty()))
    }

    /// `prompt_tokens` contains what was read from a cache, or written to one.
    pub(super) fn usage(&self) -> Option<Usage> {
        let reported = self.counts.usage()?;
        let cache_read = reported.cache_read.min(reported.input);
        let cache_write = reported.cache_write.min(reported.input - cache_read);
        Some(Usage { input: reported.input - cache_read - cache_write, cache_read, cache_write, ..reported })
    }

    pub(super) fn stop(&self) -> StopReason {
        match &self.stop {
            _ if self.has_refused => StopReason::Refusal,
            Some(stop) => stop.clone(),
            None => StopReason::End,
        }
    }
}

/// A text, a part with a text, or a list of these; parts without one are thinking and the like. None of anything else.
fn said(content: &str) -> Option<Text> {
    let mut text = Text::default();
    match content.as_bytes().first() {
        Some(b'[') => {
            let parts: Vec<&serde_json::value::RawValue> = serde_json::from_str(content).ok()?;
            parts.into_iter().filter_map(|part| said(part.get())).for_each(|part| text.append(part));
            Some(text)
        }
        Some(b'{') => part(&Members::parse(content).ok()?),
        _ => serde_json::from_str(content).ok(),
    }
}

fn part(part: &Members<'_>) -> Option<Text> {
    let is_text = part.word("type").is_none_or(|kind| ["text", "output_text"].contains(&kind.as_str()));
    match part.raw("text").filter(|_| is_text) {
        Some(text) => serde_json::from_str(text).ok(),
        None => Some(Text::default()),
    }
}

fn counts(reported: &Members<'_>) -> Counts {
    let details = reported.members("prompt_tokens_details");
    let detail = |name| details.as_ref().and_then(|details| details.count(name));
    let input = reported.count("prompt_tokens").or_else(|| reported.count("input_tokens"));
    let output = reported.count("completion_tokens").or_else(|| reported.count("output_tokens"));
    let rest =
        || reported.raw("completion_tokens").is_none().then(|| reported.count("total_tokens")?.checked_sub(input?))?;
    Counts {
        input,
        output: output.or_else(rest),
        cache_read: detail("cached_tokens").or_else(|| reported.count("prompt_cache_hit_tokens")),
        cache_write: detail("cache_write_tokens"),
    }
}

/// In the words of several servers.
fn stop_reason(word: String) -> StopReason {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "complete" | "completed" => StopReason::End,
        "length" | "max_tokens" | "max_output_tokens" | "model_length" => StopReason::Length,
        "content_filter" | "refusal" | "safety" => StopReason::Refusal,
        _ => StopReason::Other(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::parameters::TokenLimit;
    use crate::llm::{Context, Message};

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
        let sent = Sent { stream_options: true, token_limit: TokenLimit::MaxCompletionTokens };
        assert_eq!(body(&request(), sent), expected);
        let elsewhere = body(&request(), Sent { stream_options: false, token_limit: TokenLimit::MaxTokens });
        assert_eq!((elsewhere.get("max_completion_tokens"), &elsewhere["max_tokens"]), (None, &json!(512)));
        assert_eq!(elsewhere.get("stream_options"), None);
    }

    #[test]
    fn cached_tokens_are_counted_once() {
        for (data, expected) in [
            (
                r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10}}}"#,
                Usage { input: 30, output: 20, cache_read: 60, cache_write: 10 },
            ),
            (
                r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}}"#,
                Usage { input: 0, output: 1, cache_read: 5, cache_write: 0 },
            ),
        ] {
            let mut fold = Fold::default();
            assert_eq!(fold.apply("", data).unwrap().len(), 1);
            assert_eq!(fold.usage(), Some(expected));
        }
    }

    #[test]
    fn a_refusal_stays_one_whatever_follows() {
        let mut fold = Fold::default();
        for content in ["", r#","content":"""#, r#","content":null"#] {
            let data = format!(r#"{{"choices":[{{"delta":{{"refusal":"I would rather not"{content}}}}}]}}"#);
            assert_eq!(fold.apply("", &data).unwrap().len(), 1, "its words are the content: {data}");
        }
        assert_eq!((fold.stop(), &fold.stop), (StopReason::Refusal, &None));
        fold.apply("", r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).unwrap();
        assert_eq!((fold.stop(), &fold.stop), (StopReason::Refusal, &Some(StopReason::End)));
    }

    #[test]
    fn every_stop_has_its_meaning() {
        for (word, expected) in [
            ("stop", StopReason::End),
            ("STOP", StopReason::End),
            ("length", StopReason::Length),
            ("content_filter", StopReason::Refusal),
            ("tool_calls", StopReason::Other("tool_calls".to_owned())),
        ] {
            assert_eq!(stop_reason(word.to_owned()), expected);
        }
    }
}
