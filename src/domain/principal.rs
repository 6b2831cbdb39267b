//! Who is calling, and what a caller may do. Handlers take a `Principal` and hand it to every finder.

use super::status::text_enum;
use super::{KeyId, WorkspaceId};

text_enum! {
    /// What a caller may do; each may do what those before it may.
    #[derive(PartialOrd, Ord)]
    Role {
        /// Reads, in its workspaces.
        Viewer = "viewer",
        /// Creates, changes, cancels and answers, in its workspaces.
        Operator = "operator",
        /// Everything, the service itself included.
        Admin = "admin",
    }
}

/// The caller, and what it may see and do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub key_id: Option<KeyId>,
    pub name: String,
    pub role: Role,
    pub workspaces: Scope,
}

/// The workspaces that a caller's queries are limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Only(Vec<WorkspaceId>),
}

impl Scope {
    pub fn allows(&self, workspace_id: WorkspaceId) -> bool {
        match self {
            Self::All => true,
            Self::Only(list) => list.contains(&workspace_id),
        }
    }
}

impl Principal {
    /// Whoever may use this machine: everybody where nobody signs in, and the program that brings a service along.
    pub fn local() -> Self {
        Self { key_id: None, name: "local".into(), role: Role::Admin, workspaces: Scope::All }
    }

    /// Whether this caller is one of those that `named` names: roles, which mean that role or a higher one, and names of keys.
    /// Nobody named is anybody, and an admin is always meant.
    pub fn is_among(&self, named: &[String]) -> bool {
        let is_meant = |name: &String| match Role::parse(name) {
            Some(role) => self.role >= role,
            None => self.name == *name,
        };
        named.is_empty() || self.role == Role::Admin || named.iter().any(is_meant)
    }

    /// The same for every request of one caller, and for no other caller's.
    pub fn identity(&self) -> String {
        self.key_id.map_or_else(|| "local".to_owned(), |id| id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_named_by_its_key_or_by_its_role() {
        let caller = |role, name: &str| Principal { role, name: name.into(), ..Principal::local() };
        let editor = caller(Role::Operator, "editors");
        let is_among = |names: &[&str]| editor.is_among(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        for meant in [&[][..], &["editors"], &["board", "editors"], &["operator"], &["viewer"]] {
            assert!(is_among(meant), "{meant:?}");
        }
        for others in [&["board"][..], &["admin"], &["Editors", "board"]] {
            assert!(!is_among(others), "{others:?}");
        }
        assert!(caller(Role::Admin, "x").is_among(&["board".to_owned()]));
    }

    #[test]
    fn a_role_includes_the_roles_below_it() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
