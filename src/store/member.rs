//! Members of workspaces: which keys and people may do more there than elsewhere.

use std::collections::HashMap;

use entity::member::{ActiveModel, Column, Entity, Model};
use entity::{api_key, person};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Set, SqlErr,
};

use super::cells::{Cells, storable};
use super::deletion::hold_workspace;
use super::list::visible;
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::access::Holder;
use crate::domain::member::{Member, MemberRole, Membership};
use crate::domain::principal::Scope;
use crate::domain::time::micros;

/// Of the whole service: they are read again every two seconds.
pub const MAX_MEMBERS: u64 = 5_000;
/// Workspaces of one key or person: each of its queries names them.
pub const MAX_MEMBERSHIPS: u64 = 100;

#[derive(Debug, thiserror::Error)]
pub enum AddMemberError {
    #[error("the workspace does not exist any more")]
    WorkspaceGone,
    #[error("it is a member of the workspace already")]
    AlreadyMember,
    #[error("it is a member of {MAX_MEMBERSHIPS} workspaces")]
    TooManyOfHolder,
    #[error("there are {MAX_MEMBERS} members of workspaces")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for AddMemberError {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::AlreadyMember,
            _ => Self::Store(error.into()),
        }
    }
}

impl Store {
    pub async fn add_member(&self, workspace_id: WorkspaceId, member: &Member) -> Result<(), AddMemberError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        if !hold_workspace(&transaction, workspace_id).await? {
            return Err(AddMemberError::WorkspaceGone);
        }
        check_room(&transaction, member.holder).await?;
        Entity::insert(storable(row(workspace_id, member))).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// False when it is no member.
    pub async fn change_member(
        &self,
        workspace_id: WorkspaceId,
        holder: Holder,
        role: MemberRole,
    ) -> Result<bool, StoreError> {
        let change = ActiveModel { role: Set(role.as_str().to_owned()), ..Default::default() };
        let update = Entity::update_many().set(change).filter(one(workspace_id, holder));
        Ok(update.exec(&*self.write().await).await?.rows_affected > 0)
    }

    /// False when it is no member.
    pub async fn remove_member(&self, workspace_id: WorkspaceId, holder: Holder) -> Result<bool, StoreError> {
        let delete = Entity::delete_many().filter(one(workspace_id, holder));
        Ok(delete.exec(&*self.write().await).await?.rows_affected > 0)
    }

    /// Those who were added first come first.
    pub async fn members(&self, scope: &Scope, workspace_id: WorkspaceId) -> Result<Vec<Member>, StoreError> {
        let select = Entity::find().filter(Column::WorkspaceId.eq(workspace_id.to_string()));
        let select = select.filter(visible(scope, Column::WorkspaceId));
        let rows = select.order_by_asc(Column::AddedAt).order_by_asc(Column::Holder).all(self.read()).await?;
        let names = self.names(rows.iter().map(|row| row.holder.clone()).collect()).await?;
        rows.into_iter().map(|row| record(row, &names)).collect()
    }

    pub async fn find_member(
        &self,
        scope: &Scope,
        workspace_id: WorkspaceId,
        holder: Holder,
    ) -> Result<Option<Member>, StoreError> {
        let select = Entity::find().filter(one(workspace_id, holder)).filter(visible(scope, Column::WorkspaceId));
        let Some(row) = select.one(self.read()).await? else { return Ok(None) };
        let names = self.names(vec![row.holder.clone()]).await?;
        record(row, &names).map(Some)
    }

    /// What each key and each person may do besides, in the order of their ids.
    pub async fn memberships(&self) -> Result<Vec<(Holder, Membership)>, StoreError> {
        let rows =
            Entity::find().order_by_asc(Column::Holder).order_by_asc(Column::WorkspaceId).all(self.read()).await?;
        rows.iter().map(membership).collect()
    }

    /// What a key that is not revoked is called, or a person; none when there is none.
    pub async fn holder_name(&self, holder: Holder) -> Result<Option<String>, StoreError> {
        Ok(self.names(vec![holder.to_string()]).await?.remove(&holder.to_string()))
    }

    /// By their ids; those of revoked keys are not there.
    async fn names(&self, holders: Vec<String>) -> Result<HashMap<String, String>, StoreError> {
        use {api_key::Column as OfKey, person::Column as OfPerson};
        let keys = api_key::Entity::find().select_only().columns([OfKey::Id, OfKey::Name]);
        let keys = keys.filter(OfKey::Id.is_in(&holders)).filter(OfKey::RevokedAt.is_null());
        let people = person::Entity::find().select_only().columns([OfPerson::Id, OfPerson::Name]);
        let people = people.filter(OfPerson::Id.is_in(&holders));
        let mut names: Vec<(String, String)> = keys.into_tuple().all(self.read()).await?;
        names.extend(people.into_tuple::<(String, String)>().all(self.read()).await?);
        Ok(names.into_iter().collect())
    }
}

async fn check_room(transaction: &DatabaseTransaction, holder: Holder) -> Result<(), AddMemberError> {
    let of_holder = Entity::find().filter(Column::Holder.eq(holder.to_string())).count(transaction).await?;
    if of_holder >= MAX_MEMBERSHIPS {
        return Err(AddMemberError::TooManyOfHolder);
    }
    match Entity::find().count(transaction).await? {
        MAX_MEMBERS.. => Err(AddMemberError::TooMany),
        _ => Ok(()),
    }
}

fn one(workspace_id: WorkspaceId, holder: Holder) -> Condition {
    let of_workspace = Column::WorkspaceId.eq(workspace_id.to_string());
    Condition::all().add(of_workspace).add(Column::Holder.eq(holder.to_string()))
}

fn row(workspace_id: WorkspaceId, member: &Member) -> ActiveModel {
    ActiveModel {
        workspace_id: Set(workspace_id.to_string()),
        holder: Set(member.holder.to_string()),
        role: Set(member.role.as_str().to_owned()),
        added_by: Set(member.added_by.clone()),
        added_at: Set(micros(member.added_at)),
    }
}

fn record(row: Model, names: &HashMap<String, String>) -> Result<Member, StoreError> {
    let (holder, Membership { role, .. }) = membership(&row)?;
    let name = names.get(&row.holder).cloned().unwrap_or_default();
    Ok(Member { holder, name, role, added_by: row.added_by, added_at: row.added_at })
}

fn membership(row: &Model) -> Result<(Holder, Membership), StoreError> {
    let cells = Cells { table: "members", id: &row.holder };
    let workspace_id = cells.id("workspace_id", &row.workspace_id)?;
    let role = cells.word("role", MemberRole::parse, &row.role)?;
    Ok((cells.id("holder", &row.holder)?, Membership { workspace_id, role }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::KeyId;
    use crate::domain::access::{ApiKey, SecretDigest};
    use crate::store::Deletable;
    use crate::store::api_key::tests::key;
    use crate::store::fixture::{TestStore, at, workspace};
    use crate::store::person::tests::{identity, known};

    fn member(holder: Holder, name: &str, role: MemberRole) -> Member {
        Member { holder, name: name.into(), role, added_by: "first".into(), added_at: at(1) }
    }

    async fn stored_key(store: &Store, name: &str) -> ApiKey {
        let key = key(name);
        store.insert_api_key(&key, SecretDigest([1; 32])).await.unwrap();
        key
    }

    #[tokio::test]
    async fn members_are_added_changed_and_removed_and_shown_to_who_sees_their_workspace() {
        let store = TestStore::open().await;
        let (acme, other) = (workspace("acme"), workspace("other"));
        for workspace in [&acme, &other] {
            store.insert_workspace(workspace).await.unwrap();
        }
        let key = Holder::Key(stored_key(&store, "ci").await.id);
        let person = store.sign_in_person(&identity("s"), &known("Ada"), at(1)).await.unwrap();
        let (ci, ada) =
            (member(key, "ci", MemberRole::Viewer), member(Holder::Person(person.id), "Ada", MemberRole::Operator));
        let ada = Member { added_at: at(2), ..ada };
        for member in [&ci, &ada] {
            store.add_member(acme.id, member).await.unwrap();
        }
        assert!(matches!(store.add_member(acme.id, &ci).await, Err(AddMemberError::AlreadyMember)));
        assert_eq!(store.members(&Scope::Only(vec![acme.id]), acme.id).await.unwrap(), [ci.clone(), ada.clone()]);
        assert_eq!(store.members(&Scope::Only(vec![other.id]), acme.id).await.unwrap(), []);
        assert_eq!(store.members(&Scope::All, other.id).await.unwrap(), []);
        let find = async |scope: Scope, workspace: WorkspaceId, holder: Holder| {
            store.find_member(&scope, workspace, holder).await.unwrap()
        };
        for member in [&ci, &ada] {
            assert_eq!(find(Scope::Only(vec![acme.id]), acme.id, member.holder).await.as_ref(), Some(member));
        }
        assert_eq!(find(Scope::Only(vec![other.id]), acme.id, key).await, None, "of a workspace that is not seen");
        assert_eq!(find(Scope::All, other.id, key).await, None);

        assert!(store.change_member(acme.id, key, MemberRole::Operator).await.unwrap());
        assert!(!store.change_member(other.id, key, MemberRole::Operator).await.unwrap());
        let all: HashMap<_, _> = store.memberships().await.unwrap().into_iter().collect();
        let operator = Membership { workspace_id: acme.id, role: MemberRole::Operator };
        assert_eq!(all, HashMap::from([(ci.holder, operator), (ada.holder, operator)]));

        assert!(store.remove_member(acme.id, ada.holder).await.unwrap());
        assert!(!store.remove_member(acme.id, ada.holder).await.unwrap());
        assert_eq!(store.memberships().await.unwrap(), [(key, operator)]);
    }

    #[tokio::test]
    async fn memberships_go_with_their_key_and_with_their_workspace() {
        let store = TestStore::open().await;
        let (acme, other) = (workspace("acme"), workspace("other"));
        let (one, two) = (stored_key(&store, "one").await, stored_key(&store, "two").await);
        for workspace in [&acme, &other] {
            store.insert_workspace(workspace).await.unwrap();
            for key in [&one, &two] {
                let member = member(Holder::Key(key.id), "k", MemberRole::Viewer);
                store.add_member(workspace.id, &member).await.unwrap();
            }
        }
        assert!(store.revoke_api_key(one.id, at(3)).await.unwrap());
        assert_eq!(store.holder_name(Holder::Key(one.id)).await.unwrap(), None);
        assert_eq!(store.holder_name(Holder::Key(two.id)).await.unwrap().as_deref(), Some("two"));
        store.delete_input(acme.id, Deletable::Workspace, at(4)).await.unwrap();
        let late = store.add_member(acme.id, &member(Holder::Key(two.id), "two", MemberRole::Viewer)).await;
        assert!(matches!(late, Err(AddMemberError::WorkspaceGone)), "{late:?}");
        let left = Membership { workspace_id: other.id, role: MemberRole::Viewer };
        assert_eq!(store.memberships().await.unwrap(), [(Holder::Key(two.id), left)]);
    }

    #[tokio::test]
    async fn a_caller_is_a_member_of_so_many_workspaces_and_no_more() {
        let store = TestStore::open().await;
        let (ci, other) = (Holder::Key(KeyId::generate()), Holder::Key(KeyId::generate()));
        for number in 0..=MAX_MEMBERSHIPS {
            let workspace = workspace(&format!("w{number}"));
            store.insert_workspace(&workspace).await.unwrap();
            let added = store.add_member(workspace.id, &member(ci, "", MemberRole::Viewer)).await;
            assert_eq!(added.is_ok(), number < MAX_MEMBERSHIPS, "{number}: {added:?}");
            store.add_member(workspace.id, &member(other, "", MemberRole::Viewer)).await.ok();
        }
        assert_eq!(store.memberships().await.unwrap().len() as u64, 2 * MAX_MEMBERSHIPS);
    }
}
