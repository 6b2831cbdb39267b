//! Documents of workflows, version by version. (Uploaded input files of runs are in `documents`.)

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::workspaces;
use crate::domain::list::{WORKFLOW_DOCUMENT_VERSIONS, WORKFLOW_DOCUMENTS, Within};
use crate::domain::time;
use crate::domain::workflow_document::{
    Chain, DocumentChange, DocumentDraft, DocumentStatus, WorkScope, WorkflowDocument,
};
use crate::domain::{DocumentId, WorkspaceId};
use crate::http::auth::{Operator, Viewer};
use crate::http::call::Call;
use crate::http::contract::{self, Routes};
use crate::http::input::{self, Json};
use crate::http::problem::{Code, Problem};
use crate::http::query::{RawQuery, digits};
use crate::http::resource::workflow_document::WorkflowDocumentResource;
use crate::http::respond::tagged::tagged;
use crate::http::{list as lists, paths};
use crate::registry::RegistryHandle;

/// What steps produce may be read, changed and sent back.
pub(super) const MAX_BODY: usize = 8 << 20;
/// Characters. PostgreSQL's indexes take no more than 2,700 bytes of a row.
pub(super) const MAX_TYPE: usize = 64;
pub(super) const MAX_SCOPE_ID: usize = 255;
const MAX_TITLE: usize = 255;
const MAX_SUMMARY: usize = 10_000;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/documents", |at| {
            at.body_limit(MAX_BODY)
                .post(create, |op| {
                    op.named("create_workflow_document", "Make a document, at its first version.")
                        .takes::<NewDocument>()
                        .creates::<WorkflowDocumentResource>("The document.")
                        .tagged(201)
                        .refuses(&[Code::DocumentExists, Code::InvalidId, Code::NotFound])
                })
                .read(list, |op| {
                    op.named("list_workflow_documents", "List documents, every version of them.")
                        .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                        .lists::<WorkflowDocument>(&WORKFLOW_DOCUMENTS)
                })
        })
        .at("/documents/{document}", |at| {
            at.body_limit(MAX_BODY)
                .put(change, |op| {
                    op.named("change_workflow_document", "Add a version. What is left out stays as it is.")
                        .takes::<ChangedDocument>()
                        .of_version()
                        .answers::<WorkflowDocumentResource>(200, "The new version.")
                        .tagged(200)
                })
                .read(show, |op| {
                    op.named("show_workflow_document", "Show a document.")
                        .query("version", contract::number(1, None), "Else the latest.")
                        .answers::<WorkflowDocumentResource>(200, "The version.")
                        .conditional()
                })
        })
        .at("/documents/{document}/versions", |at| {
            at.read(versions, |op| {
                op.named("list_workflow_document_versions", "List the versions of a document, the newest first.")
                    .lists::<WorkflowDocument>(&WORKFLOW_DOCUMENT_VERSIONS)
            })
        });
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewWorkflowDocument)]
#[serde(deny_unknown_fields)]
struct NewDocument {
    /// Else the default workspace.
    #[schema(value_type = Option<WorkspaceId>)]
    workspace_id: Option<String>,
    #[schema(schema_with = contract::label::<64>)]
    scope_type: String,
    #[schema(schema_with = contract::label::<255>)]
    scope_id: String,
    #[schema(schema_with = contract::label::<64>)]
    document_type: String,
    /// Else its type.
    #[schema(schema_with = contract::optional_label::<255>)]
    title: Option<String>,
    #[serde(default)]
    status: DocumentStatus,
    #[schema(max_length = 10_000)]
    summary: Option<String>,
    /// Any JSON but null.
    #[schema(schema_with = contract::something)]
    content: Value,
}

async fn create(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let new: NewDocument = body.required()?;
    input::label("scope_type", &new.scope_type, MAX_TYPE)?;
    input::label("scope_id", &new.scope_id, MAX_SCOPE_ID)?;
    input::label("document_type", &new.document_type, MAX_TYPE)?;
    let title = new.title.unwrap_or_else(|| new.document_type.clone());
    check(Some(&title), new.summary.as_deref(), Some(&new.content))?;
    let workspace_id = workspaces::to_write_to(&registry, &principal, new.workspace_id.as_deref()).await?;
    let scope = WorkScope { scope_type: new.scope_type, scope_id: new.scope_id };
    let chain = Chain { workspace_id, scope, document_type: new.document_type };
    let draft = DocumentDraft {
        title,
        status: new.status,
        summary: new.summary,
        content: new.content,
        created_by: principal.name,
        created_at: time::micros(Utc::now()),
    };
    let created = registry.store().create_workflow_document(&chain, &draft).await?;
    let mut response = HttpResponse::Created();
    response.insert_header(("Location", paths::workflow_document(created.id)));
    tagged(response, created.version, &WorkflowDocumentResource::of(&created))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WorkflowDocumentChange, min_properties = 1)]
#[serde(deny_unknown_fields)]
struct ChangedDocument {
    #[schema(schema_with = contract::optional_label::<255>)]
    title: Option<String>,
    status: Option<DocumentStatus>,
    #[serde(default, deserialize_with = "input::given")]
    #[schema(value_type = Option<String>, max_length = 10_000)]
    summary: Option<Option<String>>,
    #[serde(default, deserialize_with = "input::given")]
    #[schema(schema_with = contract::something)]
    content: Option<Value>,
}

/// The next version. What is left out stays as it is.
async fn change(
    Call { caller: Operator(principal), registry, request }: Call,
    id: web::Path<DocumentId>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let expected = input::expected(&request)?;
    let ChangedDocument { title, status, summary, content } = body.required()?;
    if title.is_none() && status.is_none() && summary.is_none() && content.is_none() {
        return Err(Problem::invalid("content", "given, unless `title`, `status` or `summary` is"));
    }
    check(title.as_deref(), summary.as_ref().and_then(Option::as_deref), content.as_ref())?;
    let (created_by, created_at) = (principal.name, time::micros(Utc::now()));
    let change = DocumentChange { title, status, summary, content, created_by, created_at };
    let changed = registry.store().change_workflow_document(&principal.workspaces, id, &expected, change).await?;
    shown(&changed)
}

fn check(title: Option<&str>, summary: Option<&str>, content: Option<&Value>) -> Result<(), Problem> {
    title.map_or(Ok(()), |title| input::label("title", title, MAX_TITLE))?;
    if summary.is_some_and(|summary| summary.chars().count() > MAX_SUMMARY) {
        return Err(Problem::invalid("summary", format!("a text of at most {MAX_SUMMARY} characters")));
    }
    if content.is_some_and(Value::is_null) {
        return Err(Problem::invalid("content", "any JSON but null"));
    }
    Ok(())
}

async fn list(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut query = RawQuery::read(&request)?;
    let named = query.take("workspace_id")?;
    let workspace_id = workspaces::named_or_default(&registry, &principal, named.as_deref()).await?;
    let (scope, within) = (workspaces::only(workspace_id), Within { workspace_id, ..Within::default() });
    lists::respond::<WorkflowDocument>(registry.store(), &scope, &WORKFLOW_DOCUMENTS, within, query).await
}

async fn show(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    id: web::Path<DocumentId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let asked = input::only_parameter(&request, "version")?;
    let number = |text: &String| digits(text).filter(|number| *number > 0);
    let version = asked
        .as_ref()
        .map(|text| number(text).ok_or_else(|| Problem::invalid_query("version", "a whole number from 1")));
    let found = registry.store().find_workflow_document(&principal.workspaces, id, version.transpose()?).await?;
    let what = if asked.is_some() { "the version of the document" } else { "the document" };
    shown(&found.ok_or_else(|| Problem::not_found(what))?)
}

/// Newest first.
async fn versions(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    id: web::Path<DocumentId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let (store, scope) = (registry.store(), &principal.workspaces);
    let found = store.find_workflow_document(scope, id, None).await?;
    found.ok_or_else(|| Problem::not_found("the document"))?;
    let within = Within { document_id: Some(id), ..Within::default() };
    lists::respond::<WorkflowDocument>(store, scope, &WORKFLOW_DOCUMENT_VERSIONS, within, RawQuery::read(&request)?)
        .await
}

/// Its version is what a change must know.
fn shown(document: &WorkflowDocument) -> Result<HttpResponse, Problem> {
    tagged(HttpResponse::Ok(), document.version, &WorkflowDocumentResource::of(document))
}
