//! Configurations: packages made from a template, cloned, or imported.

use std::fs::File;
use std::io;
use std::sync::Arc;

use actix_multipart::Multipart;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;

use super::Read as _;
use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::list::{CONFIGURATIONS, Within};
use crate::domain::principal::Principal;
use crate::domain::time;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::files::Location;
use crate::http::auth::Caller;
use crate::http::form;
use crate::http::input::{self, Json};
use crate::http::list as lists;
use crate::http::paths::{self, API};
use crate::http::problem::Problem;
use crate::http::query::RawQuery;
use crate::http::resource::AsResource as _;
use crate::http::respond::file;
use crate::package;
use crate::registry::{AddError, INCOMING, RegistryHandle};

pub fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource(paths::of_configurations("")).route(web::post().to(create)).read(list))
        .service(web::resource(paths::of_configurations("/import")).route(web::post().to(import)))
        .service(web::resource(paths::of_configurations("/{configuration}")).read(show))
        .service(web::resource(paths::of_configurations("/{configuration}/import")).route(web::put().to(replace)))
        .service(web::resource(paths::of_configurations("/{configuration}/activate")).route(web::post().to(activate)))
        .service(web::resource(paths::of_configurations("/{configuration}/export")).read(export));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewConfiguration {
    display_name: String,
    source: Origin,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Origin {
    Template { template_id: String },
    Clone { configuration_id: String },
}

async fn create(
    Caller(principal): Caller,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let new: NewConfiguration = body.required()?;
    let configuration = draft(workspace_id, &new.display_name)?;
    match new.source {
        Origin::Template { template_id } => {
            let write = move |folder: &Location| package::write_template(&template_id, folder).map_err(Problem::from);
            add(&registry, configuration, write).await
        }
        Origin::Clone { configuration_id } => {
            let original = find(&registry, &principal, workspace_id, input::id(&configuration_id)?).await?;
            let (from, locks) = (folder(&registry, &original), registry.services().work.packages.clone());
            let copy = move |to: &Location| {
                locks.reading(&from.path(), || package::copy_package(&from, to)).map_err(Problem::internal)
            };
            add(&registry, configuration, copy).await
        }
    }
}

async fn import(
    Caller(principal): Caller,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
    request: HttpRequest,
    multipart: Multipart,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let limits = package::Limits::default();
    let mut form = form::read(multipart, &incoming(&registry), limits.zip_bytes, &["display_name"]).await?;
    let upload = form.take_file()?;
    let configuration = draft(workspace_id, form.text("display_name").unwrap_or_default())?;
    let import = move |folder: &Location| {
        let zip = upload.open().map_err(package::ImportError::Io)?;
        Ok::<_, Problem>(package::import_zip(zip, folder, limits)?.content_digest)
    };
    add(&registry, configuration, import).await
}

/// Exchanges the package for another one, if it is still the one that the caller knows.
async fn replace(
    Caller(principal): Caller,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    request: HttpRequest,
    multipart: Multipart,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let id = find(&registry, &principal, workspace_id, path.1).await?.id;
    let expected = input::expected(&request)?;
    let mut form = form::read(multipart, &incoming(&registry), package::Limits::default().zip_bytes, &[]).await?;
    let upload = form.take_file()?;
    let zip = blocking(move || upload.open()).await?.map_err(Problem::internal)?;
    let replaced = registry.replace_configuration(principal, (workspace_id, id), expected, zip).await?;
    Ok(shown(&replaced))
}

/// Makes it the one that its workspace works with; the one before becomes inactive.
async fn activate(
    Caller(principal): Caller,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let id = find(&registry, &principal, workspace_id, path.1).await?.id;
    registry.store().activate(workspace_id, id, time::micros(Utc::now())).await?;
    Ok(shown(&find(&registry, &principal, workspace_id, path.1).await?))
}

/// The package as a zip file; the same files give the same bytes, so their digest is the `ETag`.
async fn export(
    Caller(principal): Caller,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let configuration = find(&registry, &principal, workspace_id, path.1).await?;
    let (locks, folder) = (registry.services().work.packages.clone(), folder(&registry, &configuration));
    let incoming = incoming(&registry);
    let packed = blocking(move || locks.reading(&folder.path(), || pack(&folder, &incoming))).await?;
    let packed = packed.map_err(Problem::internal)?;
    Ok(file::send(&request, packed, "application/zip", &format!("{}.zip", configuration.id)))
}

/// Into a file without a name, which is gone when it has been sent.
fn pack(folder: &Location, incoming: &Location) -> Result<file::Stored, package::ExportError> {
    let etag = format!("\"{}\"", package::content_digest(folder)?);
    let zip = package::export_zip(folder, nameless(incoming)?)?;
    let length = zip.metadata().map_err(package::ExportError::from)?.len();
    Ok(file::Stored { content: Arc::new(zip), length, etag })
}

fn nameless(incoming: &Location) -> io::Result<File> {
    let (dir, name) = (incoming.make()?, ulid::Ulid::generate().to_string());
    let file = dir.create(&name)?;
    dir.remove_file(&name)?;
    Ok(file)
}

async fn list(
    Caller(principal): Caller,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let within = Within { workspace_id: Some(workspace_id), ..Within::default() };
    let (store, query) = (registry.store(), RawQuery::read(&request)?);
    lists::respond::<Configuration>(store, &principal.workspaces, &CONFIGURATIONS, within, query).await
}

async fn show(
    Caller(principal): Caller,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let found = find(&registry, &principal, workspace_id, path.1).await?;
    Ok(shown(&found))
}

/// The resource; its `ETag` is that of its content, which is all that can be exchanged.
fn shown(configuration: &Configuration) -> HttpResponse {
    let etag = format!("\"{}\"", configuration.content_digest);
    HttpResponse::Ok().insert_header((header::ETAG, etag)).json(configuration.as_resource())
}

/// The workspace of the path, if the caller may see it.
pub(super) async fn workspace(
    registry: &RegistryHandle,
    principal: &Principal,
    id: WorkspaceId,
) -> Result<WorkspaceId, Problem> {
    let found = registry.store().find_workspace(&principal.workspaces, id).await?;
    found.map(|workspace| workspace.id).ok_or_else(|| Problem::not_found("the workspace"))
}

pub(super) async fn find(
    registry: &RegistryHandle,
    principal: &Principal,
    workspace_id: WorkspaceId,
    id: ConfigurationId,
) -> Result<Configuration, Problem> {
    let found = registry.store().find_configuration(&principal.workspaces, id).await?;
    found.filter(|found| found.workspace_id == workspace_id).ok_or_else(|| Problem::not_found("the configuration"))
}

fn draft(workspace_id: WorkspaceId, display_name: &str) -> Result<Configuration, Problem> {
    let display_name = display_name.trim().to_owned();
    input::label("display_name", &display_name, 255)?;
    let now = time::micros(Utc::now());
    Ok(Configuration {
        id: ConfigurationId::generate(),
        workspace_id,
        display_name,
        status: ConfigurationStatus::Draft,
        content_digest: String::new(),
        active_build_id: None,
        created_at: now,
        updated_at: now,
        activated_at: None,
    })
}

fn folder(registry: &RegistryHandle, configuration: &Configuration) -> Location {
    registry.services().work.location(configuration.folder())
}

/// Where files are that are not in their place yet.
fn incoming(registry: &RegistryHandle) -> Location {
    registry.services().work.location(INCOMING)
}

async fn add(
    registry: &RegistryHandle,
    configuration: Configuration,
    make: impl FnOnce(&Location) -> Result<String, Problem> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let configuration = registry.add_configuration(configuration, make).await.map_err(|error| match error {
        AddError::Files(problem) => problem,
        AddError::Store(error) => error.into(),
    })?;
    let location = format!("{API}/workspaces/{}/configurations/{}", configuration.workspace_id, configuration.id);
    let etag = format!("\"{}\"", configuration.content_digest);
    let mut created = HttpResponse::Created();
    created.insert_header(("Location", location)).insert_header((header::ETAG, etag));
    Ok(created.json(configuration.as_resource()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
}
