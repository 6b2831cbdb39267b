use ade::llm::{Endpoint, Fixed, Options, Part, ProviderName, Providers, StopReason, Usage};
use serde_json::json;

use crate::support::{Dialect, Mock, answer, chunk, head, heard, last_chunk, limits, outcome, request, streamed};

const DIALECT: Dialect = Dialect::OpenAi;

#[actix_web::test]
async fn the_request_is_one_of_chat_completions() {
    let mock = Mock::start(vec![streamed(&DIALECT.stream(&["hello"]), 64)]).await;
    heard(DIALECT.provider(&mock.address, limits()).call(request())).await;
    let seen = &mock.seen()[0];
    assert!(seen.head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{}", seen.head);
    assert!(seen.head.lines().any(|line| line == "authorization: bearer sk-very-secret"), "{}", seen.head);
    let expected = json!({
        "model": "a-model", "max_tokens": 1024, "stream": true, "temperature": 0.5,
        "stream_options": {"include_usage": true},
        "messages": [
            {"role": "system", "content": "You write reports."},
            {"role": "user", "content": "Write one: \u{201c}grün\u{201d}."},
        ],
    });
    assert_eq!(seen.body, expected);
}

#[actix_web::test]
async fn a_custom_server_is_called_without_a_key() {
    let mock = Mock::start(vec![streamed(&DIALECT.stream(&["hello"]), 64)]).await;
    let endpoint = |path: &str| Endpoint { base_url: format!("{}{path}", mock.address), key: None };
    let options = Options {
        default: ProviderName::OpenAi,
        anthropic: endpoint(""),
        openai: endpoint("/v1"),
        openai_parameters: Fixed::default(),
        limits: limits(),
        ca_file: None,
    };
    let provider = Providers::new(options).unwrap().get(None).unwrap();
    let (parts, _) = heard(provider.call(request())).await;
    assert!(matches!(parts.last(), Some(Part::Reply(reply)) if reply.content == "hello"));
    assert!(!mock.seen()[0].head.contains("authorization"));
}

#[actix_web::test]
async fn a_reply_arrives_in_pieces_with_all_kinds_of_tokens() {
    let text = DIALECT.stream(&["grün ", "\u{1f309} bridge"]);
    for size in [1, 7, 100_000] {
        let mock = Mock::start(vec![streamed(&text, size)]).await;
        let (parts, error) = heard(DIALECT.provider(&mock.address, limits()).call(request())).await;
        assert_eq!(error, None);
        let usage = Usage { input: 25, output: 15, cache_read: 7, cache_write: 0 };
        let Some(Part::Reply(reply)) = parts.last() else { panic!("{parts:?}") };
        assert_eq!(
            (reply.content.as_str(), reply.usage, &reply.stop),
            ("grün \u{1f309} bridge", Some(usage), &StopReason::End)
        );
        let expected = [
            Part::Delta("grün ".to_owned()),
            Part::Delta("\u{1f309} bridge".to_owned()),
            Part::Usage(usage),
            Part::Reply(reply.clone()),
        ];
        assert_eq!(parts, expected);
    }
}

#[actix_web::test]
async fn stop_reasons_are_distinguished() {
    for (word, expected) in [
        ("length", StopReason::Length),
        ("content_filter", StopReason::Refusal),
        ("tool_calls", StopReason::Other("tool_calls".to_owned())),
    ] {
        let text = format!("{}{}{}", DIALECT.begin(), DIALECT.delta("x"), DIALECT.end(word));
        assert_eq!(outcome(DIALECT, streamed(&text, 50), limits()).await.unwrap().stop, expected);
    }
}

#[actix_web::test]
async fn servers_that_report_less_are_understood() {
    // No tokens, CRLF, and no `[DONE]`: the connection ends behind the reason.
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n";
    let cut = vec![head(), chunk(&DIALECT.delta("hello").replace('\n', "\r\n")), chunk(end)];
    let closed = [cut.clone(), vec![last_chunk()]].concat();
    for script in [cut, closed] {
        let reply = outcome(DIALECT, script, limits()).await.unwrap();
        assert_eq!((reply.content.as_str(), reply.usage, reply.stop), ("hello", None, StopReason::End));
    }
}

#[actix_web::test]
async fn an_error_within_the_stream_ends_the_call() {
    for (data, expected) in [
        (r#"{"error":{"message":"try later","type":"server_error","code":null}}"#, "server"),
        (r#"{"error":{"message":"slow down","type":"rate_limit_exceeded"}}"#, "rate_limited"),
        (r#"{"error":{"message":"bad gateway","code":502}}"#, "server"),
    ] {
        let script = vec![head(), chunk(&DIALECT.delta("half")), chunk(&format!("data: {data}\n\n"))];
        assert_eq!(outcome(DIALECT, script, limits()).await.unwrap_err().kind().as_str(), expected);
    }
}

#[actix_web::test]
async fn an_exhausted_quota_is_not_retried_although_it_is_a_429() {
    let body = DIALECT.refusal("insufficient_quota", "You exceeded your current quota");
    let error = outcome(DIALECT, vec![answer("429 Too Many Requests", &[], &body)], limits()).await.unwrap_err();
    assert_eq!(error.to_string(), "the provider refused the request (429): You exceeded your current quota");
}
