//! Keys of the interface. They belong to no workspace: only admins see them.

use entity::api_key::{ActiveModel, Column, Entity, Model};
use entity::member;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, Set};

use super::cells::{Cells, json, storable};
use super::{Store, StoreError};
use crate::domain::access::{ApiKey, SecretDigest};
use crate::domain::principal::{Role, Scope};
use crate::domain::time::{Timestamp, micros};
use crate::domain::{KeyId, WorkspaceId};

impl Store {
    pub async fn insert_api_key(&self, key: &ApiKey, digest: SecretDigest) -> Result<(), StoreError> {
        Entity::insert(storable(row(key, digest))).exec_without_returning(&*self.write().await).await?;
        Ok(())
    }

    /// Every key that there ever was, newest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows = Entity::find().order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).all(self.read()).await?;
        rows.into_iter().map(|row| record(row).map(|(key, _)| key)).collect()
    }

    pub async fn find_api_key(&self, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        let row = Entity::find_by_id(id.to_string()).one(self.read()).await?;
        row.map(|row| record(row).map(|(key, _)| key)).transpose()
    }

    /// Those that are not revoked, each with what its secret is known by.
    pub async fn unrevoked_api_keys(&self) -> Result<Vec<(ApiKey, SecretDigest)>, StoreError> {
        let rows = Entity::find().filter(Column::RevokedAt.is_null()).all(self.read()).await?;
        rows.into_iter().map(record).collect()
    }

    /// Whether there ever was one.
    pub async fn has_api_keys(&self) -> Result<bool, StoreError> {
        Ok(Entity::find().count(self.read()).await? > 0)
    }

    /// False when there is none, or it was revoked before. It is no member of anything any more.
    pub async fn revoke_api_key(&self, id: KeyId, at: Timestamp) -> Result<bool, StoreError> {
        let change = ActiveModel { revoked_at: Set(Some(micros(at))), ..Default::default() };
        let update = Entity::update_many().set(change).filter(Column::Id.eq(id.to_string()));
        let update = update.filter(Column::RevokedAt.is_null());
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let is_revoked = update.exec(&transaction).await?.rows_affected > 0;
        let memberships = member::Entity::delete_many().filter(member::Column::Holder.eq(id.to_string()));
        memberships.exec(&transaction).await?;
        transaction.commit().await?;
        Ok(is_revoked)
    }

    pub async fn note_use_of_api_key(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        let change = ActiveModel { last_used_at: Set(Some(micros(at))), ..Default::default() };
        let update = Entity::update_many().set(change).filter(Column::Id.eq(id.to_string()));
        update.exec(&*self.write_relaxed().await).await?;
        Ok(())
    }
}

fn row(key: &ApiKey, digest: SecretDigest) -> ActiveModel {
    let workspaces = match &key.workspaces {
        Scope::All => None,
        Scope::Only(ids) => Some(json(ids)),
    };
    ActiveModel {
        id: Set(key.id.to_string()),
        name: Set(key.name.clone()),
        role: Set(key.role.as_str().to_owned()),
        workspaces: Set(workspaces),
        secret_digest: Set(hex(digest)),
        created_by: Set(key.created_by.clone()),
        created_at: Set(micros(key.created_at)),
        expires_at: Set(key.expires_at.map(micros)),
        last_used_at: Set(key.last_used_at.map(micros)),
        revoked_at: Set(key.revoked_at.map(micros)),
    }
}

fn record(row: Model) -> Result<(ApiKey, SecretDigest), StoreError> {
    let cells = Cells { table: "api_keys", id: &row.id };
    let workspaces = row.workspaces.map(|ids| cells.json::<Vec<WorkspaceId>>("workspaces", ids)).transpose()?;
    let key = ApiKey {
        id: cells.id("id", &row.id)?,
        role: cells.word("role", Role::parse, &row.role)?,
        workspaces: workspaces.map_or(Scope::All, Scope::Only),
        name: row.name,
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    };
    let digest = unhex(&row.secret_digest);
    let digest = digest.ok_or(StoreError::Unreadable { table: "api_keys", id: row.id, column: "secret_digest" })?;
    Ok((key, digest))
}

pub(super) fn hex(SecretDigest(bytes): SecretDigest) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<SecretDigest> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(SecretDigest(bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::fixture::{TestStore, at};

    pub fn key(name: &str) -> ApiKey {
        ApiKey {
            id: KeyId::generate(),
            name: name.into(),
            role: Role::Operator,
            workspaces: Scope::Only(vec![WorkspaceId::generate(), WorkspaceId::generate()]),
            created_by: "local".into(),
            created_at: at(1),
            expires_at: Some(at(900)),
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[tokio::test]
    async fn a_key_comes_back_with_its_digest_until_it_is_revoked() {
        let store = TestStore::open().await;
        assert!(!store.has_api_keys().await.unwrap());
        let digest = SecretDigest(std::array::from_fn(|at| 7 * at as u8));
        let (bound, free) =
            (key("bound"), ApiKey { workspaces: Scope::All, expires_at: None, created_at: at(2), ..key("free") });
        for key in [&bound, &free] {
            store.insert_api_key(key, digest).await.unwrap();
        }
        assert_eq!(store.api_keys().await.unwrap(), [free.clone(), bound.clone()]);
        assert_eq!(store.find_api_key(bound.id).await.unwrap(), Some(bound.clone()));

        assert!(store.revoke_api_key(free.id, at(5)).await.unwrap());
        assert!(!store.revoke_api_key(free.id, at(6)).await.unwrap(), "once");
        assert!(!store.revoke_api_key(KeyId::generate(), at(6)).await.unwrap());
        assert_eq!(store.unrevoked_api_keys().await.unwrap(), [(bound.clone(), digest)]);
        assert_eq!(store.find_api_key(free.id).await.unwrap().unwrap().revoked_at, Some(at(5)));
        assert!(store.has_api_keys().await.unwrap());

        store.note_use_of_api_key(bound.id, at(7)).await.unwrap();
        assert_eq!(store.find_api_key(bound.id).await.unwrap().unwrap().last_used_at, Some(at(7)));
    }

    #[test]
    fn a_digest_survives_its_text() {
        let digest = SecretDigest(std::array::from_fn(|at| 255 - at as u8));
        assert_eq!(unhex(&hex(digest)), Some(digest));
        for wrong in ["", "00", &"0".repeat(63), &"g".repeat(64), &"ä".repeat(32)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
