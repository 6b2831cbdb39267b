//! Servers that refuse a parameter that others ask for.

use ade::llm::{Part, ProviderError, Reply};
use serde_json::{Value, json};

use crate::support::{Act, Dialect, Mock, answer, chunk, head, heard, last_chunk, limits, request, streamed};

const DIALECT: Dialect = Dialect::OpenAi;

/// How servers refuse a parameter, which stands for `PARAMETER`.
const REFUSALS: [(&str, &str); 14] = [
    (
        "400 Bad Request",
        r#"{"error":{"message":"Unsupported parameter: 'PARAMETER' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"PARAMETER","code":"unsupported_parameter"}}"#,
    ),
    (
        "400 Bad Request",
        r#"{"error":{"message":"Unrecognized request argument supplied: PARAMETER","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    (
        "400 Bad Request",
        r#"{"error":{"code":"invalid_request","message":"1 validation error for Request\nbody -> PARAMETER\n  extra fields not permitted (type=value_error.extra)"}}"#,
    ),
    (
        "400 Bad Request",
        r#"{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'PARAMETER'), 'msg': 'Extra inputs are not permitted', 'input': 7}]","type":"BadRequestError","param":null,"code":400}"#,
    ),
    (
        "422 Unprocessable Entity",
        r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","PARAMETER"],"msg":"Extra inputs are not permitted","input":7}]},"type":"invalid_request_error","param":null,"code":null}"#,
    ),
    (
        "422 Unprocessable Entity",
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","PARAMETER"],"msg":"Extra inputs are not permitted"}]}"#,
    ),
    (
        "500 Internal Server Error",
        r#"{"error":{"code":500,"message":"Unsupported param: PARAMETER","type":"server_error"}}"#,
    ),
    (
        "400 Bad Request",
        r#"{"error":{"message":"json: unknown field \"PARAMETER\"","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    (
        "400 Bad Request",
        r#"{"error":{"message":"litellm.UnsupportedParamsError: vertex_ai does not support parameters: {'PARAMETER': 7}, for model=x. To drop these, set `litellm.drop_params=True`","type":"None","param":"None","code":"400"}}"#,
    ),
    (
        "400 Bad Request",
        r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"PARAMETER\": Cannot find field.","status":"INVALID_ARGUMENT"}}]"#,
    ),
    (
        "400 Bad Request",
        r#"{"error":{"message":"property 'PARAMETER' is unsupported","type":"invalid_request_error"}}"#,
    ),
    (
        "400 Bad Request",
        r#"{"error":{"message":"Unsupported parameter","type":"invalid_request_error","param":"PARAMETER","code":"unsupported_parameter"}}"#,
    ),
    ("400 Bad Request", "Unknown parameter: 'PARAMETER'."),
    ("501 Not Implemented", r#"{"error":"PARAMETER is not supported"}"#),
];

fn good() -> Vec<Act> {
    streamed(&DIALECT.stream(&["hello"]), 100)
}

/// Calls to one provider, one after the other.
async fn calls(mock: &Mock, count: usize) -> Vec<Result<Reply, ProviderError>> {
    let provider = DIALECT.provider(&mock.address, limits());
    let mut replies = Vec::new();
    for _ in 0..count {
        let (parts, error) = heard(provider.call(request())).await;
        replies.push(match (parts.into_iter().next_back(), error) {
            (_, Some(error)) => Err(error),
            (Some(Part::Reply(reply)), None) => Ok(reply),
            (last, None) => panic!("a call without an end: {last:?}"),
        });
    }
    replies
}

/// Which of the parameters that servers disagree about each request had.
fn sent(mock: &Mock) -> Vec<Vec<String>> {
    let known = ["stream_options", "max_tokens", "max_completion_tokens"];
    let of = |body: &Value| known.into_iter().filter(|name| body.get(name).is_some()).map(str::to_owned).collect();
    mock.seen().iter().map(|seen| of(&seen.body)).collect()
}

#[actix_web::test]
async fn rejected_parameters_are_dropped_or_renamed_and_remembered() {
    for (parameter, then) in
        [("stream_options", vec!["max_tokens"]), ("max_tokens", vec!["stream_options", "max_completion_tokens"])]
    {
        for (status, body) in REFUSALS {
            let body = body.replace("PARAMETER", parameter);
            let mock = Mock::start(vec![vec![answer(status, &[], &body)], good()]).await;
            let replies = calls(&mock, 2).await;
            assert!(
                replies.iter().all(|reply| reply.as_ref().is_ok_and(|reply| reply.content == "hello")),
                "{replies:?}\n{body}"
            );
            assert_eq!(sent(&mock), [vec!["stream_options", "max_tokens"], then.clone(), then.clone()], "{body}");
            assert_eq!(mock.seen()[1].body["model"], json!("a-model"));
        }
    }
}

#[actix_web::test]
async fn both_parameters_may_be_rejected_in_turn_or_at_once() {
    let refusal = |name: &str| vec![answer("400 Bad Request", &[], &format!("Unknown parameter: '{name}'."))];
    let mock = Mock::start(vec![refusal("stream_options"), refusal("max_tokens"), good()]).await;
    assert!(calls(&mock, 1).await[0].is_ok());
    let expected = [vec!["stream_options", "max_tokens"], vec!["max_tokens"], vec!["max_completion_tokens"]];
    assert_eq!(sent(&mock), expected);
    let mock = Mock::start(vec![refusal("stream_options', 'max_tokens"), good()]).await;
    assert!(calls(&mock, 1).await[0].is_ok());
    assert_eq!(sent(&mock)[1], ["max_completion_tokens"]);
}

#[actix_web::test]
async fn a_refusal_within_the_stream_is_recognized() {
    let event = r#"data: {"error":{"message":"Unknown parameter: 'stream_options'.","code":400}}"#;
    let refusal = vec![head(), chunk(&format!("{event}\n\n")), last_chunk()];
    let mock = Mock::start(vec![refusal, good()]).await;
    assert_eq!(calls(&mock, 1).await[0].as_ref().map(|reply| reply.content.as_str()), Ok("hello"));
    let late = vec![head(), chunk(&DIALECT.delta("half")), chunk(&format!("{event}\n\n"))];
    let mock = Mock::start(vec![late, good()]).await;
    assert_eq!(calls(&mock, 1).await[0].as_ref().unwrap_err().kind().as_str(), "refused", "something was told already");
}

#[actix_web::test]
async fn other_refusals_are_reported_at_once_and_none_is_retried_forever() {
    for body in [
        r#"{"error":{"message":"max_tokens is too large: 100000. This model supports at most 16384 completion tokens.","param":"max_tokens"}}"#,
        r#"{"error":{"message":"This model's maximum context length is 4096 tokens, however you requested 5000 (max_tokens)"}}"#,
        r#"{"error":{"message":"Unsupported parameter: 'temperature' is not supported with this model."}}"#,
        r#"{"error":{"message":"Unsupported parameter: 'max_tokens_to_sample'"}}"#,
        r#"{"error":{"message":"no such model"}}"#,
    ] {
        let mock = Mock::start(vec![vec![answer("400 Bad Request", &[], body)]]).await;
        assert_eq!(calls(&mock, 1).await[0].as_ref().unwrap_err().kind().as_str(), "refused");
        assert_eq!(mock.seen().len(), 1, "{body}");
    }
    // It knows neither name.
    let neither =
        r#"{"error":{"message":"Unknown parameters: 'max_tokens', 'max_completion_tokens', 'stream_options'"}}"#;
    let mock = Mock::start(vec![vec![answer("400 Bad Request", &[], neither)]]).await;
    assert_eq!(calls(&mock, 1).await[0].as_ref().unwrap_err().kind().as_str(), "refused");
    assert_eq!(mock.seen().len(), 2);
    for status in ["401 Unauthorized", "429 Too Many Requests"] {
        let mock = Mock::start(vec![vec![answer(status, &[], "Unknown parameter: 'stream_options'.")]]).await;
        calls(&mock, 1).await[0].as_ref().unwrap_err();
        assert_eq!(mock.seen().len(), 1, "{status}");
    }
}
