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
    /// The person at this machine: the service listens on loopback only, and there is no sign-in yet.
    pub fn local() -> Self {
        Self { key_id: None, name: "local".into(), role: Role::Admin, workspaces: Scope::All }
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
    fn a_role_includes_the_roles_below_it() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
