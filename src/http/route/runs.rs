//! Runs: create and list; what they share with other work is in `work`.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::work::{self, respond_created};
use super::workspaces::workspace;
use crate::domain::list::{RUNS, Within};
use crate::domain::principal::Principal;
use crate::domain::run::{LogLevel, Run, RunOptions};
use crate::domain::run_options::MAX_DOCUMENTS;
use crate::domain::work::Work as _;
use crate::domain::{ConfigurationId, DocumentId, RunId, WorkspaceId};
use crate::http::auth::{Operator, Viewer};
use crate::http::call::Call;
use crate::http::contract::{Operation, Routes};
use crate::http::input::{self, Json};
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::query::RawQuery;
use crate::http::resource::run::RunResource;
use crate::http::{list as lists, paths};
use crate::registry::error::RunRefusal;
use crate::registry::{CreateError, NewRun, RegistryHandle};

type Registry = web::Data<RegistryHandle>;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/configurations/{configuration}/runs", |at| {
            at.post(create, |op| creates_run(op.named("create_run", "Start a run.")))
                .read(list_of_configuration, |op| {
                    op.named("list_runs_of_configuration", "List the runs of a configuration.").lists::<Run>(&RUNS)
                })
        })
        .at(paths::of_configurations("/{configuration}/runs"), |at| {
            at.post(create_in_workspace, |op| creates_run(op.named("create_run_in_workspace", "Start a run."))).read(
                list_of_both,
                |op| {
                    op.named("list_runs_of_configuration_in_workspace", "List the runs of a configuration.")
                        .lists::<Run>(&RUNS)
                },
            )
        })
        .at("/workspaces/{workspace}/runs", |at| {
            at.read(list_of_workspace, |op| op.named("list_runs", "List the runs of a workspace.").lists::<Run>(&RUNS))
        })
        .with(work::mount::<Run>)
        .with(work::mount_retry::<Run>);
}

fn creates_run(operation: Operation) -> Operation {
    operation
        .may_take::<NewRunBody>()
        .creates::<RunResource>("The run.")
        .or_its_stream()
        .repeatable()
        .refuses(work::CREATING)
        .refuses(&[Code::InputRequired, Code::InputNotFound, Code::QueueFull, Code::InvalidId])
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = NewRun)]
#[serde(deny_unknown_fields, default)]
struct NewRunBody {
    stream: bool,
    options: OptionsBody,
}

#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[schema(as = NewRunOptions)]
#[serde(deny_unknown_fields, default)]
struct OptionsBody {
    dry_run: bool,
    validate_only: bool,
    force_rebuild: bool,
    #[schema(value_type = Vec<DocumentId>, max_items = 1000)]
    document_ids: Vec<String>,
    /// As one more of `document_ids`.
    #[schema(value_type = Option<DocumentId>)]
    input_document_id: Option<String>,
    /// As one more of `input_sheet_names`.
    input_sheet_name: Option<String>,
    #[schema(max_items = 200)]
    input_sheet_names: Vec<String>,
    metadata: BTreeMap<String, String>,
    log_level: Option<LogLevel>,
}

/// What was asked for, and where in the body each document was named.
struct Asked {
    options: RunOptions,
    places: Vec<(DocumentId, String)>,
}

impl OptionsBody {
    /// The older single forms join the lists.
    fn read(self) -> Result<Asked, Problem> {
        let places = places(&self.document_ids, self.input_document_id.as_deref())?;
        let mut document_ids: Vec<DocumentId> = Vec::new();
        for (id, _) in &places {
            if !document_ids.contains(id) {
                document_ids.push(*id);
            }
        }
        let given = self.input_sheet_names.len();
        let options = RunOptions {
            dry_run: self.dry_run,
            validate_only: self.validate_only,
            force_rebuild: self.force_rebuild,
            document_ids,
            input_sheet_names: self.input_sheet_names.into_iter().chain(self.input_sheet_name).collect(),
            metadata: self.metadata,
            log_level: self.log_level,
        };
        check(&options, given)?;
        Ok(Asked { options, places })
    }
}

/// The ids that a body names, each with its place.
fn places(listed: &[String], single: Option<&str>) -> Result<Vec<(DocumentId, String)>, Problem> {
    // Too many are refused for their number, before each is looked up.
    let listed = listed.iter().take(MAX_DOCUMENTS + 1).enumerate();
    let listed = listed.map(|(index, text)| (format!("options.document_ids[{index}]"), text.as_str()));
    let single = single.map(|text| ("options.input_document_id".to_owned(), text));
    let read = |(path, text): (String, &str)| match input::id(text) {
        Ok(id) => Ok((id, path)),
        Err(problem) => Err(problem.error(FieldError::new(path, "invalid_id", "a document id"))),
    };
    listed.chain(single).map(read).collect()
}

/// Everything that is wrong with the options. The single form of a sheet's name is the one behind the `given`.
fn check(options: &RunOptions, given: usize) -> Result<(), Problem> {
    let faults = options.faults();
    if faults.is_empty() {
        return Ok(());
    }
    let single = format!("input_sheet_names[{given}]");
    let path =
        |place: String| if place == single { "options.input_sheet_name".into() } else { format!("options.{place}") };
    let errors: Vec<_> =
        faults.into_iter().map(|(place, allowed)| FieldError::new(path(place), "invalid", allowed)).collect();
    let detail = format!("`{}` must be {}", errors[0].path, errors[0].message);
    Err(errors.into_iter().fold(Problem::new(Code::InvalidRequest, detail), Problem::error))
}

async fn create(call: Call, id: web::Path<ConfigurationId>, body: Json) -> Result<HttpResponse, Problem> {
    create_run(call, None, *id, body).await
}

async fn create_in_workspace(
    call: Call,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&call.registry, &call.caller.0, path.0).await?;
    create_run(call, Some(workspace_id), path.1, body).await
}

async fn create_run(
    Call { caller: Operator(principal), registry, request }: Call,
    workspace_id: Option<WorkspaceId>,
    configuration_id: ConfigurationId,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let stream = input::stream_flag(&request)?;
    let body: NewRunBody = body.or_default()?;
    let key = input::idempotency_key(&request)?;
    let Asked { options, places } = body.options.read()?;
    let new = NewRun { workspace_id, configuration_id, options };
    let new = registry.create::<Run>(principal, new, key).await.map_err(|error| at_its_place(error, &places))?;
    respond_created(&registry, &request, new, stream || body.stream).await
}

/// A document that is not there is named where the body names it.
fn at_its_place(error: CreateError<RunRefusal>, places: &[(DocumentId, String)]) -> Problem {
    let missing = match &error {
        CreateError::Refused(RunRefusal::DocumentNotFound(missing)) => places.iter().find(|(id, _)| id == missing),
        _ => None,
    };
    let mut problem = Problem::from(error);
    if let (Some((_, path)), Some(error)) = (missing, problem.errors.first_mut()) {
        error.path.clone_from(path);
    }
    problem
}

async fn list_of_workspace(
    Viewer(principal): Viewer,
    registry: Registry,
    id: web::Path<WorkspaceId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let within = Within { workspace_id: Some(workspace_id), ..Within::default() };
    list(&principal, &registry, within, &request).await
}

async fn list_of_both(
    Viewer(principal): Viewer,
    registry: Registry,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let found = super::configurations::find(&registry, &principal, workspace_id, path.1).await?;
    let within = Within { workspace_id: Some(workspace_id), configuration_id: Some(found.id), ..Within::default() };
    list(&principal, &registry, within, &request).await
}

async fn list_of_configuration(
    Viewer(principal): Viewer,
    registry: Registry,
    id: web::Path<ConfigurationId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let found = registry.store().find_configuration(&principal.workspaces, id).await?;
    let found = found.ok_or_else(|| Problem::not_found("the configuration"))?;
    // Its workspace says nothing new, but gives the database more indexes to choose from.
    let within = Within { workspace_id: Some(found.workspace_id), configuration_id: Some(id), ..Within::default() };
    list(&principal, &registry, within, &request).await
}

async fn list(
    principal: &Principal,
    registry: &RegistryHandle,
    within: Within,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    lists::respond::<Run>(registry.store(), &principal.workspaces, &RUNS, within, RawQuery::read(request)?).await
}

/// The row as it stands, without waiting for a log that is further on.
pub(super) async fn find(principal: &Principal, registry: &RegistryHandle, id: RunId) -> Result<Run, Problem> {
    let found = registry.store().find::<Run>(&principal.workspaces, id).await?;
    found.ok_or_else(|| work::not_found(Run::KIND))
}
