//! The key resource. No secret is in it but in the answer that makes it.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::AsResource;
use crate::domain::access::ApiKey;
use crate::domain::principal::{Role, Scope};
use crate::domain::{KeyId, WorkspaceId, time};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyResource<'a> {
    id: KeyId,
    #[schema(pattern = "^ade[.]api_key$")]
    object: &'static str,
    name: &'a str,
    role: Role,
    /// Null for all.
    workspaces: Option<&'a [WorkspaceId]>,
    created_by: &'a str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// A key with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub struct NewKeyResource<'a> {
    #[serde(flatten)]
    resource: ApiKeyResource<'a>,
    key: &'a str,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyList<'a> {
    items: Vec<ApiKeyResource<'a>>,
    total: usize,
}

impl<'a> ApiKeyList<'a> {
    pub fn of(keys: &'a [ApiKey]) -> Self {
        Self { items: keys.iter().map(ApiKey::as_resource).collect(), total: keys.len() }
    }
}

impl<'a> NewKeyResource<'a> {
    pub fn of(key: &'a ApiKey, secret: &'a SecretString) -> Self {
        Self { resource: key.as_resource(), key: secret.expose_secret() }
    }
}

/// The workspaces of a scope; none when it is all of them.
pub fn workspaces(scope: &Scope) -> Option<&[WorkspaceId]> {
    match scope {
        Scope::All => None,
        Scope::Only(ids) => Some(ids),
    }
}

impl AsResource for ApiKey {
    type Resource<'a> = ApiKeyResource<'a>;

    fn as_resource(&self) -> ApiKeyResource<'_> {
        ApiKeyResource {
            id: self.id,
            object: "ade.api_key",
            name: &self.name,
            role: self.role,
            workspaces: workspaces(&self.workspaces),
            created_by: &self.created_by,
            created_at: time::format(self.created_at),
            expires_at: self.expires_at.map(time::format),
            last_used_at: self.last_used_at.map(time::format),
            revoked_at: self.revoked_at.map(time::format),
        }
    }
}
