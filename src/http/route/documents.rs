//! Input documents. The stored name is the id; what the client called it is data.

use actix_multipart::Multipart;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde_json::{Map, Value};

use super::read::Read as _;
use super::workspaces::workspace;
use crate::domain::configuration::Document;
use crate::domain::json;
use crate::domain::list::{DOCUMENTS, Within};
use crate::domain::principal::Principal;
use crate::domain::time;
use crate::domain::{DocumentId, WorkspaceId};
use crate::files::Location;
use crate::http::auth::{Operator, Viewer};
use crate::http::body;
use crate::http::call::Call;
use crate::http::form;
use crate::http::input;
use crate::http::problem::{Code, Problem};
use crate::http::query::RawQuery;
use crate::http::resource::AsResource as _;
use crate::http::respond::file;
use crate::http::{list as lists, paths};
use crate::registry::{AddError, INCOMING, RegistryHandle};

pub fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/workspaces/{workspace}/documents").route(web::post().to(upload)).read(list))
        .service(web::resource("/workspaces/{workspace}/documents/{document}").read(show))
        .service(web::resource("/workspaces/{workspace}/documents/{document}/download").read(download));
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
    let mut form = form::read(multipart, &incoming, settings.server.upload_max_bytes, &["metadata"]).await?;
    let upload = form.take_file()?;
    let document = Document {
        id: DocumentId::generate(),
        workspace_id,
        name: upload.name.clone(),
        content_type: upload.content_type.clone(),
        byte_size: upload.byte_size,
        sha256: upload.sha256.clone(),
        metadata: metadata(form.text("metadata"))?,
        created_at: time::micros(Utc::now()),
    };
    let added = registry.add_document(document, move |place| upload.move_to(place)).await;
    let document = added.map_err(|error| match error {
        AddError::Files(error) => Problem::internal(error),
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
    lists::respond::<Document>(store, &principal.workspaces, &DOCUMENTS, within, query).await
}

async fn show(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, DocumentId)>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(find(&principal, &registry, *path).await?.as_resource()))
}

async fn download(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, DocumentId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let document = find(&principal, &registry, *path).await?;
    let data_dir = &registry.settings().storage.data_dir;
    file::respond(&request, data_dir, document.path(), &document.content_type, &document.name).await
}

async fn find(
    principal: &Principal,
    registry: &RegistryHandle,
    (workspace_id, id): (WorkspaceId, DocumentId),
) -> Result<Document, Problem> {
    let workspace_id = workspace(registry, principal, workspace_id).await?;
    let found = registry.store().find_document(&principal.workspaces, id).await?;
    found.filter(|found| found.workspace_id == workspace_id).ok_or_else(|| Problem::not_found("the document"))
}
