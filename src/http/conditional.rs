//! Conditional reads (RFC 9110, 13): a client that has the present version is not sent it again.
//!
//! Invariant: every answer to a read that has an `ETag` passes here, so that all of them mean the same by it.
//! `If-Match` wants the very same bytes, `If-None-Match` the same content.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, EntityTag, Header, HeaderMap, IfMatch, IfNoneMatch};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;

use super::problem::{Code, Problem};

/// Answers 304 or 412 in place of what the client does not want.
pub async fn conditions(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let conditions = Conditions::of(&request);
    let mut response = next.call(request).await?.map_into_boxed_body();
    if !matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Ok(response);
    }
    let Some(etag) = etag(response.headers()) else { return Ok(response) };
    match conditions.judge(&etag) {
        Verdict::Send => Ok(response),
        Verdict::NotModified => {
            *response.response_mut().status_mut() = StatusCode::NOT_MODIFIED;
            for name in
                [header::CONTENT_TYPE, header::CONTENT_RANGE, header::CONTENT_LENGTH, header::CONTENT_DISPOSITION]
            {
                response.headers_mut().remove(name);
            }
            Ok(response.map_body(|_, _| BoxBody::new(())))
        }
        Verdict::Failed => {
            let problem = Problem::new(Code::PreconditionFailed, format!("the current version is {etag}"));
            Err(problem.into())
        }
    }
}

fn etag(headers: &HeaderMap) -> Option<EntityTag> {
    headers.get(header::ETAG)?.to_str().ok()?.parse().ok()
}

/// What the client has said.
struct Conditions {
    matching: Option<IfMatch>,
    none_matching: Option<IfNoneMatch>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Send,
    NotModified,
    Failed,
}

impl Conditions {
    fn of(request: &ServiceRequest) -> Self {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        Self { matching: given(request, reads), none_matching: given(request, reads) }
    }

    fn judge(&self, etag: &EntityTag) -> Verdict {
        let matches = |wanted: &IfMatch| match wanted {
            IfMatch::Any => true,
            IfMatch::Items(tags) => tags.iter().any(|tag| tag.strong_eq(etag)),
        };
        let is_known = |known: &IfNoneMatch| match known {
            IfNoneMatch::Any => true,
            IfNoneMatch::Items(tags) => tags.iter().any(|tag| tag.weak_eq(etag)),
        };
        if self.matching.as_ref().is_some_and(|wanted| !matches(wanted)) {
            return Verdict::Failed;
        }
        if self.none_matching.as_ref().is_some_and(is_known) { Verdict::NotModified } else { Verdict::Send }
    }
}

/// A condition that cannot be read is none that holds: of no tag.
fn given<H: Header>(request: &ServiceRequest, reads: bool) -> Option<H> {
    (reads && request.headers().contains_key(H::name())).then(|| H::parse(request).ok()).flatten()
}

/// For [`super::fuzz`].
#[cfg(any(test, fuzzing))]
pub(super) fn try_conditions(request: &ServiceRequest) {
    let conditions = Conditions::of(request);
    let verdict = conditions.judge(&EntityTag::new_strong("a-1".into()));
    let is_asked = conditions.matching.is_some() || conditions.none_matching.is_some();
    assert!(is_asked || verdict == Verdict::Send);
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn judged(headers: &[(&'static str, &'static str)]) -> Verdict {
        let request = headers.iter().fold(TestRequest::get(), |request, header| request.append_header(*header));
        Conditions::of(&request.to_srv_request()).judge(&EntityTag::new_strong("a-1".into()))
    }

    #[test]
    fn conditions_are_judged_as_http_says() {
        use Verdict::{Failed, NotModified, Send};
        for (name, value, verdict) in [
            ("If-None-Match", "\"a-1\"", NotModified),
            ("If-None-Match", "W/\"a-1\"", NotModified),
            ("If-None-Match", "\"x\", W/\"a-1\" , \"y\"", NotModified),
            ("If-None-Match", "*", NotModified),
            ("If-None-Match", "\"a-2\"", Send),
            ("If-None-Match", "a-1", Send),
            ("If-None-Match", "", Send),
            ("If-Match", "\"a-1\"", Send),
            ("If-Match", "\"x\",\"a-1\"", Send),
            ("If-Match", "*", Send),
            ("If-Match", "W/\"a-1\"", Failed),
            ("If-Match", "\"a-2\"", Failed),
        ] {
            assert_eq!(judged(&[(name, value)]), verdict, "{name}: {value}");
        }
        assert_eq!(judged(&[]), Send);
        assert_eq!(judged(&[("If-None-Match", "\"x\""), ("If-None-Match", "\"a-1\"")]), NotModified);
        assert_eq!(judged(&[("If-Match", "\"x\""), ("If-None-Match", "\"a-1\"")]), Failed);
    }
}
