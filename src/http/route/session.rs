//! What a key is traded for: sessions of browsers, and tickets for streams.

use actix_web::http::header::{CacheControl, CacheDirective, SET_COOKIE};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::events;
use crate::access::Access;
use crate::access::book::{Admitted, Via};
use crate::access::secret::csrf_token;
use crate::access::shown::{SESSION_COOKIE, Shown, Texts};
use crate::domain::StreamId;
use crate::http::auth::KeyHolder;
use crate::http::contract::{self, Routes};
use crate::http::input::{self, Json};
use crate::http::paths;
use crate::http::peer::Client;
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::resource::session::{SessionResource, TicketResource};
use crate::http::sign_in::session_secret;
use crate::registry::RegistryHandle;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/session", |at| {
            at.post(sign_in, |op| {
                op.named("sign_in", "Trade a key for the cookie of a session.")
                    .notes("The key is that of the body, or of a header. Where sign-in is off nobody needs a session: 200.")
                    .may_take::<SignInBody>()
                    .answers::<SessionResource>(200, "Sign-in is off.")
                    .creates::<SessionResource>("The session; its cookie is in `Set-Cookie`.")
                    .tells(201, "Set-Cookie", contract::text(), "For browsers.")
                    .refuses(SIGN_IN)
                    .refuses(&[Code::NothingToTrade, Code::TooManySessions, Code::DatabaseUnavailable])
            })
            .delete(sign_out, |op| {
                op.named("sign_out", "End the session.").empty(204, "It has ended.").refuses(&[Code::NotFound])
            })
            .read(show, |op| {
                op.named("show_session", "Who the caller is.").answers::<SessionResource>(200, "The caller.")
            })
        })
        .at("/stream-tickets", |at| {
            at.post(ticket, |op| {
                op.named("create_stream_ticket", "Make a ticket for the events of one stream.")
                    .notes("For readers that can send neither a header nor a cookie: `?ticket=`.")
                    .takes::<TicketBody>()
                    .answers::<TicketResource>(201, "The ticket.")
                    .refuses(&[Code::NotFound, Code::NothingToTrade, Code::TooManySessions])
            })
        });
}

const SIGN_IN: &[Code] =
    &[Code::SignInRequired, Code::CredentialsRefused, Code::CsrfTokenRequired, Code::TicketElsewhere];

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = SignIn)]
#[serde(deny_unknown_fields, default)]
struct SignInBody {
    key: Option<String>,
}

/// Trades the key of the body, or of a header, for a cookie.
async fn sign_in(
    caller: Result<KeyHolder, Problem>,
    access: web::Data<Access>,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let SignInBody { key } = body.or_default()?;
    let key = key.map(SecretString::from);
    let admitted = match (&key, access.is_on()) {
        (Some(key), true) => access.admit(&of_body(key))?,
        _ => caller?.0,
    };
    if !access.is_on() {
        return Ok(HttpResponse::Ok().json(SessionResource::of(&admitted, None, &access)));
    }
    if admitted.via != Via::Key {
        return Err(Problem::new(Code::SignInRequired, "a session is made with a key"));
    }
    begin(admitted, &access, is_https(&request)).await
}

async fn begin(admitted: Admitted, access: &Access, is_https: bool) -> Result<HttpResponse, Problem> {
    let (secret, grant) = access.sign_in(&admitted.principal).await?;
    tracing::info!(caller = admitted.principal.identity(), name = admitted.principal.name, "signed in");
    let admitted = Admitted { via: Via::Session(grant.digest), ..admitted };
    let cookie = session_cookie(secret.expose_secret(), access.limits().total.as_secs(), is_https);
    let csrf = csrf_token(secret.expose_secret());
    let mut response = HttpResponse::Created();
    response.insert_header((SET_COOKIE, cookie)).insert_header(("Location", paths::SESSION));
    response.insert_header(CacheControl(vec![CacheDirective::NoStore]));
    Ok(response.json(SessionResource::of(&admitted, Some(csrf), access)))
}

fn of_body(key: &SecretString) -> Shown {
    Shown::of(&Texts { api_key: vec![Some(key.expose_secret())], ..Texts::default() })
}

/// Who the caller is, and what a page needs to make changes.
async fn show(
    KeyHolder(admitted): KeyHolder,
    _: NoQuery,
    access: web::Data<Access>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let csrf = match admitted.via {
        Via::Session(_) => session_secret(&request).map(csrf_token),
        Via::Key | Via::Ticket(_) => None,
    };
    let mut response = HttpResponse::Ok();
    response.insert_header(CacheControl(vec![CacheDirective::NoStore]));
    Ok(response.json(SessionResource::of(&admitted, csrf, &access)))
}

async fn sign_out(
    KeyHolder(admitted): KeyHolder,
    access: web::Data<Access>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let Via::Session(digest) = admitted.via else { return Err(Problem::not_found("the session")) };
    access.sign_out(digest).await?;
    tracing::info!(caller = admitted.principal.identity(), name = admitted.principal.name, "signed out");
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, session_cookie("", 0, is_https(&request)))).finish())
}

/// Scripts do not see it, and no other site makes a browser send it.
pub(super) fn session_cookie(value: &str, seconds: u64, is_https: bool) -> String {
    let secure = if is_https { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// By what the browser sees, a trusted proxy in between included.
fn is_https(request: &HttpRequest) -> bool {
    request.extensions().get::<Client>().is_some_and(|client| client.is_encrypted)
}

#[derive(Deserialize, ToSchema)]
#[schema(as = StreamTicketToMake)]
#[serde(deny_unknown_fields)]
struct TicketBody {
    /// The id of a run, a build, an execution or a workspace.
    #[schema(pattern = "^(run|build|exec|ws)_[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    stream: String,
}

/// For readers that cannot send a header or a cookie.
async fn ticket(
    KeyHolder(admitted): KeyHolder,
    access: web::Data<Access>,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let TicketBody { stream } = body.required()?;
    let stream = StreamId::parse(&stream)
        .ok_or_else(|| Problem::invalid("stream", "the id of a run, build, execution or workspace"))?;
    let found = events::find(&admitted.reader(), &registry, stream).await?;
    found.ok_or_else(|| Problem::not_found(format_args!("the stream {stream}")))?;
    let (secret, grant) = access.ticket(&admitted, stream).await?;
    let mut response = HttpResponse::Created();
    response.insert_header(CacheControl(vec![CacheDirective::NoStore]));
    Ok(response.json(TicketResource::of(&secret, stream, &grant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_seen_by_no_script_and_sent_by_no_other_site() {
        assert_eq!(
            session_cookie("ades_x", 60, false),
            "ade_session=ades_x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
        );
        assert!(session_cookie("ades_x", 60, true).ends_with("; Secure"));
        assert!(session_cookie("", 0, true).starts_with("ade_session=; Path=/; Max-Age=0;"));
    }
}
