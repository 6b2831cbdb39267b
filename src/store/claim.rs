//! Requests under keys: which run each has made.
//!
//! Law: a run and the key that it was asked for under are stored together or not at all.

use entity::idempotency_key::{ActiveModel, Column, Entity};
use sea_orm::{ColumnTrait, DbErr, DeleteMany, EntityTrait, QueryFilter, Set, SqlErr};

use super::cells::Cells;
use super::{Store, StoreError, rows, run};
use crate::domain::idempotency::Claim;
use crate::domain::run::Run;
use crate::domain::time::{Timestamp, micros};
use crate::domain::{RunId, WorkspaceId};

#[derive(Debug, thiserror::Error)]
pub enum InsertRunError {
    #[error("the key has made a run already")]
    KeyTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for InsertRunError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Digest of the request and run of the key, when it was used after `since`.
    pub async fn find_claim(&self, claim: &Claim, since: Timestamp) -> Result<Option<(String, RunId)>, StoreError> {
        let select = Entity::find_by_id((claim.caller.clone(), claim.key.as_str().to_owned()));
        let Some(row) = select.filter(Column::CreatedAt.gt(micros(since))).one(self.read()).await? else {
            return Ok(None);
        };
        let run_id = Cells { table: "idempotency_keys", id: &row.key }.id("run_id", &row.run_id)?;
        Ok(Some((row.request_digest, run_id)))
    }

    /// Stores the run under its key. A key that was used before `expired` is free again.
    pub async fn insert_run_once(&self, run: &Run, claim: &Claim, expired: Timestamp) -> Result<(), InsertRunError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        of_claim(claim).filter(Column::CreatedAt.lte(micros(expired))).exec(&transaction).await?;
        run::insert(&transaction, run).await?;
        match Entity::insert(row(claim, run)).exec_without_returning(&transaction).await {
            Ok(_) => Ok(transaction.commit().await?),
            Err(error) => {
                transaction.rollback().await?;
                match error.sql_err() {
                    Some(SqlErr::UniqueConstraintViolation(_)) => Err(InsertRunError::KeyTaken),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// Takes a run back that has never begun, with its key. False when there is no such run.
    pub async fn delete_run(&self, workspace_id: WorkspaceId, id: RunId) -> Result<bool, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        Entity::delete_many().filter(Column::RunId.eq(id.to_string())).exec(&transaction).await?;
        let deleted = rows::delete::<Run>(&transaction, workspace_id, id).await?;
        if deleted {
            transaction.commit().await?
        } else {
            transaction.rollback().await?
        }
        Ok(deleted)
    }

    /// Forgets the keys that were used up to `before`; how many.
    pub async fn prune_idempotency_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        use entity::execution_idempotency_key as of_execution;
        let of_runs = Entity::delete_many().filter(Column::CreatedAt.lte(micros(before)));
        let of_executions = of_execution::Entity::delete_many();
        let of_executions = of_executions.filter(of_execution::Column::CreatedAt.lte(micros(before)));
        let writer = self.write().await;
        let forgotten = of_runs.exec(&*writer).await?.rows_affected;
        Ok(forgotten + of_executions.exec(&*writer).await?.rows_affected)
    }
}

fn of_claim(claim: &Claim) -> DeleteMany<Entity> {
    Entity::delete_many().filter(Column::Caller.eq(&claim.caller)).filter(Column::Key.eq(claim.key.as_str()))
}

fn row(claim: &Claim, run: &Run) -> ActiveModel {
    ActiveModel {
        caller: Set(claim.caller.clone()),
        key: Set(claim.key.as_str().to_owned()),
        request_digest: Set(claim.request_digest.clone()),
        run_id: Set(run.id.to_string()),
        created_at: Set(micros(run.created_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::configuration::Configuration;
    use crate::domain::idempotency::IdempotencyKey;
    use crate::domain::principal::Scope;
    use crate::store::fixture::{self, TestStore, at};

    fn claim(caller: &str, key: &str) -> Claim {
        let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
        Claim { caller: caller.into(), key, request_digest: format!("digest of {caller}") }
    }

    fn run_at(configuration: &Configuration, micros: i64) -> Run {
        Run { created_at: at(micros), ..fixture::run(configuration) }
    }

    async fn exists(store: &Store, run: &Run) -> bool {
        store.find_run(&Scope::All, run.id).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn a_key_makes_one_run_for_each_caller() {
        let (store, configuration) = TestStore::furnished().await;
        let (first, second) = (run_at(&configuration, 10), run_at(&configuration, 11));
        store.insert_run_once(&first, &claim("a", "k"), at(0)).await.unwrap();
        let again = store.insert_run_once(&second, &claim("a", "k"), at(9)).await;
        assert!(matches!(again, Err(InsertRunError::KeyTaken)), "{again:?}");
        assert!(exists(&store, &first).await && !exists(&store, &second).await);
        store.insert_run_once(&second, &claim("b", "k"), at(0)).await.unwrap();
        let found = store.another_handle().await.find_claim(&claim("a", "k"), at(9)).await.unwrap();
        assert_eq!(found, Some(("digest of a".into(), first.id)));
        assert_eq!(store.find_claim(&claim("a", "j"), at(0)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_old_key_is_free_again_and_can_be_forgotten() {
        let (store, configuration) = TestStore::furnished().await;
        let [first, second, third] = [10, 20, 30].map(|micros| run_at(&configuration, micros));
        store.insert_run_once(&first, &claim("a", "k"), at(0)).await.unwrap();
        assert_eq!(store.find_claim(&claim("a", "k"), at(10)).await.unwrap(), None);
        store.insert_run_once(&second, &claim("a", "k"), at(10)).await.unwrap();
        store.insert_run_once(&third, &claim("a", "j"), at(10)).await.unwrap();
        assert_eq!(store.prune_idempotency_keys(at(20)).await.unwrap(), 1);
        assert_eq!(store.find_claim(&claim("a", "k"), at(0)).await.unwrap(), None);
        assert!(store.find_claim(&claim("a", "j"), at(0)).await.unwrap().is_some());
        assert!(exists(&store, &first).await && exists(&store, &second).await, "runs outlive their keys");
    }

    #[tokio::test]
    async fn a_run_is_taken_back_with_its_key() {
        let (store, configuration) = TestStore::furnished().await;
        let run = run_at(&configuration, 10);
        store.insert_run_once(&run, &claim("a", "k"), at(0)).await.unwrap();
        assert!(!store.delete_run(WorkspaceId::generate(), run.id).await.unwrap(), "a foreign run is not there");
        assert!(exists(&store, &run).await);
        assert!(store.delete_run(run.workspace_id, run.id).await.unwrap());
        assert!(!exists(&store, &run).await);
        store.insert_run_once(&run, &claim("a", "k"), at(0)).await.unwrap();
    }
}
