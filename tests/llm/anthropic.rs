use ade::llm::{Part, StopReason, Usage};
use serde_json::json;

use crate::support::{Act, Dialect, Mock, answer, chunk, head, heard, last_chunk, limits, outcome, request, streamed};

const DIALECT: Dialect = Dialect::Anthropic;

#[actix_web::test]
async fn the_request_is_one_of_the_messages_api() {
    let mock = Mock::start(vec![streamed(&DIALECT.stream(&["hello"]), 64)]).await;
    heard(DIALECT.provider(&mock.address, limits()).call(request())).await;
    let seen = &mock.seen()[0];
    assert!(seen.head.starts_with("post /v1/messages http/1.1\r\n"), "{}", seen.head);
    for header in ["x-api-key: sk-very-secret", "anthropic-version: 2023-06-01", "content-type: application/json"] {
        assert!(seen.head.lines().any(|line| line == header), "{header}: {}", seen.head);
    }
    let expected = json!({
        "model": "a-model", "max_tokens": 1024, "stream": true, "temperature": 0.5, "system": "You write reports.",
        "messages": [{"role": "user", "content": "Write one: \u{201c}grün\u{201d}."}],
    });
    assert_eq!(seen.body, expected);
}

#[actix_web::test]
async fn a_reply_arrives_in_pieces_with_all_kinds_of_tokens() {
    let thinking = concat!(
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        "\n\n: a comment\n\n",
    );
    let text = format!(
        "{}{thinking}{}{}{}",
        DIALECT.begin(),
        DIALECT.delta("grün "),
        DIALECT.delta("\u{1f309} bridge"),
        DIALECT.end("end_turn")
    );
    for size in [1, 7, 100_000] {
        let mock = Mock::start(vec![streamed(&text, size)]).await;
        let (parts, error) = heard(DIALECT.provider(&mock.address, limits()).call(request())).await;
        assert_eq!(error, None);
        let begun = Usage { input: 25, output: 1, cache_read: 7, cache_write: 3 };
        let whole = Usage { output: 15, ..begun };
        let Some(Part::Reply(reply)) = parts.last() else { panic!("{parts:?}") };
        assert_eq!(
            (reply.content.as_str(), reply.usage, &reply.stop),
            ("grün \u{1f309} bridge", Some(whole), &StopReason::End)
        );
        assert!(!reply.latency.is_zero());
        let expected = [
            Part::Usage(begun),
            Part::Delta("grün ".to_owned()),
            Part::Delta("\u{1f309} bridge".to_owned()),
            Part::Usage(whole),
            Part::Reply(reply.clone()),
        ];
        assert_eq!(parts, expected);
    }
}

#[actix_web::test]
async fn stop_reasons_are_distinguished() {
    for (word, expected) in [
        ("max_tokens", StopReason::Length),
        ("model_context_window_exceeded", StopReason::Length),
        ("refusal", StopReason::Refusal),
        ("pause_turn", StopReason::Other("pause_turn".to_owned())),
    ] {
        let text = format!("{}{}{}", DIALECT.begin(), DIALECT.delta("x"), DIALECT.end(word));
        assert_eq!(outcome(DIALECT, streamed(&text, 50), limits()).await.unwrap().stop, expected);
    }
}

#[actix_web::test]
async fn an_error_within_the_stream_is_classified_as_one_before_it() {
    for (kind, expected) in [
        ("overloaded_error", "server"),
        ("api_error", "server"),
        ("rate_limit_error", "rate_limited"),
        ("invalid_request_error", "refused"),
        ("authentication_error", "authentication"),
    ] {
        let error = format!("event: error\ndata: {}\n\n", DIALECT.refusal(kind, "Overloaded, sk-very-secret"));
        let script = vec![head(), chunk(DIALECT.begin()), chunk(&DIALECT.delta("half")), chunk(&error), Act::Hold];
        let error = outcome(DIALECT, script, limits()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), expected);
        assert!(error.to_string().contains("Overloaded, ***"), "{error}");
    }
}

#[actix_web::test]
async fn overloaded_is_reported_with_its_status() {
    let body = DIALECT.refusal("overloaded_error", "Overloaded");
    let error = outcome(DIALECT, vec![answer("529 Overloaded", &[], &body)], limits()).await.unwrap_err();
    assert_eq!(error.to_string(), "the provider failed (529): Overloaded");
}

#[actix_web::test]
async fn a_truncated_stream_is_no_reply() {
    // All of the text is there, and why the model stopped; but not `message_stop`.
    let text = DIALECT.stream(&["hello"]);
    let (text, _) = text.split_once("event: message_stop").unwrap();
    for script in [vec![head(), chunk(text)], vec![head(), chunk(text), last_chunk()]] {
        let error = outcome(DIALECT, script, limits()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "transport", "{error}");
    }
}
