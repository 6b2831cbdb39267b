//! Who is calling, and what a caller may do. Handlers take a `Principal` and hand it to every finder.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::status::text_enum;
use super::{KeyId, PersonId, WorkspaceId};

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
    pub who: Who,
    /// For people to read. A person's is what they call themselves, so nothing is decided by it.
    pub name: String,
    pub role: Role,
    pub workspaces: Scope,
}

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Nobody in particular: whoever may use this machine.
    Local,
    Key(KeyId),
    /// Somebody whom a provider of OpenID Connect knows.
    Person(PersonId, Arc<Identity>),
}

/// Who somebody is, by a provider of OpenID Connect. A subject is unique with its issuer only; neither is ever given to
/// somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
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

/// What stands before a subject where callers are named.
const PERSON: &str = "oidc:";

impl Principal {
    /// Whoever may use this machine: everybody where nobody signs in, and the program that brings a service along.
    pub fn local() -> Self {
        Self { who: Who::Local, name: "local".into(), role: Role::Admin, workspaces: Scope::All }
    }

    /// Whether this caller is one of those that `named` names: roles, which mean that role or a higher one, names of keys,
    /// and people as `oidc:<subject>`. Nobody named is anybody, and an admin is always meant.
    pub fn is_among(&self, named: &[String]) -> bool {
        let is_meant = |name: &String| match (Role::parse(name), &self.who) {
            (Some(role), _) => self.role >= role,
            // Not by name: that is theirs to choose.
            (None, Who::Person(_, identity)) => name.strip_prefix(PERSON) == Some(identity.subject.as_str()),
            (None, Who::Local | Who::Key(_)) => self.name == *name,
        };
        named.is_empty() || self.role == Role::Admin || named.iter().any(is_meant)
    }

    /// The same for every request of one caller, and for no other caller's.
    pub fn identity(&self) -> String {
        match &self.who {
            Who::Local => "local".to_owned(),
            Who::Key(id) => id.to_string(),
            Who::Person(id, _) => id.to_string(),
        }
    }

    pub fn key_id(&self) -> Option<KeyId> {
        match self.who {
            Who::Key(id) => Some(id),
            Who::Local | Who::Person(..) => None,
        }
    }

    /// Of a person.
    pub fn person(&self) -> Option<&Identity> {
        match &self.who {
            Who::Person(_, identity) => Some(identity),
            Who::Local | Who::Key(_) => None,
        }
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
    fn a_person_is_named_by_subject_and_never_by_the_name_that_it_gives_itself() {
        let identity = Identity { issuer: "https://login.example".into(), subject: "s-1".into() };
        let who = Who::Person(PersonId::generate(), Arc::new(identity));
        let person = Principal { who, role: Role::Viewer, name: "editors".into(), ..Principal::local() };
        let is_among = |name: &str| person.is_among(&[name.to_owned()]);
        assert!(is_among("viewer") && is_among("oidc:s-1"));
        for other in ["editors", "s-1", "oidc:", "oidc:s-10", "operator"] {
            assert!(!is_among(other), "{other}");
        }
    }

    #[test]
    fn a_role_includes_the_roles_below_it() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
