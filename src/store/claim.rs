//! Work as it is made: stored together with the idempotency key of its request.
//!
//! Law: a piece of work and its key are stored together or not at all, and under one key of a caller there is at most
//! one piece of work of each kind.

use entity::idempotency_key::{ActiveModel, Column, Entity};
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, DeleteMany, EntityTrait, QueryFilter, Set, SqlErr};

use super::cells::Cells;
use super::rows::{self, InsertError, StoredWork};
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::idempotency::{Claim, LIFETIME};
use crate::domain::time::{Timestamp, micros};

impl Store {
    /// Digest of the request and id of the work of the key, when it was used after `since`.
    pub async fn find_claim<W: StoredWork>(
        &self,
        claim: &Claim,
        since: Timestamp,
    ) -> Result<Option<(String, W::Id)>, StoreError> {
        let select = Entity::find_by_id((claim.caller.clone(), W::KIND.as_str().into(), claim.key.as_str().into()));
        let Some(row) = select.filter(Column::CreatedAt.gt(micros(since))).one(self.read()).await? else {
            return Ok(None);
        };
        let work_id = Cells { table: "idempotency_keys", id: &row.key }.id("work_id", &row.work_id)?;
        Ok(Some((row.request_digest, work_id)))
    }

    /// Stores a piece of work, under its key if it has one. A key whose [`LIFETIME`] was over when the work was created
    /// is free again.
    pub async fn insert<W: StoredWork>(&self, work: &W, claim: Option<&Claim>) -> Result<(), InsertError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let inserted = match work.insert(&transaction).await {
            Ok(()) => take_key(&transaction, work, claim).await,
            refused => refused,
        };
        match inserted {
            Ok(()) => Ok(transaction.commit().await?),
            Err(error) => {
                transaction.rollback().await?;
                Err(error)
            }
        }
    }

    /// Removes work that was never started, with its key. False when there is no such row.
    pub async fn delete<W: StoredWork>(&self, workspace_id: WorkspaceId, id: W::Id) -> Result<bool, StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        Entity::delete_many().filter(Column::WorkId.eq(id.to_string())).exec(&transaction).await?;
        let deleted = rows::delete::<W>(&transaction, workspace_id, id).await?;
        if deleted {
            transaction.commit().await?
        } else {
            transaction.rollback().await?
        }
        Ok(deleted)
    }

    /// Forgets the keys that were used up to `before`; how many.
    pub async fn prune_idempotency_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let old = Entity::delete_many().filter(Column::CreatedAt.lte(micros(before)));
        Ok(old.exec(&*self.write().await).await?.rows_affected)
    }
}

async fn take_key<W: StoredWork>(
    transaction: &DatabaseTransaction,
    work: &W,
    claim: Option<&Claim>,
) -> Result<(), InsertError> {
    let Some(claim) = claim else { return Ok(()) };
    let expired = micros(work.created_at() - LIFETIME);
    of_claim::<W>(claim).filter(Column::CreatedAt.lte(expired)).exec(transaction).await?;
    match Entity::insert(row(claim, work)).exec_without_returning(transaction).await {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => Err(InsertError::KeyTaken),
        Err(error) => Err(error.into()),
    }
}

fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

fn of_claim<W: StoredWork>(claim: &Claim) -> DeleteMany<Entity> {
    Entity::delete_many()
        .filter(Column::Caller.eq(&claim.caller))
        .filter(Column::Kind.eq(W::KIND.as_str()))
        .filter(Column::Key.eq(claim.key.as_str()))
}

fn row<W: StoredWork>(claim: &Claim, work: &W) -> ActiveModel {
    ActiveModel {
        caller: Set(claim.caller.clone()),
        kind: Set(W::KIND.as_str().into()),
        key: Set(claim.key.as_str().to_owned()),
        request_digest: Set(claim.request_digest.clone()),
        work_id: Set(work.id().to_string()),
        created_at: Set(micros(work.created_at())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::execution::Execution;
    use crate::domain::idempotency::IdempotencyKey;
    use crate::domain::principal::Scope;
    use crate::domain::run::Run;
    use crate::store::fixture::{self, TestStore, at, workflow};

    fn claim(caller: &str, key: &str) -> Claim {
        let key = IdempotencyKey::parse(key.as_bytes()).unwrap();
        Claim { caller: caller.into(), key, request_digest: format!("digest of {caller}") }
    }

    /// So many lifetimes of a key and microseconds after a fixed moment.
    fn after(lifetimes: u32, micros: i64) -> Timestamp {
        at(micros) + LIFETIME * lifetimes
    }

    async fn furnished() -> (TestStore, impl Fn(Timestamp) -> Run, impl Fn(Timestamp) -> Execution) {
        let (store, own) = TestStore::furnished().await;
        store.insert_workflow(own.workspace_id, &workflow("plan"), at(1)).await.unwrap();
        let of = own.workspace_id;
        let run = move |created_at| Run { created_at, ..fixture::run(&own) };
        (store, run, move |created_at| Execution { created_at, ..fixture::execution(of, "plan") })
    }

    async fn exists<W: StoredWork>(store: &Store, work: &W) -> bool {
        store.find::<W>(&Scope::All, work.id()).await.unwrap().is_some()
    }

    async fn each_caller_has_one<W: StoredWork>(store: &TestStore, make: impl Fn(Timestamp) -> W) {
        let [first, second] = [10, 11].map(|micros| make(after(1, micros)));
        store.insert(&first, Some(&claim("a", "k"))).await.unwrap();
        let again = store.insert(&second, Some(&claim("a", "k"))).await;
        assert!(matches!(again, Err(InsertError::KeyTaken)), "{again:?}");
        assert!(exists(store, &first).await && !exists(store, &second).await);
        store.insert(&second, Some(&claim("b", "k"))).await.unwrap();
        let found = store.another_handle().await.find_claim::<W>(&claim("a", "k"), after(1, 9)).await.unwrap();
        assert_eq!(found, Some(("digest of a".into(), first.id())));
        assert_eq!(store.find_claim::<W>(&claim("a", "j"), at(0)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_key_makes_one_of_each_kind_for_each_caller() {
        let (store, run, execution) = furnished().await;
        each_caller_has_one(&store, run).await;
        each_caller_has_one(&store, execution).await;
    }

    async fn old_keys_are_free<W: StoredWork>(store: &TestStore, make: impl Fn(Timestamp) -> W) {
        let [first, early, second, third] =
            [(0, 10), (1, 9), (1, 10), (1, 20)].map(|(lifetimes, micros)| make(after(lifetimes, micros)));
        store.insert(&first, Some(&claim("a", "k"))).await.unwrap();
        assert_eq!(store.find_claim::<W>(&claim("a", "k"), at(10)).await.unwrap(), None, "too old");
        let too_early = store.insert(&early, Some(&claim("a", "k"))).await;
        assert!(matches!(too_early, Err(InsertError::KeyTaken)), "{too_early:?}");
        store.insert(&second, Some(&claim("a", "k"))).await.unwrap();
        store.insert(&third, Some(&claim("a", "j"))).await.unwrap();
        assert_eq!(store.prune_idempotency_keys(after(1, 19)).await.unwrap(), 1);
        assert_eq!(store.find_claim::<W>(&claim("a", "k"), at(0)).await.unwrap(), None);
        assert!(store.find_claim::<W>(&claim("a", "j"), at(0)).await.unwrap().is_some());
        assert!(exists(store, &first).await && exists(store, &second).await, "work outlives its key");
        assert_eq!(store.prune_idempotency_keys(after(1, 20)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_old_key_is_free_again_and_can_be_forgotten() {
        let (store, run, execution) = furnished().await;
        old_keys_are_free(&store, run).await;
        old_keys_are_free(&store, execution).await;
    }

    async fn is_deleted_with_its_key<W: StoredWork>(store: &TestStore, work: W) {
        store.insert(&work, Some(&claim("a", "k"))).await.unwrap();
        assert!(!store.delete::<W>(WorkspaceId::generate(), work.id()).await.unwrap(), "foreign work is not there");
        assert!(exists(store, &work).await);
        assert!(store.find_claim::<W>(&claim("a", "k"), at(0)).await.unwrap().is_some());
        assert!(store.delete::<W>(work.workspace_id(), work.id()).await.unwrap());
        assert!(!exists(store, &work).await);
        store.insert(&work, Some(&claim("a", "k"))).await.unwrap();
    }

    #[tokio::test]
    async fn work_is_deleted_with_its_key() {
        let (store, run, execution) = furnished().await;
        is_deleted_with_its_key(&store, run(at(10))).await;
        is_deleted_with_its_key(&store, execution(at(10))).await;
    }
}
