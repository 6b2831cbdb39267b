//! Sign-in by a provider: away to it, and back. What a browser shows here is a page, where it asks for one.

use actix_web::http::header::{self, CacheControl, CacheDirective, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::session::session_cookie;
use crate::access::Access;
use crate::audit::AuditLog;
use crate::domain::principal::{Identity, Role, Scope};
use crate::http::audited::{self, audit_sign_in};
use crate::http::contract::{self, Routes};
use crate::http::paths;
use crate::http::problem::{Code, Problem};
use crate::http::problem_page;
use crate::http::query::{NoQuery, RawQuery};
use crate::oidc::{Callback, Finished, Oidc, ReturnTo};
use crate::store::KnownPerson;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/session/providers", |at| {
            at.read(providers, |op| {
                op.named("list_providers", "Who signs people in here, beside keys.")
                    .answers::<ProvidersResource>(200, "The providers; none where people sign in with keys alone.")
            })
        })
        .at("/session/oidc", |at| {
            at.visit(begin, |op| {
                op.named("begin_sign_in", "Send a browser to the provider.")
                    .query("return_to", contract::text(), ReturnTo::ALLOWED)
                    .empty(303, "To the provider.")
                    .tells(303, "Location", contract::text(), "Where the provider asks who it is.")
                    .tells(303, "Set-Cookie", contract::text(), "What the browser keeps of the attempt.")
                    .refuses(&[Code::OidcOff])
                    .refuses(PROVIDER)
            })
        })
        .at("/session/oidc/callback", |at| {
            at.visit(finish, |op| {
                op.named("finish_sign_in", "Where the provider sends a browser back to.")
                    .query("state", contract::text(), "Of the attempt.")
                    .query("code", contract::text(), "What the provider is asked with.")
                    .query("error", contract::text(), "In place of a code.")
                    .query("iss", contract::text(), "The provider.")
                    .empty(303, "Signed in, and back to where the browser came from.")
                    .tells(303, "Location", contract::text(), "The path that was to be returned to.")
                    .tells(303, "Set-Cookie", contract::text(), "The session.")
                    .refuses(&[Code::OidcOff, Code::SignInNotBegun, Code::SignInRefused, Code::NoGroup])
                    .refuses(&[Code::TooManySessions, Code::DatabaseUnavailable, Code::LogUnavailable])
                    .refuses(PROVIDER)
            })
        });
}

const PROVIDER: &[Code] = &[Code::ProviderUnavailable, Code::ProviderUntrusted];

#[derive(Serialize, ToSchema)]
#[schema(as = Providers)]
struct ProvidersResource<'a> {
    items: Vec<ProviderResource<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Provider)]
struct ProviderResource<'a> {
    /// What people call it.
    name: &'a str,
    /// Where a browser goes to be signed in; `return_to` says where it goes then.
    begin: &'static str,
}

/// No secret: a page asks this before it knows anybody.
async fn providers(oidc: Provider, _: NoQuery) -> HttpResponse {
    let items = oidc.iter().map(|oidc| ProviderResource { name: oidc.name(), begin: paths::OIDC });
    HttpResponse::Ok().json(ProvidersResource { items: items.collect() })
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
    let allowed = match allowed {
        None => of_member(access, &identity).await?,
        by_groups => by_groups,
    };
    let Some((role, workspaces)) = allowed else {
        return Err(denied(access, &identity, &name).await?);
    };
    let known = KnownPerson { name, role, workspaces };
    let (secret, grant, principal) = access.sign_in_person(&identity, &known, oidc.session_life()).await?;
    audit_sign_in(log, request, &principal).await;
    tracing::info!(issuer = identity.issuer, subject = identity.subject, name = principal.name, "signed in");
    let seconds = (grant.expires_at - grant.created_at).num_seconds().unsigned_abs();
    let cookie = session_cookie(secret.expose_secret(), seconds, oidc.is_https());
    Ok(away(return_to.as_str()).append_header((header::SET_COOKIE, cookie)).finish())
}

/// Who is in no group may be a member of something, and has nothing but that.
async fn of_member(access: &Access, identity: &Identity) -> Result<Option<(Role, Scope)>, Problem> {
    Ok(access.is_member(identity).await?.then(|| (Role::Viewer, Scope::Only(Vec::new()))))
}

async fn denied(access: &Access, identity: &Identity, name: &str) -> Result<Problem, Problem> {
    access.deny_person(identity, name).await?;
    let Identity { issuer, subject } = identity;
    tracing::info!(issuer, subject, "signed in by the provider, and in no group");
    let detail = format!("{name} is in no group that is let in here, and a member of nothing");
    Ok(Problem::new(Code::NoGroup, detail).with("subject", subject.as_str()))
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
