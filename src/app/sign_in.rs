//! Who signs people in, by the settings.

use crate::config::{AccessSettings, GroupSetting, MappedRole};
use crate::domain::WorkspaceId;
use crate::domain::principal::{Role, Scope};
use crate::http::paths::OIDC_CALLBACK;
use crate::oidc::{GroupRole, Mapping, Oidc, Options, SetUpError};

/// Nobody can be signed in by the provider of the settings.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("ADE_OIDC_GROUPS: {0} is no id of a workspace")]
    Workspace(String),
    #[error("sign-in by OpenID Connect: {0}")]
    SetUp(#[from] SetUpError),
}

/// Who signs people in, if the settings name anybody and people sign in at all. Nobody is asked anything yet.
pub fn provider(settings: &AccessSettings) -> Result<Option<Oidc>, OidcError> {
    let Some(oidc) = settings.oidc.as_ref().filter(|_| settings.sign_in) else { return Ok(None) };
    let options = Options {
        issuer: oidc.issuer.clone(),
        name: oidc.name.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: oidc.client_secret.clone(),
        redirect_url: format!("{}{OIDC_CALLBACK}", oidc.public_url),
        scopes: oidc.scopes.clone(),
        groups_claim: oidc.groups_claim.clone(),
        mapping: Mapping(oidc.groups.iter().map(group_role).collect::<Result<_, _>>()?),
        session_life: oidc.session_total,
        ca_file: oidc.ca_file.clone(),
    };
    Ok(Some(Oidc::new(options)?))
}

fn group_role(setting: &GroupSetting) -> Result<GroupRole, OidcError> {
    let ids = setting.workspaces.iter();
    let ids = ids.map(|id| WorkspaceId::parse(id).map_err(|_| OidcError::Workspace(id.clone())));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let role = match setting.role {
        MappedRole::Viewer => Role::Viewer,
        MappedRole::Operator => Role::Operator,
        MappedRole::Admin => Role::Admin,
    };
    let workspaces = if ids.is_empty() { Scope::All } else { Scope::Only(ids) };
    Ok(GroupRole { group: setting.group.clone(), role, workspaces })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_that_is_none_is_named() {
        let setting = |workspaces: &[&str]| {
            let workspaces = workspaces.iter().map(|&id| id.to_owned()).collect();
            group_role(&GroupSetting { group: "a".into(), role: MappedRole::Viewer, workspaces })
        };
        assert_eq!(setting(&[]).unwrap().workspaces, Scope::All);
        assert!(setting(&["ws_01J00000000000000000000000"]).is_ok());
        let error = setting(&["ws_01j00000000000000000000000"]).unwrap_err().to_string();
        assert!(error.contains("ws_01j"), "{error}");
    }
}
