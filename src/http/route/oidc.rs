//! Sign-in by a provider: away to it, and back. What a browser shows here is a page, where it asks for one.

use actix_web::http::header::{self, CacheControl, CacheDirective, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret as _;

use super::session::session_cookie;
use crate::access::Access;
use crate::audit::AuditLog;
use crate::http::audited::{self, audit_sign_in};
use crate::http::problem::{Code, Problem};
use crate::http::problem_page;
use crate::http::query::RawQuery;
use crate::oidc::{Callback, Finished, Oidc, ReturnTo};
use crate::store::KnownPerson;

/// Not `HEAD`: each of these does something.
pub fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/session/oidc").route(web::get().to(begin)))
        .service(web::resource("/session/oidc/callback").route(web::get().to(finish)));
}

/// Who signs people in, if anybody does.
pub type Provider = web::Data<Option<Oidc>>;

fn provider(oidc: &Provider) -> Result<&Oidc, Problem> {
    oidc.as_ref().as_ref().ok_or_else(|| Problem::new(Code::OidcOff, Code::OidcOff.title()))
}

/// Sends the browser to the provider.
async fn begin(oidc: Provider, request: HttpRequest) -> Result<HttpResponse, Problem> {
    problem_page::or_page(&request, begun(&oidc, &request).await)
}

async fn begun(oidc: &Provider, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let oidc = provider(oidc)?;
    let mut query = RawQuery::read(request)?;
    let return_to = match query.take("return_to")? {
        Some(path) => ReturnTo::parse(&path).ok_or_else(|| Problem::invalid_query("return_to", ReturnTo::ALLOWED))?,
        None => ReturnTo::root(),
    };
    query.finish("return_to")?;
    let begun = oidc.begin(return_to).await?;
    let cookie = attempt_cookie(oidc, &begun.cookie, ATTEMPT_SECONDS);
    Ok(away(&begun.url).append_header((header::SET_COOKIE, cookie)).finish())
}

/// Takes the browser back, signed in.
async fn finish(
    oidc: Provider,
    access: web::Data<Access>,
    log: web::Data<AuditLog>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let finished = finished(&oidc, &access, &log, &request).await;
    let mut answer =
        problem_page::or_page(&request, finished).unwrap_or_else(|problem| problem_page::plain(&request, &problem));
    if let Some(oidc) = oidc.as_ref() {
        // Used up, whatever has come of it.
        let over = HeaderValue::from_str(&attempt_cookie(oidc, "", 0)).map_err(Problem::internal)?;
        answer.headers_mut().append(header::SET_COOKIE, over);
    }
    Ok(answer)
}

async fn finished(
    oidc: &Provider,
    access: &Access,
    log: &AuditLog,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    let oidc = provider(oidc)?;
    let callback = callback(request)?;
    audited::ready(log).await?;
    let attempt = attempt_of(oidc, request);
    let Finished { identity, name, allowed, return_to } = oidc.finish(attempt.as_deref(), callback).await?;
    let Some((role, workspaces)) = allowed else {
        access.deny_person(&identity).await?;
        tracing::info!(
            issuer = identity.issuer,
            subject = identity.subject,
            "signed in by the provider, and in no group"
        );
        let detail = format!("{name} is in no group that is let in here");
        return Err(Problem::new(Code::NoGroup, detail).with("subject", identity.subject));
    };
    let known = KnownPerson { name, role, workspaces };
    let (secret, grant, principal) = access.sign_in_person(&identity, &known, oidc.session_life()).await?;
    audit_sign_in(log, request, &principal).await;
    tracing::info!(issuer = identity.issuer, subject = identity.subject, name = principal.name, "signed in");
    let seconds = (grant.expires_at - grant.created_at).num_seconds().unsigned_abs();
    let cookie = session_cookie(secret.expose_secret(), seconds, oidc.is_https());
    Ok(away(return_to.as_str()).append_header((header::SET_COOKIE, cookie)).finish())
}

/// What else the provider sends is its own affair.
fn callback(request: &HttpRequest) -> Result<Callback, Problem> {
    let mut query = RawQuery::read(request)?;
    Ok(Callback {
        state: query.take("state")?,
        code: query.take("code")?,
        error: query.take("error")?,
        issuer: query.take("iss")?,
    })
}

fn away(to: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((header::LOCATION, to)).insert_header(CacheControl(vec![CacheDirective::NoStore]));
    answer
}

const ATTEMPT_SECONDS: u64 = 600;

/// A browser takes a name that begins so by TLS only, and from this host alone.
fn attempt_name(oidc: &Oidc) -> &'static str {
    if oidc.is_https() { "__Host-ade_oidc" } else { "ade_oidc" }
}

/// `Lax`, or it would not come along when the provider sends the browser back.
fn attempt_cookie(oidc: &Oidc, value: &str, seconds: u64) -> String {
    let secure = if oidc.is_https() { "; Secure" } else { "" };
    let name = attempt_name(oidc);
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// Of two, none is this browser's for sure.
fn attempt_of(oidc: &Oidc, request: &HttpRequest) -> Option<String> {
    let texts = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(name, _)| *name == attempt_name(oidc)).map(|(_, value)| value.to_owned());
    own.next().filter(|_| own.next().is_none())
}
