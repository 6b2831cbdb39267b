//! What is done to rows of any kind in the same way: finding one, changing one, and the work of a node.

use sea_orm::sea_query::Condition;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::cells::storable;
use super::list::{Listable, column_of, visible};
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::id::NodeId;
use crate::domain::list::Field;
use crate::domain::principal::Scope;

impl Store {
    pub(super) async fn find<R: Listable>(&self, scope: &Scope, id: impl ToString) -> Result<Option<R>, StoreError> {
        let is_it = column_of::<R>(Field::Id).eq(id.to_string());
        let select = R::Entity::find().filter(is_it).filter(visible(scope, R::workspace_id()));
        select.one(self.read()).await?.map(R::record).transpose()
    }

    /// Changes one row if it passes a condition; false when it is not there or does not.
    pub(super) async fn change<R: Listable>(
        &self,
        workspace_id: WorkspaceId,
        id: impl ToString,
        change: impl ActiveModelTrait<Entity = R::Entity>,
        only: Condition,
    ) -> Result<bool, StoreError> {
        let update = R::Entity::update_many()
            .set(storable(change))
            .filter(column_of::<R>(Field::Id).eq(id.to_string()))
            .filter(R::workspace_id().eq(workspace_id.to_string()))
            .filter(only);
        let updated = update.exec(&*self.write().await).await?;
        Ok(updated.rows_affected > 0)
    }

    /// Work of a node in one of these statuses, oldest first.
    pub(super) async fn work_of<R: Listable>(
        &self,
        node_id: NodeId,
        statuses: impl Iterator<Item = &'static str>,
        only: Condition,
    ) -> Result<Vec<R>, StoreError> {
        let of_node = "node_id".parse::<<R::Entity as EntityTrait>::Column>().ok();
        let of_node = of_node.expect("work belongs to a node").eq(node_id.to_string());
        let select =
            R::Entity::find().filter(of_node).filter(column_of::<R>(Field::Status).is_in(statuses)).filter(only);
        let oldest_first =
            select.order_by_asc(column_of::<R>(Field::CreatedAt)).order_by_asc(column_of::<R>(Field::Id));
        oldest_first.all(self.read()).await?.into_iter().map(R::record).collect()
    }
}
