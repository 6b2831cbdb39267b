//! What is switched while the service runs and outlives it.

use entity::system_setting::{ActiveModel, Column, Entity};
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, Set};

use super::cells::{Cells, json};
use super::{Store, StoreError};
use crate::domain::safe_mode::SafeMode;
use crate::domain::time::{Timestamp, micros};

const SAFE_MODE: &str = "safe_mode";

impl Store {
    /// As it was last switched; nothing when it never was.
    pub async fn safe_mode(&self) -> Result<Option<SafeMode>, StoreError> {
        let Some(row) = Entity::find_by_id(SAFE_MODE).one(self.read()).await? else { return Ok(None) };
        Cells { table: "system_settings", id: SAFE_MODE }.json("value", row.value).map(Some)
    }

    pub async fn set_safe_mode(&self, wanted: &SafeMode, by: &str, at: Timestamp) -> Result<(), StoreError> {
        let row = ActiveModel {
            name: Set(SAFE_MODE.into()),
            value: Set(json(wanted)),
            updated_at: Set(micros(at)),
            updated_by: Set(by.into()),
        };
        let changed = [Column::Value, Column::UpdatedAt, Column::UpdatedBy];
        let or_change = OnConflict::column(Column::Name).update_columns(changed).to_owned();
        Entity::insert(row).on_conflict(or_change).exec_without_returning(&*self.write().await).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{TestStore, at};

    #[tokio::test]
    async fn safe_mode_is_what_was_switched_last() {
        let store = TestStore::open().await;
        assert_eq!(store.safe_mode().await.unwrap(), None);
        for safe_mode in [
            SafeMode { enabled: true, detail: Some("moving \"disks\"".into()) },
            SafeMode { enabled: false, detail: None },
        ] {
            store.set_safe_mode(&safe_mode, "local", at(1)).await.unwrap();
            assert_eq!(store.another_handle().await.safe_mode().await.unwrap(), Some(safe_mode));
        }
    }
}
