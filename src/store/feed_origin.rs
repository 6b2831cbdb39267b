//! What the feeds of workspaces still owe.

use entity::feed_origin::{ActiveModel, Column, Entity, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};

use super::cells::{Cells, stored};
use super::{Store, StoreError};
use crate::domain::feed::FeedOrigin;
use crate::domain::id::NodeId;
use crate::domain::{StreamId, StreamKey};

impl Store {
    pub async fn insert_feed_origin(&self, origin: &FeedOrigin) -> Result<(), StoreError> {
        Entity::insert(row(origin)).exec_without_returning(&*self.write().await).await?;
        Ok(())
    }

    /// Of a node, oldest first.
    pub async fn feed_origins(&self, node_id: NodeId) -> Result<Vec<FeedOrigin>, StoreError> {
        let select = Entity::find().filter(Column::NodeId.eq(node_id.to_string())).order_by_asc(Column::Id);
        select.all(self.read()).await?.into_iter().map(record).collect()
    }

    pub async fn has_feed_origin(&self, key: StreamKey) -> Result<bool, StoreError> {
        let select = Entity::find_by_id(key.to_string());
        let select = select.filter(Column::WorkspaceId.eq(key.workspace_id().to_string()));
        Ok(select.one(self.read()).await?.is_some())
    }

    /// False when it was not there.
    pub async fn delete_feed_origin(&self, key: StreamKey) -> Result<bool, StoreError> {
        let delete = Entity::delete_by_id(key.to_string());
        let delete = delete.filter(Column::WorkspaceId.eq(key.workspace_id().to_string()));
        Ok(delete.exec(&*self.write().await).await?.rows_affected > 0)
    }
}

fn row(origin: &FeedOrigin) -> ActiveModel {
    ActiveModel {
        id: Set(origin.key.to_string()),
        workspace_id: Set(origin.key.workspace_id().to_string()),
        node_id: Set(origin.node_id.to_string()),
        after_sequence: Set(stored(origin.after)),
    }
}

pub(super) fn record(row: Model) -> Result<FeedOrigin, StoreError> {
    let cells = Cells { table: "feed_origins", id: &row.id };
    let id = StreamId::parse(&row.id).ok_or_else(|| cells.unreadable("id"))?;
    Ok(FeedOrigin {
        key: StreamKey::of(cells.id("workspace_id", &row.workspace_id)?, id),
        node_id: cells.id("node_id", &row.node_id)?,
        after: cells.count("after_sequence", row.after_sequence)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BuildId, RunId, WorkspaceId};
    use crate::store::fixture::TestStore;

    #[tokio::test]
    async fn what_is_owed_is_owed_until_it_is_struck_off() {
        let store = TestStore::open().await;
        let (node_id, workspace_id) = (NodeId::generate(), WorkspaceId::generate());
        let run = FeedOrigin { key: StreamKey::of(workspace_id, RunId::generate()), node_id, after: 41 };
        let build = FeedOrigin { key: StreamKey::of(workspace_id, BuildId::generate()), node_id, after: 0 };
        let of_another_node =
            FeedOrigin { node_id: NodeId::generate(), key: StreamKey::of(workspace_id, RunId::generate()), after: 7 };
        for origin in [&run, &build, &of_another_node] {
            store.insert_feed_origin(origin).await.unwrap();
        }
        assert_eq!(store.feed_origins(node_id).await.unwrap(), [build, run]);
        let foreign = StreamKey::of(WorkspaceId::generate(), run.key.id());
        assert!(!store.delete_feed_origin(foreign).await.unwrap());
        assert!(store.has_feed_origin(run.key).await.unwrap() && !store.has_feed_origin(foreign).await.unwrap());
        assert!(store.delete_feed_origin(run.key).await.unwrap());
        assert!(!store.delete_feed_origin(run.key).await.unwrap());
        assert!(!store.has_feed_origin(run.key).await.unwrap());
        assert_eq!(store.feed_origins(node_id).await.unwrap(), [build]);
    }
}
