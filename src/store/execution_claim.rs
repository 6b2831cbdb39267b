//! Executions as they are made: under the key that they were asked for, and of a workflow that is there.
//!
//! Law: an execution and its key are stored together or not at all.

use entity::execution_idempotency_key::{ActiveModel, Column, Entity};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set, SqlErr};

use super::cells::Cells;
use super::{Store, StoreError, execution, rows, workflow};
use crate::domain::execution::Execution;
use crate::domain::idempotency::Claim;
use crate::domain::time::{Timestamp, micros};
use crate::domain::{ExecutionId, WorkspaceId};

#[derive(Debug, thiserror::Error)]
pub enum InsertExecutionError {
    #[error("the workflow does not exist any more")]
    WorkflowGone,
    #[error("the key has made an execution already")]
    KeyTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for InsertExecutionError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Digest of the request and execution of the key, when it was used after `since`.
    pub async fn find_execution_claim(
        &self,
        claim: &Claim,
        since: Timestamp,
    ) -> Result<Option<(String, ExecutionId)>, StoreError> {
        let select = Entity::find_by_id((claim.caller.clone(), claim.key.as_str().to_owned()));
        let Some(row) = select.filter(Column::CreatedAt.gt(micros(since))).one(self.read()).await? else {
            return Ok(None);
        };
        let cells = Cells { table: "execution_idempotency_keys", id: &row.key };
        let execution_id = cells.id("execution_id", &row.execution_id)?;
        Ok(Some((row.request_digest, execution_id)))
    }

    /// Stores the execution, under its key if it has one. A key that was used before `expired` is free again.
    pub async fn insert_execution(
        &self,
        execution: &Execution,
        claim: Option<(&Claim, Timestamp)>,
    ) -> Result<(), InsertExecutionError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        if !workflow::hold(&transaction, execution.workspace_id, &execution.workflow_id).await? {
            transaction.rollback().await?;
            return Err(InsertExecutionError::WorkflowGone);
        }
        execution::insert(&transaction, execution).await?;
        let Some((claim, expired)) = claim else { return Ok(transaction.commit().await?) };
        Entity::delete_many()
            .filter(Column::Caller.eq(&claim.caller))
            .filter(Column::Key.eq(claim.key.as_str()))
            .filter(Column::CreatedAt.lte(micros(expired)))
            .exec(&transaction)
            .await?;
        match Entity::insert(row(claim, execution)).exec_without_returning(&transaction).await {
            Ok(_) => Ok(transaction.commit().await?),
            Err(error) => {
                transaction.rollback().await?;
                match error.sql_err() {
                    Some(SqlErr::UniqueConstraintViolation(_)) => Err(InsertExecutionError::KeyTaken),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// Takes an execution back that has never begun, with its key. False when there is no such execution.
    pub async fn delete_execution(&self, workspace_id: WorkspaceId, id: ExecutionId) -> Result<bool, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        Entity::delete_many().filter(Column::ExecutionId.eq(id.to_string())).exec(&transaction).await?;
        let deleted = rows::delete::<Execution>(&transaction, workspace_id, id).await?;
        if deleted {
            transaction.commit().await?
        } else {
            transaction.rollback().await?
        }
        Ok(deleted)
    }
}

fn row(claim: &Claim, execution: &Execution) -> ActiveModel {
    ActiveModel {
        caller: Set(claim.caller.clone()),
        key: Set(claim.key.as_str().to_owned()),
        request_digest: Set(claim.request_digest.clone()),
        execution_id: Set(execution.id.to_string()),
        created_at: Set(micros(execution.created_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::idempotency::IdempotencyKey;
    use crate::domain::principal::Scope;
    use crate::store::fixture::{self, TestStore, at, workflow};

    fn claim(caller: &str) -> Claim {
        let key = IdempotencyKey::parse(b"k").unwrap();
        Claim { caller: caller.into(), key, request_digest: format!("digest of {caller}") }
    }

    async fn furnished() -> (TestStore, [Execution; 3]) {
        let (store, own) = TestStore::furnished().await;
        store.insert_workflow(own.workspace_id, &workflow("plan"), at(1)).await.unwrap();
        let made = |micros| Execution { created_at: at(micros), ..fixture::execution(own.workspace_id, "plan") };
        (store, [10, 20, 30].map(made))
    }

    async fn exists(store: &Store, execution: &Execution) -> bool {
        store.find_execution(&Scope::All, execution.id).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_key_makes_one_execution_for_each_caller() {
        let (store, [first, second, third]) = furnished().await;
        store.insert_execution(&first, Some((&claim("a"), at(0)))).await.unwrap();
        let again = store.insert_execution(&second, Some((&claim("a"), at(9)))).await;
        assert!(matches!(again, Err(InsertExecutionError::KeyTaken)), "{again:?}");
        assert!(exists(&store, &first).await && !exists(&store, &second).await);
        store.insert_execution(&second, Some((&claim("b"), at(0)))).await.unwrap();
        let found = store.another_handle().await.find_execution_claim(&claim("a"), at(9)).await.unwrap();
        assert_eq!(found, Some(("digest of a".into(), first.id)));
        assert_eq!(store.find_execution_claim(&claim("a"), at(10)).await.unwrap(), None, "too old");

        store.insert_execution(&third, Some((&claim("a"), at(10)))).await.unwrap();
        assert_eq!(store.prune_idempotency_keys(at(20)).await.unwrap(), 1);
        assert!(store.find_execution_claim(&claim("b"), at(0)).await.unwrap().is_none());
        assert!(store.find_execution_claim(&claim("a"), at(0)).await.unwrap().is_some());
        assert!(exists(&store, &first).await && exists(&store, &second).await, "executions outlive their keys");
    }

    #[tokio::test]
    async fn an_execution_is_taken_back_with_its_key() {
        let (store, [first, ..]) = furnished().await;
        store.insert_execution(&first, Some((&claim("a"), at(0)))).await.unwrap();
        assert!(!store.delete_execution(WorkspaceId::generate(), first.id).await.unwrap());
        assert!(exists(&store, &first).await);
        assert!(store.find_execution_claim(&claim("a"), at(0)).await.unwrap().is_some());
        assert!(store.delete_execution(first.workspace_id, first.id).await.unwrap());
        assert!(!exists(&store, &first).await);
        store.insert_execution(&first, Some((&claim("a"), at(0)))).await.unwrap();
    }
}
