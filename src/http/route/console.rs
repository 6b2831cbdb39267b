//! The web console: its page, at every path that the console gives one, and the files that the page loads.
//!
//! Invariant: a page is answered only to who prefers HTML to JSON, and only below [`console::SECTIONS`] and at `/`; so no
//! route of the interface is ever hidden by one, and a program is told 404 and not given a page.

use actix_web::guard::{self, Guard, GuardContext};
use actix_web::http::header::{self, Accept, AcceptEncoding, ContentEncoding, Encoding, Header as _, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};

use super::read::Read as _;
use crate::console::{self, ConsoleFile};
use crate::http::accept::preferred_of;

/// Scripts, styles and requests are the service's own, and nothing is written into the page itself.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Comes before the interface's own routes: its page is at `/` too.
pub fn mount(config: &mut web::ServiceConfig) {
    for path in console::paths() {
        config.service(web::resource(format!("/{path}")).read(asset));
    }
    let pages = console::SECTIONS.iter().flat_map(|section| [format!("/{section}"), format!("/{section}/{{rest:.*}}")]);
    let pages: Vec<_> = pages.chain(["/".to_owned()]).collect();
    config.service(web::resource(pages).guard(guard::fn_guard(prefers_page)).read(page));
}

fn prefers_page(context: &GuardContext<'_>) -> bool {
    let is_read = guard::Get().check(context) || guard::Head().check(context);
    let accept = || context.header::<Accept>();
    is_read
        && accept().and_then(|it| preferred_of(&it, &[("application/json", false), ("text/html", true)])) == Some(true)
}

async fn page(request: HttpRequest) -> HttpResponse {
    console::index().map_or_else(|| HttpResponse::NotFound().finish(), |file| answer(&request, file))
}

async fn asset(request: HttpRequest) -> HttpResponse {
    let path = request.path().trim_start_matches('/');
    console::file(path).map_or_else(|| HttpResponse::NotFound().finish(), |file| answer(&request, file))
}

fn answer(request: &HttpRequest, file: &'static ConsoleFile) -> HttpResponse {
    let caching = if file.never_changes { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(file.content_type)
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((OPENER_POLICY, "same-origin"))
        .insert_header((header::VARY, "accept, accept-encoding"));
    match file.compressed.as_deref().filter(|_| takes_gzip(request)) {
        // Two forms of one content are two representations: a range of one is none of the other.
        Some(compressed) => answer
            .insert_header(ContentEncoding::Gzip)
            .insert_header((header::ETAG, format!("\"{}-gzip\"", file.digest)))
            .body(compressed),
        None => answer.insert_header((header::ETAG, format!("\"{}\"", file.digest))).body(&*file.content),
    }
}

fn takes_gzip(request: &HttpRequest) -> bool {
    // Who says nothing takes whatever there is by the letter of HTTP, and in practice cannot unpack it.
    let named = request.headers().contains_key(header::ACCEPT_ENCODING);
    let accepted = AcceptEncoding::parse(request).ok().filter(|_| named);
    let offers = [Encoding::gzip(), Encoding::identity()];
    accepted.and_then(|accepted| accepted.negotiate(offers.iter())) == Some(Encoding::gzip())
}
