//! Sign-in by a provider of OpenID Connect.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use secrecy::SecretString;

use super::reader::{Reader, SettingsError};
use super::value::{BaseUrl, MappedRole, Names, Period, Secret, SettingValue, quoted};

/// A provider, and what its groups allow here.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// `ADE_OIDC_ISSUER`, unset: there is none.
    pub issuer: String,
    /// `ADE_OIDC_NAME`, unset: the host of the issuer. What people call it.
    pub name: String,
    /// `ADE_OIDC_CLIENT_ID`.
    pub client_id: String,
    /// `ADE_OIDC_CLIENT_SECRET`, unset: a public client, which PKCE alone protects.
    pub client_secret: Option<SecretString>,
    /// `ADE_PUBLIC_URL`. Where browsers find this service.
    pub public_url: String,
    /// `ADE_OIDC_SCOPES`, `profile,email`, besides `openid`.
    pub scopes: Vec<String>,
    /// `ADE_OIDC_GROUPS_CLAIM`, `groups`.
    pub groups_claim: String,
    /// `ADE_OIDC_GROUPS`.
    pub groups: Vec<GroupSetting>,
    /// `ADE_OIDC_SESSION_TIMEOUT`, `12h`. Then the provider is asked again.
    pub session_total: Duration,
    /// `ADE_OIDC_CA_FILE`, unset. Certificates that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

impl OidcSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Option<Self>, SettingsError> {
        let issuer = reader.optional::<Issuer>("oidc_issuer")?;
        let name = reader.optional::<String>("oidc_name")?;
        let client_id = reader.optional::<String>("oidc_client_id")?;
        let client_secret = reader.optional::<Secret>("oidc_client_secret")?.map(|secret| secret.0);
        let public_url = reader.optional::<BaseUrl>("public_url")?;
        let scopes = reader.required::<Names>("oidc_scopes")?.0;
        let groups_claim = reader.required("oidc_groups_claim")?;
        let groups = reader.optional::<Groups>("oidc_groups")?;
        let session_total = reader.required::<Period>("oidc_session_timeout")?.0;
        let ca_file = reader.optional("oidc_ca_file")?;
        let Some(Issuer(issuer)) = issuer else {
            let lonely = [
                ("oidc_name", name.is_some()),
                ("oidc_client_id", client_id.is_some()),
                ("oidc_client_secret", client_secret.is_some()),
                ("oidc_groups", groups.is_some()),
            ];
            let lonely = lonely.into_iter().find(|(_, is_set)| *is_set);
            return lonely.map_or(Ok(None), |(key, _)| Err(SettingsError::Alone { key, missing: "oidc_issuer" }));
        };
        let missing = |missing| SettingsError::Alone { key: "oidc_issuer", missing };
        Ok(Some(Self {
            name: name.unwrap_or_else(|| host(&issuer).to_owned()),
            issuer,
            client_id: client_id.ok_or_else(|| missing("oidc_client_id"))?,
            client_secret,
            public_url: public_url.ok_or_else(|| missing("public_url"))?.0,
            scopes,
            groups_claim,
            groups: groups.ok_or_else(|| missing("oidc_groups"))?.0,
            session_total,
            ca_file,
        }))
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

/// The name of a provider, which is where it is asked: compared to the letter, so a slash at its end stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(pub String);

impl SettingValue for Issuer {
    const ALLOWED: &'static str = "a URL https://<host>[:<port>][/<path>] without user, query and fragment, as the provider writes it; http:// only \
         of a loopback address";

    fn parse(text: &str) -> Option<Self> {
        let BaseUrl(url) = BaseUrl::parse(text)?;
        let is_allowed = match url.strip_prefix("http://") {
            None => true,
            Some(rest) => {
                let host = rest.split('/').next().unwrap_or(rest);
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                name == "localhost"
                    || name == "[::1]"
                    || name.parse::<std::net::Ipv4Addr>().is_ok_and(|it| it.is_loopback())
            }
        };
        is_allowed.then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// What a group allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSetting {
    pub group: String,
    pub role: MappedRole,
    /// Ids; none for all.
    pub workspaces: Vec<String>,
}

/// `<group>=<role>[:<workspace>+<workspace>]`, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(pub Vec<GroupSetting>);

/// What would be taken for the end of a group.
const ESCAPED: &AsciiSet = &CONTROLS.add(b',').add(b'%').add(b' ');

impl Groups {
    fn entry(text: &str) -> Option<GroupSetting> {
        // Names of directories have `=` in them, roles and ids do not.
        let (group, allowed) = text.trim().rsplit_once('=')?;
        let group = percent_decode_str(group.trim()).decode_utf8().ok()?.into_owned();
        let (role, workspaces) = match allowed.split_once(':') {
            Some((role, ids)) => (role, ids.split('+').map(|id| id.trim().to_owned()).collect()),
            None => (allowed, Vec::new()),
        };
        let role = MappedRole::parse(role.trim())?;
        let is_id = |id: &String| id.len() == 29 && id.starts_with("ws_");
        // An admin's role is for all workspaces.
        let is_right = role != MappedRole::Admin || workspaces.is_empty();
        (!group.is_empty() && is_right && workspaces.iter().all(is_id)).then_some(GroupSetting {
            group,
            role,
            workspaces,
        })
    }
}

impl SettingValue for Groups {
    const ALLOWED: &'static str = "<group>=<role>, or <group>=<role>:<workspace>+<workspace>, separated by commas: roles are viewer, operator and \
         admin, workspaces are ids (ws_...), an admin's role is for all of them; a comma in a group is written %2C";

    fn parse(text: &str) -> Option<Self> {
        let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
        let entries = entries.map(Self::entry).collect::<Option<Vec<_>>>()?;
        (!entries.is_empty()).then_some(Self(entries))
    }

    fn to_toml(&self) -> String {
        let entry = |entry: &GroupSetting| {
            let group = utf8_percent_encode(&entry.group, ESCAPED);
            let colon = if entry.workspaces.is_empty() { "" } else { ":" };
            format!("{group}={}{colon}{}", entry.role.as_str(), entry.workspaces.join("+"))
        };
        quoted(&self.0.iter().map(entry).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ws_01J00000000000000000000001";
    const TWO: &str = "ws_01J00000000000000000000002";

    #[test]
    fn groups_are_given_roles_and_workspaces() {
        let text = format!("ade-admins=admin, /acme/editors=operator:{ONE}+{TWO},cn=ade%2Cou=x=viewer");
        let groups = Groups::parse(&text).unwrap();
        let entry = |group: &str, role, workspaces: &[&str]| GroupSetting {
            group: group.into(),
            role,
            workspaces: workspaces.iter().map(|&id| id.into()).collect(),
        };
        let expected = [
            entry("ade-admins", MappedRole::Admin, &[]),
            entry("/acme/editors", MappedRole::Operator, &[ONE, TWO]),
            entry("cn=ade,ou=x", MappedRole::Viewer, &[]),
        ];
        assert_eq!(groups.0, expected);
        let literal = groups.to_toml();
        assert_eq!(Groups::parse(literal.trim_matches('"')), Some(groups), "{literal}");
        let bound_admin = format!("a=admin:{ONE}");
        for wrong in ["", ",", "a", "a=", "=viewer", "a=root", "a=viewer:", "a=viewer:acme", "%ff=viewer", &bound_admin]
        {
            assert_eq!(Groups::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_issuer_is_asked_by_tls_and_kept_to_the_letter() {
        for good in
            ["https://login.example/realms/acme", "https://login.example/", "http://127.0.0.1:9000", "http://localhost"]
        {
            assert_eq!(Issuer::parse(good).map(|issuer| issuer.0).as_deref(), Some(good));
        }
        for wrong in
            ["http://login.example", "http://127.0.0.1.evil.example", "login.example", "https://a/?b", "https://u@a"]
        {
            assert_eq!(Issuer::parse(wrong), None, "{wrong}");
        }
    }
}
