//! Workflows: definitions in, revisions out.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::workspaces;
use crate::domain::WorkspaceId;
use crate::domain::principal::Principal;
use crate::domain::workflow::{NewWorkflow, StoredWorkflow};
use crate::http::auth::{Operator, Viewer};
use crate::http::call::Call;
use crate::http::contract::{self, Operation, Routes};
use crate::http::input::{self, Json};
use crate::http::problem::{Code, Problem};
use crate::http::resource::workflow::{WorkflowList, WorkflowResource};
use crate::http::respond::tagged::tagged;
use crate::http::{errors, paths};
use crate::registry::RegistryHandle;
use crate::workflow::written::checked;

type Registry = web::Data<RegistryHandle>;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/workflows", |at| {
            at.post(create, |op| {
                defines(op.named("create_workflow", "Store a workflow."))
                    .creates::<WorkflowResource>("The workflow.")
                    .tagged(201)
                    .refuses(&[Code::WorkflowExists])
            })
            .read(list, |op| {
                op.named("list_workflows", "List the workflows of a workspace.")
                    .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                    .answers::<WorkflowList>(200, "All of them.")
            })
        })
        .at("/workflows/{workflow}", |at| {
            at.put(replace, |op| {
                defines(op.named("replace_workflow", "Store the next revision, if the caller knows the present one."))
                    .of_version()
                    .answers::<WorkflowResource>(200, "The new revision.")
                    .tagged(200)
            })
            .delete(delete, |op| {
                op.named("delete_workflow", "Delete a workflow that no execution is going through.")
                    .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                    .empty(204, "It is gone.")
                    .refuses(&[Code::WorkflowInUse])
            })
            .read(show, |op| {
                op.named("show_workflow", "Show a workflow.")
                    .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                    .answers::<WorkflowResource>(200, "The workflow.")
                    .conditional()
            })
        })
        .at("/workflows/{workflow}/schema/{step}", |at| {
            at.read(schema, |op| {
                op.named("show_step_schema", "What the output of a step must look like.")
                    .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                    .content(200, "application/schema+json", contract::anything(), "A JSON Schema.")
            })
        });
}

/// Takes a definition.
fn defines(operation: Operation) -> Operation {
    operation
        .query_id::<WorkspaceId>("workspace_id", "Unless the body names it; else the default workspace.")
        .takes::<WorkflowDefinition>()
        .refuses(&[Code::InvalidWorkflow])
}

/// A workflow's definition, as docs/WORKFLOWS.md tells it.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[allow(dead_code, reason = "the form of what is checked elsewhere")]
struct WorkflowDefinition(Map<String, Value>);

/// A definition as it was sent, without what the service says about it when it shows it.
struct Sent {
    definition: Map<String, Value>,
    workspace_id: Option<String>,
}

impl Sent {
    fn read(body: &Json, request: &HttpRequest) -> Result<Self, Problem> {
        let mut definition: Map<String, Value> = body.required()?;
        let workspace_id = match definition.remove("workspace_id") {
            None | Some(Value::Null) => workspaces::named(request)?,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(Problem::invalid("workspace_id", "an id")),
        };
        Ok(Self { definition, workspace_id })
    }

    fn check(self) -> Result<NewWorkflow, Problem> {
        checked(Value::Object(self.definition)).map_err(|faults| errors::of_faults(Code::InvalidWorkflow, faults))
    }
}

async fn create(
    Operator(principal): Operator,
    registry: Registry,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let sent = Sent::read(&body, &request)?;
    let named = sent.workspace_id.clone();
    let new = sent.check()?;
    let workspace_id = workspaces::to_write_to(&registry, &principal, named.as_deref()).await?;
    let workflow = registry.store().insert_workflow(workspace_id, &new, Utc::now()).await?;
    let mut response = HttpResponse::Created();
    response.insert_header(("Location", paths::workflow(workspace_id, &workflow.workflow_id)));
    tagged(response, workflow.revision, &WorkflowResource::of(&workflow, new.definition))
}

/// The next revision, if the caller knows the present one. Executions keep the one that they began with.
async fn replace(
    Call { caller: Operator(principal), registry, request }: Call,
    path: web::Path<String>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let expected = input::expected(&request)?;
    let mut sent = Sent::read(&body, &request)?;
    if sent.definition.entry("workflow_id").or_insert_with(|| path.as_str().into()) != path.as_str() {
        return Err(Problem::invalid("workflow_id", "the id of the path, or left out"));
    }
    let named = sent.workspace_id.clone();
    let new = sent.check()?;
    let workspace_id = workspace(&registry, &principal, named.as_deref()).await?;
    let workflow = registry.store().replace_workflow(workspace_id, &expected, &new, Utc::now()).await?;
    shown(&workflow, new.definition)
}

async fn delete(
    Operator(principal): Operator,
    registry: Registry,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, workspaces::named(&request)?.as_deref()).await?;
    registry.store().delete_workflow(workspace_id, &path).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn list(Viewer(principal): Viewer, registry: Registry, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let named = workspaces::named(&request)?;
    let workspace_id = workspaces::named_or_default(&registry, &principal, named.as_deref()).await?;
    let workflows = registry.store().workflows(&workspaces::only(workspace_id)).await?;
    Ok(HttpResponse::Ok().json(WorkflowList::of(&workflows)))
}

async fn show(
    Viewer(principal): Viewer,
    registry: Registry,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, workspaces::named(&request)?.as_deref()).await?;
    let (workflow, definition) = find(&registry, workspace_id, &path).await?;
    shown(&workflow, definition)
}

/// What the output of a step must look like.
async fn schema(
    Viewer(principal): Viewer,
    registry: Registry,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, workspaces::named(&request)?.as_deref()).await?;
    let (_, definition) = find(&registry, workspace_id, &path.0).await?;
    let schema = output_schema(&definition, &path.1).ok_or_else(|| Problem::not_found("the step"))?;
    Ok(HttpResponse::Ok().content_type("application/schema+json").body(schema.to_string()))
}

fn output_schema<'a>(definition: &'a Value, step_id: &str) -> Option<&'a Value> {
    let step = definition["steps"].as_array()?.iter().find(|step| step["step_id"] == step_id)?;
    definition["schemas"].get(step["output_schema"].as_str()?)
}

async fn find(
    registry: &RegistryHandle,
    workspace_id: WorkspaceId,
    workflow_id: &str,
) -> Result<(StoredWorkflow, Value), Problem> {
    let not_found = || Problem::not_found("the workflow");
    let workflow = registry.store().find_workflow(workspace_id, workflow_id).await?.ok_or_else(not_found)?;
    let definition = registry.store().workflow_definition(workspace_id, workflow_id, workflow.revision).await?;
    Ok((workflow, definition.ok_or_else(not_found)?))
}

/// The workspace of a workflow that must be there already.
async fn workspace(
    registry: &RegistryHandle,
    principal: &Principal,
    named: Option<&str>,
) -> Result<WorkspaceId, Problem> {
    workspaces::holding("the workflow", registry, principal, named).await
}

/// Its revision is what a change must know.
fn shown(workflow: &StoredWorkflow, definition: Value) -> Result<HttpResponse, Problem> {
    tagged(HttpResponse::Ok(), workflow.revision, &WorkflowResource::of(workflow, definition))
}
