//! What groups of a provider allow here. Pure.
//!
//! Law: nobody is given more than one of their groups gives: of several, those with the highest role count, and allow it in
//! the workspaces of them all.

use crate::domain::principal::{Role, Scope};

/// What one group allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRole {
    pub group: String,
    pub role: Role,
    pub workspaces: Scope,
}

/// The operator's list.
#[derive(Debug, Clone, Default)]
pub struct Mapping(pub Vec<GroupRole>);

impl Mapping {
    /// None when no group allows anything.
    pub fn of(&self, groups: &[String]) -> Option<(Role, Scope)> {
        let mine: Vec<_> = self.0.iter().filter(|entry| groups.contains(&entry.group)).collect();
        let role = mine.iter().map(|entry| entry.role).max()?;
        let scopes = mine.iter().filter(|entry| entry.role == role).map(|entry| &entry.workspaces);
        let mut ids = Vec::new();
        for scope in scopes {
            match scope {
                Scope::All => return Some((role, Scope::All)),
                Scope::Only(more) => ids.extend_from_slice(more),
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Some((role, Scope::Only(ids)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WorkspaceId;

    #[test]
    fn the_highest_role_counts_where_its_groups_give_it() {
        let (one, two, three) = (WorkspaceId::generate(), WorkspaceId::generate(), WorkspaceId::generate());
        let entry = |group: &str, role, ids: &[WorkspaceId]| {
            let workspaces = if ids.is_empty() { Scope::All } else { Scope::Only(ids.to_vec()) };
            GroupRole { group: group.into(), role, workspaces }
        };
        let mapping = Mapping(vec![
            entry("staff", Role::Viewer, &[]),
            entry("acme", Role::Operator, &[one, two]),
            entry("acme", Role::Operator, &[three]),
            entry("beta", Role::Operator, &[two]),
            entry("root", Role::Admin, &[]),
        ]);
        let of = |groups: &[&str]| mapping.of(&groups.iter().map(|&group| group.to_owned()).collect::<Vec<_>>());
        let only = |ids: &[WorkspaceId]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            Scope::Only(ids)
        };
        assert_eq!(of(&["staff"]), Some((Role::Viewer, Scope::All)));
        assert_eq!(of(&["staff", "beta"]), Some((Role::Operator, only(&[two]))), "not operator everywhere");
        assert_eq!(of(&["acme", "beta"]), Some((Role::Operator, only(&[one, two, three]))));
        assert_eq!(of(&["beta", "root"]), Some((Role::Admin, Scope::All)));
        for none in [&[][..], &["Staff"], &["staff "], &["others"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
