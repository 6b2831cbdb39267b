//! Deleting what people put in: documents, configurations, workspaces.
//!
//! Laws. What live work uses stays. A deleted row is neither found nor listed, and stays all the same: runs that have
//! ended name it for ever. Whoever stores work holds the rows that it is made from until its own is committed, and
//! whoever deletes takes them first, so of a run and the deletion of its document one comes after the other.

use std::str::FromStr;

use entity::{configuration, document, member, run_document, workspace};
use sea_orm::sea_query::Condition;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Set,
};

use super::cells::Cells;
use super::listable::column_of;
use super::rows::{InsertError, StoredWork, statuses};
use super::{Store, StoreError};
use crate::domain::configuration::ConfigurationStatus;
use crate::domain::list::Field;
use crate::domain::time::{Timestamp, micros};
use crate::domain::work::each_kind;
use crate::domain::{ConfigurationId, DocumentId, StreamId, StreamKey, StreamKind, WorkspaceId};

/// What is to be deleted, in its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletable {
    Document(DocumentId),
    Configuration(ConfigurationId),
    /// With everything in it.
    Workspace,
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("it does not exist")]
    NotFound,
    #[error("{live} runs, builds or executions that have not finished use it")]
    InUse { live: usize },
    /// New runs are meant to use it.
    #[error("it is the active configuration of its workspace")]
    Active,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for DeleteError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Something that was deleted and whose files are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    pub workspace_id: WorkspaceId,
    pub what: Deletable,
}

/// Work that is told when something cannot be deleted; more is not counted.
const MOST: u64 = 100;

impl Store {
    pub async fn delete_input(
        &self,
        workspace_id: WorkspaceId,
        what: Deletable,
        at: Timestamp,
    ) -> Result<(), DeleteError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let deleted = delete(&transaction, workspace_id, what, micros(at)).await;
        finish(transaction, deleted).await
    }

    /// As [`Store::delete_input`], of a document that has expired by then. Not found when its time has been put off
    /// since it was listed.
    pub async fn delete_expired(
        &self,
        workspace_id: WorkspaceId,
        id: DocumentId,
        by: Timestamp,
        at: Timestamp,
    ) -> Result<(), DeleteError> {
        let (what, expired) = (Deletable::Document(id), document::Column::ExpiresAt.lte(micros(by)));
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        let deleted = match delete_documents(&transaction, workspace_id, is(id).add(expired), micros(at)).await {
            Ok(0) => Err(DeleteError::NotFound),
            Ok(_) => refuse_in_use(&transaction, workspace_id, what).await,
            Err(error) => Err(error.into()),
        };
        finish(transaction, deleted).await
    }

    /// Work that has not ended, by its row, and uses this.
    pub async fn live_work(&self, workspace_id: WorkspaceId, what: Deletable) -> Result<Vec<StreamKey>, StoreError> {
        live(self.read(), workspace_id, what).await
    }

    /// Documents that have expired, the first ones first.
    pub async fn expired_documents(
        &self,
        by: Timestamp,
        limit: u64,
    ) -> Result<Vec<(WorkspaceId, DocumentId)>, StoreError> {
        use document::Column::{DeletedAt, ExpiresAt, Id, WorkspaceId as Of};
        let select = document::Entity::find()
            .select_only()
            .columns([Of, Id])
            .filter(ExpiresAt.lte(micros(by)))
            .filter(DeletedAt.is_null());
        let select = select.order_by_asc(ExpiresAt).order_by_asc(Id).limit(limit);
        inputs("documents", select.into_tuple().all(self.read()).await?)
    }

    /// Documents and configurations that were deleted before this and whose files are still there, up to `limit` of
    /// each.
    pub async fn deleted_with_files(&self, before: Timestamp, limit: u64) -> Result<Vec<Deleted>, StoreError> {
        use {configuration::Column as C, document::Column as D};
        let of = [D::WorkspaceId, D::Id, D::DeletedAt, D::FilesRemovedAt];
        let documents = self.with_files::<document::Entity, _>("documents", of, before, limit).await?;
        let of = [C::WorkspaceId, C::Id, C::DeletedAt, C::FilesRemovedAt];
        let configurations = self.with_files::<configuration::Entity, _>("configurations", of, before, limit).await?;
        let documents = documents.into_iter().map(|(of, id)| (of, Deletable::Document(id)));
        let configurations = configurations.into_iter().map(|(of, id)| (of, Deletable::Configuration(id)));
        let deleted = |(workspace_id, what)| Deleted { workspace_id, what };
        Ok(documents.chain(configurations).map(deleted).collect())
    }

    async fn with_files<E: EntityTrait, T: FromStr>(
        &self,
        table: &'static str,
        [of, id, deleted_at, files_removed_at]: [E::Column; 4],
        before: Timestamp,
        limit: u64,
    ) -> Result<Vec<(WorkspaceId, T)>, StoreError> {
        let select = E::find().select_only().columns([of, id]).filter(deleted_at.lt(micros(before)));
        let select = select.filter(files_removed_at.is_null()).order_by_asc(deleted_at).limit(limit);
        inputs(table, select.into_tuple().all(self.read()).await?)
    }

    /// Of documents and configurations with these ids, those whose files were removed.
    pub async fn whose_files_are_removed(
        &self,
        workspace_id: WorkspaceId,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        use {configuration::Column as C, document::Column as D};
        let (of, names) = (workspace_id.to_string(), || ids.iter().map(String::as_str));
        let select = document::Entity::find().select_only().column(D::Id).filter(D::WorkspaceId.eq(of.as_str()));
        let select = select.filter(D::Id.is_in(names())).filter(D::FilesRemovedAt.is_not_null());
        let mut found: Vec<String> = select.into_tuple().all(self.read()).await?;
        let select = configuration::Entity::find().select_only().column(C::Id).filter(C::WorkspaceId.eq(of.as_str()));
        let select = select.filter(C::Id.is_in(names())).filter(C::FilesRemovedAt.is_not_null());
        found.extend(select.into_tuple::<String>().all(self.read()).await?);
        Ok(found)
    }

    /// The files of something that was deleted are gone.
    pub async fn set_files_removed(&self, what: Deletable, at: Timestamp) -> Result<(), StoreError> {
        let (writer, at) = (self.write().await, Some(micros(at)));
        match what {
            Deletable::Document(id) => {
                let change = document::ActiveModel { files_removed_at: Set(at), ..Default::default() };
                let update = document::Entity::update_many().set(change);
                update.filter(document::Column::Id.eq(id.to_string())).exec(&*writer).await?;
            }
            Deletable::Configuration(id) => {
                let change = configuration::ActiveModel { files_removed_at: Set(at), ..Default::default() };
                let update = configuration::Entity::update_many().set(change);
                update.filter(configuration::Column::Id.eq(id.to_string())).exec(&*writer).await?;
            }
            Deletable::Workspace => {}
        }
        Ok(())
    }

    /// Whether there was such a configuration and it has been deleted.
    pub async fn configuration_is_deleted(
        &self,
        workspace_id: WorkspaceId,
        id: ConfigurationId,
    ) -> Result<bool, StoreError> {
        let select = configuration::Entity::find_by_id(id.to_string())
            .filter(configuration::Column::WorkspaceId.eq(workspace_id.to_string()));
        Ok(select.one(self.read()).await?.is_some_and(|row| row.deleted_at.is_some()))
    }
}

/// Of rows with their workspace and their id.
fn inputs<T: FromStr>(table: &'static str, rows: Vec<(String, String)>) -> Result<Vec<(WorkspaceId, T)>, StoreError> {
    let input = |(of, id): (String, String)| {
        let cells = Cells { table, id: &id };
        Ok((cells.id("workspace_id", &of)?, cells.id("id", &id)?))
    };
    rows.into_iter().map(input).collect()
}

async fn delete(
    transaction: &DatabaseTransaction,
    workspace_id: WorkspaceId,
    what: Deletable,
    at: Timestamp,
) -> Result<(), DeleteError> {
    match what {
        Deletable::Document(id) => {
            if delete_documents(transaction, workspace_id, is(id), at).await? == 0 {
                return Err(DeleteError::NotFound);
            }
        }
        Deletable::Configuration(id) => delete_configurations(transaction, workspace_id, Some(id), at).await?,
        Deletable::Workspace => delete_workspace(transaction, workspace_id, at).await?,
    }
    refuse_in_use(transaction, workspace_id, what).await
}

/// Asked when it is deleted already, as this transaction sees it: whoever stores work on it now waits for the end of that.
async fn refuse_in_use(
    transaction: &DatabaseTransaction,
    workspace_id: WorkspaceId,
    what: Deletable,
) -> Result<(), DeleteError> {
    match live(transaction, workspace_id, what).await?.len() {
        0 => Ok(()),
        live => Err(DeleteError::InUse { live }),
    }
}

/// A refusal changes nothing.
async fn finish(transaction: DatabaseTransaction, deleted: Result<(), DeleteError>) -> Result<(), DeleteError> {
    match deleted {
        Ok(()) => Ok(transaction.commit().await?),
        Err(refused) => {
            transaction.rollback().await?;
            Err(refused)
        }
    }
}

fn is(id: DocumentId) -> Condition {
    Condition::all().add(document::Column::Id.eq(id.to_string()))
}

/// Those of the workspace that are meant. Gives their number.
async fn delete_documents(
    transaction: &DatabaseTransaction,
    workspace_id: WorkspaceId,
    those: Condition,
    at: Timestamp,
) -> Result<u64, DbErr> {
    use document::Column::{DeletedAt, WorkspaceId as Of};
    let change = document::ActiveModel { deleted_at: Set(Some(at)), ..Default::default() };
    let update = document::Entity::update_many().set(change).filter(Of.eq(workspace_id.to_string()));
    Ok(update.filter(DeletedAt.is_null()).filter(those).exec(transaction).await?.rows_affected)
}

/// One of them, or all that the workspace has. The active one goes only with its workspace.
async fn delete_configurations(
    transaction: &DatabaseTransaction,
    workspace_id: WorkspaceId,
    one: Option<ConfigurationId>,
    at: Timestamp,
) -> Result<(), DeleteError> {
    use configuration::Column::{DeletedAt, Id, WorkspaceId as Of};
    let of = Condition::all().add(Of.eq(workspace_id.to_string())).add(DeletedAt.is_null());
    let those = of.add_option(one.map(|id| Id.eq(id.to_string())));
    if one.is_some() {
        let found = configuration::Entity::find().filter(those.clone()).lock_exclusive().one(transaction).await?;
        let found = found.ok_or(DeleteError::NotFound)?;
        if found.status == ConfigurationStatus::Active.as_str() {
            return Err(DeleteError::Active);
        }
    }
    let change = configuration::ActiveModel { deleted_at: Set(Some(at)), ..Default::default() };
    configuration::Entity::update_many().set(change).filter(those).exec(transaction).await?;
    Ok(())
}

/// Its slug is free again: no slug that anybody is given has a `~`.
async fn delete_workspace(
    transaction: &DatabaseTransaction,
    workspace_id: WorkspaceId,
    at: Timestamp,
) -> Result<(), DeleteError> {
    use workspace::Column::DeletedAt;
    let select = workspace::Entity::find_by_id(workspace_id.to_string()).filter(DeletedAt.is_null());
    let found = select.lock_exclusive().one(transaction).await?.ok_or(DeleteError::NotFound)?;
    let change = workspace::ActiveModel {
        deleted_at: Set(Some(at)),
        slug: Set(format!("{}~{workspace_id}", found.slug)),
        ..Default::default()
    };
    let update = workspace::Entity::update_many().set(change);
    update.filter(workspace::Column::Id.eq(workspace_id.to_string())).exec(transaction).await?;
    delete_configurations(transaction, workspace_id, None, at).await?;
    delete_documents(transaction, workspace_id, Condition::all(), at).await?;
    // Of nothing that is there: they would only count.
    let members = member::Entity::delete_many().filter(member::Column::WorkspaceId.eq(workspace_id.to_string()));
    members.exec(transaction).await?;
    Ok(())
}

async fn live(
    connection: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    what: Deletable,
) -> Result<Vec<StreamKey>, StoreError> {
    let mut found = Vec::new();
    each_kind!(W => found.extend(live_of::<W>(connection, workspace_id, what).await?));
    Ok(found)
}

async fn live_of<W: StoredWork>(
    connection: &impl ConnectionTrait,
    workspace_id: WorkspaceId,
    what: Deletable,
) -> Result<Vec<StreamKey>, StoreError> {
    let Some(using) = using::<W>(what) else { return Ok(Vec::new()) };
    let select = W::Entity::find()
        .select_only()
        .column(column_of::<W>(Field::Id))
        .filter(W::workspace_column().eq(workspace_id.to_string()))
        .filter(column_of::<W>(Field::Status).is_in(statuses::<W>(false)))
        .filter(using)
        .limit(MOST);
    let ids: Vec<String> = select.into_tuple().all(connection).await?;
    let key = |id: &String| Some(StreamKey::of(workspace_id, StreamId::parse(id)?));
    let unreadable = |id: &String| Cells { table: W::KIND.as_str(), id }.unreadable("id");
    ids.iter().map(|id| key(id).ok_or_else(|| unreadable(id))).collect()
}

/// The work of a kind that uses something; none when no work of that kind does.
fn using<W: StoredWork>(what: Deletable) -> Option<Condition> {
    match what {
        Deletable::Workspace => Some(Condition::all()),
        Deletable::Configuration(id) => Some(W::configuration_id()?.eq(id.to_string()).into()),
        Deletable::Document(id) if W::KIND == StreamKind::RUN => {
            use run_document::Column::{DocumentId as On, RunId};
            let runs = run_document::Entity::find().select_only().column(RunId).filter(On.eq(id.to_string()));
            Some(column_of::<W>(Field::Id).in_subquery(runs.into_query()).into())
        }
        Deletable::Document(_) => None,
    }
}

/// Keeps a configuration, and so its workspace, from being deleted until `transaction` is over.
pub(super) async fn hold_configuration(
    transaction: &DatabaseTransaction,
    workspace_id: WorkspaceId,
    id: ConfigurationId,
) -> Result<(), InsertError> {
    use configuration::Column::{DeletedAt, WorkspaceId as Of};
    // First, as who deletes the workspace does. Work refers to both, and so locks the workspace in any case: later, each
    // would wait for the other.
    if !hold_workspace(transaction, workspace_id).await? {
        return Err(InsertError::OriginGone);
    }
    let select = configuration::Entity::find_by_id(id.to_string()).filter(Of.eq(workspace_id.to_string()));
    let held = select.filter(DeletedAt.is_null()).lock_shared().one(transaction).await?;
    held.map(drop).ok_or(InsertError::OriginGone)
}

/// As [`hold_configuration`], of documents.
pub(super) async fn hold_documents(transaction: &DatabaseTransaction, ids: &[DocumentId]) -> Result<(), InsertError> {
    use document::Column::{DeletedAt, Id};
    let select = document::Entity::find().filter(DeletedAt.is_null());
    let select = select.filter(Id.is_in(ids.iter().map(DocumentId::to_string)));
    let held = select.lock_shared().all(transaction).await?;
    let is_held = |id: &DocumentId| held.iter().any(|row| row.id == id.to_string());
    ids.iter().find(|id| !is_held(id)).map_or(Ok(()), |gone| Err(InsertError::DocumentGone(*gone)))
}

/// As [`hold_configuration`], of a workspace by itself.
pub(super) async fn hold_workspace(transaction: &DatabaseTransaction, id: WorkspaceId) -> Result<bool, DbErr> {
    let select = workspace::Entity::find_by_id(id.to_string()).filter(workspace::Column::DeletedAt.is_null());
    Ok(select.lock_shared().one(transaction).await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RunId;
    use crate::domain::configuration::{Configuration, Document, DocumentChange, DocumentStatus, Workspace};
    use crate::domain::list::{Comparison, DOCUMENTS, Filter, Query, Test, Value};
    use crate::domain::principal::Scope;
    use crate::domain::run::{Run, RunOptions, RunState};
    use crate::domain::status::RunStatus;
    use crate::domain::work::Work as _;
    use crate::store::AddInputError;
    use crate::store::fixture::{TestStore, all, at, build, document, execution, run, workflow};

    fn run_on(of: &Configuration, documents: &[&Document]) -> Run {
        let document_ids = documents.iter().map(|document| document.id).collect();
        Run { options: RunOptions { document_ids, ..RunOptions::default() }, ..run(of) }
    }

    async fn end(store: &Store, run: &Run) {
        let state = RunState { status: RunStatus::Succeeded, completed_at: Some(at(50)), ..RunState::default() };
        store.save_state::<Run>(run.workspace_id, run.id, &state, 9).await.unwrap();
    }

    #[tokio::test]
    async fn what_live_work_uses_is_not_deleted_and_what_ended_work_has_used_is() {
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        let input = document(of);
        store.insert_document(&input).await.unwrap();
        let run = run_on(&configuration, &[&input]);
        store.insert(&run, None).await.unwrap();
        let all_of_it =
            [Deletable::Document(input.id), Deletable::Configuration(configuration.id), Deletable::Workspace];
        for what in all_of_it {
            let refused = store.delete_input(of, what, at(20)).await;
            assert!(matches!(refused, Err(DeleteError::InUse { live: 1 })), "{what:?}: {refused:?}");
            assert_eq!(store.live_work(of, what).await.unwrap(), [run.stream_key()]);
        }
        assert!(store.find_document(&Scope::All, input.id).await.unwrap().is_some(), "a refusal changes nothing");
        end(&store, &run).await;
        for what in all_of_it {
            store.delete_input(of, what, at(30)).await.unwrap();
            let again = store.delete_input(of, what, at(31)).await;
            assert!(matches!(again, Err(DeleteError::NotFound)), "{what:?}: {again:?}");
        }
        assert_eq!(store.find_document(&Scope::All, input.id).await.unwrap(), None);
        assert_eq!(store.find_documents(of, &[input.id]).await.unwrap(), []);
        assert_eq!(store.find_configuration(&Scope::All, configuration.id).await.unwrap(), None);
        assert_eq!(store.find::<Run>(&Scope::All, run.id).await.unwrap(), None);
        assert!(store.log_facts(run.stream_key()).await.unwrap().is_some(), "retention still finds its log");
        assert_eq!(store.all::<Run>(&Scope::All).await.unwrap().len(), 1);
        assert_eq!(all::<Document>(&store, &Scope::All).await, []);
        assert_eq!(all::<Workspace>(&store, &Scope::All).await, []);
    }

    #[tokio::test]
    async fn nothing_is_deleted_from_another_workspace() {
        let (store, own) = TestStore::furnished().await;
        let foreign = store.furnish("other").await;
        let input = document(own.workspace_id);
        store.insert_document(&input).await.unwrap();
        for what in [Deletable::Document(input.id), Deletable::Configuration(own.id)] {
            let refused = store.delete_input(foreign.workspace_id, what, at(20)).await;
            assert!(matches!(refused, Err(DeleteError::NotFound)), "{refused:?}");
        }
        store.delete_input(foreign.workspace_id, Deletable::Workspace, at(21)).await.unwrap();
        assert_eq!(all::<Document>(&store, &Scope::All).await, [input]);
        assert_eq!(all::<Configuration>(&store, &Scope::All).await, [own]);
    }

    #[tokio::test]
    async fn the_active_configuration_goes_only_with_its_workspace_whose_slug_is_free_again() {
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        store.activate(of, configuration.id, None, at(10)).await.unwrap();
        let refused = store.delete_input(of, Deletable::Configuration(configuration.id), at(20)).await;
        assert!(matches!(refused, Err(DeleteError::Active)), "{refused:?}");
        store.delete_input(of, Deletable::Workspace, at(21)).await.unwrap();
        assert!(store.configuration_is_deleted(of, configuration.id).await.unwrap());
        assert_ne!(store.furnish("acme").await.workspace_id, of);
    }

    #[tokio::test]
    async fn no_work_is_stored_on_what_is_deleted() {
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        let [gone, kept] = [(); 2].map(|()| document(of));
        for document in [&gone, &kept] {
            store.insert_document(document).await.unwrap();
        }
        store.delete_input(of, Deletable::Document(gone.id), at(20)).await.unwrap();
        let refused = store.insert(&run_on(&configuration, &[&kept, &gone]), None).await;
        assert!(matches!(refused, Err(InsertError::DocumentGone(id)) if id == gone.id), "{refused:?}");
        store.insert_workflow(of, &workflow("plan"), at(1)).await.unwrap();
        store.delete_input(of, Deletable::Workspace, at(21)).await.unwrap();
        for refused in [
            store.insert(&run_on(&configuration, &[]), None).await,
            store.insert(&build(&configuration), None).await,
            store.insert(&execution(of, "plan"), None).await,
        ] {
            assert!(matches!(refused, Err(InsertError::OriginGone)), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn of_a_run_and_the_deletion_of_its_document_one_comes_first() {
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        for _ in 0..20 {
            let input = document(of);
            store.insert_document(&input).await.unwrap();
            let run = run_on(&configuration, &[&input]);
            let (made, deleted) =
                tokio::join!(store.insert(&run, None), store.delete_input(of, Deletable::Document(input.id), at(20)),);
            match (made, deleted) {
                (Ok(()), Err(DeleteError::InUse { .. })) => end(&store, &run).await,
                (Err(InsertError::DocumentGone(_)), Ok(())) => {}
                both => panic!("{both:?}"),
            }
        }
    }

    #[tokio::test]
    async fn of_a_run_and_the_deletion_of_its_workspace_one_comes_first() {
        let (store, _) = TestStore::furnished().await;
        for number in 0..20 {
            let configuration = store.furnish(&format!("w{number}")).await;
            let (of, run) = (configuration.workspace_id, run(&configuration));
            let (made, deleted) =
                tokio::join!(store.insert(&run, None), store.delete_input(of, Deletable::Workspace, at(20)));
            match (made, deleted) {
                (Ok(()), Err(DeleteError::InUse { .. })) | (Err(InsertError::OriginGone), Ok(())) => {}
                both => panic!("{both:?}"),
            }
        }
    }

    #[tokio::test]
    async fn files_of_what_was_deleted_are_removed_once_and_not_too_early() {
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        let [early, late] = [(); 2].map(|()| document(of));
        for document in [&early, &late] {
            store.insert_document(document).await.unwrap();
        }
        store.delete_input(of, Deletable::Document(early.id), at(20)).await.unwrap();
        store.delete_input(of, Deletable::Configuration(configuration.id), at(20)).await.unwrap();
        store.delete_input(of, Deletable::Document(late.id), at(30)).await.unwrap();
        let due = store.deleted_with_files(at(30), 10).await.unwrap();
        let what: Vec<_> = due.iter().map(|deleted| (deleted.workspace_id, deleted.what)).collect();
        let expected = [Deletable::Document(early.id), Deletable::Configuration(configuration.id)];
        assert_eq!(what, expected.map(|what| (of, what)));
        for what in expected {
            store.set_files_removed(what, at(40)).await.unwrap();
        }
        assert_eq!(store.deleted_with_files(at(30), 10).await.unwrap(), []);
        let names = [early.id.to_string(), configuration.id.to_string(), late.id.to_string(), "none".to_owned()];
        assert_eq!(store.whose_files_are_removed(of, &names).await.unwrap(), names[..2]);
        assert!(store.whose_files_are_removed(WorkspaceId::generate(), &names).await.unwrap().is_empty());
        assert_eq!(store.deleted_with_files(at(31), 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn documents_expire_in_their_order_and_deleted_ones_not_again() {
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        let expiring = |micros| Document { expires_at: Some(at(micros)), ..document(of) };
        let [second, first, later, never] = [expiring(20), expiring(10), expiring(31), document(of)];
        for document in [&second, &first, &later, &never] {
            store.insert_document(document).await.unwrap();
        }
        assert_eq!(store.expired_documents(at(30), 10).await.unwrap(), [(of, first.id), (of, second.id)]);
        store.delete_input(of, Deletable::Document(first.id), at(30)).await.unwrap();
        assert_eq!(store.expired_documents(at(30), 10).await.unwrap(), [(of, second.id)]);
        for expires_at in [None, Some(at(40))] {
            let put_off = DocumentChange { expires_at: Some(expires_at), ..DocumentChange::default() };
            store.change_document(of, second.id, &put_off, at(30)).await.unwrap();
            let late = store.delete_expired(of, second.id, at(30), at(30)).await;
            assert!(matches!(late, Err(DeleteError::NotFound)), "{late:?}");
        }
        store.insert(&run_on(&configuration, &[&second]), None).await.unwrap();
        let used = store.delete_expired(of, second.id, at(40), at(41)).await;
        assert!(matches!(used, Err(DeleteError::InUse { live: 1 })), "{used:?}");
        store.delete_expired(of, later.id, at(40), at(41)).await.unwrap();
        assert_eq!(store.find_document(&Scope::All, later.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn nothing_is_put_into_a_workspace_that_is_deleted() {
        let (store, existing) = TestStore::furnished().await;
        let of = existing.workspace_id;
        store.delete_input(of, Deletable::Workspace, at(20)).await.unwrap();
        let refused = [
            store.insert_document(&document(of)).await,
            store.insert_configuration(&Configuration::draft(of, "Late", at(21))).await,
        ];
        for refused in refused {
            assert!(matches!(refused, Err(AddInputError::WorkspaceGone)), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn documents_tell_of_their_newest_run_and_lists_find_them_by_that_and_by_their_tags() {
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        let tagged = |tags: &[&str]| Document { tags: tags.iter().map(|&tag| tag.into()).collect(), ..document(of) };
        let [new, running, done] = [tagged(&[]), tagged(&["a"]), tagged(&["a", "b'; --"])];
        for document in [&new, &running, &done] {
            store.insert_document(document).await.unwrap();
        }
        for (number, (input, ends)) in [(&running, true), (&running, false), (&done, true)].into_iter().enumerate() {
            let id = RunId::from_ulid(ulid::Ulid::from_parts(number as u64, 0));
            let run = Run { id, ..run_on(&configuration, &[input]) };
            store.insert(&run, None).await.unwrap();
            if ends {
                end(&store, &run).await;
            }
        }
        let found = async |field, value: &str| {
            let is = Test::Compare(Comparison::Eq, Value::Text(value.into()));
            let query = Query { filter: Filter::Test(field, is), ..Query::all(DOCUMENTS.order) };
            let mut items = store.page::<Document>(&Scope::All, &query, 1, 50).await.unwrap().items;
            items.sort_by_key(|document| [new.id, running.id, done.id].iter().position(|id| *id == document.id));
            store.look_up_last_runs(&mut items).await.unwrap();
            items.iter().map(|document| (document.id, document.status())).collect::<Vec<_>>()
        };
        use DocumentStatus::{Processed, Processing, Uploaded};
        assert_eq!(found(Field::Status, "uploaded").await, [(new.id, Uploaded)]);
        assert_eq!(found(Field::Status, "processing").await, [(running.id, Processing)]);
        assert_eq!(found(Field::Status, "processed").await, [(done.id, Processed)]);
        assert_eq!(found(Field::Tags, "a").await, [(running.id, Processing), (done.id, Processed)]);
        assert_eq!(found(Field::Tags, "b'; --").await, [(done.id, Processed)]);
        let change = DocumentChange { tags: Some(vec!["c".into()]), ..DocumentChange::default() };
        assert!(store.change_document(of, done.id, &change, at(60)).await.unwrap());
        assert_eq!(found(Field::Tags, "b'; --").await, []);
        assert_eq!(found(Field::Tags, "c").await, [(done.id, Processed)]);
        let foreign = store.furnish("other").await.workspace_id;
        assert!(!store.change_document(foreign, done.id, &change, at(60)).await.unwrap());
    }
}
