//! Workspaces.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::WorkspaceId;
use crate::domain::configuration::{DEFAULT_WORKSPACE, Workspace};
use crate::domain::list::{WORKSPACES, Within};
use crate::domain::principal::{Principal, Scope};
use crate::domain::time;
use crate::http::auth::{Admin, Operator, Viewer};
use crate::http::contract::{self, Routes};
use crate::http::errors;
use crate::http::input::{self, Json};
use crate::http::list as lists;
use crate::http::paths;
use crate::http::problem::{Code, Problem};
use crate::http::query::RawQuery;
use crate::http::resource::AsResource as _;
use crate::http::resource::workspace::WorkspaceResource;
use crate::registry::RegistryHandle;
use crate::store::{Deletable, InsertWorkspaceError};

pub fn mount(routes: &mut Routes) {
    routes
        .at("/workspaces", |at| {
            at.post(create, |op| {
                op.named("create_workspace", "Make a workspace.")
                    .takes::<NewWorkspace>()
                    .creates::<WorkspaceResource>("The workspace.")
                    .refuses(&[Code::SlugTaken, Code::AllWorkspacesRequired])
            })
            .read(list, |op| op.named("list_workspaces", "List workspaces.").lists::<Workspace>(&WORKSPACES))
        })
        .at("/workspaces/{workspace}", |at| {
            at.patch(change, |op| {
                op.named("change_workspace", "Change a workspace. What is left out stays as it is.")
                    .takes::<ChangedWorkspace>()
                    .answers::<WorkspaceResource>(200, "The workspace.")
                    .refuses(&[Code::SlugTaken, Code::WorkspaceIsDefault, Code::AllWorkspacesRequired])
            })
            .delete(delete, |op| {
                op.named("delete_workspace", "Delete a workspace and all that is in it.")
                    .empty(204, "It is gone.")
                    .refuses(&[Code::WorkspaceInUse, Code::WorkspaceIsDefault])
            })
            .read(show, |op| {
                op.named("show_workspace", "Show a workspace.").answers::<WorkspaceResource>(200, "The workspace.")
            })
        })
        .at("/workspaces/{workspace}/default", |at| {
            at.put(choose, |op| {
                op.named("choose_workspace", "Make it the one that the caller means when it names none.")
                    .answers::<ChosenWorkspace>(200, "It is.")
            })
        });
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWorkspace {
    #[schema(schema_with = contract::label::<255>)]
    name: String,
    /// Made from the name unless given.
    #[schema(schema_with = contract::optional_label::<255>)]
    slug: Option<String>,
}

async fn create(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    // It would be none of its own.
    require_all(&principal, "can make one")?;
    let new: NewWorkspace = body.required()?;
    let (id, name) = (WorkspaceId::generate(), name(&new.name)?);
    let (slug, other) = match new.slug.as_deref().map(given_slug).transpose()? {
        Some(slug) => (slug, None),
        None => slugs_of(&name, id),
    };
    let mut workspace = Workspace { id, name, slug, created_at: time::micros(Utc::now()), is_default: false };
    match (registry.store().insert_workspace(&workspace).await, other) {
        (Err(InsertWorkspaceError::SlugTaken), Some(other)) => {
            workspace.slug = other;
            registry.store().insert_workspace(&workspace).await?;
        }
        (outcome, _) => outcome?,
    }
    let location = paths::workspace(workspace.id);
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(workspace.as_resource()))
}

async fn list(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (store, query) = (registry.store(), RawQuery::read(&request)?);
    let default = default_of(&registry, &principal).await?;
    let mark = async |workspaces: &mut [Workspace]| {
        workspaces.iter_mut().for_each(|workspace| workspace.is_default = default == Some(workspace.id));
        Ok(())
    };
    lists::respond_refreshed(store, &principal.workspaces, &WORKSPACES, Within::default(), query, mark).await
}

async fn show(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
) -> Result<HttpResponse, Problem> {
    shown(&registry, &principal, *id).await
}

async fn shown(registry: &RegistryHandle, principal: &Principal, id: WorkspaceId) -> Result<HttpResponse, Problem> {
    let mut workspace = find(registry, principal, id).await?;
    workspace.is_default = default_of(registry, principal).await? == Some(id);
    Ok(HttpResponse::Ok().json(workspace.as_resource()))
}

async fn find(registry: &RegistryHandle, principal: &Principal, id: WorkspaceId) -> Result<Workspace, Problem> {
    let found = registry.store().find_workspace(&principal.workspaces, id).await?;
    found.ok_or_else(|| Problem::not_found("the workspace"))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WorkspaceChange)]
#[serde(deny_unknown_fields)]
struct ChangedWorkspace {
    #[schema(schema_with = contract::optional_label::<255>)]
    name: Option<String>,
    #[schema(schema_with = contract::optional_label::<255>)]
    slug: Option<String>,
}

/// What is left out stays as it is.
async fn change(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
    body: Json,
) -> Result<HttpResponse, Problem> {
    let before = find(&registry, &principal, *id).await?;
    let given: ChangedWorkspace = body.required()?;
    let new = (given.name.as_deref().map(name).transpose()?, given.slug.as_deref().map(given_slug).transpose()?);
    if new.1.as_ref().is_some_and(|slug| *slug != before.slug) {
        // Who took `local`, before it is there, would be sent what others mean for the service's own; and the answer
        // tells of workspaces that the caller may not see.
        require_all(&principal, "can change a slug")?;
        keep_own(&before)?;
    }
    if new != (None, None) {
        registry.store().change_workspace(before.id, new.0, new.1).await?;
    }
    shown(&registry, &principal, before.id).await
}

/// With everything in it, unless something there is still running. Logs stay until retention deletes them.
async fn delete(
    Admin(principal): Admin,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
) -> Result<HttpResponse, Problem> {
    let workspace = find(&registry, &principal, *id).await?;
    keep_own(&workspace)?;
    let deleted = registry.delete(workspace.id, Deletable::Workspace).await;
    deleted.map_err(|error| errors::delete(error, "the workspace", Code::WorkspaceInUse))?;
    Ok(HttpResponse::NoContent().finish())
}

fn require_all(principal: &Principal, to: &str) -> Result<(), Problem> {
    match &principal.workspaces {
        Scope::All => Ok(()),
        Scope::Only(_) => {
            Err(Problem::new(Code::AllWorkspacesRequired, format!("only who may see every workspace {to}")))
        }
    }
}

/// The one that is meant by requests that name none.
fn keep_own(workspace: &Workspace) -> Result<(), Problem> {
    match workspace.slug == DEFAULT_WORKSPACE {
        true => Err(Problem::new(Code::WorkspaceIsDefault, Code::WorkspaceIsDefault.advice())),
        false => Ok(()),
    }
}

#[derive(Serialize, ToSchema)]
struct ChosenWorkspace {
    workspace_id: WorkspaceId,
    is_default: bool,
}

/// From now on it is the one that this caller means when it names none.
async fn choose(
    Operator(principal): Operator,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
) -> Result<HttpResponse, Problem> {
    let workspace_id = workspace(&registry, &principal, *id).await?;
    registry.store().choose_workspace(&principal.identity(), workspace_id).await?;
    Ok(HttpResponse::Ok().json(ChosenWorkspace { workspace_id, is_default: true }))
}

/// The workspace of the path, if the caller may see it.
pub(super) async fn workspace(
    registry: &RegistryHandle,
    principal: &Principal,
    id: WorkspaceId,
) -> Result<WorkspaceId, Problem> {
    find(registry, principal, id).await.map(|workspace| workspace.id)
}

/// The workspace that the query names, where it may name nothing else.
pub(super) fn named(request: &HttpRequest) -> Result<Option<String>, Problem> {
    input::only_parameter(request, "workspace_id")
}

/// As [`named_or_default`], for something that must be there already: without its workspace it is not.
pub(super) async fn holding(
    what: &str,
    registry: &RegistryHandle,
    principal: &Principal,
    named: Option<&str>,
) -> Result<WorkspaceId, Problem> {
    named_or_default(registry, principal, named).await?.ok_or_else(|| Problem::not_found(what))
}

/// The workspace that is named, or the caller's default one; none when that is not there yet.
pub(super) async fn named_or_default(
    registry: &RegistryHandle,
    principal: &Principal,
    named: Option<&str>,
) -> Result<Option<WorkspaceId>, Problem> {
    if let Some(text) = named {
        return workspace(registry, principal, input::id_at("workspace_id", text)?).await.map(Some);
    }
    default_of(registry, principal).await
}

/// The workspace that a caller means when it names none: the one it has chosen, else the service's own, else the only
/// one that it may see.
async fn default_of(registry: &RegistryHandle, principal: &Principal) -> Result<Option<WorkspaceId>, Problem> {
    let chosen = registry.store().chosen_workspace(&principal.workspaces, &principal.identity()).await?;
    if chosen.is_some() {
        return Ok(chosen);
    }
    let found = registry.store().find_workspace_by_slug(&principal.workspaces, DEFAULT_WORKSPACE).await?;
    Ok(match (found, &principal.workspaces) {
        (Some(workspace), _) => Some(workspace.id),
        (None, Scope::Only(own)) => own.first().copied().filter(|_| own.len() == 1),
        (None, Scope::All) => None,
    })
}

/// As [`named_or_default`], for who writes: the default workspace is made.
pub(super) async fn to_write_to(
    registry: &RegistryHandle,
    principal: &Principal,
    named: Option<&str>,
) -> Result<WorkspaceId, Problem> {
    if let Some(id) = named_or_default(registry, principal, named).await? {
        return Ok(id);
    }
    if principal.workspaces != Scope::All {
        return Err(Problem::invalid("workspace_id", "one of your workspaces"));
    }
    Ok(registry.store().ensure_workspace(DEFAULT_WORKSPACE, Utc::now()).await?.id)
}

/// What a reader sees of one workspace, or of one that is not there.
pub(super) fn only(workspace_id: Option<WorkspaceId>) -> Scope {
    Scope::Only(workspace_id.into_iter().collect())
}

const MAX_NAME: usize = 255;
const MAX_SLUG: usize = 255;

fn name(given: &str) -> Result<String, Problem> {
    input::name("name", given, MAX_NAME)
}

fn given_slug(given: &str) -> Result<String, Problem> {
    input::label("slug", given, MAX_SLUG)?;
    match slug(given) {
        slug if slug.is_empty() => Err(Problem::invalid("slug", "a text with at least one letter or digit")),
        slug => Ok(slug),
    }
}

/// Lower-case Latin letters and digits; every other run of characters becomes one `-`. Other scripts are written in
/// Latin letters, as far as that can be done without knowing the language.
fn slug(text: &str) -> String {
    let latin = deunicode::deunicode(text);
    let words = latin.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    slug.truncate(MAX_SLUG);
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// What a workspace of this name is called in short, and what else when that is taken: names that differ may be written
/// alike in Latin letters.
fn slugs_of(name: &str, id: WorkspaceId) -> (String, Option<String>) {
    let id = id.to_string().to_ascii_lowercase().replace('_', "-");
    match slug(name) {
        slug if slug.is_empty() => (id, None),
        slug if name.is_ascii() => (slug, None),
        slug => {
            let other = format!("{slug}-{}", &id[id.len() - 6..]);
            (slug, Some(other))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_slug() {
        for (name, expected) in [
            ("North & South", "north-south"),
            ("東京", "dong-jing"),
            ("Zürich 2", "zurich-2"),
            ("Москва", "moskva"),
            ("Ελλάδα", "ellada"),
            ("  a--b  ", "a-b"),
        ] {
            assert_eq!(slugs_of(name, WorkspaceId::generate()).0, expected);
        }
        let id = WorkspaceId::generate();
        let own = id.to_string().to_ascii_lowercase().replace('_', "-");
        for name in ["!!!", "\u{e000}", "—"] {
            assert_eq!(slugs_of(name, id), (own.clone(), None), "{name}");
        }
        let long = slugs_of(&"京".repeat(255), id).0;
        assert!(long.len() <= MAX_SLUG && !long.ends_with('-'), "{long}");
        assert_eq!(slugs_of("Acme", id).1, None);
        assert!(slugs_of("東京", id).1.unwrap().starts_with("dong-jing-"));
    }
}
