//! What the routes of all kinds of work share: show, cancel, retry, and the answer to a create.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::events;
use crate::domain::StreamKind;
use crate::domain::build::Build;
use crate::domain::execution::Execution;
use crate::domain::principal::Principal;
use crate::domain::run::Run;
use crate::http::auth::{Operator, Viewer};
use crate::http::call::Call;
use crate::http::contract::{self, Routes, Segment};
use crate::http::input::{self, Json};
use crate::http::problem::{Code, Problem};
use crate::http::resource::AsResource;
use crate::http::{errors, paths};
use crate::registry::kind::{Creatable, WorkKind};
use crate::registry::{Created, RegistryHandle, RetryError};
use crate::store::StoreError;

type Registry = web::Data<RegistryHandle>;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Work with routes of its own.
pub trait Routed: WorkKind<Id: DeserializeOwned + Segment> + AsResource {
    const NOT_CANCELLABLE: Code;
    /// Why it may not be started anew, where it can be.
    const NOT_REPEATABLE: &[Code];

    /// The record, not behind anything that a reader of its stream has seen.
    async fn current(
        registry: &RegistryHandle,
        principal: &Principal,
        id: Self::Id,
    ) -> Result<Option<Self>, StoreError> {
        registry.show::<Self>(principal, id).await
    }
}

impl Routed for Run {
    const NOT_CANCELLABLE: Code = Code::RunNotCancellable;
    const NOT_REPEATABLE: &[Code] = &[Code::RunNotEnded, Code::InputRequired, Code::InputNotFound, Code::QueueFull];
}

impl Routed for Execution {
    const NOT_CANCELLABLE: Code = Code::ExecutionNotCancellable;
    const NOT_REPEATABLE: &[Code] = &[
        Code::ExecutionNotEnded,
        Code::ExecutionCompleted,
        Code::Gone,
        Code::ArchiveUnavailable,
        Code::ArchiveDamaged,
        Code::InvalidInput,
    ];
}

impl Routed for Build {
    const NOT_CANCELLABLE: Code = Code::BuildNotCancellable;
    const NOT_REPEATABLE: &[Code] = &[];

    async fn current(
        registry: &RegistryHandle,
        principal: &Principal,
        id: Self::Id,
    ) -> Result<Option<Self>, StoreError> {
        registry.build(principal, id).await
    }
}

/// `GET /{collection}/{id}` and `POST /{collection}/{id}/cancel`.
pub fn mount<W: Routed>(routes: &mut Routes) {
    let kind = W::KIND;
    routes
        .at(of_kind(kind, ""), |at| {
            at.read(show::<W>, move |op| {
                op.named(format!("show_{kind}"), format!("Show the {kind}."))
                    .notes("It is not behind anything that a reader of its stream has seen.")
                    .answers::<W::Resource<'static>>(200, "As it stands.")
            })
        })
        .at(of_kind(kind, "/cancel"), |at| {
            at.post(cancel::<W>, move |op| {
                op.named(format!("cancel_{kind}"), format!("Ask the {kind} to end."))
                    .may_take::<CancelBody>()
                    .answers::<W::Resource<'static>>(202, "It has been asked to end.")
                    .answers::<W::Resource<'static>>(200, "It has been cancelled before.")
                    .refuses(&[W::NOT_CANCELLABLE, Code::Draining])
            })
        });
}

/// `POST /{collection}/{id}/retry`
pub fn mount_retry<W: Routed + Creatable>(routes: &mut Routes)
where
    Problem: From<RetryError<W>>,
{
    let kind = W::KIND;
    routes.at(of_kind(kind, "/retry"), |at| {
        at.post(retry::<W>, move |op| {
            op.named(format!("retry_{kind}"), format!("Start the {kind} anew, once it has ended."))
                .may_take::<StreamBody>()
                .creates::<W::Resource<'static>>("What was started.")
                .or_its_stream()
                .repeatable()
                .refuses(CREATING)
                .refuses(W::NOT_REPEATABLE)
        })
    });
}

/// What may keep the log of work that has ended from being read.
pub const READING_LOGS: &[Code] = &[Code::Gone, Code::LogUnavailable, Code::ArchiveUnavailable, Code::ArchiveDamaged];

/// What may keep work from being started.
pub const CREATING: &[Code] = &[
    Code::SafeModeEnabled,
    Code::Draining,
    Code::LogUnavailable,
    Code::JournalUnavailable,
    Code::IdempotencyKeyReused,
];

fn of_kind(kind: StreamKind, rest: &str) -> String {
    format!("/{}/{{id}}{rest}", kind.facts().collection)
}

pub fn not_found(kind: StreamKind) -> Problem {
    Problem::not_found(format_args!("the {kind}"))
}

pub async fn find<W: Routed>(registry: &RegistryHandle, principal: &Principal, id: W::Id) -> Result<W, Problem> {
    W::current(registry, principal, id).await?.ok_or_else(|| not_found(W::KIND))
}

async fn show<W: Routed>(
    Viewer(principal): Viewer,
    registry: Registry,
    id: web::Path<W::Id>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(find::<W>(&registry, &principal, *id).await?.as_resource()))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = Cancellation)]
#[serde(deny_unknown_fields, default)]
struct CancelBody {
    #[schema(schema_with = contract::remark::<1000>)]
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

/// 202 when it took effect, 200 when there was nothing left to do.
async fn cancel<W: Routed>(
    Operator(principal): Operator,
    registry: Registry,
    id: web::Path<W::Id>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let reason = CancelBody::read(&body)?;
    let took_effect = registry.cancel::<W>(principal.clone(), *id, reason).await;
    let took_effect = took_effect.map_err(|error| errors::cancel(error, W::KIND, W::NOT_CANCELLABLE))?;
    let work = find::<W>(&registry, &principal, *id).await?;
    let mut response = if took_effect { HttpResponse::Accepted() } else { HttpResponse::Ok() };
    Ok(response.json(work.as_resource()))
}

/// A body that says nothing but how the answer is wanted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = Repetition)]
#[serde(deny_unknown_fields, default)]
struct StreamBody {
    stream: bool,
}

async fn retry<W: Routed + Creatable>(
    Call { caller: Operator(principal), registry, request }: Call,
    id: web::Path<W::Id>,
    body: Json,
) -> Result<HttpResponse, Problem>
where
    Problem: From<RetryError<W>>,
{
    let stream = input::stream_flag(&request)?;
    let body: StreamBody = body.or_default()?;
    let again = registry.retry::<W>(principal, *id, input::idempotency_key(&request)?).await?;
    respond_created(&registry, &request, again, stream || body.stream).await
}

/// The resource as it was created, now or under the same key before; or its stream from the beginning.
pub async fn respond_created<W: Routed>(
    registry: &RegistryHandle,
    request: &HttpRequest,
    Created { work, replayed }: Created<W>,
    stream: bool,
) -> Result<HttpResponse, Problem> {
    let mut answer = if stream {
        events::respond_created(registry, request, work.stream_key()).await?
    } else {
        HttpResponse::Created().insert_header(("Location", paths::work(work.id()))).json(work.as_resource())
    };
    if replayed {
        answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}
