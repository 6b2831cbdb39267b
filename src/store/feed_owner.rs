//! Which node writes the feed of a workspace, where several share the database.

use entity::feed_origin;
use entity::feed_owner::{ActiveModel, Column, Entity};
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use super::cells::Cells;
use super::feed_origin::record as origin;
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::feed::FeedOrigin;
use crate::domain::id::NodeId;

/// Of one round of looking for what is owed.
const MOST: u64 = 10_000;

impl Store {
    /// The node that writes the feed of a workspace: `otherwise`, if none does yet.
    pub async fn feed_owner(&self, workspace_id: WorkspaceId, otherwise: NodeId) -> Result<NodeId, StoreError> {
        if let Some(owner) = self.known_feed_owner(workspace_id).await? {
            return Ok(owner);
        }
        let row = ActiveModel { workspace_id: Set(workspace_id.to_string()), node_id: Set(otherwise.to_string()) };
        let unless_there = OnConflict::column(Column::WorkspaceId).do_nothing().to_owned();
        Entity::insert(row).on_conflict(unless_there).exec_without_returning(&*self.write().await).await?;
        Ok(self.known_feed_owner(workspace_id).await?.unwrap_or(otherwise))
    }

    async fn known_feed_owner(&self, workspace_id: WorkspaceId) -> Result<Option<NodeId>, StoreError> {
        let found = Entity::find_by_id(workspace_id.to_string()).one(self.read()).await?;
        let parse = |row: entity::feed_owner::Model| {
            Cells { table: "feed_owners", id: &row.workspace_id }.id("node_id", &row.node_id)
        };
        found.map(parse).transpose()
    }

    /// The workspaces whose feeds a node writes.
    pub async fn feeds_of(&self, owner: NodeId) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = Entity::find().filter(Column::NodeId.eq(owner.to_string())).all(self.read()).await?;
        let parse = |row: entity::feed_owner::Model| {
            Cells { table: "feed_owners", id: &row.workspace_id }.id("workspace_id", &row.workspace_id)
        };
        rows.into_iter().map(parse).collect()
    }

    /// What the feeds of this node owe to streams of any node, oldest first; a part of it, where there is much.
    pub async fn owed_by_feeds_of(&self, owner: NodeId) -> Result<Vec<FeedOrigin>, StoreError> {
        let own = Query::select()
            .column(Column::WorkspaceId)
            .from(Entity)
            .and_where(Column::NodeId.eq(owner.to_string()))
            .to_owned();
        let select = feed_origin::Entity::find().filter(feed_origin::Column::WorkspaceId.in_subquery(own));
        let select = select.order_by_asc(feed_origin::Column::Id).limit(MOST);
        select.all(self.read()).await?.into_iter().map(origin).collect()
    }

    /// What is owed to streams of a workspace, of any node.
    pub async fn owed_by_feed(&self, workspace_id: WorkspaceId) -> Result<Vec<FeedOrigin>, StoreError> {
        let select = feed_origin::Entity::find().filter(feed_origin::Column::WorkspaceId.eq(workspace_id.to_string()));
        select.all(self.read()).await?.into_iter().map(origin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RunId, StreamKey};
    use crate::store::fixture::TestStore;

    #[tokio::test]
    async fn a_feed_has_one_owner_which_is_owed_what_all_nodes_owe() {
        let store = TestStore::open().await;
        let [a, b] = [NodeId::generate(), NodeId::generate()];
        let [mine, other] = [WorkspaceId::generate(), WorkspaceId::generate()];
        assert_eq!(store.feed_owner(mine, a).await.unwrap(), a);
        assert_eq!(store.feed_owner(mine, b).await.unwrap(), a);
        assert_eq!(store.feed_owner(other, b).await.unwrap(), b);
        let origin = |workspace_id, node_id| FeedOrigin {
            key: StreamKey::of(workspace_id, RunId::generate()),
            node_id,
            after: 0,
        };
        let owed = [origin(mine, a), origin(mine, b), origin(other, a)];
        for origin in &owed {
            store.insert_feed_origin(origin).await.unwrap();
        }
        let mut of_a = store.owed_by_feeds_of(a).await.unwrap();
        of_a.sort_by_key(|origin| origin.node_id != a);
        assert_eq!(of_a, [owed[0], owed[1]]);
        assert_eq!(store.owed_by_feeds_of(b).await.unwrap(), [owed[2]]);
        assert_eq!(store.owed_by_feed(other).await.unwrap(), [owed[2]]);
    }
}
