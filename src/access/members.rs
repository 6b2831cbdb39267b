//! Members of workspaces: changed in the database and in memory before that is acknowledged.

use chrono::Utc;

use super::Access;
use crate::domain::WorkspaceId;
use crate::domain::access::Holder;
use crate::domain::member::{Member, MemberRole};
use crate::domain::principal::{Identity, Principal};
use crate::domain::time::micros;
use crate::store::{AddMemberError, StoreError};

impl Access {
    pub async fn add_member(
        &self,
        workspace_id: WorkspaceId,
        (holder, name): (Holder, String),
        role: MemberRole,
        by: &Principal,
    ) -> Result<Member, AddMemberError> {
        let _changes = self.changes().await;
        let member = Member { holder, name, role, added_by: by.name.clone(), added_at: micros(Utc::now()) };
        self.store().add_member(workspace_id, &member).await?;
        self.read_members().await?;
        Ok(member)
    }

    /// False when it is no member.
    pub async fn change_member(
        &self,
        workspace_id: WorkspaceId,
        holder: Holder,
        role: MemberRole,
    ) -> Result<bool, StoreError> {
        let _changes = self.changes().await;
        let is_changed = self.store().change_member(workspace_id, holder, role).await?;
        self.read_members().await?;
        Ok(is_changed)
    }

    /// False when it is no member.
    pub async fn remove_member(&self, workspace_id: WorkspaceId, holder: Holder) -> Result<bool, StoreError> {
        let _changes = self.changes().await;
        let is_removed = self.store().remove_member(workspace_id, holder).await?;
        self.read_members().await?;
        Ok(is_removed)
    }

    /// Whether somebody whom a provider names is a member of anything.
    pub async fn is_member(&self, identity: &Identity) -> Result<bool, StoreError> {
        self.store().is_member(identity).await
    }

    /// While changes are held.
    pub(super) async fn read_members(&self) -> Result<(), StoreError> {
        let rows = self.store().memberships().await?;
        self.book().take_over_members(rows);
        Ok(())
    }
}
