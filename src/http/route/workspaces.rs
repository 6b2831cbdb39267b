//! Workspaces.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;

use super::read::Read as _;
use crate::domain::WorkspaceId;
use crate::domain::configuration::{DEFAULT_WORKSPACE, Workspace};
use crate::domain::list::{WORKSPACES, Within};
use crate::domain::principal::{Principal, Scope};
use crate::domain::time;
use crate::http::auth::{Operator, Viewer};
use crate::http::input::{self, Json};
use crate::http::list as lists;
use crate::http::paths::API;
use crate::http::problem::{Code, Problem};
use crate::http::query::RawQuery;
use crate::http::resource::AsResource as _;
use crate::registry::RegistryHandle;
use crate::store::InsertWorkspaceError;

pub fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/workspaces").route(web::post().to(create)).read(list))
        .service(web::resource("/workspaces/{workspace}").read(show));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWorkspace {
    name: String,
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
    if principal.workspaces != Scope::All {
        return Err(Problem::new(Code::AllWorkspacesRequired, "only who may see every workspace can make one"));
    }
    let new: NewWorkspace = body.required()?;
    let name = new.name.trim().to_owned();
    input::label("name", &name, 255)?;
    new.slug.as_deref().map_or(Ok(()), |slug| input::label("slug", slug, 255))?;
    let id = WorkspaceId::generate();
    let (slug, other) = match new.slug.as_deref().map(slug) {
        Some(slug) if slug.is_empty() => {
            return Err(Problem::invalid("slug", "a text with at least one letter or digit"));
        }
        Some(slug) => (slug, None),
        None => slugs_of(&name, id),
    };
    let mut workspace = Workspace { id, name, slug, created_at: time::micros(Utc::now()) };
    match (registry.store().insert_workspace(&workspace).await, other) {
        (Err(InsertWorkspaceError::SlugTaken), Some(other)) => {
            workspace.slug = other;
            registry.store().insert_workspace(&workspace).await?;
        }
        (outcome, _) => outcome?,
    }
    let location = format!("{API}/workspaces/{}", workspace.id);
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(workspace.as_resource()))
}

async fn list(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (store, query) = (registry.store(), RawQuery::read(&request)?);
    lists::respond::<Workspace>(store, &principal.workspaces, &WORKSPACES, Within::default(), query).await
}

async fn show(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    id: web::Path<WorkspaceId>,
) -> Result<HttpResponse, Problem> {
    let found = registry.store().find_workspace(&principal.workspaces, *id).await?;
    found
        .map(|workspace| HttpResponse::Ok().json(workspace.as_resource()))
        .ok_or_else(|| Problem::not_found("the workspace"))
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

const MAX_SLUG: usize = 255;

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
