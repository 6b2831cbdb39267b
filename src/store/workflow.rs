//! Workflows and the definitions of their revisions.
//!
//! Law: a revision means one definition for ever. Definitions stay when their workflow is deleted, and one that is made
//! again counts on from them. A workflow with running executions is not deleted: a transaction that creates one holds the workflow's
//! row meanwhile.

use entity::execution;
use entity::workflow::{ActiveModel, Column, Entity, Model};
use entity::workflow_revision as revision;
use sea_orm::entity::prelude::Json;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select, Set,
};

use super::cells::{Cells, plain, storable, stored};
use super::list::visible;
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::precondition::Expected;
use crate::domain::principal::Scope;
use crate::domain::time::{Timestamp, micros};
use crate::domain::workflow::{NewWorkflow, StoredWorkflow};

#[derive(Debug, thiserror::Error)]
pub enum InsertWorkflowError {
    #[error("the workspace has a workflow of this id")]
    Exists,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum ReplaceWorkflowError {
    #[error("the workflow does not exist")]
    NotFound,
    #[error("the workflow is at revision {current}")]
    Stale { current: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteWorkflowError {
    #[error("the workflow does not exist")]
    NotFound,
    #[error("{active} executions of the workflow have not ended")]
    InUse { active: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

macro_rules! from_database {
    ($($error:ident),*) => {$(
        impl From<DbErr> for $error {
            fn from(error: DbErr) -> Self {
                Self::Store(error.into())
            }
        }
    )*};
}

from_database!(InsertWorkflowError, ReplaceWorkflowError, DeleteWorkflowError);

impl Store {
    /// At the revision behind the last one that the workspace had of this id.
    pub async fn insert_workflow(
        &self,
        workspace_id: WorkspaceId,
        new: &NewWorkflow,
        at: Timestamp,
    ) -> Result<StoredWorkflow, InsertWorkflowError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let mut workflow = stored_workflow(workspace_id, new, 0, at);
        let one_each = OnConflict::columns([Column::WorkspaceId, Column::WorkflowId]).do_nothing().to_owned();
        let insert = Entity::insert(storable(row(&workflow))).on_conflict(one_each);
        if insert.exec_without_returning(&transaction).await? == 0 {
            transaction.rollback().await?;
            return Err(InsertWorkflowError::Exists);
        }
        let last = revisions(workspace_id, &new.workflow_id)
            .order_by_desc(revision::Column::Revision)
            .select_only()
            .column(revision::Column::Revision);
        let last = last.into_tuple::<i64>().one(&transaction).await?.unwrap_or_default();
        workflow.revision = last.unsigned_abs() + 1;
        write(&transaction, &workflow, &new.definition).await?;
        transaction.commit().await?;
        Ok(workflow)
    }

    /// Its next revision, if it is at the expected one.
    pub async fn replace_workflow(
        &self,
        workspace_id: WorkspaceId,
        expected: &Expected,
        new: &NewWorkflow,
        at: Timestamp,
    ) -> Result<StoredWorkflow, ReplaceWorkflowError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let Some(before) = own(workspace_id, &new.workflow_id).lock_exclusive().one(&transaction).await? else {
            transaction.rollback().await?;
            return Err(ReplaceWorkflowError::NotFound);
        };
        let before = record(before)?;
        if !expected.is_met_by(&before.revision) {
            transaction.rollback().await?;
            return Err(ReplaceWorkflowError::Stale { current: before.revision });
        }
        let created_at = before.created_at;
        let workflow = StoredWorkflow { created_at, ..stored_workflow(workspace_id, new, before.revision + 1, at) };
        write(&transaction, &workflow, &new.definition).await?;
        transaction.commit().await?;
        Ok(workflow)
    }

    pub async fn delete_workflow(
        &self,
        workspace_id: WorkspaceId,
        workflow_id: &str,
    ) -> Result<(), DeleteWorkflowError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let own = own(workspace_id, workflow_id).lock_exclusive().one(&transaction).await?;
        if own.is_none() {
            transaction.rollback().await?;
            return Err(DeleteWorkflowError::NotFound);
        }
        let active = count_active(&transaction, workspace_id, workflow_id).await?;
        if active > 0 {
            transaction.rollback().await?;
            return Err(DeleteWorkflowError::InUse { active });
        }
        Entity::delete_by_id((workspace_id.to_string(), plain(workflow_id))).exec(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    pub async fn find_workflow(
        &self,
        workspace_id: WorkspaceId,
        workflow_id: &str,
    ) -> Result<Option<StoredWorkflow>, StoreError> {
        own(workspace_id, workflow_id).one(self.read()).await?.map(record).transpose()
    }

    /// The definition at a revision, as it was accepted; also of a workflow that is no more.
    pub async fn workflow_definition(
        &self,
        workspace_id: WorkspaceId,
        workflow_id: &str,
        revision: u64,
    ) -> Result<Option<Json>, StoreError> {
        let select = revisions(workspace_id, workflow_id).filter(revision::Column::Revision.eq(stored(revision)));
        Ok(select.one(self.read()).await?.map(|row| row.definition))
    }

    /// All that a scope shows, by id.
    pub async fn workflows(&self, scope: &Scope) -> Result<Vec<StoredWorkflow>, StoreError> {
        let select = Entity::find().filter(visible(scope, Column::WorkspaceId));
        let rows = select.order_by_asc(Column::WorkflowId).order_by_asc(Column::WorkspaceId).all(self.read()).await?;
        rows.into_iter().map(record).collect()
    }
}

/// How many executions of a workflow have not ended.
pub(super) async fn count_active(
    connection: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    workflow_id: &str,
) -> Result<u64, DbErr> {
    let active = execution::Entity::find()
        .filter(execution::Column::WorkspaceId.eq(workspace_id.to_string()))
        .filter(execution::Column::WorkflowId.eq(plain(workflow_id)))
        .filter(execution::Column::IsActive.eq(true));
    active.count(connection).await
}

/// Holds a workflow until `transaction` is over, so that it is not deleted meanwhile; false when there is none.
pub(super) async fn hold(
    transaction: &DatabaseTransaction,
    workspace_id: WorkspaceId,
    workflow_id: &str,
) -> Result<bool, DbErr> {
    Ok(own(workspace_id, workflow_id).lock_shared().one(transaction).await?.is_some())
}

fn own(workspace_id: WorkspaceId, workflow_id: &str) -> Select<Entity> {
    Entity::find_by_id((workspace_id.to_string(), plain(workflow_id)))
}

fn revisions(workspace_id: WorkspaceId, workflow_id: &str) -> Select<revision::Entity> {
    revision::Entity::find()
        .filter(revision::Column::WorkspaceId.eq(workspace_id.to_string()))
        .filter(revision::Column::WorkflowId.eq(plain(workflow_id)))
}

/// The definition of its revision, and the row as it now is.
async fn write(
    transaction: &DatabaseTransaction,
    workflow: &StoredWorkflow,
    definition: &Json,
) -> Result<(), StoreError> {
    let revision = revision::ActiveModel {
        workspace_id: Set(workflow.workspace_id.to_string()),
        workflow_id: Set(workflow.workflow_id.clone()),
        revision: Set(stored(workflow.revision)),
        definition: Set(definition.clone()),
        created_at: Set(workflow.updated_at),
    };
    revision::Entity::insert(storable(revision)).exec_without_returning(transaction).await?;
    Entity::update_many()
        .set(storable(row(workflow)))
        .filter(Column::WorkspaceId.eq(workflow.workspace_id.to_string()))
        .filter(Column::WorkflowId.eq(plain(&workflow.workflow_id)))
        .exec(transaction)
        .await?;
    Ok(())
}

fn stored_workflow(workspace_id: WorkspaceId, new: &NewWorkflow, revision: u64, at: Timestamp) -> StoredWorkflow {
    StoredWorkflow {
        workspace_id,
        workflow_id: new.workflow_id.clone(),
        revision,
        name: new.name.clone(),
        description: new.description.clone(),
        step_count: new.step_count,
        created_at: micros(at),
        updated_at: micros(at),
    }
}

fn row(workflow: &StoredWorkflow) -> ActiveModel {
    ActiveModel {
        workspace_id: Set(workflow.workspace_id.to_string()),
        workflow_id: Set(workflow.workflow_id.clone()),
        revision: Set(stored(workflow.revision)),
        name: Set(workflow.name.clone()),
        description: Set(workflow.description.clone()),
        step_count: Set(stored(workflow.step_count)),
        created_at: Set(workflow.created_at),
        updated_at: Set(workflow.updated_at),
    }
}

fn record(row: Model) -> Result<StoredWorkflow, StoreError> {
    let cells = Cells { table: "workflows", id: &row.workflow_id };
    Ok(StoredWorkflow {
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        revision: cells.count("revision", row.revision)?,
        step_count: cells.count("step_count", row.step_count)?,
        workflow_id: row.workflow_id.clone(),
        name: row.name,
        description: row.description,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::execution::{Execution, ExecutionState};
    use crate::domain::status::ExecutionStatus;
    use crate::store::InsertError;
    use crate::store::fixture::{TestStore, at, execution, workflow};

    #[tokio::test]
    async fn a_workflow_comes_back_at_its_revision() {
        let (store, own) = TestStore::furnished().await;
        let of = own.workspace_id;
        let first = store.insert_workflow(of, &workflow("plan"), at(1)).await.unwrap();
        assert_eq!((first.revision, first.step_count, first.created_at), (1, 3, at(1)));
        assert_eq!(store.find_workflow(of, "plan").await.unwrap(), Some(first.clone()));
        let again = store.insert_workflow(of, &workflow("plan"), at(2)).await;
        assert!(matches!(again, Err(InsertWorkflowError::Exists)), "{again:?}");

        let new = NewWorkflow { name: "Better".into(), step_count: 1, definition: json!([]), ..workflow("plan") };
        let second = store.replace_workflow(of, &Expected::OneOf(vec![1]), &new, at(3)).await.unwrap();
        let expected = StoredWorkflow { revision: 2, name: "Better".into(), step_count: 1, updated_at: at(3), ..first };
        assert_eq!(second, expected);
        assert_eq!(store.workflows(&Scope::All).await.unwrap(), [expected]);
        let stale = store.replace_workflow(of, &Expected::OneOf(vec![1]), &new, at(4)).await;
        assert!(matches!(stale, Err(ReplaceWorkflowError::Stale { current: 2 })), "{stale:?}");
        let missing = store.replace_workflow(of, &Expected::Any, &workflow("other"), at(4)).await;
        assert!(matches!(missing, Err(ReplaceWorkflowError::NotFound)), "{missing:?}");
        let definition = async |revision| store.workflow_definition(of, "plan", revision).await.unwrap();
        assert_eq!(definition(1).await, Some(workflow("plan").definition));
        assert_eq!((definition(2).await, definition(3).await), (Some(json!([])), None));
    }

    #[tokio::test]
    async fn a_workflow_that_is_made_again_counts_on() {
        let (store, own) = TestStore::furnished().await;
        let of = own.workspace_id;
        store.insert_workflow(of, &workflow("plan"), at(1)).await.unwrap();
        store.delete_workflow(of, "plan").await.unwrap();
        assert_eq!(store.find_workflow(of, "plan").await.unwrap(), None);
        assert!(matches!(store.delete_workflow(of, "plan").await, Err(DeleteWorkflowError::NotFound)));
        let new = NewWorkflow { definition: json!({"v": 2}), ..workflow("plan") };
        assert_eq!(store.insert_workflow(of, &new, at(2)).await.unwrap().revision, 2);
        let first = store.workflow_definition(of, "plan", 1).await.unwrap();
        assert_eq!(first, Some(workflow("plan").definition), "what an execution may have started with");
    }

    #[tokio::test]
    async fn a_workflow_at_work_is_not_deleted() {
        let (store, own) = TestStore::furnished().await;
        let of = own.workspace_id;
        store.insert_workflow(of, &workflow("plan"), at(1)).await.unwrap();
        let active = execution(of, "plan");
        store.insert(&active, None).await.unwrap();
        let refused = store.delete_workflow(of, "plan").await;
        assert!(matches!(refused, Err(DeleteWorkflowError::InUse { active: 1 })), "{refused:?}");
        let ended = ExecutionState { status: ExecutionStatus::Cancelled, ..ExecutionState::default() };
        store.save_state::<Execution>(of, active.id, &ended, 1).await.unwrap();
        store.delete_workflow(of, "plan").await.unwrap();
        let late = store.insert(&execution(of, "plan"), None).await;
        assert!(matches!(late, Err(InsertError::OriginGone)), "{late:?}");
        assert!(store.find::<Execution>(&Scope::All, active.id).await.unwrap().is_some(), "it outlives its workflow");
    }

    #[tokio::test]
    async fn a_foreign_workflow_is_not_there() {
        let (store, own) = TestStore::furnished().await;
        let foreign = store.furnish("other").await.workspace_id;
        let mine = store.insert_workflow(own.workspace_id, &workflow("plan"), at(1)).await.unwrap();
        assert_eq!(store.find_workflow(foreign, "plan").await.unwrap(), None);
        assert_eq!(store.workflow_definition(foreign, "plan", 1).await.unwrap(), None);
        assert_eq!(store.workflows(&Scope::Only(vec![foreign])).await.unwrap(), []);
        let replaced = store.replace_workflow(foreign, &Expected::Any, &workflow("plan"), at(2)).await;
        assert!(matches!(replaced, Err(ReplaceWorkflowError::NotFound)), "{replaced:?}");
        assert!(matches!(store.delete_workflow(foreign, "plan").await, Err(DeleteWorkflowError::NotFound)));
        let elsewhere: Execution = execution(foreign, "plan");
        let refused = store.insert(&elsewhere, None).await;
        assert!(matches!(refused, Err(InsertError::OriginGone)), "{refused:?}");
        assert_eq!(store.insert_workflow(foreign, &workflow("plan"), at(3)).await.unwrap().revision, 1);
        assert_eq!(store.find_workflow(own.workspace_id, "plan").await.unwrap(), Some(mine));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_two_who_make_or_replace_a_workflow_at_once_one_succeeds() {
        let (store, own) = TestStore::furnished().await;
        let (other_process, of) = (store.another_handle().await, own.workspace_id);
        let (new, known) = (workflow("plan"), Expected::OneOf(vec![1]));
        let made =
            tokio::join!(store.insert_workflow(of, &new, at(1)), other_process.insert_workflow(of, &new, at(1)),);
        assert_eq!([made.0.is_ok(), made.1.is_ok()].iter().filter(|made| **made).count(), 1, "{made:?}");
        let made = tokio::join!(
            store.replace_workflow(of, &known, &new, at(2)),
            other_process.replace_workflow(of, &known, &new, at(2)),
        );
        assert_eq!([made.0.is_ok(), made.1.is_ok()].iter().filter(|made| **made).count(), 1, "{made:?}");
        assert_eq!(store.find_workflow(of, "plan").await.unwrap().unwrap().revision, 2);
    }
}
