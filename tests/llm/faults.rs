//! What goes wrong with any provider, and what is then known.

use std::time::Duration;

use ade::llm::{Limits, Part, ProviderError, Request, Wait};
use futures_util::StreamExt as _;

use crate::support::{
    Act, DIALECTS, Dialect, KEY, Mock, answer, chunk, head, heard, last_chunk, limits, outcome, request, streamed,
};

#[actix_web::test]
async fn a_status_is_reported_with_the_providers_message() {
    let limited = |seconds| ProviderError::RateLimited {
        retry_after: Some(Duration::from_secs(seconds)),
        message: "slow down".to_owned(),
    };
    for dialect in DIALECTS {
        let body = dialect.refusal("some_error", "slow down");
        for (status, headers, expected) in [
            ("429 Too Many Requests", vec![("retry-after", "7")], limited(7)),
            (
                "529 Overloaded",
                vec![("retry-after", "3")],
                ProviderError::Server {
                    status: 529,
                    retry_after: Some(Duration::from_secs(3)),
                    message: "slow down".to_owned(),
                },
            ),
            (
                "500 Internal Server Error",
                vec![],
                ProviderError::Server { status: 500, retry_after: None, message: "slow down".to_owned() },
            ),
            ("400 Bad Request", vec![], ProviderError::Refused { status: 400, message: "slow down".to_owned() }),
            (
                "401 Unauthorized",
                vec![],
                ProviderError::Authentication { status: 401, message: "slow down".to_owned() },
            ),
        ] {
            let error = outcome(dialect, vec![answer(status, &headers, &body)], limits()).await.unwrap_err();
            assert_eq!(error, expected, "{dialect:?}");
        }
    }
}

#[actix_web::test]
async fn an_error_response_of_any_form_is_read_and_bounded() {
    for (status, body, expected) in [
        (
            "502 Bad Gateway",
            "<html>bad\n gateway</html>".to_owned(),
            "the provider failed (502): <html>bad gateway</html>",
        ),
        ("500 Internal Server Error", String::new(), "the provider failed (500): "),
        ("302 Found", "elsewhere".to_owned(), "the provider refused the request (302): elsewhere"),
    ] {
        let headers = [("location", "http://127.0.0.1:1/")];
        let error = outcome(Dialect::OpenAi, vec![answer(status, &headers, &body)], limits()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let endless = vec![
        Act::Send(b"HTTP/1.1 500 Internal Server Error\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()),
        Act::SendForEver(crate::support::chunk_bytes(&[b'x'; 1000])),
    ];
    let error = outcome(Dialect::Anthropic, endless, limits()).await.unwrap_err();
    assert!(error.to_string().len() < 1_000, "{error}");
}

#[actix_web::test]
async fn a_key_that_a_provider_echoes_is_redacted() {
    for dialect in DIALECTS {
        let body = dialect.refusal("authentication_error", &format!("Incorrect API key provided: {KEY}."));
        let error = outcome(dialect, vec![answer("401 Unauthorized", &[], &body)], limits()).await.unwrap_err();
        assert_eq!(error.to_string(), "the provider refused the key (401): Incorrect API key provided: ***.");
        assert!(!format!("{error:?}").contains(KEY));
    }
}

#[actix_web::test]
async fn a_key_truncated_with_its_sentence_is_redacted_too() {
    for before in (480..500).step_by(3) {
        let body = Dialect::OpenAi.refusal("authentication_error", &format!("{}{KEY}", "x".repeat(before)));
        let script = vec![answer("401 Unauthorized", &[], &body)];
        let error = outcome(Dialect::OpenAi, script, limits()).await.unwrap_err();
        assert!(!error.to_string().contains(&KEY[..2]), "{error}");
    }
}

#[actix_web::test]
async fn content_before_an_error_is_delivered_however_the_bytes_were_split() {
    for dialect in DIALECTS {
        let text = [dialect.begin(), &dialect.delta("half"), "data: hello\n\n"].concat();
        let mut told = Vec::new();
        for size in [7, text.len()] {
            let mock = Mock::start(vec![streamed(&text, size)]).await;
            told.push(heard(dialect.provider(&mock.address, limits()).call(request())).await);
        }
        let (parts, error) = &told[0];
        assert!(parts.contains(&Part::Delta("half".to_owned())), "{dialect:?} {parts:?}");
        assert_eq!(error.as_ref().map(|error| error.kind().as_str()), Some("malformed"), "{dialect:?}");
        assert_eq!(told[1], told[0], "{dialect:?}");
    }
}

#[actix_web::test]
async fn a_lost_connection_is_not_an_end() {
    for dialect in DIALECTS {
        let half = [dialect.begin(), &dialect.delta("half")].concat();
        for script in [
            vec![],
            vec![Act::Send(b"HTTP/1.1 200 OK\r\ntransfer-".to_vec())],
            vec![head()],
            vec![head(), last_chunk()],
            vec![head(), chunk(&half)],
            vec![head(), chunk(&half), last_chunk()],
            vec![head(), chunk(&half), Act::Send(b"ff\r\ndata: {\"cho".to_vec())],
        ] {
            let error = outcome(dialect, script, limits()).await.unwrap_err();
            assert_eq!(error.kind().as_str(), "transport", "{dialect:?} {error}");
        }
    }
}

#[actix_web::test]
async fn an_unreachable_server_is_a_lost_connection() {
    for dialect in DIALECTS {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let call = dialect.provider(&format!("http://{free}"), limits()).call(request());
        let error = ade::llm::complete(call, |_| {}).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "transport", "{error}");
    }
}

#[actix_web::test]
async fn silence_is_bounded_at_any_point() {
    let limit = Duration::from_millis(100);
    let hasty = Limits { idle: limit, ..limits() };
    for dialect in DIALECTS {
        for script in [
            vec![Act::Hold],
            vec![head(), Act::Hold],
            vec![head(), chunk(dialect.begin()), chunk(&dialect.delta("half")), Act::Hold],
        ] {
            let error = outcome(dialect, script, hasty).await.unwrap_err();
            assert_eq!(error, ProviderError::Timeout { wait: Wait::Idle, limit }, "{dialect:?}");
        }
    }
}

#[actix_web::test]
async fn an_endless_stream_is_bounded() {
    let limit = Duration::from_millis(200);
    let ping = Act::SendForEver(crate::support::chunk_bytes(b": still here\n\n"));
    for dialect in DIALECTS {
        let script = vec![head(), chunk(dialect.begin()), ping.clone()];
        let error = outcome(dialect, script.clone(), Limits { total: limit, ..limits() }).await.unwrap_err();
        assert_eq!(error, ProviderError::Timeout { wait: Wait::Total, limit }, "{dialect:?}");

        let mock = Mock::start(vec![script]).await;
        let hasty = Request { timeout: Some(limit), ..request() };
        let call = dialect.provider(&mock.address, limits()).call(hasty);
        let error = ade::llm::complete(call, |_| {}).await.unwrap_err();
        assert_eq!(error, ProviderError::Timeout { wait: Wait::Total, limit }, "{dialect:?}");
        mock.client_has_gone().await;
    }
}

#[actix_web::test]
async fn nonsense_is_reported_as_invalid() {
    for dialect in DIALECTS {
        for data in ["data: {\"type\":\n\n", "data: hello\n\n", "data: 7\n\n"] {
            let error = outcome(dialect, vec![head(), chunk(data), Act::Hold], limits()).await.unwrap_err();
            assert_eq!(error.kind().as_str(), "malformed", "{dialect:?} {data}");
        }
        let error = outcome(dialect, vec![Act::Send(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())], limits()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "transport", "{error}");
    }
}

#[actix_web::test]
async fn a_reply_is_bounded_by_its_content() {
    let small = Limits { reply_bytes: 1_000, ..limits() };
    let too_large = ProviderError::TooLarge { limit: 1_000 };
    for dialect in DIALECTS {
        let fits = "x".repeat(500);
        let reply = outcome(dialect, streamed(&dialect.stream(&[&fits, &fits]), 4_096), small).await.unwrap();
        assert_eq!(reply.content.len(), 1_000);
        let error = outcome(dialect, streamed(&dialect.stream(&[&fits, &fits, "x"]), 4_096), small).await.unwrap_err();
        assert_eq!(error, too_large);
        let error = outcome(
            dialect,
            vec![head(), Act::SendForEver(crate::support::chunk_bytes(dialect.delta(&fits).as_bytes()))],
            small,
        )
        .await;
        assert_eq!(error.unwrap_err(), too_large);
        // One line that never ends.
        let line = Act::SendForEver(crate::support::chunk_bytes(&[b'x'; 1_000]));
        assert_eq!(outcome(dialect, vec![head(), chunk("data: "), line], small).await.unwrap_err(), too_large);
    }
}

#[actix_web::test]
async fn a_reply_of_five_megabytes_is_accepted() {
    for dialect in DIALECTS {
        let megabyte = "x".repeat(1_000_000);
        let text = dialect.stream(&[megabyte.as_str(); 5]);
        let reply = outcome(dialect, streamed(&text, 60_000), limits()).await.unwrap();
        assert_eq!(reply.content.len(), 5_000_000);
    }
}

#[actix_web::test]
async fn a_dropped_call_closes_its_connection() {
    for dialect in DIALECTS {
        for script in [vec![Act::Hold], vec![head(), chunk(dialect.begin()), chunk(&dialect.delta("half")), Act::Hold]]
        {
            let is_answered = script.len() > 1;
            let mock = Mock::start(vec![script]).await;
            let mut call = dialect.provider(&mock.address, limits()).call(request());
            if is_answered {
                loop {
                    match call.next().await {
                        Some(Ok(Part::Delta(text))) if text == "half" => break,
                        Some(Ok(_)) => {}
                        end => panic!("{end:?}"),
                    }
                }
            } else {
                // Until the request is there, and no longer.
                while mock.seen().is_empty() {
                    let next = tokio::time::timeout(Duration::from_millis(5), call.next()).await;
                    assert!(next.is_err(), "{next:?}");
                }
            }
            drop(call);
            mock.client_has_gone().await;
        }
    }
}

#[actix_web::test]
async fn a_call_that_is_not_polled_sends_nothing() {
    let mock = Mock::start(vec![vec![Act::Hold]]).await;
    let call = Dialect::OpenAi.provider(&mock.address, limits()).call(request());
    drop(call);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(mock.seen().is_empty());
}
