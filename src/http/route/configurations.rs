//! Configurations: packages made from a template, cloned, or imported.

use std::sync::Arc;

use actix_multipart::Multipart;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;
use utoipa::ToSchema;

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
use crate::http::contract::{self, Operation, Routes};
use crate::http::errors;
use crate::http::form;
use crate::http::input::{self, Json};
use crate::http::list as lists;
use crate::http::paths;
use crate::http::problem::{Code, Problem};
use crate::http::query::RawQuery;
use crate::http::resource::AsResource as _;
use crate::http::resource::configuration::ConfigurationResource;
use crate::http::resource::configuration_file::ValidationResource;
use crate::http::respond::file;
use crate::http::respond::tagged::tagged;
use crate::package::Limits;
use crate::registry::additions::Origin;
use crate::registry::configuration_edits::Transition;
use crate::registry::{AddError, INCOMING, RegistryHandle};
use crate::store::Deletable;

pub fn mount(routes: &mut Routes) {
    mount_making(routes);
    mount_status(routes);
    routes
        .at(paths::of_configurations("/{configuration}"), |at| {
            at.patch(change, |op| {
                op.named("change_configuration", "Give a configuration another name.")
                    .takes::<ChangedConfiguration>()
                    .answers::<ConfigurationResource>(200, "The configuration.")
                    .tagged(200)
            })
            .delete(delete, |op| {
                op.named("delete_configuration", "Delete a configuration. Its runs and builds keep what they tell.")
                    .empty(204, "It is gone.")
                    .refuses(&[Code::ConfigurationInUse, Code::ConfigurationActive])
            })
            .read(show, |op| {
                op.named("show_configuration", "Show a configuration.")
                    .answers::<ConfigurationResource>(200, "The configuration.")
                    .conditional()
            })
        })
        .at(paths::of_configurations("/{configuration}/import"), |at| {
            at.put(replace, |op| {
                op.named("replace_configuration", "Exchange the package, if it is still the one that the caller knows.")
                    .takes_form("The archive.", &[])
                    .of_version()
                    .answers::<ConfigurationResource>(200, "The configuration.")
                    .tagged(200)
                    .refuses(ARCHIVES)
                    .refuses(&[Code::ConfigurationNotEditable])
                    .refuses(READING_PACKAGES)
            })
        })
        .at(paths::of_configurations("/{configuration}/export"), |at| {
            at.read(export, |op| {
                op.named("export_configuration", "The package, as a zip archive.")
                    .sends_file("application/zip", "The archive.")
                    .refuses(READING_PACKAGES)
            })
        });
}

fn mount_making(routes: &mut Routes) {
    routes
        .at(paths::of_configurations(""), |at| {
            at.post(create, |op| {
                op.named("create_configuration", "Make a configuration from a template, or as a copy of another.")
                    .takes::<NewConfiguration>()
                    .creates::<ConfigurationResource>("The configuration.")
                    .tagged(201)
                    .refuses(&[Code::TemplateUnknown, Code::InvalidId])
                    .refuses(READING_PACKAGES)
            })
            .read(list, |op| {
                op.named("list_configurations", "List configurations.").lists::<Configuration>(&CONFIGURATIONS)
            })
        })
        .at(paths::of_configurations("/import"), |at| {
            at.post(import, |op| {
                op.named("import_configuration", "Make a configuration of a zip archive.")
                    .takes_form("The archive.", &[("display_name", contract::label::<255>(), true)])
                    .creates::<ConfigurationResource>("The configuration.")
                    .tagged(201)
                    .refuses(ARCHIVES)
                    .refuses(&[Code::StoreUnavailable])
            })
        });
}

fn mount_status(routes: &mut Routes) {
    let becomes = |op: Operation| {
        op.answers::<ConfigurationResource>(200, "The configuration.")
            .tagged(200)
            .refuses(&[Code::ConfigurationStatusConflict, Code::InvalidPackage])
            .refuses(READING_PACKAGES)
    };
    routes
        .at(paths::of_configurations("/{configuration}/validate"), |at| {
            at.post(validate, |op| {
                op.named(
                    "validate_configuration",
                    "What is wrong with it, as far as that can be seen without an engine.",
                )
                .answers::<ValidationResource>(200, "The faults.")
                .refuses(&[Code::ConfigurationNotEditable, Code::PathNotAllowed])
                .refuses(READING_PACKAGES)
            })
        })
        .at(paths::of_configurations("/{configuration}/publish"), |at| {
            at.post(publish, move |op| {
                becomes(op.named("publish_configuration", "From now on it is not edited any more."))
            })
        })
        .at(paths::of_configurations("/{configuration}/activate"), |at| {
            at.post(activate, move |op| {
                becomes(op.named("activate_configuration", "Make it the one that its workspace works with."))
            })
        })
        .at(paths::of_configurations("/{configuration}/deactivate"), |at| {
            at.post(deactivate, move |op| {
                becomes(op.named("deactivate_configuration", "Its workspace has no active one any more."))
            })
        });
}

/// Where packages are in an object store.
pub(super) const READING_PACKAGES: &[Code] = &[Code::StoreUnavailable, Code::StoredFileDamaged];

/// What may be wrong with an archive.
const ARCHIVES: &[Code] =
    &[Code::PathNotAllowed, Code::ArchiveTooLarge, Code::InvalidArchive, Code::ArchiveEmpty, Code::InvalidPackage];

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConfiguration {
    #[schema(schema_with = contract::label::<255>)]
    display_name: String,
    source: Source,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ConfigurationSource)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Source {
    Template {
        template_id: String,
    },
    Clone {
        #[schema(value_type = ConfigurationId)]
        configuration_id: String,
    },
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
            registry.ready_configuration(&original).await?;
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
    shown(&replaced)
}

/// Makes it the one that its workspace works with; the one before becomes inactive.
async fn activate(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
) -> Result<HttpResponse, Problem> {
    change_status(&registry, &principal, *path, Transition::Activate).await
}

/// From now on it is not edited any more; a clone of it can be.
async fn publish(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
) -> Result<HttpResponse, Problem> {
    change_status(&registry, &principal, *path, Transition::Publish).await
}

/// Its workspace has no active one any more.
async fn deactivate(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
) -> Result<HttpResponse, Problem> {
    change_status(&registry, &principal, *path, Transition::Deactivate).await
}

async fn change_status(
    registry: &RegistryHandle,
    principal: &Principal,
    path: (WorkspaceId, ConfigurationId),
    transition: Transition,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(registry, principal, path.0).await?;
    let id = find(registry, principal, workspace_id, path.1).await?.id;
    shown(&registry.change_configuration_status((workspace_id, id), transition).await?)
}

/// What is wrong with it, as far as that can be seen without an engine; a run with `validate_only` asks one.
async fn validate(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let configuration = find(&registry, &principal, workspace_id, path.1).await?;
    let issues = registry.inspect_configuration(&configuration).await?;
    Ok(HttpResponse::Ok().json(ValidationResource::of(&configuration, issues)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ConfigurationChange)]
#[serde(deny_unknown_fields)]
struct ChangedConfiguration {
    #[schema(schema_with = contract::label::<255>)]
    display_name: String,
}

async fn change(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let id = find(&registry, &principal, workspace_id, path.1).await?.id;
    let ChangedConfiguration { display_name } = body.required()?;
    let display_name = label(&display_name)?;
    registry.store().name_configuration(workspace_id, id, &display_name, time::micros(Utc::now())).await?;
    shown(&find(&registry, &principal, workspace_id, id).await?)
}

/// It is not found any more. Its runs and builds keep what they tell.
async fn delete(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, path.0).await?;
    let id = find(&registry, &principal, workspace_id, path.1).await?.id;
    let deleted = registry.delete(workspace_id, Deletable::Configuration(id)).await;
    deleted.map_err(|error| errors::delete(error, "the configuration", Code::ConfigurationInUse))?;
    Ok(HttpResponse::NoContent().finish())
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
    let exported = registry.export_configuration(&configuration).await?;
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
    shown(&find(&registry, &principal, workspace_id, path.1).await?)
}

/// Its content is all that can be exchanged, and what a change of it must know.
fn shown(configuration: &Configuration) -> Result<HttpResponse, Problem> {
    tagged(HttpResponse::Ok(), &configuration.content_digest, &configuration.as_resource())
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
    Ok(Configuration::draft(workspace_id, label(display_name)?, time::micros(Utc::now())))
}

fn label(display_name: &str) -> Result<String, Problem> {
    input::name("display_name", display_name, 255)
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
        AddError::NotKept(error) => error.into(),
        AddError::WorkspaceGone => Problem::not_found("the workspace"),
        AddError::Store(error) => error.into(),
    })?;
    let location = paths::configuration(configuration.workspace_id, configuration.id);
    let mut created = HttpResponse::Created();
    created.insert_header(("Location", location));
    tagged(created, &configuration.content_digest, &configuration.as_resource())
}
