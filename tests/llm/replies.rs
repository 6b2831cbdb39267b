//! Replies as servers write them: what does not matter does not decide, and what does is never lost.

use ade::llm::{StopReason, Usage};

use crate::support::{Act, Dialect, chunk, head, last_chunk, limits, outcome, streamed};

const TEXT: &str = r#"{"title":"T"}"#;
const FIRST: &str = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"{\"title\":"}}]}"#;
const SECOND: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"\"T\"}"}}]}"#;
const STOP: &str = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
const DONE: &str = "data: [DONE]";

fn told(input: u64, output: u64) -> Option<Usage> {
    Some(Usage { input, output, ..Usage::default() })
}

/// A stream of these events.
fn events(events: &[&str]) -> String {
    events.iter().map(|event| format!("{event}\n\n")).collect()
}

/// The same events, with one more in every place.
fn between(more: &str) -> String {
    events(&[more, FIRST, more, SECOND, more, STOP, more, USAGE, more, DONE])
}

async fn assert_whole(dialect: Dialect, name: &str, stream: &str, usage: Option<Usage>) {
    for size in [1, 50_000] {
        let reply = outcome(dialect, streamed(stream, size), limits()).await;
        let reply = reply.unwrap_or_else(|error| panic!("{name}: {error}\n{stream}"));
        let whole = (reply.content.as_str(), reply.usage, &reply.stop);
        assert_eq!(whole, (TEXT, usage, &StopReason::End), "{name}\n{stream}");
    }
}

#[actix_web::test]
async fn text_between_the_pieces_is_ignored() {
    for more in [
        "data:",
        "data: ",
        "data",
        ": OPENROUTER PROCESSING",
        ": keep-alive",
        ":",
        "event: ping\ndata: {\"type\":\"ping\"}",
        "event: ping\ndata: ping",
        "event: heartbeat\ndata:",
        "id: 7\nretry: 10",
        "unheard: of",
        r#"data: {"choices":[]}"#,
        r#"data: {"choices":null}"#,
        r#"data: {"choices":{}}"#,
        r#"data: {"choices":[null]}"#,
        r#"data: {"choices":[{}]}"#,
        r#"data: {"choices":[{"delta":null}]}"#,
        r#"data: {"choices":[{"delta":[]}]}"#,
        r#"data: {"choices":[{"delta":{"content":null}}]}"#,
        r#"data: {"choices":[{"delta":{"content":""}}]}"#,
        r#"data: {"choices":[{"delta":{"content":[]}}]}"#,
        r#"data: {"choices":[{"delta":{"role":"assistant"}}]}"#,
        r#"data: {"choices":[{"delta":{"role":null,"tool_calls":null,"refusal":null,"function_call":null}}]}"#,
        r#"data: {"choices":[{"delta":{"role":7,"tool_calls":{},"refusal":[],"content":""}}]}"#,
        r#"data: {"choices":[{"delta":{"reasoning_content":"hm {\"a\":1}"}}]}"#,
        r#"data: {"choices":[{"delta":{"reasoning":"hm","reasoning_details":[{"type":"x","text":"hm"}],"content":""}}]}"#,
        r#"data: {"choices":[{"delta":{"thinking":"hm","content":null}}]}"#,
        r#"data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}"#,
        r#"data: {"choices":[{"delta":{"content":[{"type":"image_url","image_url":"x"},null,7]}}]}"#,
        r#"data: {"choices":[{"index":1,"delta":{"content":"another choice"},"finish_reason":"length"}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":null,"logprobs":null}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"","logprobs":[1]}]}"#,
        r#"data: {"choices":[{"index":"0","delta":{},"finish_reason":false,"stop_reason":151645}]}"#,
        r#"data: {"id":null,"object":null,"created":null,"model":null,"system_fingerprint":null,"choices":[]}"#,
        r#"data: {"id":7,"object":[],"created":"now","model":{},"system_fingerprint":1.5,"service_tier":{},"choices":[]}"#,
        r#"data: {"error":null,"detail":null,"message":null,"type":null,"choices":[]}"#,
        r#"data: {"error":"","choices":[]}"#,
        r#"data: {"error":{},"choices":[]}"#,
        r#"data: {"error":false,"choices":[]}"#,
        r#"data: {"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#,
        r#"data: {"usage":null,"choices":[]}"#,
        r#"data: {"usage":[],"choices":[]}"#,
        r#"data: {"usage":"none","choices":[]}"#,
        r#"data: {"usage":{},"choices":[]}"#,
        r#"data: {"choices":[],"choices":[]}"#,
        r#"data: {"obfuscation":"aGVsbG8","choices":[]}"#,
        "data: {\"choices\":\ndata: []}",
        "data: {}",
    ] {
        assert_whole(Dialect::OpenAi, "between", &between(more), told(10, 5)).await;
    }
}

#[actix_web::test]
async fn every_form_of_a_complete_reply_is_read() {
    let plain = events(&[FIRST, SECOND, STOP, USAGE, DONE]);
    let parts = r#"data: {"choices":[{"delta":{"content":[{"type":"text","text":"{\"title\":"},{"type":"reference"},{"type":"text","text":"\"T\"}"}]},"finish_reason":"stop"}]}"#;
    for (name, stream, usage) in [
        ("plain", plain.clone(), told(10, 5)),
        ("CRLF", plain.replace('\n', "\r\n"), told(10, 5)),
        ("CR", plain.replace('\n', "\r"), told(10, 5)),
        ("BOM", format!("\u{feff}{plain}"), told(10, 5)),
        ("blank lines first", format!("\n\r\n\n{plain}"), told(10, 5)),
        ("no space", plain.replace("data: ", "data:"), told(10, 5)),
        ("names of events", plain.replace("data: ", "event: completion.chunk\ndata: "), told(10, 5)),
        ("ids", plain.replace("data: ", "id: 1\ndata: "), told(10, 5)),
        ("a done without a reason", events(&[FIRST, SECOND, DONE]), None),
        ("a done with an empty reason", events(&[FIRST, SECOND, &STOP.replace("stop\"", "\""), DONE]), None),
        ("no done", events(&[FIRST, SECOND, STOP]), None),
        ("an unfinished last line", events(&[FIRST, SECOND, STOP]).trim_end().to_owned(), None),
        ("an unfinished done", events(&[FIRST, SECOND, DONE]).trim_end().to_owned(), None),
        ("tokens before the reason", events(&[FIRST, SECOND, USAGE, STOP, DONE]), told(10, 5)),
        ("a reason in the last piece", events(&[FIRST, &SECOND.replace("}]}", r#","finish_reason":"stop"}]}"#)]), None),
        ("parts", events(&[parts, DONE]), None),
        ("a message in place of a delta", events(&[&FIRST.replace("delta", "message"), SECOND, STOP]), None),
        (
            "text in place of a delta",
            events(&[FIRST, &SECOND.replace(r#""delta":{"content":"#, r#""text":"#).replacen("}}]", "}]", 1), STOP]),
            None,
        ),
        (
            "a whole message at the end",
            events(&[
                FIRST,
                SECOND,
                r#"data: {"choices":[{"delta":{},"message":{"content":"{\"title\":\"T\"}"},"finish_reason":"stop"}]}"#,
            ]),
            None,
        ),
        (
            "the word of another server",
            events(&[FIRST, SECOND, &STOP.replace("\"stop\"", "\"eos_token\""), DONE]),
            None,
        ),
        (
            "tokens in every piece",
            between(r#"data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":1}}"#),
            told(10, 1),
        ),
    ] {
        assert_whole(Dialect::OpenAi, name, &stream, usage).await;
    }
}

#[actix_web::test]
async fn tokens_are_read_in_every_form_and_invalid_counts_are_ignored() {
    let cached = |input, output, cache_read| Some(Usage { input, output, cache_read, cache_write: 0 });
    for (usage, expected) in [
        (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, told(10, 5)),
        (r#"{"prompt_tokens":10.0,"completion_tokens":5.0}"#, told(10, 5)),
        (r#"{"prompt_tokens":"10","completion_tokens":"5"}"#, told(10, 5)),
        (r#"{"prompt_tokens":1e1,"completion_tokens":5}"#, told(10, 5)),
        (r#"{"input_tokens":10,"output_tokens":5}"#, told(10, 5)),
        (r#"{"prompt_tokens":10,"total_tokens":15}"#, told(10, 5)),
        (r#"{"prompt_tokens":10,"completion_tokens":0}"#, told(10, 0)),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":null,"cost":0.1}"#, told(10, 5)),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":[]}"#, told(10, 5)),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":null}}"#, told(10, 5)),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":-1}}"#, told(10, 5)),
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4.0}}"#,
            cached(6, 5, 4),
        ),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":4}"#, cached(6, 5, 4)),
        (r#"{}"#, None),
        (r#"{"prompt_tokens":null,"completion_tokens":null,"total_tokens":0}"#, None),
        (r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, None),
        (r#"{"prompt_tokens":10}"#, None),
        (r#"{"prompt_tokens":-10,"completion_tokens":5}"#, None),
        (r#"{"prompt_tokens":10,"completion_tokens":"many"}"#, None),
        (r#"{"prompt_tokens":10.5,"completion_tokens":5}"#, None),
        (r#"{"prompt_tokens":1e300,"completion_tokens":5}"#, None),
        (r#"{"prompt_tokens":18446744073709551615,"completion_tokens":5}"#, None),
        (r#"{"prompt_tokens":true,"completion_tokens":[5]}"#, None),
    ] {
        for stream in [
            events(&[FIRST, SECOND, STOP, &format!(r#"data: {{"choices":[],"usage":{usage}}}"#), DONE]),
            events(&[FIRST, SECOND, &format!(r#"data: {{"choices":[{{"finish_reason":"stop"}}],"usage":{usage}}}"#)]),
            events(&[FIRST, SECOND, &format!(r#"data: {{"choices":[{{"finish_reason":"stop","usage":{usage}}}]}}"#)]),
            events(&[
                FIRST,
                SECOND,
                &format!(r#"data: {{"choices":[{{"finish_reason":"stop"}}],"x_groq":{{"usage":{usage}}}}}"#),
            ]),
        ] {
            assert_whole(Dialect::OpenAi, "tokens", &stream, expected).await;
        }
    }
    let zeros = r#"data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
    assert_whole(Dialect::OpenAi, "zeros after a count", &events(&[FIRST, SECOND, STOP, USAGE, zeros]), told(10, 5))
        .await;
}

fn delta(text: &str) -> String {
    format!(r#"data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#)
}

#[actix_web::test]
async fn a_split_surrogate_pair_is_joined_and_a_lone_surrogate_replaced() {
    for (pieces, expected) in [
        (&[r"a\ud83d\ude00b"][..], "a\u{1f600}b"),
        (&[r"a\ud83d", r"\ude00b"], "a\u{1f600}b"),
        (&[r"a\ud83d", "", r"\ude00b"], "a\u{1f600}b"),
        (&[r"\ud83d", r"\ude00\ud83d", r"\ude01"], "\u{1f600}\u{1f601}"),
        (&[r"a\ud83d", "b"], "a\u{fffd}b"),
        (&[r"a\ud83db\ude00"], "a\u{fffd}b\u{fffd}"),
        (&[r"\ude00", r"a\ud83d"], "\u{fffd}a\u{fffd}"),
        (&[r"\ud83d\ud83d", r"\ude00"], "\u{fffd}\u{1f600}"),
        (&["gr\u{fc}n \u{1f309} \u{d7ff}"], "gr\u{fc}n \u{1f309} \u{d7ff}"),
    ] {
        let pieces: Vec<_> = pieces.iter().map(|text| delta(text)).collect();
        let mut all: Vec<&str> = pieces.iter().map(String::as_str).collect();
        all.extend([STOP, DONE]);
        let stream = events(&all);
        let reply = outcome(Dialect::OpenAi, streamed(&stream, 64), limits()).await;
        assert_eq!(reply.map(|reply| reply.content).as_deref(), Ok(expected), "{stream}");

        let pieces = pieces.iter().map(|piece| {
            piece
                .replace(
                    r#"{"choices":[{"delta":{"content":"#,
                    r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"#,
                )
                .replace("}}]}", "}}")
        });
        let stream: String = pieces.map(|piece| format!("{piece}\n\n")).collect();
        let stream = format!("{}{stream}{}", Dialect::Anthropic.begin(), Dialect::Anthropic.end("end_turn"));
        let reply = outcome(Dialect::Anthropic, streamed(&stream, 64), limits()).await;
        assert_eq!(reply.map(|reply| reply.content).as_deref(), Ok(expected), "{stream}");
    }
    // In a member that nobody reads.
    let thinking = r#"data: {"choices":[{"delta":{"reasoning_content":"\ud83d"}}],"id":"\ud83d"}"#;
    assert_whole(Dialect::OpenAi, "thinking", &between(thinking), told(10, 5)).await;
}

/// A whole answer whose end is the end of the connection.
fn until_close(version: &str, headers: &str, body: &str) -> Vec<Act> {
    vec![Act::Send(format!("{version} 200 OK\r\n{headers}\r\n").into_bytes()), Act::Send(body.as_bytes().to_vec())]
}

#[actix_web::test]
async fn a_reply_may_end_with_its_connection() {
    let stream = events(&[FIRST, SECOND, STOP, USAGE, DONE]);
    let of_events = "Content-Type: text/event-stream\r\n";
    for (version, headers) in [
        ("HTTP/1.1", "Content-Type: text/event-stream\r\n"),
        ("HTTP/1.1", "Content-Type: text/event-stream\r\nConnection: close\r\n"),
        ("HTTP/1.1", "Content-Type: text/event-stream\r\nConnection: keep-alive\r\nTransfer-Encoding: identity\r\n"),
        ("HTTP/1.0", "Content-Type: text/event-stream\r\n"),
        ("HTTP/1.1", ""),
    ] {
        let reply = outcome(Dialect::OpenAi, until_close(version, headers, &stream), limits()).await;
        assert_eq!(reply.map(|reply| reply.content).as_deref(), Ok(TEXT), "{version} {headers}");
        let half = outcome(Dialect::OpenAi, until_close(version, headers, &events(&[FIRST])), limits()).await;
        assert_eq!(half.unwrap_err().kind().as_str(), "transport", "{version} {headers}");
    }
    let torn =
        outcome(Dialect::OpenAi, until_close("HTTP/1.1", of_events, "data: {\"choices\":[{\"de"), limits()).await;
    assert_eq!(torn.unwrap_err().kind().as_str(), "transport");
    let refused = "HTTP/1.1 429 Too Many Requests\r\n\r\n{\"error\":{\"message\":\"slow down\"}}";
    let error = outcome(Dialect::OpenAi, vec![Act::Send(refused.into())], limits()).await.unwrap_err();
    assert_eq!(error.to_string(), "the provider limits the rate of requests: slow down");
}

#[actix_web::test]
async fn text_before_the_reply_is_not_the_reply() {
    let stream = streamed(&events(&[FIRST, SECOND, STOP, USAGE, DONE]), 64);
    for before in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        for script in [
            [vec![Act::Send(before.into())], stream.clone()].concat(),
            vec![Act::Send(format!("{before}HTTP/1.1 200 OK\r\n\r\n{}", events(&[FIRST, SECOND, STOP])).into_bytes())],
        ] {
            let reply = outcome(Dialect::OpenAi, script, limits()).await;
            assert_eq!(reply.map(|reply| reply.content).as_deref(), Ok(TEXT), "{before}");
        }
    }
}

const DOCUMENT: &str = r#"{
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "{\"title\":\"T\"}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
}"#;
const MESSAGE: &str = r#"{"id": "m", "type": "message", "role": "assistant", "content": [{"type": "thinking", "thinking": "hm"},
    {"type": "text", "text": "{\"title\":"}, {"type": "text", "text": "\"T\"}"}],
    "stop_reason": "end_turn", "usage": {"input_tokens": 10, "output_tokens": 5}}"#;

/// An answer whose length is known.
fn document(content_type: &str, body: &str) -> Vec<Act> {
    let head = format!("HTTP/1.1 200 OK\r\n{content_type}Content-Length: {}\r\n\r\n", body.len());
    vec![Act::Send(head.into_bytes()), Act::Send(body.as_bytes().to_vec())]
}

#[actix_web::test]
async fn a_reply_that_is_not_streamed_is_accepted() {
    for (dialect, body) in [
        (Dialect::OpenAi, DOCUMENT.to_owned()),
        (Dialect::OpenAi, format!("\u{feff}\n {DOCUMENT}\n")),
        (Dialect::OpenAi, DOCUMENT.replace("\"stop\"", "null")),
        (
            Dialect::OpenAi,
            DOCUMENT.replace(r#""{\"title\":\"T\"}""#, r#"[{"type":"text","text":"{\"title\":\"T\"}"}]"#),
        ),
        (Dialect::Anthropic, MESSAGE.to_owned()),
        (Dialect::Anthropic, MESSAGE.replace("\"end_turn\"", "null")),
    ] {
        for content_type in ["Content-Type: application/json\r\n", "Content-Type: text/event-stream\r\n", ""] {
            for script in [document(content_type, &body), until_close("HTTP/1.1", content_type, &body)] {
                let reply = outcome(dialect, script, limits()).await.unwrap_or_else(|error| panic!("{error}\n{body}"));
                let whole = (reply.content.as_str(), reply.usage, reply.stop);
                assert_eq!(whole, (TEXT, told(10, 5), StopReason::End), "{body}");
            }
        }
    }
    let cut = DOCUMENT.replace("\"stop\"", "\"length\"");
    let reply = outcome(Dialect::OpenAi, document("", &cut), limits()).await.unwrap();
    assert_eq!(reply.stop, StopReason::Length);
}

#[actix_web::test]
async fn a_body_that_is_no_reply_is_rejected_with_its_content() {
    for (body, kind, text) in [
        (r#"{"error":{"message":"no such model","code":404}}"#, "refused", "no such model"),
        (
            r#"[{"error":{"message":"slow down","code":429,"status":"RESOURCE_EXHAUSTED"}}]"#,
            "rate_limited",
            "slow down",
        ),
        (r#"{"detail":"Not Found"}"#, "server", "Not Found"),
        (r#"{"hello":"world"}"#, "malformed", "world"),
        ("[1,2]", "malformed", ""),
        (r#"{"choices":[{"mess"#, "transport", ""),
    ] {
        for script in [document("Content-Type: application/json\r\n", body), streamed(body, 7)] {
            let error = outcome(Dialect::OpenAi, script, limits()).await.unwrap_err();
            assert_eq!(error.kind().as_str(), kind, "{body}: {error}");
            assert!(error.to_string().contains(text), "{body}: {error}");
        }
    }
    let page = document("Content-Type: text/html; charset=utf-8\r\n", "<html>Please log\n in</html>");
    let error = outcome(Dialect::OpenAi, page, limits()).await.unwrap_err();
    assert_eq!(error.kind().as_str(), "malformed");
    assert!(error.to_string().contains("Please log in"), "{error}");
    let packed = document("Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n", "\u{1f}\u{8b}");
    let error = outcome(Dialect::OpenAi, packed, limits()).await.unwrap_err();
    assert!(error.kind().as_str() == "malformed" && error.to_string().contains("gzip"), "{error}");
}

/// What is said within a stream, the kind of error that it is, and what is told of it.
const FAULTS: [(&str, &str, &str); 27] = [
    (r#"data: {"error":"out of memory"}"#, "server", "out of memory"),
    (r#"data: {"error":{"message":"try later","type":"server_error","code":null}}"#, "server", "try later"),
    (r#"data: {"error":{"message":"slow down","code":"429"}}"#, "rate_limited", "slow down"),
    (r#"data: {"error":{"message":"slow down","code":429.0}}"#, "rate_limited", "slow down"),
    (r#"data: {"error":{"message":"no such model","status":404}}"#, "refused", "no such model"),
    (r#"data: {"error":{"message":"broken","http_code":503}}"#, "server", "broken"),
    (r#"data: {"error":{"message":"slow down","type":"rate_limit_exceeded"}}"#, "rate_limited", "slow down"),
    (r#"data: {"error":{"message":"no money","type":"insufficient_quota","code":429}}"#, "refused", "no money"),
    (r#"data: {"error":{"message":"too long","code":"context_length_exceeded"}}"#, "refused", "too long"),
    (r#"data: {"error":{"message":"wrong key","code":"invalid_api_key"}}"#, "authentication", "wrong key"),
    (r#"data: {"error":{"status":"RESOURCE_EXHAUSTED","message":"slow down"}}"#, "rate_limited", "slow down"),
    (r#"data: {"error":{"message":{"detail":[{"msg":"not permitted"}]},"code":400}}"#, "refused", "not permitted"),
    (r#"data: {"error":["odd"]}"#, "server", "odd"),
    (r#"data: {"error":true,"message":"broken"}"#, "server", "broken"),
    (r#"data: {"error":"Input validation error","error_type":"validation"}"#, "refused", "Input validation error"),
    (
        r#"data: {"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
        "refused",
        "too long",
    ),
    (r#"data: {"object":"error","message":"broken","type":"InternalServerError","code":500}"#, "server", "broken"),
    (r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "server", "Overloaded"),
    (r#"data: {"type":"error","message":"broken"}"#, "server", "broken"),
    (r#"data: {"detail":"Not Found","status":404}"#, "refused", "Not Found"),
    (r#"data: {"detail":[{"loc":["body"],"msg":"field required"}]}"#, "server", "field required"),
    (r#"data: {"message":"no route","code":404}"#, "refused", "no route"),
    (r#"data: {"status":503,"title":"Service Unavailable"}"#, "server", "Service Unavailable"),
    (
        r#"data: {"choices":[{"delta":{"content":""},"finish_reason":"error","error":{"code":502,"message":"bad gateway"}}]}"#,
        "server",
        "bad gateway",
    ),
    ("event: error\ndata: {\"message\":\"slow down\",\"code\":429}", "rate_limited", "slow down"),
    ("event: error\ndata: out of memory", "server", "out of memory"),
    ("event: error\ndata: {\"choices\":[]}", "server", ""),
];

#[actix_web::test]
async fn an_error_of_any_form_is_recognized() {
    for (data, kind, text) in FAULTS {
        for stream in
            [events(&[data, DONE]), events(&[FIRST, SECOND, data, DONE]), events(&[FIRST, SECOND, STOP, data])]
        {
            let error = outcome(Dialect::OpenAi, streamed(&stream, 50), limits()).await;
            let error = error.err().unwrap_or_else(|| panic!("taken for a reply: {stream}"));
            assert_eq!(error.kind().as_str(), kind, "{data}: {error}");
            assert!(error.to_string().contains(text), "{data}: {error}");
        }
    }
}

#[actix_web::test]
async fn a_refusal_in_place_of_content_is_rejected() {
    for content in ["7", "true", "{\"type\":\"text\",\"text\":7}"] {
        let piece = format!(r#"data: {{"choices":[{{"delta":{{"content":{content}}}}}]}}"#);
        let error = outcome(Dialect::OpenAi, streamed(&events(&[&piece, DONE]), 50), limits()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "malformed", "{content}");
    }
}

fn anthropic(more: &str) -> String {
    let piece = |text: &str| Dialect::Anthropic.delta(text);
    let more = if more.is_empty() { String::new() } else { format!("{more}\n\n") };
    let end = Dialect::Anthropic.end("end_turn");
    format!("{more}{}{more}{}{more}{}{more}{end}", Dialect::Anthropic.begin(), piece("{\"title\":"), piece("\"T\"}"))
}

#[actix_web::test]
async fn irrelevant_fields_of_the_messages_api_are_ignored() {
    let usage = Some(Usage { input: 25, output: 15, cache_read: 7, cache_write: 3 });
    for more in [
        "data:",
        ": comment",
        "event: ping\ndata: {\"type\": \"ping\"}",
        "event: ping\ndata: ",
        "event: of_tomorrow\ndata: {\"type\":\"of_tomorrow\",\"x\":[1]}",
        "event: of_tomorrow\ndata: whatever",
        r#"data: {"type":"ping","ping":null}"#,
        r#"data: {"type":7}"#,
        "data: {}",
        r#"data: {"type":"message_start"}"#,
        r#"data: {"type":"message_start","message":null}"#,
        r#"data: {"type":"message_start","message":{"usage":null,"content":null,"id":7}}"#,
        r#"data: {"type":"message_start","message":{"usage":{}}}"#,
        r#"data: {"type":"message_start","message":{"usage":{"input_tokens":null,"output_tokens":"x"}}}"#,
        r#"data: {"type":"content_block_start"}"#,
        r#"data: {"type":"content_block_start","index":null,"content_block":{"type":"text","text":null}}"#,
        r#"data: {"type":"content_block_start","content_block":{"type":"tool_use","id":"x","input":{}}}"#,
        r#"data: {"type":"content_block_delta","delta":null}"#,
        r#"data: {"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"\ud83d"}}"#,
        r#"data: {"type":"content_block_delta","delta":{"type":"of_tomorrow","text":{"x":1}}}"#,
        r#"data: {"type":"content_block_delta","index":"zero","delta":{"type":"text_delta","text":""}}"#,
        r#"data: {"type":"content_block_stop"}"#,
        r#"data: {"type":"message_delta"}"#,
        r#"data: {"type":"message_delta","delta":null,"usage":null}"#,
        r#"data: {"type":"message_delta","delta":{"stop_reason":null},"usage":{}}"#,
        r#"data: {"type":"message_delta","delta":{"stop_reason":""},"usage":{"output_tokens":-3}}"#,
        r#"data: {"type":"message_delta","usage":{"input_tokens":0,"output_tokens":0}}"#,
        r#"data: {"type":"message_delta","delta":{"stop_reason":7},"usage":[]}"#,
    ] {
        assert_whole(Dialect::Anthropic, "between", &anthropic(more), usage).await;
    }
    // Events are known by their names, too.
    let named = anthropic("").replace(r#""type":"message_stop""#, "").replace(r#""type":"content_block_delta","#, "");
    assert_whole(Dialect::Anthropic, "named", &named, usage).await;
    let without_reason = anthropic("").replace("\"end_turn\"", "null");
    assert_whole(Dialect::Anthropic, "no reason", &without_reason, usage).await;
    let floats = anthropic("").replace("\"output_tokens\":15", "\"output_tokens\":15.0");
    assert_whole(Dialect::Anthropic, "floats", &floats, usage).await;
    let without_tokens = anthropic("").replace("\"usage\"", "\"unused\"");
    assert_whole(Dialect::Anthropic, "no tokens", &without_tokens, None).await;
}

#[actix_web::test]
async fn an_error_of_the_messages_api_of_any_form_is_recognized() {
    for (data, kind, text) in [
        (
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
            "server",
            "529",
        ),
        (
            r#"data: {"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#,
            "rate_limited",
            "slow down",
        ),
        (r#"data: {"type":"error","error":{"type":null,"message":"broken"}}"#, "server", "broken"),
        (r#"data: {"type":"error","error":{"message":"broken"}}"#, "server", "broken"),
        (r#"data: {"type":"error","error":null}"#, "server", ""),
        (r#"data: {"type":"error"}"#, "server", ""),
        (r#"data: {"error":{"type":"invalid_request_error","message":"too long"}}"#, "refused", "too long"),
        ("event: error\ndata: broken", "server", "broken"),
        (r#"data: {"error":"broken"}"#, "server", "broken"),
    ] {
        let stream = format!("{}{}{data}\n\n", Dialect::Anthropic.begin(), Dialect::Anthropic.delta("half"));
        let error = outcome(Dialect::Anthropic, streamed(&stream, 50), limits()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), kind, "{data}: {error}");
        assert!(error.to_string().contains(text), "{data}: {error}");
    }
}

#[actix_web::test]
async fn heads_are_bounded() {
    let endless =
        |line: &str| vec![Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Act::SendForEver(line.repeat(100).into())];
    for script in [
        endless("x-header: value\r\n"),
        endless("x-header-without-end-"),
        vec![Act::SendForEver(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())],
        vec![head(), Act::Send(b"5;".to_vec()), Act::SendForEver(vec![b'x'; 1_000])],
        vec![head(), chunk(FIRST), Act::Send(b"0\r\n".to_vec()), Act::SendForEver(b"trailer: x\r\n".to_vec())],
    ] {
        let hasty = ade::llm::Limits { total: std::time::Duration::from_secs(2), ..limits() };
        let error = outcome(Dialect::OpenAi, script, hasty).await.unwrap_err();
        assert!(["transport", "timeout"].contains(&error.kind().as_str()), "{error}");
    }
    let odd = "HTTP/1.1 200 OK\r\nx-odd: \u{1}\u{e4}\r\nx-fold: a\r\n b\r\ntransfer-encoding: chunked\r\n\r\n";
    let script = vec![Act::Send(odd.into()), chunk(&events(&[FIRST, SECOND, STOP])), last_chunk()];
    assert_eq!(outcome(Dialect::OpenAi, script, limits()).await.map(|reply| reply.content).as_deref(), Ok(TEXT));
}
