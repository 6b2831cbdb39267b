//! Configurations: packages made from a template, cloned, or imported.

use std::sync::Arc;

use actix_multipart::Multipart;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;

use super::read::Read as _;
use super::workspaces::workspace;
use crate::blocking::blocking;
use crate::domain::configuration::Configuration;
use crate::domain::list::{CONFIGURATIONS, Within};
use crate::domain::principal::Principal;
use crate::domain::time;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::files::Location;
use crate::http::auth::{Operator, Viewer};
use crate::http::call::Call;
use crate::http::form;
use crate::http::input::{self, Json};
use crate::http::list as lists;
use crate::http::paths::{self, API};
use crate::http::problem::Problem;
use crate::http::query::RawQuery;
use crate::http::resource::AsResource as _;
use crate::http::respond::file;
use crate::package::Limits;
use crate::registry::additions::Origin;
use crate::registry::{AddError, INCOMING, RegistryHandle, configurations};

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
    source: Source,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Source {
    Template { template_id: String },
    Clone { configuration_id: String },
}

async fn create(
    Call { caller: Operator(principal), registry, request }: Call,
    id: web::Path<WorkspaceId>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let new: NewConfiguration = body.required()?;
    let configuration = draft(workspace_id, &new.display_name)?;
    let origin = match new.source {
        Source::Template { template_id } => Origin::Template(template_id),
        Source::Clone { configuration_id } => {
            let id = input::id_at("source.configuration_id", &configuration_id)?;
            let original = find(&registry, &principal, workspace_id, id).await?;
            Origin::copy_of(registry.work(), &original)
        }
    };
    add(&registry, configuration, origin).await
}

async fn import(
    Call { caller: Operator(principal), registry, request }: Call,
    id: web::Path<WorkspaceId>,
    multipart: Multipart,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let workspace_id = workspace(&registry, &principal, *id).await?;
    let mut form = form::read(multipart, &incoming(&registry), Limits::default().zip_bytes, &["display_name"]).await?;
    let upload = form.take_file()?;
    let configuration = draft(workspace_id, form.text("display_name").unwrap_or_default())?;
    let zip = blocking(move || upload.open()).await.map_err(Problem::internal)?;
    add(&registry, configuration, Origin::Zip(zip)).await
}

/// Exchanges the package for another one, if it is still the one that the caller knows.
async fn replace(
    Call { caller: Operator(principal), registry, request }: Call,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    multipart: Multipart,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let id = find(&registry, &principal, workspace_id, path.1).await?.id;
    let expected = input::expected(&request)?;
    let mut form = form::read(multipart, &incoming(&registry), Limits::default().zip_bytes, &[]).await?;
    let upload = form.take_file()?;
    let zip = blocking(move || upload.open()).await.map_err(Problem::internal)?;
    let replaced = registry.replace_configuration(principal, (workspace_id, id), expected, zip).await?;
    Ok(shown(&replaced))
}

/// Makes it the one that its workspace works with; the one before becomes inactive.
async fn activate(
    Operator(principal): Operator,
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
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let configuration = find(&registry, &principal, workspace_id, path.1).await?;
    let exported = configurations::export(registry.work(), &configuration).await.map_err(Problem::internal)?;
    let etag = format!("\"{}\"", exported.content_digest);
    let zip = file::Stored { content: Arc::new(exported.zip), length: exported.length, etag };
    Ok(file::send(&request, zip, "application/zip", &format!("{}.zip", configuration.id)))
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
    lists::respond::<Configuration>(store, &principal.workspaces, &CONFIGURATIONS, within, query).await
}

async fn show(
    Viewer(principal): Viewer,
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
    Ok(Configuration::draft(workspace_id, display_name, time::micros(Utc::now())))
}

/// Where files are that are not in their place yet.
fn incoming(registry: &RegistryHandle) -> Location {
    registry.work().location(INCOMING)
}

async fn add(registry: &RegistryHandle, configuration: Configuration, origin: Origin) -> Result<HttpResponse, Problem> {
    let configuration =
        registry.add_configuration(configuration, move |directory: &Location| origin.write(directory)).await;
    let configuration = configuration.map_err(|error| match error {
        AddError::Files(error) => Problem::from(error),
        AddError::Store(error) => error.into(),
    })?;
    let location = format!("{API}/workspaces/{}/configurations/{}", configuration.workspace_id, configuration.id);
    let etag = format!("\"{}\"", configuration.content_digest);
    let mut created = HttpResponse::Created();
    created.insert_header(("Location", location)).insert_header((header::ETAG, etag));
    Ok(created.json(configuration.as_resource()))
}
