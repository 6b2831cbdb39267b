//! Executions: create, retry, show, list, cancel; and what a person says to them.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Read as _;
use super::{CancelBody, CreatedWork, StreamBody, cancelled, created, workspaces};
use crate::domain::execution::Execution;
use crate::domain::list::{EXECUTIONS, Within};
use crate::domain::money::MicroUsd;
use crate::domain::principal::Principal;
use crate::domain::progress::{Clarification, Decision, Progress, StepError, StepKey, StepState};
use crate::domain::question::Question;
use crate::domain::status::{ExecutionStatus, StepStatus};
use crate::domain::time;
use crate::domain::workflow_document::WorkScope;
use crate::domain::{ClarificationId, DocumentId, ExecutionId, WorkspaceId};
use crate::http::auth::Caller;
use crate::http::input::{self, Json};
use crate::http::problem::Problem;
use crate::http::query::{NoQuery, RawQuery};
use crate::http::route::workflow_documents::{MAX_BODY, MAX_SCOPE_ID, MAX_TYPE};
use crate::http::{list as lists, paths};
use crate::registry::{CreatedExecution, NewExecution, RegistryHandle};
use crate::workflow::person::{Address, Saying};

type Registry = web::Data<RegistryHandle>;

pub fn mount(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/executions")
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route(web::post().to(create))
                .read(list),
        )
        .service(web::resource("/executions/{execution}").read(show))
        .service(web::resource("/executions/{execution}/steps").read(steps))
        .service(web::resource("/executions/{execution}/cancel").route(web::post().to(cancel)))
        .service(web::resource("/executions/{execution}/retry").route(web::post().to(retry)))
        .service(web::resource("/executions/{execution}/steps/{step}/clarification").route(web::post().to(answer)))
        .service(web::resource("/executions/{execution}/steps/{step}/acceptance").route(web::post().to(decide)));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewExecutionBody {
    workspace_id: Option<String>,
    workflow_id: String,
    scope_type: String,
    scope_id: String,
    #[serde(default)]
    input: Map<String, Value>,
    #[serde(default)]
    stream: bool,
}

async fn create(
    Caller(principal): Caller,
    registry: Registry,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let stream = input::stream_flag(&request)?;
    let key = input::idempotency_key(&request)?;
    let body: NewExecutionBody = body.required()?;
    input::label("scope_type", &body.scope_type, MAX_TYPE)?;
    input::label("scope_id", &body.scope_id, MAX_SCOPE_ID)?;
    if let Some((document_type, _)) = body.input.iter().find(|(_, content)| content.is_null()) {
        return Err(Problem::invalid(format!("input.{document_type}"), "any JSON but null"));
    }
    let named = body.workspace_id.as_deref();
    let workspace_id = workspaces::holding("the workflow", &registry, &principal, named).await?;
    let scope = WorkScope { scope_type: body.scope_type, scope_id: body.scope_id };
    let new = NewExecution { workspace_id, workflow_id: body.workflow_id, scope, input: body.input, key };
    let new = registry.create_execution(principal, new).await?;
    respond_created(&registry, &request, new, stream || body.stream).await
}

async fn retry(
    Caller(principal): Caller,
    registry: Registry,
    id: web::Path<ExecutionId>,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let stream = input::stream_flag(&request)?;
    let body: StreamBody = body.or_default()?;
    let again = registry.retry_execution(principal, *id, input::idempotency_key(&request)?).await?;
    respond_created(&registry, &request, again, stream || body.stream).await
}

async fn respond_created(
    registry: &RegistryHandle,
    request: &HttpRequest,
    CreatedExecution { execution, replayed }: CreatedExecution,
    stream: bool,
) -> Result<HttpResponse, Problem> {
    let (location, resource) = (paths::execution(execution.id), resource(&execution));
    created(registry, request, CreatedWork { stream: execution.stream_key(), location, resource, replayed }, stream)
        .await
}

async fn list(Caller(principal): Caller, registry: Registry, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = RawQuery::read(&request)?;
    let named = query.take("workspace_id")?;
    let workspace_id = workspaces::named_or_default(&registry, &principal, named.as_deref()).await?;
    let (scope, within) = (workspaces::only(workspace_id), Within { workspace_id, ..Within::default() });
    lists::respond(registry.store(), &scope, &EXECUTIONS, within, query, resource).await
}

async fn show(
    Caller(principal): Caller,
    registry: Registry,
    id: web::Path<ExecutionId>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(resource(&find(&registry, &principal, *id).await?)))
}

async fn find(registry: &RegistryHandle, principal: &Principal, id: ExecutionId) -> Result<Execution, Problem> {
    registry.execution(principal, id).await?.ok_or_else(|| Problem::not_found("the execution"))
}

/// By its log, so also right after what an event told.
async fn steps(
    Caller(principal): Caller,
    _: NoQuery,
    registry: Registry,
    id: web::Path<ExecutionId>,
) -> Result<HttpResponse, Problem> {
    let execution = find(&registry, &principal, *id).await?;
    let progress = registry.execution_progress(&execution).await?;
    let workflow_id = &execution.workflow_id;
    let definition =
        registry.store().workflow_definition(execution.workspace_id, workflow_id, execution.revision).await?;
    let ids = definition.as_ref().and_then(|definition| definition["steps"].as_array()).into_iter().flatten();
    let ids: Vec<&str> = ids.filter_map(|step| step["step_id"].as_str()).collect();
    Ok(HttpResponse::Ok().json(steps_of(&ids, &progress)))
}

/// In the order of the definition, each followed by its items. One that has not begun is pending.
fn steps_of<'a>(ids: &[&'a str], progress: &'a Progress) -> Vec<StepResource<'a>> {
    let mut steps = Vec::new();
    for id in ids {
        let key = StepKey::step(*id);
        let begun = progress.step(&key);
        steps.push(begun.map_or_else(|| StepResource::unbegun(&key), |state| StepResource::of(&key, state)));
        let order = |key: &StepKey| {
            let items = begun.and_then(|state| state.items.as_ref()).into_iter().flatten();
            items.into_iter().position(|item| Some(item) == key.item.as_ref())
        };
        let mut items: Vec<_> = progress.begun_items(id).collect();
        items.sort_by_key(|(key, _)| order(key));
        steps.extend(items.into_iter().map(|(key, state)| StepResource::of(key, state)));
    }
    steps
}

async fn cancel(
    Caller(principal): Caller,
    registry: Registry,
    id: web::Path<ExecutionId>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let reason = CancelBody::read(&body)?;
    let took_effect = registry.cancel_execution(principal.clone(), id, reason).await?;
    let execution = registry.execution(&principal, id).await?;
    cancelled(took_effect, execution.as_ref().map(resource), "the execution")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswersBody {
    answers: Map<String, Value>,
    item: Option<String>,
    clarification_id: Option<String>,
}

async fn answer(
    Caller(principal): Caller,
    registry: Registry,
    path: web::Path<(ExecutionId, String)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let body: AnswersBody = body.required()?;
    let clarification_id: Option<ClarificationId> = body.clarification_id.as_deref().map(input::id).transpose()?;
    let to = Address { step_id: path.1.clone(), item: body.item, clarification_id };
    say(&registry, principal, path.0, to, Saying::Answers(body.answers)).await
}

/// Characters of what a person says about a document.
const MAX_COMMENT: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionBody {
    accepted: bool,
    comment: Option<String>,
    item: Option<String>,
}

async fn decide(
    Caller(principal): Caller,
    registry: Registry,
    path: web::Path<(ExecutionId, String)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let body: DecisionBody = body.required()?;
    input::remark("comment", body.comment.as_deref(), MAX_COMMENT)?;
    let to = Address { step_id: path.1.clone(), item: body.item, clarification_id: None };
    let decision = Decision { accepted: body.accepted, comment: body.comment };
    say(&registry, principal, path.0, to, Saying::Decision(decision)).await
}

async fn say(
    registry: &RegistryHandle,
    principal: Principal,
    id: ExecutionId,
    to: Address,
    saying: Saying,
) -> Result<HttpResponse, Problem> {
    registry.say_to_execution(principal.clone(), id, to, saying).await?;
    Ok(HttpResponse::Ok().json(resource(&find(registry, &principal, id).await?)))
}

/// The row as it stands, without waiting for a log that is further on.
#[derive(Serialize)]
struct ExecutionResource<'a> {
    execution_id: ExecutionId,
    object: &'static str,
    workspace_id: WorkspaceId,
    workflow_id: &'a str,
    revision: u64,
    scope_type: &'a str,
    scope_id: &'a str,
    status: ExecutionStatus,
    retry_of_execution_id: Option<ExecutionId>,
    current_steps: &'a [String],
    pending: &'a Value,
    failure: Option<&'a Value>,
    totals: &'a Value,
    log_degraded: bool,
    last_sequence: u64,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    created_by: &'a str,
    links: Value,
}

fn resource(execution: &Execution) -> Value {
    let state = &execution.state;
    let resource = ExecutionResource {
        execution_id: execution.id,
        object: "ade.execution",
        workspace_id: execution.workspace_id,
        workflow_id: &execution.workflow_id,
        revision: execution.revision,
        scope_type: &execution.scope.scope_type,
        scope_id: &execution.scope.scope_id,
        status: state.status,
        retry_of_execution_id: execution.retry_of_execution_id,
        current_steps: &state.current_steps,
        pending: &state.pending,
        failure: state.failure.as_ref(),
        totals: &state.totals,
        log_degraded: execution.log_degraded,
        last_sequence: execution.last_sequence,
        created_at: time::format(execution.created_at),
        started_at: state.started_at.map(time::format),
        completed_at: state.completed_at.map(time::format),
        created_by: &execution.created_by,
        links: links(execution.id),
    };
    serde_json::to_value(resource).expect("a resource of plain values serialises")
}

fn links(id: ExecutionId) -> Value {
    let own = paths::execution(id);
    json!({
        "self": own, "steps": format!("{own}/steps"), "events": format!("{own}/events"),
        "events_stream": format!("{own}/events/stream"), "events_download": format!("{own}/events/download"),
        "cancel": format!("{own}/cancel"), "retry": format!("{own}/retry"),
        "costs": paths::execution_costs(id),
    })
}

/// A step, or one item of it.
#[derive(Serialize)]
struct StepResource<'a> {
    step_id: String,
    item: Option<String>,
    status: StepStatus,
    attempt: u32,
    /// An earlier execution has completed it.
    kept: bool,
    started_at: Option<String>,
    completed_at: Option<String>,
    document_id: Option<DocumentId>,
    version: Option<u64>,
    clarification: Option<ClarificationResource<'a>>,
    error: Option<&'a StepError>,
    cost_usd: MicroUsd,
}

/// The last questions that it asked.
#[derive(Serialize)]
struct ClarificationResource<'a> {
    clarification_id: ClarificationId,
    questions: &'a [Question],
    deadline: Option<String>,
    answers: Option<&'a Map<String, Value>>,
}

impl<'a> StepResource<'a> {
    fn unbegun(key: &StepKey) -> Self {
        Self {
            step_id: key.step_id.clone(),
            item: key.item.clone(),
            status: StepStatus::Pending,
            attempt: 0,
            kept: false,
            started_at: None,
            completed_at: None,
            document_id: None,
            version: None,
            clarification: None,
            error: None,
            cost_usd: MicroUsd::default(),
        }
    }

    fn of(key: &StepKey, state: &'a StepState) -> Self {
        let document = state.document.as_ref().map(|product| &product.document);
        Self {
            status: state.status,
            attempt: state.attempt,
            kept: state.kept,
            started_at: state.started_at.map(time::format),
            completed_at: state.completed_at.map(time::format),
            document_id: document.map(|document| document.document_id),
            version: document.map(|document| document.version),
            clarification: state.clarifications.last().map(clarification),
            error: state.error.as_ref(),
            cost_usd: state.totals.cost_usd,
            ..Self::unbegun(key)
        }
    }
}

fn clarification(asked: &Clarification) -> ClarificationResource<'_> {
    ClarificationResource {
        clarification_id: asked.clarification_id,
        questions: &asked.questions,
        deadline: asked.deadline.map(time::format),
        answers: asked.answers.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_the_order_of_the_definition() {
        let mut progress = Progress::default();
        let container = StepState { items: Some(vec!["b".into(), "a".into()]), ..StepState::default() };
        progress.steps.insert(StepKey::step("each"), container);
        for item in ["a", "b"] {
            progress.steps.insert(StepKey::item("each", item), StepState { attempt: 1, ..StepState::default() });
        }
        let told = steps_of(&["z", "each"], &progress);
        let told: Vec<_> =
            told.iter().map(|step| (step.step_id.as_str(), step.item.as_deref(), step.attempt)).collect();
        assert_eq!(told, [("z", None, 0), ("each", None, 0), ("each", Some("b"), 1), ("each", Some("a"), 1)]);
    }
}
