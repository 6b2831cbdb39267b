//! The span of a request, from its head to that of its answer. A stream goes on after it, and has no span.

use tracing::field::Empty;
use tracing::{Level, Span};

use super::origin::{Given, Origin};
use super::{ERROR, TARGET};

/// Methods by the names that traces know; a client can make up any.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
const OTHER: &str = "_OTHER";

/// Begins the span of a request. What its route is called is asked only where somebody wants to know.
pub fn request(method: &str, route: impl FnOnce() -> Option<String>, request_id: &str, given: Given<'_>) -> Span {
    if !tracing::span_enabled!(target: TARGET, Level::INFO) {
        return Span::none();
    }
    let method = METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER);
    let route = route();
    let name = format!("{} {}", if method == OTHER { "HTTP" } else { method }, route.as_deref().unwrap_or_default());
    let span = tracing::info_span!(
        target: TARGET, parent: None, "http.request",
        "otel.name" = name.trim_end(), "otel.kind" = "server", "otel.status_code" = Empty,
        "http.request.method" = method, "http.route" = route, "http.response.status_code" = Empty,
        "error.type" = Empty, "ade.request.id" = request_id,
    );
    Origin::given(given).adopt(&span);
    span
}

/// How it was answered. What the caller has done wrong is no error of the service.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.record("otel.status_code", ERROR);
        span.record("error.type", status.to_string());
    }
}
