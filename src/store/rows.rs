//! What is done to rows of any kind in the same way: finding one, changing one, and the work of a node.

use sea_orm::sea_query::Condition;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityName, EntityTrait, QueryFilter,
    QueryOrder,
};

use super::cells::{storable, stored};
use super::database::Writer;
use super::list::{permitted, present};
use super::listable::{Listable, column_of};
use super::{Store, StoreError};
use crate::domain::id::NodeId;
use crate::domain::list::Field;
use crate::domain::principal::Scope;
use crate::domain::status::LogState;
use crate::domain::work::{Status, Work};
use crate::domain::{DocumentId, WorkspaceId};

/// Work as a table of its own keeps it.
pub trait StoredWork: Listable + Work {
    /// The columns that a state decides.
    fn state_columns(state: &Self::State) -> Change<Self>;

    /// Stores the row, and what else must be there with it.
    fn insert(&self, transaction: &DatabaseTransaction) -> impl Future<Output = Result<(), InsertError>>;
}

/// A piece of work is not stored.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// What it is to be made from was deleted in the meantime.
    #[error("what the work is made from does not exist any more")]
    OriginGone,
    /// So was a document that it is to work on.
    #[error("the document {0} does not exist any more")]
    DocumentGone(DocumentId),
    #[error("the idempotency key is in use")]
    KeyTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for InsertError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// The words of the statuses in which work has ended, or of all others.
pub fn statuses<W: Work>(ended: bool) -> impl Iterator<Item = &'static str> {
    W::Status::ALL.iter().filter(move |status| status.is_terminal() == ended).map(|status| status.as_str())
}

/// A column that every table of work has.
pub fn column<W: StoredWork>(name: &str) -> <W::Entity as EntityTrait>::Column {
    let table = W::Entity::default();
    name.parse().unwrap_or_else(|_| unreachable!("{} has no column {name}", table.table_name()))
}

pub type Change<W> = <<W as Listable>::Entity as EntityTrait>::ActiveModel;

fn no_change<W: StoredWork>() -> Change<W> {
    <Change<W> as ActiveModelTrait>::default()
}

impl Store {
    pub(super) async fn find_row<R: Listable>(
        &self,
        scope: &Scope,
        id: impl ToString,
    ) -> Result<Option<R>, StoreError> {
        let is_it = column_of::<R>(Field::Id).eq(id.to_string());
        let select = R::Entity::find().filter(is_it).filter(present::<R>(scope));
        select.one(self.read()).await?.map(R::record).transpose()
    }

    /// As [`Store::find`], for those who keep things in order: also what has been deleted.
    pub async fn find_or_deleted<W: StoredWork>(&self, scope: &Scope, id: W::Id) -> Result<Option<W>, StoreError> {
        let is_it = column_of::<W>(Field::Id).eq(id.to_string());
        let select = W::Entity::find().filter(is_it).filter(permitted(scope, W::workspace_column()));
        select.one(self.read()).await?.map(W::record).transpose()
    }

    /// One piece of work, if the caller may see it.
    pub async fn find<W: StoredWork>(&self, scope: &Scope, id: W::Id) -> Result<Option<W>, StoreError> {
        self.find_row(scope, id).await
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

    /// Saves what the log says up to `last_sequence`. False, and no change, when the row already stands there or
    /// further on, or is not there.
    pub async fn save_state<W: StoredWork>(
        &self,
        workspace_id: WorkspaceId,
        id: W::Id,
        state: &W::State,
        last_sequence: u64,
    ) -> Result<bool, StoreError> {
        let mut change = W::state_columns(state);
        let column = column::<W>("last_sequence");
        change.set(column, stored(last_sequence).into());
        let older = Condition::all().add(column.lt(stored(last_sequence)));
        update::<W>(self.write_relaxed().await, workspace_id, id, change, older).await
    }

    /// Its log failed: only its first `durable_bytes` count. With none, it is whole again. False when there is no such
    /// row.
    pub async fn set_degraded<W: StoredWork>(
        &self,
        workspace_id: WorkspaceId,
        id: W::Id,
        durable_bytes: Option<u64>,
    ) -> Result<bool, StoreError> {
        let mut change = no_change::<W>();
        change.set(column::<W>("log_degraded"), durable_bytes.is_some().into());
        change.set(column::<W>("durable_bytes"), durable_bytes.map(stored).into());
        self.change::<W>(workspace_id, id, change, Condition::all()).await
    }

    pub(super) async fn set_log_state_of<W: StoredWork>(
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
    pub async fn unfinished<W: StoredWork>(&self, node_id: NodeId) -> Result<Vec<W>, StoreError> {
        self.work_of(node_id, false, Condition::all()).await
    }

    /// Work of a node that has ended and whose log has failed, oldest first.
    pub async fn degraded<W: StoredWork>(&self, node_id: NodeId) -> Result<Vec<W>, StoreError> {
        self.work_of(node_id, true, Condition::all().add(column::<W>("log_degraded").eq(true))).await
    }

    async fn work_of<W: StoredWork>(
        &self,
        node_id: NodeId,
        ended: bool,
        only: Condition,
    ) -> Result<Vec<W>, StoreError> {
        let select = W::Entity::find()
            .filter(column::<W>("node_id").eq(node_id.to_string()))
            .filter(column_of::<W>(Field::Status).is_in(statuses::<W>(ended)))
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
    Condition::all().add(is_it).add(R::workspace_column().eq(workspace_id.to_string()))
}
