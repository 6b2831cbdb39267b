//! A problem for somebody who looks at it in a browser: the same, as a page.

use actix_web::http::header::{self, CacheControl, CacheDirective};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};

use crate::http::accept;
use crate::http::middleware::RequestId;
use crate::http::paths;
use crate::http::problem::Problem;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Page,
    Problem,
}

const OFFERS: [(&str, Form); 3] =
    [("application/problem+json", Form::Problem), ("application/json", Form::Problem), ("text/html", Form::Page)];

/// A problem becomes a page where the client prefers one.
pub fn or_page(request: &HttpRequest, outcome: Result<HttpResponse, Problem>) -> Result<HttpResponse, Problem> {
    outcome.or_else(|problem| match accept::preferred(request, &OFFERS) {
        Some(Form::Page) => Ok(page(request, &problem)),
        Some(Form::Problem) | None => Err(problem),
    })
}

/// The problem itself, for a handler that has more to say.
pub fn plain(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let extensions = request.extensions();
    let request_id = extensions.get::<RequestId>().map(|RequestId(id)| id.as_str());
    problem.render(Some(request.path()), request_id)
}

fn page(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let extensions = request.extensions();
    let request_id = extensions.get::<RequestId>().map_or("", |RequestId(id)| id.as_str());
    let (title, detail, advice) = (problem.code.title(), &problem.detail, problem.code.advice());
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
         <h1>{title}</h1>\n<p>{detail}</p>\n<p>{advice}</p>\n\
         <p><a href=\"{again}\">Sign in again</a></p>\n<p><small>{code} \u{b7} {request_id}</small></p>\n</html>\n",
        title = escaped(title),
        detail = escaped(detail),
        advice = escaped(advice),
        again = paths::OIDC,
        code = problem.code.as_str(),
        request_id = escaped(request_id),
    );
    let mut answer = HttpResponse::build(problem.code.status());
    answer.insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"));
    answer.insert_header(CacheControl(vec![CacheDirective::NoStore]));
    if let Some(seconds) = problem.retry_after {
        answer.insert_header((header::RETRY_AFTER, seconds));
    }
    answer.body(body)
}

/// A name that somebody has given themselves stays a text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;
    use crate::http::problem::Code;

    #[actix_web::test]
    async fn a_browser_gets_a_page_in_which_nothing_is_more_than_text() {
        let request = |accept: &str| TestRequest::get().insert_header(("accept", accept)).to_http_request();
        let problem = || Err(Problem::new(Code::NoGroup, "<script>\"'&</script>"));
        let browser = request("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        let page = or_page(&browser, problem()).unwrap();
        assert_eq!(page.status(), 403);
        assert_eq!(page.headers().get("content-type").unwrap(), "text/html; charset=utf-8");
        let body = to_bytes(page.into_body()).await.unwrap();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains("&lt;script&gt;&quot;&#39;&amp;&lt;/script&gt;") && !body.contains("<script"), "{body}");
        for accept in ["*/*", "application/json", "application/problem+json", ""] {
            assert_eq!(or_page(&request(accept), problem()).unwrap_err().code, Code::NoGroup, "{accept}");
        }
    }
}
