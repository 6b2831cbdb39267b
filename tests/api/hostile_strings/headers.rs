//! Texts in headers.

use super::{Site, is_tried, texts};
use crate::support::{Request, json};

const NAMES: &[&str] = &[
    "X-Request-ID",
    "Idempotency-Key",
    "Last-Event-ID",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Range",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Origin",
    "Referer",
    "Cookie",
    "Authorization",
    "X-API-Key",
    "X-CSRF-Token",
    "Content-Type",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "User-Agent",
    "Upgrade",
    "Access-Control-Request-Method",
    "X-HTTP-Method-Override",
    "Content-Language",
    "TE",
    "Via",
];

/// A request id may be the caller's own.
fn is_request_id(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

#[test]
fn no_header_of_a_request_is_one_of_its_answer() {
    let site = Site::new();
    let document = site.app.upload(&site.project, "x.csv", b"0123456789");
    let requests = [
        Request::get(format!("{}/{document}/download", site.project.documents())),
        Request::get(format!("/api/v1/executions/{}/events", site.execution)),
        Request::post(site.project.runs()).body("application/json", "{}"),
        Request::new("PUT", "/api/v1/workflows/bystander").body("application/json", json!({"name": "x"}).to_string()),
        Request::new("OPTIONS", "/api/v1/workspaces"),
    ];
    // Ends of lines end a header, and nothing longer is a head.
    let is_value = |text: &&String| !text.contains(['\r', '\n']) && text.len() < 6_000;
    for (count, text) in texts().iter().filter(is_value).enumerate() {
        for (index, name) in NAMES.iter().enumerate() {
            let tried = requests.iter().enumerate().filter(|(number, _)| is_tried(count + index + number));
            for (_, request) in tried {
                let answer = site.app.send(&request.clone().header(name, text));
                assert!(answer.status() < 500, "{name} {text:?}: {answer}");
                let told =
                    answer.head.headers.iter().filter(|(_, value)| text.len() > 5 && value.contains(text.as_str()));
                let told: Vec<_> = told.filter(|(name, _)| name != "x-request-id" || !is_request_id(text)).collect();
                assert!(told.is_empty(), "{name} {text:?}: {answer}");
                for injected in ["set-cookie", "access-control-allow-origin", "location"] {
                    assert_eq!(answer.header(injected), None, "{name} {text:?}: {answer}");
                }
            }
        }
    }
    site.assert_untouched();
}
