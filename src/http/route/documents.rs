//! Input documents. The stored name is the id; what the client called it is data.

use std::collections::BTreeSet;

use actix_multipart::Multipart;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::workspaces::workspace;
use crate::blocking::blocking;
use crate::domain::configuration::{Document, DocumentChange};
use crate::domain::json;
use crate::domain::list::{DOCUMENTS, Within};
use crate::domain::principal::{Principal, Scope};
use crate::domain::time::{self, Timestamp};
use crate::domain::{DocumentId, WorkspaceId};
use crate::files::Location;
use crate::http::auth::{Operator, Viewer};
use crate::http::body;
use crate::http::call::Call;
use crate::http::contract::{self, Routes};
use crate::http::errors;
use crate::http::form;
use crate::http::input::{self, Json};
use crate::http::problem::{Code, Problem};
use crate::http::query::{NoQuery, RawQuery};
use crate::http::resource::AsResource as _;
use crate::http::resource::document::{DocumentResource, SheetResource};
use crate::http::respond::file;
use crate::http::{list as lists, paths};
use crate::registry::{AddError, INCOMING, RegistryHandle};
use crate::store::Deletable;
use crate::workbook;

/// Characters.
const MAX_TAG: usize = 100;
const MAX_TAGS: usize = 50;

/// What the object store may have to do with reading a document.
const READING_FILES: &[Code] = &[Code::StoreUnavailable, Code::StoredFileDamaged, Code::FileElsewhere];

pub fn mount(routes: &mut Routes) {
    routes
        .at("/workspaces/{workspace}/documents", |at| {
            at.post(upload, |op| {
                let texts = [("metadata", contract::text(), false), ("expires_at", contract::text(), false)];
                op.named("upload_document", "Upload a file.")
                    .notes("`metadata` is a JSON object, `expires_at` a time in the future.")
                    .takes_form("The file.", &texts)
                    .refuses(&[Code::StoreUnavailable])
                    .creates::<DocumentResource>("The document.")
            })
            .read(list, |op| op.named("list_documents", "List documents.").lists::<Document>(&DOCUMENTS))
        })
        .at("/workspaces/{workspace}/documents/{document}", |at| {
            at.patch(change, |op| {
                op.named("change_document", "Change a document. What is left out stays as it is.")
                    .takes::<ChangedDocument>()
                    .answers::<DocumentResource>(200, "The document.")
            })
            .delete(delete, |op| {
                op.named("delete_document", "Delete a document. Runs that have finished keep what they tell of it.")
                    .empty(204, "It is gone.")
                    .refuses(&[Code::DocumentInUse])
            })
            .read(show, |op| {
                op.named("show_document", "Show a document.").answers::<DocumentResource>(200, "The document.")
            })
        })
        .at("/workspaces/{workspace}/documents/{document}/sheets", |at| {
            at.read(sheets, |op| {
                op.named("list_sheets", "List the sheets of a workbook.")
                    .answers_all::<SheetResource>("In their order.")
                    .refuses(&[Code::UnsupportedMediaType, Code::DocumentUnreadable])
                    .refuses(READING_FILES)
            })
        })
        .at("/workspaces/{workspace}/documents/{document}/download", |at| {
            at.read(download, |op| {
                op.named("download_document", "The file, as it was uploaded.")
                    .sends_file(contract::ANY, "The file.")
                    .refuses(READING_FILES)
            })
        });
}

async fn upload(
    Call { caller: Operator(principal), registry, request }: Call,
    id: web::Path<WorkspaceId>,
    multipart: Multipart,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let settings = registry.settings();
    let incoming = Location::below(&settings.storage.data_dir, INCOMING);
    let mut form =
        form::read(multipart, &incoming, settings.server.upload_max_bytes, &["metadata", "expires_at"]).await?;
    let upload = form.take_file()?;
    let now = time::micros(Utc::now());
    let document = Document {
        id: DocumentId::generate(),
        workspace_id,
        name: upload.name.clone(),
        content_type: upload.content_type.clone(),
        byte_size: upload.byte_size,
        sha256: upload.sha256.clone(),
        metadata: metadata(form.text("metadata"))?,
        tags: Vec::new(),
        expires_at: form.text("expires_at").map(|text| expiry(text, now)).transpose()?,
        created_at: now,
        updated_at: now,
        last_run: None,
    };
    let added = registry.add_document(document, move |place| upload.move_to(place)).await;
    let document = added.map_err(|error| match error {
        AddError::Files(error) => Problem::internal(error),
        AddError::NotKept(error) => error.into(),
        AddError::WorkspaceGone => Problem::not_found("the workspace"),
        AddError::Store(error) => error.into(),
    })?;
    let location = paths::document(workspace_id, document.id);
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(document.as_resource()))
}

fn metadata(text: Option<&str>) -> Result<Value, Problem> {
    let Some(text) = text else { return Ok(Map::new().into()) };
    match json::check(text.as_bytes()).map(|()| serde_json::from_str(text)) {
        Ok(Ok(Value::Object(members))) => Ok(Value::Object(members)),
        Ok(_) => Err(Problem::invalid("metadata", "a JSON object")),
        Err(fault) => {
            let mut error = body::of_fault(fault);
            let dot = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
            error.path = format!("metadata{dot}{}", error.path);
            Err(Problem::new(Code::InvalidRequest, format!("`{}`: {}", error.path, error.message)).error(error))
        }
    }
}

async fn list(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let within = Within { workspace_id: Some(workspace_id), ..Within::default() };
    let (store, query) = (registry.store(), RawQuery::read(&request)?);
    let look_up = async |documents: &mut [Document]| store.look_up_last_runs(documents).await;
    lists::respond_refreshed(store, &principal.workspaces, &DOCUMENTS, within, query, look_up).await
}

async fn show(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, DocumentId)>,
) -> Result<HttpResponse, Problem> {
    let found = find(&principal, &registry, *path).await?;
    shown(&registry, found).await
}

async fn shown(registry: &RegistryHandle, mut document: Document) -> Result<HttpResponse, Problem> {
    registry.store().look_up_last_runs(std::slice::from_mut(&mut document)).await?;
    Ok(HttpResponse::Ok().json(document.as_resource()))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = DocumentChange)]
#[serde(deny_unknown_fields)]
struct ChangedDocument {
    /// At most 50.
    tags: Option<Vec<String>>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// A time in the future; null for never.
    #[serde(default, deserialize_with = "input::given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
}

/// What is left out stays as it is.
async fn change(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, DocumentId)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let found = find(&principal, &registry, *path).await?;
    let now = time::micros(Utc::now());
    let ChangedDocument { tags: new, metadata, expires_at } = body.required()?;
    let expires_at = expires_at.map(|given| given.map(|text| expiry(&text, now)).transpose()).transpose()?;
    let change = DocumentChange { tags: new.map(tags).transpose()?, metadata: metadata.map(Value::Object), expires_at };
    let is_there = registry.store().change_document(found.workspace_id, found.id, &change, now).await?;
    let scope = Scope::Only(vec![found.workspace_id]);
    let changed = registry.store().find_document(&scope, found.id).await?.filter(|_| is_there);
    shown(&registry, changed.ok_or_else(not_found)?).await
}

/// Without spaces around them, each once and in order.
fn tags(given: Vec<String>) -> Result<Vec<String>, Problem> {
    let mut tags = BTreeSet::new();
    for (index, tag) in given.iter().enumerate() {
        tags.insert(input::name(&format!("tags[{index}]"), tag, MAX_TAG)?);
    }
    if tags.len() > MAX_TAGS {
        return Err(Problem::invalid("tags", format!("at most {MAX_TAGS} texts")));
    }
    Ok(tags.into_iter().collect())
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let time = input::time("expires_at", text)?;
    if time > now { Ok(time) } else { Err(Problem::invalid("expires_at", "a time in the future")) }
}

/// It is not found any more. Runs that have finished keep what they tell of it; those that have not keep it.
async fn delete(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, DocumentId)>,
) -> Result<HttpResponse, Problem> {
    let found = find(&principal, &registry, *path).await?;
    let deleted = registry.delete(found.workspace_id, Deletable::Document(found.id)).await;
    deleted.map_err(|error| errors::delete(error, "the document", Code::DocumentInUse))?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a run can be told to read of it.
async fn sheets(
    Viewer(principal): Viewer,
    _: NoQuery,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, DocumentId)>,
) -> Result<HttpResponse, Problem> {
    let document = find(&principal, &registry, *path).await?;
    let sheets: Vec<SheetResource> = match document.extension().as_deref() {
        Some("csv" | "tsv" | "txt") => vec![SheetResource::of_file(&document.name)],
        Some("xlsx" | "xlsm" | "xltx" | "xltm") => workbook_sheets(&registry, &document).await?,
        _ => {
            let detail = "only .xlsx, .xlsm, .xltx, .xltm, .csv, .tsv and .txt documents have sheets";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
    };
    Ok(HttpResponse::Ok().json(sheets))
}

async fn workbook_sheets(registry: &RegistryHandle, document: &Document) -> Result<Vec<SheetResource>, Problem> {
    let file = registry.services().depot.open(&document.path()).await?;
    let read = blocking(move || Ok(workbook::sheets(file))).await.map_err(Problem::internal)?;
    Ok(read?.into_iter().map(SheetResource::from).collect())
}

fn not_found() -> Problem {
    Problem::not_found("the document")
}

async fn download(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, DocumentId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let document = find(&principal, &registry, *path).await?;
    let depot = &registry.services().depot;
    let opened = depot.open(&document.path()).await?;
    // A copy comes and goes, and its content stays.
    let tag = depot.has_store().then(|| format!("\"{}\"", document.sha256));
    file::respond(&request, opened, tag, &document.content_type, &document.name).await
}

async fn find(
    principal: &Principal,
    registry: &RegistryHandle,
    (workspace_id, id): (WorkspaceId, DocumentId),
) -> Result<Document, Problem> {
    let workspace_id = workspace(registry, principal, workspace_id).await?;
    let found = registry.store().find_document(&principal.workspaces, id).await?;
    found.filter(|found| found.workspace_id == workspace_id).ok_or_else(not_found)
}
