//! What callers may do in single workspaces, besides what their key or their groups allow. Pure.
//!
//! Law: a membership adds something in its own workspace and takes nothing away; nobody is an admin by one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::WorkspaceId;
use super::access::Holder;
use super::principal::{Principal, Role, Scope};
use super::status::text_enum;
use super::time::Timestamp;

text_enum! {
    /// What a member may do in its workspace.
    #[derive(PartialOrd, Ord)]
    MemberRole { Viewer = "viewer", Operator = "operator" }
}

impl From<MemberRole> for Role {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Viewer => Self::Viewer,
            MemberRole::Operator => Self::Operator,
        }
    }
}

/// What a caller may do in one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Membership {
    pub workspace_id: WorkspaceId,
    pub role: MemberRole,
}

/// A key or a person, in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub holder: Holder,
    /// The key's, or what the person calls themselves.
    pub name: String,
    pub role: MemberRole,
    pub added_by: String,
    pub added_at: Timestamp,
}

/// The caller as one of that role, in all workspaces where it has it; none where there are none. An admin stays one.
pub fn acting_as(own: &Principal, memberships: &[Membership], needed: Role) -> Option<Principal> {
    if own.role == Role::Admin {
        return Some(own.clone());
    }
    let more = memberships.iter().filter(|membership| Role::from(membership.role) >= needed);
    let more: Vec<_> = more.map(|membership| membership.workspace_id).collect();
    let workspaces = match own.role >= needed {
        true => joined(&own.workspaces, more),
        false if more.is_empty() => return None,
        false => Scope::Only(more),
    };
    Some(Principal { role: needed, workspaces, ..own.clone() })
}

fn joined(scope: &Scope, more: Vec<WorkspaceId>) -> Scope {
    match scope {
        Scope::All => Scope::All,
        Scope::Only(own) => {
            let more = more.into_iter().filter(|id| !own.contains(id));
            Scope::Only(own.iter().copied().chain(more).collect())
        }
    }
}

/// Whether something that was allowed is not allowed any more.
pub fn takes_away(before: &[Membership], now: &[Membership]) -> bool {
    let is_kept = |old: &Membership| now.iter().any(|new| new.workspace_id == old.workspace_id && new.role >= old.role);
    !before.iter().all(is_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, workspaces: Scope) -> Principal {
        Principal { role, workspaces, ..Principal::local() }
    }

    fn member(workspace_id: WorkspaceId, role: MemberRole) -> Membership {
        Membership { workspace_id, role }
    }

    #[test]
    fn a_membership_counts_in_its_workspace_and_up_to_its_role() {
        let [own, read, written] = [(); 3].map(|()| WorkspaceId::generate());
        let memberships = [member(read, MemberRole::Viewer), member(written, MemberRole::Operator)];
        let seen = |role, scope, needed| {
            acting_as(&caller(role, scope), &memberships, needed)
                .map(|principal| (principal.role, principal.workspaces))
        };
        let only = |ids: &[WorkspaceId]| Scope::Only(ids.to_vec());
        for (role, scope, needed, expected) in [
            (Role::Viewer, only(&[own]), Role::Viewer, Some(only(&[own, read, written]))),
            (Role::Viewer, only(&[own]), Role::Operator, Some(only(&[written]))),
            (Role::Viewer, only(&[own]), Role::Admin, None),
            (Role::Viewer, only(&[]), Role::Viewer, Some(only(&[read, written]))),
            (Role::Viewer, Scope::All, Role::Viewer, Some(Scope::All)),
            (Role::Viewer, Scope::All, Role::Operator, Some(only(&[written]))),
            (Role::Operator, only(&[own, read]), Role::Viewer, Some(only(&[own, read, written]))),
            (Role::Operator, only(&[own]), Role::Operator, Some(only(&[own, written]))),
            (Role::Operator, Scope::All, Role::Admin, None),
        ] {
            assert_eq!(
                seen(role, scope.clone(), needed),
                expected.map(|all| (needed, all)),
                "{role} {scope:?} {needed}"
            );
        }
        let admin = Principal::local();
        assert_eq!(acting_as(&admin, &memberships, Role::Viewer), Some(admin.clone()));
        let alone = caller(Role::Viewer, only(&[own]));
        assert_eq!(acting_as(&alone, &[], Role::Viewer), Some(alone.clone()));
        assert_eq!(acting_as(&alone, &[], Role::Operator), None);
    }

    #[test]
    fn only_what_is_less_than_before_takes_something_away() {
        let [one, other] = [(); 2].map(|()| WorkspaceId::generate());
        let (viewer, operator) = (MemberRole::Viewer, MemberRole::Operator);
        for (before, now, is_less) in [
            (vec![], vec![member(one, viewer)], false),
            (vec![member(one, viewer)], vec![member(one, viewer), member(other, viewer)], false),
            (vec![member(one, viewer)], vec![member(one, operator)], false),
            (vec![member(one, operator)], vec![member(one, viewer)], true),
            (vec![member(one, viewer)], vec![member(other, operator)], true),
            (vec![member(one, viewer)], vec![], true),
        ] {
            assert_eq!(takes_away(&before, &now), is_less, "{before:?} {now:?}");
        }
    }
}
