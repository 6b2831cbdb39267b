//! Who is calling. Handlers take a `Principal` and hand it to every finder, so that signing in changes one place.

use super::{KeyId, WorkspaceId};

/// The caller, and what it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub key_id: Option<KeyId>,
    pub name: String,
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
        Self { key_id: None, name: "local".into(), workspaces: Scope::All }
    }

    /// The same for every request of one caller, and for no other caller's.
    pub fn identity(&self) -> String {
        self.key_id.map_or_else(|| "local".to_owned(), |id| id.to_string())
    }
}
