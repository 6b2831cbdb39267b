//! What the routes of all kinds of work share: their small bodies, and the answers to create and cancel.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::events;
use crate::domain::StreamKey;
use crate::http::input::{self, Json};
use crate::http::problem::Problem;
use crate::registry::RegistryHandle;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CancelBody {
    reason: Option<String>,
}

impl CancelBody {
    /// Why, in the words of who cancels. It stays in the log and in the row.
    pub fn read(body: &Json) -> Result<Option<String>, Problem> {
        const LONGEST: usize = 1000;
        let Self { reason } = body.or_default()?;
        input::remark("reason", reason.as_deref(), LONGEST)?;
        Ok(reason)
    }
}

/// A body that says nothing but how the answer is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamBody {
    pub stream: bool,
}

/// Work that a request has made, now or under the same key before.
pub struct CreatedWork<R> {
    pub stream: StreamKey,
    pub location: String,
    pub resource: R,
    pub replayed: bool,
}

/// The resource as it was created, or its stream from the beginning.
pub async fn created<R: Serialize>(
    registry: &RegistryHandle,
    request: &HttpRequest,
    work: CreatedWork<R>,
    stream: bool,
) -> Result<HttpResponse, Problem> {
    let mut answer = if stream {
        events::respond_created(registry, request, work.stream).await?
    } else {
        HttpResponse::Created().insert_header(("Location", work.location)).json(work.resource)
    };
    if work.replayed {
        answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// The answer to a cancel: 202 when it took effect, 200 when there was nothing left to do.
pub fn cancelled(took_effect: bool, resource: Option<impl Serialize>, what: &str) -> Result<HttpResponse, Problem> {
    let resource = resource.ok_or_else(|| Problem::not_found(what))?;
    let mut response = if took_effect { HttpResponse::Accepted() } else { HttpResponse::Ok() };
    Ok(response.json(resource))
}
