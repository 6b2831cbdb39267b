//! What every request passes: an id, a span, the loopback check, and one form for every error.
//!
//! Invariant: whatever fails behind these, a panic included, the caller gets a problem with the request's id
//! and the service keeps running. `server` wraps a request in all of these, outermost first: `push::hand_over`,
//! `peer::find_client`, `pace::close_unread`, `requests::count_request`, [`request_context`], `cors`, [`loopback_only`],
//! `target::one_host`, `sign_in::sign_in`, `limits::limit_rate`, `forward::forward`, `audited::audited`, `conditional::conditions`, `upgrade::without_upgrade`, `pace::bound_time`, `NormalizePath`.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{JsonPayloadError, PathError, QueryPayloadError};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError, web};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::accept::takes_plain_json;
use super::problem::{Code, FieldError, Problem};
use crate::trace::{self, Given};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_MAX: usize = 128;

/// Set on every answer that does not set them itself.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'")),
];

/// The id of this request, in its extensions: the caller's own when it is sane, else a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Whether the service is there for its own machine alone, and pages of which other origins may call it then.
pub struct LoopbackCheck {
    pub is_on: bool,
    pub origins: Vec<String>,
}

/// Gives the request its id and its span, catches panics, and turns every error into a problem.
pub async fn request_context(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let context = Context::of(&request);
    request.extensions_mut().insert(RequestId(context.request_id.clone()));
    let (span, traced) = (context.span(&request), context.traced(&request));
    let started = Instant::now();
    let result = AssertUnwindSafe(next.call(request)).catch_unwind().instrument(traced.clone());
    let result = result.instrument(span.clone()).await;
    let _entered = span.enter();
    let answer = match result {
        Ok(Ok(response)) => Ok(context.finish(response.map_into_boxed_body())),
        Ok(Err(error)) => Err(context.sealed(problem_of(&error))),
        Err(panic) => Err(context.sealed(problem_of_panic(&*panic))),
    };
    let status = match &answer {
        Ok(response) => response.status(),
        Err(sealed) => sealed.status_code(),
    };
    trace::answered(&traced, status.as_u16());
    tracing::debug!(status = status.as_u16(), duration_ms = started.elapsed().as_millis() as u64, "request answered");
    Ok(answer?)
}

/// Where nobody signs in, refuses what a page in the operator's browser could send: a `Host` that is not a loopback name (a foreign
/// name that was made to resolve to this machine), or an `Origin` that is neither this service nor in the list.
pub async fn loopback_only(
    check: web::Data<LoopbackCheck>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if check.is_on {
        check_caller(request.headers(), &check.origins)?;
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Errors of the extractors as problems, and a problem for a path that no route takes.
pub fn configure_errors(config: &mut web::ServiceConfig) {
    config
        .app_data(web::JsonConfig::default().error_handler(|error, _| json_problem(&error).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| query_problem(&error).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| path_problem(&error).into()))
        .default_service(web::to(no_route));
}

async fn no_route(request: HttpRequest) -> Problem {
    Problem::new(Code::NotFound, format!("no route for {} {}", request.method(), request.path()))
}

impl actix_web::Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::from_error(self)
    }
}

/// What an error answer needs of its request.
struct Context {
    request_id: String,
    path: String,
    /// The client takes JSON, and no problems.
    takes_plain_json: bool,
}

impl Context {
    fn of(request: &ServiceRequest) -> Self {
        let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = match given.filter(|id| is_sane(id)) {
            Some(id) => id.to_owned(),
            None => format!("req_{}", ulid::Ulid::generate()),
        };
        let takes_plain_json = takes_plain_json(request.request());
        Self { request_id, path: request.path().to_owned(), takes_plain_json }
    }

    fn span(&self, request: &ServiceRequest) -> tracing::Span {
        // The query is left out: it may carry tokens.
        tracing::info_span!("http.request", method = %request.method(), path = self.path, request_id = self.request_id)
    }

    /// Its path is left out too: only which route it has taken is told.
    fn traced(&self, request: &ServiceRequest) -> tracing::Span {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let given = Given { traceparent: header("traceparent"), tracestate: header("tracestate") };
        let route = || request.resource_map().match_pattern(self.path.trim_end_matches('/'));
        trace::request(request.method().as_str(), route, &self.request_id, given)
    }

    fn finish(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let mut response = match problem_in(response.response()) {
            Some(problem) => self.replace(response, &problem),
            None => response,
        };
        self.seal(response.headers_mut());
        response
    }

    /// The same answer as a problem; headers that describe the resource stay.
    fn replace(&self, response: ServiceResponse<BoxBody>, problem: &Problem) -> ServiceResponse<BoxBody> {
        let kept = [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            header::ALLOW,
            header::CONTENT_RANGE,
            header::ETAG,
            header::VARY,
            header::WWW_AUTHENTICATE,
        ];
        let kept = kept.map(|name| response.headers().get(&name).map(|value| (name.clone(), value.clone())));
        let mut answer = self.render(problem);
        for (name, value) in kept.into_iter().flatten() {
            answer.headers_mut().insert(name, value);
        }
        response.into_response(answer)
    }

    fn render(&self, problem: &Problem) -> HttpResponse {
        let mut answer = problem.render(Some(&self.path), Some(&self.request_id));
        if self.takes_plain_json {
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        answer
    }

    fn seal(&self, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        for (name, value) in SECURITY_HEADERS {
            if !headers.contains_key(&name) {
                headers.insert(name, value);
            }
        }
    }

    fn sealed(self, problem: Problem) -> Sealed {
        Sealed { problem, context: self }
    }
}

/// A problem whose request is gone: it knows by itself what [`Context::finish`] would have added.
struct Sealed {
    problem: Problem,
    context: Context,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.problem, f)
    }
}

impl std::fmt::Display for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.problem, f)
    }
}

impl ResponseError for Sealed {
    fn status_code(&self) -> StatusCode {
        self.problem.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = self.context.render(&self.problem);
        self.context.seal(answer.headers_mut());
        answer
    }
}

/// An id that may be echoed and logged as it is.
fn is_sane(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.bytes().all(plain)
}

/// The problem for an error response that is not a problem yet.
fn problem_in(response: &HttpResponse<BoxBody>) -> Option<Problem> {
    let status = response.status();
    if let Some(error) = response.error() {
        return Some(problem_of(error));
    }
    let is_error = status.is_client_error() || status.is_server_error();
    let is_empty = matches!(response.body().size(), BodySize::None | BodySize::Sized(0));
    (is_error && is_empty).then(|| {
        let code = Code::of_status(status);
        Problem::new(code, code.advice())
    })
}

fn problem_of(error: &Error) -> Problem {
    if let Some(problem) = error.as_error::<Problem>() {
        return problem.clone();
    }
    match Code::of_status(error.as_response_error().status_code()) {
        Code::Internal => Problem::internal(error),
        code => Problem::new(code, error.to_string()),
    }
}

fn problem_of_panic(panic: &(dyn std::any::Any + Send)) -> Problem {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format_args!("handler panicked: {}", text.unwrap_or("no message")))
}

fn check_caller(headers: &HeaderMap, origins: &[String]) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (host_name, host_port) = split_authority(host);
    if headers.get_all(header::HOST).count() != 1 || !is_loopback(host_name) {
        return Err(Problem::new(Code::HostNotAllowed, "the Host header is not a loopback address"));
    }
    let origin_is_own = |origin: &HeaderValue| {
        let authority = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")).unwrap_or_default();
        let (name, port) = split_authority(authority);
        is_loopback(name) && port == host_port
    };
    let is_listed = |origin: &HeaderValue| origins.iter().any(|listed| origin == listed.as_str());
    match headers.get_all(header::ORIGIN).all(|origin| origin_is_own(origin) || is_listed(origin)) {
        true => Ok(()),
        false => Err(Problem::new(Code::OriginNotAllowed, "the Origin header names another site")),
    }
}

/// Name and port of `name[:port]`; the port of plain HTTP when there is none, nothing for what is neither.
fn split_authority(authority: &str) -> (&str, Option<u16>) {
    let after_name = if authority.starts_with('[') {
        authority.find(']').map_or(authority.len(), |end| end + 1)
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    match authority.split_at(after_name) {
        (name, "") => (name, Some(80)),
        (name, rest) => match rest.strip_prefix(':').and_then(|port| port.parse().ok()) {
            Some(port) => (name, Some(port)),
            None => ("", None),
        },
    }
}

fn is_loopback(name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match address {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn json_problem(error: &JsonPayloadError) -> Problem {
    match error {
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            Problem::new(Code::PayloadTooLarge, error.to_string())
        }
        JsonPayloadError::ContentType => Problem::new(Code::UnsupportedMediaType, "the body must be application/json"),
        JsonPayloadError::Deserialize(cause) => {
            let field = field_error(&cause.to_string(), if cause.is_data() { "invalid_value" } else { "invalid_json" });
            Problem::new(Code::InvalidRequest, field.message.clone()).error(field)
        }
        other => Problem::new(Code::BadRequest, other.to_string()),
    }
}

/// A query that serde cannot read.
fn query_problem(error: &QueryPayloadError) -> Problem {
    let field = field_error(&error.to_string(), "invalid_value");
    Problem::new(Code::InvalidQuery, field.message.clone()).error(field)
}

/// What is typed in a path is an id.
fn path_problem(error: &PathError) -> Problem {
    let PathError::Deserialize(cause) = error else { return Problem::new(Code::InvalidId, error.to_string()) };
    Problem::new(Code::InvalidId, cause.to_string())
}

/// What serde says, as an entry of `errors`: it names an unknown or missing field between backticks.
fn field_error(message: &str, otherwise: &str) -> FieldError {
    let about = |phrase: &str| message.split_once(phrase).and_then(|(_, rest)| rest.split('`').next());
    match (about("unknown field `"), about("missing field `")) {
        (Some(name), _) => FieldError::new(name, "unknown_field", message),
        (_, Some(name)) => FieldError::new(name, "missing_field", message),
        _ => FieldError::new("", otherwise, message),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::body::to_bytes;
    use actix_web::dev::Service as _;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service};
    use serde_json::Value;

    use super::*;
    use crate::domain::RunId;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        name: String,
    }

    async fn by_number(id: web::Path<u32>) -> String {
        id.to_string()
    }

    async fn by_id(id: web::Path<RunId>) -> String {
        id.to_string()
    }

    async fn create(body: web::Json<Named>) -> String {
        body.into_inner().name
    }

    async fn search(query: web::Query<Named>) -> String {
        query.into_inner().name
    }

    async fn id_of(id: web::ReqData<RequestId>) -> String {
        id.into_inner().0
    }

    async fn broken() -> Result<String, Error> {
        Err(actix_web::error::ErrorInternalServerError("secret cause"))
    }

    async fn panicking() -> String {
        panic!("secret panic")
    }

    fn routes(config: &mut web::ServiceConfig) {
        configure_errors(config);
        // Resources, not bare routes: only a resource knows that another method would have been right.
        config
            .service(web::resource("/things/{id}").route(web::get().to(by_number)))
            .service(web::resource("/runs/{id}").route(web::get().to(by_id)))
            .service(web::resource("/things").route(web::post().to(create)))
            .service(web::resource("/search").route(web::get().to(search)))
            .service(web::resource("/id").route(web::get().to(id_of)))
            .service(web::resource("/broken").route(web::get().to(broken)))
            .service(web::resource("/panic").route(web::get().to(panicking)));
    }

    /// Status, headers and body of the whole chain's answer; text that is no JSON becomes a JSON string.
    async fn answer(request: TestRequest) -> (u16, HeaderMap, Value) {
        let check = LoopbackCheck { is_on: true, origins: vec!["https://app.example".into()] };
        let chain = App::new()
            .app_data(web::Data::new(check))
            .configure(routes)
            .wrap(from_fn(loopback_only))
            .wrap(from_fn(request_context));
        let service = init_service(chain).await;
        let answer = match service.call(request.to_request()).await {
            Ok(response) => response.into_parts().1,
            // What the server itself does with an error.
            Err(error) => error.error_response(),
        };
        let (head, body) = answer.into_parts();
        let body = to_bytes(body).await.unwrap();
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        (head.status().as_u16(), head.headers().clone(), serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    }

    fn get(path: &str) -> TestRequest {
        TestRequest::get().uri(path).insert_header(("host", "127.0.0.1:8000"))
    }

    fn post(body: &'static str) -> TestRequest {
        let request = TestRequest::post().uri("/things").insert_header(("host", "localhost"));
        request.insert_header(("content-type", "application/json")).set_payload(body)
    }

    #[actix_web::test]
    async fn every_error_is_a_problem_with_the_code_of_its_cause() {
        let cases = [
            (get("/nowhere"), 404, "not_found"),
            (TestRequest::delete().uri("/things").insert_header(("host", "[::1]:1")), 405, "method_not_allowed"),
            (get("/things/x"), 422, "invalid_id"),
            (get("/search?nam=x"), 400, "invalid_query"),
            (post("{"), 422, "invalid_request"),
            (post("{\"name\":1}"), 422, "invalid_request"),
            (post("{}").insert_header(("content-type", "text/plain")), 415, "unsupported_media_type"),
            (get("/broken"), 500, "internal"),
            (get("/panic"), 500, "internal"),
        ];
        for (request, status, code) in cases {
            let (seen, headers, body) = answer(request.insert_header(("x-request-id", "mine-1"))).await;
            assert_eq!((seen, body["code"].as_str()), (status, Some(code)), "{body}");
            assert_eq!(headers.get("content-type").unwrap(), "application/problem+json");
            let echoed = headers.get("x-request-id").unwrap().to_str().unwrap();
            assert_eq!((&body["request_id"], echoed), (&"mine-1".into(), "mine-1"));
            assert!(body["instance"].as_str().unwrap().starts_with('/') && headers.contains_key("x-frame-options"));
            assert!(!body.to_string().contains("secret"), "{body}");
        }
    }

    #[actix_web::test]
    async fn a_malformed_id_is_named_with_its_form() {
        let (status, _, body) = answer(get("/runs/run_x")).await;
        assert_eq!((status, body["code"].as_str()), (422, Some("invalid_id")));
        assert_eq!(body["detail"], "`run_x` is not an id of the form run_<26 characters>");
        assert_eq!((&body["instance"], &body["errors"]), (&"/runs/run_x".into(), &serde_json::json!([])));
    }

    #[actix_web::test]
    async fn a_wrong_body_names_the_field() {
        let (_, _, body) = answer(post("{\"name\":\"x\",\"colour\":1}")).await;
        assert_eq!(
            (&body["errors"][0]["path"], &body["errors"][0]["code"]),
            (&"colour".into(), &"unknown_field".into())
        );
        let (_, _, body) = answer(post("{}")).await;
        assert_eq!((&body["errors"][0]["path"], &body["errors"][0]["code"]), (&"name".into(), &"missing_field".into()));
    }

    #[actix_web::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let (_, headers, _) = answer(TestRequest::put().uri("/things").insert_header(("host", "localhost"))).await;
        assert_eq!(headers.get("allow").unwrap(), "POST");
    }

    #[actix_web::test]
    async fn the_handler_sees_the_request_id_and_an_insane_one_is_replaced() {
        let (status, headers, body) = answer(get("/id").insert_header(("x-request-id", "abc-1.2"))).await;
        assert_eq!((status, body), (200, Value::from("abc-1.2")));
        assert_eq!(headers.get("x-content-type-options").unwrap(), "nosniff");
        for insane in ["", "a b", "<script>", &"x".repeat(129)] {
            let (_, headers, body) = answer(get("/id").insert_header(("x-request-id", insane))).await;
            assert!(body.as_str().unwrap().starts_with("req_"), "{body}");
            assert_eq!(headers.get("x-request-id").unwrap().to_str().unwrap(), body);
        }
    }

    #[actix_web::test]
    async fn only_the_own_machine_and_the_own_pages_may_call() {
        let own = ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "127.8.8.8", "[::1]:9", "[::1]"];
        for host in own {
            assert_eq!(answer(TestRequest::get().uri("/id").insert_header(("host", host))).await.0, 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "0.0.0.0",
            "[::2]",
            "localhost:x",
            "",
        ] {
            let (status, _, body) = answer(TestRequest::get().uri("/id").insert_header(("host", host))).await;
            assert_eq!((status, &body["code"]), (403, &"host_not_allowed".into()), "{host}");
        }
        assert_eq!(answer(TestRequest::get().uri("/id")).await.0, 403, "no host at all");
        for origin in ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "https://app.example"] {
            assert_eq!(answer(get("/id").insert_header(("origin", origin))).await.0, 200, "{origin}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost:3000",
            "https://localhost:8000",
            "http://localhost.evil:8000",
            "",
        ] {
            let (status, _, body) = answer(get("/id").insert_header(("origin", origin))).await;
            assert_eq!((status, &body["code"]), (403, &"origin_not_allowed".into()), "{origin}");
        }
    }
}
