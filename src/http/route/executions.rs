//! Executions: create and list, their steps, and what a person says to them; what they share with other work is in `work`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::work::{self, READING_LOGS, find, respond_created};
use super::workspaces;
use crate::domain::call_prompt::CallPrompt;
use crate::domain::execution::Execution;
use crate::domain::list::{EXECUTIONS, Within};
use crate::domain::principal::Principal;
use crate::domain::progress::Decision;
use crate::domain::workflow_document::WorkScope;
use crate::domain::{CallId, ClarificationId, ExecutionId, WorkspaceId};
use crate::http::auth::{Operator, Viewer};
use crate::http::contract::{self, Operation, Routes};
use crate::http::input::{self, Json};
use crate::http::list as lists;
use crate::http::problem::{Code, Problem};
use crate::http::query::{NoQuery, RawQuery};
use crate::http::resource::AsResource as _;
use crate::http::resource::execution::{ExecutionResource, StepResource, steps_of};
use crate::http::route::workflow_documents::{MAX_BODY, MAX_SCOPE_ID, MAX_TYPE};
use crate::registry::{NewExecution, RegistryHandle};
use crate::workflow::user_input::{StepRef, UserInput};

type Registry = web::Data<RegistryHandle>;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/executions", |at| {
            at.body_limit(MAX_BODY)
                .post(create, |op| {
                    op.named("create_execution", "Start an execution of a workflow.")
                        .takes::<NewExecutionBody>()
                        .creates::<ExecutionResource>("The execution.")
                        .or_its_stream()
                        .repeatable()
                        .refuses(work::CREATING)
                        .refuses(&[Code::NotFound, Code::InvalidId, Code::InvalidInput])
                })
                .read(list, |op| {
                    op.named("list_executions", "List executions.")
                        .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                        .lists::<Execution>(&EXECUTIONS)
                })
        })
        .with(work::mount::<Execution>)
        .with(work::mount_retry::<Execution>)
        .at("/executions/{execution}/steps", |at| {
            at.read(steps, |op| {
                op.named("list_steps", "List the steps of an execution, each followed by its items.")
                    .answers_all::<StepResource>("In the order of the definition.")
                    .refuses(READING_LOGS)
            })
        })
        .at("/executions/{execution}/calls/{call}/prompt", |at| {
            at.read(prompt, |op| {
                op.named("show_call_prompt", "Show what a model was asked in a call.")
                    .notes("Of a call whose prompt is not kept there is none: of an earlier release, with `ADE_LLM_KEEP_PROMPTS=off`, or when its log is gone.")
                    .answers::<CallPrompt>(200, "The prompt, as it was sent.")
            })
        })
        .at("/executions/{execution}/steps/{step}/clarification", |at| {
            at.post(answer, |op| {
                says(op.named("answer_questions", "Answer the questions of a step."))
                    .takes::<AnswersBody>()
                    .refuses(&[Code::ClarificationAnswered, Code::InvalidAnswers])
            })
        })
        .at("/executions/{execution}/steps/{step}/acceptance", |at| {
            at.post(decide, |op| {
                says(op.named("decide_on_document", "Accept a document, or reject it."))
                    .takes::<DecisionBody>()
                    .refuses(&[Code::AcceptanceGiven, Code::NotAmongAccepters])
            })
        });
}

/// What a person says to an execution.
fn says(operation: Operation) -> Operation {
    let refused = operation.answers::<ExecutionResource>(200, "The execution.");
    refused.refuses(&[Code::NotWaiting, Code::Draining]).refuses(READING_LOGS)
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewExecution)]
#[serde(deny_unknown_fields)]
struct NewExecutionBody {
    /// Else the default workspace.
    #[schema(value_type = Option<WorkspaceId>)]
    workspace_id: Option<String>,
    workflow_id: String,
    #[schema(schema_with = contract::label::<64>)]
    scope_type: String,
    #[schema(schema_with = contract::label::<255>)]
    scope_id: String,
    /// Documents by their types.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: Map<String, Value>,
    #[serde(default)]
    stream: bool,
}

async fn create(
    Operator(principal): Operator,
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
    let new = NewExecution { workspace_id, workflow_id: body.workflow_id, scope, input: body.input };
    let new = registry.create::<Execution>(principal, new, key).await?;
    respond_created(&registry, &request, new, stream || body.stream).await
}

async fn list(Viewer(principal): Viewer, registry: Registry, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = RawQuery::read(&request)?;
    let named = query.take("workspace_id")?;
    let workspace_id = workspaces::named_or_default(&registry, &principal, named.as_deref()).await?;
    let (scope, within) = (workspaces::only(workspace_id), Within { workspace_id, ..Within::default() });
    lists::respond::<Execution>(registry.store(), &scope, &EXECUTIONS, within, query).await
}

/// Read from its log, so it is never behind an event that the client has seen.
async fn steps(
    Viewer(principal): Viewer,
    _: NoQuery,
    registry: Registry,
    id: web::Path<ExecutionId>,
) -> Result<HttpResponse, Problem> {
    let execution = find::<Execution>(&registry, &principal, *id).await?;
    let progress = registry.execution_progress(&execution).await?;
    let workflow_id = &execution.workflow_id;
    let definition =
        registry.store().workflow_definition(execution.workspace_id, workflow_id, execution.revision).await?;
    let ids = definition.as_ref().and_then(|definition| definition["steps"].as_array()).into_iter().flatten();
    let ids: Vec<&str> = ids.filter_map(|step| step["step_id"].as_str()).collect();
    Ok(HttpResponse::Ok().json(steps_of(&ids, &progress)))
}

/// As long as the execution's log is there.
async fn prompt(
    Viewer(principal): Viewer,
    _: NoQuery,
    registry: Registry,
    path: web::Path<(ExecutionId, CallId)>,
) -> Result<HttpResponse, Problem> {
    let execution = find::<Execution>(&registry, &principal, path.0).await?;
    let kept = registry.call_prompt(&execution, path.1).await.map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().json(kept.ok_or_else(|| Problem::not_found("the prompt of the call"))?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Answers)]
#[serde(deny_unknown_fields)]
struct AnswersBody {
    /// By the ids of the questions.
    #[schema(value_type = Object)]
    answers: Map<String, Value>,
    /// Of a step that runs once for each.
    item: Option<String>,
    #[schema(value_type = Option<ClarificationId>)]
    clarification_id: Option<String>,
}

async fn answer(
    Operator(principal): Operator,
    registry: Registry,
    path: web::Path<(ExecutionId, String)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let body: AnswersBody = body.required()?;
    let clarification_id: Option<ClarificationId> =
        body.clarification_id.as_deref().map(|text| input::id_at("clarification_id", text)).transpose()?;
    let to = StepRef { step_id: path.1.clone(), item: body.item, clarification_id };
    say(&registry, principal, path.0, to, UserInput::Answers(body.answers)).await
}

/// Characters of what a person says about a document.
const MAX_COMMENT: usize = 10_000;

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Decision)]
#[serde(deny_unknown_fields)]
struct DecisionBody {
    accepted: bool,
    #[schema(schema_with = contract::remark::<10_000>)]
    comment: Option<String>,
    /// Of a step that runs once for each.
    item: Option<String>,
}

async fn decide(
    Operator(principal): Operator,
    registry: Registry,
    path: web::Path<(ExecutionId, String)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let body: DecisionBody = body.required()?;
    input::remark("comment", body.comment.as_deref(), MAX_COMMENT)?;
    let to = StepRef { step_id: path.1.clone(), item: body.item, clarification_id: None };
    let decision = Decision { accepted: body.accepted, comment: body.comment };
    say(&registry, principal, path.0, to, UserInput::Decision(decision)).await
}

async fn say(
    registry: &RegistryHandle,
    principal: Principal,
    id: ExecutionId,
    to: StepRef,
    input: UserInput,
) -> Result<HttpResponse, Problem> {
    registry.say_to_execution(principal.clone(), id, to, input).await?;
    Ok(HttpResponse::Ok().json(find::<Execution>(registry, &principal, id).await?.as_resource()))
}
