//! One file per resource: its routes, its handlers, and its JSON beside them.

pub mod health;
pub mod workspaces;
pub mod configurations;
pub mod documents;
pub mod runs;
pub mod run_results;
pub mod builds;
pub mod executions;
pub mod events;
pub mod safe_mode;
pub mod system;
pub mod workflow_documents;
pub mod telemetry;
pub mod workflows;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, web};
use serde::{Deserialize, Serialize};

use super::input::{self, Json};
use super::paths::API;
use super::problem::Problem;
use crate::domain::StreamKey;
use crate::registry::RegistryHandle;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Every route of the service.
pub fn mount(config: &mut web::ServiceConfig) {
    config.configure(health::mount).service(
        web::scope(API)
            .configure(workspaces::mount)
            .configure(configurations::mount)
            .configure(documents::mount)
            .configure(runs::mount)
            .configure(run_results::mount)
            .configure(builds::mount)
            .configure(executions::mount)
            .configure(events::mount)
            .configure(safe_mode::mount)
            .configure(system::mount)
            .configure(workflow_documents::mount)
            .configure(telemetry::mount)
            .configure(workflows::mount),
    );
}

/// Resources that can be read.
trait Read {
    /// `GET`, and `HEAD`, which is the same without a body.
    fn read<H, Args>(self, handler: H) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static;
}

impl Read for Resource {
    fn read<H, Args>(self, handler: H) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.route(web::get().to(handler.clone())).route(web::head().to(handler))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CancelBody {
    reason: Option<String>,
}

impl CancelBody {
    /// Why, in the words of who cancels. It stays in the log and in the row.
    fn read(body: &Json) -> Result<Option<String>, Problem> {
        const LONGEST: usize = 1000;
        let Self { reason } = body.or_default()?;
        input::remark("reason", reason.as_deref(), LONGEST)?;
        Ok(reason)
    }
}

/// A body that says nothing but how the answer is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StreamBody {
    stream: bool,
}

/// Work that a request has made, now or under the same key before.
struct CreatedWork<R> {
    stream: StreamKey,
    location: String,
    resource: R,
    replayed: bool,
}

/// The resource as it was created, or its stream from the beginning.
async fn created<R: Serialize>(
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
fn cancelled(took_effect: bool, resource: Option<impl Serialize>, what: &str) -> Result<HttpResponse, Problem> {
    let resource = resource.ok_or_else(|| Problem::not_found(what))?;
    let mut response = if took_effect { HttpResponse::Accepted() } else { HttpResponse::Ok() };
    Ok(response.json(resource))
}
