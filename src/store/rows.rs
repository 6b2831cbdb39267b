//! What is done to rows of any kind in the same way: finding one, changing one, and the work of a node.

use sea_orm::sea_query::Condition;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityName, EntityTrait, QueryFilter, QueryOrder,
};

use super::cells::{storable, stored};
use super::database::Writer;
use super::list::{Listable, column_of, visible};
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::id::NodeId;
use crate::domain::list::Field;
use crate::domain::principal::Scope;
use crate::domain::status::LogState;

/// A record of work: a node's, with a log of its own that decides its state.
pub trait Work: Listable {
    /// The words of the statuses in which it has ended, or of all others.
    fn statuses(ended: bool) -> impl Iterator<Item = &'static str>;
}

/// A column that every table of work has.
pub fn column<W: Work>(name: &str) -> <W::Entity as EntityTrait>::Column {
    let table = W::Entity::default();
    name.parse().unwrap_or_else(|_| unreachable!("{} has no column {name}", table.table_name()))
}

type Change<W> = <<W as Listable>::Entity as EntityTrait>::ActiveModel;

fn no_change<W: Work>() -> Change<W> {
    <Change<W> as ActiveModelTrait>::default()
}

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
        update::<R>(self.write().await, workspace_id, id, change, only).await
    }

    /// Saves what a log told up to `last_sequence`. False, and no change, when the row already stands there or further
    /// on, or is not there.
    pub(super) async fn advance<W: Work>(
        &self,
        workspace_id: WorkspaceId,
        id: impl ToString,
        mut state: Change<W>,
        last_sequence: u64,
    ) -> Result<bool, StoreError> {
        let column = column::<W>("last_sequence");
        state.set(column, stored(last_sequence).into());
        let older = Condition::all().add(column.lt(stored(last_sequence)));
        update::<W>(self.retell().await, workspace_id, id, state, older).await
    }

    /// Its log failed: only its first `durable_bytes` count. With none, it is whole again.
    pub(super) async fn set_degraded<W: Work>(
        &self,
        workspace_id: WorkspaceId,
        id: impl ToString,
        durable_bytes: Option<u64>,
    ) -> Result<bool, StoreError> {
        let mut change = no_change::<W>();
        change.set(column::<W>("log_degraded"), durable_bytes.is_some().into());
        change.set(column::<W>("durable_bytes"), durable_bytes.map(stored).into());
        self.change::<W>(workspace_id, id, change, Condition::all()).await
    }

    pub(super) async fn set_log_state_of<W: Work>(
        &self,
        workspace_id: WorkspaceId,
        id: impl ToString,
        state: LogState,
    ) -> Result<bool, StoreError> {
        let mut change = no_change::<W>();
        change.set(column::<W>("log_state"), state.as_str().into());
        self.change::<W>(workspace_id, id, change, Condition::all()).await
    }

    /// Work of a node that has not ended, oldest first.
    pub(super) async fn unfinished<W: Work>(&self, node_id: NodeId) -> Result<Vec<W>, StoreError> {
        self.work_of(node_id, false, Condition::all()).await
    }

    /// Work of a node that has ended and whose log has failed, oldest first.
    pub(super) async fn degraded<W: Work>(&self, node_id: NodeId) -> Result<Vec<W>, StoreError> {
        self.work_of(node_id, true, Condition::all().add(column::<W>("log_degraded").eq(true))).await
    }

    async fn work_of<W: Work>(&self, node_id: NodeId, ended: bool, only: Condition) -> Result<Vec<W>, StoreError> {
        let select = W::Entity::find()
            .filter(column::<W>("node_id").eq(node_id.to_string()))
            .filter(column_of::<W>(Field::Status).is_in(W::statuses(ended)))
            .filter(only);
        let oldest_first =
            select.order_by_asc(column_of::<W>(Field::CreatedAt)).order_by_asc(column_of::<W>(Field::Id));
        oldest_first.all(self.read()).await?.into_iter().map(W::record).collect()
    }
}

async fn update<R: Listable>(
    writer: Writer<'_>,
    workspace_id: WorkspaceId,
    id: impl ToString,
    change: impl ActiveModelTrait<Entity = R::Entity>,
    only: Condition,
) -> Result<bool, StoreError> {
    let update = R::Entity::update_many().set(storable(change)).filter(own::<R>(workspace_id, id)).filter(only);
    Ok(update.exec(&*writer).await?.rows_affected > 0)
}

/// Together with whatever else is done on `connection`; false when there is no such row.
pub async fn delete<R: Listable>(
    connection: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    id: impl ToString,
) -> Result<bool, DbErr> {
    let deleted = R::Entity::delete_many().filter(own::<R>(workspace_id, id)).exec(connection).await?;
    Ok(deleted.rows_affected > 0)
}

fn own<R: Listable>(workspace_id: WorkspaceId, id: impl ToString) -> Condition {
    let is_it = column_of::<R>(Field::Id).eq(id.to_string());
    Condition::all().add(is_it).add(R::workspace_id().eq(workspace_id.to_string()))
}
