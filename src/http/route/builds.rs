//! Builds: ensure and list; what they share with other work is in `work`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::work::{self, respond_created};
use super::workspaces::workspace;
use crate::domain::build::Build;
use crate::domain::list::{BUILDS, Within};
use crate::domain::principal::Principal;
use crate::domain::sequence::Start;
use crate::domain::work::Work as _;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::http::auth::{Operator, Viewer};
use crate::http::call::Call;
use crate::http::contract::Routes;
use crate::http::input::{self, Json};
use crate::http::problem::{Code, Problem};
use crate::http::query::RawQuery;
use crate::http::resource::build::BuildResource;
use crate::http::{list as lists, paths};
use crate::registry::{Created, RegistryHandle};
use crate::stream::Item;

type Registry = web::Data<RegistryHandle>;

pub fn mount(routes: &mut Routes) {
    routes
        .at(paths::of_configurations("/{configuration}/builds"), |at| {
            at.post(create, |op| {
                op.named("ensure_build", "Make sure that a configuration has a build.")
                    .may_take::<NewBuildBody>()
                    .creates::<BuildResource>("The build; one that is at work already, or that can be used again.")
                    .or_its_stream()
                    .refuses(&[
                        Code::SafeModeEnabled,
                        Code::Draining,
                        Code::LogUnavailable,
                        Code::JournalUnavailable,
                        Code::BuildsUnavailable,
                    ])
            })
            .read(list_of_configuration, |op| {
                op.named("list_builds", "List the builds of a configuration.").lists::<Build>(&BUILDS)
            })
        })
        .at("/workspaces/{workspace}/builds", |at| {
            at.read(list_of_workspace, |op| {
                op.named("list_workspace_builds", "List the builds of a workspace.").lists::<Build>(&BUILDS)
            })
        })
        .with(work::mount::<Build>);
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = NewBuild)]
#[serde(deny_unknown_fields, default)]
struct NewBuildBody {
    stream: bool,
    options: OptionsBody,
}

#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[schema(as = NewBuildOptions)]
#[serde(deny_unknown_fields, default)]
struct OptionsBody {
    /// Even when there is one that could be used again.
    force: bool,
    /// The answer waits for its end, up to `ADE_BUILD_ENSURE_WAIT`.
    wait: bool,
}

async fn create(
    Call { caller: Operator(principal), registry, request }: Call,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let configuration_id = configuration(&principal, &registry, *path).await?;
    input::no_idempotency_key(&request)?;
    let stream = input::stream_flag(&request)?;
    let body: NewBuildBody = body.or_default()?;
    // The decision is part of what the caller waits for.
    let end = Instant::now() + registry.settings().build.ensure_wait;
    let mut build = registry.ensure_build(principal.clone(), configuration_id, body.options.force).await?;
    let stream = stream || body.stream;
    if body.options.wait && !stream {
        // When it takes longer, the answer is the build as it stands.
        let _ = timeout_at(end, ended(&registry, &build)).await;
        build = registry.build(&principal, build.id).await?.unwrap_or(build);
    }
    respond_created(&registry, &request, Created { work: build, replayed: false }, stream).await
}

async fn ended(registry: &RegistryHandle, build: &Build) {
    let Ok(mut follow) = registry.follow(build.stream_key(), Start::default()).await else { return };
    while !matches!(follow.next().await, Ok(Item::End(_)) | Err(_)) {}
}

async fn configuration(
    principal: &Principal,
    registry: &RegistryHandle,
    (workspace_id, id): (WorkspaceId, ConfigurationId),
) -> Result<ConfigurationId, Problem> {
    let workspace_id = workspace(registry, principal, workspace_id).await?;
    let found = registry.store().find_configuration(&principal.workspaces, id).await?;
    let found = found.filter(|found| found.workspace_id == workspace_id);
    found.map(|found| found.id).ok_or_else(|| Problem::not_found("the configuration"))
}

async fn list_of_configuration(
    Viewer(principal): Viewer,
    registry: Registry,
    path: web::Path<(WorkspaceId, ConfigurationId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let configuration_id = configuration(&principal, &registry, *path).await?;
    let within = Within { configuration_id: Some(configuration_id), ..Within::default() };
    list(&principal, &registry, within, &request).await
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

async fn list(
    principal: &Principal,
    registry: &RegistryHandle,
    within: Within,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (store, query) = (registry.store(), RawQuery::read(request)?);
    let refresh = async |builds: &mut [Build]| registry.look_at_venvs(builds).await;
    lists::respond_refreshed::<Build>(store, &principal.workspaces, &BUILDS, within, query, refresh).await
}
