//! Keys of the interface, for admins.

use actix_web::http::header::{CacheControl, CacheDirective};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::handle::MAX_WORKSPACES;
use crate::access::{Access, NewKey};
use crate::domain::principal::{Role, Scope};
use crate::domain::{KeyId, WorkspaceId};
use crate::http::auth::Admin;
use crate::http::contract::{self, Routes};
use crate::http::input::{self, Json};
use crate::http::paths;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::query::NoQuery;
use crate::http::resource::AsResource as _;
use crate::http::resource::api_key::{ApiKeyList, ApiKeyResource, NewKeyResource};
use crate::registry::RegistryHandle;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/api-keys", |at| {
            at.post(create, |op| {
                op.named("create_api_key", "Make a key. No other answer has its secret.")
                    .takes::<NewKeyBody>()
                    .creates::<NewKeyResource>("The key, and its secret.")
                    .refuses(&[Code::TooManyKeys, Code::InvalidId])
            })
            .read(list, |op| {
                op.named("list_api_keys", "List every key that there ever was.")
                    .answers::<ApiKeyList>(200, "The newest first.")
            })
        })
        .at("/api-keys/{key}", |at| {
            at.delete(revoke, |op| {
                op.named("revoke_api_key", "It lets nobody in from now on, and what goes on under it ends.")
                    .empty(204, "It is revoked.")
            })
            .read(show, |op| op.named("show_api_key", "Show a key.").answers::<ApiKeyResource>(200, "The key."))
        });
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ApiKeyToMake)]
#[serde(deny_unknown_fields)]
struct NewKeyBody {
    #[schema(schema_with = contract::label::<100>)]
    name: String,
    role: Role,
    /// Null for all.
    #[schema(value_type = Option<Vec<WorkspaceId>>)]
    workspaces: Option<Vec<String>>,
    /// In the future; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime<Utc>>,
}

/// The only answer that has the secret.
async fn create(
    Admin(principal): Admin,
    access: web::Data<Access>,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Problem> {
    input::no_idempotency_key(&request)?;
    let body: NewKeyBody = body.required()?;
    let workspaces = match &body.workspaces {
        None => Scope::All,
        Some(ids) => Scope::Only(existing(&registry, ids).await?),
    };
    let new = NewKey { name: body.name, role: body.role, workspaces, expires_at: body.expires_at };
    let (key, secret) = access.create_key(new, &principal).await?;
    tracing::info!(key = %key.id, name = key.name, role = %key.role, by = principal.name, "key created");
    Ok(HttpResponse::Created()
        .insert_header(("Location", paths::api_key(key.id)))
        .insert_header(CacheControl(vec![CacheDirective::NoStore]))
        .json(NewKeyResource::of(&key, &secret)))
}

/// The workspaces of these ids, each once.
async fn existing(registry: &RegistryHandle, ids: &[String]) -> Result<Vec<WorkspaceId>, Problem> {
    let mut found = Vec::new();
    // Too many are refused for their number.
    for (at, text) in ids.iter().take(MAX_WORKSPACES + 1).enumerate() {
        let place = |code, message: &str| FieldError::new(format!("workspaces[{at}]"), code, message);
        let id = input::id(text).map_err(|problem| problem.error(place("invalid_id", "a workspace id")))?;
        if registry.store().find_workspace(&Scope::All, id).await?.is_none() {
            let detail = format!("there is no workspace {id}");
            let error = place("not_found", &detail);
            return Err(Problem::new(Code::InvalidRequest, detail).error(error));
        }
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Every key that there ever was, newest first.
async fn list(_: Admin, _: NoQuery, access: web::Data<Access>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(ApiKeyList::of(&access.keys().await?)))
}

async fn show(
    _: Admin,
    _: NoQuery,
    registry: web::Data<RegistryHandle>,
    id: web::Path<KeyId>,
) -> Result<HttpResponse, Problem> {
    let key = registry.store().find_api_key(*id).await?.ok_or_else(|| Problem::not_found("the key"))?;
    Ok(HttpResponse::Ok().json(key.as_resource()))
}

/// It lets nobody in from now on, and what goes on under it ends. To repeat it changes nothing.
async fn revoke(
    Admin(principal): Admin,
    access: web::Data<Access>,
    registry: web::Data<RegistryHandle>,
    id: web::Path<KeyId>,
) -> Result<HttpResponse, Problem> {
    if access.revoke_key(*id).await? {
        tracing::info!(key = %*id, by = principal.name, "key revoked");
    } else {
        registry.store().find_api_key(*id).await?.ok_or_else(|| Problem::not_found("the key"))?;
    }
    Ok(HttpResponse::NoContent().finish())
}
